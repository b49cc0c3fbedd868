"""`mmdata run`: everything that a pipeline file says, from raw files to a trained model."""

from __future__ import annotations

from mmdata.cli.options import (
    Device,
    Executor,
    ExecutorName,
    Json,
    Limit,
    MaxRejects,
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


def run(
    pipeline: PipelineArg,
    store: StoreOption,
    source: SourceOption = None,
    executor: Executor = ExecutorName.pool,
    workers: Workers = None,
    scheduler: Scheduler = None,
    wait: Wait = None,
    limit: Limit = None,
    max_rejects: MaxRejects = None,
    timeout: Timeout = None,
    memory_limit: MemoryLimit = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Ingest, compute features, select, and train where the file says so. Run again, it does only what is left."""
    from mmdata.cli.screen import finish, print_json, summary, warn_of_gone
    from mmdata.engine.cores import n_cores
    from mmdata.engine.starting import early
    from mmdata.errors import MMDataError

    workers_begun = (workers or n_cores()) if executor is ExecutorName.pool else 0
    try:
        with early(workers_begun):  # before the rest is loaded, as they load what they need meanwhile
            from mmdata import api
            from mmdata.cli.progress import progress
            from mmdata.config.load import load
            from mmdata.store.without_pandas import leave_pandas_alone

            file = load(pipeline, source=source)
            leave_pandas_alone()
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
                    timeout_s=timeout,
                    memory_bytes=memory_limit,
                    device=device,
                    watch=watch,
                    storage_options=storage_options(),
                )
    except MMDataError as error:
        from mmdata.engine.report import RunReport

        if isinstance(error.report, RunReport):  # the store is up to date, and the selection failed
            if as_json:
                print_json(error.report.to_json())
            else:
                summary(error.report)
        raise
    if file.train and report.state == "done" and not report.above_limit:
        if not as_json:
            warn_of_gone(store)
            summary(report)
            print()
        from mmdata.cli.train import train_from

        report.training = train_from(file, store, quiet=as_json)
        if not as_json:
            return
    finish(report, as_json=as_json)
