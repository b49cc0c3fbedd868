"""Folders behind a URL: whatever fsspec has a file system for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, BinaryIO, Literal, cast

from mmdata.core.ports import Fault
from mmdata.core.storage import open_place, told
from mmdata.errors import Unreachable, Unreadable
from mmdata.source.listing import Found, Listing, changed
from mmdata.source.names import is_dropping

# what tells one state of a file from another, by the names that file systems have for it, the surest first
_STATES = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")


@dataclass(frozen=True)
class RemotePlace:
    """A bucket's folder. Each load sees to it that the file is still the one that was listed.

    Args:
        url: of the folder. options: storage options, which may be secret.
    """

    url: str
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        return open_place(self.url, dict(self.options))

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url, "options": self.options}  # an open file system holds the environment's secrets, too

    def _told(self) -> AbstractContextManager[None]:
        return told(self.url, dict(self.options))

    def holds(self) -> Literal["file", "folder"] | None:
        """What stands at the URL."""
        system, root = self._opened
        try:
            with self._told():
                return "file" if system.info(root)["type"] == "file" else "folder"
        except FileNotFoundError:
            return None

    def relative(self, path: str) -> str | None:  # noqa: ARG002  a place's form
        """None: no path of this system lies behind a URL."""
        return None

    def walk(self, name: str) -> Listing:
        """Every file below the URL."""
        system, root = self._opened
        try:
            with self._told():
                found = system.find(root, detail=True)
        except Unreachable:
            raise
        except OSError as error:
            fault = Fault(f"{name}/", "unreadable", f"{self.url}: {error}", "")
            return Listing(files=[], faults=[fault], ignored=[])
        files, ignored = [], []
        for full, info in sorted(found.items()):
            path = full[len(root) :].lstrip("/")
            if any(is_dropping(part) for part in path.split("/")):
                ignored.append(path)
            elif path:
                files.append(_found(path, info))
        return Listing(files=files, faults=[], ignored=ignored)

    def stat(self, path: str) -> Found:
        """The file at a relative path."""
        system, root = self._opened
        try:
            with self._told():
                return _found(path, system.info(f"{root}/{path}"))
        except Unreachable:  # the server is away, not the file
            raise
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            says = "there is no such file" if missing else str(error)
            return Found(path, problem=("missing" if missing else "unreadable", f"{path}: {says}"))

    def finder(self) -> Callable[[str], Found]:
        """Tells of many files by path: from one listing, as a request a file would take hours."""
        found = {file.path: file for file in self.walk("").files}
        return lambda path: found.get(path) or Found(path, problem=("missing", f"{path}: there is no such file"))

    def open(self, path: str) -> BinaryIO:
        """A file for reading, by ranges."""
        system, root = self._opened
        try:
            with self._told():
                return cast(BinaryIO, system.open(f"{root}/{path}", "rb"))
        except Unreachable:
            raise
        except OSError as error:
            raise Unreadable(f"{path}: {error}") from None

    def window(self, path: str, *, offset: int, size: int, whole: bool, signature: str) -> None:
        """None: a film asks for thousands of pieces."""

    def load(self, path: str, *, offset: int, size: int, whole: bool, signature: str) -> bytes:
        """A range of the file."""
        system, root = self._opened
        data = self._unchanged(path, offset, size, signature)
        if data is not None and len(data) == size:
            return data
        if signature:
            now = self.stat(path)
            if now.problem:
                raise Unreadable(now.problem[1])
            if now.signature != signature or (whole and now.size != size):
                raise Unreadable(changed(path, "it was written to"))
        try:
            with self._told():
                end = None if whole else offset + size
                data = cast(bytes, system.cat_file(f"{root}/{path}", start=offset, end=end)) if size else b""
        except Unreachable:
            raise
        except OSError as error:
            raise Unreadable(f"{path}: {error}") from None
        if len(data) != size:
            raise Unreadable(changed(path, f"{len(data)} bytes, not {size}"))
        return data

    def _unchanged(self, path: str, offset: int, size: int, signature: str) -> bytes | None:
        """A range of the file, by one request that fails where it has changed; None when that can't be had."""
        system, root = self._opened
        if "s3" not in system.protocol or not size or not signature.startswith("etag:"):
            return None
        from fsspec.asyn import sync

        bucket, key, _ = system.split_path(f"{root}/{path}")
        match, wanted = f'"{signature.removeprefix("etag:")}"', f"bytes={offset}-{offset + size - 1}"
        try:
            with self._told():
                answer = system.call_s3("get_object", Bucket=bucket, Key=key, IfMatch=match, Range=wanted)
                data: bytes = sync(system.loop, answer["Body"].read)
        except OSError:  # the long way tells why
            return None
        return data


def _found(path: str, info: Mapping[str, Any]) -> Found:
    if info.get("type") == "directory":
        return Found(path, problem=("not_a_file", f"{path}: a folder, not a file"))
    known = (info[field] for field in _STATES if info.get(field) is not None)
    return Found(path, int(info["size"]), f"etag:{_spelled(next(known, ''))}")


def _spelled(state: object) -> str:
    """An etag or a time as text; file systems give one time as a number here and as a datetime there."""
    if isinstance(state, datetime):
        state = state.timestamp()
    return f"{round(state * 1_000_000)}us" if isinstance(state, float) else str(state).strip('"')
