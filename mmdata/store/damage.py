"""Which of a picture's files are damaged, as far as listings and footers tell; `verify` reads every byte."""

from __future__ import annotations

from collections.abc import Iterator

from mmdata.errors import MMDataError
from mmdata.store import read
from mmdata.store.files import Files
from mmdata.store.layout import DataFile
from mmdata.store.view import StoreView

_MAGIC = b"PAR1"  # with which a Parquet file begins: readers look at its end only


def damage(files: Files, view: StoreView, *, footers: bool = True) -> dict[str, str]:
    """What is wrong with a store's files, by family ("samples" with their tars); sound ones are left out.

    Costs a listing a folder. Damage within a file whose size is right and whose ends are sound is not seen.

    Args:
        files: the store's.
        view: the picture whose files are looked at.
        footers: look at the first bytes and the footer of every local file, too.

    Raises:
        OSError: a folder can't be listed.
    """
    there = view.files()
    faults: dict[str, list[str]] = {}
    for file, fault in _faults(files, there, footers=footers and files.is_local):
        faults.setdefault(file.family, []).append(fault)
    counts = {family: sum(file.family == family for file in there) for family in faults}
    return {name: f"{len(told)} of {counts[name]} files can't be read: {told[0]}" for name, told in faults.items()}


def mending(url: str) -> str:
    """What a person is to do about damage."""
    return f"`mmdata verify {url}` reads every byte; with --drop-damaged, the next run makes damaged files again"


def _faults(files: Files, there: list[DataFile], *, footers: bool) -> Iterator[tuple[DataFile, str]]:
    """Each damaged file with the first that is wrong with it."""
    folders = sorted({item.path.rpartition("/")[0] for file in there for item in (file, file.media) if item})
    sizes = {listed.path: listed.size_bytes for folder in folders for listed in files.listing(folder)}
    for file in there:
        fault = _size_fault(file, sizes) or (_ends_fault(files, file) if footers else "")
        if fault:
            yield file, fault


def _size_fault(file: DataFile, sizes: dict[str, int]) -> str:
    for item in (file, file.media):
        if item is not None and item.path not in sizes:
            return f"{item.path} is gone"
        if item is not None and sizes[item.path] != item.size_bytes:
            return f"{item.path} has {sizes[item.path]:,} bytes, the log says {item.size_bytes:,}"
    return ""


def _ends_fault(files: Files, file: DataFile) -> str:
    try:
        if files.read_range(file.path, 0, len(_MAGIC)) != _MAGIC:
            return f"{file.path} is damaged: it does not begin as Parquet files do"
        with read.opened(files, file):
            return ""
    except (MMDataError, OSError) as error:
        return str(error)
