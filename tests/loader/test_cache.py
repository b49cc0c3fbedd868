"""Copies on this machine: whole or not there, no more than allowed, and the same batches with them as without."""

from __future__ import annotations

import fcntl
import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmdata.errors import ConfigError, StoreError
from mmdata.loader import cache as cache_module
from mmdata.loader.cache import Cache, Wanted
from mmdata.loader.rows import rows
from mmdata.loader.stream import stream
from mmdata.store import Store
from mmdata.store.files import Files, new_hash
from tests.loader.conftest import array_of, make

COLUMNS = ["image.embedding", "speech.mfcc", "image.sharpness", "label"]
SIZES = (20, 3, 25, 9)


def batches(store: Store, cache: Cache | Path | None, **settings: Any) -> list[dict[str, Any]]:
    return list(stream(store, COLUMNS, batch_size=8, seed=3, tail="short", cache=cache, **settings))


def assert_same(made: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert len(made) == len(expected) > 0
    for one, other in zip(made, expected, strict=True):
        assert one.keys() == other.keys()
        for name, values in one.items():
            np.testing.assert_array_equal(values, other[name])


def copies_in(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in (folder / "copies").iterdir()}


def data_files(store: Store) -> list[Path]:
    return [Path(store.url) / file.path for shard in store.view().shards for file in shard.features.values()]


@dataclass(frozen=True)
class Place:
    """Files of random bytes, and what is to be known of each."""

    files: Files
    wanted: list[Wanted]


def place(folder: Path, *sizes: int) -> Place:
    folder.mkdir(parents=True, exist_ok=True)
    wanted = []
    for number, size in enumerate(sizes):
        data = np.random.default_rng(number + size).bytes(size)
        (folder / f"{number}.bin").write_bytes(data)
        digest = new_hash()
        digest.update(data)
        wanted.append(Wanted(f"{number}.bin", size, digest.hexdigest()))
    return Place(Files.at(folder), wanted)


def prepared(folder: Path, max_bytes: int = 1 << 20) -> Cache:
    cache = Cache(folder, max_bytes)
    cache.prepare()
    return cache


def test_the_batches_are_the_same_and_the_store_is_needed_once(small: Store, tmp_path: Path) -> None:
    expected = batches(small, None)
    assert_same(batches(small, tmp_path / "cache"), expected)
    kept = copies_in(tmp_path / "cache")
    assert sorted(kept.values()) == sorted(file.size_bytes for file in small.view().files())
    away = make(tmp_path / "away", SIZES)
    through = stream(away, COLUMNS, batch_size=8, seed=3, tail="short", cache=tmp_path / "other")
    list(through)
    for path in data_files(away):
        path.unlink()
    through.seek(epoch=0)
    assert_same(list(through), expected)


@pytest.mark.parametrize("max_bytes", [0, 1 << 30])
def test_rows_by_number_are_read_through_it_too(small: Store, tmp_path: Path, max_bytes: int) -> None:
    wanted = [56, 0, 3, 21, 3]
    expected = rows(small, COLUMNS)[wanted]
    assert_same([rows(small, COLUMNS, max_bytes=max_bytes, cache=tmp_path)[wanted]], [expected])
    assert len(copies_in(tmp_path)) > 0


def test_a_file_whose_bytes_changed_is_named_and_never_kept(tmp_path: Path) -> None:
    store = make(tmp_path / "store", SIZES)
    path = data_files(store)[0]
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 1
    path.write_bytes(changed)
    with pytest.raises(StoreError, match=rf"{path.name} has the digest \w+, the log says .*mmdata verify"):
        batches(store, tmp_path / "cache")
    assert list((tmp_path / "cache" / "parts").iterdir()) == []
    for copy in (tmp_path / "cache" / "copies").iterdir():
        assert copy.read_bytes() != changed


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 10)


@pytest.mark.parametrize(
    ("damage", "with_cache", "message"),
    [
        (cut, False, "has .* bytes, the log says .*: it was cut or replaced; put the right one back"),
        (cut, True, "it was cut"),
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), False, "has .* bytes, the log says"),
        (Path.unlink, False, "is gone: put it back"),
        (Path.unlink, True, "is gone: put it back"),
    ],
)
def test_damage_is_named_with_what_to_do(
    tmp_path: Path, damage: Callable[[Path], object], with_cache: bool, message: str
) -> None:
    store = make(tmp_path / "store", SIZES)
    path = data_files(store)[-1]
    damage(path)
    with pytest.raises(StoreError, match=message) as caught:
        batches(store, tmp_path / "cache" if with_cache else None)
    assert path.name in str(caught.value)
    assert f"mmdata verify {store.url}" in str(caught.value)


def test_the_copy_that_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    there, cache = place(tmp_path / "there", 400, 400, 400, 900), prepared(tmp_path / "cache", 1000)
    first, second, third, large = there.wanted
    paths = {}
    for wanted in (first, second, first, third):  # the second is the oldest now
        time.sleep(0.01)
        paths[wanted.path] = cache.copy(there.files, wanted)
    assert paths[first.path] is not None
    assert Path(paths[first.path] or "").exists()
    assert not Path(paths[second.path] or "").exists()
    assert Path(paths[third.path] or "").read_bytes() == (tmp_path / "there" / "2.bin").read_bytes()
    with open(paths[first.path] or "", "rb") as opened:
        cache.copy(there.files, large)
        assert list(copies_in(tmp_path / "cache").values()) == [900]
        assert len(opened.read()) == 400  # who has it open keeps it
    assert cache.copy(there.files, Wanted("0.bin", 1001, "x")) is None  # larger than all of the cache


def test_a_store_that_does_not_fit_is_copied_in_part_and_not_over_and_over(
    small: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    read_range = Files.read_range

    def recorded(self: Files, path: str, offset: int, length: int) -> bytes:
        fetched.append(path)
        return read_range(self, path, offset, length)

    total = sum(file.size_bytes for file in small.view().files())
    cache = Cache(tmp_path, total // 2)
    expected = batches(small, None)
    monkeypatch.setattr(Files, "read_range", recorded)
    assert_same(batches(small, cache), expected)
    assert 0 < sum(copies_in(tmp_path).values()) <= total // 2
    assert len(fetched) == len(copies_in(tmp_path))
    assert_same(batches(small, cache), expected)
    assert len(fetched) == len(copies_in(tmp_path))  # nothing more
    assert caplog.messages == []


def test_equal_names_in_two_stores_are_told_apart(tmp_path: Path) -> None:
    cache = prepared(tmp_path / "cache")
    for name, sizes in (("a", (10,)), ("b", (11,)), ("c", (10,))):
        there = place(tmp_path / name, *sizes)
        copy = cache.copy(there.files, there.wanted[0])
        assert Path(copy or "").read_bytes() == (tmp_path / name / "0.bin").read_bytes()
    assert len(copies_in(tmp_path / "cache")) == 3


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB of its own."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mounted)]
    done = subprocess.run(mount, check=False, capture_output=True)
    if done.returncode:
        pytest.skip(f"no disk of its own can be mounted here: {done.stderr.decode().strip()}")
    yield mounted
    subprocess.run(["umount", "-l", str(mounted)], check=True)


def test_a_full_disk_is_a_warning_and_reading_goes_on(toy: Store, disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        made = batches(toy, disk / "cache")
    assert_same(made, batches(toy, None))
    assert caplog.messages
    for message in caplog.messages:  # again after a while, and once by each thread that was at it
        assert f"cache={disk}/cache" in message
        assert "its disk is full" in message
        assert "make room, or give the cache a smaller max_bytes" in message
    assert list((disk / "cache" / "parts").iterdir()) == []


def test_a_folder_that_can_t_be_made_is_a_fault_of_the_setting(small: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cache: .*file/cache can't be used"):
        stream(small, COLUMNS, cache=tmp_path / "file" / "cache")
    with pytest.raises(ConfigError, match="cache: max_bytes: must be a number of bytes, at least 1, not 0"):
        stream(small, COLUMNS, cache=Cache(tmp_path, 0))


@dataclass(frozen=True)
class Counted(Files):
    """Counts what is fetched in a file, and waits for another before it goes on."""

    log: str = ""
    until: str = ""

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        with open(self.log, "a") as log:
            log.write(f"{path}\n")
        while self.until and not os.path.exists(self.until):
            time.sleep(0.01)
        return super().read_range(path, offset, length)


def fetch(cache: Cache, files: Files, wanted: Wanted) -> None:
    cache.copy(files, wanted)


def test_of_many_who_want_a_file_one_fetches_it(tmp_path: Path) -> None:
    there, cache = place(tmp_path / "there", 5000), prepared(tmp_path / "cache")
    files = Counted(there.files.url, log=str(tmp_path / "log"), until=str(tmp_path / "go"))
    context = multiprocessing.get_context("fork")
    others = [context.Process(target=fetch, args=(cache, files, there.wanted[0])) for _ in range(2)]
    for other in others:
        other.start()
    with ThreadPoolExecutor(3) as threads:
        mine = [threads.submit(cache.copy, files, there.wanted[0]) for _ in range(3)]
        while not (tmp_path / "log").exists():
            time.sleep(0.01)
        (tmp_path / "go").touch()
        assert len({future.result() for future in mine}) == 1
    for other in others:
        other.join()
        assert other.exitcode == 0
    assert (tmp_path / "log").read_text() == "0.bin\n"
    assert list((tmp_path / "cache" / "parts").iterdir()) == []


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    there, cache = place(tmp_path / "there", 5000, 300), prepared(tmp_path / "cache", 5200)
    hanging = Counted(there.files.url, log=str(tmp_path / "log"), until=str(tmp_path / "never"))
    killed = multiprocessing.get_context("fork").Process(target=fetch, args=(cache, hanging, there.wanted[0]))
    killed.start()
    while not (tmp_path / "log").exists():
        time.sleep(0.01)
    assert [path.stat().st_size for path in (tmp_path / "cache" / "parts").iterdir()] == [5000]  # set aside
    os.kill(killed.pid or 0, signal.SIGKILL)
    killed.join()
    assert copies_in(tmp_path / "cache") == {}
    assert cache.copy(there.files, there.wanted[1]) is not None  # sweeps the other's part
    assert list((tmp_path / "cache" / "parts").iterdir()) == []
    copy = cache.copy(there.files, there.wanted[0])
    assert Path(copy or "").read_bytes() == (tmp_path / "there" / "0.bin").read_bytes()


def test_a_copy_that_is_cut_short_by_a_crash_is_fetched_again(tmp_path: Path) -> None:
    there, cache = place(tmp_path / "there", 500), prepared(tmp_path / "cache")
    copy = cache.copy(there.files, there.wanted[0]) or ""
    os.truncate(copy, 100)
    assert cache.copy(there.files, there.wanted[0]) == copy
    assert os.path.getsize(copy) == 500


def test_who_waits_for_too_long_reads_where_the_file_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    there, cache = place(tmp_path / "there", 500), prepared(tmp_path / "cache")
    copy = Path(cache.copy(there.files, there.wanted[0]) or "")
    copy.unlink()
    monkeypatch.setattr(cache_module, "WAIT_S", 0.2)
    with (tmp_path / "cache" / "parts" / copy.name).open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert cache.copy(there.files, there.wanted[0]) is None
    assert "another process fetches it for too long" in caplog.text
    assert cache.copy(there.files, there.wanted[0]) == str(copy)


def test_a_part_that_is_swept_before_its_lock_is_taken_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    there, cache = place(tmp_path / "there", 500), prepared(tmp_path / "cache")
    take = cache_module._take
    swept: list[Path] = []

    def swept_first(fd: int) -> bool:
        if not swept:
            swept.extend((tmp_path / "cache" / "parts").iterdir())
            swept[0].unlink()
        return take(fd)

    monkeypatch.setattr(cache_module, "_take", swept_first)
    copy = cache.copy(there.files, there.wanted[0])
    assert Path(copy or "").read_bytes() == (tmp_path / "there" / "0.bin").read_bytes()
    assert caplog.messages == []


def test_an_interrupted_fetch_leaves_nothing(tmp_path: Path) -> None:
    there, cache = place(tmp_path / "there", 500), prepared(tmp_path / "cache")
    os.truncate(tmp_path / "there" / "0.bin", 200)
    with pytest.raises(Exception, match=r"0\.bin ends at 200"):
        cache.copy(there.files, there.wanted[0])
    assert copies_in(tmp_path / "cache") == {}
    assert list((tmp_path / "cache" / "parts").iterdir()) == []


def keys_of(made: Any, ended: Any, found: Any) -> None:
    found.put([batch["key"] for batch in made])
    ended.wait(120)


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_stream_that_is_under_way_can_be_taken_to_another_process(small: Store, tmp_path: Path, start: str) -> None:
    made = stream(small, COLUMNS, batch_size=8, seed=3, tail="short", cache=tmp_path / "cache")
    going = iter(made)
    first = next(going)["key"]  # threads of this process are reading
    context: Any = multiprocessing.get_context(start)
    found, ended = context.Queue(), context.Event()
    other = context.Process(target=keys_of, args=(made, ended, found))
    other.start()
    there = found.get(timeout=120)
    ended.set()
    rest = [batch["key"] for batch in going]
    other.join(120)
    assert other.exitcode == 0
    assert there == rest
    assert [first, *rest] == [batch["key"] for batch in batches(small, None)]


def test_a_link_in_the_folder_is_not_written_through(tmp_path: Path) -> None:
    one, folder, other = place(tmp_path / "store", 100), tmp_path / "cache", tmp_path / "other"
    name = Path(str(prepared(folder).copy(one.files, one.wanted[0]))).name
    (folder / "copies" / name).unlink()
    other.write_bytes(b"precious")
    (folder / "parts" / name).symlink_to(other)
    assert prepared(folder).copy(one.files, one.wanted[0]) is None  # it is read where it lies
    assert other.read_bytes() == b"precious"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files can't be listed here")
def test_windows_of_many_small_copies_keep_few_files_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmdata.loader.reader.FILES_KEPT", 2)
    store = make(tmp_path / "store", [2] * 20)
    cache = (tmp_path / "cache").resolve()
    for batch in stream(store, ["image.embedding"], batch_size=10, cache=cache):  # one window of all shards
        open_now = [path for path in Path("/proc/self/fd").iterdir() if str(cache) in str(path.resolve())]
        assert len(open_now) <= 2
        for key, vector in zip(batch["key"], batch["image.embedding"], strict=True):
            expected = array_of("image.embedding", int(key[4:10]))
            assert vector.tolist() == ([0] * 4 if expected is None else expected.tolist())


@pytest.mark.s3
@pytest.mark.slow
def test_a_bucket_is_read_once_by_all_processes_of_a_machine(
    small: Store, tmp_path: Path, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3.bucket()
    remote = Files.at(f"{bucket}/store", s3.options)
    for path in sorted(Path(small.url).rglob("*")):
        if path.is_file():
            remote.replace(path.relative_to(small.url).as_posix(), path.read_bytes())
    store = Store.open(f"{bucket}/store", storage_options=s3.options)
    expected = batches(small, None)
    n_files = len(list(store.view().files()))
    before = s3.requests()["GET"]
    made = stream(store, COLUMNS, batch_size=8, seed=3, tail="short", cache=tmp_path / "cache")
    opened = s3.requests()["GET"]
    context: Any = multiprocessing.get_context("fork")  # after this process has talked to the server
    found, ended = context.Queue(), context.Event()
    ended.set()
    other = context.Process(target=keys_of, args=(made, ended, found))
    other.start()
    there = found.get(timeout=120)
    assert_same(list(made), expected)
    other.join(120)
    assert there == [batch["key"] for batch in expected]
    assert opened >= before
    if s3.log is not None:
        assert s3.requests()["GET"] - opened == n_files
    assert_same(batches(store, None), expected)  # and by ranges, without a cache
    shutil.rmtree(tmp_path / "cache")


def test_a_file_in_the_place_of_the_folder_is_named(small: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "a" / "b"):
        with pytest.raises(ConfigError) as error:
            stream(small, COLUMNS, cache=folder)
        told = f"cache: {folder} can't be used: {tmp_path / 'file'} is a file, name a folder"
        assert error.value.faults == (told,)


def test_a_folder_in_the_store_or_around_it_is_refused(make_store: Callable[..., Store], tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", (5,))
    (tmp_path / "link").symlink_to(tmp_path / "store")
    before = sorted(tmp_path.rglob("*"))
    for folder, where in (
        (tmp_path / "store" / "cache", "lies in"),
        (tmp_path / "link" / "deep" / "cache", "lies in"),
        (tmp_path / "store", "is"),
        (tmp_path, "holds"),
    ):
        with pytest.raises(ConfigError, match=f"{folder} {where} the store"):
            stream(store, COLUMNS, cache=folder)
    assert sorted(tmp_path.rglob("*")) == before
    assert list(stream(store, COLUMNS, batch_size=2, cache=tmp_path / "store-cache"))  # a name that begins alike


def test_many_copies_come_without_a_look_at_those_that_are_there(
    small: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    listed = cache_module._listed

    def counted(folder: Path) -> list[Any]:
        found = listed(folder)
        looked.append(len(found))
        return found

    monkeypatch.setattr(cache_module, "_listed", counted)
    cache = Cache(tmp_path / "cache", max_bytes=1_000_000)
    cache.prepare()
    files, wanted = sources(tmp_path, 200)
    for one in wanted:
        assert cache.copy(files, one)
    assert len(list((tmp_path / "cache" / "copies").iterdir())) == 200
    assert sum(looked) < 600  # each of its own part, and not all copies each time


def test_where_many_are_evicted_a_sixteenth_goes_at_once(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", max_bytes=64 * 100)
    cache.prepare()
    files, wanted = sources(tmp_path, 100)
    copies = tmp_path / "cache" / "copies"
    for number, one in enumerate(wanted):
        path = cache.copy(files, one)
        assert path is not None
        os.utime(path, ns=(number, number))  # in order of their use
        n_bytes = sum(each.stat().st_size for each in copies.iterdir())
        assert n_bytes <= 64 * 100
        if number >= 64:
            assert n_bytes >= 60 * 100
    kept = {each.read_bytes() for each in copies.iterdir()}
    assert content(99) in kept
    assert content(0) not in kept


def test_a_note_that_is_damaged_or_too_high_only_costs_a_look(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", max_bytes=1_000)
    cache.prepare()
    files, wanted = sources(tmp_path, 12)
    for number, note in enumerate((b"", b"no number", b"9" * 32, b"-5")):
        (tmp_path / "cache" / "lock").write_bytes(note)
        assert cache.copy(files, wanted[number])
    for one in wanted:
        assert cache.copy(files, one)
    copies = list((tmp_path / "cache" / "copies").iterdir())
    assert sum(each.stat().st_size for each in copies) <= 1_000
    assert len(copies) == 10


def content(number: int) -> bytes:
    return f"{number:04d}".encode() * 25


def sources(folder: Path, count: int) -> tuple[Files, list[Wanted]]:
    """Files of 100 bytes."""
    place = folder / "far"
    place.mkdir()
    for number in range(count):
        (place / f"{number}").write_bytes(content(number))
    files = Files.at(str(place))
    return files, [Wanted(f"{number}", *files.measure(f"{number}")) for number in range(count)]
