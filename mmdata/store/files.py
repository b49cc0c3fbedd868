"""The store's file system: the few operations that it needs, local or remote, over fsspec."""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO, Protocol, cast
from urllib.parse import unquote

from mmdata.core.storage import delta_options, open_place, told
from mmdata.errors import StoreError, Unreachable, Unreadable
from mmdata.store.layout import SCRATCH
from mmdata.store.ranges import Ranges

_TRIES = 5  # of a new file that another writer is busy with


class Hash(Protocol):
    """What xxhash's objects offer."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take in more bytes."""

    def hexdigest(self) -> str:
        """The digest of all bytes so far."""


def part_digest(data: bytes) -> str:
    """The digest of one part's bytes: xxh3-64, seed 0. At 20 kB it costs less than a system call."""
    import xxhash

    return str(xxhash.xxh3_64_hexdigest(data))


def new_hash() -> Hash:
    """The digest of the store's files: xxh3-128, seed 0."""
    import xxhash

    made: Hash = xxhash.xxh3_128()
    return made


@dataclass(frozen=True)
class Listed:
    """A file as a listing shows it: path relative to the store, bytes, and seconds since 1970 of its last change."""

    path: str
    size_bytes: int
    changed_s: float


@dataclass(frozen=True)
class Files:
    """A store's folder. Paths are relative to it, with '/'.

    Args:
        url: a local path, or anything that fsspec knows.
        options: storage options by the names of object stores' environment variables (AWS_ENDPOINT_URL, ...).
    """

    url: str
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # they may be secret

    @classmethod
    def at(cls, url: str | os.PathLike[str], options: Mapping[str, str] | None = None) -> Files:
        return cls(os.fspath(url), tuple(sorted((options or {}).items())))

    @property
    def _place(self) -> tuple[Any, str]:
        process, place = self.__dict__.get("_opened", (0, None))
        if process != os.getpid():  # clients of object stores work in the process that made them, and in no fork of it
            place = open_place(self.url, dict(self.options))
            self.__dict__["_opened"] = (os.getpid(), place)
        return cast(tuple[Any, str], place)

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url, "options": self.options}  # an open file system holds the environment's secrets, too

    def told(self, *, creating: bool = False) -> AbstractContextManager[None]:
        """Where requests are made: turns what goes wrong into errors of our own, as `core.storage.told` does."""
        return told(self.url, dict(self.options), creating=creating)

    @property
    def delta_options(self) -> dict[str, str] | None:
        """What deltalake is to be given for this place."""
        return delta_options(self.url, dict(self.options)) or None

    @property
    def is_local(self) -> bool:
        protocol = self._place[0].protocol
        return "file" in ((protocol,) if isinstance(protocol, str) else protocol)

    def full(self, path: str) -> str:
        """The path as the file system wants it."""
        return f"{self._place[1]}/{path}" if path else self._place[1]

    def uri(self, path: str) -> str:
        """The place of a Delta table as deltalake wants it."""
        return self.full(path) if self.is_local else str(self._place[0].unstrip_protocol(self.full(path)))

    def read(self, path: str) -> bytes:
        """A whole file. Raises FileNotFoundError when there is none."""
        system = self._place[0]
        whole = {"max_concurrency": 1} if "s3" in system.protocol else {}  # or s3fs asks for the size first
        with self.told():
            data: bytes = system.cat_file(self.full(path), **whole)
        return data

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        """Bytes [offset, offset + length). Raises Unreadable when they can't all be had."""
        try:
            data = self._range(path, offset, length)
        except Unreachable:  # it is not this file's fault
            raise
        except OSError as error:
            raise Unreadable(f"{self.url}/{path}: {error}") from error
        if len(data) != length:
            raise Unreadable(f"{self.url}/{path} ends at {offset + len(data)}, before {offset + length}: it was cut")
        return data

    def _range(self, path: str, offset: int, length: int) -> bytes:
        if not length:
            return b""
        if self.is_local:
            with open(self.full(path), "rb", buffering=0) as file:
                file.seek(offset)
                return file.read(length)
        with self.told():
            data: bytes = self._place[0].cat_file(self.full(path), start=offset, end=offset + length)
        return data

    def open(self, path: str, size_bytes: int | None = None) -> BinaryIO:
        """A file to read and seek in. Raises FileNotFoundError when there is none.

        Args:
            path: the file's.
            size_bytes: its extent, where that is known: from remote places exactly the ranges that are asked for are
                fetched then. Otherwise it is asked for, and large blocks are read ahead.
        """
        if size_bytes is not None and not self.is_local:
            return cast(BinaryIO, Ranges(partial(self._range, path), size_bytes))
        with self.told():
            opened: BinaryIO = self._place[0].open(self.full(path), "rb")
        return opened

    def exists(self, path: str) -> bool:
        with self.told():
            return bool(self._place[0].exists(self.full(path)))

    def listing(self, path: str) -> Iterator[Listed]:
        """The files straight within a folder, by name; none when there is no such folder."""
        system, root = self._place
        try:
            with self.told():
                found = system.ls(self.full(path), detail=True)
        except FileNotFoundError:
            return
        for entry in sorted(found, key=lambda entry: str(entry["name"])):
            if entry["type"] == "file":
                name = str(entry["name"]).removeprefix(f"{root}/")
                yield Listed(name, int(entry["size"]), _seconds(entry))

    def folders(self, path: str) -> list[str]:
        """The names of the folders straight within a folder."""
        try:
            with self.told():
                found = self._place[0].ls(self.full(path), detail=True)
        except FileNotFoundError:
            return []
        return sorted(str(entry["name"]).rstrip("/").rpartition("/")[2] for entry in found if entry["type"] != "file")

    def create(self, path: str, data: bytes) -> None:
        """Write a new file, whole or not at all.

        Of many who do so at once one succeeds, on object storage by a conditional put. There, a file with the very
        same bytes counts as written: the answer to a first attempt may have been lost.

        Raises:
            FileExistsError: there is one already.
        """
        try:
            self._write(path, data, new=True)
        except FileExistsError:
            if self.is_local or self.read(path) != data:
                raise

    def replace(self, path: str, data: bytes) -> None:
        """Write a file, whole or not at all, in place of the one that may be there."""
        self._write(path, data, new=False)

    def _write(self, path: str, data: bytes, *, new: bool) -> None:
        if not self.is_local:
            put = self._place[0].pipe_file
            if new:
                self._put_new(lambda: put(self.full(path), data, mode="create"))
                return
            with self.told():
                put(self.full(path), data)
            return
        scratch = self.scratch(path.rpartition("/")[2])
        try:
            with open(scratch, "wb") as file:
                file.write(data)
        except OSError:
            os.unlink(scratch)
            raise
        if not new:
            self._make_folder(path)
            os.replace(scratch, self.full(path))
        elif not self.adopt(scratch, path):
            raise FileExistsError(self.full(path))

    def _put_new(self, put: Callable[[], object]) -> None:
        """Do a conditional put; again while the server says that another one of the same name is being dealt with."""
        for attempt in range(_TRIES):
            time.sleep(0.2 * attempt)
            try:
                with self.told(creating=True):
                    put()
            except BlockingIOError:
                if attempt == _TRIES - 1:
                    raise
            else:
                return

    def scratch(self, name: str) -> str:
        """A local path of no other's, to be written and then adopted: on the store's own disk where that is local."""
        place = self.full(SCRATCH) if self.is_local else tempfile.gettempdir()
        os.makedirs(place, exist_ok=True)
        return os.path.join(place, f"{name}.{uuid.uuid4().hex}.part")

    def adopt(self, scratch: str, path: str, *, keep: bool = False) -> bool:
        """Give a finished scratch file its name, at once and whole; False when that name is taken.

        The scratch file is gone after, unless it is to be kept where the name is taken.
        """
        is_taken = False
        try:
            self._place_new(scratch, path)
        except FileExistsError:
            is_taken = True
        finally:
            if os.path.exists(scratch) and not (is_taken and keep):
                os.unlink(scratch)
        return not is_taken

    def _place_new(self, scratch: str, path: str) -> None:
        if not self.is_local:
            self._put_new(lambda: self._place[0].put_file(scratch, self.full(path), mode="create"))
            return
        self._make_folder(path)
        try:
            os.link(scratch, self.full(path))
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links: the last writer of two wins, and both wrote the same
            if os.path.exists(self.full(path)):
                raise FileExistsError(path) from None
            os.replace(scratch, self.full(path))

    def touch(self, path: str, same: str) -> None:
        """Make a file count as written now, so that it is not swept before it is committed; `same` has its bytes."""
        if self.is_local:
            os.utime(self.full(path))
        else:
            with self.told():
                self._place[0].put_file(same, self.full(path))

    def _make_folder(self, path: str) -> None:
        os.makedirs(os.path.dirname(self.full(path)), exist_ok=True)

    def delete(self, path: str) -> None:
        """Delete a file; one that is gone already is no error."""
        try:
            with self.told():
                self._place[0].rm_file(self.full(path))
        except FileNotFoundError:
            return

    def measure(self, path: str) -> tuple[int, str]:
        """Size in bytes and digest of a file as it is now. Raises FileNotFoundError when there is none."""
        digest, size = new_hash(), 0
        with self.open(path) as file, self.told():
            while block := file.read(1 << 20):
                digest.update(block)
                size += len(block)
        return size, digest.hexdigest()


def _seconds(entry: Mapping[str, Any]) -> float:
    changed = next((entry[name] for name in _CHANGED if entry.get(name) is not None), 0.0)
    return float(changed.timestamp() if hasattr(changed, "timestamp") else changed)


_CHANGED = ("mtime", "LastModified", "last_modified", "updated", "created")  # as file systems call it


class HashedFile:
    """A new local file that keeps count and digest of what is written to it: for pyarrow and for tars."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.size_bytes = 0
        self.closed = False
        self._hash = new_hash()
        # tars are written a header and a body at a time: a large buffer spares system calls
        self._file = open(path, "wb", buffering=1 << 18)  # noqa: SIM115  closed by close()

    def write(self, data: bytes | memoryview) -> int:
        written = self._file.write(data)
        self._hash.update(data)
        self.size_bytes += written
        return written

    def tell(self) -> int:
        return self.size_bytes

    def flush(self) -> None:
        """Nothing: the file counts only once it is closed and has its name."""

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._file.close()

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def discard(self) -> None:
        """Close and delete it."""
        with suppress(OSError):  # a full disk: what was not written yet is not wanted
            self.close()
        if os.path.exists(self.path):
            os.unlink(self.path)


def place(files: Files, file: HashedFile, folder: str, stem: str, extension: str) -> str:
    """Give a written file its final name, and say which that is.

    A file of that name with the same bytes (left by a killed run) is kept instead. One with other bytes (another
    version of a codec wrote it) is left alone, as a snapshot may pin it: the new one's digest is added to its name.
    """
    file.close()
    path = f"{folder}/{stem}.{extension}"
    if not (files.is_local and files.exists(path)) and files.adopt(file.path, path, keep=True):
        return path
    if files.measure(path) != (file.size_bytes, file.digest):
        path = f"{folder}/{stem}-{file.digest[:12]}.{extension}"
        files.adopt(file.path, path)
    else:
        files.touch(path, file.path)
        file.discard()
    return path


def usable(files: Files) -> Files:
    """The same, unless deltalake can't work there. Raises StoreError then."""
    path = os.path.abspath(files.full("")) if files.is_local else ""
    if unquote(path) != path:  # its kernel takes '%20' in a path for a space and looks in another folder
        raise StoreError(
            f"a store can't lie at {path!r}: Delta Lake reads '%' with two hex digits as an escape; rename it"
        )
    return files


def missing_store(files: Files) -> StoreError:
    """The error for a place without a store; says what is there instead."""
    found = [*files.folders("")[:5], *(listed.path for listed in list(files.listing(""))[:5])]
    what = f"it holds {', '.join(repr(name) for name in found)}" if found else "nothing is there"
    return StoreError(f"no store at {files.url!r}: {what}; `mmdata run ... --store {files.url}` makes one")
