"""The workers' side of features: chunks of arrays to one Parquet file of a family and a shard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa

from mmdata.core.arrays import ArraySpec
from mmdata.core.fingerprint import keys_digest
from mmdata.errors import SchemaMismatch, StoreError
from mmdata.store.files import Files
from mmdata.store.layout import DataFile, checked_family, folder, stem
from mmdata.store.parquet import TableFile
from mmdata.store.tables import feature_schema, is_scalar, storage_type

Arrays = np.ndarray | Sequence[np.ndarray | None]


class FeatureWriter:
    """Writes one shard's file of a feature family, a chunk of rows at a time.

    Args:
        url: the store. family: the family's name. columns: the promised arrays by column.
        shard: the shard's id. fp: fingerprint of all that made the arrays.

    Raises:
        StoreError: the family or a column has a name that can't be one.
    """

    def __init__(
        self,
        url: str,
        family: str,
        columns: Mapping[str, ArraySpec],
        *,
        shard: str,
        fp: str,
        storage_options: Mapping[str, str] | None = None,
    ) -> None:
        self._family = checked_family(family)
        self._columns, self._shard, self._fp = dict(columns), shard, fp
        self._schema = feature_schema(family, columns)
        self._keys: list[str] = []
        self._table = TableFile(Files.at(url, storage_options), f"{family}-{shard}-{fp}", self._schema)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.abort()

    def add(
        self, keys: Sequence[str], arrays: Mapping[str, Arrays], errors: Sequence[str | None] | None = None
    ) -> None:
        """Append rows, in the order of the shard's samples.

        Args:
            keys: the rows' keys.
            arrays: by column, an array or None (it failed) a row; or, for an array of fixed axes of which none is
                missing, all rows stacked: [row, *axes], which costs nothing a row. Nothing is copied: don't write to
                it afterwards.
            errors: a message a row, None where the feature is sound.

        Raises:
            SchemaMismatch: an array is not what its spec promised, or a column is missing or not promised.
        """
        if set(arrays) != set(self._columns):
            raise SchemaMismatch(
                f"family {self._family!r} promised columns {sorted(self._columns)}, given were {sorted(arrays)}"
            )
        made: dict[str, pa.Array] = {"key": pa.array(keys, pa.string())}
        sizes = np.full(len(keys), 16, np.int64)
        for column, spec in self._columns.items():
            given = arrays[column]
            if len(given) != len(keys):
                raise SchemaMismatch(f"{column!r} has {len(given)} arrays for {len(keys)} keys")
            cells, lengths, bytes_each = self._cells(column, spec, given, keys)
            made[column] = cells
            made |= {f"{column}#{dim}": length for dim, length in lengths.items()}
            sizes += bytes_each
        messages = list(errors) if errors is not None else [None] * len(keys)
        made[f"{self._family}#error"] = pa.array(messages, pa.string())
        rows = pa.Table.from_arrays([made[name] for name in self._schema.names], schema=self._schema)
        self._table.append(rows, sizes)
        self._keys.extend(keys)

    def _cells(
        self, column: str, spec: ArraySpec, given: Arrays, keys: Sequence[str]
    ) -> tuple[pa.Array, dict[str, pa.Array], np.ndarray | int]:
        """The column, the lengths of its varying axes, and bytes a row."""
        if spec.varying:
            return self._varying(column, spec, _one_by_one(given), keys)
        stacked, missing = self._stacked(column, spec, given, keys)
        return fixed_cells(spec, stacked, missing), {}, spec.item_bytes or 0

    def _stacked(
        self, column: str, spec: ArraySpec, given: Arrays, keys: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """All rows as one array, with zeros where a row is missing, and which those are (bool [row])."""
        if isinstance(given, np.ndarray) and given.dtype != object:
            if len(given) and (fault := spec.fault(given[0])):
                raise self._broken(column, keys[0], fault)
            return given, None
        stacked = np.zeros((len(keys), *(size or 0 for size in spec.shape)), np.dtype(spec.dtype))
        missing = np.zeros(len(keys), bool)
        dtype, shape = stacked.dtype, stacked.shape[1:]
        for row, array in enumerate(_one_by_one(given)):
            if array is None:
                missing[row] = True
            elif array.dtype == dtype and array.shape == shape:
                stacked[row] = array
            else:
                raise self._broken(column, keys[row], spec.fault(array) or "it breaks its promise")
        return stacked, missing if missing.any() else None

    def _varying(
        self, column: str, spec: ArraySpec, given: Sequence[np.ndarray | None], keys: Sequence[str]
    ) -> tuple[pa.Array, dict[str, pa.Array], np.ndarray]:
        cells: list[np.ndarray | None] = []
        lengths: dict[str, list[int | None]] = {dim: [] for dim in spec.varying}
        for row, array in enumerate(given):
            if array is not None and (fault := spec.fault(array)):
                raise self._broken(column, keys[row], fault)
            cells.append(None if array is None else np.ascontiguousarray(array, spec.little_endian))
            for axis, dim in enumerate(spec.dims):
                if dim in lengths:
                    lengths[dim].append(None if array is None else array.shape[axis])
        sizes = np.array([0 if cell is None else cell.nbytes for cell in cells], np.int64)
        made = {dim: pa.array(values, pa.int32()) for dim, values in lengths.items()}
        return varying_cells(cells, sizes), made, sizes

    def _broken(self, column: str, key: str, fault: str) -> SchemaMismatch:
        return SchemaMismatch(f"family {self._family!r}, column {column!r}, sample {key!r}: {fault}")

    def close(self, keys: str) -> DataFile:
        """Give the file its name.

        Args:
            keys: the digest of the keys of the samples that the rows belong to.

        Raises:
            StoreError: the rows' keys are others, or in another order.
        """
        try:
            if (own := keys_digest(self._keys)) != keys:
                raise StoreError(
                    f"family {self._family!r} of shard {self._shard} has other rows than its samples: "
                    f"the digest of its {len(self._keys)} keys is {own}, the samples' is {keys}"
                )
            path, size, digest = self._table.close(folder(self._family), stem(self._shard, self._fp, keys))
        except BaseException:
            self.abort()
            raise
        return DataFile(self._family, path, self._shard, self._fp, keys, len(self._keys), size, digest)

    def abort(self) -> None:
        """Delete what was written so far; nothing once it is closed."""
        self._table.abort()


def _one_by_one(given: Arrays) -> Sequence[np.ndarray | None]:
    """Rows as arrays; those of a stacked array of scalars come as numpy scalars, which have dtype and shape too."""
    return list(given) if isinstance(given, np.ndarray) else given


def varying_cells(cells: Sequence[np.ndarray | None], sizes: np.ndarray) -> pa.Array:
    """A binary column of contiguous arrays, null where there is none; their numbers are copied once.

    Args:
        cells: one a row.
        sizes: int64 [row], their bytes.
    """
    ends = np.cumsum(sizes)
    if len(ends) and ends[-1] > np.iinfo(np.int32).max:  # more than one array of Arrow's holds: it makes several
        return pa.array([None if cell is None else cell.tobytes() for cell in cells], pa.binary())
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    present = np.array([cell is not None for cell in cells], bool)
    validity = None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little"))
    data = pa.py_buffer(b"".join(b"" if cell is None else cell.data for cell in cells))
    return pa.Array.from_buffers(pa.binary(), len(cells), [validity, pa.py_buffer(offsets), data])


def fixed_cells(spec: ArraySpec, stacked: np.ndarray, missing: np.ndarray | None) -> pa.Array:
    """A column of fixed arrays from [row, *axes], null where `missing` (bool [row]). Copies nothing it need not."""
    kind = storage_type(spec)
    if is_scalar(spec) and not pa.types.is_fixed_size_binary(kind):
        return pa.array(stacked.astype(spec.little_endian, copy=False), mask=missing).cast(kind)
    raw = np.ascontiguousarray(stacked, dtype=spec.little_endian)
    validity = None if missing is None else pa.py_buffer(np.packbits(~missing, bitorder="little"))
    if pa.types.is_fixed_size_binary(kind):
        return pa.Array.from_buffers(kind, len(raw), [validity, pa.py_buffer(raw)])
    empty = np.zeros(len(raw) + 1, np.int32)  # arrays without entries
    return pa.Array.from_buffers(kind, len(raw), [validity, pa.py_buffer(empty), pa.py_buffer(b"")])
