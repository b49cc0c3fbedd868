"""`mmdata trace`: one sample's whole story, whether it is stored, dropped, rejected or unknown."""

from __future__ import annotations

from typing import Annotated

import typer

from mmdata.cli.options import Json, StoreArg


def trace(
    store: StoreArg,
    key: Annotated[
        str,
        typer.Argument(
            metavar="KEY", help="A sample's key, as `mmdata ls` and `rejects` show it, or one of its files."
        ),
    ],
    as_json: Json = False,
) -> None:
    """Tell one sample's whole story: source files, steps, outcome, stored parts, features, selections."""
    from mmdata import api
    from mmdata.cli.pictures import draw
    from mmdata.cli.screen import FAILED, print_json, print_table, say
    from mmdata.engine.trace import trace as trace_
    from mmdata.report.words import described

    found = trace_(api.open(store), key)
    if as_json:
        print_json(found.to_json())
    else:
        say(f"{found.key}: {found.outcome}")
        if found.members:
            print_table([[m.part, m.pointer, m.size] for m in found.members], ["part", "source", "bytes"])
        for line in found.story:
            say(f"  {line}")
        if found.parts:
            print_table([[name, described(part)] for name, part in found.parts.items()], ["stored part", ""])
            for part in found.parts.values():
                draw(part)
        if found.features:
            print_table([[name, text] for name, text in found.features.items()], ["feature", "value"])
        for child in found.children:
            say(f"  child {child}")
    if found.outcome == "unknown":
        raise typer.Exit(FAILED)
