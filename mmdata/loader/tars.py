"""Reading media of a store: ranges of its tars, by `pread` where they are local and by requests where they are not.

What can't be read is tried again with growing pauses, and raised after that: it is no sample's fault, and another
sample in its place would hide that data are gone.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakSet

from mmdata.core.sample import Pointer
from mmdata.errors import StoreError, Unreachable, Unreadable
from mmdata.loader.cache import Copies, Wanted

if TYPE_CHECKING:
    from mmdata.store.files import Files
    from mmdata.store.layout import Media

FILES_KEPT = 128  # open, by all of this process; with those of features well below the usual limit of 1,024
PAUSES_S = (0.1, 0.5, 2.0)  # before each further try
BLOCK_BYTES = 4 << 20
_reading: WeakSet[MediaFiles] = WeakSet()

Fetch = Callable[[Pointer], bytes]


@dataclass(frozen=True)
class Place:
    """Where the bytes of a part lie.

    Args:
        key: the sample's. part: its name.
        tar: the store's file; "" where the store only points to the source.
        offset, length: of the bytes in the tar.
        pointer: where they lie in the source.
        digest: of the bytes; "" where none was recorded.
    """

    key: str
    part: str
    tar: str
    offset: int
    length: int
    pointer: str = ""
    digest: str = ""


class _OpenTar:
    """A descriptor, and how many threads are reading from it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.users = 0


class MediaFiles:
    """Reads parts of one store. Safe to use from several threads; keeps local tars open.

    Args:
        files: the store's folder.
        tars: by path, what the log says of each.
        check_digests: read each local tar once before its first part is used, and compare it with the log.
        fetch: reads what the store only points to.
        copies: where copies of remote tars are on this machine.
    """

    def __init__(
        self,
        files: Files,
        tars: Mapping[str, Media],
        *,
        check_digests: bool = False,
        fetch: Fetch | None = None,
        copies: Copies | None = None,
    ) -> None:
        self._files, self._tars, self._check_digests, self._fetch = files, tars, check_digests, fetch
        self._copies = copies
        self._open: OrderedDict[str, _OpenTar] = OrderedDict()
        self._checked: set[str] = set()
        self._lock = Lock()
        self.is_local = files.is_local
        _reading.add(self)

    def is_quick(self, place: Place) -> bool:
        """Whether its bytes are on this machine: then nothing is gained by fetching them ahead."""
        return self.is_local and bool(place.tar)

    def read(self, place: Place) -> bytes:
        """The bytes of a part.

        Raises:
            StoreError: they can't be had: the file is gone, was cut, or is another one.
            Unreachable: a server does not answer.
        """
        for pause_s in PAUSES_S:
            try:
                return self._read(place)
            except FileNotFoundError as error:
                raise self._explained(place, error) from error
            except (OSError, Unreadable) as error:
                if isinstance(error.__cause__, FileNotFoundError):
                    raise self._explained(place, error) from error
                time.sleep(pause_s)
        try:
            return self._read(place)
        except Unreachable:
            raise
        except (OSError, Unreadable) as error:
            raise self._explained(place, error) from error

    def _explained(self, place: Place, error: Exception) -> StoreError:
        url = self._files.url
        if not place.tar:
            return StoreError(
                f"{place.key!r}: part {place.part!r} is in its source only, not in {url}, and can't be read there: "
                f"{error}; put the source back, or ingest it again with its media kept"
            )
        what = "is gone" if isinstance(error, FileNotFoundError) else f"can't be read: {error}"
        return StoreError(
            f"{url}/{place.tar} {what}; `mmdata verify {url}` checks all files; if the store was compacted or "
            f"cleaned meanwhile, open it anew"
        )

    def _read(self, place: Place) -> bytes:
        if not place.tar:
            if self._fetch is None:
                raise StoreError(
                    f"{place.key!r}: part {place.part!r} is in its source only, not in {self._files.url}: give the "
                    f"stream `fetch`, a function that reads {place.pointer!r}"
                )
            return self._fetch(Pointer.parse(place.pointer))
        opened = self._take(place.tar)
        if opened is None:
            return self._files.read_range(place.tar, place.offset, place.length)
        try:
            data = os.pread(opened.fd, place.length, place.offset)
            while len(data) < place.length:  # one call gives 2 GiB at most
                more = os.pread(opened.fd, place.length - len(data), place.offset + len(data))
                if not more:
                    raise Unreadable(f"it ends at {place.offset + len(data)}, before {place.offset + place.length}")
                data += more
        finally:
            with self._lock:
                opened.users -= 1
        return data

    def _take(self, tar: str) -> _OpenTar | None:
        """An open tar, of which there is one more user now; None when it is not on this machine."""
        with self._lock:
            if (found := self._open.get(tar)) is not None:
                self._open.move_to_end(tar)
                found.users += 1
                return found
        path = self._path(tar)  # without the lock: who asks for a copy first waits until it is made
        if path is None:
            return None
        with self._lock:
            found = self._open.get(tar) or self._opening(tar, path)
            self._open[tar] = found
            found.users += 1
            self._close_surplus()
        return found

    def _path(self, tar: str) -> str | None:
        if self.is_local:
            return self._files.full(tar)
        known = self._tars.get(tar)
        if self._copies is None or known is None:
            return None
        return self._copies.path(Wanted(tar, known.size_bytes, known.digest))

    def _opening(self, tar: str, path: str) -> _OpenTar:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._check(tar, fd)
        except BaseException:
            os.close(fd)
            raise
        return _OpenTar(fd)

    def _check(self, tar: str, fd: int) -> None:
        known, url = self._tars.get(tar), self._files.url
        if known is None or tar in self._checked or not self.is_local:  # a copy was checked as it was made
            return
        size = os.fstat(fd).st_size
        fault = f"has {size} bytes, the log says {known.size_bytes}" if size != known.size_bytes else ""
        if not fault and self._check_digests and (digest := _digest(fd)) != known.digest:
            fault = f"has the digest {digest}, the log says {known.digest}: its bytes changed"
        if fault:
            raise StoreError(f"{url}/{tar} {fault}; `mmdata verify {url}` checks all files")
        self._checked.add(tar)

    def _close_surplus(self) -> None:
        for tar in [tar for tar, opened in self._open.items() if not opened.users]:
            if len(self._open) > max(1, FILES_KEPT // max(1, len(_reading))):
                os.close(self._open.pop(tar).fd)

    def close(self) -> None:
        """Close what is open; nobody may be reading."""
        _reading.discard(self)
        with self._lock:
            for opened in self._open.values():
                os.close(opened.fd)
            self._open.clear()


def _digest(fd: int) -> str:
    from mmdata.store.files import new_hash

    digest, at = new_hash(), 0
    while block := os.pread(fd, BLOCK_BYTES, at):
        digest.update(block)
        at += len(block)
    return digest.hexdigest()
