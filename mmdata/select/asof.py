"""Point-in-time queries: for each sample what was known of it at its time, out of a table of features with times.

A feature row says what held from its `event_time` on, and was written at its `created_time`; it was known from the
later of both on. A sample sees, of the rows of its entity that were known at its time, the one of the newest
`event_time`; of several, the one that was created last; of several, the one that stands last. Rows that came late, or
corrected an older one, are not seen before they came, so that nothing of the future leaks into training. This is what
Feast's `get_historical_features` gives (its `ttl` is `max_age_s`), but that Feast uses the time of creation for ties
alone.

Rows are ranked once by event, creation and place. The best row that is known at a time is then the running maximum of
ranks in order of when rows became known, and a sample finds it by one ASOF join. DuckDB sorts and joins, on disk where
memory doesn't hold.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmdata.core.pipeline import guess
from mmdata.errors import ConfigError
from mmdata.select.instants import micros

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from mmdata.store import Store

LEAST_BYTES = 64_000_000
BATCH_ROWS = 65_536
FOUND_TIME = "feature_time"
_CONFIG: dict[str, Any] = {
    "threads": 2,
    "preserve_insertion_order": "false",
    "python_enable_replacements": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
}


@dataclass(frozen=True, kw_only=True)
class AsOf:
    """Which row of a table of features belongs to a sample.

    Args:
        entity: of what both speak: the samples' columns, and the features' columns for each. Null is like nothing.
        time: the samples' column that says when: what was known then is seen. A sample without has no features.
        event_time: the features' column that says from when on a row holds. A row without is not seen.
        created_time: the features' column that says when a row was written; a row without counts as written at its
            event. None where there is no such column.
        max_age_s: seconds that a row is seen from its event on, to the microsecond and inclusive; None is for ever.
        columns: what is taken of the features; None is all other columns.
        memory_bytes: what DuckDB may hold in memory; the rest lies in temporary files.
        folder: for these files; the system's unless said.

    Raises:
        ConfigError: a setting is out of range.
    """

    entity: Mapping[str, str]
    time: str
    event_time: str = "event_time"
    created_time: str | None = "created_time"
    max_age_s: float | None = None
    columns: Sequence[str] | None = None
    memory_bytes: int = 512_000_000
    folder: str | Path | None = None

    def __post_init__(self) -> None:
        faults = [] if self.entity else ["entity: which columns say what a row is about?"]
        if self.max_age_s is not None and not 0 <= self.max_age_s < math.inf:
            faults.append(f"max_age_s: must be a number of seconds, at least 0, not {self.max_age_s}")
        if self.memory_bytes < LEAST_BYTES:
            faults.append(f"memory_bytes: must be at least {LEAST_BYTES:,}, not {self.memory_bytes:,}")
        if faults:
            raise ConfigError("as_of", faults)


def as_of(
    samples: Store | pa.Table,
    features: pa.Table | pa.RecordBatchReader | str | os.PathLike[str],
    settings: AsOf | None = None,
    **given: Any,
) -> pa.RecordBatchReader:
    """The samples with the features that were known at their times.

    Args:
        samples: a store, of which key, entity and time are taken; or a table.
        features: rows with their times: a table, a stream of batches, or a Parquet or CSV file, or a folder of Parquet
            files.
        settings: what belongs together.
        given: instead, the fields of `AsOf`.

    Returns:
        A row for each sample, in their order, in batches: the samples' columns, the features' columns, null where
        nothing was known, and `feature_time`, the event of what was found. Read it to its end, or close it.

    Raises:
        ConfigError: columns that are not there, clash, or are of types that can't be compared; times that are none.
        OSError: a file can't be read, or the disk is full.
    """
    import pyarrow as pa

    asked = settings or AsOf(**given)
    table = samples if isinstance(samples, pa.Table) else samples.table(["key", *_distinct(asked)])
    reader = _reader(features)
    kinds = _checked(asked, table.schema, reader.schema)
    columns = _columns(asked, reader.schema)
    fields = [*table.schema, *(reader.schema.field(name).with_nullable(True) for name in columns)]
    schema = pa.schema([*fields, pa.field(FOUND_TIME, pa.timestamp("us", "UTC"))])
    return pa.RecordBatchReader.from_batches(schema, _joined(asked, table, reader, kinds, columns, schema))


def write_as_of(found: pa.RecordBatchReader, path: str | os.PathLike[str]) -> tuple[int, int]:
    """Write what `as_of` found as a Parquet file, which is there as a whole or not at all.

    Returns:
        How many samples there are, and of how many something was known.
    """
    import pyarrow.parquet as pq

    rows = known = 0
    part = Path(f"{os.fspath(path)}.part")
    try:
        with pq.ParquetWriter(part, found.schema) as writer:
            for batch in found:
                writer.write_batch(batch)
                rows, known = rows + batch.num_rows, known + batch.num_rows - batch.column(FOUND_TIME).null_count
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return rows, known


def _distinct(asked: AsOf) -> list[str]:
    return [name for name in dict.fromkeys([*asked.entity, asked.time]) if name != "key"]


def _reader(features: pa.Table | pa.RecordBatchReader | str | os.PathLike[str]) -> pa.RecordBatchReader:
    import pyarrow as pa
    from pyarrow import dataset

    if isinstance(features, pa.Table):
        return features.to_reader(BATCH_ROWS)
    if isinstance(features, pa.RecordBatchReader):
        return features
    path = os.fspath(features)
    try:
        found = dataset.dataset(path, format="csv" if path.endswith(".csv") else "parquet")
        scanner = found.scanner(batch_size=BATCH_ROWS, batch_readahead=2, fragment_readahead=1, use_threads=False)
        return scanner.to_reader()
    except pa.ArrowInvalid as error:
        raise ConfigError("as_of", [f"features: {path!r} is no Parquet file or CSV: {error}"]) from error


def _columns(asked: AsOf, schema: pa.Schema) -> list[str]:
    if asked.columns is not None:
        return list(dict.fromkeys(asked.columns))
    taken = {*asked.entity.values(), asked.event_time, asked.created_time}
    return [name for name in schema.names if name not in taken]


def _checked(asked: AsOf, samples: pa.Schema, features: pa.Schema) -> list[pa.DataType]:
    """The types in which entities are compared. Raises ConfigError with all that is wrong with columns."""
    wanted = [("entity", name, samples) for name in asked.entity] + [("time", asked.time, samples)]
    wanted += [("entity", name, features) for name in asked.entity.values()]
    wanted += [("event_time", asked.event_time, features)]
    wanted += [("created_time", asked.created_time, features)] if asked.created_time is not None else []
    wanted += [("columns", name, features) for name in asked.columns or ()]
    faults = []
    for setting, name, schema in wanted:
        if (count := len(schema.get_all_field_indices(name))) != 1:
            whose, many = ("samples" if schema is samples else "features"), f" {count} times" if count else ""
            there = "" if count else guess(name, schema.names)
            faults.append(
                f"{setting}: the {whose} have {'no column' if not count else 'the column'} {name!r}{many}{there}"
            )
    twice = {*samples.names, FOUND_TIME} & {*_columns(asked, features)}
    faults += [f"columns: {name!r} is the name of two columns: rename one" for name in sorted(twice)]
    if FOUND_TIME in samples.names:
        faults.append(f"columns: the samples have a column {FOUND_TIME!r}, which is what is found: rename it")
    if faults:
        raise ConfigError("as_of", faults)
    kinds = [_compared(samples.field(mine).type, features.field(theirs).type) for mine, theirs in asked.entity.items()]
    for (mine, theirs), kind in zip(asked.entity.items(), kinds, strict=True):
        if kind is None:
            each = f"{mine!r} is {samples.field(mine).type}, {theirs!r} is {features.field(theirs).type}"
            faults.append(f"entity: whole numbers, texts and truth values can be compared; {each}")
    if faults:
        raise ConfigError("as_of", faults)
    return [kind for kind in kinds if kind is not None]


def _compared(mine: pa.DataType, theirs: pa.DataType) -> pa.DataType | None:
    """The type in which two columns are compared; None where they can't be."""
    import pyarrow as pa

    kinds = [kind.value_type if pa.types.is_dictionary(kind) else kind for kind in (mine, theirs)]
    if all(pa.types.is_boolean(kind) for kind in kinds):
        return pa.bool_()
    if all(pa.types.is_integer(kind) or pa.types.is_null(kind) for kind in kinds):
        return pa.int64()
    is_known = [
        pa.types.is_integer(kind)
        or pa.types.is_null(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        for kind in kinds
    ]
    return pa.string() if all(is_known) else None


def _joined(
    asked: AsOf,
    table: pa.Table,
    reader: pa.RecordBatchReader,
    kinds: Sequence[pa.DataType],
    columns: Sequence[str],
    schema: pa.Schema,
) -> Iterator[pa.RecordBatch]:
    """The rows of the result. Its connection and temporary files go when it ends, or is let go of."""
    import duckdb

    with ExitStack() as held:
        folder = held.enter_context(tempfile.TemporaryDirectory(prefix="mmdata-asof-", dir=asked.folder))
        config = _CONFIG | {"memory_limit": f"{asked.memory_bytes}B", "temp_directory": folder}
        connection = held.enter_context(duckdb.connect(os.path.join(folder, "rows.duckdb"), config=config))
        connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        try:
            _fill(connection, asked, table, reader, kinds, columns)
            yield from _found(connection, asked, table, columns, schema)
        except duckdb.OutOfMemoryException as error:
            raise ConfigError("as_of", [f"memory_bytes: {asked.memory_bytes:,} is too little: {error}"]) from error


def _fill(
    connection: DuckDBPyConnection,
    asked: AsOf,
    table: pa.Table,
    reader: pa.RecordBatchReader,
    kinds: Sequence[pa.DataType],
    columns: Sequence[str],
) -> None:
    """Put samples and features into tables: entities are e0, e1..., features c0, c1..., times microseconds."""
    import pyarrow as pa

    entities = [f"e{number}" for number in range(len(kinds))]
    at = micros(_whole(table[asked.time]), asked.time, up=False, connection=connection)
    mine = [_key(_whole(table[name]), kind, name) for name, kind in zip(asked.entity, kinds, strict=True)]
    places = pa.array(range(table.num_rows), pa.int64())
    _insert(connection, "samples", pa.table([*mine, at, places], [*entities, "at", "row"]))
    names = [*entities, "event", "created", "row", *(f"c{number}" for number in range(len(columns)))]
    first = 0
    for batch in reader:
        event = micros(batch[asked.event_time], asked.event_time, up=True, connection=connection)
        created = event
        if asked.created_time is not None:
            created = micros(batch[asked.created_time], asked.created_time, up=True, connection=connection)
        theirs = [_key(batch[name], kind, name) for name, kind in zip(asked.entity.values(), kinds, strict=True)]
        numbers = pa.array(range(first, first + batch.num_rows), pa.int64())
        values = [batch[name] for name in columns]
        _insert(connection, "given", pa.table([*theirs, event, created, numbers, *values], names))
        first += batch.num_rows
    if not first:
        empty = [*kinds, pa.int64(), pa.int64(), pa.int64(), *(reader.schema.field(name).type for name in columns)]
        _insert(connection, "given", pa.table([pa.array([], kind) for kind in empty], names))


def _insert(connection: DuckDBPyConnection, name: str, rows: pa.Table) -> None:
    import duckdb

    try:
        connection.register("batch", rows)
        there = connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = ?", [name]).fetchone()
        connection.execute(f"INSERT INTO {name} FROM batch" if there else f"CREATE TABLE {name} AS FROM batch")
    except (duckdb.NotImplementedException, duckdb.ConversionException, duckdb.InvalidInputException) as error:
        raise ConfigError("as_of", [f"columns: not of a type that can be joined: {error}"]) from error
    connection.unregister("batch")


def _found(
    connection: DuckDBPyConnection, asked: AsOf, table: pa.Table, columns: Sequence[str], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    entities = [f"e{number}" for number in range(len(asked.entity))]
    keys, same = ", ".join(entities), " AND ".join(f"s.{each} = b.{each}" for each in entities)
    # names are ours, and the only number is one: nothing of what a user writes comes into SQL
    connection.execute(
        f"CREATE TABLE ranked AS SELECT {keys}, row, event, greatest(event, created) AS known, "  # noqa: S608
        "row_number() OVER (ORDER BY event, coalesce(created, event), row) AS rank FROM given WHERE event IS NOT NULL"
    )
    connection.execute(
        f"CREATE TABLE best AS SELECT {keys}, known, "  # noqa: S608
        f"max(rank) OVER (PARTITION BY {keys} ORDER BY known RANGE UNBOUNDED PRECEDING) AS rank FROM ranked"
    )
    connection.execute(
        "CREATE TABLE found AS SELECT s.row, s.at, b.rank "  # noqa: S608
        f"FROM samples s ASOF LEFT JOIN best b ON {same} AND s.at >= b.known"
    )
    young = "" if asked.max_age_s is None else f"AND f.at - k.event <= {math.floor(asked.max_age_s * 1e6)}"
    chosen = "".join(f"g.c{number}, " for number in range(len(columns)))
    found = connection.sql(
        f"SELECT {chosen} k.event FROM found f LEFT JOIN ranked k ON k.rank = f.rank {young} "  # noqa: S608
        "LEFT JOIN given g ON g.row = k.row ORDER BY f.row"
    )
    at = 0
    for batch in found.to_arrow_reader(BATCH_ROWS):
        values = [
            _whole(column) if isinstance(column, pa.ChunkedArray) else column
            for column in (*table.slice(at, batch.num_rows).columns, *batch.columns)
        ]
        made = [value.cast(field.type) for value, field in zip(values, schema, strict=True)]
        yield pa.RecordBatch.from_arrays(made, schema=schema)
        at += batch.num_rows


def _whole(column: pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa

    found = column.combine_chunks()
    return found if isinstance(found, pa.Array) else pa.array([], column.type)


def _key(column: pa.Array, kind: pa.DataType, name: str) -> pa.Array:
    import pyarrow as pa

    try:
        return column.cast(kind)
    except pa.ArrowInvalid as error:
        raise ConfigError("as_of", [f"entity: {name!r} can't be compared as {kind}: {error}"]) from error
