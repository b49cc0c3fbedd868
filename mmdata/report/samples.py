"""Some samples of a store, read shard by shard, with what a page shows of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pyarrow as pa

from mmdata.report.facts.rows import Fault, StoreRows, tried
from mmdata.report.previews import Films, Preview, Size, previews
from mmdata.store import read
from mmdata.store.files import Files
from mmdata.store.read import StoredBlob
from mmdata.store.store import Store
from mmdata.store.view import ShardView

COLUMNS = ("key", "parent", "meta", "parts")


@dataclass(frozen=True)
class Stored:
    """A sample as it lies in the store; its parts read their bytes when asked.

    Args:
        row: which of the store's. key, label, meta: its own. parts: by name.
    """

    row: int
    key: str
    label: str
    meta: Mapping[str, Any]
    parts: Mapping[str, StoredBlob]


@dataclass(frozen=True)
class Shown:
    """A sample as a page shows it.

    Args:
        key, label: its own. split: of the selection; "" without one. note: why it is shown here.
        parts: its previews.
    """

    key: str
    label: str
    split: str = ""
    note: str = ""
    parts: Sequence[Preview] = ()


@dataclass
class Showing:
    """Makes previews, each sample's once a size.

    Args:
        store, rows: whose. splits: of each row; None without a selection. faults: gathers what can't be read.
    """

    store: Store
    rows: StoreRows
    splits: pa.Array | None
    faults: list[Fault]
    _stored: dict[int, Stored] = field(default_factory=dict)
    _made: dict[tuple[int, Size], list[Preview]] = field(default_factory=dict)
    _films: Films = field(default_factory=dict)

    @property
    def known(self) -> list[int]:
        """The rows that were read so far."""
        return list(self._stored)

    def stored(self, wanted: Sequence[int]) -> dict[int, Stored]:
        """Those of some rows that can be read, in that order."""
        lacking = [row for row in dict.fromkeys(wanted) if row not in self._stored]
        self._stored |= {found.row: found for found in read_stored(self.store, self.rows, lacking, self.faults)}
        return {row: self._stored[row] for row in wanted if row in self._stored}

    def shown(self, wanted: Sequence[int], size: Size, notes: Mapping[int, str] | None = None) -> list[Shown]:
        """Samples with previews of their parts, in that order."""
        return [self._one(stored, size, (notes or {}).get(row, "")) for row, stored in self.stored(wanted).items()]

    def _one(self, stored: Stored, size: Size, note: str) -> Shown:
        if (stored.row, size) not in self._made:
            self._made[stored.row, size] = previews(stored.parts, size, self._films)
        split = self.splits[stored.row].as_py() or "" if self.splits is not None else ""
        return Shown(stored.key, stored.label, split, note, self._made[stored.row, size])


def read_stored(store: Store, rows: StoreRows, wanted: Sequence[int], faults: list[Fault]) -> Iterator[Stored]:
    """Some rows' samples, a shard's file at a time; what can't be read is a fault."""
    files = Files.at(store.url, store.storage_options)
    by_shard: dict[str, tuple[ShardView, list[tuple[int, int]]]] = {}
    for row in sorted(set(wanted)):
        shard, place = rows.place(row)
        by_shard.setdefault(shard.shard, (shard, []))[1].append((row, place))
    for shard, places in by_shard.values():
        table = tried(faults, shard.samples.path, partial(read.open_rows, files, shard.samples, COLUMNS))
        if table is None:
            continue
        for (row, _), value in zip(places, table.take([place for _, place in places]).to_pylist(), strict=True):
            found = tried(faults, str(value["key"]), partial(_stored, files, shard, rows, row, value))
            if found is not None:
                yield found


def _stored(files: Files, shard: ShardView, rows: StoreRows, row: int, value: Mapping[str, Any]) -> Stored:
    meta = json.loads(value["meta"])
    label = rows.samples["label"][row].as_py() or ""
    return Stored(row, value["key"], label, meta, read.blobs(files, shard.samples, value))
