"""Trainings of two real processes, started by `torchrun`, beside the same ones of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mmdata.errors import ConfigError, RunStopped
from mmdata.store import Store
from mmdata.train.chance import Rows, drawing_for
from mmdata.train.checkpoint import load
from mmdata.train.config import Task, TrainConfig
from mmdata.train.distributed import ALONE, World, _others_there, launched
from mmdata.train.fit import train
from mmdata.train.inputs import parts_of
from mmdata.train.logs import LOG, read_log
from mmdata.train.model import FusionModel
from mmdata.train.plan import Head, ModelPlan
from tests.train.conftest import COLUMNS, INPUTS, write_store
from tests.train.ranks import trained

# float32 sums in another order, through at most three epochs of Adam; one other sample in a batch changes 1e-2
CLOSE = 1e-4
CONFIG = TrainConfig(
    inputs=COLUMNS, width=16, hidden=(16,), epochs=3, batch_size=24, lr=1e-2, selection="v1", checkpoint_steps=4
)
CONFIGS = {
    "classes": CONFIG,
    "gru": replace(CONFIG, encoders={"speech": "gru"}, fusion="cross_attention", optimizer="sgd", epochs=1),
    "accumulated": replace(
        CONFIG,
        accumulate=2,
        clip_norm=0.5,
        l1=1e-4,
        class_weights="balanced",
        focal=1.0,
        fusion="late_weighted",
        epochs=1,
    ),
    "tasks": replace(
        CONFIG,
        tasks={"corner": Task(target="label"), "group": Task(target="meta.group", objective="regression")},
        task_weights="uncertainty",
        epochs=1,
    ),
    "pairs": replace(CONFIG, objective="contrastive", epochs=1),
    "filled": replace(CONFIG, objective="reconstruction", latent=4, epochs=1),
}


def torchrun(jobs: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    (folder / "jobs.json").write_text(json.dumps(jobs))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    meeting = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    return subprocess.run(
        [*launcher, *meeting, "-m", "tests.train.ranks", str(folder / "jobs.json")],
        env={**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
        text=True,
        timeout=250,
    )


def job(config: TrainConfig, **settings: Any) -> dict[str, Any]:
    return {"config": config.to_json(), **settings}


class Two:
    """What two ranks came to."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder
        trained(store, ALONE, config=CONFIG.to_json(), out=str(folder / "from-one"), stop=6)
        jobs = {name: job(config) for name, config in CONFIGS.items()}
        jobs["whole"] = job(CONFIG, out=str(folder / "whole"))
        jobs["streamed"] = job(replace(CONFIG, epochs=1), held_bytes=0)
        jobs["stopped"] = job(CONFIG, out=str(folder / "stopped"), stop=10)
        jobs["differing"] = job(CONFIG, differs=True)
        jobs["from-one"] = job(CONFIG, out=str(folder / "from-one"))
        done = torchrun({"store": store.url, "jobs": jobs}, folder / "ranks")
        assert done.returncode == 0, done.stderr
        self.ranks = [json.loads((folder / "ranks" / f"{rank}.json").read_text()) for rank in (0, 1)]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Two:
    folder = tmp_path_factory.mktemp("two")
    return Two(write_store(folder / "store"), folder)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_both_ranks_know_the_same_losses(two: Two) -> None:
    assert two.ranks[0] == two.ranks[1]
    assert two.ranks[0]["size"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_two_ranks_come_to_the_losses_of_one(two: Two, name: str) -> None:
    alone = trained(two.store, ALONE, config=CONFIGS[name].to_json())
    assert len(alone["losses"]) > 3
    assert two.ranks[0][name]["losses"] == pytest.approx(alone["losses"], rel=CLOSE)
    assert two.ranks[0][name]["test"] == pytest.approx(alone["test"], rel=CLOSE)


@pytest.mark.slow
def test_a_run_of_two_goes_on_alone_and_one_alone_with_two_as_if_nothing_had_happened(two: Two) -> None:
    whole = two.ranks[0]["whole"]
    assert max(int(step) for step in two.ranks[0]["stopped"]["losses"] if step.isdecimal()) == 10
    rest = trained(two.store, ALONE, config=CONFIG.to_json(), out=str(two.folder / "stopped"))
    for goes_on, first in ((rest, 9), (two.ranks[0]["from-one"], 5)):  # the last checkpoint is of step 8, and of step 4
        assert goes_on["losses"].keys() <= whole["losses"].keys()
        assert min(int(step) for step in goes_on["losses"] if step.isdecimal()) == first
        assert goes_on["losses"] == pytest.approx(
            {step: whole["losses"][step] for step in goes_on["losses"]}, rel=CLOSE
        )
        assert goes_on["test"] == pytest.approx(whole["test"], rel=CLOSE)


@pytest.mark.slow
def test_a_split_is_given_alike_from_memory_and_from_the_store(two: Two) -> None:
    first = {name: two.ranks[0]["classes"]["losses"][name] for name in two.ranks[0]["streamed"]["losses"]}
    assert two.ranks[0]["streamed"]["losses"] == first


@pytest.mark.slow
def test_one_rank_alone_writes(two: Two) -> None:
    written = sorted(path.name for path in (two.folder / "whole").iterdir())
    assert written == [".lock", "checkpoint.pt", "log.csv", "report.json"]
    rows = read_log(two.folder / "whole" / LOG)
    assert [row["epoch"] for row in rows] == [0, 1, 2]
    assert load(two.folder / "whole" / "checkpoint.pt").progress.epoch == 3


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_rank_that_fails_ends_all_and_says_why(store: Store, tmp_path: Path) -> None:
    done = torchrun({"store": store.url, "jobs": {"a": job(CONFIG)}, "fails": 1}, tmp_path / "ranks")
    assert done.returncode != 0
    assert "ValueError: the disk of this rank is full" in done.stderr
    assert list((tmp_path / "ranks").glob("*.json")) == [tmp_path / "ranks" / "jobs.json"]


@pytest.mark.slow
def test_ranks_of_different_settings_are_refused_before_the_first_step(two: Two) -> None:
    for rank in two.ranks:
        assert "ranks differ in settings: all ranks need the same settings, store" in rank["differing"]["error"]
        assert rank["differing"]["losses"] == {}


def test_ranks_that_cannot_share_a_batch_are_refused(store: Store) -> None:
    with pytest.raises(ConfigError, match="3 ranks can't share batches of 16"):
        train(store, replace(CONFIG, batch_size=16), out=None, world=World(rank=0, size=3))


def test_without_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    with launched() as world:
        assert world == ALONE
        assert torch.equal(world.whole(world.rows(2), torch.ones(2)), torch.ones(2))


EMPTY: dict[str, Any] = {
    "key": [],
    "label": [],
    "image.embedding": torch.zeros(0, 4),
    "speech.mfcc": torch.zeros(0, 1, 3),
    "speech.mfcc.length": torch.zeros(0, dtype=torch.int64),
}
FUSIONS = ["early", "concat", "gated", "low_rank", "attention_pool", "additive", "cross_attention", "late_weighted"]


@pytest.mark.parametrize("encoder", ["cnn", "gru", "lstm+transformer"])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_rank_without_rows_takes_its_part_in_a_step(fusion: str, encoder: str) -> None:
    config = replace(CONFIG, fusion=fusion, encoders={} if fusion == "early" else {"speech": encoder})
    torch.manual_seed(0)
    model = FusionModel(ModelPlan(config=config, inputs=INPUTS, heads=(Head(classes=("a", "b")),)))
    with drawing_for(Rows(1, (3, 0))):
        mine = model(parts_of(EMPTY, INPUTS))
    whole = torch.cat([torch.ones(3, 2), mine])  # with what the other rank sent
    losses = model.objective.losses(whole, (torch.zeros(3, dtype=torch.int64),))
    model.objective.total(losses).backward()  # type: ignore[no-untyped-call]
    assert float(losses.detach()) > 0
    assert all(weight.grad is None or not weight.grad.any() for weight in model.parameters())


class Causes:
    """A store of torch.distributed, in this process."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def check(self, keys: list[str], /) -> bool:
        return all(key in self.kept for key in keys)

    def set(self, key: str, value: str, /) -> None:
        self.kept[key] = value.encode()

    def get(self, key: str, /) -> bytes:
        return self.kept[key]


def fails(world: World, error: Exception) -> None:
    with world.sharing_causes(), _others_there():
        raise error


def test_a_rank_that_finds_another_gone_says_what_that_one_said() -> None:
    causes = Causes()
    with pytest.raises(RunStopped, match=r"another rank is gone; start the run again.*closed by peer"):
        fails(World(0, 2, causes=causes), RuntimeError("Connection closed by peer"))
    with pytest.raises(ValueError, match="NaN"):
        fails(World(1, 2, causes=causes), ValueError("NaN in a column"))
    with pytest.raises(RunStopped, match=r"^rank 1 stopped: ValueError: NaN in a column$"):
        fails(World(0, 2, causes=causes), RuntimeError("Connection closed by peer"))
