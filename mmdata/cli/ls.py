"""`mmdata ls`: samples as rows."""

from __future__ import annotations

from typing import Annotated

import typer

from mmdata.cli.options import Json, Snapshot, StoreArg


def ls(
    store: StoreArg,
    where: Annotated[
        str | None, typer.Option("--where", metavar="SQL", help='Only samples that meet it: "image.sharpness > 20".')
    ] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="A,B,...", help="Columns; key, label and scalars unless said.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="At most so many rows; 0 is all.")] = 20,
    snapshot: Snapshot = None,
    as_json: Json = False,
) -> None:
    """List samples with their labels and scalar features."""
    from mmdata import api
    from mmdata.cli.screen import print_json, print_table, warn_of_damage

    opened = api.open(store, snapshot=snapshot)
    wanted = [name.strip() for name in columns.split(",")] if columns else None
    table = opened.table(wanted, where=where, incomplete=True)
    rows = table.slice(0, limit or table.num_rows).to_pylist()
    warn_of_damage(store, lambda: opened.damaged)
    if as_json:
        print_json({"store": store, "total": table.num_rows, "samples": rows})
        return
    print_table([list(row.values()) for row in rows], table.column_names)
    if len(rows) < table.num_rows:
        print(f"{len(rows)} of {table.num_rows} samples; --limit 0 lists all")
