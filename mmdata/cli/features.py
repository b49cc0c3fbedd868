"""`mmdata features`: the features that a store lacks, from the samples that it holds."""

from __future__ import annotations

from typing import Annotated

import typer

from mmdata.cli.options import (
    Device,
    Executor,
    ExecutorName,
    Json,
    MemoryLimit,
    PipelineArg,
    Scheduler,
    SourceOption,
    StoreOption,
    Timeout,
    Wait,
    Workers,
)


def features(
    pipeline: PipelineArg,
    store: StoreOption,
    source: SourceOption = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="FEATURE", help="Only this feature; may be repeated.")
    ] = None,
    executor: Executor = ExecutorName.pool,
    workers: Workers = None,
    device: Device = None,
    scheduler: Scheduler = None,
    wait: Wait = None,
    timeout: Timeout = None,
    memory_limit: MemoryLimit = None,
    as_json: Json = False,
) -> None:
    """Compute the features that STORE lacks, without looking at the source for new or changed files."""
    from mmdata.api import recorded_location
    from mmdata.cli.again import work_again
    from mmdata.config.load import load
    from mmdata.core.pipeline import guess
    from mmdata.core.step import Feature
    from mmdata.engine.options import RunOptions
    from mmdata.errors import ConfigError

    location = source or recorded_location(store)
    file = load(pipeline, source=location)
    known = {step.into for step in file.pipeline.features if isinstance(step, Feature)}
    if faults := [f"no feature {name!r}{guess(name, known)}" for name in only or () if name not in known]:
        raise ConfigError("--only", faults)
    settings = file.limited(None, device, timeout, memory_limit)
    asked = RunOptions(
        settings=settings, families=only or None, look_at_source=False, command="features", location=location
    )
    work_again(file, store, asked, executor=executor, workers=workers, scheduler=scheduler, wait=wait, as_json=as_json)
