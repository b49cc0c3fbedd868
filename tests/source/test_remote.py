"""Folders behind URLs, by fsspec's file system in memory."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator

import fsspec
import pytest

from mmdata.errors import ConfigError, Unreadable
from mmdata.source.files import Files
from mmdata.source.guess import guess
from mmdata.source.table import Table
from mmdata.source.webdataset import Tars


@pytest.fixture
def bucket() -> Iterator[fsspec.AbstractFileSystem]:
    system = fsspec.filesystem("memory")
    for path, data in {"x/a.png": b"12", "x/a.txt": b"a", "b.png": b"3", ".git/c.png": b"", "t.jsonl": LINES}.items():
        system.pipe_file(f"/bucket/{path}", data)
    yield system
    system.rm("/bucket", recursive=True)


LINES = b'{"image": "x/a.png", "text": "one"}\n{"image": "no.png"}\n{"image": "x"}\n'


def test_files_are_paired_and_read(bucket: fsspec.AbstractFileSystem) -> None:
    source = Files("memory://bucket")
    scan = source.scan()
    assert [entry.key for entry in scan.entries] == ["bucket/b", "bucket/x/a"]
    assert scan.unmatched == [".git/c.png", "t.jsonl"]
    samples = list(source.read(scan.entries))
    assert [part.data() for sample in samples for part in sample.parts.values()] == [b"3", b"12", b"a"]  # type: ignore[union-attr]
    assert source.scan() == scan


def test_a_file_written_again_is_unreadable(bucket: fsspec.AbstractFileSystem) -> None:
    source = Files("memory://bucket")
    samples = list(source.read(source.scan().entries))
    bucket.pipe_file("/bucket/b.png", b"4")
    bucket.rm("/bucket/x/a.png")
    with pytest.raises(Unreadable, match=r"b\.png: changed since it was listed"):
        samples[0].parts["image"].data()  # type: ignore[union-attr]
    with pytest.raises(Unreadable, match=r"x/a\.png: there is no such file"):
        samples[1].parts["image"].data()  # type: ignore[union-attr]


def test_a_missing_bucket_is_refused() -> None:
    with pytest.raises(ConfigError, match="there is no folder 'memory://nowhere'"):
        Files("memory://nowhere").scan()
    with pytest.raises(ConfigError, match="no-such-protocol"):
        Files("no-such-protocol://x").scan()


def test_tables_name_files_of_the_bucket(bucket: fsspec.AbstractFileSystem) -> None:
    source = Table("memory://bucket/t.jsonl", parts={"image": "image", "text": "text"})
    scan = source.scan()
    assert [entry.key for entry in scan.entries] == ["t/000000000"]
    assert [fault.kind for fault in scan.faults] == ["missing", "missing"]
    (sample,) = source.read(scan.entries)
    assert {name: part.data() for name, part in sample.parts.items()} == {"image": b"12", "text": b"one"}  # type: ignore[union-attr]


def test_tars_are_read_by_ranges(bucket: fsspec.AbstractFileSystem) -> None:
    opened = io.BytesIO()
    with tarfile.open(fileobj=opened, mode="w") as tar:
        info = tarfile.TarInfo("a.jpg")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"123"))
    bucket.pipe_file("/bucket/tars/0.tar", opened.getvalue())
    source = guess("memory://bucket/tars")
    assert source == Tars("memory://bucket/tars")
    (sample,) = source.read(source.scan().entries)
    assert sample.parts["image"].data() == b"123"  # type: ignore[union-attr]
