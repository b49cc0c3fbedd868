"""Copies of a store's files on a disk of this machine: bounded, whole or not there, and shared by its processes.

    FOLDER/copies/NAME   whole, checked against its digest, never written to again; its time is that of its last use
    FOLDER/parts/NAME    being fetched by the process that holds its lock; without a lock, left by one that was killed
    FOLDER/lock          held while room is made; notes how many bytes there are at most

A copy's name is a hash of the file's full URL, size and digest: a changed file is another one, and equal names in two
stores are told apart. Of many processes that want a file one fetches it, the others wait. Nothing needs to be running
to clean up: locks end with their process, and what has no lock is swept by the next who needs room.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmdata.errors import ConfigError, StoreError
from mmdata.loader.bounds import n_bytes

if TYPE_CHECKING:
    from mmdata.store.files import Files

log = logging.getLogger(__name__)

GIB = 1 << 30
BLOCK_BYTES = 8 << 20
SIDE_BY_SIDE = 4  # blocks of a file that are fetched at once
WAIT_S = 300.0  # for another process that fetches the same file; after that it is read where it lies
LOOK_EVERY_S = 0.05
SPARED_SHARE = 16  # of many copies, a sixteenth goes at once
FULL_FOR_S = 60.0  # how long a full disk is left alone
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True)
class Wanted:
    """A file of a store: its path there, and what the log says of it."""

    path: str
    size_bytes: int
    digest: str


class Cache:
    """A folder of copies. Safe to use from threads and processes; can be sent to another process.

    Args:
        folder: on a disk of this machine, for nothing else; is made where it is missing.
        max_bytes: bound of all copies together; the one whose last use is longest ago goes first.
    """

    def __init__(self, folder: str | os.PathLike[str], max_bytes: int = 64 * GIB) -> None:
        self.folder = Path(os.path.abspath(os.fspath(folder)))
        self.max_bytes = max_bytes
        self._full_until = 0.0

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_full_until": 0.0}

    def prepare(self) -> None:
        """Make the folder. Raises ConfigError when that can't be, or nothing can be written there."""
        n_bytes("cache: max_bytes", self.max_bytes)
        for place in (self.folder, *self.folder.parents):
            if place.exists() and not place.is_dir():
                raise ConfigError("stream", [f"cache: {self.folder} can't be used: {place} is a file, name a folder"])
        try:
            for name in ("copies", "parts"):
                (self.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(self.folder / "lock", "ab"):
                return
        except OSError as error:
            if error.errno not in _FULL:
                why = f"{error.strerror or error} ({error.filename})" if error.filename else str(error)
                raise ConfigError("stream", [f"cache: {self.folder} can't be used: {why}"]) from error

    def check_apart(self, store: str) -> None:
        """See that the folder and a store on this machine are not within each other. Raises ConfigError if they are."""
        cache, place = os.path.realpath(self.folder), os.path.realpath(store)
        if os.path.commonpath([cache, place]) in (cache, place):
            where = "is" if cache == place else "lies in" if cache.startswith(place) else "holds"
            raise ConfigError(
                "stream", [f"cache: {self.folder} {where} the store {store}: name a folder for the cache alone"]
            )

    def copy(self, files: Files, wanted: Wanted) -> str | None:
        """The path of a copy, fetched now where there is none; None where the file is to be read where it lies.

        A copy may be mapped into memory: it is never changed, and one that is evicted stays for those who opened it.

        Raises:
            StoreError: the file is not what the log says.
            OSError, DataError: it can't be read.
        """
        name = hashlib.blake2b(
            "\x00".join((files.uri(wanted.path), str(wanted.size_bytes), wanted.digest)).encode(), digest_size=16
        ).hexdigest()
        copy = self.folder / "copies" / name
        if self._is_there(copy, wanted.size_bytes):
            return str(copy)
        if wanted.size_bytes > self.max_bytes or time.monotonic() < self._full_until:
            return None
        try:
            return self._fetched(files, wanted, copy)
        except _Disk as error:
            self._left_alone(files, error.error)
            return None

    def _is_there(self, copy: Path, size_bytes: int) -> bool:
        try:
            if copy.stat().st_size == size_bytes:
                os.utime(copy)
                return True
            copy.unlink()  # the machine went down while it was written
        except OSError:
            return False
        return False

    def _left_alone(self, files: Files, error: OSError) -> None:
        self._full_until = time.monotonic() + FULL_FOR_S
        what = "its disk is full" if error.errno in _FULL else "it can't be used"
        log.warning(
            "cache=%s store=%s: %s (%s); files are read where they lie meanwhile: make room, or give the cache a "
            "smaller max_bytes than %d",
            self.folder,
            files.url,
            what,
            error,
            self.max_bytes,
        )

    def _fetched(self, files: Files, wanted: Wanted, copy: Path) -> str | None:
        part = self.folder / "parts" / copy.name
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            with _disk():
                fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)  # no other's file
            try:
                if _take(fd) and _is_same(fd, part):
                    if not self._is_there(copy, wanted.size_bytes):
                        self._fetch(files, wanted, fd, part, copy)
                    else:
                        part.unlink(missing_ok=True)
                    return str(copy)
            finally:
                _release(fd)
            if self._is_there(copy, wanted.size_bytes):
                return str(copy)
            time.sleep(LOOK_EVERY_S)
        log.warning("cache=%s file=%s/%s: another process fetches it for too long", self.folder, files.url, wanted.path)
        return None

    def _fetch(self, files: Files, wanted: Wanted, fd: int, part: Path, copy: Path) -> None:
        """Fill a part that is ours, and give it its name."""
        from mmdata.store.files import new_hash

        digest = new_hash()
        try:
            with _disk():
                os.ftruncate(fd, 0)
                self._make_room(fd, wanted.size_bytes)
            at = 0
            for block in _blocks(files, wanted):
                digest.update(block)
                with _disk():
                    _write(fd, block, at)
                at += len(block)
            if digest.hexdigest() != wanted.digest:
                raise StoreError(
                    f"{files.url}/{wanted.path} has the digest {digest.hexdigest()}, the log says {wanted.digest}: its "
                    f"bytes changed; `mmdata verify {files.url}` checks all files"
                )
            with _disk():
                os.fsync(fd)  # or a machine that goes down may leave zeros under the copy's name
                os.replace(part, copy)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise

    def _make_room(self, fd: int, size_bytes: int) -> None:
        """Sweep what was left, evict copies until so many bytes fit, and set them aside for a part."""
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            until = time.monotonic() + 10.0
            while not (is_mine := _take(lock)) and time.monotonic() < until:
                time.sleep(LOOK_EVERY_S / 10)
            self._sweep()
            used = _noted(lock)
            if used is None or used + size_bytes > self.max_bytes:
                used = self._evict(size_bytes)
            _note(lock, used + size_bytes if is_mine else None)
            if size_bytes and hasattr(os, "posix_fallocate"):  # not on macOS: there a full disk shows later
                os.posix_fallocate(fd, 0, size_bytes)
        finally:
            _release(lock)

    def _evict(self, size_bytes: int) -> int:
        """Delete the copies whose last use is longest ago until so many bytes fit; how many are left."""
        copies = sorted(_listed(self.folder / "copies"), key=lambda entry: entry[1].st_mtime_ns)
        used = sum(stat.st_size for _, stat in [*copies, *_listed(self.folder / "parts")])
        spared = len(copies) // SPARED_SHARE  # more than is needed, or each file that comes would look at all of them
        for number, (path, stat) in enumerate(copies):
            if used + size_bytes <= self.max_bytes and (number == 0 or number >= spared):
                break
            path.unlink(missing_ok=True)
            used -= stat.st_size
        return used

    def _sweep(self) -> None:
        """Delete the parts of processes that were killed."""
        for path, _ in _listed(self.folder / "parts"):
            with suppress(OSError):
                fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                try:
                    if _take(fd) and _is_same(fd, path):
                        path.unlink()
                finally:
                    _release(fd)


@dataclass(frozen=True, eq=False)
class Copies:
    """One store's files through a cache, or without.

    Args:
        files: the store's folder.
        cache: where copies are; None for none.
        left_out: paths that are read where they lie.
    """

    files: Files
    cache: Cache | None = None
    left_out: frozenset[str] = frozenset()

    def path(self, wanted: Wanted) -> str | None:
        """The path of a copy on this machine, or None: as `Cache.copy`."""
        if self.cache is None or wanted.path in self.left_out:
            return None
        return self.cache.copy(self.files, wanted)


def copies(files: Files, cache: Cache | None, wanted: Callable[[], Iterable[Wanted]]) -> Copies:
    """Copies of the files that a stream reads, epoch after epoch.

    Where they can't all fit, some stay and the others are never copied: evicting each of them before it is wanted again
    would be the fetching of all of them, each time.
    """
    if cache is None:
        return Copies(files)
    each = {one.path: one for one in wanted()}
    left_out, used = set(), 0
    if sum(one.size_bytes for one in each.values()) > cache.max_bytes:
        for one in sorted(each.values(), key=lambda one: one.digest):  # the same ones in every process
            if used + one.size_bytes > cache.max_bytes:
                left_out.add(one.path)
            else:
                used += one.size_bytes
    return Copies(files, cache, frozenset(left_out))


class _Disk(Exception):
    """What a disk of this machine refused, told apart from what a store's did."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _Disk(error) from error


def _noted(lock: int) -> int | None:
    """How many bytes there are at most, as it was noted in the lock's file; None where nothing was.

    What was deleted since, or never came, makes it too much, and then the folder is looked at. Copies come only with a
    note, so that it is never too little.
    """
    text = os.pread(lock, 32, 0)
    return int(text) if text.isdigit() else None


def _note(lock: int, used: int | None) -> None:
    if used is None:
        os.ftruncate(lock, 0)
    else:
        os.pwrite(lock, f"{used:032d}".encode(), 0)


def _take(fd: int) -> bool:
    """Lock a file unless another has; for all file systems that can't lock, nobody has."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _release(fd: int) -> None:
    with suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_UN)  # a forked child may hold the same open file
    os.close(fd)


def _is_same(fd: int, path: Path) -> bool:
    """Whether a name still stands for an open file."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except OSError:
        return False


def _listed(folder: Path) -> list[tuple[Path, os.stat_result]]:
    found = []
    for path in folder.iterdir():
        with suppress(OSError):  # gone meanwhile
            found.append((path, path.stat()))
    return found


def _write(fd: int, block: bytes, at: int) -> None:
    rest = memoryview(block)
    while rest:
        n = os.pwrite(fd, rest, at)
        rest, at = rest[n:], at + n


def _blocks(files: Files, wanted: Wanted) -> Iterator[bytes]:
    """A file's bytes in order; some are fetched ahead."""
    offsets = deque(range(0, wanted.size_bytes, BLOCK_BYTES))

    def block(offset: int) -> bytes:
        return files.read_range(wanted.path, offset, min(BLOCK_BYTES, wanted.size_bytes - offset))

    with ThreadPoolExecutor(SIDE_BY_SIDE, "mmdata-fetch") as threads:
        coming: deque[Future[bytes]] = deque()
        try:
            while offsets or coming:
                while offsets and len(coming) < SIDE_BY_SIDE:
                    coming.append(threads.submit(block, offsets.popleft()))
                yield coming.popleft().result()
        finally:
            for future in coming:
                future.cancel()
