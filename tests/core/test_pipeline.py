from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pytest

from mmdata.core.arrays import ArraySpec
from mmdata.core.pipeline import Codecs, Compiled, Pipeline, compile_pipeline
from mmdata.core.sample import Audio, Blob, Image, Sample, Text
from mmdata.core.step import Drop, Extract, Filter, Map, RandomMap, Step
from mmdata.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ToImage(Map[Blob, Image]):
    on: str = "image"
    px: int = 0

    def map(self, blob: Blob) -> Image:
        return Image(np.zeros((1, 1, 3), np.uint8), origin=blob)


@dataclass(frozen=True, kw_only=True)
class ToAudio(Map[Blob, Audio]):
    on: str = "audio"

    def map(self, blob: Blob) -> Audio:
        return Audio(np.zeros((1, 1), np.float32), 8000, origin=blob)


@dataclass(frozen=True, kw_only=True)
class ToText(Map[Blob, Text]):
    on: str = "text"

    def map(self, blob: Blob) -> Text:
        return Text(blob.data().decode(), origin=blob)


@dataclass(frozen=True, kw_only=True)
class Sharpen(Map[Image, Image]):
    on: str = "image"
    by: float = 1.0

    def map(self, image: Image) -> Image:
        return image.changed(image.pixels)


@dataclass(frozen=True, kw_only=True)
class Flip(RandomMap[Image, Image]):
    on: str = "image"

    def map(self, image: Image, rng: np.random.Generator) -> Image:
        return image


@dataclass(frozen=True, kw_only=True)
class Louder(Map[Audio, Audio]):
    on: str = "audio"
    db: float = 1.0

    def map(self, audio: Audio) -> Audio:
        return audio.changed(audio.samples)


@dataclass(frozen=True, kw_only=True)
class DropDark(Filter[Image]):
    on: str = "image"
    below: float = 1.0

    def keep(self, image: Image) -> Literal[True] | Drop:
        return True


@dataclass(frozen=True, kw_only=True)
class Whole(Map[Sample, Sample]):
    n: int = 1

    def map(self, sample: Sample) -> Sample:
        return sample


@dataclass(frozen=True, kw_only=True)
class Beside(Map[Sample, Sample]):
    """A step on whole samples that must find an image, and a mask where there is one."""

    image: str = "image"

    def needs(self, parts: Collection[str] | None) -> Mapping[str, type]:
        return dict.fromkeys((self.image, *({"mask"} & set(parts or ()))), Image)

    def map(self, sample: Sample) -> Sample:
        return sample


@dataclass(frozen=True, kw_only=True)
class Mean(Extract[Image]):
    on: str = "image"
    into: str = "image.mean"
    scale: float = 1.0

    def spec(self) -> ArraySpec:
        return ArraySpec()

    def extract(self, image: Image) -> np.ndarray:
        return np.asarray(image.pixels.mean(), np.float32)


@dataclass(frozen=True, kw_only=True)
class Level(Extract[Audio]):
    on: str = "audio"
    into: str = "audio.level"

    def spec(self) -> ArraySpec:
        return ArraySpec()

    def extract(self, audio: Audio) -> np.ndarray:
        return np.asarray(0, np.float32)


CODECS = Codecs(
    decoders={Image: ToImage, Audio: ToAudio, Text: ToText},
    fault=lambda name: None if name in ("auto", "copy", "jpeg:90", "flac") else f"no encoding {name!r}",
    encodes={"jpeg:90": Image, "flac": Audio}.get,
    is_lossy=lambda name: name == "jpeg:90",
)
PARTS = ("image", "audio", "text")
BASE = Pipeline(ingest=(Sharpen(), Louder()), features=(Mean(), Level()))


def compiled(pipeline: Pipeline, parts: tuple[str, ...] = PARTS) -> Compiled:
    return compile_pipeline(pipeline, CODECS, parts=parts)


def recipe(pipeline: Pipeline) -> Mapping[str, str]:
    return compiled(pipeline).recipe


def test_a_decoder_stands_before_the_first_step_that_needs_it_and_once() -> None:
    steps = compiled(Pipeline(ingest=(Sharpen(), DropDark(), Sharpen(by=2)))).steps
    assert [(type(placed.step).__name__, placed.implied) for placed in steps] == [
        ("ToImage", True),
        ("Sharpen", False),
        ("DropDark", False),
        ("Sharpen", False),
    ]


def test_a_step_on_whole_samples_finds_decoded_what_it_needs() -> None:
    def placed(parts: tuple[str, ...], *steps: Step) -> list[tuple[str, str | None, bool]]:
        found = compile_pipeline(Pipeline(ingest=steps), CODECS, parts=parts or None).steps
        return [(type(step.step).__name__, step.reads, step.implied) for step in found]

    decoded, beside = ("ToImage", "image", True), ("Beside", None, False)
    assert placed(PARTS, Beside()) == [decoded, beside]
    assert placed(PARTS, Sharpen(), Beside()) == [decoded, ("Sharpen", "image", False), beside]
    assert placed((*PARTS, "mask"), Beside()) == [decoded, ("ToImage", "mask", True), beside]
    assert placed((), Beside()) == [decoded, beside]
    assert compiled(Pipeline(ingest=(Beside(),), features=(Mean(),))).families[0].step.on == "image"


def test_a_given_decoder_is_not_put_twice() -> None:
    steps = compiled(Pipeline(ingest=(ToImage(px=9), Sharpen()))).steps
    assert [type(placed.step).__name__ for placed in steps] == ["ToImage", "Sharpen"]


def test_an_implied_and_a_given_default_decoder_are_the_same() -> None:
    implied = Pipeline(features=(Mean(),))
    given = Pipeline(ingest=(ToImage(),), features=(Mean(),))
    assert recipe(implied) == recipe(given)


@pytest.mark.parametrize(
    ("changed", "families", "rows"),
    [
        (replace(BASE, ingest=(Sharpen(by=2), Louder())), {"image.mean"}, True),
        (replace(BASE, ingest=(Sharpen(), Louder(db=9))), {"audio.level"}, True),
        (replace(BASE, ingest=(Sharpen(), DropDark(), Louder())), set(), True),
        (replace(BASE, features=(Mean(scale=2), Level())), {"image.mean"}, False),
        (replace(BASE, store={"image": "jpeg:90", "audio": "copy"}), {"image.mean"}, True),
        (replace(BASE, store={"image": "copy", "audio": "flac"}), set(), True),
        (replace(BASE, ingest=(Whole(), Sharpen(), Louder())), {"image.mean", "audio.level"}, True),
        (replace(BASE, seed=3), set(), False),
    ],
)
def test_a_change_touches_what_hears_it_and_nothing_else(changed: Pipeline, families: set[str], rows: bool) -> None:
    before, after = recipe(BASE), recipe(changed)
    assert {name for name in before if before[name] != after[name]} == families
    assert (compiled(BASE).samples_fp != compiled(changed).samples_fp) == rows


def test_a_seed_matters_where_a_step_is_random() -> None:
    one = Pipeline(ingest=(Flip(),), features=(Mean(),))
    assert recipe(one) != recipe(replace(one, seed=1))
    twice = compiled(Pipeline(ingest=(Flip(), Flip())))
    assert [placed.occurrence for placed in twice.steps if not placed.implied] == [0, 1]


def test_a_part_that_comes_later_does_not_remake_the_rows_of_today() -> None:
    pipeline = Pipeline(ingest=(Sharpen(),))
    assert compiled(pipeline, ("image",)).samples_fp == compiled(pipeline, PARTS).samples_fp
    assert compiled(pipeline).keeps_all


@dataclass(frozen=True, kw_only=True)
class NumberOfParts(Extract[Sample]):
    into: str = "sample.parts"

    def spec(self) -> ArraySpec:
        return ArraySpec()

    def extract(self, sample: Sample) -> np.ndarray:
        return np.asarray(len(sample.parts), np.float32)


def test_nor_does_it_remake_what_whole_samples_were_read_for() -> None:
    pipeline = Pipeline(ingest=(Sharpen(), Whole()), features=(NumberOfParts(), Mean()))
    assert compiled(pipeline, ("image",)).recipe == compiled(pipeline, PARTS).recipe


def test_a_feature_of_whole_samples_hears_every_step_but_filters() -> None:
    def print_of(**changes: object) -> str:
        return compiled(replace(Pipeline(features=(NumberOfParts(),)), **changes)).recipe["sample.parts"]  # type: ignore[arg-type]

    plain = print_of()
    assert print_of(ingest=(Sharpen(),)) != plain
    assert print_of(ingest=(Whole(),)) != print_of(ingest=(Whole(n=2),)) != plain
    assert print_of(store={"image": "jpeg:90"}) != print_of(store={"image": "copy"})
    assert print_of(ingest=(Sharpen(), DropDark())) == print_of(ingest=(Sharpen(),))


def test_a_part_that_a_step_on_whole_samples_may_have_made_can_be_named() -> None:
    made = Pipeline(ingest=(Whole(), Sharpen(on="made")), features=(Mean(on="made"),), store={"more": "jpeg:90"})
    placed = compiled(made).steps
    assert [type(step.step).__name__ for step in placed] == ["Whole", "Sharpen"]
    with pytest.raises(ConfigError, match="there is no part 'made' here"):
        compiled(replace(made, ingest=(Sharpen(on="made"), Whole())))


def test_text_is_kept_even_where_the_store_names_other_parts() -> None:
    pipeline = Pipeline(ingest=(ToText(), Sharpen()), store={"image": "jpeg:90"})
    assert set(compiled(pipeline).kept) == {"image", "text"}


def test_a_lossy_encoding_of_an_undecoded_part_brings_its_decoder() -> None:
    assert compiled(Pipeline(store={"image": "jpeg:90"})).kept["image"].decoder == ToImage(on="image")


def test_what_features_read_and_the_store_lacks_is_remade() -> None:
    assert compiled(Pipeline(store={"audio": "copy"}, features=(Mean(), Level()))).remade == {"image"}
    assert compiled(Pipeline(store={"image": "reference"}, features=(Mean(),))).remade == {"image"}
    assert compiled(Pipeline(features=(Mean(),))).remade == frozenset()


@pytest.mark.parametrize(
    ("pipeline", "faults"),
    [
        (
            Pipeline(ingest=(Sharpen(on="imgae"),)),
            ["ingest[0]: there is no part 'imgae' here, did you mean 'image'?"],
        ),
        (
            Pipeline(ingest=(Sharpen(), Louder(on="image"))),
            ["ingest[1]: test_pipeline.Louder works on audio, but 'image' is an image there"],
        ),
        (
            Pipeline(ingest=(Beside(image="imgae"),)),
            ["ingest[0]: there is no part 'imgae' here, did you mean 'image'?"],
        ),
        (
            Pipeline(ingest=(ToText(), Beside(image="text"))),
            ["ingest[1]: test_pipeline.Beside works on an image, but 'text' is text there"],
        ),
        (Pipeline(ingest=(Mean(),)), ["ingest[0]: test_pipeline.Mean makes a feature: it belongs under features"]),
        (
            Pipeline(features=(Sharpen(),)),
            ["features[0]: test_pipeline.Sharpen changes samples: it belongs under ingest"],
        ),
        (
            Pipeline(features=(Mean(), Mean(scale=2))),
            ["features[1]: another feature makes 'image.mean' too; give one of them into:"],
        ),
        (
            Pipeline(store={"image": "jepg:90", "audio": "jpeg:90", "film": "copy"}),
            [
                "store.image: no encoding 'jepg:90'",
                "store.film: there is no part 'film' here; there are 'audio', 'image', 'text'",
            ],
        ),
        (
            Pipeline(ingest=(Louder(),), store={"audio": "jpeg:90"}),
            ["store.audio: 'jpeg:90' holds an image, but 'audio' is audio"],
        ),
        (
            Pipeline(ingest=(Louder(),), store={"audio": "reference"}),
            ["store.audio: a reference keeps the source's own bytes, but steps change 'audio'"],
        ),
    ],
)
def test_every_fault_is_named_at_once(pipeline: Pipeline, faults: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        compiled(pipeline)
    assert [fault.replace(f"{__name__}.", "test_pipeline.") for fault in error.value.faults] == faults


def test_without_known_parts_any_name_is_taken() -> None:
    assert compile_pipeline(Pipeline(ingest=(Sharpen(on="left"),)), CODECS).steps[0].reads == "left"


def test_a_step_on_no_part_needs_to_take_the_whole_sample() -> None:
    broken: Step = Sharpen(on=None)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"ingest\[0\]: .*works on a part; name it with on"):
        compiled(Pipeline(ingest=(broken,)))
