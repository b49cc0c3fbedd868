"""`mmdata diff`: what differs between two selections."""

from __future__ import annotations

from typing import Annotated

import typer

from mmdata.cli.options import Json, StoreArg


def diff(
    store: StoreArg,
    before: Annotated[str, typer.Argument(metavar="A", help="A selection; A@SNAPSHOT as a snapshot pinned it.")],
    after: Annotated[str, typer.Argument(metavar="B", help="Another one, or the same at another snapshot.")],
    other: Annotated[str | None, typer.Option("--other", metavar="STORE", help="The store of B, if elsewhere.")] = None,
    keys: Annotated[bool, typer.Option("--keys", help="List every sample that differs.")] = False,
    as_json: Json = False,
) -> None:
    """Compare the selections A and B of STORE: which samples came, went, or changed sides, and why."""
    from mmdata import api
    from mmdata.cli.screen import print_json, print_table, say
    from mmdata.select.comparison import diff as compare

    name, snapshot = _named(before)
    name_after, snapshot_after = _named(after)
    opened = api.open(store, snapshot=snapshot)
    found = compare(opened, name, name_after, other=api.open(other or store, snapshot=snapshot_after))
    if as_json:
        print_json({"store": store, "before": before, "after": after, **found.to_json()})
    elif keys:
        print_table([list(row) for row in found.keys()], ["key", before, after])  # noqa: SIM118  no mapping
    else:
        say(f"{found.same:,} samples are the same, {found.rows.num_rows:,} differ, {found.reweighted:,} weigh another")
        if found.changes:
            print_table([list(change) for change in found.changes], [before, after, "samples", "such as"])


def _named(text: str) -> tuple[str, str | None]:
    """A selection and its snapshot."""
    name, _, snapshot = text.partition("@")
    return name, snapshot or None
