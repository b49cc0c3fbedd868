"""Folders behind a URL: whatever fsspec has a file system for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, BinaryIO, Literal, cast

from mmdata.core.ports import Fault
from mmdata.errors import ConfigError, Unreadable
from mmdata.source.listing import Found, Listing, changed
from mmdata.source.names import is_dropping

# what tells one state of a file from another, by the names that file systems have for it, the surest first
_STATES = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")


@dataclass(frozen=True)
class RemotePlace:
    """A bucket's folder. Each load asks for the file's state too: a listing may be old."""

    url: str

    def holds(self) -> Literal["file", "folder"] | None:
        """What stands at the URL."""
        system, root = _opened(self.url)
        try:
            return "file" if system.info(root)["type"] == "file" else "folder"
        except FileNotFoundError:
            return None

    def relative(self, path: str) -> str | None:  # noqa: ARG002  a place's form
        """None: no path of this system lies behind a URL."""
        return None

    def walk(self, name: str) -> Listing:
        """Every file below the URL."""
        system, root = _opened(self.url)
        try:
            found = system.find(root, detail=True)
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
        system, root = _opened(self.url)
        try:
            return _found(path, system.info(f"{root}/{path}"))
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
        system, root = _opened(self.url)
        try:
            return cast(BinaryIO, system.open(f"{root}/{path}", "rb"))
        except OSError as error:
            raise Unreadable(f"{path}: {error}") from None

    def load(self, path: str, *, offset: int, size: int, whole: bool, signature: str) -> bytes:
        """A range of the file."""
        system, root = _opened(self.url)
        if signature:
            now = self.stat(path)
            if now.problem:
                raise Unreadable(now.problem[1])
            if now.signature != signature or (whole and now.size != size):
                raise Unreadable(changed(path, "it was written to"))
        try:
            data = cast(bytes, system.cat_file(f"{root}/{path}", start=offset, end=None if whole else offset + size))
        except OSError as error:
            raise Unreadable(f"{path}: {error}") from None
        if len(data) != size:
            raise Unreadable(changed(path, f"{len(data)} bytes, not {size}"))
        return data


@lru_cache(maxsize=16)
def _opened(url: str) -> tuple[Any, str]:
    """The file system and the path on it, without cached listings: what they say may be old."""
    from fsspec.core import url_to_fs

    try:
        system, root = url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise ConfigError(url, [str(error)]) from error
    return system, str(root).rstrip("/")


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
