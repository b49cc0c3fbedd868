"""`mmdata doctor`: what will not work on this machine, and how to mend it."""

from __future__ import annotations

from typing import Annotated

import typer

from mmdata.cli.options import Json, storage_options


def doctor(
    store: Annotated[
        str | None, typer.Argument(metavar="[STORE]", help="Try this place, too: a folder or a URL.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Look at this machine: what it has, which packages and formats, what a place for a store can do."""
    from dataclasses import asdict

    from mmdata.cli.screen import FAILED, print_json, say
    from mmdata.doctor import FAULT, NOTE, examine
    from mmdata.report.words import counted

    signs = {NOTE: "-", FAULT: "!"}
    findings = []
    for topic, found in examine(store, storage_options()):
        findings += [{"topic": topic, **asdict(one)} for one in found]
        if as_json:
            continue
        say(topic)
        for one in found:
            say(f"{signs.get(one.state, ' ')} {one.what}: {one.found}")
            if one.mend:
                say(f"    {one.mend}")
    faults = sum(one["state"] == FAULT for one in findings)
    if as_json:
        print_json({"store": store, "faults": faults, "findings": findings})
    else:
        notes = sum(one["state"] == NOTE for one in findings)
        say(f"{counted(faults, 'fault')} (!), {counted(notes, 'note')} (-)")
    if faults:
        raise typer.Exit(FAILED)
