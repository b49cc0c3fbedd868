"""`mmdata features`: the features that a store lacks, from the samples that it holds."""

from __future__ import annotations

from typing import Annotated

import typer

from mmdata.cli.options import (
    Executor,
    ExecutorName,
    Json,
    PipelineArg,
    Scheduler,
    SourceOption,
    StoreOption,
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
    scheduler: Scheduler = None,
    wait: Wait = None,
    as_json: Json = False,
) -> None:
    """Compute the features that STORE lacks, without looking at the source for new or changed files."""
    import os

    from mmdata.api import recorded_location
    from mmdata.cli.screen import finish, progress
    from mmdata.config.load import load
    from mmdata.core.pipeline import guess
    from mmdata.core.step import Feature
    from mmdata.engine.executors import executor as executor_
    from mmdata.engine.options import RunOptions
    from mmdata.engine.runner import run
    from mmdata.errors import ConfigError

    location = source or recorded_location(store)
    file = load(pipeline, source=location)
    known = {step.into for step in file.pipeline.features if isinstance(step, Feature)}
    if faults := [f"no feature {name!r}{guess(name, known)}" for name in only or () if name not in known]:
        raise ConfigError("--only", faults)
    with progress(quiet=as_json) as watch:
        options = RunOptions(
            settings=file.run,
            executor=executor_(executor.value, workers or os.cpu_count() or 1, scheduler=scheduler, wait_s=wait),
            families=only or None,
            look_at_source=False,
            watch=watch,
            command="features",
            text=file.text,
            location=location,
            where=file.where,
        )
        report = run(file.pipeline, store, options)
    finish(report, as_json=as_json)
