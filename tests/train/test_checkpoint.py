from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import pytest
import torch

from mmdata.errors import SchemaMismatch
from mmdata.train import checkpoint
from mmdata.train.checkpoint import Epoch, Progress, check_config, load, load_model, save
from mmdata.train.config import TrainConfig
from mmdata.train.inputs import Input
from mmdata.train.loop import Run
from mmdata.train.metrics import Metrics
from mmdata.train.model import FusionModel
from mmdata.train.plan import Head, ModelPlan


@pytest.fixture
def run(config: TrainConfig, inputs: tuple[Input, ...]) -> Run:
    torch.manual_seed(0)
    run = Run.start(FusionModel(ModelPlan(config=config, inputs=inputs, heads=(Head(classes=("a", "b")),))))
    scores = Metrics(n=3, loss=1.1, n_unseen=1, n_unlabelled=2, scores={"accuracy": 1 / 3, "macro_f1": 0.1})
    history = [Epoch(epoch=0, train_loss=0.1 + 0.2), Epoch(epoch=1, train_loss=2.0, val=scores)]
    run.progress = Progress(
        epoch=2, step=17, stream={"at": [1, 2]}, loss_sum=0.3, n_summed=4, history=history, stale=1, best_epoch=0
    )
    run.best = dict(run.model.state_dict())
    return run


def test_a_run_comes_back_as_it_was(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "checkpoint.pt"
    save(path, run.checkpoint())
    expected = torch.rand(3)
    found = load(path)
    again = Run.resume(found)
    assert found.plan == run.model.plan
    assert again.progress == run.progress
    assert torch.equal(torch.rand(3), expected)
    for name, tensor in run.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], tensor)


def test_nothing_is_left_beside_the_file_even_when_saving_fails(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint.pt"
    save(path, run.checkpoint())
    before = path.read_bytes()

    def full(what: object, where: Path) -> None:
        where.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="no space"):
        save(path, run.checkpoint())
    assert [item.name for item in tmp_path.iterdir()] == ["checkpoint.pt"]
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["empty", "text", "truncated", "flipped"])
def test_a_damaged_file_is_told_as_such(run: Run, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "checkpoint.pt"
    save(path, run.checkpoint())
    raw = path.read_bytes()
    middle = len(raw) // 2
    bad = {
        "empty": b"",
        "text": b"not a checkpoint",
        "truncated": raw[:middle],
        "flipped": b"PK" + bytes(200) + raw[:50],
    }
    path.write_bytes(bad[damage])
    with pytest.raises(SchemaMismatch, match="is damaged"):
        load(path)


def test_one_other_bit_anywhere_in_the_weights_is_damage(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save(path, run.checkpoint())
    raw = bytearray(path.read_bytes())
    at = raw.index(run.model.state_dict()["heads.0.0.0.weight"].numpy().tobytes())
    raw[at] ^= 1
    path.write_bytes(raw)
    with pytest.raises(SchemaMismatch, match=f"{path} is no checkpoint, or is damaged"):
        load(path)


def test_a_file_that_can_t_grow_is_told_plainly_and_the_one_before_stays(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save(path, run.checkpoint())
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        with pytest.raises(OSError, match=f"{path} can't be written, is the disk full") as caught:
            save(path, run.checkpoint())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert [item.name for item in tmp_path.iterdir()] == ["checkpoint.pt"]
    assert path.read_bytes() == before


def altered(run: Run, path: Path, **parts: Any) -> None:
    """A checkpoint with other values: of "plan" and "progress" some, of the rest all."""
    save(path, run.checkpoint())
    raw = torch.load(path, weights_only=True)
    plain = json.loads(raw["json"])
    for name, values in parts.items():
        if name == "config":
            plain["plan"]["config"] |= values
        elif name in plain:
            plain[name] |= values
        else:
            raw[name] = values
    torch.save({**raw, "json": json.dumps(plain)}, path)


@pytest.mark.parametrize(
    "parts",
    [
        {"config": {"width": 10**9}},
        {"config": {"width": -1}},
        {"config": {"fusion": 3}},
        {"plan": {"inputs": [{"name": "image", "column": "c", "kind": "odd", "size": "4"}]}},
        {"plan": {"heads": [{"classes": 3, "counts": []}]}},
        {"plan": {"inputs": 3}},
        {"progress": {"best_epoch": 7}},
        {"progress": {"history": []}},
        {"progress": {"step": -1}},
        {"plan": {"heads": [{"classes": ["a", ["b"]]}]}},
        {"plan": {"heads": [{"classes": ["a", "b"], "target": "other"}]}},
        {"config": {"inputs": {"image": "other", "speech": "speech.mfcc"}}},
        {"progress": {"history": [3]}},
        {"progress": {"step": "some"}},
        {"best": {"a": 3}},
        {"best": 3},
        {"optimizer": {}},
        {"optimizer": {"state": {}, "param_groups": 3}},
        {"random": {}},
        {"random": {"cpu": torch.zeros(3)}},
    ],
    ids=str,
)
def test_an_altered_file_is_refused_whatever_was_altered(run: Run, tmp_path: Path, parts: dict[str, Any]) -> None:
    path = tmp_path / "checkpoint.pt"
    altered(run, path, **parts)
    with pytest.raises(SchemaMismatch):
        Run.resume(load(path))
    if parts.keys() <= {"config", "plan", "best"}:
        with pytest.raises(SchemaMismatch, match=str(path)):
            load_model(path)


class Runs:
    """What must never be built by reading a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("code ran",)


def test_a_file_runs_no_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "checkpoint.pt"
    torch.save({"json": Runs()}, path)
    with pytest.raises(SchemaMismatch):
        load(path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [3, {}, {"json": "["}, {"json": "{}"}, {"json": '{"format": 2}'}])
def test_another_programs_archive_is_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "checkpoint.pt"
    torch.save(content, path)
    with pytest.raises(SchemaMismatch, match="no checkpoint of mmdata"):
        load(path)


def test_a_newer_format_is_refused(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.pt"
    monkeypatch.setattr(checkpoint, "FORMAT", 3)
    save(path, run.checkpoint())
    monkeypatch.undo()
    with pytest.raises(SchemaMismatch, match="has format 3, this mmdata reads up to 2"):
        load(path)


def test_weights_of_another_form_are_refused(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save(path, run.checkpoint())
    raw = torch.load(path, weights_only=True)
    plain = json.loads(raw["json"])
    plain["plan"]["config"]["width"] = 8
    torch.save({**raw, "json": json.dumps(plain)}, path)
    with pytest.raises(SchemaMismatch, match="not those of its plan"):
        load_model(path)


def test_weights_that_are_none_are_refused(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save(path, run.checkpoint())
    torch.save({**torch.load(path, weights_only=True), "best": [1]}, path)
    with pytest.raises(SchemaMismatch, match="not those of its plan"):
        load_model(path)


def test_no_file_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "checkpoint.pt")


def test_a_model_is_loaded_at_its_best_and_ready_to_predict(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    run.best = {name: tensor + 1 for name, tensor in run.model.state_dict().items()}
    save(path, run.checkpoint())
    model = load_model(path)
    assert not model.training
    assert model.plan.classes == ("a", "b")
    assert torch.equal(model.state_dict()["heads.0.0.0.bias"], run.best["heads.0.0.0.bias"])


def test_a_run_may_be_made_longer_and_nothing_else(config: TrainConfig) -> None:
    told = {**config.to_json(), "epochs": 99, "patience": None, "checkpoint_steps": 5}
    check_config(Path("x.pt"), config, TrainConfig.of(told))
    with pytest.raises(SchemaMismatch, match=r"lr was 0\.005, is 0\.1; seed was 3, is 4\. Give resume=False") as caught:
        check_config(Path("x.pt"), config, TrainConfig.of({**told, "lr": 0.1, "seed": 4}))
    assert "epochs" not in str(caught.value)
