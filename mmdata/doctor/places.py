"""What the file system under a store, or a bucket, can do: each thing is done, in files that are deleted again."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from mmdata.doctor.finding import FAULT, GOOD, NOTE, Finding
from mmdata.errors import MMDataError
from mmdata.store.files import Files

_ROOM_BYTES = 1_000_000_000
_PROBES = "_doctor"  # a folder of our own: nothing that a store has is touched


def place(url: str, options: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """Whether a store can lie there. Nothing is left behind, not even folders that were made."""
    try:
        files = Files.at(url, options)
        local = files.is_local
    except (MMDataError, OSError) as error:
        yield Finding("place", FAULT, str(error), "see docs/storage.md")
        return
    yield from _folder(files.full("")) if local else _bucket(files)


def _folder(path: str) -> Iterator[Finding]:
    there = Path(path).absolute()
    missing = [folder for folder in (there, *there.parents) if not folder.exists()]
    probes = there / f"{_PROBES}-{uuid.uuid4().hex}"
    try:
        probes.mkdir(parents=True)
    except OSError as error:
        yield Finding("writing", FAULT, f"{type(error).__name__}: {error}", "give a folder that may be written to")
        return
    try:
        for what, try_it, mend in _TRIALS:
            try:
                fault = try_it(probes)
            except OSError as error:
                fault = f"{type(error).__name__}: {error.strerror or error}"
            yield Finding(what, FAULT, fault, mend) if fault else Finding(what, GOOD, "yes")
        yield _letters(probes)
        free = shutil.disk_usage(probes).free
        few = free < _ROOM_BYTES
        mend = "mmdata plan estimates what a run will write; mmdata gc deletes what nothing names"
        yield Finding("room", NOTE if few else GOOD, f"{free / 1e9:.1f} GB free", mend if few else "")
    finally:
        shutil.rmtree(probes, ignore_errors=True)
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()


def _created_once(folder: Path) -> str:
    """A hard link is how a commit is made: of many writers, one succeeds."""
    scratch, name = folder / "scratch", folder / "commit"
    scratch.write_bytes(b"first")
    os.link(scratch, name)
    try:
        os.link(scratch, name)
    except FileExistsError:
        return "" if name.read_bytes() == b"first" else "a hard link holds other bytes"
    return "a name that is taken was given again: two writers would overwrite each other"


def _renamed(folder: Path) -> str:
    old, new = folder / "old", folder / "new"
    old.write_bytes(b"old")
    new.write_bytes(b"new")
    os.replace(new, old)
    return "" if old.read_bytes() == b"new" and not new.exists() else "a file that replaces another is not whole"


def _mapped(folder: Path) -> str:
    """Shards are read in pieces, from places that were never written to in one go."""
    name = folder / "holes"
    with name.open("wb") as file:
        file.truncate(1 << 20)
        file.seek(1 << 19)
        file.write(b"middle")
    with name.open("rb") as file:
        file.seek(1 << 19)
        return "" if file.read(6) == b"middle" else "bytes are not where they were written"


def _listed(folder: Path) -> str:
    name = folder / "listed"
    name.write_bytes(b"")
    return "" if name.name in os.listdir(folder) else "a new file is not in the folder's listing"


_TRIALS: tuple[tuple[str, Callable[[Path], str], str], ...] = (
    (
        "commits, by hard links",
        _created_once,
        "no store can lie here: take a disk with ext4, XFS, Btrfs, APFS or NFS, or a bucket",
    ),
    ("files replaced whole", _renamed, "no store can lie here: renaming is not atomic"),
    ("reads at any place", _mapped, "no store can lie here"),
    ("listings", _listed, "other processes may not see what was written; turn the mount's caching off"),
)


def _letters(folder: Path) -> Finding:
    """Whether names that differ by case, or are not ASCII, stay two names."""
    (folder / "Name").write_bytes(b"")
    if (folder / "name").exists():
        mend = "a source's files whose names differ by case alone can't lie here; a store can"
        return Finding("names", NOTE, "upper and lower case are one", mend)
    try:
        (folder / "\u00e4\u20ac\U0001f600").write_bytes(b"")
    except OSError as error:
        return Finding("names", NOTE, f"not of all letters: {error.strerror}", "mount it with UTF-8")
    return Finding("names", GOOD, "of all letters, upper and lower case apart")


def _bucket(files: Files) -> Iterator[Finding]:
    path = f"{_PROBES}-{uuid.uuid4().hex}"
    try:
        files.create(path, b"first")
    except (MMDataError, OSError) as error:
        yield Finding("writing", FAULT, str(error), "see docs/storage.md: credentials, region, endpoint")
        return
    yield Finding("writing", GOOD, "yes")
    try:
        try:
            files.create(path, b"second")
        except FileExistsError:
            yield Finding("commits, by conditional puts", GOOD, "yes")
        else:
            mend = "no store can lie here: two writers would overwrite each other; see docs/storage.md"
            yield Finding("commits, by conditional puts", FAULT, "the service ignores If-None-Match", mend)
        right = files.read_range(path, 1, 3) in (b"irs", b"eco")
        yield Finding("reads at any place", GOOD if right else FAULT, "yes" if right else "other bytes than asked for")
    except (MMDataError, OSError) as error:
        yield Finding("reading", FAULT, str(error), "see docs/storage.md: which rights it takes")
    finally:
        with suppress(MMDataError, OSError):
            files.delete(path)
