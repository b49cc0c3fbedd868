"""Every kind of fault and reject that the code can give stands in docs/errors.md, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import mmdata
from mmdata.engine.isolation import NO_MEMORY, TIMED_OUT, WORKER_DIED
from mmdata.errors import DataError, DecodeError, DoesNotFit, MissingExtra, StepError, Unreadable
from mmdata.source.tarindex import Kind
from mmdata.source.urls.manners import HTTP_KINDS
from mmdata.source.urls.manners import Kind as FetchKind

PACKAGE = Path(mmdata.__file__).parent
PAGE = PACKAGE.parent / "docs" / "errors.md"
# where a call has the kind: the class or method, and the argument's index
CALLS = {"Fault": 1, "BadRow": 0, "NotFetched": 0, "Rejection": 1}
SAID = re.compile(r"([a-z]+_[a-z_]+): ")
NAMES = re.compile(r"[a-z]+(_[a-z]+)*")


def kinds_of(path: Path) -> Iterator[str]:
    """The constants that a module gives as kinds: in calls, in pairs of kind and message, and before a colon."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield from in_call(node)
        elif isinstance(node, ast.Assign):
            targets = [ast.unparse(target) for target in node.targets]
            if any(target in ("(kind, text)", "kind, text", "problem", "group.problem") for target in targets):
                yield from first(node.value)
        elif isinstance(node, ast.Return) and node.value is not None and isinstance(node.value, ast.Tuple):
            yield from first(node.value)
        elif isinstance(node, ast.Constant) and (said := SAID.match(str(node.value))):
            yield said[1]


def in_call(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func).rpartition(".")[2]
    if name in CALLS and len(node.args) > CALLS[name]:
        yield from constants(node.args[CALLS[name]])
    if name == "_fault":
        yield from (kind for argument in node.args for kind in constants(argument) if kind)
        yield from (kind for argument in node.args for kind in first(argument))
    for keyword in node.keywords:
        if keyword.arg == "problem":
            yield from first(keyword.value)


def first(node: ast.expr) -> Iterator[str]:
    """The constants that a pair begins with, wherever it stands in an expression."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Tuple) and len(inner.elts) == 2:
            yield from constants(inner.elts[0])


def constants(node: ast.expr) -> Iterator[str]:
    options = [node.body, node.orelse] if isinstance(node, ast.IfExp) else [node]
    for option in options:
        if isinstance(option, ast.Constant) and isinstance(option.value, str) and NAMES.fullmatch(option.value):
            yield option.value


def made() -> set[str]:
    files = [path for folder in ("source", "engine") for path in (PACKAGE / folder).rglob("*.py")]
    found = {kind for path in files for kind in kinds_of(path)}
    of_tars = {f"tar_{kind}" for kind in get_args(Kind) if kind not in ("file", "folder")}
    of_urls = {*get_args(FetchKind), *(f"http_{status}" for status in HTTP_KINDS), "http_other"}
    found |= of_tars | of_urls | {NO_MEMORY, TIMED_OUT, WORKER_DIED}
    return found | {error.kind for error in (DataError, DecodeError, DoesNotFit, MissingExtra, Unreadable, StepError)}


def documented() -> set[str]:
    table = PAGE.read_text(encoding="utf-8").partition("| kind |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines()[2:]]
    return {kind for row in rows for kind in re.findall("`([^`]+)`", row)}


def test_every_kind_that_the_code_gives_is_documented() -> None:
    assert made() - documented() == set()


def test_every_kind_that_is_documented_can_be_given() -> None:
    assert documented() - made() == set()
