"""One picture of a store, as all pages of one moment see it, and the taking of a new one as the store grows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from math import inf
from threading import Lock, RLock
from time import monotonic
from typing import Any

import numpy as np
import pyarrow as pa

from mmdata.core.arrays import ArraySpec
from mmdata.errors import MMDataError
from mmdata.report.facts import rows as facts
from mmdata.report.facts.parts import PartFacts, kind_shown, parts
from mmdata.report.facts.rows import StoreRows
from mmdata.report.facts.runs import RunFacts, runs
from mmdata.report.facts.scalars import Distribution, distributions
from mmdata.select.nearest import Measure, comparable
from mmdata.serve import captions
from mmdata.store import few, read, selections
from mmdata.store.files import Files
from mmdata.store.query import Rows, matching
from mmdata.store.read import StoredBlob
from mmdata.store.store import Store
from mmdata.store.view import StoreView

LOOK_AGAIN_S = 5.0
LOOKS_SHARE = 20  # a look that took longer is not repeated for so many times its time
KEEP_BYTES = 256 << 20  # of columns that conditions and searches read
UNKNOWN = ArraySpec()  # of a feature of which no file can be read
_ROW = ("key", "parent", "label", "meta", "text", "parts")


@dataclass(frozen=True)
class Lost:
    """A sample that is not stored, and why.

    Args:
        key: as it would have been. outcome: "dropped" or "rejected". step: that decided, or failed.
        reason: the drop's, or the kind of the reject. error, traceback: of a reject.
        pointer: its file in the source.
    """

    key: str
    outcome: str
    step: str
    reason: str
    pointer: str
    error: str = ""
    traceback: str = ""


@dataclass(frozen=True)
class Part:
    """A stored part, without its bytes.

    Args:
        name, kind, encoding, extension: as the row has them. size: bytes. pointer: its file in the source.
        moves: the JSON of its time or space map.
    """

    name: str
    kind: str
    encoding: str
    extension: str
    size: int
    pointer: str | None
    moves: str | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Part:
        about = (
            kind_shown(row["kind"], row["extension"]),
            row["encoding"],
            row["extension"],
            row["length"],
            row["pointer"],
            row["map"],
        )
        return cls(row["name"], *about)


@dataclass(frozen=True)
class Row:
    """A sample's row, for a page."""

    row: int
    key: str
    label: str | None
    parent: str | None
    meta: str
    texts: Mapping[str, str]
    parts: Sequence[Part]


@dataclass(frozen=True, eq=False)
class Catalog:
    """What is known of all samples at one moment; all pages of that moment are made from it.

    Args:
        store: open, to be used under the lock: it is not made for threads.
        files: the store's. known: its rows' keys, labels, parts and scalars.
    """

    store: Store
    lock: RLock
    files: Files
    known: StoreRows
    serial: int = field(default_factory=count().__next__)
    _specs: dict[str, dict[str, ArraySpec]] = field(default_factory=dict)
    _picked: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, store: Store, lock: RLock) -> Catalog:
        known = facts.read_rows(store)
        files = Files.at(store.url, store.storage_options)
        return cls(store, lock, files, known)

    def __len__(self) -> int:
        return len(self.known)

    def number(self, key: str) -> int | None:
        """The row of a key; None where no such sample is stored."""
        found = self.known.keys.index(key).as_py()
        return None if found < 0 else int(found)

    def read(self, numbers: Sequence[int]) -> list[Row]:
        """Some rows, in the order given; of each shard only the row groups are read that hold them."""
        places: dict[str, list[int]] = {}
        shards = {}
        for number in numbers:
            shard, _ = self.known.place(number)
            places.setdefault(shard.shard, []).append(number)
            shards[shard.shard] = shard
        found: dict[int, Row] = {}
        for name, theirs in places.items():
            inside = [self.known.place(number)[1] for number in theirs]
            told = few.rows_at(self.files, shards[name].samples, inside, _ROW)
            found |= {number: _row(number, row) for number, row in zip(theirs, told, strict=True)}
        return [found[number] for number in numbers]

    def blob(self, number: int, part: str) -> StoredBlob | None:
        """A stored part's bytes; None where the sample has no such part."""
        shard, at = self.known.place(number)
        row = few.rows_at(self.files, shard.samples, [at], ["key", "parts"])[0]
        return read.blobs(self.files, shard.samples, row).get(part)

    def arrays(self, number: int) -> Iterable[tuple[str, ArraySpec, np.ndarray | None, str | None]]:
        """Every feature of a row: column, form, array and why there is none."""
        shard, at = self.known.place(number)
        for family, file in sorted(shard.features.items()):
            try:
                specs = self._file_specs(file)
                found, error = few.arrays_at(self.files, file, at, specs)
            except (MMDataError, OSError) as problem:  # a damaged file costs what it holds
                specs = {name: known.spec for name, known in self.known.columns.items() if known.family == family}
                specs = specs or {family: UNKNOWN}
                found, error = dict.fromkeys(specs), str(problem)
            yield from ((column, spec, found[column], error) for column, spec in specs.items())

    def array(self, number: int, column: str) -> np.ndarray | None:
        """One feature of a row; None where there is none."""
        shard, at = self.known.place(number)
        for _, file in sorted(shard.features.items()):
            specs = self._file_specs(file)
            if column in specs:
                return few.arrays_at(self.files, file, at, {column: specs[column]})[0][column]
        return None

    @property
    def rows(self) -> Rows:
        """The columns, to search. Raises StoreError where files are damaged that all of them need."""
        view = StoreView(tuple(self.known.shards))  # the same rows as are known: others may be damaged
        specs = [(column.family, name, column.spec) for name, column in self.known.columns.items()]  # as far as known
        made = partial(Rows, self.files, view, specs, self._file_specs, keep_bytes=KEEP_BYTES)
        found: Rows = self._pick("rows", made)
        return found

    def matching(self, where: str, most_s: float) -> np.ndarray:
        """The rows that meet a condition. Raises StoreError when it is wrong or takes longer."""
        return matching(self.rows, where, most_s=most_s)

    def _file_specs(self, file: Any) -> dict[str, ArraySpec]:
        if file.path not in self._specs:
            self._specs[file.path] = read.file_specs(self.files, file)
        return self._specs[file.path]

    def _pick(self, name: str, make: Callable[[], Any]) -> Any:
        with self.lock:
            if name not in self._picked:
                self._picked[name] = make()
            return self._picked[name]

    def forget_what_changes(self) -> None:
        """Read again what changes without a file of samples or features."""
        with self.lock:
            for name in ("selections", "runs"):
                self._picked.pop(name, None)

    @property
    def measures(self) -> dict[str, Measure]:
        """The features by which samples can be compared, those that tell most first."""
        specs = {name: column.spec for name, column in self.known.columns.items()}
        found: dict[str, Measure] = self._pick("measures", lambda: comparable(specs))
        return found

    @property
    def text_parts(self) -> list[str]:
        """The names of parts whose text the rows hold."""
        return [part.name for part in self.part_facts if part.kind == "text"]

    @property
    def captions(self) -> pa.ChunkedArray | None:
        """What is said in each sample's captions and in texts that no step decoded; None where no sample has any."""
        if not any(captions.is_searched(part.kind, each) for part in self.part_facts for each in part.extensions):
            return None
        found: pa.ChunkedArray = self._pick("captions", lambda: captions.texts(self))
        return found

    @property
    def part_facts(self) -> list[PartFacts]:
        """What parts the samples have."""
        found: list[PartFacts] = self._pick("parts", lambda: parts(self.known.samples))
        return found

    @property
    def distributions(self) -> list[Distribution]:
        """The distribution of every scalar."""
        found: list[Distribution] = self._pick("distributions", lambda: list(distributions(self.known.scalars)))
        return found

    @property
    def drops(self) -> pa.Table:
        """The samples that steps decided against."""
        found: pa.Table = self._pick("drops", lambda: facts.drops(self.store, []))
        return found

    @property
    def rejects(self) -> pa.Table:
        """The samples that failed."""
        found: pa.Table = self._pick("rejects", lambda: facts.rejects(self.store, []))
        return found

    @property
    def lost(self) -> list[Lost]:
        """All samples that were dropped or rejected."""
        found: list[Lost] = self._pick("lost", self._lost)
        return found

    def _lost(self) -> list[Lost]:
        dropped, rejected = self.drops.to_pylist(), self.rejects.to_pylist()
        return [
            *(Lost(r["key"], "dropped", r["step"] or "", r["reason"] or "", r["pointer"] or "") for r in dropped),
            *(
                Lost(
                    r["key"], "rejected", r["step"] or "", r["kind"] or "", r["pointer"] or "", r["error"] or "",
                    r["traceback"] or "",
                )
                for r in rejected
            ),
        ]  # fmt: skip

    @property
    def selections(self) -> dict[str, Any]:
        """The rows of every selection, by its name."""
        found: dict[str, Any] = self._pick(
            "selections", lambda: {name: self.store.selection(name) for name in selections.names(self.files)}
        )
        return found

    @property
    def runs(self) -> list[RunFacts]:
        """All runs, the oldest first."""
        found: list[RunFacts] = self._pick("runs", lambda: runs(self.store.runs()))
        return found


def _row(number: int, row: Mapping[str, Any]) -> Row:
    parts = [Part.of(part) for part in row["parts"]]
    return Row(number, row["key"], row["label"], row["parent"], row["meta"], dict(row["text"]), parts)


class Shelf:
    """The newest catalog of a store. Threads that ask at once get the same one.

    Args:
        store: open, and used by nobody else.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.lock = RLock()
        self._looking = Lock()
        self._catalog: Catalog | None = None
        self._files: frozenset[str] = frozenset()
        self._looked, self._pause_s = 0.0, LOOK_AGAIN_S

    @property
    def url(self) -> str:
        return self._store.url

    @property
    def pinned(self) -> str | None:
        return self._store.pinned

    def now(self) -> Catalog:
        """The catalog of the store as it is, or as it was a few seconds ago."""
        catalog = self._catalog
        if catalog is not None and monotonic() - self._looked < self._pause_s:
            return catalog
        if catalog is not None and not self._looking.acquire(blocking=False):
            return catalog  # another thread is at it
        try:
            with self.lock:
                return self._look()
        finally:
            if catalog is not None:
                self._looking.release()

    def expire(self) -> None:
        """Look anew when asked next: files of the catalog are gone."""
        self._looked = -inf

    def _look(self) -> Catalog:
        if self._catalog is not None and monotonic() - self._looked < self._pause_s:
            return self._catalog
        started = monotonic()
        files = frozenset(file.path for file in self._store.view().files())
        if self._catalog is None or files != self._files:
            self._catalog, self._files = Catalog.of(self._store, self.lock), files
        else:
            self._catalog.forget_what_changes()
        self._looked = monotonic()
        self._pause_s = max(LOOK_AGAIN_S, LOOKS_SHARE * (self._looked - started))
        return self._catalog
