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
