"""Parquet that any tool reads: a column a part and a feature, arrays as lists, media as bytes.

    DEST/data/SPLIT-00000-of-00002.parquet

Columns: key, path (the key without its source's name), source, parent, label, meta (JSON), split and weight where there
is a selection; a part's column holds its bytes, a text's its text; a feature is a native value or nested lists of its
own dtype. `parts` (JSON) says of each part what the store knows, and `errors` (JSON) why features are missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmdata.core.arrays import ArraySpec
from mmdata.errors import Unreadable
from mmdata.sink.contents import Contents, Output
from mmdata.sink.form import Place, Written
from mmdata.sink.lists import list_type, lists
from mmdata.sink.names import Columns, columns_of
from mmdata.sink.rows import Batch, Row
from mmdata.store.files import HashedFile
from mmdata.store.tables import SPEC, length_columns

GROUP_ROWS, GROUP_BYTES = 10_000, 32 << 20
CELL_BYTES = (1 << 31) - 1
_JSON = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True)
class Parquet:
    """Tables for any tool.

    Args:
        contents: what goes out.
    """

    contents: Contents

    def faults(self, contents: Contents) -> list[str]:  # noqa: ARG002  whatever there is can be a column
        """Why such contents can't be written so."""
        return []

    def names(self) -> dict[str, str]:
        """Parts and features by their column."""
        return self.columns.told()

    def path(self, output: Output) -> str:
        """The file of an output."""
        return f"data/{output.name}.parquet"

    def finish(self, written: Sequence[Written], place: Place) -> Sequence[Written]:  # noqa: ARG002
        """Nothing: the folder is the list."""
        return written

    @cached_property
    def columns(self) -> Columns:
        return columns_of(self.contents)

    @cached_property
    def schema(self) -> pa.Schema:
        """Of every file."""
        names, text = self.columns, pa.string()
        fields = [pa.field("key", text, nullable=False)]
        fields += [pa.field(name, text) for name in ("path", "source", "parent", "label", "meta")]
        if self.contents.selection is not None:
            fields += [pa.field("split", text), pa.field("weight", pa.float64())]
        for name, form in self.contents.parts.items():
            fields.append(pa.field(names.parts[name], text if form.is_text else self.media_type(name)))
            fields += [pa.field(names.raw[name], pa.binary())] if name in names.raw else []
        fields.append(pa.field("parts", text))
        for name, (_, spec) in self.contents.features.items():
            about = {SPEC: spec.to_json().encode(), **self.array_metadata(spec)}
            fields.append(pa.field(names.features[name], self.array_type(spec), metadata=about))
            fields += [pa.field(each, pa.int32()) for each in _lengths(names.features[name], spec)]
        return pa.schema([*fields, pa.field("errors", text)], metadata=self.metadata())

    # ---- what the tables of Hugging Face have otherwise

    def metadata(self) -> dict[bytes, bytes] | None:
        """The schema's metadata."""
        return None

    def array_metadata(self, spec: ArraySpec) -> dict[bytes, bytes]:  # noqa: ARG002
        """More metadata of an array's column."""
        return {}

    def media_type(self, part: str) -> pa.DataType:  # noqa: ARG002
        """The type of a part's column."""
        return pa.binary()

    def media(self, row: Row, part: str, data: bytes) -> Any:  # noqa: ARG002
        """A part's cell."""
        return data

    def has_fixed_lists(self, spec: ArraySpec) -> bool:  # noqa: ARG002
        """Whether an array's axes of one size are lists of that size."""
        return True

    # ---- writing

    def array_type(self, spec: ArraySpec) -> pa.DataType:
        return list_type(spec, fixed=self.has_fixed_lists(spec))

    def write(self, output: Output, batches: Iterator[Batch], place: Place) -> Written:
        """Write a table, a row group in memory at a time."""
        path = self.path(output)
        with place.new(path) as file, _Groups(file, self.schema) as groups:
            for batch in batches:
                for start, stop in _cuts(batch.rows):
                    part = batch.cut(start, stop)
                    groups.add(self._table(part), sum(row.n_bytes for row in part.rows))
        return Written.of(path, output.split, output.n_rows, file)

    def _table(self, batch: Batch) -> pa.Table:
        abouts = [row.about for row in batch.rows]
        made: dict[str, Any] = {}
        for name in ("key", "path", "source", "parent", "label", "split", "weight"):
            made[name] = [about[name] for about in abouts]
        for name in ("meta", "parts"):
            made[name] = [_JSON.encode(about[name]) for about in abouts]
        made["errors"] = [_JSON.encode(about["errors"]) if about["errors"] else None for about in abouts]
        data = [self._data(row) for row in batch.rows]  # in order of the rows: of the tar
        for name, form in self.contents.parts.items():
            made |= self._texts(name, batch, data) if form.is_text else self._media(name, batch, data)
        for name in self.contents.features:
            made |= self._feature(name, batch)
        arrays = [
            each if isinstance(each := made[field.name], pa.Array) else pa.array(each, field.type)
            for field in self.schema
        ]
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def _data(self, row: Row) -> dict[str, bytes]:
        """A row's parts that are needed as bytes."""
        for name, part in row.parts.items():
            if part.size > CELL_BYTES:
                raise Unreadable(f"{row.key!r}: part {name!r} has over 2 GiB, which no cell holds: export other parts")
        parts = self.contents.parts
        return {name: row.data(name) for name in row.parts if name in self.columns.raw or not parts[name].is_text}

    def _texts(self, name: str, batch: Batch, data: Sequence[Mapping[str, bytes]]) -> dict[str, Any]:
        """A text part, and its own bytes where they are others than the text's UTF-8."""
        texts = [row.text(name, each.get(name)) for row, each in zip(batch.rows, data, strict=True)]
        made: dict[str, Any] = {self.columns.parts[name]: texts}
        if name in self.columns.raw:
            own = [each.get(name) for each in data]
            made[self.columns.raw[name]] = [
                None if text is not None and each == text.encode() else each
                for text, each in zip(texts, own, strict=True)
            ]
        return made

    def _media(self, name: str, batch: Batch, data: Sequence[Mapping[str, bytes]]) -> dict[str, Any]:
        cells = [
            self.media(row, name, each[name]) if name in each else None
            for row, each in zip(batch.rows, data, strict=True)
        ]
        return {self.columns.parts[name]: cells}

    def _feature(self, name: str, batch: Batch) -> dict[str, Any]:
        rows, spec = batch.table(name), batch.spec(name)
        column, fixed = self.columns.features[name], self.has_fixed_lists(spec)
        own = length_columns(name, spec) if len(spec.varying) > 1 else []
        if rows is None:
            none = pa.nulls(len(batch.rows), self.array_type(spec))
            return {column: none} | {each: [None] * len(batch.rows) for each in _lengths(column, spec)}
        made: dict[str, Any] = {column: lists(rows, name, spec, fixed=fixed)}
        for each, length in zip(_lengths(column, spec), own, strict=True):
            made[each] = rows.column(length).combine_chunks()
        return made


def _lengths(column: str, spec: ArraySpec) -> list[str]:
    """Where two axes or more vary, their lengths stand beside the lists: those of an empty array would be lost."""
    return length_columns(column, spec) if len(spec.varying) > 1 else []


def _cuts(rows: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """Ranges of rows whose media are held at once: of a row group's bytes, or a single row."""
    sizes = np.cumsum([0, *(row.n_bytes for row in rows)])
    start = 0
    while start < len(rows):
        fit = int(np.searchsorted(sizes, sizes[start] + GROUP_BYTES, side="right")) - 1
        stop = max(start + 1, min(fit, len(rows)))
        yield start, stop
        start = stop


class _Groups:
    """Row groups of a file in the making."""

    def __init__(self, file: HashedFile, schema: pa.Schema) -> None:
        self._schema = schema
        flat = [each.name for each in schema if not pa.types.is_nested(each.type) and not pa.types.is_binary(each.type)]
        self._writer = pq.ParquetWriter(
            pa.PythonFile(file, mode="w"),
            schema,
            compression="zstd",
            use_dictionary=[name for name in ("source", "split", "label") if name in flat],
            write_statistics=[name for name in flat if name not in ("meta", "parts", "errors")],
            version="2.6",
        )
        self._waiting: list[pa.Table] = []
        self._rows = self._bytes = 0

    def add(self, rows: pa.Table, n_bytes: int) -> None:
        """Add rows; `n_bytes` is of their media."""
        self._waiting.append(rows)
        self._rows += rows.num_rows
        self._bytes += max(n_bytes, rows.nbytes)
        if self._rows >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            table = pa.concat_tables(self._waiting)
            self._writer.write_table(table, row_group_size=self._rows)
        self._waiting, self._rows, self._bytes = [], 0, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Write what waits, and the file's end; after an error, only let go of the file."""
        if kind is None:
            self._flush()
            self._writer.close()
        else:
            with suppress(OSError):  # a full disk must not hide the error that led here
                self._writer.close()
