"""Tars: the same bytes for the same samples, readable by tarfile and by WebDataset, whatever the keys."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.store.media import TarWriter, _pax, header, key_of, safe_key, suffixes

Made = Any  # the fixtures' class; conftest can't be imported
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60)


def members(data: bytes) -> dict[str, tuple[int, int]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: (member.offset_data, member.size) for member in tar}


def tar_of(files: dict[str, bytes]) -> tuple[bytes, list[int]]:
    sink = io.BytesIO()
    writer = TarWriter(sink)
    offsets = [writer.add(name, data) for name, data in files.items()]
    writer.close()
    return sink.getvalue(), offsets


@pytest.mark.parametrize("length", [1, 99, 100, 101, 155, 300, 5_000])
@pytest.mark.parametrize("letter", ["a", "é", "字"])
def test_names_of_any_length_and_script_are_read_by_tarfile(length: int, letter: str) -> None:
    name = letter * length
    data, offsets = tar_of({name: b"body", "next": b""})
    assert members(data) == {name: (offsets[0], 4), "next": (offsets[1], 0)}
    assert data[offsets[0] : offsets[0] + 4] == b"body"


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1024])
def test_bodies_fill_whole_blocks(size: int) -> None:
    data, offsets = tar_of({"a": b"x" * size, "b": b"y"})
    assert len(data) % 512 == 0
    assert offsets == [512, 1024 + (size + 511) // 512 * 512]


def test_a_header_has_no_time_no_owner_and_a_true_checksum() -> None:
    info = tarfile.TarInfo.frombuf(header(b"x.png", 5), "utf-8", "strict")
    assert (info.name, info.size, info.mtime, info.uid, info.gid, info.uname, info.mode) == (
        "x.png",
        5,
        0,
        0,
        0,
        "",
        0o644,
    )


@pytest.mark.parametrize("size", [8**11 - 1, 8**11, 2**40])
def test_a_body_of_8_gib_says_its_size_in_a_pax_header(size: int) -> None:
    head = _pax(b"x", size) + header(b"x", min(size, 8**11 - 1))
    with tarfile.open(fileobj=io.BytesIO(head)) as tar:
        member = tar.next()
        assert member is not None
        assert member.size == size


@pytest.mark.parametrize("length", [5, 88, 89, 90, 91, 92, 986, 987, 988, 989, 990, 991, 9_980, 9_990])
def test_a_pax_record_counts_its_own_digits(length: int) -> None:
    record = _pax(b"n" * length, 0)[512:].rstrip(b"\0")
    assert record.count(b"\n") == 1
    assert int(record.split(b" ")[0]) == len(record)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("a/b", "a/b"),
        ("a/b.png", "a/b%2Epng"),
        ("../../etc/passwd", "%2E%2E/%2E%2E/etc/passwd"),
        ("/etc", "%2Fetc"),
        ("a//b", "a/%2Fb"),
        ("a/", "a%2F"),
        ("//", "%2F%2F"),
        ("a\nb", "a%0Ab"),
        ('it\'s "100%"', "it%27s %22100%25%22"),
        ("__meta__/x", "%5F_meta__/x"),
        ("a/__x__", "a/%5F_x__"),
        ("字/é", "字/é"),
    ],
)
def test_keys_are_encoded_where_they_would_mislead(key: str, name: str) -> None:
    assert safe_key(key) == name
    assert key_of(name) == key


@given(TEXT)
def test_a_key_comes_back_from_its_name(key: str) -> None:
    name = safe_key(key)
    assert key_of(name) == key
    assert not name.startswith("/")
    assert not name.endswith("/")
    assert "." not in name
    assert "//" not in name


def test_parts_stay_apart_in_lower_case() -> None:
    made = suffixes([("image", "png"), ("Image", "png"), ("IMAGE", "png"), ("json", "x"), ("a b/c", "t")])
    assert len({name.lower() for name in made}) == 5
    assert made[0] == "image.png"


KEYS = [
    "src/a.b/c.d.png",
    "src/__hidden__",
    "__all__/x",
    "src/new\nline",
    'src/it\'s "so"',
    "src/" + "long/" * 60 + "end.jpg",
    "src/é/字.webp",
    "/abs",
    "a//b",
    "a/b",
    "src/100%",
    "src/%2E",
    "src/.",
    "src/..",
    "-rf",
    " ",
]


# webdataset leaves its file to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_streams_hostile_keys_in_order(made: Made) -> None:
    webdataset = pytest.importorskip("webdataset")
    tar = made.write_keys(KEYS)
    dataset = webdataset.WebDataset(
        str(Path(made.url) / tar.path), shardshuffle=False, handler=webdataset.reraise_exception
    )
    found = list(dataset)
    assert [json.loads(sample["json"])["key"] for sample in found] == KEYS
    assert [key_of(sample["__key__"]) for sample in found] == KEYS
    assert [sample["image.png"] for sample in found] == [bytes([row]) * (100 + row) for row in range(len(KEYS))]
    assert [sample["caption.txt"].decode() for sample in found] == [f"hé {row}" for row in range(len(KEYS))]
    first = json.loads(found[0]["json"])
    assert first == {"key": KEYS[0], "label": "cat", "meta": {"label": "cat", "n": 0}, "text": {"caption": "hé 0"}}


def test_unpacking_stays_in_its_folder_and_loses_nothing(made: Made, tmp_path: Path) -> None:
    tar = made.write_keys(KEYS)
    out = tmp_path / "deep" / "out"
    with tarfile.open(Path(made.url) / tar.path) as opened:
        opened.extractall(out, filter="data")
    assert len([path for path in out.rglob("*") if path.is_file()]) == 3 * len(KEYS)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


def test_the_index_lists_live_shards_for_wids(filled: Made) -> None:
    filled.store.write_index()
    index = json.loads((Path(filled.url) / "media" / "index.json").read_text())
    assert index["wids_version"] == 1
    assert [shard["nsamples"] for shard in index["shardlist"]] == [5, 5, 5]
    for shard in index["shardlist"]:
        assert (Path(filled.url) / "media" / shard["url"]).stat().st_size == shard["filesize"]
