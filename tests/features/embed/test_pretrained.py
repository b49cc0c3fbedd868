"""Models of transformers: the numbers are those of calling the model by hand, for any grouping."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from mmdata.core.sample import Audio, Frames, Image, Text
from mmdata.core.step import BatchExtract
from mmdata.errors import ConfigError, DataError
from mmdata.features.embed import AudioEmbedding, FrameEmbedding, ImageEmbedding, TextEmbedding, VideoEmbedding
from mmdata.testing.build import noise, picture
from mmdata.testing.contracts.steps import Case, StepContract

Maker = Callable[[str], str]
TEXTS = [Text(text) for text in ("a cat", "", "the small red cat sat on the blue mat", "unheard words")]
PICTURES = [picture(40, 30, seed=1), picture(33, 64, seed=2), Image(np.full((1, 1, 1), 7, np.uint8))]
SOUNDS = [noise(0.3), noise(0.5), noise(0.31, 22050, 2), noise(0.3)]


def film(n_frames: int, seed: int = 0) -> Frames:
    pixels = np.random.default_rng(seed).integers(0, 256, (n_frames, 36, 44, 3), np.uint8)
    return Frames(pixels, np.arange(n_frames) / 4, np.ones(n_frames, bool))


FILMS = [film(5), film(9, 1), film(2, 2)]


def vectors(step: BatchExtract[Any], values: list[Any]) -> list[np.ndarray]:
    """What a step gives for values in one group."""
    model = step.load("cpu")
    return [np.asarray(array) for array in step.extract(model, [step.prepare(value) for value in values])]


@cache
def by_hand(folder: str) -> Any:
    return transformers.AutoModel.from_pretrained(folder, local_files_only=True).eval()


CASES: dict[str, tuple[Callable[..., BatchExtract[Any]], str, dict[str, Any], list[Any]]] = {
    "bert": (TextEmbedding, "bert", {"normalize": True}, TEXTS),
    "bert-none": (TextEmbedding, "bert", {"pooling": "none"}, TEXTS),
    "bert-layer": (TextEmbedding, "bert", {"pooling": "cls", "layer": 1, "prefix": "the ", "max_tokens": 5}, TEXTS),
    "clip-text": (TextEmbedding, "clip", {}, TEXTS),
    "siglip-text": (TextEmbedding, "siglip", {}, TEXTS),
    "clip-image": (ImageEmbedding, "clip", {"dtype": "float16"}, PICTURES),
    "siglip-image": (ImageEmbedding, "siglip", {}, PICTURES),
    "vit": (ImageEmbedding, "vit", {"pooling": "pooler"}, PICTURES),
    "dinov2": (ImageEmbedding, "dinov2", {"pooling": "mean", "layer": -2}, PICTURES),
    "resnet": (ImageEmbedding, "resnet", {}, PICTURES),
    "wav2vec2": (AudioEmbedding, "wav2vec2", {"pooling": "none", "layer": 1}, SOUNDS),
    "hubert": (AudioEmbedding, "hubert", {}, SOUNDS),
    "whisper": (AudioEmbedding, "whisper", {"pooling": "none"}, SOUNDS),
    "videomae": (VideoEmbedding, "videomae", {}, FILMS),
    "frames": (FrameEmbedding, "vit", {"n_frames": 3}, FILMS),
    "frames-none": (FrameEmbedding, "clip", {"over_time": "none", "n_frames": 4}, FILMS),
}


class TestContracts(StepContract):
    @pytest.fixture(params=sorted(CASES.keys() - {"siglip-image", "vit", "frames-none", "bert-none"}))
    def case(self, request: pytest.FixtureRequest, model: Maker) -> Case:
        kind, name, settings, values = CASES[request.param]
        other = {"bert": "clip", "clip": "siglip", "siglip": "clip", "vit": "dinov2", "wav2vec2": "hubert"}
        others: dict[str, object] = {
            "model": model(other.get(name, "vit" if name != "vit" else "dinov2")),
            "layer": 0,
            "max_tokens": 7,
            "window_s": 0.2,
        }
        step = kind(model=model(name), **settings)
        return Case(step, values[0], beside=tuple(values[1:]), others=others)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last", "pooler", "none"])
def test_texts_are_pooled_as_by_hand(model: Maker, pooling: Any) -> None:
    step = TextEmbedding(model=model("bert"), pooling=pooling)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model("bert"))
    for text, found in zip(TEXTS, vectors(step, TEXTS), strict=True):
        with torch.inference_mode():
            output = by_hand(model("bert"))(**tokenizer(text.text, return_tensors="pt"))
        states = output.last_hidden_state[0]
        expected = {"mean": states.mean(0), "cls": states[0], "last": states[-1], "none": states}
        expected["pooler"] = output.pooler_output[0]
        np.testing.assert_allclose(found, expected[pooling], atol=1e-5)


def test_texts_and_pictures_share_the_space_of_their_model(model: Maker) -> None:
    for name in ("clip", "siglip"):
        texts, pictures = TextEmbedding(model=model(name)), ImageEmbedding(model=model(name))
        assert texts.spec() == pictures.spec()
        whole = by_hand(model(name))
        tokenizer = transformers.AutoTokenizer.from_pretrained(model(name))
        processor = transformers.AutoImageProcessor.from_pretrained(model(name), backend="pil")
        fixed = {"padding": "max_length", "return_attention_mask": False} if name == "siglip" else {}
        with torch.inference_mode():
            for text, found in zip(TEXTS, vectors(texts, TEXTS), strict=True):
                tokens = tokenizer(text.text, return_tensors="pt", truncation=True, **fixed)
                np.testing.assert_allclose(found, whole.get_text_features(**tokens).pooler_output[0], atol=1e-5)
            for image, found in zip(PICTURES[:2], vectors(pictures, PICTURES[:2]), strict=True):
                pixels = processor(images=image.pixels, return_tensors="pt")
                np.testing.assert_allclose(found, whole.get_image_features(**pixels).pooler_output[0], atol=1e-5)


def test_pictures_are_pooled_as_by_hand(model: Maker) -> None:
    processor = transformers.AutoImageProcessor.from_pretrained(model("dinov2"), backend="pil")
    with torch.inference_mode():
        pixels = processor(images=[image.pixels for image in PICTURES[:2]], return_tensors="pt")
        states = by_hand(model("dinov2"))(**pixels, output_hidden_states=True)
    last, first = states.last_hidden_state, states.hidden_states[1]
    step = ImageEmbedding(model=model("dinov2"))
    np.testing.assert_allclose(vectors(step, PICTURES[:2]), last[:, 0], atol=1e-5)
    mean = dataclasses.replace(step, pooling="mean")  # of what shows something: neither the first nor two registers
    np.testing.assert_allclose(vectors(mean, PICTURES[:2]), last[:, 3:].mean(1), atol=1e-5)
    np.testing.assert_allclose(vectors(dataclasses.replace(step, layer=1), PICTURES[:2]), first[:, 0], atol=1e-5)
    unit = vectors(dataclasses.replace(step, normalize=True), PICTURES[:2])
    np.testing.assert_allclose(unit, last[:, 0] / last[:, 0].norm(dim=1, keepdim=True), atol=1e-5)


def test_a_grey_picture_is_its_three_equal_colours(model: Maker) -> None:
    grey = Image(picture(20, 20).pixels[..., :1])
    same = Image(np.repeat(grey.pixels, 3, axis=2))
    step = ImageEmbedding(model=model("vit"))
    np.testing.assert_array_equal(step.prepare(grey)["pixel_values"], step.prepare(same)["pixel_values"])


@pytest.mark.parametrize("name", ["wav2vec2", "hubert"])
def test_waves_are_heard_as_by_hand(model: Maker, name: str) -> None:
    sounds = [SOUNDS[0], SOUNDS[1]]
    processor = transformers.AutoFeatureExtractor.from_pretrained(model(name))
    found = vectors(AudioEmbedding(model=model(name), pooling="none"), sounds)
    means = vectors(AudioEmbedding(model=model(name)), sounds)
    for sound, rows, mean in zip(sounds, found, means, strict=True):
        inputs = processor(sound.samples[0], sampling_rate=16_000, return_tensors="pt")
        with torch.inference_mode():
            expected = by_hand(model(name))(inputs["input_values"]).last_hidden_state[0]
        np.testing.assert_allclose(rows, expected, atol=1e-5)
        np.testing.assert_allclose(mean, expected.mean(0), atol=1e-5)
    assert AudioEmbedding(model=model(name), pooling="none").spec().hop_s == 0.02


def test_whisper_is_heard_up_to_where_the_sound_ends(model: Maker) -> None:
    step = AudioEmbedding(model=model("whisper"), pooling="none")
    processor = transformers.AutoFeatureExtractor.from_pretrained(model("whisper"))
    inputs = processor(SOUNDS[0].samples[0], sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode():
        expected = by_hand(model("whisper")).get_encoder()(inputs["input_features"]).last_hidden_state[0]
    (rows,) = vectors(step, SOUNDS[:1])
    assert rows.shape == (15, 16)  # 0.3 s at 20 ms a row
    np.testing.assert_allclose(rows, expected[:15], atol=1e-5)


def test_a_long_clip_is_heard_window_by_window(model: Maker) -> None:
    sound = noise(1.0)
    halves = [Audio(sound.samples[:, :8000], 16_000), Audio(sound.samples[:, 8000:], 16_000)]
    for name in ("whisper", "wav2vec2", "hubert"):
        step = AudioEmbedding(model=model(name), pooling="none", window_s=0.6)
        np.testing.assert_allclose(vectors(step, [sound])[0], np.concatenate(vectors(step, halves)), atol=1e-5)
    assert step.cost(step.prepare(sound)) == 16_000
    whisper = AudioEmbedding(model=model("whisper"))
    assert whisper.cost(whisper.prepare(halves[0])) == 32_000  # its window is 2 s, whatever is in it


def test_what_is_too_short_to_be_heard_has_no_mean_and_no_rows(model: Maker) -> None:
    for name, n_samples in (("wav2vec2", 399), ("whisper", 0), ("hubert", 0)):
        short = Audio(np.zeros((1, n_samples), np.float32), 16_000)
        with pytest.raises(DataError, match="the model hears from"):
            AudioEmbedding(model=model(name)).prepare(short)
        (rows,) = vectors(AudioEmbedding(model=model(name), pooling="none", dtype="float16"), [short])
        assert rows.shape == (0, 16)
        assert rows.dtype == np.float16
    exact = Audio(noise(0.1).samples[:, :400], 16_000)
    assert vectors(AudioEmbedding(model=model("wav2vec2"), pooling="none"), [exact])[0].shape == (1, 16)


def test_films_are_seen_as_by_hand(model: Maker) -> None:
    processor = transformers.AutoImageProcessor.from_pretrained(model("videomae"), backend="pil")
    chosen = [list(film(8).pixels[[1, 3, 5, 7]])]
    with torch.inference_mode():
        states = by_hand(model("videomae"))(**processor(chosen, return_tensors="pt")).last_hidden_state
    np.testing.assert_allclose(vectors(VideoEmbedding(model=model("videomae")), [film(8)]), states.mean(1), atol=1e-5)


def test_frames_are_seen_as_pictures(model: Maker) -> None:
    pictures = [Image(pixels) for pixels in film(9, 1).pixels[[1, 4, 7]]]
    each = vectors(ImageEmbedding(model=model("vit")), pictures)
    (found,) = vectors(FrameEmbedding(model=model("vit"), n_frames=3), [film(9, 1)])
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-5)
    (rows,) = vectors(FrameEmbedding(model=model("vit"), n_frames=50, over_time="none"), [film(2)])
    assert rows.shape == (2, 16)
    for step in (FrameEmbedding(model=model("vit")), VideoEmbedding(model=model("videomae"))):
        with pytest.raises(DataError, match="no frames"):
            step.prepare(film(0))


def test_half_precision_is_stored_as_such(model: Maker) -> None:
    step = TextEmbedding(model=model("bert"), dtype="float16")
    (half,), (full,) = vectors(step, TEXTS[:1]), vectors(dataclasses.replace(step, dtype="float32"), TEXTS[:1])
    assert step.spec().dtype == "float16" == half.dtype
    np.testing.assert_array_equal(half, full.astype(np.float16))


def test_a_long_text_is_cut_where_the_model_or_the_setting_ends(model: Maker) -> None:
    long = Text("cat " * 5000)
    step = TextEmbedding(model=model("bert"), pooling="none")
    assert step.cost(step.prepare(long)) == 24
    short = dataclasses.replace(step, max_tokens=6)
    assert vectors(short, [long])[0].shape == (6, 16)
    np.testing.assert_array_equal(vectors(short, [long])[0], vectors(short, [Text("cat cat cat cat")])[0])


def test_costs_are_tokens_and_pixels(model: Maker) -> None:
    text, image = TextEmbedding(model=model("bert")), ImageEmbedding(model=model("vit"))
    assert text.cost(text.prepare(Text("a cat sat"))) == 5
    assert image.cost(image.prepare(PICTURES[0])) == 32 * 32
    frames = FrameEmbedding(model=model("vit"), n_frames=3)
    assert frames.cost(frames.prepare(film(9))) == 3 * 32 * 32


def test_the_form_is_known_without_loading(model: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("spec() and the fingerprint must not load a model")

    monkeypatch.setattr(transformers.AutoModel, "from_pretrained", refuse)
    for kind, name, settings, _ in CASES.values():
        step = kind(model=model(name), **settings)
        assert step.columns()
        assert step.fingerprint()


@pytest.mark.parametrize(
    ("kind", "name", "settings", "said"),
    [
        (TextEmbedding, "bert", {"layer": 3}, "layer: expected -3 to 2, not 3"),
        (TextEmbedding, "bert", {"pooling": "shared"}, "'bert', which has no space of two towers"),
        (TextEmbedding, "bert", {"pooling": "pooler", "layer": 1}, "takes no layer"),
        (ImageEmbedding, "vit", {"pooling": "shared"}, "has no space of two towers"),
    ],
)
def test_settings_that_a_model_can_not_fulfil_are_named(
    model: Maker, kind: type[Any], name: str, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        kind(model=model(name), **settings).spec()


def test_a_model_without_a_first_place_has_none_to_take(model: Maker) -> None:
    with pytest.raises(ConfigError, match="sums no picture up in its first place"):
        ImageEmbedding(model=model("siglip"), pooling="cls").load("cpu")


@pytest.mark.parametrize(
    ("kind", "name"), [(AudioEmbedding, "vit"), (ImageEmbedding, "bert"), (TextEmbedding, "wav2vec2")]
)
def test_a_model_of_another_kind_is_refused_before_work(model: Maker, kind: type[Any], name: str) -> None:
    with pytest.raises(ConfigError, match=r"can't be used|expected an encoder"):
        kind(model=model(name)).load("cpu")


def test_weights_of_another_architecture_are_refused(model: Maker, tmp_path: Path) -> None:
    """transformers would begin with random numbers in their place."""
    (tmp_path / "config.json").write_bytes(Path(model("vit"), "config.json").read_bytes())
    (tmp_path / "preprocessor_config.json").write_bytes(Path(model("vit"), "preprocessor_config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(Path(model("clip"), "model.safetensors").read_bytes())
    with pytest.raises(ConfigError, match="its weights lack"):
        ImageEmbedding(model=str(tmp_path)).load("cpu")
