"""Points in time as whole microseconds since 1970 in UTC, from whatever columns say them in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mmdata.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

MOST_US = 1 << 61  # some 73,000 years: differences of two instants are within 64 bits, too
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def micros(column: pa.Array, name: str, *, up: bool, connection: DuckDBPyConnection) -> pa.Array:
    """A column's instants: int64, null where there is none.

    Args:
        column: timestamps of any unit and zone, dates, seconds since 1970 as numbers, or ISO 8601 as text. What names
            no zone is UTC.
        name: of the column, for messages.
        up: what is finer than a microsecond is rounded up, else down.
        connection: DuckDB's, in the zone UTC, which reads text.

    Raises:
        ConfigError: it holds something else; says what.
    """
    import pyarrow as pa

    kind = column.type
    if pa.types.is_null(kind):
        return column.cast(pa.int64())
    if pa.types.is_date(kind):
        column, kind = column.cast(pa.timestamp("ms")), pa.timestamp("ms")
    if pa.types.is_timestamp(kind):
        return _scaled(column.cast(pa.int64()), _PER_SECOND[kind.unit], name, up=up)
    if pa.types.is_integer(kind):
        return _scaled(column.cast(pa.int64()), 1, name, up=up)
    if pa.types.is_floating(kind):
        return _of_seconds(column.cast(pa.float64()), name, up=up)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _of_text(column, name, connection)
    raise ConfigError("as_of", [f"{name}: expected times, seconds since 1970 or ISO 8601, not {kind}"])


def _scaled(values: pa.Array, per_second: int, name: str, *, up: bool) -> pa.Array:
    """Whole numbers of which a second has so many, as microseconds."""
    import pyarrow as pa

    numbers, none = values.fill_null(0).to_numpy(zero_copy_only=False), _is_null(values)
    most = MOST_US // 1_000_000 * per_second
    if len(numbers) and (numbers.max() > most or numbers.min() < -most):
        raise ConfigError("as_of", [f"{name}: holds a time more than 70,000 years away; are these seconds?"])
    if per_second <= 1_000_000:
        made = numbers * (1_000_000 // per_second)
    else:
        step = per_second // 1_000_000
        made = -(-numbers // step) if up else numbers // step
    return pa.array(made, pa.int64(), mask=none)


def _of_seconds(values: pa.Array, name: str, *, up: bool) -> pa.Array:
    import pyarrow as pa

    seconds = values.fill_null(np.nan).to_numpy(zero_copy_only=False)
    none = np.isnan(seconds)
    exact = np.where(none, 0, seconds) * 1e6
    if (np.abs(exact) > MOST_US).any():
        raise ConfigError("as_of", [f"{name}: holds a time more than 70,000 years away; are these seconds?"])
    return pa.array((np.ceil(exact) if up else np.floor(exact)).astype(np.int64), mask=none)


def _of_text(values: pa.Array, name: str, connection: DuckDBPyConnection) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    connection.register("texts", pa.table({"text": values}))
    relation = connection.sql("SELECT TRY_CAST(text AS TIMESTAMPTZ) AS instant FROM texts")
    relation = relation.project("CASE WHEN isfinite(instant) THEN epoch_us(instant) END")
    found = relation.to_arrow_table().column(0).combine_chunks()
    connection.unregister("texts")
    unread = pc.and_(values.is_valid(), found.is_null())
    if pc.any(unread).as_py():
        raise ConfigError("as_of", [f"{name}: {values.filter(unread)[0].as_py()!r} is no time in ISO 8601"])
    return found if isinstance(found, pa.Array) else pa.array([], pa.int64())


def _is_null(values: pa.Array) -> np.ndarray:
    return np.asarray(values.is_null().to_numpy(zero_copy_only=False))
