"""`mmdata ingest`: from files to a store, with or without a pipeline file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmdata.cli.options import (
    Device,
    Executor,
    ExecutorName,
    Json,
    Limit,
    MaxRejects,
    MemoryLimit,
    Scheduler,
    StoreArg,
    Timeout,
    Wait,
    Workers,
    storage_options,
)

if TYPE_CHECKING:
    from mmdata.config.load import PipelineFile
    from mmdata.engine.options import Sieve
    from mmdata.engine.progress import Watcher
    from mmdata.engine.report import RunReport


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
    timeout: Timeout = None,
    memory_limit: MemoryLimit = None,
    device: Device = None,
    follow: Annotated[
        bool, typer.Option("--watch", help="Keep looking, and take up what is new, changed or gone, until stopped.")
    ] = False,
    every: Annotated[
        str | None, typer.Option("--every", metavar="TIME", help="With --watch: how often (30, 5m); 10s unless said.")
    ] = None,
    settle: Annotated[
        str | None,
        typer.Option("--settle", metavar="TIME", help="With --watch: newer changes must wait; 2s unless said."),
    ] = None,
    compact_every: Annotated[
        int | None,
        typer.Option("--compact-every", metavar="N", min=1, help="With --watch: merge shards every N changes."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Ingest SOURCE into STORE, and compute features. Without a pipeline file, look at what is there and choose one."""
    from mmdata import api
    from mmdata.cli.progress import progress
    from mmdata.cli.screen import finish

    _need_watch({"--every": every, "--settle": settle, "--compact-every": compact_every}, follow=follow)
    file = _file(source, pipeline, save)

    def take_up(sieve: Sieve | None = None, watch: Watcher | None = None) -> RunReport:
        limit_here = 1.0 if follow and max_rejects is None else max_rejects  # a round may be of a single bad file
        return api.run(
            file,
            store=store,
            source=source,
            executor=executor.value,
            workers=workers,
            scheduler=scheduler,
            wait_s=wait,
            limit=limit,
            max_rejects=limit_here,
            timeout_s=timeout,
            memory_bytes=memory_limit,
            device=device,
            watch=watch,
            storage_options=storage_options(),
            sieve=sieve,
        )

    if follow:
        from mmdata.cli.watch import watch_source

        finish(
            watch_source(file, store, take_up, (every or "10s", settle or "2s", compact_every), as_json=as_json),
            as_json=as_json,
        )
        return
    with progress(quiet=as_json) as watch:
        report = take_up(watch=watch)
    finish(report, as_json=as_json)


def _need_watch(given: dict[str, object], *, follow: bool) -> None:
    """Raise ConfigError for settings of a watch where there is none."""
    from mmdata.errors import ConfigError

    if not follow and (idle := [name for name, value in given.items() if value is not None]):
        raise ConfigError("ingest", [f"{name} is for --watch, which was not given" for name in idle])


def _file(source: str, pipeline: Path | None, save: Path | None) -> PipelineFile:
    """The pipeline file that was given, or one for what is there."""
    from mmdata.cli.screen import say
    from mmdata.config.load import load, parse
    from mmdata.errors import ConfigError

    if pipeline is not None:
        if save is not None:
            raise ConfigError("--save", ["there is nothing to save: the pipeline came from a file"])
        return load(pipeline, source=source)
    from mmdata.config.choose import choose

    chosen = choose(source)
    if save is not None:
        if save.exists():
            raise ConfigError("--save", [f"{save} exists already; it is not overwritten"])
        save.write_text(chosen, encoding="utf-8")
    say(f"no pipeline was given; this one was chosen:\n\n{chosen}", to=sys.stderr)
    return parse(chosen, where="the chosen pipeline", source=source)
