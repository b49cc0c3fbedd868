"""What `features` and `rejects --replay` do alike: work on what a store has recorded, shown as it goes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mmdata.cli.options import ExecutorName, storage_options

if TYPE_CHECKING:
    from mmdata.config.load import PipelineFile
    from mmdata.engine.options import RunOptions


def work_again(
    file: PipelineFile,
    store: str,
    asked: RunOptions,
    *,
    executor: ExecutorName,
    workers: int | None,
    scheduler: str | None,
    wait: float | None,
    as_json: bool,
) -> None:
    """Run a pipeline file on a store, and say what came of it.

    Args:
        file: the pipeline, of which the records keep the text.
        store: its place.
        asked: what is to be done, within which settings.
        executor: who works, and with the following how many, or where.
        workers: None is as many as is usual here.
        scheduler: of Dask.
        wait: seconds that Dask may have no worker.
        as_json: say it for machines.
    """
    from mmdata.api import reaching
    from mmdata.cli.progress import progress
    from mmdata.cli.screen import finish
    from mmdata.engine.devices import usual_workers
    from mmdata.engine.executors import executor as executor_
    from mmdata.engine.runner import run

    n_workers = workers or usual_workers(file.pipeline.features, asked.settings)
    with progress(quiet=as_json) as watch:
        options = replace(
            asked,
            executor=executor_(executor.value, n_workers, scheduler=scheduler, wait_s=wait),
            watch=watch,
            text=file.text,
            where=file.where,
            storage_options=storage_options(),
        )
        report = run(reaching(file.pipeline, storage_options()), store, options)
    finish(report, as_json=as_json)
