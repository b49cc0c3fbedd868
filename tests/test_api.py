"""The surface in Python: what users import, and that it agrees with the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import mmdata
from mmdata import api
from mmdata.codec.image import DecodeImage
from mmdata.config.load import parse
from mmdata.core.pipeline import Pipeline
from mmdata.errors import ConfigError, StoreError
from mmdata.features.text import TextLength
from mmdata.source.files import Files

TEXT = """
source: {use: source.files.Files}
features: [features.text.TextLength]
select: {name: v1, split: {train: 0.5, test: 0.5}}
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Six texts."""
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.txt").write_text(f"text {number}")
    return folder


def test_the_public_names_are_these() -> None:
    assert sorted(mmdata.__all__) == ["Part", "__version__", "export", "open", "rows", "run", "stream"]
    assert all(callable(getattr(mmdata, name)) for name in ("Part", "export", "open", "rows", "run", "stream"))
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = mmdata.nope


def test_a_run_from_a_file_makes_its_selection(source: Path, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(TEXT)
    report = mmdata.run(tmp_path / "p.yaml", source=source, store=tmp_path / "store")
    assert (report.counts.read, report.counts.stored, report.state) == (6, 6, "done")
    assert report.selection is not None
    assert sum(report.selection["splits"].values()) == 6
    assert len(mmdata.open(tmp_path / "store")) == 6


def test_a_run_of_objects_needs_no_file(source: Path, tmp_path: Path) -> None:
    pipeline = Pipeline(source=Files(str(source)), features=(TextLength(),))
    assert mmdata.run(pipeline, store=str(tmp_path / "store")).counts.stored == 6
    with pytest.raises(StoreError, match="came from a pipeline file"):
        api.recorded(tmp_path / "store")


def test_a_stream_takes_a_store_or_its_place(source: Path, tmp_path: Path) -> None:
    file = parse(TEXT, source=str(source))
    mmdata.run(file, store=tmp_path / "store")
    settings: dict[str, Any] = {"batch_size": 2, "seed": 3}
    by_place = [batch["key"] for batch in mmdata.stream(tmp_path / "store", ["text.length.chars"], **settings)]
    opened = mmdata.open(tmp_path / "store")
    assert [batch["key"] for batch in mmdata.stream(opened, ["text.length.chars"], **settings)] == by_place
    assert sum(map(len, by_place)) == 6
    assert len(mmdata.rows(tmp_path / "store", ["text.length.chars"])) == len(mmdata.rows(opened, ["label"])) == 6


def test_the_last_runs_file_and_place_are_remembered(source: Path, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(TEXT)
    mmdata.run(tmp_path / "p.yaml", source=source, store=tmp_path / "store")
    file, location = api.recorded(tmp_path / "store")
    assert (file.text, location) == (TEXT, str(source))
    assert api.recorded_location(tmp_path / "store") == str(source)
    assert api.recorded(tmp_path / "store", source="elsewhere")[1] == "elsewhere"


@pytest.mark.parametrize("more", ["train: {inputs: {a: text.nope}}", "select: {nam: x}"])
def test_a_wrong_file_is_refused_before_anything_is_made(source: Path, tmp_path: Path, more: str) -> None:
    (tmp_path / "p.yaml").write_text(TEXT.partition("select")[0] + more)
    with pytest.raises(ConfigError):
        mmdata.run(tmp_path / "p.yaml", source=source, store=tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_selection_without_a_split_takes_all(source: Path, tmp_path: Path) -> None:
    file = parse(TEXT.partition("select")[0] + "select: {name: all}", source=str(source))
    report = mmdata.run(file, store=tmp_path / "store")
    assert report.selection == {"name": "all", "splits": {"": 6}, "left_out": {}}


def test_a_store_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store at"):
        mmdata.open(tmp_path / "nope")


DECODED = "needs {}; install it with: pip install 'mmdata[{}]'"
PUT_IN = "{}, which mmdata puts in to decode {!r}, "


@pytest.mark.parametrize(
    ("lacks", "text", "told"),
    [
        ("soundfile", "ingest: [clean.audio.MixDown]", PUT_IN.format("codec.audio.DecodeAudio", "audio")),
        ("soundfile", "features: [features.audio.AudioDuration]", PUT_IN.format("codec.audio.DecodeAudio", "audio")),
        ("cv2", "features: [features.image.ImageSize]", PUT_IN.format("codec.image.DecodeImage", "image")),
        ("av", "ingest: [clean.video.KeepDuration]", PUT_IN.format("codec.video.OpenVideo", "video")),
        ("av", "features: [features.video.VideoSize]", PUT_IN.format("codec.video.OpenVideo", "video")),
        (
            "soundfile",
            "ingest: [{use: codec.video.DecodeSound, into: audio}]\nstore: {audio: flac}",
            "store.audio: 'flac' ",
        ),
        ("duckdb", "select: {name: v1, where: 'key > 1'}", "select.where: "),
        ("duckdb", "select: {name: v1, balance: {by: key, cap: 2}}", "select.balance.by: "),
    ],
)
def test_packages_that_lack_are_told_before_any_work(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacks: str, text: str, told: str
) -> None:
    file = parse(f"source: {{use: source.files.Files}}\n{text}", source=str(source))
    api.check(file)
    extra = {"soundfile": "audio", "cv2": "image", "av": "video", "duckdb": "select"}[lacks]
    monkeypatch.setitem(sys.modules, lacks, None)
    fault = f"{told}{DECODED.format(lacks, extra)}"
    with pytest.raises(ConfigError) as checked:
        api.check(file)
    assert checked.value.faults == (fault,)
    with pytest.raises(ConfigError) as ran:
        mmdata.run(file, store=tmp_path / "store")
    assert ran.value.faults == (fault,)
    assert not (tmp_path / "store").exists()


def test_a_step_made_in_python_says_what_it_lacks(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ConfigError) as ran:
        mmdata.run(Pipeline(source=Files(str(source)), ingest=(DecodeImage(),)), store=tmp_path / "store")
    assert ran.value.faults == (f"codec.image.DecodeImage {DECODED.format('cv2', 'image')}",)


def test_a_selection_without_conditions_needs_no_duckdb(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    report = mmdata.run(parse(TEXT, source=str(source)), store=tmp_path / "store")
    assert report.selection is not None
    assert sum(report.selection["splits"].values()) == 6
