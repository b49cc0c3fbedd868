"""`mmdata select`: which samples of a store are used, in which split, and why others are not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmdata.cli.options import Json, StoreArg

if TYPE_CHECKING:
    from mmdata.select.selection import Selected


def select(
    store: StoreArg,
    pipeline: Annotated[
        Path, typer.Option("-p", "--pipeline", metavar="FILE", help="A pipeline file with a select section.")
    ],
    name: Annotated[str | None, typer.Option("--name", help="What to call it, in place of the file's own.")] = None,
    pin: Annotated[
        bool, typer.Option("--pin/--no-pin", help="Whether a snapshot keeps what it selects: NAME.1, NAME.2 and so on.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Make the selection that FILE describes over the rows of STORE; no media are read. Prints what left how many."""
    from mmdata.api.selecting import make_selection
    from mmdata.cli.screen import print_json
    from mmdata.config.load import load

    file = load(pipeline, otherwise="SOURCE")
    made = make_selection(file, store, name=name, pin=pin)
    if as_json:
        print_json({"store": store, **made.to_json()})
    else:
        _tell(made)


def _tell(made: Selected) -> None:
    from mmdata.cli.screen import print_table, say

    print_table(
        [[reason or "all samples", out or None, left] for reason, out, left in made.funnel()], ["", "out", "left"]
    )
    total = sum(made.splits.values())
    for split, count in made.splits.items():
        weight = f", weight {made.weights[split]:.6g}" if split in made.weights else ""
        share = f" ({count / total:.1%})" if split and total else ""
        say(f"{split or 'selected'}: {count:,}{share}{weight}")
    if made.clusters:
        say(f"clusters of duplicates: {made.clusters:,}")
    pinned = f", pinned by snapshot {made.snapshot!r}" if made.snapshot else ""
    say(f"selection {made.name!r}{pinned}")
