"""Folders become samples: what pairs with what, and what is said of the rest."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from mmdata.core.ports import Scan
from mmdata.errors import ConfigError, Unreadable
from mmdata.source.files import Files


def tree(root: Path, files: Mapping[str, bytes | str]) -> Path:
    """Write files by relative path."""
    for path, content in files.items():
        full = root / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def parts(scan: Scan) -> dict[str, dict[str, str]]:
    """By key, the pointers of a scan's parts."""
    return {entry.key: {member.part: member.pointer for member in entry.members} for entry in scan.entries}


def test_files_that_share_a_stem_are_one_sample(tmp_path: Path) -> None:
    tree(tmp_path, {"a/cat.png": b"1", "a/cat.txt": "a cat", "a/cat.wav": b"2", "b/cat.png": b"3"})
    assert parts(Files(str(tmp_path), name="pets").scan()) == {
        "pets/a/cat": {"audio": "a/cat.wav", "image": "a/cat.png", "text": "a/cat.txt"},
        "pets/b/cat": {"image": "b/cat.png"},
    }


def test_the_name_is_that_of_the_folder(tmp_path: Path) -> None:
    tree(tmp_path / "pets", {"a.png": b"1"})
    assert Files(f"{tmp_path}/pets/").scan().entries[0].key == "pets/a"


def test_patterns_say_which_file_is_which_part(tmp_path: Path) -> None:
    tree(
        tmp_path,
        {
            "animals/frog.png": b"1", "animals/frog.txt": "frog", "animals/frog.ogg": b"2",
            "animals/frog_desc_fr.ogg": b"3", "animals/frog_desc_ru.ogg": b"4", "animals/toad.txt": "toad",
        },
    )  # fmt: skip
    patterns = {
        "image": "{stem}.png",
        "text": "{stem}.txt",
        "sound": "{stem}.ogg",
        "speech": "{stem}_desc_fr.ogg",
    }
    scan = Files(str(tmp_path), name="s", parts=patterns).scan()
    assert parts(scan) == {
        "s/animals/frog": {
            "image": "animals/frog.png",
            "sound": "animals/frog.ogg",
            "speech": "animals/frog_desc_fr.ogg",
            "text": "animals/frog.txt",
        }
    }
    assert scan.unmatched == ["animals/frog_desc_ru.ogg", "animals/toad.txt"]


def test_blobs_give_the_bytes_that_were_listed(tmp_path: Path) -> None:
    tree(tmp_path, {"a.png": b"12345", "a.txt": "a cat"})
    source = Files(str(tmp_path))
    (sample,) = source.read(source.scan().entries)
    assert {name: part.data() for name, part in sample.parts.items()} == {"image": b"12345", "text": b"a cat"}  # type: ignore[union-attr]


def test_a_file_written_to_since_it_was_listed_is_unreadable(tmp_path: Path) -> None:
    tree(tmp_path, {"a.png": b"12345"})
    source = Files(str(tmp_path))
    (sample,) = source.read(source.scan().entries)
    os.utime(tmp_path / "a.png", ns=(1, 1))
    with pytest.raises(Unreadable, match=r"a\.png: changed since it was listed \(it was written to\)"):
        sample.parts["image"].data()  # type: ignore[union-attr]


def test_metadata_lies_beside_the_files(tmp_path: Path) -> None:
    tree(tmp_path, {"x/a.png": b"1", "x/a.json": json.dumps({"caption": "é"}), "x/b.json": "{}"})
    scan = Files(str(tmp_path), label="parent").scan()
    assert scan.entries[0].meta == {"caption": "é", "label": "x"}
    assert scan.unmatched == ["x/b.json"]


def test_an_empty_folder_is_refused_with_what_was_looked_for(tmp_path: Path) -> None:
    tree(tmp_path, {"a.jpg": b"1"})
    with pytest.raises(ConfigError, match=r"fits image: \{stem\}\.png; found 1 \.jpg"):
        Files(str(tmp_path), parts={"image": "{stem}.png"}).scan()


def faults(scan: Scan) -> dict[str, str]:
    return {fault.key: fault.kind for fault in scan.faults}


def test_two_files_for_one_part_are_a_collision_that_names_both(tmp_path: Path) -> None:
    tree(tmp_path, {"a.png": b"1", "a.JPG": b"2", "a.txt": "", "b.png": b"3"})
    scan = Files(str(tmp_path), name="s").scan()
    assert (list(parts(scan)), faults(scan)) == (["s/b"], {"s/a": "collision"})
    assert scan.faults[0].error == "'a.JPG' and 'a.png' would all be its image; keep one"


@pytest.mark.parametrize("patterns", [None, {"image": "{stem}.jpg"}])
def test_extensions_of_either_case_collide_with_patterns_and_without(
    tmp_path: Path, patterns: dict[str, str] | None
) -> None:
    tree(tmp_path, {"a.jpg": b"1", "a.JPG": b"2", "A.Jpg": b"3", "b.JPG": b"4", "b.JSON": '{"n": 1}'})
    scan = Files(str(tmp_path), name="s", parts=patterns).scan()
    assert parts(scan) == {"s/A": {"image": "A.Jpg"}, "s/b": {"image": "b.JPG"}}
    assert [entry.meta for entry in scan.entries] == [{}, {"n": 1}]
    assert faults(scan) == {"s/a": "collision"}


def test_stems_that_differ_in_case_are_different_samples(tmp_path: Path) -> None:
    tree(tmp_path, {"Cat.png": b"1", "cat.png": b"2", "cat.txt": "small"})
    assert list(parts(Files(str(tmp_path), name="s").scan())) == ["s/Cat", "s/cat"]


def test_ways_to_write_a_letter_make_one_sample(tmp_path: Path) -> None:
    composed, apart = "caf\u00e9", "cafe\u0301"
    tree(tmp_path, {f"{composed}.png": b"1", f"{apart}.txt": "coffee"})
    assert parts(Files(str(tmp_path), name="s").scan()) == {
        f"s/{composed}": {"image": f"{composed}.png", "text": f"{apart}.txt"}
    }
    tree(tmp_path, {f"{apart}.png": b"2"})
    assert faults(Files(str(tmp_path), name="s").scan()) == {f"s/{composed}": "collision"}


def test_names_that_are_not_utf8_have_keys_that_are(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"a\xff.png")).write_bytes(b"12")
    source = Files(str(tmp_path), name="s")
    (entry,) = source.scan().entries
    assert (entry.key, entry.members[0].pointer) == ("s/a%FF", "a%FF.png")
    (sample,) = source.read([entry])
    assert sample.parts["image"].data() == b"12"  # type: ignore[union-attr]


def test_what_is_no_medium_is_unmatched_and_named(tmp_path: Path) -> None:
    tree(tmp_path, {"a.png": b"1", "a.dat": b"", "noext": b"", "README.txt": "", ".x.png": b"", "b.json": "{}"})
    assert Files(str(tmp_path)).scan().unmatched == [".x.png", "README.txt", "a.dat", "b.json", "noext"]


@pytest.mark.parametrize(
    ("label", "labels"), [("parent", [None, "x", "z"]), ("top", [None, "x", "y"]), (None, [None, None, None])]
)
def test_the_label_is_a_folder(tmp_path: Path, label: str | None, labels: list[str | None]) -> None:
    tree(tmp_path, {"a.png": b"1", "x/a.png": b"1", "y/z/a.png": b"1"})
    scan = Files(str(tmp_path), label=label).scan()  # type: ignore[arg-type]
    assert [entry.meta.get("label") for entry in scan.entries] == labels


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[1]", "expected an object {...}, not a list"),
        ("{", "at line 1 column"),
        ('{"a": NaN}', "NaN is no number"),
        ('{"a": 1e999}', "1e999 is too large"),
        ('{"a": "\\ud800"}', "half of a surrogate pair"),
        ("\xff", "Expecting value"),
        (b"\xff\xfe", "byte 0 is not UTF-8"),
        ('{"a":' * 100_000, "recursion"),
        ('{"a": ' + "1" * 5000 + "}", "integer string conversion"),
        ('{"a": "' + "x" * (1 << 20) + '"}', "at most 1048576 are read"),
        ("", "Expecting value"),
    ],
)
def test_metadata_that_is_no_json_object_is_a_fault(tmp_path: Path, text: str | bytes, says: str) -> None:
    tree(tmp_path, {"a.png": b"1", "a.json": text})
    (fault,) = Files(str(tmp_path)).scan().faults
    assert (fault.kind, fault.pointer) == ("bad_metadata", "a.json")
    assert says in fault.error


def test_sidecars_can_be_left_alone(tmp_path: Path) -> None:
    tree(tmp_path, {"a.png": b"1", "a.json": "["})
    scan = Files(str(tmp_path), sidecar=False).scan()
    assert (len(scan.entries), scan.faults, scan.unmatched) == (1, [], ["a.json"])


def test_sidecars_join_by_patterns_too(tmp_path: Path) -> None:
    tree(tmp_path, {"i/x/a.png": b"1", "x/a.json": '{"n": 1}', "i/b.png": b"1", "i/b.json": '{"n": 2}', "c.json": "{}"})
    scan = Files(str(tmp_path), parts={"image": "i/{stem}.png"}).scan()
    assert [entry.meta for entry in scan.entries] == [{"n": 2}, {"n": 1}]
    assert scan.unmatched == ["c.json"]


def test_a_broken_part_makes_its_sample_a_fault(tmp_path: Path) -> None:
    tree(tmp_path, {"a.png": b"1", "b.png": b"1"})
    (tmp_path / "a.txt").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    scan = Files(str(tmp_path), name="s").scan()
    assert list(parts(scan)) == ["s/b"]
    assert faults(scan) == {"s/a": "broken_link", "s/loop": "link_loop"}


def test_globs_choose_files(tmp_path: Path) -> None:
    tree(tmp_path, {"a/1.png": b"", "a/2.svg": b"", "b/3.png": b""})
    scan = Files(str(tmp_path), name="s", include=("a/*", "*.txt"), exclude=("*.svg",)).scan()
    assert (list(parts(scan)), scan.unmatched) == (["s/a/1"], ["a/2.svg", "b/3.png"])


@pytest.mark.parametrize(
    ("pattern", "path", "key"),
    [
        ("{stem}.png", "x/y/a.b.png", "x/y/a.b"),
        ("pictures/{stem}.png", "pictures/x/a.png", "x/a"),
        ("pictures/{stem}.png", "x/pictures/a.png", None),
        ("img_{stem}.png", "x/img_a.png", "x/a"),
        ("{stem}/image.png", "x/a/image.png", "x/a"),
        ("{stem}.*", "x/a.png", "x/a"),
        ("*/{stem}.png", "x/a.png", "a"),
        ("{stem}.png", "a.pngx", None),
        ("{stem}.png", "axpng", None),
        ("{stem}_fr.png", "_fr.png", None),
        ("{stem}(1).png", "a(1).png", "a"),
        ("{stem}.png", "new\nline.png", "new\nline"),
        ("{stem}.png", "A.PnG", "A"),
        ("{stem}.PNG", "a.png", "a"),
        ("{stem}.p*", "a.PNG", "a"),
        ("{stem}_fr.png", "a_fr.PNG", "a"),
        ("{stem}_fr.png", "a_FR.png", None),
        ("img_{stem}.png", "IMG_a.png", None),
        ("x/{stem}.png", "X/a.png", None),
        ("{stem}.d/part", "a.d/part", "a"),
        ("{stem}.d/part", "a.D/part", None),
        ("{stem}.d/part", "a.d/Part", None),
        ("{stem}_png", "a_PNG", None),
    ],
)
def test_what_patterns_fit(tmp_path: Path, pattern: str, path: str, key: str | None) -> None:
    tree(tmp_path, {path: b"1", "anchor.xyz": b""})
    source = Files(str(tmp_path), name="s", parts={"image": (pattern, "{stem}.xyz")})
    expected = ["s/anchor"] + ([f"s/{key}"] if key else [])
    assert [entry.key for entry in source.scan().entries] == sorted(expected)


def test_the_most_specific_pattern_takes_a_file_whose_sample_exists(tmp_path: Path) -> None:
    patterns = {"sound": "{stem}.ogg", "speech": "{stem}_fr.ogg"}
    tree(tmp_path, {"a.ogg": b"1", "a_fr.ogg": b"2", "b_fr.ogg": b"3"})
    assert parts(Files(str(tmp_path), name="s", parts=patterns).scan()) == {
        "s/a": {"sound": "a.ogg", "speech": "a_fr.ogg"},
        "s/b_fr": {"sound": "b_fr.ogg"},
    }


def test_without_its_first_part_there_is_no_sample(tmp_path: Path) -> None:
    tree(tmp_path, {"a.png": b"1", "a.txt": "", "b.txt": ""})
    scan = Files(str(tmp_path), name="s", parts={"image": "{stem}.png", "text": "{stem}.txt"}).scan()
    assert (list(parts(scan)), scan.unmatched) == (["s/a"], ["b.txt"])


def test_a_digest_sees_what_size_and_time_do_not(tmp_path: Path) -> None:
    tree(tmp_path, {"a.png": b"1"})
    source = Files(str(tmp_path), check="content")
    before = source.scan().entries
    time_ns = os.stat(tmp_path / "a.png").st_mtime_ns
    tree(tmp_path, {"a.png": b"2"})
    os.utime(tmp_path / "a.png", ns=(time_ns, time_ns))
    (sample,) = source.read(before)
    with pytest.raises(Unreadable, match="its content is another"):
        sample.parts["image"].data()  # type: ignore[union-attr]
    assert source.scan().entries != before
    os.utime(tmp_path / "a.png", ns=(1, 1))
    assert source.scan() == Files(str(tmp_path), check="content").scan()


def test_a_pipe_among_the_files_is_a_fault(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    assert faults(Files(str(tmp_path), name="s").scan()) == {"s/a": "not_a_file"}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"root": ""}, "names no folder"),
        ({"root": "."}, "give the source a name"),
        ({"root": "x", "name": "a/b"}, "no '/'"),
        ({"root": "x", "name": "a\nb"}, "no control characters"),
        ({"root": "x", "parts": {}}, "names no part"),
        ({"root": "x", "parts": {"image": "a.png"}}, r"parts.image: a pattern has \{stem\} once"),
        ({"root": "x", "parts": {"image": ["{stem}.png", "{stem}{stem}"]}}, r"parts.image: a pattern has"),
    ],
)
def test_settings_that_can_not_work_are_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Files(**settings)  # type: ignore[arg-type]


def test_a_root_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        Files(str(tmp_path / "nowhere")).scan()
    with pytest.raises(ConfigError, match=r"is a file; a table is read by source\.table\.Table"):
        Files(str(tree(tmp_path, {"a.csv": ""}) / "a.csv")).scan()
    with pytest.raises(ConfigError, match=r"found 1 \.csv"):
        Files(str(tmp_path)).scan()
    (tmp_path / "a.csv").unlink()
    with pytest.raises(ConfigError, match="found no file at all"):
        Files(str(tmp_path)).scan()


def test_samples_come_in_order_of_key_not_of_file(tmp_path: Path) -> None:
    tree(tmp_path, {"a.png": b"1", "a b.png": b"2"})
    assert list(parts(Files(str(tmp_path), name="s").scan())) == ["s/a", "s/a b"]
