"""ONNX forms of models beside torch: onnxruntime itself computes them."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from mmdata.errors import ConfigError, MissingExtra, RunStopped
from mmdata.train.config import TrainConfig
from mmdata.train.encoders import SequenceEncoder
from mmdata.train.export import CLOSE, export
from mmdata.train.inputs import Input, parts_of
from mmdata.train.judge import evaluate
from mmdata.train.model import FusionModel
from mmdata.train.plan import Head, ModelPlan

Build = Any
TOKENS = Input("words", "text.tokens", "tokens", 30)
PICTURE = Input("picture", "image.pixels", "image", 3, (12, 16, 3))
CLASSES = (Head(classes=("northeast", "northwest", "southeast", "southwest")),)


def made(config: TrainConfig, inputs: tuple[Input, ...], heads: tuple[Head, ...] = CLASSES) -> FusionModel:
    torch.manual_seed(0)
    return FusionModel(ModelPlan(config=config, inputs=inputs, heads=heads)).eval()


def exported(model: FusionModel, batches: Any, folder: Path, *, int8: bool = False) -> Any:
    def score(form: FusionModel) -> float:
        return evaluate(form, batches)["loss"]

    return export(model, batches, folder, judge=score, scored_by="loss", int8=int8)


def run(folder: Path, batch: Any, inputs: tuple[Input, ...], name: str = "model.onnx") -> np.ndarray:
    """What a program without mmdata and torch does."""
    session = onnxruntime.InferenceSession(str(folder / name), providers=["CPUExecutionProvider"])
    ends = {"": "", "mask": ".mask", "length": ".length"}
    fed = {
        f"{item.name}{end}": batch[f"{item.column}{end}"]
        for item in inputs
        for end in ends.values()
        if f"{item.column}{end}" in batch
    }
    found: np.ndarray = session.run(["answer"], fed)[0]
    return found


FUSIONS = [
    *("early", "concat", "weighted_sum", "product", "gated", "low_rank", "attention_pool", "additive"),
    *("cross_attention", "late_average", "late_weighted"),
]


CHAINS = [
    *(("concat", name) for name in ("gru", "lstm", "transformer", "gru<-image")),
    ("cross_attention", "cnn+lstm+transformer"),
]


@pytest.mark.parametrize(("fusion", "encoder"), [*((fusion, "cnn") for fusion in FUSIONS), *CHAINS])
def test_onnx_gives_the_numbers_of_torch(
    world: Build, config: TrainConfig, inputs: tuple[Input, ...], tmp_path: Path, fusion: str, encoder: str
) -> None:
    model = made(replace(config, fusion=fusion, encoders={"speech": encoder}), inputs)
    report = exported(model, world(24, missing=0.3), tmp_path)
    assert report.forms[1].furthest < CLOSE
    assert report.forms[1].score == pytest.approx(report.forms[0].score, rel=1e-4)
    batch = next(iter(world(3, seed=9, size=3)))  # another batch size and time than it was traced with
    with torch.inference_mode():
        expected = model(parts_of(batch, inputs)).softmax(dim=1).numpy()
    np.testing.assert_allclose(run(tmp_path, batch, inputs), expected, rtol=1e-4, atol=1e-4)


def test_pictures_and_tokens_have_a_form(config: TrainConfig, tmp_path: Path) -> None:
    rng, n = np.random.default_rng(0), 6
    batch = {
        "key": [str(row) for row in range(n)],
        "label": ["northeast", "southwest"] * 3,
        "image.pixels": rng.random((n, 12, 16, 3), dtype=np.float32),
        "image.pixels.mask": np.array([True, True, False, True, True, True]),
        "text.tokens": rng.integers(0, 40, (n, 7)),  # some that the training split lacked
        "text.tokens.length": np.array([7, 1, 3, 0, 2, 5]),
        "text.tokens.mask": np.array([True, True, True, False, True, True]),
    }
    config = replace(config, inputs={"picture": "image.pixels", "words": "text.tokens"}, encoders={"words": "gru"})
    model = made(config, (PICTURE, TOKENS))
    assert exported(model, [batch], tmp_path).forms[1].furthest < CLOSE


@pytest.mark.parametrize(
    ("settings", "heads"),
    [
        ({"objective": "binary"}, (Head(objective="binary", classes=("no", "yes")),)),
        ({"objective": "regression"}, (Head(objective="regression", mean=40.0, scale=9.0),)),
        ({"objective": "contrastive"}, ()),
        ({"objective": "reconstruction"}, ()),
    ],
)
def test_every_objective_has_a_form(
    world: Build,
    config: TrainConfig,
    inputs: tuple[Input, ...],
    tmp_path: Path,
    settings: dict[str, Any],
    heads: tuple[Head, ...],
) -> None:
    model = made(replace(config, **settings), inputs, heads)
    batches = [{**batch, "label": ["1"] * len(batch["key"])} for batch in world(16, missing=0.2)]
    assert exported(model, batches, tmp_path).forms[1].furthest < CLOSE
    with torch.inference_mode():
        expected = model.objective.answer(model(parts_of(batches[0], inputs))).numpy()
    np.testing.assert_allclose(run(tmp_path, batches[0], inputs), expected, rtol=1e-4, atol=1e-4)


def test_int8_is_smaller_and_its_score_is_told(
    world: Build, config: TrainConfig, inputs: tuple[Input, ...], tmp_path: Path
) -> None:
    model = made(replace(config, width=256, hidden=(256,)), inputs)
    report = exported(model, world(24), tmp_path, int8=True)
    _, onnx, int8 = report.forms
    assert [form.name for form in report.forms] == ["torch", "onnx", "int8"]
    assert int8.n_bytes < onnx.n_bytes / 1.4  # the convolutions stay
    assert 0 < int8.furthest < 0.1
    assert int8.score != onnx.score
    assert json.loads((tmp_path / "export.json").read_text()) == json.loads(json.dumps(report.to_json()))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.json", "model.int8.onnx", "model.onnx"]
    assert (tmp_path / "model.int8.onnx").stat().st_size == int8.n_bytes
    assert f"int8    {int8.n_bytes / 1000:>9.1f}" in str(report)
    found = run(tmp_path, next(iter(world(8))), inputs, "model.int8.onnx")
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


def test_the_file_says_what_it_is(world: Build, config: TrainConfig, inputs: tuple[Input, ...], tmp_path: Path) -> None:
    model = made(config, inputs)
    exported(model, world(8), tmp_path)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    assert [(each.name, each.shape) for each in session.get_inputs()] == [
        ("image", ["batch", 4]),
        ("image.mask", ["batch"]),
        ("speech", ["batch", "speech.time", 3]),
        ("speech.mask", ["batch"]),
        ("speech.length", ["batch"]),
    ]
    plan = json.loads(session.get_modelmeta().custom_metadata_map["mmdata.plan"])
    assert ModelPlan.of(plan) == model.plan


def test_other_numbers_are_refused_and_nothing_is_left(
    world: Build, config: TrainConfig, inputs: tuple[Input, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = SequenceEncoder.summary

    def wrong(self: SequenceEncoder, steps: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        return summary(self, steps, length) * (1.01 if steps.ndim == 3 else 1.0)

    monkeypatch.setattr(SequenceEncoder, "summary", wrong)
    with pytest.raises(RunStopped, match=r"other numbers than torch, off by .*fusion 'concat', encoders VectorEncoder"):
        exported(made(config, inputs), world(8), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_has_no_form_is_named(
    world: Build, config: TrainConfig, inputs: tuple[Input, ...], tmp_path: Path
) -> None:
    model = made(config, inputs)
    model.fusion.forward = lambda encoded, present: torch.linalg.svdvals(encoded) @ torch.ones(2, 32)  # type: ignore[method-assign]
    with pytest.raises(RunStopped, match=r"no form in ONNX: fusion 'concat', encoders VectorEncoder, SequenceEncoder"):
        exported(model, world(8), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_sample_is_nothing_to_compare_by(config: TrainConfig, inputs: tuple[Input, ...], tmp_path: Path) -> None:
    with pytest.raises(RunStopped, match="there is no sample to compare the exported model by"):
        exported(made(config, inputs), [], tmp_path)


def test_a_package_that_is_missing_is_named_with_its_extra(
    world: Build, config: TrainConfig, inputs: tuple[Input, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtra, match=r"onnx is not installed: pip install 'mmdata\[export\]'"):
        exported(made(config, inputs), world(8), tmp_path)


@pytest.mark.parametrize("name", ["answer", "output", "image.mask", "speech.length"])
def test_an_input_of_a_name_that_the_graph_needs_is_refused_by_it(
    world: Build, config: TrainConfig, inputs: tuple[Input, ...], tmp_path: Path, name: str
) -> None:
    named = (inputs[0], inputs[1], Input(name, "image.embedding", "vector", 4))
    columns = {item.name: item.column for item in named}
    with pytest.raises(ConfigError, match=f"inputs: '{name}' is the name of two things in the graph"):
        exported(made(replace(config, inputs=columns), named), world(8), tmp_path)
    assert list(tmp_path.iterdir()) == []
