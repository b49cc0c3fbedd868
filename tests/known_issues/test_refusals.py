"""Runs and plans that were refused too late, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmdata.codec.image import DecodeImage
from mmdata.core.pipeline import Pipeline
from mmdata.engine.options import RunOptions
from mmdata.engine.runner import plan, run
from mmdata.errors import ConfigError, SchemaMismatch
from mmdata.features.image import Sharpness
from mmdata.source.files import Files
from mmdata.store.store import Store
from mmdata.testing.build import picture, png_bytes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    at = tmp_path / "corpus"
    at.mkdir()
    (at / "1.png").write_bytes(png_bytes(picture(40, 30)))
    return at


def test_a_pipeline_that_does_not_fit_its_source_leaves_no_store_behind(folder: Path, tmp_path: Path) -> None:
    """The store was made, and the source's division recorded, before the pipeline was compiled for its parts."""
    wrong = Pipeline(source=Files(str(folder)), ingest=(DecodeImage(on="picture"),))
    with pytest.raises(ConfigError, match="no part 'picture'"):
        run(wrong, str(tmp_path / "store"), RunOptions())
    assert not (tmp_path / "store").exists()


def test_a_pipeline_that_does_not_fit_its_source_leaves_the_plan_as_it_was(folder: Path, tmp_path: Path) -> None:
    right = Pipeline(source=Files(str(folder)), features=(Sharpness(),))
    run(right, str(tmp_path / "store"), RunOptions())
    before = Store.open(tmp_path / "store").plan("corpus")
    (folder / "2.png").write_bytes(png_bytes(picture(40, 30, seed=2)))
    with pytest.raises(ConfigError, match="no part 'picture'"):
        run(Pipeline(source=right.source, ingest=(DecodeImage(on="picture"),)), str(tmp_path / "store"), RunOptions())
    assert Store.open(tmp_path / "store").plan("corpus") == before


def test_a_plan_for_a_store_of_a_newer_form_is_refused(folder: Path, tmp_path: Path) -> None:
    """It was taken for no store at all, and everything was planned to be done."""
    Store.create(tmp_path / "store")
    (tmp_path / "store" / "store.json").write_text('{"format": 99}')
    with pytest.raises(SchemaMismatch, match="format 99"):
        plan(Pipeline(source=Files(str(folder))), str(tmp_path / "store"), RunOptions())
