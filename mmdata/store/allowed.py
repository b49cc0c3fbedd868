"""Conditions of somebody else: what they may be made of, so that each row costs little.

A query is interrupted between blocks of rows, and never within a function: `repeat('a', 4000000000)` or
`list_sum(range(3000000000))` would take all time and memory there is. So only functions are answered whose result is
no larger than what they are given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmdata.store.expressions import nodes, parsed


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_OPERATORS = _words(
    "+ - * / // % ** ^ & | ~ @ << >> ~~ !~~ ~~* !~~* like_escape not_like_escape ilike_escape not_ilike_escape ^@ "
    "-> ->>"
)
_NAMED = _words(
    "abs round floor ceil ceiling trunc sign sqrt cbrt ln log log2 log10 exp power pow mod greatest least coalesce "
    "nullif ifnull isnan isfinite isinf lower upper length len strlen trim ltrim rtrim substring substr left right "
    "contains starts_with ends_with prefix suffix position strpos instr regexp_matches regexp_full_match "
    "regexp_extract date_part year month day hour minute second epoch date_diff datediff list_value list_contains "
    "list_has array_contains array_length json_extract json_extract_string json_array_length json_exists "
    "json_contains json_type json_valid struct_extract array_extract"
)
_OF_MANY = _words("count count_star min max avg mean sum median stddev row_number rank dense_rank")
_TYPES = _words(
    "bool boolean tinyint smallint int integer bigint hugeint utinyint usmallint uinteger ubigint int1 int2 int4 int8 "
    "int16 int32 int64 uint8 uint16 uint32 uint64 long short float float4 float8 real double decimal numeric varchar "
    "text string char date time timestamp json"
)


def faults(text: str) -> list[str]:
    """What somebody else's condition holds that is not answered; of a text in which `expressions.faults` has none."""
    try:
        found = list(nodes(parsed(text)))
    except RecursionError:
        return ["it is too deeply nested"]
    told = list(dict.fromkeys(name for node in found if (name := _refused(node))))
    if not told:
        return []
    named = ", ".join(sorted(_NAMED | _OF_MANY))
    return [f"{', '.join(told)} can't be asked for here: serve answers conditions of these functions: {named}; "
            "use `mmdata select` for others"]  # fmt: skip


def _refused(node: Mapping[str, Any]) -> str | None:
    """The name of what a node has that is refused."""
    kind, name = str(node["type"]), str(node.get("function_name") or "").lower()
    given = node.get("arguments", [])
    if name in _OF_MANY and name in ("min", "max") and len(given) > 1:
        return f"{name}() of several"  # of so many largest
    if name and name not in _OPERATORS | _NAMED | _OF_MANY:
        return f"{name}()"
    if kind == "TYPE" and str(node.get("type_name", "")).lower() not in _TYPES:
        return f"the type {node.get('type_name')}"
    if _is_with(node):
        return "WITH"  # each name may stand for two of the one before
    if len(node.get("group_sets") or ()) > 1:
        return "several groupings"
    return "PIVOT" if "PIVOT" in kind else None


def _is_with(node: Mapping[str, Any]) -> bool:
    return bool((node.get("cte_map") or {}).get("map")) or "CTE" in str(node["type"])
