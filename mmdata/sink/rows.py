"""The rows that go out: what a sample says of itself, its stored parts, and its features, a batch at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from mmdata.codec.decoders import decode
from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Blob, Text
from mmdata.errors import DecodeError, SchemaMismatch, StoreError, Unreadable
from mmdata.sink.ahead import Ahead
from mmdata.sink.contents import Contents, Output, Piece
from mmdata.sink.names import below
from mmdata.store import read
from mmdata.store.read import Fetch, StoredBlob
from mmdata.store.tables import FILES, error_column, specs_of

FetchOf = Callable[[str], Fetch | None]
BATCH_ROWS = 250  # a part of a row group of the store, which has 1,000 rows or 8 MB


@dataclass(frozen=True)
class Row:
    """A sample.

    Args:
        about: JSON values: key, path, source, parent, split, weight, label, meta, text (by part), parts (of each its
            kind, extension, encoding, bytes, where it came from and how it was moved) and errors (of features).
        parts: the stored parts that go out, by name. ahead: reads those that lie in the store.
    """

    about: dict[str, Any]
    parts: Mapping[str, StoredBlob]
    ahead: Ahead | None = None

    @property
    def key(self) -> str:
        return str(self.about["key"])

    @property
    def n_bytes(self) -> int:
        """Of all parts."""
        return sum(part.size for part in self.parts.values())

    def text(self, part: str, data: bytes | None) -> str | None:
        """A text part's text, where these are its bytes; None where there is none, or its bytes are no text."""
        if part in self.about["text"] or data is None:
            found: str | None = self.about["text"].get(part)
            return found
        try:
            decoded = decode(Blob.of(data), Text)
        except DecodeError:
            return None
        return decoded.text if isinstance(decoded, Text) else None

    def data(self, part: str) -> bytes:
        """A part's bytes, which are not kept. Raises Unreadable when they can't be had, and says what can be done."""
        blob = self.parts[part]
        if blob.encoding != "reference" and self.ahead is not None:
            return self.ahead.read(blob.pointer.offset, blob.size)
        try:
            return blob.load()
        except Unreadable as error:
            if blob.encoding != "reference":
                raise
            hint = f"give the export its source, or leave {part!r} out by naming the other columns"
            raise Unreadable(f"{str(error).rstrip('.')}; {hint}") from error


@dataclass(frozen=True, eq=False)
class Batch:
    """Some rows in order, and their features as the store's tables have them.

    Args:
        rows: the samples. tables: by family; None where the shard lacks it. specs: by column.
    """

    rows: Sequence[Row]
    tables: Mapping[str, pa.Table | None]
    features: Mapping[str, tuple[str, ArraySpec]]

    def table(self, column: str) -> pa.Table | None:
        return self.tables[self.features[column][0]]

    def spec(self, column: str) -> ArraySpec:
        return self.features[column][1]

    def cut(self, start: int, stop: int) -> Batch:
        tables = {name: None if rows is None else rows.slice(start, stop - start) for name, rows in self.tables.items()}
        return Batch(self.rows[start:stop], tables, self.features)

    @cached_property
    def arrays(self) -> dict[str, list[np.ndarray | None]]:
        """Each feature's arrays, None where it failed."""
        made: dict[str, list[np.ndarray | None]] = {}
        for column in self.features:
            rows = self.table(column)
            made[column] = [None] * len(self.rows) if rows is None else read.arrays(rows, column, self.spec(column))
        return made


def batches(contents: Contents, output: Output, fetches: FetchOf | None = None) -> Iterator[Batch]:
    """An output's rows in order.

    Args:
        contents: of the export.
        output: which file's rows.
        fetches: gives, by the name of a source, what reads the parts that the store only points to.

    Raises:
        SchemaMismatch: a shard holds another form of a feature than was promised.
    """
    for piece in output.pieces:
        fetch = fetches(piece.shard.source) if fetches is not None else None
        yield from _of_piece(contents, output, piece, fetch)


def _of_piece(contents: Contents, output: Output, piece: Piece, fetch: Fetch | None) -> Iterator[Batch]:
    shard = piece.shard
    with ExitStack() as stack:
        columns = [name for name in FILES["samples"].names if name != "digests"]  # older files have none
        samples = _Groups(stack.enter_context(read.opened(contents.files, shard.samples)), columns)
        families: dict[str, _Groups | None] = dict.fromkeys(contents.families)
        for family, specs in contents.families.items():
            if family in shard.features:
                file = stack.enter_context(read.opened(contents.files, shard.features[family]))
                families[family] = _Groups(file, _checked(file, family, specs, shard.shard))
        groups = [samples, *(each for each in families.values() if each is not None)]
        for start, stop in _windows(shard.rows, groups):
            low, high = np.searchsorted(piece.rows, [start, stop])
            if low == high:
                continue
            within = pa.array(piece.rows[low:high] - start)
            tables = {name: each.rows(start, stop).take(within) if each else None for name, each in families.items()}
            told = samples.rows(start, stop).take(within).to_pylist()
            weights = piece.weights[low:high].tolist() if piece.weights is not None else [None] * len(told)
            errors = _errors(tables, len(told))
            ahead = _ahead(contents, piece, told)
            rows = [
                _row(contents, output, piece, *each, fetch, ahead) for each in zip(told, weights, errors, strict=True)
            ]
            yield Batch(rows, tables, contents.features)


def _ahead(contents: Contents, piece: Piece, told: Sequence[Mapping[str, Any]]) -> Ahead | None:
    """What reads the parts of some rows that lie in the store."""
    parts = [part for row in told for part in row["parts"] if part["name"] in contents.parts]
    media = piece.shard.samples.media
    ranges = [(part["offset"], part["length"]) for part in parts if part["offset"] is not None]
    return Ahead(contents.files, media.path, ranges) if media is not None else None


def _checked(file: Any, family: str, specs: Mapping[str, ArraySpec], shard: str) -> list[str]:
    """The columns of a feature file to read. Raises SchemaMismatch when it holds others than were promised."""
    own = specs_of(file.schema_arrow)
    columns: list[str] = []
    for column, spec in specs.items():
        if own.get(column) != spec:
            raise SchemaMismatch(
                f"{column!r} is {own.get(column)} in shard {shard} and {spec} in others: it is being replaced; finish "
                "that run first"
            )
        columns += read.needed(column, spec)
    return [*columns, error_column(family)]


class _Groups:
    """Rows of a Parquet file by number, a row group in memory at a time."""

    def __init__(self, file: Any, columns: Sequence[str]) -> None:
        self._file, self._columns = file, list(columns)
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        self.ends = np.cumsum(sizes, dtype=np.int64)
        self._held: tuple[int, pa.Table] | None = None

    def rows(self, start: int, stop: int) -> pa.Table:
        """Rows [start, stop), which lie in one row group."""
        group = int(np.searchsorted(self.ends, start, side="right"))
        if self._held is None or self._held[0] != group:
            self._held = None  # before the next one is read
            self._held = group, self._file.read_row_group(group, columns=self._columns, use_threads=False)
        table = self._held[1]
        return table.slice(start - (int(self.ends[group]) - table.num_rows), stop - start)


def _windows(n_rows: int, groups: Sequence[_Groups]) -> Iterator[tuple[int, int]]:
    """Ranges of rows that lie in one row group of every file."""
    for each in groups:
        if (int(each.ends[-1]) if len(each.ends) else 0) != n_rows:
            raise StoreError(f"files of one shard have {n_rows} and {each.ends[-1:]} rows: see `mmdata verify`")
    cuts = np.unique(np.concatenate([np.arange(0, n_rows, BATCH_ROWS), [n_rows], *(each.ends for each in groups)]))
    yield from zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)


def _errors(tables: Mapping[str, pa.Table | None], n_rows: int) -> list[dict[str, str]]:
    """Why features of each row are missing, by family."""
    found: list[dict[str, str]] = [{} for _ in range(n_rows)]
    for family, rows in tables.items():
        if rows is not None and rows.column(error_column(family)).null_count < n_rows:
            for row, error in enumerate(rows.column(error_column(family)).to_pylist()):
                if error is not None:
                    found[row][family] = error
    return found


def _row(
    contents: Contents,
    output: Output,
    piece: Piece,
    told: Mapping[str, Any],
    weight: float | None,
    errors: dict[str, str],
    fetch: Fetch | None,
    ahead: Ahead | None,
) -> Row:
    shard = piece.shard
    blobs = read.blobs(contents.files, shard.samples, told, fetch)
    parts = {name: blob for name, blob in blobs.items() if name in contents.parts}
    about = {
        "key": told["key"],
        "path": below(told["key"], shard.source),
        "source": shard.source,
        "parent": told["parent"],
        "split": output.split or None,
        "weight": weight,
        "label": told["label"],
        "meta": json.loads(told["meta"]),
        "text": {name: text for name, text in told["text"] if name in contents.parts},
        "parts": {part["name"]: _part(part) for part in told["parts"] if part["name"] in contents.parts},
        "errors": errors,
    }
    return Row(about, parts, ahead)


def _part(told: Mapping[str, Any]) -> dict[str, Any]:
    """What the store knows of a part, without what a reader does not need."""
    found = {"kind": told["kind"], "extension": told["extension"], "encoding": told["encoding"]}
    if told["pointer"]:
        found["pointer"] = told["pointer"]
    if told["map"]:
        found["map"] = json.loads(told["map"])
    return found
