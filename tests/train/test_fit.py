from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
import torch

from mmdata.errors import ConfigError, Incomplete, MissingExtra, SchemaMismatch, StoreError
from mmdata.select.selection import select
from mmdata.store import Store, selections
from mmdata.store.files import Files
from mmdata.train.checkpoint import Epoch, load, load_model, save
from mmdata.train.config import TrainConfig
from mmdata.train.fit import open_splits, train
from mmdata.train.judge import evaluate

Build = Callable[..., Store]


class Killed(Exception):
    """Stands for a kill: nothing after it runs."""


class Log:
    """Writes down losses; dies after step `stop`."""

    def __init__(self, stop: int | None = None) -> None:
        self.stop = stop
        self.losses: dict[int, float] = {}

    def step(self, step: int, loss: float) -> None:
        self.losses[step] = loss
        if step == self.stop:
            raise Killed

    def epoch(self, epoch: Epoch) -> None:
        """Nothing to note."""


@pytest.fixture
def config(config: TrainConfig) -> TrainConfig:
    return replace(config, selection="v1", epochs=4, batch_size=24, lr=2e-2)


def test_a_store_becomes_a_model_that_knows_its_test_split(store: Store, config: TrainConfig, tmp_path: Path) -> None:
    report = train(store, replace(config, epochs=15), out=tmp_path / "run")
    assert report.test is not None
    assert report.val is not None
    assert report.test["accuracy"] > 0.75  # a tenth of each input is missing, which leaves about 0.9
    assert report.classes == ("northeast", "northwest", "southeast", "southwest")
    assert report.n_train + report.val.n + report.test.n == 240
    assert report.val == report.history[report.best_epoch].val
    assert report.val["macro_f1"] == max(row.val["macro_f1"] for row in report.history if row.val)
    assert f"test  accuracy {report.test['accuracy']:.3f}" in str(report)
    assert f"checkpoint: {tmp_path / 'run' / 'checkpoint.pt'}" in str(report)
    model = load_model(tmp_path / "run" / "checkpoint.pt")
    test = open_splits(store, config).test
    assert test is not None
    assert evaluate(model, test) == report.test
    assert json.loads((tmp_path / "run" / "report.json").read_text()) == json.loads(json.dumps(report.to_json()))
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        ".lock",
        "checkpoint.pt",
        "log.csv",
        "report.json",
    ]


def test_weights_that_are_all_alike_are_warned_of(
    store: Store, config: TrainConfig, caplog: pytest.LogCaptureFixture
) -> None:
    open_splits(store, config)
    assert caplog.text == ""
    open_splits(store, replace(config, weighted=True))
    assert "weighted: all samples of 'train' weigh alike" in caplog.text


class Meanwhile:
    """Begins another training in the middle of one."""

    def __init__(self, begin: Callable[[], object]) -> None:
        self.begin = begin

    def step(self, step: int, loss: float) -> None:
        """Nothing to do."""

    def epoch(self, epoch: Epoch) -> None:
        self.begin()


def test_two_trainings_never_write_to_one_folder_at_once(store: Store, config: TrainConfig, tmp_path: Path) -> None:
    config, told = replace(config, epochs=1), []

    def begin() -> None:
        with pytest.raises(StoreError, match="another training is writing to it right now") as caught:
            train(store, replace(config, seed=4), out=tmp_path, resume=False)
        told.append(caught)

    train(store, config, out=tmp_path, watch=Meanwhile(begin))
    assert len(told) == 1
    assert load_model(tmp_path / "checkpoint.pt").plan.config == config
    train(store, config, out=tmp_path)  # the first has let go


@pytest.mark.parametrize("place", [{}, {"epoch": "x"}, {"step": None}], ids=str)
def test_a_place_in_the_stream_that_is_none_is_told_as_such(
    store: Store, config: TrainConfig, tmp_path: Path, place: dict[str, Any]
) -> None:
    train(store, replace(config, epochs=1), out=tmp_path)
    state = load(tmp_path / "checkpoint.pt")
    state.progress.stream = place and {**(state.progress.stream or {}), **place}
    save(tmp_path / "checkpoint.pt", state)
    with pytest.raises(SchemaMismatch):
        train(store, replace(config, epochs=2), out=tmp_path)


def test_inputs_are_standardised_by_the_training_split_alone(store: Store, config: TrainConfig, tmp_path: Path) -> None:
    train(store, replace(config, epochs=1), out=tmp_path)
    keys = selections.read(Files.at(store.url), "v1").filter(pc.field("split") == "train")["key"].to_pylist()
    rows = np.stack([row for row in store.arrays("image.embedding", keys) if row is not None])
    state = load_model(tmp_path / "checkpoint.pt").state_dict()
    np.testing.assert_allclose(state["encoders.0.standardize.mean"], rows.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(state["encoders.0.standardize.scale"], rows.std(axis=0), rtol=1e-5)


def test_each_input_alone_knows_half(store: Store, config: TrainConfig) -> None:
    for name, column in config.inputs.items():
        report = train(store, replace(config, inputs={name: column}, epochs=8), out=None)
        assert report.test is not None
        assert 0.3 < report.test["accuracy"] < 0.75


def test_the_same_settings_give_the_same_losses_and_leave_the_callers_randomness_alone(
    store: Store, config: TrainConfig
) -> None:
    logs = [Log(), Log(), Log()]
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    train(store, config, out=None, watch=logs[0])
    assert torch.equal(torch.rand(2), expected)
    train(store, config, out=None, watch=logs[1], held_bytes=0)
    train(store, replace(config, seed=4), out=None, watch=logs[2])
    assert logs[0].losses == logs[1].losses  # in memory or streamed
    assert logs[0].losses != logs[2].losses


@pytest.mark.parametrize("held_bytes", [0, 1 << 20])
def test_a_killed_run_goes_on_with_the_same_losses(
    store: Store, config: TrainConfig, tmp_path: Path, held_bytes: int
) -> None:
    config = replace(config, epochs=2, checkpoint_steps=2)
    whole = Log()
    expected = train(store, config, out=tmp_path / "whole", watch=whole, held_bytes=held_bytes)
    n_steps = len(whole.losses)
    for stop in (2, 3, n_steps // 2, n_steps // 2 + 1, n_steps):
        out = tmp_path / f"stopped{stop}"
        with pytest.raises(Killed):
            train(store, config, out=out, watch=Log(stop), held_bytes=held_bytes)
        rest = Log()
        report = train(store, config, out=out, watch=rest, held_bytes=held_bytes)
        assert rest.losses.items() <= whole.losses.items()
        assert len(rest.losses) < n_steps or stop <= 2
        assert report.history == expected.history
        assert report.test == expected.test


def test_a_finished_run_takes_no_more_steps_and_can_be_made_longer(
    store: Store, config: TrainConfig, tmp_path: Path
) -> None:
    whole, first, again, longer = Log(), Log(), Log(), Log()
    expected = train(store, replace(config, epochs=4), out=None, watch=whole)
    found = train(store, replace(config, epochs=2), out=tmp_path, watch=first)
    assert train(store, replace(config, epochs=2), out=tmp_path, watch=again).test == found.test
    assert again.losses == {}
    report = train(store, replace(config, epochs=4), out=tmp_path, watch=longer)
    assert first.losses | longer.losses == whole.losses
    assert (report.history, report.test) == (expected.history, expected.test)


def test_other_settings_are_not_mixed_with_a_checkpoint(store: Store, config: TrainConfig, tmp_path: Path) -> None:
    train(store, replace(config, epochs=1), out=tmp_path)
    with pytest.raises(SchemaMismatch, match=r"width was 16, is 8\. Give resume=False"):
        train(store, replace(config, epochs=1, width=8), out=tmp_path)
    report = train(store, replace(config, epochs=1, width=8), out=tmp_path, resume=False)
    assert load_model(tmp_path / "checkpoint.pt").plan.config == report.config


def test_another_stores_content_is_not_mixed_with_a_checkpoint(
    build_store: Build, config: TrainConfig, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    train(build_store("one", n=60), replace(config, epochs=1), out=out)
    with pytest.raises(SchemaMismatch, match="is not what it was"):
        train(build_store("two", n=60, seed=1), replace(config, epochs=2), out=out)


def test_without_judges_the_last_epoch_is_kept(store: Store, config: TrainConfig) -> None:
    splits = replace(config, train_split=("train", "val"), val_split=None, test_split=None)
    report = train(store, splits, out=None)
    assert (report.val, report.test, report.best_epoch, report.stopped_early) == (None, None, 3, False)


def test_a_field_of_the_metadata_can_be_the_target(store: Store, config: TrainConfig) -> None:
    report = train(store, replace(config, target="meta.side", epochs=1), out=None)
    assert report.classes == ("north", "south")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"epochs": 0}, "epochs"),
        ({"inputs": {"image": "image.embeding"}}, "did you mean 'image.embedding'"),
        ({"fusion": "attention"}, "fusion: there is no 'attention'"),
        (
            {"target": "meta.nothing"},
            r"columns: no sample of .* has 'meta.nothing'; there are meta.group, meta.height, meta.one, meta.side",
        ),
        ({"train_split": "trian"}, "its splits are test, train, val"),
        ({"val_split": "vall"}, "its splits are test, train, val"),
        ({"selection": None}, "needs the name of a selection"),
    ],
)
def test_what_cannot_work_is_refused(store: Store, config: TrainConfig, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        train(store, replace(config, **settings), out=None)


def test_an_unknown_selection_is_refused(store: Store, config: TrainConfig) -> None:
    with pytest.raises(StoreError, match="no selection 'v2'"):
        train(store, replace(config, selection="v2"), out=None)


def test_an_input_that_nobody_has_is_refused(build_store: Build, config: TrainConfig) -> None:
    with pytest.raises(ConfigError, match=r"inputs.image: no sample of split 'train' .* has 'image.embedding'"):
        train(build_store(n=30, missing=1.0), config, out=None)


def test_without_what_counts_the_scores_nothing_is_begun(
    store: Store, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    with pytest.raises(MissingExtra, match=r"mmdata\[train\]"):
        train(store, config, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_unknown_device_is_refused(store: Store, config: TrainConfig) -> None:
    with pytest.raises(ConfigError, match="device: there is no 'tpu' here"):
        train(store, config, out=None, device="tpu")


SCRIPT = """
import json, sys, time, torch
from mmdata.store import Store
from mmdata.train.config import TrainConfig
from mmdata.train.fit import train
torch.set_num_threads(1)
config = TrainConfig.of(json.loads(sys.argv[3]))
class Watch:
    def step(self, step, loss):
        if step == int(sys.argv[4]):
            time.sleep(3600)  # however late it is killed, it never ends by itself
        print(step, loss.hex(), flush=True)
    def epoch(self, epoch): pass
train(Store.open(sys.argv[1]), config, out=sys.argv[2], watch=Watch())
"""


def losses_of(text: str) -> dict[str, str]:
    """Losses by step, of the lines that are whole."""
    return dict(line.split() for line in text.splitlines(keepends=True) if line.endswith("\n"))


def test_a_process_killed_with_the_signal_that_nobody_catches_goes_on_with_the_same_losses(
    store: Store, config: TrainConfig, tmp_path: Path
) -> None:
    config = replace(config, checkpoint_steps=1)
    log = Log()
    train(store, config, out=None, watch=log)
    whole = {str(step): loss.hex() for step, loss in log.losses.items()}
    last = str(max(log.losses))
    command = [sys.executable, "-c", SCRIPT, store.url, str(tmp_path / "run"), json.dumps(config.to_json()), last]
    killed = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    first = [killed.stdout.readline() for _ in range(len(whole) // 2)]
    time.sleep(0.01)  # somewhere within a step, or a save
    os.kill(killed.pid, signal.SIGKILL)
    before = losses_of("".join(first) + killed.stdout.read())
    killed.wait()
    killed.stdout.close()
    assert len(before) < len(whole)
    rest = Log()
    train(store, config, out=tmp_path / "run", watch=rest)
    after = {str(step): loss.hex() for step, loss in rest.losses.items()}
    assert len(after) < len(whole)
    assert before | after == whole
    assert before.items() <= whole.items()


def test_a_store_without_a_family_says_what_makes_it(build_store: Build, config: TrainConfig) -> None:
    store = build_store(n=40, lacking="speech.mfcc")
    with pytest.raises(Incomplete, match=r"of source 'other': `mmdata features`.*source = 's'"):
        train(store, config, out=None)


def test_a_source_that_lacks_an_input_can_be_left_out_by_a_selection(build_store: Build, config: TrainConfig) -> None:
    store = build_store(n=120, lacking="speech.mfcc")
    select(store, "v1", split={"train": 0.6, "val": 0.2, "test": 0.2}, where="source = 's'")
    report = train(store, replace(config, epochs=1), out=None)
    assert report.test is not None


def test_training_takes_the_threads_it_is_told_and_gives_them_back(store: Store, config: TrainConfig) -> None:
    before, seen = torch.get_num_threads(), set()

    class Looking(Log):
        def step(self, step: int, loss: float) -> None:
            seen.add(torch.get_num_threads())

    train(store, replace(config, epochs=1, threads=before + 1), out=None, watch=Looking())
    assert seen == {before + 1}
    assert torch.get_num_threads() == before
