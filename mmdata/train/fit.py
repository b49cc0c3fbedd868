"""`train`: from a store and settings to a model in a file. Running it again goes on where it was."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mmdata.errors import ConfigError, MissingExtra, SchemaMismatch, StoreError
from mmdata.loader.follow import FollowingStream
from mmdata.loader.stream import Stream, stream
from mmdata.train.checkpoint import check_config, load, save
from mmdata.train.checks import check_files, check_form, check_judge, check_split
from mmdata.train.config import TrainConfig
from mmdata.train.distributed import ALONE, World
from mmdata.train.held import HELD_BYTES, HeldStream, held
from mmdata.train.importance import Importance, importance
from mmdata.train.inputs import Input, inputs_of
from mmdata.train.judge import examine
from mmdata.train.logs import Recorder
from mmdata.train.loop import Run, Watch, fit
from mmdata.train.model import FusionModel, check_encoders
from mmdata.train.plan import ModelPlan
from mmdata.train.report import TrainReport
from mmdata.train.statistics import buffers, gather

if TYPE_CHECKING:
    from mmdata.store import Store

log = logging.getLogger(__name__)
CHECKPOINT, REPORT, LOCK = "checkpoint.pt", "report.json", ".lock"
Split = Stream | HeldStream


@dataclass(frozen=True)
class Splits:
    """A run's data, opened: the training split shuffled, and again in stored order; the judges in stored order."""

    train: Stream | HeldStream | FollowingStream
    stored: Stream
    val: Split | None
    test: Split | None
    content: Store

    @property
    def streams(self) -> list[Stream]:
        """What is read of the splits, of each once."""
        judges = [each.stream if isinstance(each, HeldStream) else each for each in (self.val, self.test) if each]
        return [self.stored, *judges]


def train(
    store: Store,
    config: TrainConfig,
    *,
    out: str | Path | None,
    resume: bool = True,
    device: str = "cpu",
    held_bytes: int = HELD_BYTES,
    watch: Watch | None = None,
    world: World = ALONE,
    tensorboard: bool = False,
    repeats: int = 0,
) -> TrainReport:
    """Train a model on a selection's splits, keep its best epoch, and judge it.

    Training is repeatable: the same store, settings, machine and number of torch's threads give the same losses, also
    when the run was killed at any moment and started again. On another number of ranks they are the same but for the
    rounding of float32.

    Args:
        store: what the inputs are read from.
        config: what to do.
        out: a folder for `checkpoint.pt`, `report.json` and `log.csv`; None writes nothing. All ranks need to see it.
        resume: go on from the folder's checkpoint where there is one; otherwise start anew, and replace it.
        device: "cpu", "cuda" or "cuda:N".
        held_bytes: a split that takes no more is read once and kept in memory; the order is the same.
        watch: told of every step and epoch.
        world: the processes that train together, as `distributed.launched` gives them; `batch_size` is of all of them.
        tensorboard: write for TensorBoard, too, into the folder's `tensorboard`.
        repeats: how often each input is shuffled, at the end, to say what it is worth (`train.importance`); 0 is not.

    Raises:
        ConfigError: settings, columns or splits that can't work; a split without samples; a target that the objective
            can't learn.
        Incomplete: a shard with samples of a split lacks a column.
        SchemaMismatch: the checkpoint is damaged, or of other settings or another content of the store; says which.
        StoreError: a file that is read is damaged, by its digest; or another training is writing to `out`.
        DataError: an input of any split holds NaN or infinity, a target no number. RunStopped: the loss is NaN.
        MissingExtra: torchmetrics is not installed.
    """
    began_s = time.perf_counter()
    if find_spec("torchmetrics") is None:
        raise MissingExtra("train", ["torchmetrics counts the scores: pip install 'mmdata[train]'"])
    config = TrainConfig.of(config.to_json())
    if repeats and not (config.test_split or config.val_split):
        raise ConfigError("train", ["importance: inputs are shuffled in the test or validation split; there is none"])
    inputs = inputs_of(store, config)
    check_encoders(inputs, config)
    check_form(inputs, config, store.families)
    splits = open_splits(store, config, held_bytes=held_bytes, world=world)
    check_files(splits.streams, rank=world.rank, world=world.size)
    path = None if out is None else Path(out) / CHECKPOINT
    device = world.device if world.size > 1 else device
    mine = nullcontext() if path is None or not world.is_first else _locked(path.parent)
    with mine, _own_randomness(config.seed, device), _threads(config.threads):
        run = _resumed(path, config, device, world) if resume and path is not None and path.exists() else None
        run = run or _fresh(config, inputs, splits, device, world)
        world.check_same(settings=config.to_json(), samples=run.model.plan, place_in_the_checkpoint=run.progress)
        keep = None if path is None or not world.is_first else lambda: save(path, run.checkpoint())
        with _recorded(run, path, watch, tensorboard=tensorboard) as told:
            fit(run, splits.train, splits.val, save=keep, watch=told)
        report = _report(run, splits, path, began_s)
        if repeats and world.is_first:
            report = replace(report, importance=_importance(run, splits.content, repeats, held_bytes))
        if path is not None and world.is_first:
            _write_report(path.with_name(REPORT), report)
    return report


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder for one training: until it lets go, or ends in whatever way.

    Raises:
        StoreError: another one holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"{folder}: another training is writing to it right now; give another `out`") from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(held)  # and lets go of it


@contextmanager
def _recorded(run: Run, path: Path | None, watch: Watch | None, *, tensorboard: bool) -> Iterator[Recorder]:
    folder = path.parent if path is not None and run.world.is_first else None
    recorder = Recorder(run, folder, every=run.model.plan.config.log_steps, board=tensorboard, watch=watch)
    try:
        yield recorder
    finally:
        recorder.close()


def open_splits(store: Store, config: TrainConfig, *, held_bytes: int = HELD_BYTES, world: World = ALONE) -> Splits:
    """Open the splits' streams, of each batch this rank's share; for statistics each rank reads all.

    Of a store that is followed, only the training split grows: the others, and the statistics, are of the first epoch.

    Raises:
        ConfigError: a column or a split is not there; the ranks can't share a batch.
        Incomplete: a shard with samples of a split lacks a column.
    """
    if config.batch_size % world.size:
        raise ConfigError("train", [f"batch_size: {world.size} ranks can't share batches of {config.batch_size}"])

    settings: dict[str, Any] = {
        "selection": config.selection,
        "global_batch_size": config.batch_size,
        "seed": config.seed,
        "tail": "short",
        "output": "torch",
    }
    mine: dict[str, Any] = {"rank": world.rank, "world": world.size}
    columns = list(config.columns)
    shuffled = {**settings, **mine, "split": config.train_split, "weighted": config.weighted}
    train: Stream | FollowingStream
    if config.follow is None:
        train, content = stream(store, columns, **shuffled), store
        weights = train.contents.weights
        if weights is not None and (weights.values == weights.values[0]).all():
            log.warning("weighted: all samples of %r weigh alike: give the selection a balance", config.train_split)
    else:
        train = FollowingStream(store, columns, name=config.follow, check_digests=True, **shuffled)
        train.at(0)
        content = type(store).open(
            store.url, snapshot=f"{config.follow}.0", storage_options=dict(store.storage_options)
        )
    judges = [
        None
        if name is None
        else held(stream(content, columns, split=name, shuffle=False, **settings, **mine), max_bytes=held_bytes)
        for name in (config.val_split, config.test_split)
    ]
    return Splits(
        train=held(train, max_bytes=held_bytes) if isinstance(train, Stream) else train,
        stored=stream(content, columns, split=config.train_split, shuffle=False, **settings),
        val=judges[0],
        test=judges[1],
        content=content,
    )


def _fresh(config: TrainConfig, inputs: tuple[Input, ...], splits: Splits, device: str, world: World) -> Run:
    """A run at its beginning: one pass over the training split, and new weights."""
    found = gather(splits.stored, inputs, config)
    check_split(found, config)
    for name, judge in ((config.val_split, splits.val), (config.test_split, splits.test)):
        if judge is not None:
            check_judge(judge, inputs, config, known=found, split=name, total=lambda n: world.rows(n).total)
    inputs = tuple(replace(item, size=found.n_ids.get(item.name, item.size)) for item in inputs)
    heads = tuple(target.head(name, config.positive) for name, target in found.targets.items())
    model = FusionModel(ModelPlan(config=config, inputs=inputs, heads=heads))
    model.standardize_by(buffers(found.moments))
    run = Run.start(model, device, world)
    run.progress.n_unlabelled = found.n_unlabelled
    return run


def _resumed(path: Path, config: TrainConfig, device: str, world: World) -> Run:
    state = load(path)
    check_config(path, state.plan.config, config)
    state.plan = replace(state.plan, config=config)
    try:
        return Run.resume(state, device, world)
    except SchemaMismatch as error:
        raise SchemaMismatch(f"{path}: {error}") from error


def _report(run: Run, splits: Splits, path: Path | None, began_s: float) -> TrainReport:
    """Judge the best epoch's weights, and sum up. Leaves the model at its best."""
    plan, progress = run.model.plan, run.progress
    run.model.load_state_dict(run.best)
    best, judge = progress.best_epoch or 0, splits.test or splits.val
    judged, details = (None, {}) if judge is None else examine(run.model, judge, device=run.device, world=run.world)
    return TrainReport(
        config=plan.config,
        classes=plan.classes,
        n_parameters=sum(weight.numel() for weight in run.model.parameters()),
        n_train=splits.stored.n_rows,
        n_unlabelled=progress.n_unlabelled,
        history=tuple(progress.history),
        best_epoch=best,
        stopped_early=progress.epoch < plan.config.epochs,
        val=progress.history[best].val,
        test=None if splits.test is None else judged,
        details=details,
        steps=progress.step,
        seconds=time.perf_counter() - began_s,
        checkpoint=None if path is None else str(path),
    )


def _importance(run: Run, content: Store, repeats: int, held_bytes: int) -> Importance:
    """Of the model as it is, on the test split, or else the validation split."""
    config = run.model.plan.config
    judge = held(
        stream(
            content,
            list(config.columns),
            selection=config.selection,
            split=config.test_split or config.val_split,
            batch_size=config.batch_size,
            seed=config.seed,
            tail="short",
            output="torch",
        ),
        max_bytes=held_bytes,
    )

    def batches() -> Split:
        judge.seek(epoch=0)
        return judge

    return importance(run.model, batches, score=config.judged_by, repeats=repeats, seed=config.seed, device=run.device)


def _write_report(path: Path, report: TrainReport) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(json.dumps(report.to_json(), indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _own_randomness(seed: int, device: str) -> Iterator[None]:
    """Seed torch for the run, and leave the caller's generators as they were.

    Raises:
        ConfigError: there is no such device.
    """
    kind = device.partition(":")[0]
    if kind not in ("cpu", "cuda") or (kind == "cuda" and not torch.cuda.is_available()):
        raise ConfigError("train", [f"device: there is no {device!r} here; 'cpu' always works"])
    with torch.random.fork_rng(devices=[] if kind == "cpu" else [torch.device(device)]):
        torch.manual_seed(seed)
        yield
