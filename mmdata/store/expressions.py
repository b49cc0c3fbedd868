"""Expressions in DuckDB's SQL over a table of samples: checked before they run, and shut in while they do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from tempfile import TemporaryDirectory
from threading import Timer
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from mmdata.errors import StoreError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ROW = "#row"
_SETTINGS: dict[str, Any] = {
    "enable_external_access": "false",
    "python_enable_replacements": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "temp_directory": "",  # or it is ./.tmp
}
_MOST_MEMORY = "1GB"  # of a query with bounds
_KNOWN_VOLATILE = frozenset({"error"})  # it ends the query, and says nothing new each time
# without brackets they look like columns
_SAID_OF_NOW = frozenset({"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"})


def faults(text: str) -> list[str]:
    """What is wrong with an expression, as far as its text alone tells; needs DuckDB, and no rows.

    Refused are what is no single expression, what reads anything but `samples`, and functions that answer differently
    each time, as a selection is to be the same whenever it is made of the same rows.
    """
    if not text.strip():
        return ["it is empty"]
    if any("\ud800" <= character <= "\udfff" for character in text):
        return ["it is not Unicode: it holds a lone surrogate"]
    try:
        return _faults(parsed(text))
    except RecursionError:
        return ["it is too deeply nested"]


def _faults(tree: Mapping[str, Any]) -> list[str]:
    if tree.get("error"):
        return [f"{tree.get('error_message') or 'it is no expression'}"]
    columns = tree["statements"][0]["node"].get("select_list", [])
    if len(tree["statements"]) != 1 or len(columns) != 1:
        return ["it is to be one expression"]
    found = list(nodes(tree))
    made = {name for node in found if "cte_map" in node for name in _named(node["cte_map"])}
    return list(dict.fromkeys(fault for node in found if (fault := _fault(node, made))))


def _fault(node: Mapping[str, Any], made: set[str]) -> str | None:
    kind, name = node["type"], str(node.get("function_name", ""))
    if kind == "TABLE_FUNCTION":
        return f"it may read no tables but samples: {node.get('function', {}).get('function_name', 'a function')}()"
    if kind == "BASE_TABLE" and node.get("table_name") not in {"samples", *made}:
        return f"it may read no tables but samples: {node.get('table_name')!r}"
    if kind == "STAR" and node.get("columns"):
        return "COLUMNS() is many expressions"
    if node.get("sample"):
        return "a sample of rows is another one each time"
    if node.get("class") == "PARAMETER":
        return "it has a parameter, and nothing is given for it"
    if name.lower() in _volatile():
        return f"{name}() gives something else each time"
    if name.lower() == "age" and len(node.get("arguments", node.get("children", []))) == 1:
        return "age() of one time counts from today, which is another one each day: give both"
    if node.get("class") == "COLUMN_REF" and [str(each).lower() for each in node["column_names"]][-1] in _SAID_OF_NOW:
        return f"{node['column_names'][-1]} gives something else each time"
    return None


def _named(ctes: Any) -> Iterator[str]:
    yield from (str(each["key"]) for each in ctes.get("map", []))


def nodes(value: Any) -> Iterator[Mapping[str, Any]]:
    """All that a parsed expression is made of: what has a type."""
    if isinstance(value, dict):
        if isinstance(value.get("type"), str):
            yield value
        for inner in value.values():
            yield from nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from nodes(inner)


def parsed(text: str) -> dict[str, Any]:
    """DuckDB's own tree of an expression."""
    import duckdb

    with duckdb.connect(":memory:", config=_SETTINGS) as connection:
        found = connection.execute("SELECT json_serialize_sql(?)", [f"SELECT ({text}\n) FROM samples"]).fetchone()  # noqa: S608  parsed, not run
    tree: dict[str, Any] = json.loads(found[0]) if found else {}
    return tree


@cache
def _volatile() -> frozenset[str]:
    import duckdb

    with duckdb.connect(":memory:", config=_SETTINGS) as connection:
        unstable = "stability IN ('VOLATILE', 'CONSISTENT_WITHIN_QUERY')"  # the second are now() and its like
        sql = f"SELECT DISTINCT function_name FROM duckdb_functions() WHERE {unstable}"  # noqa: S608  a text of ours
        return frozenset(str(name).lower() for (name,) in connection.execute(sql).fetchall()) - _KNOWN_VOLATILE


def run(
    expressions: Mapping[str, str], samples: pa.Table, *, only: str | None = None, most_s: float | None = None
) -> pa.Table:
    """The expressions' values on every row, in the rows' order, by name.

    What is no number (NaN) counts as missing, as it would else pass every `>`.

    Args:
        expressions: SQL by name, columns quoted.
        samples: a row a sample; a column of extension type is left out.
        only: a condition in SQL, columns quoted: only the rows that meet it, and a column ROW with their places.
        most_s: seconds that it may take; with less memory and fewer threads than else, as somebody else asks.

    Raises:
        duckdb.Error: as the text or its types are wrong.
        StoreError: an expression gives another number of values than there are rows, or takes too long.
    """
    import duckdb

    table = pa.table({name: _known(samples[name]) for name in samples.column_names if not _is_tensor(samples, name)})
    table = table.append_column(ROW, pa.array(range(table.num_rows), pa.int64()))
    chosen = ", ".join([f'"{ROW}"', *(f'({text}\n) AS "{name}"' for name, text in expressions.items())])
    condition = "" if only is None else f"WHERE ({only}\n)"
    sql = f'SELECT {chosen} FROM samples {condition} ORDER BY "{ROW}"'  # noqa: S608  shut in below
    with (
        _room(most_s) as folder,
        duckdb.connect(":memory:", config=_SETTINGS | {"temp_directory": folder}) as connection,
    ):
        connection.register("samples", table)
        if most_s is not None:
            connection.execute(f"SET memory_limit = '{_MOST_MEMORY}'; SET threads = 2")
        connection.execute("SET lock_configuration = true")
        if len(connection.extract_statements(sql)) != 1:
            raise StoreError("it is to be one expression")
        with _within(connection, most_s):
            found: pa.Table = connection.sql(sql).to_arrow_table()
    if found.schema.names != [ROW, *expressions]:
        raise StoreError("it is to be one expression")
    if only is None and found.num_rows != table.num_rows:
        raise StoreError(f"it gives {found.num_rows} values for {table.num_rows} samples, not one for each")
    return found


@contextmanager
def _room(most_s: float | None) -> Iterator[str]:
    """Where a query may put what memory doesn't hold: neither beside the store nor where one stands; "" is nowhere."""
    if most_s is not None:
        yield ""
        return
    with TemporaryDirectory(prefix="mmdata-") as folder:
        yield folder


@contextmanager
def _within(connection: DuckDBPyConnection, most_s: float | None) -> Iterator[None]:
    """Interrupt a query that takes longer. Raises StoreError then."""
    if most_s is None:
        yield
        return
    import duckdb

    timer = Timer(most_s, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    except duckdb.InterruptException:
        raise StoreError(f"it took longer than {most_s:g} s") from None
    finally:
        timer.cancel()
        timer.join()  # or it may interrupt a connection that is closed by then


def _is_tensor(samples: pa.Table, name: str) -> bool:
    return isinstance(samples.schema.field(name).type, pa.BaseExtensionType)


def _known(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column in a type that DuckDB knows, null where it is no number."""
    if not pa.types.is_floating(column.type):
        return column
    column = column.cast(pa.float32()) if pa.types.is_float16(column.type) else column
    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
