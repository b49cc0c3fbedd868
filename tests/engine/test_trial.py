"""A trial shows what every step does to one sample, and leaves no trace."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mmdata.augment.image import FlipImage
from mmdata.clean.image import DropBlurred
from mmdata.clean.text import NormalizeText
from mmdata.codec.image import DecodeImage
from mmdata.core.pipeline import Pipeline
from mmdata.core.sample import Image, Sample, Text
from mmdata.core.step import Map, Split, Step
from mmdata.engine.options import RunOptions
from mmdata.engine.runner import run
from mmdata.engine.trial import Tried, try_file
from mmdata.errors import ConfigError
from mmdata.features.image import PerceptualHash, Sharpness
from mmdata.features.text import TextLength
from mmdata.source.files import Files
from mmdata.store.store import Store
from mmdata.testing.build import picture, png_bytes

FEATURES = (Sharpness(), TextLength())
COLUMNS = {"image.sharpness", "text.length.chars", "text.length.words"}


@dataclass(frozen=True, kw_only=True)
class Fails(Map[Text, Text]):
    on: str = "text"

    def map(self, text: Text) -> Text:
        raise KeyError(text.text)


@dataclass(frozen=True, kw_only=True)
class Twice(Split[Sample]):
    def split(self, sample: Sample) -> list[Sample]:
        return [sample.child("0"), sample.child("1")]


@dataclass(frozen=True, kw_only=True)
class NoHash(PerceptualHash):
    def extract(self, value: Image) -> np.ndarray:
        raise ValueError("not today")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    at = tmp_path / "corpus"
    at.mkdir()
    for number in range(3):
        (at / f"{number}.png").write_bytes(png_bytes(picture(40, 30, seed=number)))
        (at / f"{number}.txt").write_text(f"some   text {number}")
    (at / "flat.png").write_bytes(png_bytes(Image(np.full((30, 40, 3), 90, np.uint8))))
    (at / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return at


def tried(folder: Path, name: str, *ingest: Step, features: tuple[Step, ...] = FEATURES) -> list[Tried]:
    pipeline = Pipeline(source=Files(str(folder)), ingest=ingest, features=features)
    return list(try_file(pipeline, folder / name))


def test_each_step_shows_its_part_before_and_after(folder: Path) -> None:
    found = tried(folder, "1.txt", DecodeImage(max_px=20), NormalizeText())
    assert [(each.key, each.step, each.on, each.outcome) for each in found] == [
        ("corpus/1", "codec.image.DecodeImage", "image", ""),
        ("corpus/1", "codec.text.DecodeText", "text", ""),
        ("corpus/1", "clean.text.NormalizeText", "text", ""),
        ("corpus/1", "features.image.Sharpness", "image", ""),
        ("corpus/1", "features.text.TextLength", "text", ""),
    ]
    assert isinstance(found[0].after, Image)
    assert max(found[0].after.pixels.shape) == 20
    assert isinstance(found[2].before, Text)
    assert isinstance(found[2].after, Text)
    assert (found[2].before.text, found[2].after.text) == ("some   text 1", "some text 1")
    assert found[4].arrays["text.length.chars"].item() == len("some text 1")
    assert all(each.seconds >= 0 for each in found)


def test_what_a_step_changed_is_told_from_what_it_left_alone(folder: Path) -> None:
    mirrored = tried(folder, "1.png", FlipImage(p=1.0), features=())
    assert [(each.step, each.changed) for each in mirrored if each.on == "image"][1:] == [
        ("augment.image.FlipImage", True)
    ]
    left = tried(folder, "1.png", FlipImage(p=0.0), features=())
    assert not left[1].changed
    words = {each.step: each.changed for each in tried(folder, "1.txt", NormalizeText(), NormalizeText(form="NFKC"))}
    assert words["clean.text.NormalizeText"] is False  # the second of them: what it was given is normal
    assert tried(folder, "flat.png", FlipImage(p=1.0), features=())[1].changed is False  # plain: mirrored is the same


def test_a_file_below_the_folder_of_the_source_has_the_key_and_the_parts_that_a_run_gives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part, name, data in (("images", "a.png", png_bytes(picture(40, 30, seed=1))), ("texts", "a.txt", b"a text")):
        (tmp_path / "corpus" / part).mkdir(parents=True)
        (tmp_path / "corpus" / part / name).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    source = Files("corpus", parts={"image": "images/{stem}.png", "text": "texts/{stem}.txt"}, label="top")
    found = list(try_file(Pipeline(source=source, features=FEATURES), Path("corpus/images/a.png")))
    [entry] = source.scan().entries
    assert {each.key for each in found} == {entry.key}
    assert {each.on for each in found} == {"image", "text"}


def test_a_trial_writes_nothing_and_needs_no_store(folder: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    tried(folder, "1.png", DecodeImage(), Twice(), NormalizeText())
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_trial_shows_what_a_run_stores(folder: Path, tmp_path: Path) -> None:
    """Also of steps that draw lots, and through an encoding that loses."""
    lots = (DecodeImage(), FlipImage(p=0.5), FlipImage(p=0.5), NormalizeText())
    pipeline = Pipeline(source=Files(str(folder)), ingest=lots, features=FEATURES, store={"image": "jpeg:40"}, seed=3)
    run(pipeline, str(tmp_path / "store"), RunOptions())
    store = Store.open(tmp_path / "store")
    for name in "012":
        shown = {
            column: array
            for each in try_file(pipeline, folder / f"{name}.png")
            for column, array in each.arrays.items()
        }
        for column, array in shown.items():
            np.testing.assert_array_equal(store.arrays(column, [f"corpus/{name}"])[0], array)
        assert set(shown) == COLUMNS


def test_a_drop_ends_the_story(folder: Path) -> None:
    last = tried(folder, "flat.png", DropBlurred(min_sharpness=1.0))[-1]
    assert (last.step, last.outcome, last.after) == ("clean.image.DropBlurred", "dropped: blurred", None)


def test_bytes_that_are_no_picture_end_it_too(folder: Path) -> None:
    (only,) = tried(folder, "bad.png", DecodeImage(), DropBlurred())
    assert only.step == "codec.image.DecodeImage"
    assert only.outcome.startswith("rejected as decode: ")


def test_a_bug_of_a_step_is_shown_as_a_run_would_record_it(folder: Path) -> None:
    last = tried(folder, "1.txt", Fails())[-1]
    assert last.outcome == "rejected as bug: KeyError: 'some   text 1'"


def test_the_children_of_a_split_go_on_one_by_one(folder: Path) -> None:
    found = tried(folder, "1.txt", NormalizeText(), Twice(), features=(TextLength(),))
    assert [each.key for each in found if each.step.endswith(".Twice")] == ["corpus/1@0", "corpus/1@1"]
    assert [each.key for each in found if each.arrays] == ["corpus/1@0", "corpus/1@1"]


def test_a_feature_that_fails_costs_itself_alone(folder: Path) -> None:
    first, second = tried(folder, "1.png", features=(NoHash(), Sharpness()))[-2:]
    assert first.outcome == "missing: bug: ValueError: not today"
    assert first.arrays == {}
    assert set(second.arrays) == {"image.sharpness"}


def test_a_part_that_the_sample_lacks_is_passed_over(folder: Path) -> None:
    assert [each.step for each in tried(folder, "flat.png", NormalizeText()) if each.arrays] == [
        "features.image.Sharpness"
    ]


def test_a_pipeline_without_a_source_takes_files_that_share_a_stem(folder: Path) -> None:
    found = list(try_file(Pipeline(features=FEATURES), folder / "1.txt"))
    assert {column for each in found for column in each.arrays} == COLUMNS


def test_a_file_with_a_hard_name_is_found(folder: Path) -> None:
    name = 'say "a#1" 100%.png'
    (folder / "0.png").rename(folder / name)
    assert {each.key for each in tried(folder, name)} == {f"corpus/{name[:-4]}"}


def test_files_that_are_not_there_or_no_samples_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        tried(folder, "nowhere.png")
    (folder / "README").write_text("about")
    with pytest.raises(ConfigError, match="no sample of this file"):
        tried(folder, "README")
    (folder / "1.jpg").write_bytes(b"one too many")
    with pytest.raises(ConfigError, match="it can't become a sample"):
        tried(folder, "1.jpg")
    with pytest.raises(ConfigError, match="would all be its image"):
        tried(folder, "1.png")
