"""The surface in Python: what users import, and that it agrees with the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import mmdata
from mmdata import api
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
