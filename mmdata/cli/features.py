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
    storage_options,
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
    from mmdata.api import reaching, recorded_location
    from mmdata.cli.progress import progress
    from mmdata.cli.screen import finish
    from mmdata.config.load import load
    from mmdata.core.pipeline import guess
    from mmdata.core.step import Feature
    from mmdata.engine.devices import usual_workers
    from mmdata.engine.executors import executor as executor_
    from mmdata.engine.options import RunOptions
    from mmdata.engine.runner import run
    from mmdata.errors import ConfigError

    location = source or recorded_location(store)
    file = load(pipeline, source=location)
    known = {step.into for step in file.pipeline.features if isinstance(step, Feature)}
    if faults := [f"no feature {name!r}{guess(name, known)}" for name in only or () if name not in known]:
        raise ConfigError("--only", faults)
    settings = file.limited(None, device, timeout, memory_limit)
    with progress(quiet=as_json) as watch:
        options = RunOptions(
            settings=settings,
            executor=executor_(
                executor.value,
                workers or usual_workers(file.pipeline.features, settings),
                scheduler=scheduler,
                wait_s=wait,
            ),
            families=only or None,
            look_at_source=False,
            watch=watch,
            command="features",
            text=file.text,
            location=location,
            where=file.where,
            storage_options=storage_options(),
        )
        report = run(reaching(file.pipeline, storage_options()), store, options)
    finish(report, as_json=as_json)
