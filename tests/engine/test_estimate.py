"""Estimates: rates that were measured, times what is to be done."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from mmdata.config.load import PipelineFile, load
from mmdata.core.sample import Image
from mmdata.core.step import Map
from mmdata.engine.estimate import START_S, Estimate, planned
from mmdata.engine.measure import Rates
from mmdata.engine.options import RunOptions
from mmdata.engine.runner import run
from mmdata.engine.todo import Todo
from mmdata.store.store import Store
from mmdata.testing.media import png_bytes
from mmdata.testing.pictures import picture

N = 60
FILE = """
source: {{use: source.files.Files, root: {root}, label: parent}}
ingest: [{ingest}]
features: [{features}]
run: {{shard_samples: 20}}
"""


@dataclass(frozen=True, kw_only=True)
class Broken(Map[Image, Image]):
    """Always raises what a step must not raise."""

    on: str = "image"

    def map(self, value: Image) -> Image:
        raise RuntimeError("broken")


@pytest.fixture
def made(tmp_path: Path) -> Path:
    for index in range(N):
        folder = tmp_path / "pets" / "ab"[index % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{index}.png").write_bytes(png_bytes(picture(64 + index, 48, seed=index)))
        (folder / f"{index}.txt").write_text(f"picture {index}")
    return tmp_path


def file(folder: Path, *features: str, ingest: str = "codec.image.DecodeImage") -> PipelineFile:
    names = ", ".join(features or ("features.image.PerceptualHash", "features.image.OrientedGradients"))
    (folder / "p.yaml").write_text(FILE.format(root=folder / "pets", ingest=ingest, features=names))
    return load(folder / "p.yaml")


def plan(file: PipelineFile, store: Path, **settings: Any) -> tuple[Todo, Estimate | None]:
    return planned(file.pipeline, str(store), RunOptions(settings=file.run), **settings)


def done(file: PipelineFile, store: Path) -> dict[str, Any]:
    run(file.pipeline, str(store), RunOptions(settings=file.run))
    return dict(json.loads(Store.open(store).runs()["counts"].to_pylist()[-1]))


def test_a_new_store_is_estimated_by_a_try_that_leaves_nothing(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(made / "tmp"))
    (made / "tmp").mkdir()
    _, found = plan(file(made), made / "store", workers=2, n=30)
    assert found is not None
    assert found.basis == "30 samples, tried just now"
    assert found.lacking == []
    assert set(found.families) == {"samples", "media", "image.phash", "image.hog"}
    assert all(found.families[name].seconds > 0 for name in ("samples", "image.phash", "image.hog"))
    assert not (made / "store").exists()
    assert list((made / "tmp").iterdir()) == []


def test_bytes_of_a_try_are_those_of_the_run(made: Path) -> None:
    pipeline = file(made)
    _, found = plan(pipeline, made / "store", n=30)
    assert found is not None
    done(pipeline, made / "store")
    store = Store.open(made / "store")
    real = {
        name: sum(each.size_bytes for each in store.files(name)) for name in ("samples", "image.phash", "image.hog")
    }
    real["media"] = sum(each.media.size_bytes for each in store.files("samples") if each.media)
    for name, size in real.items():
        assert size / 1.5 < found.families[name].bytes < size * 1.5, name


def test_a_store_with_runs_is_estimated_by_them(made: Path) -> None:
    counts = done(file(made), made / "store")
    _, nothing = plan(file(made), made / "store")
    assert nothing is None
    for index in range(N, N + 20):
        (made / "pets" / "a" / f"{index}.png").write_bytes(png_bytes(picture(seed=index)))
    _, found = plan(file(made), made / "store", workers=1)
    assert found is not None
    assert found.basis == f"this store's runs, of {N} samples"
    hog = counts["steps"]["features.image.OrientedGradients"]
    assert found.families["image.hog"].seconds == pytest.approx(20 * hog["seconds"] / hog["n"])
    read = counts["steps"]["shard"]["seconds"] * 20 / N
    assert found.worker_s == pytest.approx(read, rel=1e-3)
    assert found.wall_s >= START_S + found.worker_s


def test_a_new_feature_alone_is_tried_and_decoding_counted(made: Path) -> None:
    done(file(made, "features.image.PerceptualHash"), made / "store")
    later = file(made, "features.image.PerceptualHash", "features.image.OrientedGradients")
    _, found = plan(later, made / "store", n=20)
    assert found is not None
    assert found.families["image.hog"].seconds > 0
    assert "media" not in found.families
    _, untried = plan(later, made / "store", n=0)
    assert untried is not None
    assert untried.lacking == ["features.image.OrientedGradients"]


def test_nothing_is_tried_where_that_is_said(made: Path) -> None:
    _, found = plan(file(made), made / "store", n=0)
    assert found is not None
    assert found.families == {}
    assert found.basis.startswith("nothing: no run is recorded")


def test_servers_of_others_are_not_asked_for_a_plan(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("url\nhttp://127.0.0.1:9/a.png\n")
    (tmp_path / "p.yaml").write_text(
        f"source: {{use: source.urls.Urls, path: {tmp_path / 'm.csv'}, parts: {{image: url}}}}\n"
        "features: [features.image.PerceptualHash]\n"
    )
    _, found = plan(load(tmp_path / "p.yaml"), tmp_path / "store")
    assert found is not None
    assert found.families == {}


def test_a_step_that_is_wrong_is_told_and_no_error(made: Path) -> None:
    whole = file(made)
    wrong = replace(whole.pipeline, ingest=(*whole.pipeline.ingest, Broken()))
    _, found = planned(wrong, str(made / "store"), RunOptions(settings=whole.run), n=30)
    assert found is not None
    assert "a try failed: StepError" in found.basis


def test_rates_leave_out_what_is_loaded_once() -> None:
    rates = Rates()
    steps = {
        "a": {"n": 10, "seconds": 25.0, "stages": {"load": 20.0, "compute": 5.0}},
        "shard": {"n": 1, "seconds": 30.0},
    }
    rates.learn({"read": 10, "stored": 5, "steps": steps})
    assert (rates.call_s["a"], rates.load_s["a"], rates.rest_s, rates.stored) == (0.5, 20.0, 0.5, 0.5)


def test_the_newest_run_decides() -> None:
    rates = Rates()
    rates.learn({"read": 10, "stored": 10, "steps": {"a": {"n": 10, "seconds": 1.0}}})
    rates.learn({"read": 10, "stored": 10, "steps": {"a": {"n": 10, "seconds": 9.0}, "b": {"n": 5, "seconds": 1.0}}})
    assert rates.call_s == {"a": 0.1, "b": 0.2}
