"""`mmdata rejects`: what failed and why, and another try for it."""

from __future__ import annotations

from typing import Annotated

import typer

from mmdata.cli.options import (
    Device,
    Executor,
    ExecutorName,
    Json,
    MemoryLimit,
    Scheduler,
    SourceOption,
    StoreArg,
    Timeout,
    Wait,
    Workers,
)


def rejects(
    store: StoreArg,
    replay: Annotated[bool, typer.Option("--replay", help="Try rejected samples and failed features again.")] = False,
    missing: Annotated[bool, typer.Option("--missing", help="List features that failed, instead of samples.")] = False,
    dropped: Annotated[
        bool, typer.Option("--dropped", help="List samples that steps decided against, instead.")
    ] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where in the code each failed, too.")] = False,
    source: SourceOption = None,
    executor: Executor = ExecutorName.pool,
    workers: Workers = None,
    scheduler: Scheduler = None,
    wait: Wait = None,
    timeout: Timeout = None,
    memory_limit: MemoryLimit = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """List the samples that failed, with step, reason and source; with --replay, try them again as they are now."""
    from mmdata import api
    from mmdata.cli.again import work_again
    from mmdata.cli.screen import print_json, print_table, say
    from mmdata.engine.options import RunOptions

    opened = api.open(store)
    if replay:
        file, location = api.recorded(store, source=source)
        settings = file.limited(1.0, device, timeout, memory_limit)
        asked = RunOptions(settings=settings, replay=True, command="rejects --replay", location=location)
        work_again(
            file, store, asked, executor=executor, workers=workers, scheduler=scheduler, wait=wait, as_json=as_json
        )
        return
    if missing and dropped:
        raise typer.BadParameter("--missing and --dropped are two lists: ask for one")
    if dropped:
        rows = opened.drops().to_pylist()
        if as_json:
            print_json({"store": store, "dropped": rows})
        else:
            table = [[row["key"], row["step"], row["reason"], row["pointer"]] for row in rows]
            print_table(table, ["key", "step", "reason", "source"])
        return
    rows = (opened.missing() if missing else opened.rejects()).to_pylist()
    if as_json:
        print_json({"store": store, "missing" if missing else "rejects": rows})
        return
    if missing:
        print_table([[row["key"], row["family"], row["error"]] for row in rows], ["key", "feature", "error"])
        return
    head = ["key", "kind", "step", "error", "source"]
    print_table([[row["key"], row["kind"], row["step"], row["error"], row["pointer"]] for row in rows], head)
    for row in rows if traceback else ():
        if row["traceback"]:
            say(f"\n{row['key']}\n{row['traceback']}")
