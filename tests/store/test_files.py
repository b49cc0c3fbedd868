"""The port to file systems: the same on a disk and in a bucket (fsspec's memory stands for one)."""

from __future__ import annotations

import os
import pickle
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest

from mmdata.core.sample import Blob, Sample
from mmdata.errors import StoreError, Unreadable
from mmdata.store import read
from mmdata.store.files import Files, HashedFile, new_hash, place
from mmdata.store.layout import DataFile
from mmdata.store.store import Store
from mmdata.store.write import ShardWriter

Made = Any  # the fixtures' class; conftest can't be imported


@pytest.fixture(params=["local", "memory"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    return Files.at(str(tmp_path / "x") if request.param == "local" else f"memory://{uuid.uuid4().hex}/x")


def test_a_file_is_created_once(files: Files) -> None:
    files.create("a/b.json", b"first")
    with pytest.raises(FileExistsError):
        files.create("a/b.json", b"second")
    assert files.read("a/b.json") == b"first"
    files.replace("a/b.json", b"third")
    assert files.read("a/b.json") == b"third"
    assert [listed.path for listed in files.listing("a")] == ["a/b.json"]


def test_listings_tell_files_from_folders(files: Files) -> None:
    files.create("a/2", b"22")
    files.create("a/1", b"1")
    files.create("a/b/3", b"")
    assert [(listed.path, listed.size_bytes) for listed in files.listing("a")] == [("a/1", 1), ("a/2", 2)]
    assert all(listed.changed_s > 1e9 for listed in files.listing("a"))
    assert files.folders("a") == ["b"]
    assert list(files.listing("none")) == []
    assert files.folders("none") == []
    assert files.exists("a/1")
    assert not files.exists("a/9")


def test_deleting_what_is_gone_is_no_error(files: Files) -> None:
    files.create("a", b"x")
    files.delete("a")
    files.delete("a")
    assert not files.exists("a")
    with pytest.raises(FileNotFoundError):
        files.read("a")


@pytest.mark.parametrize(("offset", "length", "found"), [(0, 3, b"012"), (7, 3, b"789"), (4, 0, b""), (10, 0, b"")])
def test_ranges_are_read(files: Files, offset: int, length: int, found: bytes) -> None:
    files.create("a", b"0123456789")
    assert files.read_range("a", offset, length) == found


@pytest.mark.parametrize(("offset", "length"), [(8, 3), (10, 1), (50, 1)])
def test_a_range_past_the_end_is_unreadable(files: Files, offset: int, length: int) -> None:
    files.create("a", b"0123456789")
    with pytest.raises(Unreadable, match="a ends at"):
        files.read_range("a", offset, length)
    with pytest.raises(Unreadable):
        files.read_range("gone", 0, 1)


def test_a_file_is_measured_as_it_was_written(files: Files) -> None:
    file = HashedFile(files.scratch("x"))
    for block in (b"abc", memoryview(b"def"), b""):
        file.write(block)
    assert file.tell() == 6
    path = place(files, file, "media", "stem", "tar")
    assert files.measure(path) == (6, file.digest)
    digest = new_hash()
    digest.update(b"abcdef")
    assert digest.hexdigest() == file.digest
    assert path == "media/stem.tar"
    assert not os.path.exists(file.path)


def test_a_taken_name_is_never_written_over(files: Files) -> None:
    paths = []
    for body in (b"one", b"one", b"two", b"two"):
        file = HashedFile(files.scratch("x"))
        file.write(body)
        paths.append(place(files, file, "media", "stem", "tar"))
    assert [files.read(path) for path in paths] == [b"one", b"one", b"two", b"two"]
    assert len(set(paths)) == 2


def test_of_many_who_create_at_once_one_wins(tmp_path: Path) -> None:
    files, won = Files.at(tmp_path), []
    barrier = threading.Barrier(8)

    def create(number: int) -> None:
        barrier.wait()
        try:
            files.create("x", str(number).encode() * 10_000)
        except FileExistsError:
            return
        won.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert files.read("x") == str(won[0]).encode() * 10_000
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_disk_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    files = Files.at(tmp_path)
    files.create("a", b"1")
    with pytest.raises(FileExistsError):
        files.create("a", b"2")
    assert files.read("a") == b"1"


def test_workers_write_to_a_bucket(tmp_path: Path) -> None:
    url = f"memory://{uuid.uuid4().hex}/x"
    sample = Sample("k", {"a": Blob.of(b"body")})
    from mmdata.core.ports import Encoded

    with ShardWriter(url, shard="a" * 16, fp="b" * 16, source="src") as writer:
        writer.add(sample, {"a": Encoded(Blob.of(b"body"), "bin", Blob.of(b"body"))}, pointers={})
        [file] = writer.close()
    [back] = read.samples(Files.at(url), file)
    assert back.parts["a"].data() == b"body"  # type: ignore[union-attr]
    assert Files.at(url).measure(file.path) == (file.size_bytes, file.digest)


def test_parts_can_be_sent_to_another_process(filled: Made) -> None:
    sample = pickle.loads(pickle.dumps(filled.store.sample("src/1/3.png")))
    assert sample.parts["image"].data() == bytes([3]) * 103


def test_a_cut_tar_is_unreadable_not_wrong(filled: Made) -> None:
    file: DataFile = filled.store.files("samples")[0]
    assert file.media is not None
    path = Path(filled.url) / file.media.path
    path.write_bytes(path.read_bytes()[:1_000])
    with pytest.raises(Unreadable):
        filled.store.sample("src/0/4.png").parts["image"].data()


@pytest.mark.parametrize("name", ["with space", "100%", "é字", "a#b?c"])
def test_a_store_may_lie_in_a_folder_of_any_name(filled: Made, tmp_path: Path, name: str) -> None:
    there = tmp_path / name / "store"
    there.parent.mkdir()
    os.rename(filled.url, there)
    moved = type(filled)(str(there), filled.keys)
    assert len(Store.open(there)) == 15
    moved.commit(*moved.samples(4), remove=Store.open(there).files("samples")[:1])
    assert Store.open(there).keys()[-1] == "src/4/4.png"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_path_that_deltalake_would_take_for_another_is_refused(tmp_path: Path) -> None:
    there = tmp_path / "p%20q"
    with pytest.raises(StoreError, match=r"p%20q.*rename"):
        Store.create(there)
    with pytest.raises(StoreError, match=r"p%20q.*rename"):
        Store.open(there)
    assert list(tmp_path.iterdir()) == []


def test_a_relative_path_is_a_store_too(filled: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(filled.url).parent)
    store = Store.open("store")
    assert len(store.arrays("speech.mfcc")) == 15
    filled.url = "store"
    filled.commit(*filled.samples(4))
    assert len(Store.open("store")) == 20


@pytest.mark.parametrize(
    ("offset", "whence", "size", "found"), [(0, 0, 3, b"012"), (-3, 2, -1, b"789"), (12, 0, 5, b"")]
)
def test_a_remote_file_of_known_size_fetches_what_is_read(offset: int, whence: int, size: int, found: bytes) -> None:
    files = Files.at(f"memory://{uuid.uuid4().hex}")
    files.create("a", b"0123456789")
    with files.open("a", 10) as opened:
        assert opened.seek(offset, whence) == opened.tell()
        assert opened.read(size) == found
