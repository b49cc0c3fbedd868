"""The loop: epochs of steps, a judgement after each, and a stop when it gets no better. Nothing else happens here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor

from mmdata.errors import RunStopped, SchemaMismatch
from mmdata.train.chance import drawing_for
from mmdata.train.checkpoint import Checkpoint, Epoch, Progress, check_weights, rebuild
from mmdata.train.config import LOW_IS_GOOD
from mmdata.train.distributed import ALONE, World
from mmdata.train.inputs import Batch, Batches, parts_of
from mmdata.train.judge import evaluate
from mmdata.train.logs import Clock
from mmdata.train.metrics import Metrics
from mmdata.train.model import FusionModel
from mmdata.train.optimize import absolute, autocast, optimizer, rate, scaler, take


class Watch(Protocol):
    """Told what happens, for a progress bar or a log."""

    def step(self, step: int, loss: float) -> None: ...

    def epoch(self, epoch: Epoch) -> None: ...


@dataclass
class Run:
    """A model on its way: what changes while it is trained.

    Args:
        model: on its device. optimizer: over its weights. progress: how far it has come. best: weights of the best
            epoch, empty before there is one.
        world: the processes that train together. clock: where the time goes.
    """

    model: FusionModel
    optimizer: torch.optim.Optimizer
    device: str = "cpu"
    progress: Progress = field(default_factory=Progress)
    best: dict[str, Tensor] = field(default_factory=dict)
    world: World = ALONE
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.scaler = scaler(self.model.plan.config, self.device)

    @classmethod
    def start(cls, model: FusionModel, device: str = "cpu", world: World = ALONE) -> Run:
        model = model.to(device)
        return cls(model, optimizer(model.shared, model.plan.config, model.objective.own), device, world=world)

    @classmethod
    def resume(cls, state: Checkpoint, device: str = "cpu", world: World = ALONE) -> Run:
        """Go on where a checkpoint was written; sets torch's generators to what they were.

        Raises:
            SchemaMismatch: a part of it is not of its plan.
        """
        run = cls.start(rebuild(state.plan, state.model), device, world)
        if state.best or state.progress.best_epoch is not None:
            check_weights(state.plan, state.best)
        try:
            run.optimizer.load_state_dict(state.optimizer)
            run.scaler.load_state_dict(state.scaler)
            torch.set_rng_state(state.random["cpu"])
            if "cuda" in state.random and device.startswith("cuda"):
                torch.cuda.set_rng_state(state.random["cuda"], device)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # torch raises nearly anything
            raise SchemaMismatch(f"no run can go on from it: {type(error).__name__}: {error}") from error
        run.progress, run.best = state.progress, state.best
        return run

    def checkpoint(self) -> Checkpoint:
        """All that `resume` needs."""
        random = {"cpu": torch.get_rng_state()}
        if self.device.startswith("cuda"):
            random["cuda"] = torch.cuda.get_rng_state(self.device)
        return Checkpoint(
            plan=self.model.plan,
            progress=self.progress,
            model=self.model.state_dict(),
            best=self.best,
            optimizer=self.optimizer.state_dict(),
            scaler=self.scaler.state_dict(),
            random=random,
        )

    @property
    def finished(self) -> bool:
        config = self.model.plan.config
        return self.progress.epoch >= config.epochs or (
            config.patience is not None and self.progress.stale >= config.patience
        )


def fit(
    run: Run, train: Batches, val: Iterable[Batch] | None, *, save: Callable[[], None] | None, watch: Watch | None
) -> None:
    """Train until the epochs are through or patience is out. `save` is called whenever the run is worth keeping."""
    if run.progress.stream is not None:
        try:
            train.load_state_dict(run.progress.stream)
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            told = f"{type(error).__name__}: {error}"
            raise SchemaMismatch(f"the checkpoint's place in the stream is none: {told}") from error
    while not run.finished:
        _epoch(run, train, save, watch)
        scores = None if val is None else evaluate(run.model, val, device=run.device, world=run.world)
        _close(run, scores)
        run.progress.stream = train.state_dict()
        if watch:
            watch.epoch(run.progress.history[-1])
        if save:
            save()


def _epoch(run: Run, train: Batches, save: Callable[[], None] | None, watch: Watch | None) -> None:
    """Take the steps of one epoch, or those that an interruption left of it."""
    config, progress = run.model.plan.config, run.progress
    epoch_steps = -(-train.n_steps // config.accumulate)
    run.model.train()
    for batches in _grouped(run.clock.waiting(train), config.accumulate):
        place = progress.epoch * epoch_steps + progress.step - progress.began  # epochs of a growing store differ
        loss = _step(run, batches, rate(config, place, epoch_steps))
        if watch:
            watch.step(progress.step, loss)
        if save and config.checkpoint_steps and progress.step % config.checkpoint_steps == 0:
            progress.stream = train.state_dict()
            save()


def _grouped(train: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """So many batches at a time, and what is left of an epoch."""
    batches = iter(train)
    while group := list(islice(batches, size)):
        yield group


def _step(run: Run, batches: Sequence[Batch], lr: float) -> float:
    """One step of the optimiser, along the mean gradient of some batches; returns the mean loss."""
    plan, progress, config, objective = run.model.plan, run.progress, run.model.plan.config, run.model.objective
    parts = [parts_of(batch, plan.inputs, run.device) for batch in batches]
    shares = [run.world.rows(len(each[0].present)) for each in parts]
    truths = [
        run.world.whole(rows, tuple(true.to(run.device) for true in objective.truth(batch, each)))
        for batch, each, rows in zip(batches, parts, shares, strict=True)
    ]
    counts = torch.stack([objective.counts(truth).cpu() for truth in truths]).sum(dim=0)
    n, loss = int(counts.max()), 0.0
    run.optimizer.zero_grad(set_to_none=True)
    for each, rows, truth in zip(parts, shares, truths, strict=True):
        with autocast(config, run.device), drawing_for(rows):
            output = run.model(each).float()
        losses = objective.losses(run.world.whole(rows, output), truth)
        total = objective.total(losses / counts.clamp(min=1).to(losses))
        run.scaler.scale(total).backward()  # type: ignore[no-untyped-call]  # torch has no types for it
        loss += float(total.detach())
        run.clock.n_samples += rows.total
    run.world.add_gradients(run.model.shared)
    for rest in (objective.rest(), config.l1 * absolute(run.model.shared) if config.l1 else None):
        if rest is not None:
            run.scaler.scale(rest).backward()  # type: ignore[no-untyped-call]
    loss += 0.0 if (rest := objective.rest()) is None else float(rest.detach())
    take(run.optimizer, run.scaler, run.model, config, lr)
    progress.step += 1
    if not math.isfinite(loss):
        raise RunStopped(
            f"the loss is {loss} at epoch {progress.epoch}, step {progress.step}: lower lr={plan.config.lr}"
        )
    progress.loss_sum += loss * n
    progress.n_summed += n
    return loss


def _close(run: Run, scores: Metrics | None) -> None:
    """Write the epoch down, and keep its weights when it is the best so far. Without a judge the last is the best."""
    progress = run.progress
    row = Epoch(epoch=progress.epoch, train_loss=progress.loss_sum / max(progress.n_summed, 1), val=scores)
    if progress.best_epoch is None or _better(scores, progress.history[progress.best_epoch].val, run):
        progress.best_epoch, progress.stale = progress.epoch, 0
        run.best = {name: tensor.detach().clone() for name, tensor in run.model.state_dict().items()}
    else:
        progress.stale += 1
    progress.history.append(row)
    progress.epoch, progress.began = progress.epoch + 1, progress.step
    progress.loss_sum, progress.n_summed = 0.0, 0


def _better(scores: Metrics | None, best: Metrics | None, run: Run) -> bool:
    if scores is None or best is None:
        return True
    name = run.model.plan.config.judged_by
    sign = -1 if name.rpartition(".")[2] in LOW_IS_GOOD else 1
    return (sign * scores[name], -scores.loss) > (sign * best[name], -best.loss)
