from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import mmdata
from mmdata.clean.image import KeepByScore
from mmdata.core.sample import Image
from mmdata.core.step import Drop
from mmdata.errors import ConfigError
from mmdata.testing.contracts.steps import Case, StepContract
from mmdata.testing.media import png_bytes


def greyness(path: Path, *, classes: int = 1, times: float = 1) -> str:
    """An ONNX file that scores a picture by its mean level, 0 to 1; with more classes, by its first channels' means."""
    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("Slice", ["means", "first", "last", "axis"], ["some"]),
        helper.make_node("Mul", ["some", "times"], ["scores"]),
    ]
    shapes: list[tuple[str, list[str | int | None]]]
    shapes = [("pixels", ["batch", 3, 4, 4]), ("scores", ["batch", classes])]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes]
    numbers = {"first": np.array([0]), "last": np.array([classes]), "axis": np.array([1])}
    numbers["times"] = np.array([times], np.float32)
    tables = [numpy_helper.from_array(array, name) for name, array in numbers.items()]
    graph = helper.make_graph(nodes, "tiny", ports[:1], ports[1:], tables)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return str(path)


def flat(level: int, width: int = 6, height: int = 5, channels: int = 3) -> Image:
    return Image(np.full((height, width, channels), level, np.uint8))


def step(model: str, **settings: Any) -> KeepByScore:
    return KeepByScore(model=model, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), **settings)


class TestKeepByScore(StepContract):
    @pytest.fixture
    def case(self, tmp_path: Path) -> Case:
        others = {"model": greyness(tmp_path / "half.onnx", times=0.5), "label": 0, "size_px": (4, 4)}
        others |= {"output": "scores", "min_score": 0.1, "max_score": 0.7, "reason": "watermark"}
        others |= {"mean": (0.1, 0.0, 0.0), "std": (0.5, 1.0, 1.0)}
        return Case(step(greyness(tmp_path / "one.onnx"), max_score=0.5), flat(51), others=others)


@pytest.mark.parametrize(
    ("bounds", "kept"),
    [
        ({"max_score": 0.5}, [True, True, False]),
        ({"min_score": 0.5}, [False, False, True]),
        ({"min_score": 0.19, "max_score": 0.21}, [False, True, False]),
        ({"min_score": 0.0, "max_score": 0.0}, [True, False, False]),
        ({"min_score": 1.0}, [False, False, True]),
    ],
)
def test_pictures_are_kept_between_the_bounds(tmp_path: Path, bounds: dict[str, float], kept: list[bool]) -> None:
    by_score = step(greyness(tmp_path / "grey.onnx"), reason="watermark", **bounds)
    verdicts = [by_score.keep(flat(level)) for level in (0, 51, 255)]
    assert [verdict is True for verdict in verdicts] == kept
    assert {verdict for verdict in verdicts if isinstance(verdict, Drop)} <= {Drop("watermark")}


def test_a_score_that_is_no_number_is_not_kept(tmp_path: Path) -> None:
    endless = step(greyness(tmp_path / "endless.onnx", times=float("nan")), min_score=-1e9, max_score=1e9)
    assert endless.keep(flat(9)) == Drop("score")


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 20_000, 3), (20_000, 1, 1)])
def test_pictures_of_odd_forms_have_a_score(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    assert step(greyness(tmp_path / "grey.onnx"), max_score=0.5).keep(Image(np.full(shape, 40, np.uint8))) is True


def test_a_model_of_several_scores_needs_a_label(tmp_path: Path) -> None:
    model = greyness(tmp_path / "two.onnx", classes=2)
    with pytest.raises(ConfigError, match="gives 2 scores; say which by label"):
        step(model, max_score=0.5).fingerprint()
    red = Image(np.full((4, 4, 3), (255, 0, 0), np.uint8))
    assert step(model, max_score=0.5, label=0).keep(red) == Drop("score")
    assert step(model, max_score=0.5, label=1).keep(red) is True
    assert step(model, max_score=0.5, label=0).fingerprint() != step(model, max_score=0.5, label=1).fingerprint()


def test_another_model_is_another_step_and_the_same_file_elsewhere_is_not(tmp_path: Path) -> None:
    one, same = greyness(tmp_path / "one.onnx"), tmp_path / "elsewhere" / "one.onnx"
    same.parent.mkdir()
    same.write_bytes(Path(one).read_bytes())
    two = greyness(tmp_path / "two.onnx", classes=3)
    before = step(one, max_score=0.5).fingerprint()
    assert step(str(same), max_score=0.5).fingerprint() == before
    assert step(two, max_score=0.5, label=0).fingerprint() != before
    changed: list[dict[str, Any]] = [
        {"max_score": 0.4},
        {"min_score": 0.1},
        {"reason": "logo"},
        {"activation": "sigmoid"},
    ]
    assert before not in [step(one, **{"max_score": 0.5, **more}).fingerprint() for more in changed]


def test_a_model_that_is_changed_in_place_is_loaded_again(tmp_path: Path) -> None:
    by_score = step(greyness(tmp_path / "grey.onnx"), max_score=0.5)
    before = by_score.fingerprint()
    assert by_score.keep(flat(51)) is True
    assert greyness(tmp_path / "grey.onnx", times=4) == by_score.model
    assert by_score.keep(flat(51)) == Drop("score")
    assert by_score.fingerprint() != before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give min_score, max_score, or both"),
        ({"min_score": 2.0, "max_score": 1.0}, r"max_score \(1.0\) is below min_score \(2.0\)"),
        ({"max_score": 1.0, "reason": "No Good"}, "snake_case"),
    ],
)
def test_settings_that_say_nothing_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KeepByScore(model="a.onnx", **settings)


def test_a_run_drops_by_a_model_and_counts_its_reason(tmp_path: Path) -> None:
    source = tmp_path / "pictures"
    source.mkdir()
    for level in (10, 100, 250):
        (source / f"{level}.png").write_bytes(png_bytes(flat(level)))
    model = greyness(tmp_path / "grey.onnx")
    pipeline = tmp_path / "pipeline.yaml"
    pipeline.write_text(
        f"""source: {{use: source.files.Files, parts: {{image: "{{stem}}.png"}}}}
ingest:
  - use: clean.image.KeepByScore
    model: {model}
    mean: [0, 0, 0]
    std: [1, 1, 1]
    max_score: 0.5
    reason: watermark
features:
  - use: features.embed.ImageScore
    model: {model}
    mean: [0, 0, 0]
    std: [1, 1, 1]
"""
    )
    report = mmdata.run(pipeline, source=source, store=tmp_path / "store", executor="inline")
    assert (report.counts.read, report.counts.stored) == (3, 2)
    assert dict(report.counts.dropped) == {"clean.image.KeepByScore:watermark": 1}
    scores = mmdata.open(tmp_path / "store").arrays("image.score")
    assert sorted(round(float(score) * 255) for score in scores if score is not None) == [10, 100]
