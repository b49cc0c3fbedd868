from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmdata.errors import RunStopped
from mmdata.train.checkpoint import Epoch, load, save
from mmdata.train.config import TrainConfig
from mmdata.train.inputs import Batches, Input
from mmdata.train.judge import evaluate
from mmdata.train.loop import Run, fit
from mmdata.train.metrics import Metrics
from mmdata.train.model import FusionModel
from mmdata.train.plan import Head, ModelPlan
from mmdata.train.statistics import buffers, gather

CLASSES = ("northeast", "northwest", "southeast", "southwest")
World = Callable[..., Any]


class Killed(Exception):
    """Stands for a kill: nothing after it runs."""


class Log:
    """Writes down what happens; dies after step `stop`."""

    def __init__(self, stop: int | None = None) -> None:
        self.stop = stop
        self.losses: dict[int, float] = {}
        self.epochs: list[Epoch] = []

    def step(self, step: int, loss: float) -> None:
        if step in self.losses:
            assert self.losses[step] == loss
        self.losses[step] = loss
        if step == self.stop:
            raise Killed

    def epoch(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)


def start(config: TrainConfig, inputs: tuple[Input, ...], data: Any, classes: tuple[str, ...] = CLASSES) -> Run:
    torch.manual_seed(config.seed)
    model = FusionModel(ModelPlan(config=config, inputs=inputs, heads=(Head(classes=classes),)))
    model.standardize_by(buffers(gather(data, inputs, config).moments))
    return Run.start(model)


def test_both_inputs_are_learned_and_a_few_missing_ones_borne(
    world: World, config: TrainConfig, inputs: tuple[Input, ...]
) -> None:
    run = start(config, inputs, world(160, missing=0.1))
    fit(run, world(160, missing=0.1, shuffle=1), None, save=None, watch=None)
    assert evaluate(run.model, world(200, seed=1))["accuracy"] > 0.97
    assert 0.7 < evaluate(run.model, world(200, seed=1, missing=0.2))["accuracy"] < 0.97


def test_a_run_that_was_killed_at_any_step_goes_on_with_the_same_losses(
    world: World, config: TrainConfig, inputs: tuple[Input, ...], tmp_path: Path
) -> None:
    config = replace(config, epochs=3, checkpoint_steps=2)
    path = tmp_path / "checkpoint.pt"
    val = world(21, seed=1)

    def attempt(log: Log) -> Run:
        train = world(37, missing=0.2, shuffle=5)
        run = Run.resume(load(path)) if path.exists() else start(config, inputs, world(37, missing=0.2))
        fit(run, train, val, save=lambda: save(path, run.checkpoint()), watch=log)
        return run

    whole = Log()
    expected = attempt(whole)
    assert len(whole.losses) == 15
    for stop in range(1, 16):
        path.unlink(missing_ok=True)
        log = Log(stop)
        log.losses = dict(whole.losses)  # every repeated step is compared
        with pytest.raises(Killed):
            attempt(log)
        log.stop = None
        torch.manual_seed(99)  # what another process would have
        run = attempt(log) if path.exists() else expected
        assert run.progress == expected.progress
        for name, tensor in expected.model.state_dict().items():
            assert torch.equal(run.model.state_dict()[name], tensor), (stop, name)


def test_saving_changes_nothing(world: World, config: TrainConfig, inputs: tuple[Input, ...]) -> None:
    logs = []
    for steps in (None, 1):
        log = Log()
        run = start(replace(config, epochs=2, checkpoint_steps=steps), inputs, world(20))
        fit(run, world(20, shuffle=5), world(9, seed=1), save=run.checkpoint, watch=log)  # type: ignore[arg-type]
        logs.append(log)
    assert logs[0].losses == logs[1].losses
    assert logs[0].epochs == logs[1].epochs


def test_an_epochs_loss_is_the_mean_over_its_samples(
    world: World, config: TrainConfig, inputs: tuple[Input, ...]
) -> None:
    log = Log()
    run = start(replace(config, epochs=2), inputs, world(20))
    fit(run, world(20), None, save=None, watch=log)
    losses = list(log.losses.values())
    for epoch, (first, second, third) in zip(log.epochs, (losses[:3], losses[3:]), strict=True):
        assert epoch.train_loss == pytest.approx((first * 8 + second * 8 + third * 4) / 20)


@pytest.mark.parametrize("patience", [1, 2])
def test_training_stops_when_it_gets_no_better_and_keeps_the_best(
    world: World, config: TrainConfig, inputs: tuple[Input, ...], patience: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.5, 0.7, 0.6, 0.6, 0.9])
    seen: list[dict[str, torch.Tensor]] = []

    def judge(model: FusionModel, batches: Any, **where: Any) -> Metrics:
        seen.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return Metrics(n=1, scores={"accuracy": 0.0, "macro_f1": next(scores), "macro_recall": 0.0})

    monkeypatch.setattr("mmdata.train.loop.evaluate", judge)
    run = start(replace(config, epochs=5, patience=patience), inputs, world(20))
    fit(run, world(20), world(8), save=None, watch=None)
    assert run.progress.epoch == 2 + patience
    assert run.progress.best_epoch == 1
    assert all(torch.equal(run.best[name], tensor) for name, tensor in seen[1].items())


@pytest.mark.parametrize(
    ("score", "rows", "best"),
    [
        ("macro_f1", [(0.5, 1.0), (0.5, 0.9), (0.5, 0.95)], 1),  # (score, loss): the loss settles what is equal
        ("macro_f1", [(0.5, 1.0), (0.4, 0.1), (0.5, 1.0)], 0),
        ("loss", [(0.5, 1.0), (0.4, 0.1), (0.9, 0.2)], 1),
        ("accuracy", [(0.5, 1.0), (0.6, 2.0), (0.1, 0.1)], 1),
    ],
)
def test_the_best_epoch_is_the_one_with_the_best_score(
    world: World,
    config: TrainConfig,
    inputs: tuple[Input, ...],
    monkeypatch: pytest.MonkeyPatch,
    score: Any,
    rows: list[tuple[float, float]],
    best: int,
) -> None:
    told = iter([Metrics(n=1, loss=loss, scores={"accuracy": a, "macro_f1": a, "macro_recall": a}) for a, loss in rows])
    monkeypatch.setattr("mmdata.train.loop.evaluate", lambda *_, **__: next(told))
    run = start(replace(config, epochs=3, score=score), inputs, world(8))
    fit(run, world(8), world(8), save=None, watch=None)
    assert run.progress.best_epoch == best


def test_without_a_judge_all_epochs_run_and_the_last_is_kept(
    world: World, config: TrainConfig, inputs: tuple[Input, ...]
) -> None:
    run = start(replace(config, epochs=4, patience=1), inputs, world(20))
    fit(run, world(20), None, save=None, watch=None)
    assert (run.progress.epoch, run.progress.best_epoch) == (4, 3)
    assert all(torch.equal(run.best[name], tensor) for name, tensor in run.model.state_dict().items())


def test_samples_without_a_class_teach_nothing(world: World, config: TrainConfig, inputs: tuple[Input, ...]) -> None:
    data = world(16, size=16)
    blank = world(16, size=16)
    blank.rows["label"][8:] = [None] * 8
    blank.rows["image.embedding"][8:] += 1000
    losses = []
    for batches, rows in ((data, 8), (blank, 16)):
        batches.rows = {name: column[:rows] for name, column in batches.rows.items()}
        run = start(replace(config, epochs=1, dropout=0.0, modality_dropout=0.0), inputs, world(16))
        fit(run, batches, None, save=None, watch=None)
        losses.append(run.progress.history[0].train_loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_a_loss_that_is_no_number_stops_the_run(world: World, config: TrainConfig, inputs: tuple[Input, ...]) -> None:
    run = start(replace(config, epochs=50, lr=1e30), inputs, world(20))
    with pytest.raises(RunStopped, match=r"the loss is (nan|inf) at epoch \d+, step \d+: lower lr=1e\+30"):
        fit(run, world(20), None, save=None, watch=None)


def test_each_sample_is_judged_once_and_the_unseen_are_wrong(
    world: World, config: TrainConfig, inputs: tuple[Input, ...]
) -> None:
    data = world(21, seed=1)
    run = start(config, inputs, world(20))
    plain = evaluate(run.model, data)
    data.rows["label"][:3] = ["up", "down", None]
    found = evaluate(run.model, data)
    assert (plain.n, plain.n_unseen, plain.n_unlabelled) == (21, 0, 0)
    assert (found.n, found.n_unseen, found.n_unlabelled) == (20, 2, 1)
    assert found.loss > 0


def test_judging_is_repeatable_and_does_not_hang_on_the_batch_size(
    world: World, config: TrainConfig, inputs: tuple[Input, ...]
) -> None:
    run = start(config, inputs, world(20))
    state = torch.get_rng_state()
    found = [evaluate(run.model, world(50, seed=1, missing=0.2, size=size)) for size in (1, 7, 50)]
    assert torch.equal(torch.get_rng_state(), state)
    assert found[0]["accuracy"] == found[1]["accuracy"] == found[2]["accuracy"]
    np.testing.assert_allclose([one.loss for one in found], found[0].loss, rtol=1e-5)


def test_nothing_to_judge_scores_zero(world: World, config: TrainConfig, inputs: tuple[Input, ...]) -> None:
    run = start(config, inputs, world(20))
    empty: Batches = world(0)
    assert evaluate(run.model, empty).n == 0
