"""Networks in files: ONNX graphs and programs of torch.export, against arithmetic that can be done by hand."""

from __future__ import annotations

import dataclasses
import shutil
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mmdata.core.sample import Audio, Frames, Image, Text
from mmdata.errors import ConfigError, DataError
from mmdata.features.embed import ExportedAudio, ExportedImage, LearnedFlow, OnnxAudio, OnnxImage, OnnxText
from mmdata.features.video import OpticalFlow
from mmdata.testing.build import noise, picture
from mmdata.testing.contracts.steps import Case, StepContract

Shape = Sequence[int | str]


def graph(
    path: Path, nodes: Sequence[Any], inputs: dict[str, Shape], outputs: dict[str, Shape], **constants: np.ndarray
) -> str:
    """Write an ONNX file; inputs called *_ids and *_mask are int64, all else is float32."""

    def ports(shapes: dict[str, Shape]) -> list[Any]:
        whole = ("_ids", "_mask")
        return [
            helper.make_tensor_value_info(
                name, TensorProto.INT64 if name.endswith(whole) else TensorProto.FLOAT, list(shape)
            )
            for name, shape in shapes.items()
        ]

    tables = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    model = helper.make_model(
        helper.make_graph(list(nodes), "tiny", ports(inputs), ports(outputs), tables),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.save(model, path)
    return str(path)


def image_graph(path: Path, batch: int | str = "batch", side: int | str = 8) -> str:
    """The mean of each channel, and beside it the picture itself, laid flat over rows."""
    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("Identity", ["pixels"], ["same"]),
    ]
    shape: Shape = [batch, 3, side, side]
    return graph(path, nodes, {"pixels": shape}, {"means": [batch, 3], "same": shape})


def audio_graph(path: Path, time: int | str = "time") -> str:
    """The square of each sample, one a row."""
    nodes = [
        helper.make_node("Mul", ["wave", "wave"], ["squares"]),
        helper.make_node("Unsqueeze", ["squares", "last"], ["rows"]),
    ]
    last = np.array([2], np.int64)
    return graph(path, nodes, {"wave": ["batch", time]}, {"rows": ["batch", time, 1]}, last=last)


def text_graph(path: Path) -> str:
    """A row of a table for each token."""
    table = np.arange(40, dtype=np.float32).reshape(20, 2)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Identity", ["attention_mask"], ["seen_mask"]),
    ]
    inputs: dict[str, Shape] = {"input_ids": ["batch", "token"], "attention_mask": ["batch", "token"]}
    outputs: dict[str, Shape] = {"rows": ["batch", "token", 2], "seen_mask": ["batch", "token"]}
    return graph(path, nodes, inputs, outputs, table=table)


def flow_graph(path: Path, side: int | str = "side", other: int | str = "other") -> str:
    """Right by how much brighter red has become, down by how much green has."""
    nodes = [
        helper.make_node("Sub", ["after", "before"], ["change"]),
        helper.make_node("Slice", ["change", "first", "last", "axis"], ["flow"]),
    ]
    shape: Shape = ["pair", 3, side, other]
    inputs = {"before": shape, "after": shape}
    numbers = {"first": np.array([0]), "last": np.array([2]), "axis": np.array([1])}
    return graph(path, nodes, inputs, {"flow": ["pair", 2, side, other]}, **numbers)


def tokenizer(path: Path) -> str:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = Tokenizer(WordLevel({"[UNK]": 0, "a": 1, "cat": 2, "sat": 3}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    words.save(str(path))
    return str(path)


def exported(path: Path, *, audio: bool = False) -> str:
    """A program of torch.export: the mean of each channel, or of the samples in two halves."""
    import torch

    class Means(torch.nn.Module):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return values.reshape(values.shape[0], 2, -1).mean(2) if audio else values.mean((2, 3))

    example = torch.zeros(2, 8) if audio else torch.zeros(2, 3, 8, 8)
    dims = {"values": {0: torch.export.Dim("batch", min=1, max=64)}}
    if audio:
        dims["values"][1] = 2 * torch.export.Dim("half", min=1, max=100_000)
    torch.export.save(torch.export.export(Means().eval(), (example,), dynamic_shapes=dims), path)
    return str(path)


def dots(n_frames: int = 4, rows: int = 18, columns: int = 27) -> Frames:
    pixels = np.random.default_rng(5).integers(0, 256, (n_frames, rows, columns, 3), np.uint8)
    return Frames(pixels, np.arange(n_frames) / 2, np.ones(n_frames, bool))


IMAGES = [picture(20, 12, seed=1), picture(8, 8, seed=2), Image(np.full((1, 1, 1), 9, np.uint8))]
SOUNDS = [noise(0.01), noise(0.02), noise(0.01, 8000, 2)]
TEXTS = [Text("a cat"), Text("a cat sat"), Text("who sat")]


def _cases(folder: Path) -> dict[str, Case]:
    image, audio = image_graph(folder / "image.onnx"), audio_graph(folder / "audio.onnx")
    text, words = text_graph(folder / "text.onnx"), tokenizer(folder / "tokenizer.json")
    flow, program = flow_graph(folder / "flow.onnx"), exported(folder / "image.pt2")
    other = image_graph(folder / "other.onnx", side="any")
    shutil.copy(other, folder / "again.pt2")
    colours = {"size_px": (4, 4), "mean": (0, 0, 0), "std": (1, 1, 1), "output": "same", "model": other}
    more = (image, audio, text, words)
    return {
        "image": Case(OnnxImage(model=image, pooling="mean"), IMAGES[0], beside=IMAGES[1:], others=colours),
        "audio": Case(
            OnnxAudio(model=audio), SOUNDS[0], beside=SOUNDS[1:], others={"model": more[0], "output": "rows"}
        ),
        "text": Case(
            OnnxText(model=text, tokenizer=words, dtype="float16"),
            TEXTS[0],
            beside=TEXTS[1:],
            others={"model": more[0], "output": "rows", "tokenizer": more[0]},
        ),
        "flow": Case(
            LearnedFlow(model=flow), dots(), beside=[dots(2), dots(1), dots(5, 9, 8)], others={"model": image}
        ),
        "program": Case(
            ExportedImage(model=program, trusted=True, width=3, size_px=(8, 8)),
            IMAGES[0],
            beside=IMAGES[1:],
            others={**colours, "model": str(folder / "again.pt2")},
        ),
    }


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    return _cases(tmp_path_factory.mktemp("networks"))


class TestContracts(StepContract):
    @pytest.fixture(params=["image", "audio", "text", "flow", "program"])
    def case(self, request: pytest.FixtureRequest, cases: dict[str, Case]) -> Case:
        return cases[request.param]


def vectors(step: Any, values: Sequence[Any]) -> list[Any]:
    model = step.load("cpu")
    return list(step.extract(model, [step.prepare(value) for value in values]))


def test_pixels_are_scaled_and_ordered_as_the_settings_say(tmp_path: Path) -> None:
    red = Image(np.tile(np.array([255, 51, 0], np.uint8), (5, 9, 1)))
    step = OnnxImage(model=image_graph(tmp_path / "m.onnx"), mean=(0.5, 0.0, 0.0), std=(0.5, 1.0, 2.0))
    np.testing.assert_allclose(vectors(step, [red])[0], [1.0, 0.2, 0.0], atol=1e-6)
    plain = dataclasses.replace(step, mean=(0, 0, 0), std=(1, 1, 1), channels="bgr", normalize=True)
    np.testing.assert_allclose(vectors(plain, [red])[0], np.array([0, 0.2, 1]) / np.sqrt(1.04), atol=1e-6)
    grey = Image(np.full((3, 3, 1), 51, np.uint8))
    np.testing.assert_allclose(vectors(dataclasses.replace(plain, normalize=False), [grey])[0], [0.2] * 3, atol=1e-6)


def test_the_form_comes_out_of_the_file(tmp_path: Path) -> None:
    fixed, free = image_graph(tmp_path / "fixed.onnx"), image_graph(tmp_path / "free.onnx", side="any")
    assert OnnxImage(model=fixed).spec().shape == (3,)
    assert OnnxImage(model=fixed, output="same", dtype="float16").spec().shape == (3, 8, 8)
    assert OnnxImage(model=free, output="same", size_px=(6, 4)).spec().shape == (3, None, None)
    (found,) = vectors(OnnxImage(model=free, output="same", size_px=(6, 4), dtype="float16"), IMAGES[:1])
    assert (found.shape, found.dtype) == ((3, 6, 4), np.float16)
    assert OnnxAudio(model=audio_graph(tmp_path / "a.onnx")).spec().shape == (None, 1)
    assert OnnxAudio(model=audio_graph(tmp_path / "a.onnx"), pooling="mean").spec().shape == (1,)


def test_a_file_that_takes_one_at_a_time_is_given_one_at_a_time(tmp_path: Path) -> None:
    alone, many = image_graph(tmp_path / "1.onnx", batch=1), image_graph(tmp_path / "n.onnx")
    np.testing.assert_array_equal(vectors(OnnxImage(model=alone), IMAGES), vectors(OnnxImage(model=many), IMAGES))


def test_sounds_are_resampled_and_fitted_to_a_fixed_length(tmp_path: Path) -> None:
    free = OnnxAudio(model=audio_graph(tmp_path / "free.onnx"))
    for sound, rows in zip(SOUNDS[:2], vectors(free, SOUNDS[:2]), strict=True):
        np.testing.assert_allclose(rows[:, 0], sound.samples[0] ** 2, atol=1e-7)
    assert vectors(free, SOUNDS[2:])[0].shape == (160, 1)
    fixed = OnnxAudio(model=audio_graph(tmp_path / "fixed.onnx", time=200))
    short, long = vectors(fixed, SOUNDS[:2])
    np.testing.assert_allclose(short[:, 0], np.append(SOUNDS[0].samples[0] ** 2, np.zeros(40)), atol=1e-7)
    np.testing.assert_allclose(long[:, 0], SOUNDS[1].samples[0, :200] ** 2, atol=1e-7)
    with pytest.raises(DataError, match="no samples"):
        free.prepare(Audio(np.zeros((1, 0), np.float32), 16_000))


def test_texts_go_in_as_numbers_of_their_tokens(tmp_path: Path) -> None:
    step = OnnxText(model=text_graph(tmp_path / "t.onnx"), tokenizer=tokenizer(tmp_path / "words.json"), prefix="a ")
    (rows,) = vectors(step, [Text("cat unheard")])
    assert rows.tolist() == [[2, 3], [4, 5], [0, 1]]
    assert vectors(dataclasses.replace(step, max_tokens=2), [Text("cat unheard")])[0].tolist() == [[2, 3], [4, 5]]
    assert vectors(dataclasses.replace(step, pooling="mean"), [Text("a")])[0].tolist() == [2, 3]
    with pytest.raises(DataError, match="no tokens"):
        dataclasses.replace(step, prefix="").prepare(Text(""))


def test_a_programs_numbers_are_those_of_the_module(tmp_path: Path) -> None:
    image = ExportedImage(model=exported(tmp_path / "i.pt2"), trusted=True, width=3, size_px=(8, 8))
    same = OnnxImage(model=image_graph(tmp_path / "i.onnx"))
    np.testing.assert_allclose(vectors(image, IMAGES), vectors(same, IMAGES), atol=1e-6)
    audio = ExportedAudio(model=exported(tmp_path / "a.pt2", audio=True), trusted=True, width=2)
    halves = [sound.samples[0].reshape(2, -1).mean(axis=1) for sound in SOUNDS[:2]]
    np.testing.assert_allclose(vectors(audio, SOUNDS[:2]), halves, atol=1e-6)
    with pytest.raises(ConfigError, match="say trusted: true"):
        dataclasses.replace(image, trusted=False).fingerprint()


def test_flow_is_in_pixels_of_the_frames_as_they_are(tmp_path: Path) -> None:
    pixels = np.zeros((3, 16, 24, 3), np.uint8)
    pixels[1, ..., 0] = pixels[2, ..., 0] = 51  # right by 0.2, then still
    pixels[2, ..., 1] = 102  # down by 0.4
    frames = Frames(pixels, np.array([0.0, 0.5, 1.0]), np.ones(3, bool))
    step = LearnedFlow(model=flow_graph(tmp_path / "free.onnx"), n_rows=2, n_columns=2, n_bins=4)
    (found,) = vectors(step, [frames])
    assert step.spec() == OpticalFlow(n_rows=2, n_columns=2, n_bins=4).spec()
    np.testing.assert_allclose(found[""], np.broadcast_to([[[[0.2, 0]]], [[[0, 0.4]]]], (2, 2, 2, 2)), atol=1e-6)
    np.testing.assert_allclose(found["motion"], 0.6 / 24, atol=1e-6)
    np.testing.assert_allclose(found["histogram"], [1 / 3, 2 / 3, 0, 0], atol=1e-6)
    half = dataclasses.replace(step, model=flow_graph(tmp_path / "fixed.onnx", 8, 12))
    np.testing.assert_allclose(vectors(half, [frames])[0][""], 2 * found[""], atol=1e-6)
    levels = dataclasses.replace(step, scale="levels")
    np.testing.assert_allclose(vectors(levels, [frames])[0][""][0, 0, 0], [51, 0], atol=1e-4)
    still = Frames(pixels[:1], np.zeros(1), np.ones(1, bool))
    assert vectors(step, [still])[0][""].shape == (0, 2, 2, 2)


def test_a_moved_file_keeps_its_fingerprint_and_weights_beside_it_count(tmp_path: Path) -> None:
    path = Path(image_graph(tmp_path / "m.onnx"))
    before = OnnxImage(model=str(path)).fingerprint()
    (tmp_path / "elsewhere").mkdir()
    moved = Path(shutil.move(path, tmp_path / "elsewhere"))
    assert OnnxImage(model=str(moved)).fingerprint() == before
    (moved.parent / "m.onnx.data").write_bytes(b"weights")
    assert OnnxImage(model=str(moved)).fingerprint() != before


@pytest.mark.parametrize(
    ("spoil", "settings", "said"),
    [
        (lambda path: path.write_bytes(b"no graph"), {}, "onnxruntime can't use it"),
        (lambda path: path.write_bytes(path.read_bytes()[:40]), {}, "onnxruntime can't use it"),
        (lambda path: path.write_bytes(b""), {}, "onnxruntime can't use it"),
        (lambda path: path.unlink(), {}, "there is no such file"),
        (lambda path: None, {"output": "absent"}, "has no output 'absent'; there are 'means', 'same'"),
        (lambda path: image_graph(path, side="any"), {}, r"has no fixed size; give size_px"),
    ],
)
def test_a_file_that_can_not_be_used_is_named(
    tmp_path: Path, spoil: Callable[[Path], object], settings: dict[str, Any], said: str
) -> None:
    path = Path(image_graph(tmp_path / "m.onnx"))
    spoil(path)
    with pytest.raises(ConfigError, match=said):
        OnnxImage(model=str(path), **settings).spec()


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"expected a file of ONNX \(.onnx\) or of torch.export"):
        OnnxImage(model=str(tmp_path / "weights.bin")).fingerprint()
    (tmp_path / "words.json").write_text("{}")
    text = OnnxText(model=text_graph(tmp_path / "t.onnx"), tokenizer=str(tmp_path / "words.json"))
    with pytest.raises(ConfigError, match=r"is no tokenizer\.json"):
        text.load("cpu")
    with pytest.raises(ConfigError, match=r"holds tensor.int64.; expected floating numbers"):
        dataclasses.replace(text, output="seen_mask").spec()
    with pytest.raises(ConfigError, match="expected a network of two inputs"):
        LearnedFlow(model=image_graph(tmp_path / "m.onnx")).spec()
    with zipfile.ZipFile(tmp_path / "p.pt2", "w") as archive:
        archive.writestr("nothing", b"")
    program = ExportedImage(model=str(tmp_path / "p.pt2"), trusted=True, width=3, size_px=(8, 8))
    with pytest.raises(ConfigError, match="torch can't use it"):
        program.load("cpu")
    with pytest.raises(ValueError, match="std must be above 0"):
        OnnxImage(model="x", std=(1, 0, 1))
