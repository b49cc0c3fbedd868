"""WebDataset's tars: what groups with what, and what damage and malice come to."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from mmdata.core.ports import Scan
from mmdata.errors import ConfigError, Unreadable
from mmdata.source.webdataset import Tars

Content = bytes | tuple[bytes, str]  # a file's; or a member's type and where it leads


def tar(path: Path, members: Sequence[tuple[str, Content]]) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    with tarfile.open(path, "w") as opened:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, tuple):
                info.type, info.linkname = content
                opened.addfile(info)
            else:
                info.size = len(content)
                opened.addfile(info, io.BytesIO(content))
    return path


def parts(scan: Scan) -> dict[str, list[str]]:
    return {entry.key: [member.part for member in entry.members] for entry in scan.entries}


def faults(scan: Scan) -> dict[str, str]:
    return {fault.key: fault.kind for fault in scan.faults}


def scan(tmp_path: Path, *members: tuple[str, Content]) -> Scan:
    return Tars(str(tar(tmp_path / "t.tar", members))).scan()


def test_members_group_up_to_the_first_dot(tmp_path: Path) -> None:
    found = scan(
        tmp_path, ("a.jpg", b"1"), ("a.seg.png", b"2"), ("a.en.us.txt", b"3"), ("x.y/b.JPG", b"4"), ("c.npy", b"")
    )
    assert parts(found) == {"t/a": ["en_us", "image", "seg"], "t/x.y/b": ["image"]}
    assert found.unmatched == ["t.tar#c.npy"]


def test_what_was_exported_says_its_key_and_metadata_itself(tmp_path: Path) -> None:
    own = b'{"mmdata": 1, "path": "x.y/\xc3\xa9", "key": "s/x.y/\xc3\xa9", "meta": {"n": 1, "label": 4}, "parts": {}}'
    other = b'{"mmdata": 1, "path": "x.y/z", "meta": 7}'
    nameless = b'{"mmdata": 1, "path": null, "meta": {}}'
    found = scan(
        tmp_path, ("x%2Ey/a.jpg", b""), ("x%2Ey/a.json", own), ("b.jpg", b""), ("b.json", other), ("c.json", nameless),
        ("c.jpg", b""),
    )  # fmt: skip
    assert [(entry.key, entry.meta) for entry in found.entries] == [
        ("t/b", {"mmdata": 1, "path": "x.y/z", "meta": 7}),
        ("t/c", {}),
        ("t/x.y/é", {"n": 1, "label": 4}),
    ]


def test_two_that_say_the_same_key_are_a_collision(tmp_path: Path) -> None:
    own = b'{"mmdata": 1, "path": "same", "meta": {}}'
    found = scan(tmp_path, ("a.jpg", b""), ("a.json", own), ("b.jpg", b""), ("b.json", own))
    assert (found.entries, faults(found)) == ([], {"t/same": "collision"})


def test_metadata_and_labels_are_read(tmp_path: Path) -> None:
    found = scan(
        tmp_path, ("a.cls", b"3\n"), ("a.jpg", b""), ("a.json", b'{"x": "\xc3\xa9", "label": 4}'), ("b.json", b"{}")
    )
    assert found.entries[0].meta == {"x": "é", "label": "3"}
    assert found.unmatched == ["t.tar#b.json"]


@pytest.mark.parametrize("name", ["./a.jpg", "x/./a.jpg", "x//a.jpg"])
def test_paths_are_written_one_way(tmp_path: Path, name: str) -> None:
    assert list(parts(scan(tmp_path, (name, b"1")))) == [f"t/{'x/' if name[0] == 'x' else ''}a"]


@pytest.mark.parametrize(
    ("member", "kind"),
    [
        (("../a.jpg", b"1"), "outside"),
        (("/etc/a.jpg", b"1"), "outside"),
        (("x/../../a.jpg", b"1"), "outside"),
        (("a.jpg", (tarfile.SYMTYPE, "/etc/passwd")), "tar_link"),
        (("a.jpg", (tarfile.LNKTYPE, "b.jpg")), "tar_link"),
        (("a.jpg", (tarfile.CHRTYPE, "")), "tar_device"),
        (("a.jpg", (tarfile.FIFOTYPE, "")), "tar_device"),
        (("a.json", b"["), "bad_metadata"),
        (("a.cls", b"\xff"), "bad_metadata"),
        (("a.json", b" " * 1_048_577), "bad_metadata"),
    ],
)
def test_what_is_hostile_or_damaged_is_a_fault_and_the_rest_is_read(
    tmp_path: Path, member: tuple[str, Content], kind: str
) -> None:
    found = scan(tmp_path, member, ("b.jpg", b"1"))
    assert list(parts(found)) == ["t/b"]
    assert list(faults(found).values()) == [kind]
    assert member[0] in found.faults[0].error
    assert found.faults[0].pointer == "t.tar"


def test_folders_and_droppings_are_no_samples(tmp_path: Path) -> None:
    found = scan(tmp_path, ("x/", (tarfile.DIRTYPE, "")), ("x/._a.jpg", b""), ("x/a.jpg", b"1"), ("x/none", b""))
    assert parts(found) == {"t/x/a": ["image"]}
    assert found.unmatched == ["t.tar#x/._a.jpg", "t.tar#x/none"]


def test_a_part_given_twice_is_a_collision(tmp_path: Path) -> None:
    found = scan(tmp_path, ("a.jpg", b"1"), ("a.png", b"2"), ("b.jpg", b"1"))
    assert (list(parts(found)), faults(found)) == (["t/b"], {"t/a": "collision"})
    assert "'a.jpg' and 'a.png' would all be its image" in found.faults[0].error


def test_a_key_that_comes_again_is_a_collision(tmp_path: Path) -> None:
    found = scan(tmp_path, ("a.jpg", b"1"), ("b.jpg", b"2"), ("a.txt", b"3"), ("c.jpg", b"4"), ("a.wav", b"5"))
    assert (list(parts(found)), faults(found)) == (["t/b", "t/c"], {"t/a": "collision"})


def test_tars_have_keys_of_their_own_unless_there_is_one(tmp_path: Path) -> None:
    tar(tmp_path / "x/0.tar", [("a.jpg", b"1")])
    tar(tmp_path / "x/1.tar", [("a.jpg", b"2")])
    assert list(parts(Tars(str(tmp_path / "x")).scan())) == ["x/0/a", "x/1/a"]
    assert list(parts(Tars(str(tmp_path / "x" / "[1-9].tar"), name="s").scan())) == ["s/1/a"]
    assert list(parts(Tars(str(tmp_path / "x/0.tar"), name="s").scan())) == ["s/a"]


def test_a_tar_that_breaks_off_gives_the_samples_before_the_break(tmp_path: Path) -> None:
    path = tar(tmp_path / "t.tar", [(f"{key}.{kind}", b"1" * 600) for key in "abc" for kind in ("jpg", "txt")])
    whole = path.read_bytes()
    path.write_bytes(whole[: 1536 * 5 + 700])  # in the last text
    found = Tars(str(path)).scan()
    assert (list(parts(found)), faults(found)) == (["t/a", "t/b"], {"t/c": "truncated"})
    assert f"breaks off at byte {1536 * 5 + 700}, in 'c.txt'" in found.faults[0].error
    path.write_bytes(whole[: 1536 * 4])  # between two samples: the one before may lack members
    assert (list(parts(Tars(str(path)).scan())), faults(Tars(str(path)).scan())) == (["t/a"], {"t/b": "truncated"})
    path.write_bytes(b"")
    assert faults(Tars(str(path)).scan()) == {"t/t.tar": "truncated"}


def test_what_is_no_tar_is_a_fault_among_others(tmp_path: Path) -> None:
    tar(tmp_path / "x/0.tar", [("a.jpg", b"1")])
    (tmp_path / "x/1.tar").write_bytes(b"<html>not found</html>" * 100)
    (tmp_path / "x/2.tar.gz").write_bytes(b"")
    (tmp_path / "x/index.json").write_bytes(b"{}")
    found = Tars(str(tmp_path / "x")).scan()
    assert list(parts(found)) == ["x/0/a"]
    assert faults(found) == {"x/1": "truncated", "x/2.tar.gz": "compressed"}
    assert found.unmatched == ["index.json"]


def test_a_tar_that_was_written_again_is_unreadable(tmp_path: Path) -> None:
    source = Tars(str(tar(tmp_path / "t.tar", [("a.jpg", b"1")])))
    (sample,) = source.read(source.scan().entries)
    tar(tmp_path / "t.tar", [("b.jpg", b"1"), ("a.jpg", b"1")])
    with pytest.raises(Unreadable, match=r"t\.tar: changed since it was listed"):
        sample.parts["image"].data()  # type: ignore[union-attr]


def test_the_real_webdataset_writes_what_is_read(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    with webdataset.TarWriter(str(tmp_path / "t.tar")) as writer:
        for index in range(3):
            writer.write(
                {"__key__": f"x/{index}", "jpg": b"\xff\xd8\xff", "txt": f"text {index}", "json": {"n": index}}
            )
    found = Tars(str(tmp_path / "t.tar")).scan()
    assert parts(found) == {f"t/x/{index}": ["image", "text"] for index in range(3)}
    assert [entry.meta for entry in found.entries] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert [s.parts["text"].data() for s in Tars(str(tmp_path / "t.tar")).read(found.entries)] == [  # type: ignore[union-attr]
        b"text 0", b"text 1", b"text 2",
    ]  # fmt: skip


def test_nothing_found_is_refused_with_what_was(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        Tars(str(tmp_path / "nowhere")).scan()
    with pytest.raises(ConfigError, match=r"t\.tar: there is no such file"):
        Tars(str(tmp_path / "t.tar")).scan()
    (tmp_path / "a.zip").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"no \*\.tar in .*; found 1 \.zip"):
        Tars(str(tmp_path)).scan()
    with pytest.raises(ConfigError, match="no media in 1 tars"):
        scan(tmp_path, ("a.npy", b""))


def test_braces_are_refused_with_what_to_write_instead(tmp_path: Path) -> None:
    tar(tmp_path / "t-0000.tar", [("a.jpg", b"1")])
    with pytest.raises(ConfigError, match=r"braces are not expanded: write a glob"):
        Tars(str(tmp_path / "t-{0000..0003}.tar")).scan()
    assert len(Tars(str(tmp_path / "t-*.tar")).scan().entries) == 1
