from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mmdata.errors import MissingExtra
from mmdata.store import Store
from mmdata.train.checkpoint import Epoch
from mmdata.train.config import TrainConfig
from mmdata.train.fit import train
from mmdata.train.logs import LOG, read_log


class Killed(Exception):
    """Stands for a kill: nothing after it runs."""


class Losses:
    """Writes down losses; dies after step `stop`."""

    def __init__(self, stop: int | None = None) -> None:
        self.stop = stop
        self.found: dict[int, float] = {}

    def step(self, step: int, loss: float) -> None:
        self.found[step] = loss
        if step == self.stop:
            raise Killed

    def epoch(self, epoch: Epoch) -> None:
        """Nothing to note."""


@pytest.fixture
def config(config: TrainConfig) -> TrainConfig:
    return replace(config, selection="v1", epochs=3, batch_size=24, schedule="cosine")


def test_a_run_that_is_killed_and_goes_on_logs_each_step_once(
    store: Store, config: TrainConfig, tmp_path: Path
) -> None:
    config, losses = replace(config, log_steps=1, checkpoint_steps=4), Losses()
    with pytest.raises(Killed):
        train(store, config, out=tmp_path, watch=Losses(stop=7))
    assert [row["step"] for row in read_log(tmp_path / LOG)] == [1, 2, 3, 4, 5, 6, 7]
    with (tmp_path / LOG).open("a") as file:
        file.write("8,1,0.1")  # what a kill leaves of a line
    report = train(store, config, out=tmp_path, watch=losses)
    rows = read_log(tmp_path / LOG)
    assert [row["step"] for row in rows] == list(range(1, report.steps + 1))
    assert min(losses.found) == 5
    for row in rows[4:]:
        assert row["loss"] == pytest.approx(losses.found[int(row["step"])], rel=1e-5)
    per_epoch = report.steps // 3
    assert [row["epoch"] for row in rows] == [place // per_epoch for place in range(report.steps)]
    assert rows[0]["lr"] == pytest.approx(config.lr)
    assert rows[-1]["lr"] < config.lr / 10
    assert all(0 <= row["data_wait"] <= 1 and row["samples_per_s"] > 0 for row in rows)


def test_a_row_an_epoch_has_its_mean_loss_unless_steps_are_asked_for(
    store: Store, config: TrainConfig, tmp_path: Path
) -> None:
    losses = Losses()
    report = train(store, config, out=tmp_path, watch=losses)
    rows, per_epoch = read_log(tmp_path / LOG), report.steps // 3
    assert [row["step"] for row in rows] == [per_epoch, 2 * per_epoch, 3 * per_epoch]
    for row in rows:
        steps = range(int(row["step"]) - per_epoch + 1, int(row["step"]) + 1)
        assert row["loss"] == pytest.approx(sum(losses.found[step] for step in steps) / per_epoch, rel=1e-5)


def test_tensorboard_reads_the_same_curve_also_after_a_kill(store: Store, config: TrainConfig, tmp_path: Path) -> None:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    config = replace(config, log_steps=2, checkpoint_steps=4)
    with pytest.raises(Killed):
        train(store, config, out=tmp_path, watch=Losses(stop=7), tensorboard=True)
    report = train(store, config, out=tmp_path, tensorboard=True)
    found = reading.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    rows = read_log(tmp_path / LOG)
    events = found.Scalars("train/loss")
    assert [event.step for event in events] == [row["step"] for row in rows]
    assert [event.value for event in events] == pytest.approx([row["loss"] for row in rows], rel=1e-5)
    scores = found.Scalars("val/loss")
    assert [event.value for event in scores] == pytest.approx([row.val.loss for row in report.history if row.val])


def test_tensorboard_that_is_not_installed_is_named_with_its_extra(
    store: Store, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    importlib.import_module("torch.utils")
    for name in ("tensorboard", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=r"pip install 'mmdata\[tensorboard\]'"):
        train(store, config, out=tmp_path, tensorboard=True)
