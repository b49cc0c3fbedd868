"""Where an export goes: seen only when it is whole, and taken up where it was interrupted.

On a disk all is written to DEST.part, which is renamed to DEST at the end. On object storage, where nothing can be
renamed, files get their names one by one. In both, `_export.json` says whether the export is finished, of what it is
(a fingerprint), and which files are complete.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from mmdata.errors import ConfigError, StoreError
from mmdata.sink.form import Written
from mmdata.store.files import Files, HashedFile
from mmdata.store.layout import SCRATCH

MARKER = "_export.json"  # tools that read whole folders pass over names with an underscore
PART = ".part"
VERSION = 1
TOLD_EVERY_S = 2.0
_BUSY = "another process is writing this export to it right now"


class Destination:
    """A place that an export is written to. Made by `destination`.

    Args:
        files: where files are written to. about: what the marker says of the export. final: where a folder on a disk
            goes when it is whole; None on object storage.
    """

    def __init__(self, files: Files, about: Mapping[str, Any], final: str | None) -> None:
        self._files, self._about, self._final = files, dict(about), final
        self._told_s = 0.0
        self.complete: dict[str, Written] = {}
        self.is_done = False
        self._made: set[str] = set()  # folders

    @contextmanager
    def new(self, path: str) -> Iterator[HashedFile]:
        """A file to be written anew, in place of one that may be there; it counts when the block ends well."""
        local = self._files.full(path)
        if self._files.is_local:
            os.makedirs(os.path.dirname(local), exist_ok=True)
        else:
            handle, local = tempfile.mkstemp(suffix=".part")
            os.close(handle)
        file = HashedFile(local)
        try:
            yield file
            file.close()
            if not self._files.is_local:
                self._upload(file, path)
        except BaseException:
            file.discard()
            raise

    def _upload(self, file: HashedFile, path: str) -> None:
        """Put a finished file; one of that name holds the same bytes, or another export writes there."""
        if not self._files.adopt(file.path, path, keep=True):
            if self._files.measure(path) != (file.size_bytes, file.digest):
                raise StoreError(f"{self._files.url}/{path} is there, with other bytes: remove it, or export elsewhere")
            file.discard()

    def put(self, path: str, data: bytes) -> None:
        """A small file."""
        if not self._files.is_local:
            self._files.replace(path, data)
            return
        folder, _, _ = path.rpartition("/")
        if folder not in self._made:
            os.makedirs(self._files.full(folder), exist_ok=True)
            self._made.add(folder)
        with open(self._files.full(path), "wb", buffering=0) as file:
            file.write(data)

    def read(self, path: str) -> bytes:
        """A file of the export."""
        return self._files.read(path)

    def add(self, written: Written) -> None:
        """Note that a file is complete: what is noted is not written again by an export that takes this one up."""
        self.complete[written.path] = written
        if time.monotonic() - self._told_s > TOLD_EVERY_S:
            self._tell("unfinished")

    def _tell(self, state: str) -> None:
        self._files.replace(MARKER, _marker(self._about, state, list(self.complete.values())))
        self._told_s = time.monotonic()

    def pause(self) -> None:
        """Note all that is complete, where an export breaks off."""
        self._tell("unfinished")

    def finish(self, stay: Sequence[Written]) -> None:
        """Say that the export is whole, and give it its name.

        Args:
            stay: the files that count; others that were noted are wanted no more.

        Raises:
            ConfigError: something came to be there meanwhile.
        """
        gone = self.complete.keys() - {each.path for each in stay}
        self.complete = {each.path: each for each in stay}
        self._tell("done")
        self.is_done = True
        for path in gone:
            self._files.delete(path)
        if self._final is None:
            return
        shutil.rmtree(self._files.full(SCRATCH), ignore_errors=True)
        try:
            os.rename(self._files.url, self._final)
        except OSError as error:
            raise ConfigError("export", [f"dest: {self._final} can't be made of {self._files.url}: {error}"]) from error


def _marker(about: Mapping[str, Any], state: str, written: Sequence[Written]) -> bytes:
    told = {"mmdata_export": VERSION, **about, "state": state, "files": [each.to_json() for each in written]}
    return json.dumps(told, indent=1, ensure_ascii=False).encode()


def marker(files: Files) -> dict[str, Any] | None:
    """What an export's marker says; None where there is none that can be read."""
    try:
        told = json.loads(files.read(MARKER))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return told if isinstance(told, dict) and told.get("mmdata_export") == VERSION and "id" in told else None


def lying_there(url: str, about: Mapping[str, Any], options: Mapping[str, str]) -> list[Written] | None:
    """The files of this very export, where it lies there, whole; else None.

    Raises:
        ConfigError: something else does, which is never written over.
    """
    files = Files.at(url, options)
    if files.is_local and os.path.lexists(files.full("")) and not os.path.isdir(files.full("")):
        raise ConfigError("export", [f"dest: {url} is no folder"])
    found = sorted({*files.folders(""), *(each.path for each in files.listing(""))})
    if not found:
        return None
    told = marker(files)
    if told is None:
        shown = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
        raise ConfigError("export", [f"dest: {url} holds {shown}; an export wants a folder of its own"])
    same = told["id"] == about["id"]
    if told["state"] == "done" and same:
        return [Written.from_json(each) for each in told["files"]]
    if told["state"] == "unfinished" and same and not files.is_local:
        return None
    what = "another export" if told["state"] == "done" else "an unfinished export of other contents"
    raise ConfigError("export", [f"dest: {url} holds {what} ({told.get('format')}): remove it, or export elsewhere"])


@contextmanager
def destination(url: str, about: Mapping[str, Any], options: Mapping[str, str]) -> Iterator[Destination]:
    """Begin an export, or take up the same one where it was interrupted.

    Args:
        url: a folder, or a URL that fsspec knows.
        about: what the marker is to say; its "id" tells exports apart.
        options: of object storage.

    Raises:
        ConfigError: something else lies there.
        StoreError: another process is writing there.
    """
    files = Files.at(url, options)
    if not files.is_local:
        with _resumed(files, about, None) as made:
            yield made
        return
    final = os.path.abspath(files.full(""))
    part = Files.at(final + PART)
    if os.path.islink(part.url) or (os.path.lexists(part.url) and not os.path.isdir(part.url)):
        raise ConfigError("export", [f"dest: {part.url} is in the way: an export is written there first"])
    os.makedirs(part.url, exist_ok=True)
    held = os.open(part.url, os.O_RDONLY)
    try:
        _lock(held, part.url)
        _clear(part, about)
        with _resumed(part, about, final) as made:
            yield made
    finally:
        os.close(held)  # and lets go of it


@contextmanager
def _resumed(files: Files, about: Mapping[str, Any], final: str | None) -> Iterator[Destination]:
    made = Destination(files, about, final)
    told = marker(files)
    before = [Written.from_json(value) for value in told["files"]] if told is not None else []
    folders = {each.path.rpartition("/")[0] for each in before}
    sizes = {each.path: each.size_bytes for folder in folders for each in files.listing(folder)}
    made.complete = {each.path: each for each in before if sizes.get(each.path) == each.size_bytes}
    made.is_done = told is not None and told["state"] == "done"  # it was killed before it got its name
    if not made.is_done:
        made.pause()
    try:
        yield made
    except BaseException:
        if not made.is_done and marker(files) is not None:  # nothing is left to note where the folder is gone
            made.pause()
        raise


def _lock(held: int, path: str) -> None:
    """Hold a folder for this process: until it lets go, or ends in whatever way."""
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StoreError(f"{path}: {_BUSY}") from None
    except OSError:  # a file system without locks
        return
    if not os.path.isdir(path) or os.stat(path).st_ino != os.fstat(held).st_ino:
        raise StoreError(f"{path}: {_BUSY}, or has just finished it")


def _clear(part: Files, about: Mapping[str, Any]) -> None:
    """Empty the folder when what lies there is of an export of other contents.

    Raises:
        ConfigError: it holds something that no export left.
    """
    told = marker(part)
    there = os.listdir(part.url)
    if told is None and set(there) - {SCRATCH}:
        raise ConfigError("export", [f"dest: {part.url} is in the way, and no unfinished export: remove it"])
    if told is None or told["id"] == about["id"]:
        return
    for name in there:
        path = os.path.join(part.url, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
