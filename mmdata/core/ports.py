"""The plugs: what a source, an encoder of parts and an executor must offer, and nothing more."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

from mmdata.core.sample import Blob, Part, Sample

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Member:
    """One part of an entry: where its bytes lie, and what changes when they do.

    Args:
        part: the part's name. pointer: `str(Pointer)`, relative to the source's root.
        size: bytes; a guess, or 0, where no listing can tell.
        signature: equal for equal contents, as far as can be told without reading them: mtime or etag, or a digest.
    """

    part: str
    pointer: str
    size: int
    signature: str


@dataclass(frozen=True)
class Fault:
    """Something a source found that can't become a sample: a collision, a loop of links, a folder that can't be read.

    Args:
        key: as the sample's would have been. kind: a constant in snake_case. error: what a person is told.
        pointer: the file or folder.
    """

    key: str
    kind: str
    error: str
    pointer: str


@dataclass(frozen=True)
class Entry:
    """One sample as its source lists it, before any of its bytes is read.

    Args:
        key: unique in the store: SOURCE_NAME/relative/path.
        members: its parts, in order of their names.
        meta: metadata known from the listing (label, columns); JSON values.
        fault: why it can't become a sample: it is counted as read and rejected.
    """

    key: str
    members: tuple[Member, ...]
    meta: Mapping[str, Any] = field(default_factory=dict)
    fault: Fault | None = None

    def to_json(self) -> dict[str, Any]:
        members = [[m.part, m.pointer, m.size, m.signature] for m in self.members]
        fault = [self.fault.kind, self.fault.error, self.fault.pointer] if self.fault else None
        return {"key": self.key, "members": members, "meta": dict(self.meta), "fault": fault}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        fault = Fault(value["key"], *value["fault"]) if value["fault"] else None
        return cls(value["key"], tuple(Member(*row) for row in value["members"]), value["meta"], fault)

    @property
    def size(self) -> int:
        return sum(member.size for member in self.members)


@dataclass(frozen=True)
class Scan:
    """All that a source holds, in order of key.

    Args:
        entries: samples. faults: what is counted as read and rejected.
        unmatched: files that belong to no sample (a README, a sidecar of nothing): reported, not counted.
    """

    entries: Sequence[Entry]
    faults: Sequence[Fault] = ()
    unmatched: Sequence[str] = ()


@runtime_checkable
class Source(Protocol):
    """Where samples come from. A frozen dataclass; its constructor touches nothing."""

    @property
    def name(self) -> str:
        """The first part of every key."""

    def scan(self) -> Scan:
        """List what is there. Reads names, sizes and times, headers of archives and rows of tables; no media."""

    def read(self, entries: Sequence[Entry]) -> Iterator[Sample]:
        """The entries' samples in the same order; a part is a `Blob` that has its bytes, or reads them when asked."""


@dataclass(frozen=True)
class Encoded:
    """A part as it is stored.

    Args:
        blob: the bytes. extension: without a dot, "jpg". as_read: the part that decoding the bytes would give.
    """

    blob: Blob
    extension: str
    as_read: Part


@dataclass(frozen=True)
class Died:
    """What an executor gives in place of a result when the worker that held an item is gone.

    Args:
        item: what it held. error: how it went, for a person. kind: "worker_died", or "timed_out" where it was ended.
    """

    item: Any
    error: str
    kind: str = "worker_died"


class Executor(Protocol):
    """Runs work on items, in any order, and knows nothing of samples."""

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result | Died, None, None]:
        """Yield `work(item)` for every item as it is done, or `Died`. `work` and items can be sent to other processes.

        An exception of the work is raised where the results are read. Closing the iterator ends all workers.
        """
