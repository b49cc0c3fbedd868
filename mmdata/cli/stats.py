"""`mmdata stats`: a store's numbers, with small plots."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmdata.cli.options import Json, Snapshot, StoreArg

if TYPE_CHECKING:
    from mmdata.report.facts.groups import Balance
    from mmdata.report.facts.scalars import Distribution

PLOT = 16  # characters
HEAD = ["feature", "least", "distribution", "greatest", "median", "samples", "without"]


def stats(
    store: StoreArg,
    selection: Annotated[
        str | None, typer.Option("--selection", metavar="NAME", help="Count by its splits; the last by name.")
    ] = None,
    snapshot: Snapshot = None,
    classes: Annotated[int, typer.Option("--classes", min=0, metavar="N", help="How many classes to list.")] = 20,
    as_json: Json = False,
) -> None:
    """Show how STORE's numbers are distributed, and how many samples each class and split has."""
    from mmdata import api
    from mmdata.cli.screen import print_json, say
    from mmdata.report.contents import selected
    from mmdata.report.facts.groups import balance, dealt
    from mmdata.report.facts.rows import read_rows
    from mmdata.report.facts.scalars import distributions

    opened = api.open(store, snapshot=snapshot)
    rows = read_rows(opened)
    faults = list(rows.faults)
    name, chosen = selected(opened, rows, selection, faults)
    found = list(distributions(rows.scalars))
    counts = balance(rows.samples["label"], None if chosen is None else dealt(chosen))
    if as_json:
        features = {one.name: {key: value for key, value in asdict(one).items() if key != "name"} for one in found}
        told = [f"{fault.where}: {fault.what}" for fault in faults]
        by_class = {label: dict(zip(counts.splits, row, strict=True)) for label, row in _rows(counts)}
        print_json(
            {"store": store, "samples": len(rows), "selection": name, "features": features, "classes": by_class}
            | {"faults": told}
        )
        return
    say(f"{len(rows)} samples" + (f", selection {name!r}" if name else ""))
    if found:
        _print([_row(one) for one in found], HEAD)
    if len(rows):
        say()
        head, listed = _by_class(counts, classes)
        _print(listed, head)
    for fault in faults[:5]:
        say(f"could not be read: {fault.where}: {fault.what}", to=sys.stderr)


def _print(rows: list[list[object]], head: list[str]) -> None:
    """A table whose plots are never broken: a long line is the terminal's affair."""
    from mmdata.cli.screen import print_table, say

    if not sys.stdout.isatty():
        print_table(rows, head)
        return
    cells = [
        head,
        *(
            [f"{cell:.4g}" if isinstance(cell, float) else "" if cell is None else str(cell) for cell in row]
            for row in rows
        ),
    ]
    wide = [max(map(len, column)) for column in zip(*cells, strict=True)]
    is_number = [all(isinstance(row[at], int | float | None) for row in rows) for at in range(len(head))]
    for row in cells:
        columns = zip(row, wide, is_number, strict=True)
        say("  ".join(cell.rjust(n) if number else cell.ljust(n) for cell, n, number in columns).rstrip())


def _has_blocks() -> bool:
    try:
        "▁█".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _row(one: Distribution) -> list[object]:
    from mmdata.report.draw.blocks import BLOCKS, PLAIN, fewer, plot

    if not one.n:
        return [one.name, None, None, None, None, 0, one.n_missing]
    drawn = plot(fewer(one.counts, PLOT), levels=BLOCKS if _has_blocks() else PLAIN)
    return [one.name, one.low, drawn, one.high, one.median, one.n, one.n_missing]


def _by_class(counts: Balance, most: int) -> tuple[list[str], list[list[object]]]:
    from mmdata.report.draw.blocks import bar

    full = "█" if _has_blocks() else "#"
    largest = max(counts.totals, default=0)
    listed: list[list[object]] = [
        [label or "(no label)", *row, bar(sum(row), largest, PLOT, full=full)] for label, row in _rows(counts)[:most]
    ]
    if len(counts.classes) > most:
        listed.append([f"and {len(counts.classes) - most} more", *[""] * len(counts.splits), ""])
    if len(counts.classes) > 1:
        listed.append(["all", *(int(n) for n in counts.counts.sum(axis=0)), ""])
    return ["class", *counts.splits, ""], listed


def _rows(counts: Balance) -> list[tuple[str, list[Any]]]:
    return list(zip(counts.classes, counts.counts.tolist(), strict=True))
