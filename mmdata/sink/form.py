"""What a format of an export offers, and what it is given to write with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

from mmdata.sink.contents import Contents, Output
from mmdata.sink.rows import Batch
from mmdata.store.files import HashedFile


@dataclass(frozen=True)
class Written:
    """A file that is complete.

    Args:
        path: relative to the export. split: of its rows. rows: how many. size_bytes, xxh3_128: of the file.
        n_files, n_bytes: of it and of those that it lists.
    """

    path: str
    split: str
    rows: int
    size_bytes: int
    xxh3_128: str
    n_files: int
    n_bytes: int

    @classmethod
    def of(cls, path: str, split: str, rows: int, file: HashedFile) -> Self:
        """A file that stands alone."""
        return cls(path, split, rows, file.size_bytes, file.digest, 1, file.size_bytes)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        return cls(**value)


class Place(Protocol):
    """Where an export is written. Paths are relative to it."""

    def new(self, path: str) -> AbstractContextManager[HashedFile]:
        """A file to be written anew, in place of one that may be there; it counts when the block ends well."""

    def put(self, path: str, data: bytes) -> None:
        """A small file."""

    def read(self, path: str) -> bytes:
        """A file of the export."""


class Form(Protocol):
    """A format."""

    def faults(self, contents: Contents) -> list[str]:
        """Why such contents can't be written so; nothing is read or written for it."""

    def names(self) -> Mapping[str, str]:
        """Features, and parts where they have columns, by what they are called here."""

    def path(self, output: Output) -> str:
        """The file that holds an output's rows, or lists them."""

    def write(self, output: Output, batches: Iterator[Batch], place: Place) -> Written:
        """Write an output."""

    def finish(self, written: Sequence[Written], place: Place) -> Sequence[Written]:
        """Write what lists all files, when all are there; returns those that stay."""
