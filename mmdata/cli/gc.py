"""`mmdata gc`: away with files that nothing needs any more."""

from __future__ import annotations

from typing import Annotated

import typer

from mmdata.cli.options import Json, StoreArg


def gc(
    store: StoreArg,
    grace: Annotated[
        float,
        typer.Option("--grace", metavar="HOURS", min=0, help="Keep files younger than this: readers may need them."),
    ] = 24.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: Json = False,
) -> None:
    """Delete files of STORE that are neither live nor pinned by a snapshot, and what killed runs left behind."""
    from mmdata import api
    from mmdata.cli.screen import print_json, say
    from mmdata.report.words import counted
    from mmdata.store.gc import gc as gc_

    swept = gc_(api.open(store), grace_s=grace * 3600, dry_run=dry_run)
    n_bytes = sum(file.size_bytes for file in swept)
    if as_json:
        print_json({"store": store, "dry_run": dry_run, "paths": [file.path for file in swept], "bytes": n_bytes})
        return
    for file in swept:
        say(file.path)
    say(f"{counted(len(swept), 'file')}, {counted(n_bytes, 'byte')} {'would go' if dry_run else 'deleted'}")
