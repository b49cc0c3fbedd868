"""`mmdata export-model` on a model that was trained a moment ago."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmdata.train.config import TrainConfig
from mmdata.train.fit import train
from tests.train.conftest import COLUMNS, write_store

Mmdata = Callable[..., Any]
CONFIG = {"inputs": COLUMNS, "width": 16, "hidden": [16], "epochs": 1, "selection": "v1"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store and two models: one that was judged on splits, and one on none."""
    folder = tmp_path_factory.mktemp("export")
    store = write_store(folder / "store", n=80)
    train(store, TrainConfig.of(CONFIG), out=folder / "model")
    train(store, TrainConfig.of({**CONFIG, "val_split": None, "test_split": None}), out=folder / "unjudged")
    return folder


def test_it_prints_a_line_a_form_and_writes_beside_the_checkpoint(mmdata: Mmdata, trained: Path) -> None:
    ended = mmdata("export-model", trained / "model", "--store", trained / "store")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert [line.split()[0] for line in lines[2:5]] == ["torch", "onnx", "int8"]
    assert lines[5:] == [str(trained / "model" / name) for name in ("model.onnx", "model.int8.onnx")]
    assert all(Path(line).exists() for line in lines[5:])


def test_json_has_what_the_file_has(mmdata: Mmdata, trained: Path, tmp_path: Path) -> None:
    asked = ["--store", trained / "store", "--out", tmp_path / "out", "--no-int8", "--json"]
    found = mmdata("export-model", trained / "model" / "checkpoint.pt", *asked).json
    assert [form["name"] for form in found["forms"]] == ["torch", "onnx"]
    assert found["scored_by"] == "macro_f1"
    assert found["forms"][0]["score"] == pytest.approx(found["forms"][1]["score"])
    assert {"model": found["model"], **json.loads((tmp_path / "out" / "export.json").read_text())} == found
    report = json.loads((trained / "model" / "report.json").read_text())
    assert found["forms"][0]["score"] == pytest.approx(report["test"]["macro_f1"])


def test_a_model_without_a_split_to_judge_on_needs_one(mmdata: Mmdata, trained: Path, tmp_path: Path) -> None:
    asked = ["export-model", trained / "unjudged", "--store", trained / "store", "--out", tmp_path, "--no-int8"]
    ended = mmdata(*asked)
    assert ended.code == 2
    assert "without a split to judge on: name one with --split" in ended.err
    assert mmdata(*asked, "--split", "val").code == 0


def test_a_split_or_a_model_that_is_not_there_is_told(mmdata: Mmdata, trained: Path) -> None:
    ended = mmdata("export-model", trained / "model", "--store", trained / "store", "--split", "tset")
    assert ended.code == 2
    assert "tset" in ended.err
    assert mmdata("export-model", trained / "store", "--store", trained / "store").code != 0
