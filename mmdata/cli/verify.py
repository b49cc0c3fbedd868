"""`mmdata verify`: whether every byte of a store is what it was."""

from __future__ import annotations

from typing import Annotated

import typer

from mmdata.cli.options import Json, StoreArg


def verify(
    store: StoreArg,
    drop_damaged: Annotated[
        bool, typer.Option("--drop-damaged", help="Take damaged files out of the log: the next run makes them again.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check every file of STORE against its size and digest, and that everything in it fits together."""
    from mmdata import api
    from mmdata.cli.screen import FAILED, print_json, say
    from mmdata.report.words import counted, plural
    from mmdata.store.verify import forget
    from mmdata.store.verify import verify as verify_

    opened = api.open(store)
    report = verify_(opened)
    live = {file.path for file in opened.view().files()} if drop_damaged else set()
    dropped = [file.path for file in report.damaged if file.path in live]  # a snapshot's own stay in its list
    if dropped:
        forget(opened, report)
    if as_json:
        faults = [{"path": fault.path, "error": fault.error} for fault in report.faults]
        found = {"store": store, "files": report.n_files, "bytes": report.n_bytes, "faults": faults}
        print_json(found | {"dropped": dropped})
    else:
        for fault in report.faults:
            say(f"{fault.path}: {fault.error}")
        sums = (report.n_files, "file"), (report.n_bytes, "byte"), (len(report.faults), "fault")
        say(", ".join(counted(n, noun) for n, noun in sums))
        if dropped:
            verb, them = plural(len(dropped), "is", "are"), plural(len(dropped), "it", "them")
            say(f"{len(dropped)} {verb} out of the log: `mmdata run` makes {them} again, as far as the source is there")
    if report.faults:
        raise typer.Exit(FAILED)
