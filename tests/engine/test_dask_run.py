"""Whole runs on a Dask cluster: the same bytes as inline, whoever dies, and errors that say which worker lacks what."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mmdata
from mmdata.codec.image import DecodeImage
from mmdata.core.arrays import ArraySpec
from mmdata.core.pipeline import Pipeline, RunSettings
from mmdata.core.sample import Image
from mmdata.core.step import BatchExtract, Extract
from mmdata.engine.check import check
from mmdata.engine.executors.dask import Dask
from mmdata.engine.options import RunOptions
from mmdata.engine.runner import run
from mmdata.engine.shard import ShardWork
from mmdata.engine.visible import check_visible, located
from mmdata.errors import ConfigError
from mmdata.features.image import OrientedGradients, PerceptualHash, Sharpness
from mmdata.features.text import TextLength
from mmdata.source.files import Files
from mmdata.source.table import Table
from mmdata.source.webdataset import Tars
from mmdata.store.store import Store
from mmdata.testing.build import caption, picture, png_bytes
from mmdata.testing.loopback import Loopback

pytestmark = [pytest.mark.dask, pytest.mark.timeout(240)]

OPTIONS = RunOptions(settings=RunSettings(shard_samples=4))
DEADLY = 7


@dataclass(frozen=True, kw_only=True)
class Segfault(Extract[Image]):
    """Reads where nothing is, on one picture."""

    on: str = "image"
    into: str = "image.segfault"

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=(), sizes={})

    def extract(self, image: Image) -> np.ndarray:
        if np.array_equal(image.pixels, picture(40, 30, seed=DEADLY).pixels):
            ctypes.string_at(0)
        return np.array(1, np.float32)


@dataclass(frozen=True, kw_only=True)
class Model(BatchExtract[Image]):
    """A step that needs a model."""

    on: str = "image"
    into: str = "image.model"

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=(), sizes={})

    def load(self, device: str) -> Any:
        return device

    def cost(self, prepared: Any) -> int:
        return 1

    def extract(self, model: Any, prepared: Sequence[Image]) -> Sequence[np.ndarray]:
        return [np.array(1, np.float32) for _ in prepared]


@pytest.fixture(scope="module")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    """A worker of one thread, and one of three."""
    with Loopback(tmp_path_factory.mktemp("cluster"), workers=1) as cluster:
        cluster.start_worker("three", threads=3)
        cluster.wait(2)
        yield cluster


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 samples: a picture and a caption each; and one whose picture is none."""
    folder = tmp_path_factory.mktemp("corpus") / "media"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number:03}.png").write_bytes(png_bytes(picture(40, 30, seed=number)))
        (folder / f"{number:03}.txt").write_text(caption(number).text)
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def pipeline(source: Path, *features: Any) -> Pipeline:
    usual = (Sharpness(), PerceptualHash(), OrientedGradients(), TextLength())
    return Pipeline(source=Files(str(source)), ingest=(DecodeImage(),), features=features or usual)


def files(store: Path) -> dict[str, bytes]:
    """What readers see: bytes by path, tars too."""
    view = Store.open(store).view()
    paths = [file.path for file in view.files()]
    paths += [shard.samples.media.path for shard in view.shards if shard.samples.media]
    return {path: (store / path).read_bytes() for path in paths}


def test_a_run_on_workers_of_one_thread_and_of_many_gives_the_bytes_of_one_inline(
    loopback: Loopback, source: Path, tmp_path: Path
) -> None:
    run(pipeline(source), str(tmp_path / "inline"), OPTIONS)
    report = run(pipeline(source), str(tmp_path / "dask"), replace(OPTIONS, executor=Dask(loopback.address)))
    assert report.counts.balances
    assert report.counts.stored == 40
    assert report.counts.rejected == {"decode": 1}
    assert files(tmp_path / "dask") == files(tmp_path / "inline")


@pytest.mark.slow
def test_a_sample_that_kills_workers_costs_its_own_feature_and_no_other(
    loopback: Loopback, source: Path, tmp_path: Path
) -> None:
    deadly = pipeline(source, Segfault(), TextLength())
    report = run(deadly, str(tmp_path / "store"), replace(OPTIONS, executor=Dask(loopback.address)))
    store = Store.open(tmp_path / "store")
    lost = [row["key"] for row in [*store.rejects().to_pylist(), *store.missing().to_pylist()]]
    assert sorted(lost) == ["media/007", "media/broken"]
    assert report.counts.balances
    (told,) = [row for row in [*store.missing().to_pylist(), *store.rejects().to_pylist()] if row["key"] == "media/007"]
    assert "worker_died" in f"{told.get('kind')} {told['error']}"
    assert len(store.keys()) >= 39


def test_the_command_line_takes_a_scheduler_and_relative_paths(loopback: Loopback, source: Path) -> None:
    folder = source.parent
    (folder / "p.yaml").write_text(
        "source: {use: source.files.Files, root: media}\nfeatures: [features.text.TextLength]\n"
    )
    words = ["run", "p.yaml", "--store", "store", "--executor", "dask", "--scheduler", loopback.address, "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "mmdata", *words], cwd=folder, check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["stored"] == 41
    assert len(Store.open(folder / "store").keys()) == 41
    assert "INFO" not in done.stderr


def test_python_takes_an_address(loopback: Loopback, source: Path, tmp_path: Path) -> None:
    report = mmdata.run(
        pipeline(source, TextLength()), store=tmp_path / "store", executor="dask", scheduler=loopback.address
    )
    assert report.state == "done"
    assert report.counts.stored == 40


def test_a_scheduler_that_is_not_there_is_an_error_in_the_command_line(source: Path, tmp_path: Path) -> None:
    words = ["ingest", str(source), str(tmp_path / "store"), "--executor", "pool", "--scheduler", "tcp://127.0.0.1:1"]
    done = subprocess.run(
        [sys.executable, "-m", "mmdata", *words], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "only the executor 'dask' has one, not 'pool'" in done.stderr


@pytest.mark.parametrize(
    "source",
    [Files("/no/such/place"), Tars("/no/such/place/*.tar"), Table("/no/such/place/a.csv", parts={"image": "file"})],
)
def test_a_source_that_a_worker_does_not_see_is_named_with_the_worker(source: Any, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"worker \d+ on .*\n.* no source '/no/such/place.*same files on every worker"
    ):
        check_visible(str(tmp_path), source)


def test_what_is_seen_or_is_a_url_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "a.tar").touch()
    check_visible(str(tmp_path), Tars(f"{tmp_path}/*.tar"))
    check_visible("s3://bucket/store", Files("https://example.org/media"))
    check_visible(str(tmp_path), None)
    with pytest.raises(ConfigError, match="there is no store"):
        check_visible(str(tmp_path / "not there"), None)


def test_a_source_with_absolute_paths_keeps_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert located(Files("some/media")) == Files(str(tmp_path / "some" / "media"), name="media")
    assert located(Files("s3://bucket/media")) == Files("s3://bucket/media")
    assert located(Table("a/*.csv", parts={"image": "file"}, name="t")) == Table(
        str(tmp_path / "a" / "*.csv"), parts={"image": "file"}, name="t"
    )


@pytest.mark.parametrize(
    ("device", "families", "needs"),
    [
        ("cuda", ["image.model"], {"GPU": 1}),
        ("cuda:1", ["image.model", "image.sharpness"], {"GPU": 1}),
        ("cuda", ["image.sharpness"], {}),
        ("auto", ["image.model"], {}),
        ("cpu", ["image.model"], {}),
    ],
)
def test_a_job_needs_a_gpu_for_models_that_are_to_run_on_one(
    source: Path, tmp_path: Path, device: str, families: list[str], needs: dict[str, float]
) -> None:
    compiled = check(pipeline(source, Model(), Sharpness()))
    work = ShardWork(os.fspath(tmp_path), {}, None, compiled, RunSettings(device=device))
    assert work.resources(families) == needs


def test_a_cluster_of_its_own_offers_its_workers_for_models_on_gpus(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")  # the model has no use for it
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where its slot is taken
    on_gpu = replace(OPTIONS, settings=RunSettings(shard_samples=20, device="cuda"), executor=Dask(wait_s=30))
    assert run(pipeline(source, Model()), str(tmp_path / "store"), on_gpu).counts.computed == {"image.model": 40}
