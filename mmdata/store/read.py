"""From files back to samples and arrays."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Blob, Pointer, Sample
from mmdata.core.spans import SpaceMap, TimeMap
from mmdata.errors import Incomplete, SchemaMismatch, StoreError, Unreachable, Unreadable
from mmdata.store.files import Files
from mmdata.store.layout import DataFile
from mmdata.store.parquet import parquet_file
from mmdata.store.tables import FILES, error_column, is_scalar, length_columns, specs_of, storage_type
from mmdata.store.view import StoreView

Fetch = Callable[[Pointer], bytes]


@dataclass(frozen=True, eq=False)
class StoredBlob(Blob):
    """A part's bytes in the store, with what its row says of it.

    Args:
        kind: "image", "audio", "video", "text", "captions", "frames", "array" or "blob".
        encoding: "copy" (the source's own bytes), "encoded" or "reference" (not kept: read from the source).
        moves: the JSON of its time or space map; None where nothing was moved.
        source: where it came from, the text of a `Pointer`.
    """

    kind: str = "blob"
    encoding: str = "copy"
    moves: str | None = None
    source: str | None = None

    @property
    def time_map(self) -> TimeMap | None:
        """Which source time each moment plays; None where none was moved."""
        value = json.loads(self.moves) if self.moves else {}
        return TimeMap.from_json(value["time"]) if "time" in value else None

    @property
    def space_map(self) -> SpaceMap | None:
        """Which source pixel each pixel shows; None where none was moved."""
        value = json.loads(self.moves) if self.moves else {}
        return SpaceMap.from_json(value["space"]) if "space" in value else None


@dataclass(frozen=True)
class _Range:
    """Reads a member of a tar; can be sent to another process."""

    files: Files
    path: str
    offset: int
    length: int

    def __call__(self) -> bytes:
        return self.files.read_range(self.path, self.offset, self.length)


@dataclass(frozen=True)
class _Reference:
    """Reads a part that the store only points to."""

    key: str
    part: str
    pointer: str
    fetch: Fetch | None

    def __call__(self) -> bytes:
        if self.fetch is None or not self.pointer:
            raise Unreadable(
                f"{self.key!r}: part {self.part!r} is in its source only, not in the store: {self.pointer}"
            )
        return self.fetch(Pointer.parse(self.pointer))


def open_rows(files: Files, file: DataFile, columns: Sequence[str] | None = None) -> pa.Table:
    """A data file's rows, or some of their columns; features keep the metadata with their specs.

    Raises:
        Incomplete: the file is gone.
        SchemaMismatch: it is no Parquet file, or its columns are others than asked for.
    """
    with _explained(files, file), parquet_file(files, file.path, file.size_bytes) as opened:
        names = set(opened.schema_arrow.names)
        if lacking := sorted(set(columns or ()) - names):
            raise SchemaMismatch(f"{files.url}/{file.path} has no column {lacking[0]!r}, only {sorted(names)}")
        table: pa.Table = opened.read(columns=list(columns) if columns is not None else None, use_threads=False)
        return table


@contextmanager
def _explained(files: Files, file: DataFile) -> Iterator[None]:
    """Turn what pyarrow raises into errors of our own."""
    place = f"{files.url}/{file.path}"
    try:
        yield
    except FileNotFoundError as error:
        raise Incomplete(f"{place} is gone: `mmdata verify {files.url}` finds all such files") from error
    except Unreachable:
        raise
    except (pa.ArrowException, OSError) as error:
        raise SchemaMismatch(f"{place} is damaged or can't be read: {error}") from error


@contextmanager
def opened(files: Files, file: DataFile) -> Iterator[Any]:
    """A data file as an open `pyarrow.parquet.ParquetFile`. Raises as `open_rows` does."""
    with _explained(files, file), parquet_file(files, file.path, file.size_bytes) as found:
        yield found


def file_specs(files: Files, file: DataFile) -> dict[str, ArraySpec]:
    """The promises of a feature file, by column, from its footer. Raises as `open_rows` does."""
    with _explained(files, file), parquet_file(files, file.path, file.size_bytes) as opened:
        return specs_of(opened.schema_arrow)


def keys(files: Files, file: DataFile) -> list[str]:
    """The keys of a file's rows, in order."""
    found: list[str] = open_rows(files, file, ["key"]).column("key").to_pylist()
    return found


def samples(files: Files, file: DataFile, fetch: Fetch | None = None) -> Iterator[Sample]:
    """The samples of a file in order of its rows; every part is a `StoredBlob` that reads its bytes when asked.

    Args:
        files: the store's folder.
        file: of the family "samples".
        fetch: reads a part that was kept as a reference only.
    """
    columns = [name for name in FILES["samples"].names if name not in ("text", "digests")]
    for batch in open_rows(files, file, columns).to_batches(max_chunksize=1_000):
        for row in batch.to_pylist():
            yield sample(files, file, row, fetch)


def sample(files: Files, file: DataFile, row: Mapping[str, Any], fetch: Fetch | None = None) -> Sample:
    """The sample of one row."""
    return Sample(row["key"], blobs(files, file, row, fetch), json.loads(row["meta"]), row["parent"])


def blobs(files: Files, file: DataFile, row: Mapping[str, Any], fetch: Fetch | None = None) -> dict[str, StoredBlob]:
    """The stored parts of one row, by name."""
    return {part["name"]: _blob(files, file, row["key"], part, fetch) for part in row["parts"]}


def _blob(files: Files, file: DataFile, key: str, part: Mapping[str, Any], fetch: Fetch | None) -> StoredBlob:
    name = f"{key}.{part['name']}.{part['extension']}"
    about = (part["kind"], part["encoding"], part["map"], part["pointer"])
    if part["offset"] is None:
        pointer = part["pointer"] or ""
        load = _Reference(key, part["name"], pointer, fetch)
        return StoredBlob(Pointer.parse(pointer), part["length"], load, name, *about)
    if file.media is None:
        raise StoreError(f"{file.path} has media, but the log lists no tar for it")
    place = Pointer(file.media.path, part["offset"], part["length"])
    read = _Range(files, file.media.path, part["offset"], part["length"])
    return StoredBlob(place, part["length"], read, name, *about)


def arrays(rows: pa.Table, column: str, spec: ArraySpec) -> list[np.ndarray | None]:
    """A column's arrays, read-only views into the rows' memory; None where the feature failed."""
    made: list[np.ndarray | None] = []
    lengths = [rows.column(name).to_pylist() for name in length_columns(column, spec)]
    sizes = list(zip(*lengths, strict=True)) if lengths else None
    for cells in rows.column(column).chunks:
        if is_scalar(spec) or spec.item_bytes:
            stacked, valid = stacked_cells(cells, spec)
            made += [row if ok else None for row, ok in zip(stacked, valid, strict=True)]
        else:
            made += _varying(cells, spec, sizes[len(made) :] if sizes is not None else None)
    return made


def stacked_cells(cells: pa.Array, spec: ArraySpec) -> tuple[np.ndarray, np.ndarray]:
    """A column of arrays with fixed axes, as one.

    Returns:
        spec.dtype [row, *axes], a view of the column's memory where it is stored raw; and bool [row], false where the
        feature failed and the row's numbers mean nothing.
    """
    valid = np.asarray(cells.is_valid()) if cells.null_count else np.ones(len(cells), bool)
    if pa.types.is_fixed_size_binary(cells.type):
        shape = (len(cells), *(size or 0 for size in spec.shape))
        start = cells.offset * cells.type.byte_width
        body = np.frombuffer(cells.buffers()[1] or b"", np.uint8)[start : start + len(cells) * cells.type.byte_width]
        stacked: np.ndarray = body.view(spec.little_endian).reshape(shape)
        return stacked, valid
    if is_scalar(spec):
        filled = cells.fill_null(False if pa.types.is_boolean(cells.type) else 0) if cells.null_count else cells
        return filled.to_numpy(zero_copy_only=False).astype(spec.dtype, copy=False), valid
    return np.zeros((len(cells), *(size or 0 for size in spec.shape)), spec.dtype), valid


def _varying(cells: pa.Array, spec: ArraySpec, sizes: Sequence[tuple[int, ...]] | None) -> list[np.ndarray | None]:
    made: list[np.ndarray | None] = []
    for row, cell in enumerate(cells):
        if not cell.is_valid:
            made.append(None)
            continue
        given = iter(sizes[row] if sizes is not None else ())
        shape = tuple(next(given) if size is None else size for size in spec.shape)
        made.append(np.frombuffer(cell.as_buffer(), spec.little_endian).reshape(shape))
    return made


def arrow_column(rows: pa.Table, column: str, spec: ArraySpec) -> pa.ChunkedArray:
    """A feature as other tools want it: a scalar of its own dtype, or a `fixed_shape_tensor`; raw bytes otherwise.

    Arrow's tensors know no booleans: they come as uint8.
    """
    chunks = rows.column(column).chunks
    if not is_scalar(spec) and not spec.item_bytes:
        return rows.column(column)
    dtype = np.dtype(np.uint8 if spec.dtype == "bool" and spec.dims else spec.dtype)
    kind = pa.from_numpy_dtype(dtype)
    if spec.dims:
        kind = pa.fixed_shape_tensor(kind, [size or 0 for size in spec.shape], dim_names=list(spec.dims))
    return pa.chunked_array([_tensor(cells, spec, dtype, kind) for cells in chunks], kind)


def _tensor(cells: pa.Array, spec: ArraySpec, dtype: np.dtype[Any], kind: pa.DataType) -> pa.Array:
    stacked, valid = stacked_cells(cells, spec)
    missing = None if valid.all() else ~valid
    if not spec.dims:
        return pa.array(stacked, kind, mask=missing)
    flat = pa.array(np.ascontiguousarray(stacked).reshape(-1).view(dtype))
    mask = None if missing is None else pa.array(missing)
    listed = pa.FixedSizeListArray.from_arrays(flat, type=kind.storage_type, mask=mask)
    return pa.ExtensionArray.from_storage(kind, listed)


def empty_column(spec: ArraySpec) -> pa.DataType:
    """The type that `arrow_column` gives."""
    schema = pa.schema([("x", storage_type(spec))])
    made: pa.DataType = arrow_column(schema.empty_table(), "x", spec).type
    return made


def feature_rows(files: Files, file: DataFile) -> Iterator[tuple[str, dict[str, np.ndarray | None]]]:
    """Key and arrays by column of each row of a feature file, in order; rows whose feature failed are left out."""
    specs = file_specs(files, file)
    rows = open_rows(files, file)
    columns = [arrays(rows, column, spec) for column, spec in specs.items()]
    sound = rows.column(error_column(file.family)).is_null().to_pylist()
    for key, keep, *each in zip(rows.column("key").to_pylist(), sound, *columns, strict=True):
        if keep and any(array is not None for array in each):
            yield key, dict(zip(specs, each, strict=True))


def needed(column: str, spec: ArraySpec) -> list[str]:
    """The columns of a file that an array takes."""
    return [column, *length_columns(column, spec)]


def beside(files: Files, family: str, found: Sequence[DataFile]) -> pa.Table:
    """The rows of drops or rejects, with a column `source`."""
    schema = FILES[family].append(pa.field("source", pa.string()))
    tables = [
        open_rows(files, file).append_column("source", pa.array([file.source] * file.rows, pa.string()))
        for file in found
    ]
    return pa.concat_tables([schema.empty_table(), *tables])


def missing(files: Files, view: StoreView) -> pa.Table:
    """The features that failed: key, family, error."""
    schema = pa.schema([("key", pa.string()), ("family", pa.string()), ("error", pa.string())])
    tables = [schema.empty_table()]
    for shard in view.shards:
        for family, file in sorted(shard.features.items()):
            rows = open_rows(files, file, ["key", error_column(family)])
            failed = rows.filter(rows.column(1).is_valid())
            names = pa.array([family] * failed.num_rows, pa.string())
            tables.append(pa.Table.from_arrays([failed.column(0), names, failed.column(1)], schema=schema))
    return pa.concat_tables(tables)
