"""Classifiers of pictures: of transformers, and of ONNX files, against what they give when they are called by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mmdata.core.sample import Image
from mmdata.engine.models import compute
from mmdata.errors import ConfigError
from mmdata.features.embed import ImageScore
from mmdata.testing.build import picture
from mmdata.testing.contracts.steps import Case, StepContract

MARKED, PLAIN = picture(40, 30, seed=1), Image(np.full((30, 40, 3), 120, np.uint8))
LABELS = {0: "clean", 1: "watermark", 2: "logo"}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny ViT of random weights with three labels, saved as its owner would."""
    import torch
    import transformers as t

    folder = tmp_path_factory.mktemp("classifier")
    sizes: dict[str, Any] = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = t.ViTConfig(**sizes, hidden_size=16, image_size=32, patch_size=8, id2label=LABELS)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = t.ViTForImageClassification(config)
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(0.2 * torch.randn_like(weight))
    model.save_pretrained(folder)
    t.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return str(folder)


def redness(path: Path, *, classes: int = 1) -> str:
    """An ONNX file whose score is the mean of red, of which it knows no more than its first `classes` channels."""
    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("Slice", ["means", "first", "last", "axis"], ["scores"]),
    ]
    shapes: list[tuple[str, list[str | int | None]]]
    shapes = [("pixels", ["batch", 3, 8, 8]), ("scores", ["batch", classes])]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes]
    numbers = {"first": np.array([0]), "last": np.array([classes]), "axis": np.array([1])}
    tables = [numpy_helper.from_array(array, name) for name, array in numbers.items()]
    graph = helper.make_graph(nodes, "tiny", ports[:1], ports[1:], tables)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return str(path)


def plainly(model: str, **settings: Any) -> ImageScore:
    """Numbers of an ONNX file on the scale of 0 to 1."""
    return ImageScore(model=model, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), **settings)


def of(step: ImageScore, image: Image) -> Any:
    return np.asarray(compute(step, image))


class TestImageScore(StepContract):
    @pytest.fixture(params=["one", "all", "onnx", "onnx of two"])
    def case(self, request: pytest.FixtureRequest, classifier: str, tmp_path: Path) -> Case:
        network = redness(tmp_path / "red.onnx", classes=2 if request.param.endswith("two") else 1)
        other = redness(tmp_path / "another.onnx", classes=3)
        step = {
            "one": lambda: ImageScore(model=classifier, label="logo"),
            "all": lambda: ImageScore(model=classifier),
            "onnx": lambda: plainly(network),
            "onnx of two": lambda: plainly(network, label=1),
        }[request.param]()
        size: dict[str, object] = {"size_px": (8, 8), "label": 0, "output": "scores"}
        size |= {"mean": (0.1, 0.0, 0.0), "std": (0.5, 1.0, 1.0)}
        if request.param in ("one", "all"):
            size["label"] = "clean"
        return Case(step, MARKED, others={"model": other, **size}, beside=[PLAIN, picture(9, 50)])


def by_hand(folder: str, image: Image, head: Callable[[Any], Any]) -> np.ndarray:
    import torch
    import transformers as t

    model = t.ViTForImageClassification.from_pretrained(folder).eval()
    pixels = t.ViTImageProcessorPil.from_pretrained(folder)(images=image.pixels, return_tensors="pt")
    with torch.no_grad():
        found: np.ndarray = head(model(**pixels).logits)[0].numpy()
    return found


def test_scores_are_those_of_the_model_called_by_hand(classifier: str) -> None:
    import torch

    expected = by_hand(classifier, MARKED, lambda logits: logits.softmax(-1))
    assert np.allclose(of(ImageScore(model=classifier), MARKED), expected, atol=1e-6)
    for place, label in LABELS.items():
        for name in (label, place):
            assert of(ImageScore(model=classifier, label=name), MARKED) == pytest.approx(expected[place], abs=1e-6)
    raw = by_hand(classifier, MARKED, lambda logits: logits)
    assert np.allclose(of(ImageScore(model=classifier, activation="none"), MARKED), raw, atol=1e-5)
    assert np.allclose(
        of(ImageScore(model=classifier, activation="sigmoid"), MARKED), torch.from_numpy(raw).sigmoid(), atol=1e-6
    )


def test_labels_that_may_hold_together_are_scored_each_by_itself(classifier: str, tmp_path: Path) -> None:
    folder = tmp_path / "multi"
    folder.mkdir()
    for path in Path(classifier).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "problem_type": "multi_label_classification"}))
    expected = of(ImageScore(model=classifier, activation="sigmoid"), MARKED)
    assert np.allclose(of(ImageScore(model=str(folder)), MARKED), expected)


def test_an_onnx_file_of_one_output_gives_its_number(tmp_path: Path) -> None:
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 51
    step = plainly(redness(tmp_path / "red.onnx"))
    assert step.spec().dims == ()
    assert float(of(step, Image(red))) == pytest.approx(0.2)
    assert float(of(plainly(step.model, activation="sigmoid"), Image(red))) == pytest.approx(1 / (1 + np.exp(-0.2)))
    three = plainly(redness(tmp_path / "three.onnx", classes=3), activation="softmax")
    assert of(three, Image(red)).sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"label": "face"}, "has no label 'face'; there are 'clean', 'watermark', 'logo'"),
        ({"label": 3}, "has no label 3; there are 0 to 2"),
        ({"model": "no/such/folder"}, "there is no such"),
    ],
)
def test_what_a_model_can_not_give_is_named_before_work(
    classifier: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        ImageScore(**{"model": classifier, **settings}).spec()


def test_a_model_that_is_no_classifier_and_pickled_weights_are_refused(classifier: str, tmp_path: Path) -> None:
    import transformers as t

    headless, pickled = tmp_path / "headless", tmp_path / "pickled"
    t.ViTModel.from_pretrained(classifier).save_pretrained(headless)
    t.ViTImageProcessorPil.from_pretrained(classifier).save_pretrained(headless)
    with pytest.raises(ConfigError, match=r"lack 2 of a classifier's, such as classifier\.bias"):
        ImageScore(model=str(headless)).load("cpu")
    pickled.mkdir()
    (pickled / "config.json").write_bytes((Path(classifier) / "config.json").read_bytes())
    (pickled / "pytorch_model.bin").write_bytes(b"a pickle")
    with pytest.raises(ConfigError, match="unpickling runs code"):
        ImageScore(model=str(pickled)).settings()


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 1, 1), (1, 20_000, 3), (20_000, 1, 1), (3, 3, 3)])
def test_pictures_of_odd_forms_have_scores(classifier: str, shape: tuple[int, int, int]) -> None:
    scores = of(ImageScore(model=classifier), Image(np.full(shape, 40, np.uint8)))
    assert scores.shape == (3,)
    assert scores.sum() == pytest.approx(1, abs=1e-5)
