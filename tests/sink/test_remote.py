"""Exports to places where nothing can be renamed: whole when the marker says so, and taken up all the same."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest

import mmdata
from mmdata.core.storage import open_place
from mmdata.errors import ConfigError, StoreError
from mmdata.sink.destination import MARKER

Known = Any  # the fixtures' class; conftest can't be imported


@pytest.fixture
def place() -> Iterator[str]:
    """A URL where nothing is."""
    system = fsspec.filesystem("memory")
    yield "memory://exports/out"
    if system.exists("/exports"):
        system.rm("/exports", recursive=True)


def contents(place: str) -> dict[str, bytes]:
    """Every file below a URL."""
    system = fsspec.filesystem("memory")
    root = place.removeprefix("memory:/")
    return {path.removeprefix(f"{root}/"): system.cat_file(path) for path in system.find(root)}


@pytest.mark.parametrize("form", ["webdataset", "huggingface", "parquet", "files"])
def test_it_holds_the_very_files_of_a_folder(known: Known, place: str, tmp_path: Path, form: str) -> None:
    settings: dict[str, Any] = {"format": form, "selection": "v1", "shard_bytes": 30_000}
    assert mmdata.export(known.store, place, **settings).state == "done"
    mmdata.export(known.store, tmp_path / "out", **settings)
    folder = tmp_path / "out"
    there = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert contents(place) == there
    assert mmdata.export(known.store, place, **settings).state == "there"
    with pytest.raises(ConfigError, match="holds another export"):
        mmdata.export(known.store, place, **{**settings, "selection": "few"})


@pytest.mark.parametrize("form", ["webdataset", "files"])
def test_an_interrupted_one_says_so_and_goes_on(known: Known, place: str, form: str) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mmdata.export(known.store, place, format=form, shard_bytes=30_000, watch=stop)
    assert json.loads(contents(place)[MARKER])["state"] == "unfinished"
    with pytest.raises(ConfigError, match="an unfinished export of other contents"):
        mmdata.export(known.store, place, format="parquet")
    assert mmdata.export(known.store, place, format=form, shard_bytes=30_000).state == "done"
    told = json.loads(contents(place)[MARKER])
    assert told["state"] == "done"
    assert sum(each["rows"] for each in told["files"]) == 22
    assert not any(path.startswith("tmp/") for path in contents(place))


@pytest.mark.s3
@pytest.mark.slow
@pytest.mark.parametrize("form", ["webdataset", "files"])
def test_a_bucket_holds_the_very_files_of_a_folder(known: Known, bucket: str, tmp_path: Path, form: str) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    settings: dict[str, Any] = {"format": form, "shard_bytes": 30_000, "columns": ["image", "text", "image.grid"]}
    with pytest.raises(KeyboardInterrupt):
        mmdata.export(known.store, f"{bucket}/out", watch=stop, **settings)
    assert mmdata.export(known.store, f"{bucket}/out", **settings).state == "done"
    mmdata.export(known.store, tmp_path / "out", **settings)
    system, root = open_place(f"{bucket}/out")
    there = {path.removeprefix(f"{root}/"): system.cat_file(path) for path in system.find(root)}
    folder = tmp_path / "out"
    assert there == {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_file_of_other_bytes_is_not_written_over(known: Known, place: str) -> None:
    def meddle(done: int, total: int) -> None:
        fsspec.filesystem("memory").pipe_file("/exports/out/samples-00001-of-00002.tar", b"mine")

    with pytest.raises(StoreError, match="is there, with other bytes"):
        mmdata.export(known.store, place, format="webdataset", shard_bytes=60_000, watch=meddle)
    assert contents(place)["samples-00001-of-00002.tar"] == b"mine"
    assert json.loads(contents(place)[MARKER])["state"] == "unfinished"


def test_it_is_read_from_there(known: Known, place: str) -> None:
    mmdata.export(known.store, place, format="parquet", columns=["image.phash"])
    data = contents(place)["data/samples-00000-of-00001.parquet"]
    rows = pq.read_table(io.BytesIO(data)).to_pylist()
    for row in rows:
        told = known.samples[row["key"]].arrays["image.phash"]
        assert (row["image.phash"] is None) == (told is None)
        assert told is None or np.array_equal(np.array(row["image.phash"], np.uint8), told)
