"""Frames through networks whose answer is known: each pixel repeated, or the levels turned around."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mmdata.clean.image import KeepExposure
from mmdata.clean.video import EnlargeFrames, KeepByFrames
from mmdata.core.sample import Frames
from mmdata.core.step import Drop
from mmdata.errors import ConfigError, DataError, DecodeError
from mmdata.testing.contracts.steps import Case, StepContract
from mmdata.testing.films import moving_shapes

FRAMES = moving_shapes(5, 14, 10)[0]


def network(
    path: Path,
    nodes: list[Any],
    *,
    batch: int | str = "n",
    side: tuple[Any, Any] = ("h", "w"),
    n: int = 3,
    k: Any = "k",
) -> str:
    one = numpy_helper.from_array(np.ones((), np.float32), "one")
    ports = [
        helper.make_tensor_value_info("frames", TensorProto.FLOAT, [batch, n, *side]),
        helper.make_tensor_value_info("larger", TensorProto.FLOAT, [batch, n, f"{k}h", f"{k}w"]),
    ]
    graph = helper.make_graph(nodes, "tiny", ports[:1], ports[1:], [one])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return str(path)


def doubling(path: Path, **form: Any) -> str:
    nodes = [
        helper.make_node("Concat", ["frames"] * 4, ["four"], axis=1),
        helper.make_node("DepthToSpace", ["four"], ["larger"], blocksize=2, mode="DCR"),
    ]
    return network(path, nodes, **form)


def turning(path: Path, **form: Any) -> str:
    return network(path, [helper.make_node("Sub", ["one", "frames"], ["larger"])], **form)


@pytest.mark.parametrize("batch", ["n", 1])
@pytest.mark.parametrize("scale", ["unit", "signed", "levels"])
def test_frames_are_enlarged_as_the_network_says(tmp_path: Path, batch: int | str, scale: Any) -> None:
    step = EnlargeFrames(model=doubling(tmp_path / "x2.onnx", batch=batch), scale=scale, batch=2, multiple_px=4)
    made = step.map(FRAMES)
    assert isinstance(made, Frames)
    assert (made.pixels == FRAMES.pixels.repeat(2, axis=1).repeat(2, axis=2)).all()
    assert made.space_map.to_source(np.array([[28.0, 20.0]])).tolist() == [[14.0, 10.0]]
    assert made.times_s is FRAMES.times_s


def test_a_network_may_leave_the_size(tmp_path: Path) -> None:
    made = EnlargeFrames(model=turning(tmp_path / "turn.onnx")).map(FRAMES)
    assert isinstance(made, Frames)
    assert (made.pixels == 255 - FRAMES.pixels).all()
    assert made.space_map == FRAMES.space_map


def test_luma_alone_may_go_through(tmp_path: Path) -> None:
    step = EnlargeFrames(model=doubling(tmp_path / "y.onnx", n=1), planes="luma")
    made = step.map(FRAMES)
    assert isinstance(made, Frames)
    twice = FRAMES.pixels.repeat(2, axis=1).repeat(2, axis=2)
    luma = np.array([0.299, 0.587, 0.114])
    assert np.abs(made.pixels @ luma - twice @ luma).max() < 8  # clipped colours move it
    assert np.abs(made.pixels @ luma - twice @ luma).mean() < 1
    grey = FRAMES.changed(FRAMES.pixels[..., :1])
    made = step.map(grey)
    assert isinstance(made, Frames)
    assert (made.pixels == twice[..., :1]).all()


@pytest.mark.slow
def test_programs_of_torch_are_only_run_where_trusted(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    class Doubling(torch.nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, frames: Any) -> Any:
            return frames.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)

    example = (torch.zeros(2, 3, 10, 14),)
    dims = {"frames": {0: torch.export.Dim("n", min=1, max=64)}}
    path = str(tmp_path / "x2.pt2")
    torch.export.save(torch.export.export(Doubling(), example, dynamic_shapes=dims), path)
    made = EnlargeFrames(model=path, trusted=True).map(FRAMES)
    assert isinstance(made, Frames)
    assert made.pixels.shape == (5, 20, 28, 3)
    with pytest.raises(ConfigError, match="trusted: true"):
        EnlargeFrames(model=path).fingerprint()


def test_what_the_network_does_not_take_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="takes frames of 8 x 6 pixels, not of 14 x 10"):
        EnlargeFrames(model=doubling(tmp_path / "fixed.onnx", side=(6, 8))).map(FRAMES)
    with pytest.raises(DecodeError, match="max_bytes is 100"):
        EnlargeFrames(model=doubling(tmp_path / "x2.onnx"), max_bytes=100).map(FRAMES)
    pooled = [helper.make_node("ReduceMean", ["frames"], ["larger"], axes=[2], keepdims=1)]
    with pytest.raises(ValueError, match="expected sides k times as large"):
        EnlargeFrames(model=network(tmp_path / "mean.onnx", pooled)).map(FRAMES)
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    with pytest.raises(ConfigError, match="onnxruntime can't use it"):
        EnlargeFrames(model=str(tmp_path / "bad.onnx")).map(FRAMES)
    with pytest.raises(ConfigError):
        EnlargeFrames(model=str(tmp_path / "none.onnx")).fingerprint()


def test_another_network_is_another_step(tmp_path: Path) -> None:
    step = EnlargeFrames(model=doubling(tmp_path / "net.onnx"))
    before = step.fingerprint()
    assert step.map(FRAMES) is not FRAMES
    turning(tmp_path / "net.onnx")
    assert step.fingerprint() != before
    made = step.map(FRAMES)
    assert isinstance(made, Frames)
    assert made.pixels.shape == FRAMES.pixels.shape


@pytest.mark.parametrize(
    ("levels", "min_share", "expected"),
    [
        ([100, 100, 100, 100], 1.0, True),
        ([100, 100, 100, 3], 1.0, Drop("too_dark")),
        ([100, 100, 100, 3], 0.75, True),
        ([100, 3, 250, 250], 0.5, Drop("too_bright")),
        ([3, 3, 100, 250], 0.5, Drop("too_dark")),
        ([], 0.5, Drop("no_frames")),
    ],
)
def test_clips_are_kept_by_the_share_of_their_frames(levels: list[int], min_share: float, expected: object) -> None:
    pixels = np.array(levels, np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    frames = Frames(pixels, np.arange(len(levels)) / 2, np.zeros(len(levels), bool))
    assert KeepByFrames(step={"use": "clean.image.KeepExposure"}, min_share=min_share).keep(frames) == expected


def test_a_filter_of_frames_that_gives_no_reason_keeps_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KeepExposure, "keep", lambda *_: False)
    frames = Frames(np.zeros((2, 8, 8, 3), np.uint8), np.arange(2) / 2, np.zeros(2, bool))
    with pytest.raises(TypeError, match="the filter returned False"):
        KeepByFrames(step={"use": "clean.image.KeepExposure"}).keep(frames)


def test_a_classifier_of_frames_is_a_plug(tmp_path: Path) -> None:
    """Overlaid text is told by a network of the user's: here, one that gives how light the frame is."""
    nodes = [helper.make_node("ReduceMean", ["frames"], ["larger"], axes=[1, 2, 3], keepdims=0)]
    path = tmp_path / "light.onnx"
    ports = [
        helper.make_tensor_value_info("frames", TensorProto.FLOAT, ["n", 3, 8, 8]),
        helper.make_tensor_value_info("larger", TensorProto.FLOAT, ["n"]),
    ]
    graph = helper.make_graph(nodes, "tiny", ports[:1], ports[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    given = {"use": "clean.image.KeepByScore", "model": str(path), "max_score": 0.5, "reason": "overlay_text"}
    step = KeepByFrames(step={**given, "mean": [0, 0, 0], "std": [1, 1, 1]}, min_share=0.6)
    pixels = np.array([20, 60, 90, 250], np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    frames = Frames(pixels, np.arange(4) / 2, np.zeros(4, bool))
    assert step.keep(frames) is True
    assert step.keep(frames.rows(np.array([0, 3, 3]))) == Drop("overlay_text")


class TestContracts(StepContract):
    @pytest.fixture(params=["enlarge", "keep"])
    def case(self, request: pytest.FixtureRequest, tmp_path: Path) -> Case:
        if request.param == "enlarge":
            model, other = doubling(tmp_path / "x2.onnx"), turning(tmp_path / "turn.onnx")
            return Case(EnlargeFrames(model=model), FRAMES, others={"model": other})
        step = {"use": "clean.image.KeepEntropy"}
        return Case(KeepByFrames(step=step, min_share=0.9), FRAMES, others={"step": {**step, "min_bits": 1}})
