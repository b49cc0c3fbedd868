"""`mmdata snapshot`: pin a store as it is now, under a name."""

from __future__ import annotations

from typing import Annotated

import typer

from mmdata.cli.options import Json, StoreArg


def snapshot(
    store: StoreArg,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The new snapshot; none lists those there are.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Pin STORE as it is now under NAME: it can be opened as it was, and gc keeps its files."""
    from mmdata import api
    from mmdata.cli.screen import print_json, say
    from mmdata.report.words import counted

    opened = api.open(store)
    if name is not None:
        opened.snapshot(name)
    if as_json:
        print_json({"store": store, "snapshots": opened.snapshots()})
    elif name is not None:
        say(f"snapshot {name!r} pins {counted(len(opened), 'sample')} of {store}")
    else:
        say("\n".join(opened.snapshots()) or "no snapshots")
