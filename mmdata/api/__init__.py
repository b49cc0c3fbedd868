"""The public surface in Python: `mmdata.run`, `open`, `stream` and `rows`. Everything else may change."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mmdata.api.reading import open, rows, stream  # noqa: A004  the name that users look for
from mmdata.api.selecting import select_faults

if TYPE_CHECKING:
    from mmdata.config.load import PipelineFile
    from mmdata.core.pipeline import Compiled, Pipeline
    from mmdata.core.ports import Executor
    from mmdata.engine.options import Sieve
    from mmdata.engine.progress import Watcher
    from mmdata.engine.report import RunReport
    from mmdata.train.distributed import World
    from mmdata.train.folds import Compare
    from mmdata.train.report import FoldScore, FoldsReport, TrainReport

__all__ = ["open", "rows", "run", "stream"]


def run(
    pipeline: str | Path | Pipeline | PipelineFile,
    *,
    store: str | os.PathLike[str],
    source: str | os.PathLike[str] | None = None,
    executor: Literal["inline", "pool", "dask"] | Executor = "inline",
    workers: int | None = None,
    scheduler: Any = None,
    wait_s: float | None = None,
    limit: int | None = None,
    max_rejects: float | None = None,
    timeout_s: float | None = None,
    memory_bytes: int | None = None,
    device: str | None = None,
    watch: Watcher | None = None,
    storage_options: Mapping[str, str] | None = None,
    sieve: Sieve | None = None,
) -> RunReport:
    """Bring a store up to date with a source and a pipeline: ingest, features, and the file's selection.

    Args:
        pipeline: a pipeline file, or a `Pipeline` made in Python.
        store: where the store is, or is to be.
        source: a location that replaces the file's own.
        executor: "inline" (this process), "pool" (spawned processes: call it under `if __name__ == "__main__"`),
            "dask", or one of your own.
        workers: processes of the pool, or of a Dask cluster on this machine; None is one a core.
        scheduler: of Dask: an address, a scheduler file, a cluster or a `distributed.Client`; None starts a cluster on
            this machine (under the same guard as a pool), which ends with the run.
        wait_s: how long Dask may have no worker; None is five minutes.
        limit: only a sample of so many entries of the source.
        max_rejects: the share of samples that may be rejected before the run stops; None is the file's own.
        timeout_s: seconds that one call of a step may take in a worker; None is the file's own.
        memory_bytes: what a worker may hold in memory; None is the file's own.
        device: where models run, in place of the file's own: "auto" (a GPU where there is one), "cpu", "cuda:0"...
        watch: told of progress.
        storage_options: as `open` takes them, for the store and the source alike; workers are sent them.
        sieve: given the entries that the source holds, in order of key, and the recorded division, those that are to
            be taken for what it holds.

    Raises:
        ConfigError: before anything is read or written, with every fault.
            Of a selection that fails, once the store is up to date: `error.report` is the run's report.
        RunStopped: a step always fails, workers die of something that is no sample's fault, or Dask's scheduler does.
        StoreError: the store can't take the results.
    """
    from mmdata.config.load import PipelineFile, load
    from mmdata.core.pipeline import Pipeline
    from mmdata.engine.devices import usual_workers
    from mmdata.engine.executors import executor as executor_
    from mmdata.engine.options import RunOptions
    from mmdata.engine.runner import run as run_
    from mmdata.errors import MMDataError

    location = None if source is None else os.fspath(source)
    if isinstance(pipeline, Pipeline):
        file = PipelineFile(pipeline=pipeline)
    elif isinstance(pipeline, PipelineFile):
        file = pipeline
    else:
        file = load(pipeline, source=location)
    settings = file.limited(max_rejects, device, timeout_s, memory_bytes)
    if isinstance(executor, str):
        workers = usual_workers(file.pipeline.features, settings) if workers is None else workers
        executor = executor_(executor, workers, scheduler=scheduler, wait_s=wait_s)
    check(file, store=store, storage_options=storage_options)
    options = RunOptions(
        settings=settings,
        executor=executor,
        limit=limit,
        watch=watch,
        text=file.text,
        location=location,
        where=file.where,
        storage_options=storage_options or {},
        sieve=sieve,
    )
    report = run_(reaching(file.pipeline, storage_options), os.fspath(store), options)
    if file.select and report.state == "done":
        try:
            report.selection = make_selection(file, store, storage_options=storage_options)
        except MMDataError as error:
            error.report = report
            raise
    return report


def reaching(pipeline: Pipeline, storage_options: Mapping[str, str] | None) -> Pipeline:
    """The pipeline with a source that reaches its place with these storage options."""
    from mmdata.source.place import with_options

    if pipeline.source is None or not storage_options:
        return pipeline
    return replace(pipeline, source=with_options(pipeline.source, storage_options))


def check(
    file: PipelineFile,
    *,
    store: str | os.PathLike[str] = "",
    storage_options: Mapping[str, str] | None = None,
) -> Compiled:
    """Check a pipeline file as a whole, reading nothing: steps and types, and its `select` and `train` sections.

    Also whether the packages are installed that steps, decoders put before them and encodings need, and whether what is
    installed and set can reach the places of the source and of a store.

    Raises:
        ConfigError: with every fault.
    """
    from mmdata.api.packages import package_faults
    from mmdata.engine.check import check as check_
    from mmdata.errors import ConfigError

    faults = [*select_faults(file.select), *_train_faults(file), *_place_faults(file, store, storage_options)]
    try:
        compiled = check_(file.pipeline, where=file.where)
    except ConfigError as error:
        raise ConfigError(file.where, [*error.faults, *faults]) from None
    if faults := [*package_faults(compiled), *faults]:
        raise ConfigError(file.where, faults)
    return compiled


def _place_faults(
    file: PipelineFile, store: str | os.PathLike[str], storage_options: Mapping[str, str] | None
) -> list[str]:
    from mmdata.core.storage import check_place, option_faults
    from mmdata.errors import ConfigError

    if faults := option_faults(storage_options or {}):
        return faults
    source: Any = file.pipeline.source
    first = getattr(source, fields(source)[0].name) if is_dataclass(source) else ""
    for place, url in (("source", first), ("store", os.fspath(store))):
        try:
            check_place(str(url), storage_options)
        except ConfigError as error:
            faults += [f"{place}: {error.where} {fault}" for fault in error.faults]
    return faults


def _train_faults(file: PipelineFile) -> list[str]:
    from mmdata.api.training import settings_of
    from mmdata.core.pipeline import guess
    from mmdata.core.step import Feature

    if not file.train:
        return []
    config, faults = settings_of(file)
    made = [column for step in file.pipeline.features if isinstance(step, Feature) for column in step.columns()]
    return faults + [
        f"train.inputs.{name}: no feature makes {column!r}{guess(column, made)}"
        for name, column in ({} if config is None else config.inputs).items()
        if column not in made
    ]


def make_selection(
    file: PipelineFile, store: str | os.PathLike[str], *, storage_options: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Make the selection that a pipeline file describes.

    Returns:
        Its name, the samples of each split, and those left out by reason.

    Raises:
        ConfigError: the `select` section is wrong.
    """
    from mmdata.api.selecting import make_selection as make

    made = make(file, store, storage_options=storage_options)
    return {"name": made.name, "splits": dict(made.splits), "left_out": dict(made.reasons)}


def train(
    file: PipelineFile,
    store: str | os.PathLike[str],
    *,
    out: str | Path | None = None,
    seeds: int | None = None,
    compare: Compare | None = None,
    watch: Callable[[FoldScore], None] | None = None,
    world: World | None = None,
    tensorboard: bool = False,
    importance: int = 0,
) -> TrainReport | FoldsReport:
    """Train as a pipeline file says, on its selection: on its splits, or in turns where it deals folds.

    With `seeds` or `compare` models are trained to be told apart: none is kept.

    Args:
        file: what to train. Its selection must have been made.
        store: what to read.
        out: a folder for checkpoint and report, of a training on splits.
        seeds: train each model so often, from another seed.
        compare: other models to train, such as each input alone.
        watch: told of each fold's score.
        world: the processes that train together, as `train.distributed.launched` gives them; unless said, this alone.
        tensorboard: write for TensorBoard, too, of a training on splits.
        importance: of a training on splits, how often each input is shuffled to say what it is worth.

    Raises:
        ConfigError: the `train` section is wrong, or something is asked that folds and comparisons do not have.
    """
    from mmdata.errors import ConfigError
    from mmdata.train.config import TrainConfig
    from mmdata.train.distributed import ALONE
    from mmdata.train.fit import train as train_
    from mmdata.train.folds import evaluate_folds, evaluate_seeds

    settings = {"selection": file.select.get("name"), **file.train}
    config = TrainConfig.of(settings, where=file.where)
    split = file.select.get("split")
    folds = split.get("folds") if isinstance(split, Mapping) else None
    together: dict[str, Any] = {"compare": compare, "watch": watch, "world": world or ALONE}
    if (folds or seeds is not None or compare is not None) and (importance or tensorboard):
        raise ConfigError(file.where, ["importance and tensorboard are of one model on splits, without folds or seeds"])
    if folds:
        return evaluate_folds(open(store), config, folds=folds, seeds=seeds or 1, **together)
    if seeds is not None or compare is not None:
        return evaluate_seeds(open(store), config, seeds=seeds or 1, **together)
    return train_(open(store), config, out=out, world=world or ALONE, tensorboard=tensorboard, repeats=importance)


def recorded(store: str | os.PathLike[str], *, source: str | None = None) -> tuple[PipelineFile, str | None]:
    """The pipeline file and the source's location of a store's last run, to do its work again.

    Args:
        store: where to look.
        source: a location that replaces the recorded one.

    Raises:
        StoreError: nothing was ever run there from a pipeline file.
    """
    from mmdata.config.load import parse
    from mmdata.errors import StoreError

    for run_id, known in _runs(store):
        if known.get("file"):
            location = source or known.get("source")
            return parse(known["file"], where=f"the pipeline of run {run_id}", source=location), location
    raise StoreError(f"no run of {os.fspath(store)!r} came from a pipeline file; run it again as it was run")


def recorded_location(store: str | os.PathLike[str]) -> str | None:
    """Where the source of a store's last run was; None when its pipeline file said so itself."""
    return next((known["source"] for _, known in _runs(store) if known.get("source")), None)


def _runs(store: str | os.PathLike[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run id and what was recorded of its pipeline, the newest first."""
    for row in reversed(open(store).runs().to_pylist()):
        yield row["run"], json.loads(row["pipeline"])
