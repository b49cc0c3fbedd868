"""Disks that fill up: a run that says so, a store that stays whole, and a next run that finishes it."""

from __future__ import annotations

import gc
import subprocess
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mmdata.codec.image import DecodeImage
from mmdata.core.pipeline import Pipeline, RunSettings
from mmdata.core.ports import Executor
from mmdata.engine.executors.inline import Inline
from mmdata.engine.executors.pool import Pool
from mmdata.engine.options import RunOptions
from mmdata.engine.runner import run
from mmdata.errors import StoreError
from mmdata.features.image import OrientedGradients, Sharpness
from mmdata.source.files import Files
from mmdata.store.store import Store
from mmdata.store.verify import verify
from mmdata.testing.build import picture, png_bytes
from tests.engine.test_survival import live

OPTIONS = RunOptions(settings=RunSettings(shard_samples=4))
Resize = Callable[[str], None]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Path, Resize]]:
    """A small disk of its own, and a way to change its size."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    done = subprocess.run(mount, check=False, capture_output=True)
    if done.returncode:
        pytest.skip(f"no disk of its own can be mounted here: {done.stderr.decode().strip()}")

    def resize(size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(place)], check=True)

    yield place, resize
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def what(tmp_path: Path) -> Pipeline:
    """32 pictures of noise in PNG, 20 kB each, and features of them."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for number in range(32):
        (folder / f"{number:02d}.png").write_bytes(png_bytes(picture(96, 72, seed=number)))
    return Pipeline(source=Files(str(folder)), ingest=(DecodeImage(),), features=(Sharpness(), OrientedGradients()))


@pytest.mark.parametrize("executor", [Inline(), pytest.param(Pool(2), marks=pytest.mark.slow)])
def test_a_disk_that_fills_up_at_any_time_is_named_and_the_next_run_finishes(
    tmp_path: Path, disk: tuple[Path, Resize], what: Pipeline, executor: Executor
) -> None:
    run(what, str(tmp_path / "quiet"), OPTIONS)
    place, resize = disk
    options, store = replace(OPTIONS, executor=executor), str(place / "store")
    sizes = (16, 64, 100, 200, 300, 400, 600, 800) if isinstance(executor, Inline) else (100, 600)
    for size in sizes:
        resize(f"{size}k")
        with pytest.raises(StoreError, match=f"the disk of {store} is full: .* free of .*; make room") as caught:
            run(what, store, options)
        assert "the same command goes on" in str(caught.value)
        del caught
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", ResourceWarning)
            gc.collect()
        assert [str(each.message) for each in told] == []  # no file is left to the garbage collector
        if isinstance(executor, Inline):
            assert list((place / "store" / "tmp").glob("*")) == []
        if (place / "store" / "store.json").exists():
            assert verify(Store.open(store)).is_sound
    resize("8m")
    run(what, store, options)
    assert live(Path(store)) == live(tmp_path / "quiet") != {}


@pytest.mark.s3
def test_a_full_disk_for_temporary_files_is_told_from_that_of_the_store(
    tmp_path: Path, disk: tuple[Path, Resize], what: Pipeline, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, resize = disk
    monkeypatch.setattr("tempfile.tempdir", str(place))
    resize("40k")
    store = f"{bucket}/store"
    with pytest.raises(StoreError, match=f"the disk of {place}, where temporary files lie, is full: .* set TMPDIR"):
        run(what, store, OPTIONS)
    assert verify(Store.open(store)).is_sound
    monkeypatch.setattr("tempfile.tempdir", None)
    assert run(what, store, OPTIONS).counts.stored == 32
    run(what, str(tmp_path / "quiet"), OPTIONS)
    mine, quiet = Store.open(store).view(), Store.open(tmp_path / "quiet").view()
    assert {file.path: file.digest for file in mine.files()} == {file.path: file.digest for file in quiet.files()}
