"""`mmdata ingest`: from files to a store, with or without a pipeline file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mmdata.cli.options import (
    Device,
    Executor,
    ExecutorName,
    Json,
    Limit,
    MaxRejects,
    Scheduler,
    StoreArg,
    Wait,
    Workers,
    storage_options,
)


def ingest(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A folder, a table, tars, or a URL of these.")],
    store: StoreArg,
    pipeline: Annotated[Path | None, typer.Option("--pipeline", metavar="FILE", help="A pipeline file.")] = None,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Write the pipeline that was chosen to this file.")
    ] = None,
    executor: Executor = ExecutorName.pool,
    workers: Workers = None,
    scheduler: Scheduler = None,
    wait: Wait = None,
    limit: Limit = None,
    max_rejects: MaxRejects = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Ingest SOURCE into STORE, and compute features. Without a pipeline file, look at what is there and choose one."""
    from mmdata import api
    from mmdata.cli.screen import finish, progress, say
    from mmdata.config.load import load, parse
    from mmdata.errors import ConfigError

    if pipeline is not None:
        if save is not None:
            raise ConfigError("--save", ["there is nothing to save: the pipeline came from a file"])
        file = load(pipeline, source=source)
    else:
        from mmdata.config.choose import choose

        chosen = choose(source)
        if save is not None:
            if save.exists():
                raise ConfigError("--save", [f"{save} exists already; it is not overwritten"])
            save.write_text(chosen, encoding="utf-8")
        say(f"no pipeline was given; this one was chosen:\n\n{chosen}", to=sys.stderr)
        file = parse(chosen, where="the chosen pipeline", source=source)
    with progress(quiet=as_json) as watch:
        report = api.run(
            file,
            store=store,
            source=source,
            executor=executor.value,
            workers=workers,
            scheduler=scheduler,
            wait_s=wait,
            limit=limit,
            max_rejects=max_rejects,
            device=device,
            watch=watch,
            storage_options=storage_options(),
        )
    finish(report, as_json=as_json)
