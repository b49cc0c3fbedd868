"""`mmdata rejects`: what failed and why, and another try for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

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
    storage_options,
)

if TYPE_CHECKING:
    from mmdata.config.load import PipelineFile
    from mmdata.core import ports
    from mmdata.core.pipeline import RunSettings


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
    from mmdata.cli.screen import print_json, print_table, say
    from mmdata.engine.devices import usual_workers
    from mmdata.engine.executors import executor as executor_

    opened = api.open(store)
    if replay:
        file, location = api.recorded(store, source=source)
        settings = file.limited(1.0, device, timeout, memory_limit)
        n_workers = workers or usual_workers(file.pipeline.features, settings)
        chosen = executor_(executor.value, n_workers, scheduler=scheduler, wait_s=wait)
        _replay(store, file, location, settings, chosen, as_json=as_json)
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


def _replay(
    store: str,
    file: PipelineFile,
    location: str | None,
    settings: RunSettings,
    executor: ports.Executor,
    *,
    as_json: bool,
) -> None:
    from mmdata.api import reaching
    from mmdata.cli.progress import progress
    from mmdata.cli.screen import finish
    from mmdata.engine.options import RunOptions
    from mmdata.engine.runner import run

    with progress(quiet=as_json) as watch:
        options = RunOptions(
            settings=settings,
            executor=executor,
            replay=True,
            watch=watch,
            command="rejects --replay",
            text=file.text,
            location=location,
            where=file.where,
            storage_options=storage_options(),
        )
        report = run(reaching(file.pipeline, storage_options()), store, options)
    finish(report, as_json=as_json)
