"""A stream as an `IterableDataset` of Hugging Face `datasets`: its samples one by one, as Arrow tables underneath.

The classes of `datasets` that hold the place of an iteration are used as its own sources use them, and a place in a
stream is found in constant time, where `from_generator` would run through all that comes before.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from datasets.formatting import PythonFormatter
from datasets.iterable_dataset import ArrowExamplesIterable

from mmdata.core.arrays import ArraySpec
from mmdata.errors import ConfigError
from mmdata.loader.media import Medium
from mmdata.loader.mixing import PARTNER, WEIGHT
from mmdata.loader.stream import Stream

_ARRAYS = {2: datasets.Array2D, 3: datasets.Array3D, 4: datasets.Array4D, 5: datasets.Array5D}


def to_huggingface(stream: Stream, *, shards: int = 8) -> datasets.IterableDataset:
    """The samples of a stream as a dataset of Hugging Face `datasets`, in the stream's order.

    A sample is a dict of what the stream's batches have, without padding, lengths and masks; what it lacks is None.
    `set_epoch(e)` goes to the stream's e-th epoch from the one that it is at. `state_dict` and `load_state_dict` take
    an epoch up anywhere, and what was given is not read again. `with_format("numpy")` or "torch" gives arrays, and
    faster; `datasets` has no None there for arrays of several fixed axes.

    Args:
        stream: what is read; it does not move. Its batches are how much is read at a time.
        shards: runs of steps; workers of a `DataLoader`, of which there may be as many, share them. Each begins by
            reading windows of its own: few are quicker.

    Raises:
        ConfigError: shards is below 1.
    """
    if shards < 1:
        raise ConfigError("to_huggingface", [f"shards: must be at least 1, not {shards}"])
    features = features_of(stream)
    tables = StreamTables(stream, features, stream.epoch, tuple(range(min(shards, stream.n_steps))))
    return datasets.IterableDataset(tables, info=datasets.DatasetInfo(features=features))


def features_of(stream: Stream) -> datasets.Features:
    """What a sample of a stream holds, as `datasets` says it."""
    found: dict[str, Any] = {}
    for column in stream.contents.columns:
        if column.spec is not None:
            found[column.name] = _feature(column.spec)
        else:
            found[column.name] = datasets.Value("binary" if isinstance(column, Medium) else "string")
        if isinstance(column, Medium) and column.is_sound:
            found[f"{column.name}.rate_hz"] = datasets.Value("int64")
        if isinstance(column, Medium) and column.times is not None:
            found[f"{column.name}.times_s"] = datasets.List(datasets.Value("float64"))
    if stream.order.marks_real:
        found["real"] = datasets.Value("bool")
    if stream.mixing is not None:
        found |= {PARTNER: datasets.Value("int64"), WEIGHT: datasets.Value("float64")}
    if stream.names:
        found["part"] = datasets.Value("int64")
    return datasets.Features(found)


def _feature(spec: ArraySpec) -> Any:
    if len(spec.shape) in _ARRAYS and not spec.varying:  # where axes vary, `datasets` makes NaN of what is not there
        return _ARRAYS[len(spec.shape)](shape=spec.shape, dtype=spec.dtype)
    feature: Any = datasets.Value(spec.dtype)
    for size in reversed(spec.shape):
        feature = datasets.List(feature, length=size or -1)  # pyarrow divides by a length, which must not be 0
    return feature


class StreamTables(ArrowExamplesIterable):  # type: ignore[misc]  # datasets has no types
    """The tables that a stream's batches make, run of steps by run of steps."""

    def __init__(self, stream: Stream, features: datasets.Features, epoch: int, shards: tuple[int, ...]) -> None:
        super().__init__(self._tables, {})
        self._stream, self._features, self._epoch, self._shards = stream, features, epoch, shards
        self._n_shards = max(1, len(shards))

    @property
    def is_typed(self) -> bool:
        return True

    @property
    def features(self) -> datasets.Features:
        return self._features

    @property
    def num_shards(self) -> int:
        return len(self._shards)

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        formatter = PythonFormatter(features=self._features)
        for key, table in self._given(at_once=1):
            yield key, formatter.format_row(table)

    def _iter_arrow(self) -> Iterator[tuple[str, pa.Table]]:
        yield from self._given(at_once=None)

    def _given(self, *, at_once: int | None) -> Iterator[tuple[str, pa.Table]]:
        """What is left of all shards; the state moves along, as `datasets` reads it from outside."""
        state = self._state_dict or {"shard_idx": 0, "shard_example_idx": 0}
        for shard in self._shards[state["shard_idx"] :]:
            with closing(self._tables(shard, state["shard_example_idx"])) as tables:
                for key, table in tables:
                    for part in [table] if at_once is None else _cut(table, at_once):
                        state["shard_example_idx"] += len(part)
                        yield key, part
            state["shard_idx"] += 1
            state["shard_example_idx"] = 0

    def _tables(self, shard: int, skip: int) -> Generator[tuple[str, pa.Table], None, None]:
        """The tables of one shard, without the first `skip` rows."""
        schema = self._features.arrow_schema
        n_steps, size = self._stream.order.n_steps(self._epoch), self._stream.batch_size
        first, last = (n_steps * number // self._n_shards for number in (shard, shard + 1))
        start = first + (skip // size if size else 0)
        skip -= (start - first) * (size or 0)
        if start >= last:
            return
        for step, batch in self._stream.batches(self._epoch, start=start):
            table = table_of(batch, self._stream.specs, schema).slice(skip)
            skip = max(0, skip - len(batch["key"]))
            if len(table):
                yield f"{self._epoch}_{step}", table
            if step + 1 >= last:
                return

    def shuffle_data_sources(self, generator: np.random.Generator) -> StreamTables:
        """Another epoch: `datasets` tells which by what it made the generator from, as it does a seed of `shuffle`."""
        told = getattr(generator.bit_generator.seed_seq, "entropy", None)
        number = told if isinstance(told, int) else int(generator.integers(1 << 31))
        return self._with(self._stream.epoch + number % (1 << 31), self._shards)

    def shard_data_sources(self, num_shards: int, index: int, contiguous: bool = True) -> StreamTables:
        """The part of the shards that one of several readers has."""
        mine = self.split_shard_indices_by_worker(num_shards, index, contiguous=contiguous)
        return self._with(self._epoch, tuple(self._shards[number] for number in mine))

    def reshard_data_sources(self) -> StreamTables:
        return self

    def _with(self, epoch: int, shards: tuple[int, ...]) -> StreamTables:
        made = StreamTables(self._stream, self._features, epoch, shards)
        made._n_shards = self._n_shards
        return made


def _cut(table: pa.Table, rows: int) -> Iterator[pa.Table]:
    return (table.slice(first, rows) for first in range(0, len(table), rows))


def table_of(batch: Mapping[str, Any], specs: Mapping[str, ArraySpec], schema: pa.Schema) -> pa.Table:
    """A batch as an Arrow table: padding cut off, null where a sample has nothing."""
    return pa.Table.from_arrays([_column_or_times(batch, field, specs) for field in schema], schema=schema)


def _column_or_times(batch: Mapping[str, Any], field: pa.Field, specs: Mapping[str, ArraySpec]) -> pa.Array:
    film = field.name.removesuffix(".times_s")
    if film == field.name or film not in specs:
        return _column(batch, field, specs.get(field.name))
    times, is_there = np.asarray(batch[field.name]), np.asarray(batch[f"{film}.mask"])
    counts = np.full(len(times), times.shape[1])
    if "time" in specs[film].varying:  # the first axis
        counts = np.asarray(batch[f"{film}.length"]).reshape(len(times), -1)[:, 0]
    rows = (row[:count].tolist() if there else None for row, count, there in zip(times, counts, is_there, strict=True))
    return pa.array(list(rows), field.type)


def _column(batch: Mapping[str, Any], field: pa.Field, spec: ArraySpec | None) -> pa.Array:
    name = field.name
    if spec is None:
        given = batch[name]
        return pa.array(given if isinstance(given, list) else np.asarray(given), field.type)
    values, missing = np.asarray(batch[name]), ~np.asarray(batch[f"{name}.mask"])
    kind = field.type.storage_type if isinstance(field.type, pa.BaseExtensionType) else field.type
    if values.ndim == 1:
        return pa.array(values, kind, mask=missing)
    arrays = [values.reshape(values.shape[0] * values.shape[1], *values.shape[2:])]
    counts = np.full(len(values), values.shape[1])
    if spec.varying:
        lengths = np.asarray(batch[f"{name}.length"]).reshape(len(values), -1)
        arrays = [array[_real(spec, sizes)] for array, sizes in zip(values, lengths, strict=True)]
        counts = np.array([len(array) for array in arrays], np.int64)
    made = _lists(arrays, counts, kind, missing)
    return made if kind is field.type else pa.ExtensionArray.from_storage(field.type, made)


def _real(spec: ArraySpec, lengths: np.ndarray) -> tuple[slice, ...]:
    """The part of a padded array that is no padding."""
    each = iter(lengths.tolist())
    return tuple(slice(next(each) if size is None else size) for size in spec.shape)


def _lists(arrays: Sequence[np.ndarray], counts: np.ndarray, kind: pa.DataType, missing: np.ndarray | None) -> pa.Array:
    """Arrays of [item, *axes], one after another, as lists of `counts` items each, and items as lists in turn."""
    if arrays and arrays[0].ndim > 1:
        inner = np.concatenate([np.full(len(array), array.shape[1]) for array in arrays])
        merged = [array.reshape(array.shape[0] * array.shape[1], *array.shape[2:]) for array in arrays]
        items = _lists(merged, inner, kind.value_type, None)
    else:
        items = pa.array(np.concatenate(arrays), kind.value_type)
    mask = pa.array(missing) if missing is not None and missing.any() else None
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(items, type=kind, mask=mask)
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, items, type=kind, mask=mask)
