"""Compacting, forgetting and sweeping a store in a bucket: the same bytes as in a folder."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mmdata.clean.text import NormalizeText
from mmdata.core.pipeline import Pipeline, RunSettings
from mmdata.core.storage import open_place
from mmdata.engine.compact import compact
from mmdata.engine.options import RunOptions
from mmdata.engine.runner import run
from mmdata.features.text import TextLength
from mmdata.source.files import Files as Source
from mmdata.store.files import Files
from mmdata.store.gc import gc
from mmdata.store.store import Store
from mmdata.store.verify import verify
from mmdata.testing.servers import S3Server, s3_server

pytestmark = [pytest.mark.s3, pytest.mark.slow]
SETTINGS = RunSettings(shard_samples=40)
N = 6


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


def feed(folder: Path, url: str, numbers: range, options: Mapping[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        (folder / f"{number}.txt").write_text(f"secret words {number}")
    steps = Pipeline(source=Source(str(folder)), ingest=(NormalizeText(),), features=(TextLength(),))
    run(steps, url, RunOptions(settings=SETTINGS, storage_options=options))


def data(url: str, options: Mapping[str, str]) -> dict[str, bytes]:
    files, view = Files.at(url, options), Store.open(url, storage_options=options).view()
    paths = [file.path for file in view.files()] + [s.samples.media.path for s in view.shards if s.samples.media]
    return {path: files.read(path) for path in paths}


def all_bytes(url: str, options: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """Every object of a store, and what its columns hold."""
    system, root = open_place(url, options)
    for path in system.find(root):
        content: bytes = system.cat_file(path)
        yield path, content
        if path.endswith(".parquet"):
            yield path, repr(pq.read_table(io.BytesIO(content)).to_pylist()).encode()


@pytest.mark.long
def test_a_store_in_a_bucket_is_kept_as_one_in_a_folder_is(server: S3Server, tmp_path: Path) -> None:
    places: list[tuple[str, Mapping[str, str]]] = [
        (f"{server.bucket()}/store", server.options), (str(tmp_path / "store"), {})
    ]  # fmt: skip
    found: list[Any] = []
    for number, (url, options) in enumerate(places):
        folder = tmp_path / f"{number}" / "corpus"
        folder.parent.mkdir()
        for start in range(2):
            feed(folder, url, range(start, N, 2), options)
        store = Store.open(url, storage_options=options)
        store.snapshot("before")
        assert len(compact(store, SETTINGS, log_commits=1).merges) == 1
        gc(store, grace_s=-3600)  # a server's clock tells seconds
        assert len(Store.open(url, storage_options=options, snapshot="before").keys()) == N
        found.append([key.rpartition("/")[2] for key in list(store.keys())])
        done = store.forget("corpus/4")
        assert (done.samples, done.snapshots) == (1, ["before"])
        held = {path for path, content in all_bytes(url, options) if b"secret words 4" in content}
        assert held == set()
        feed(folder, url, range(N, N + 1), options)
        opened = Store.open(url, storage_options=options)
        assert sorted(opened.keys()) == sorted(f"corpus/{n}" for n in range(N + 1) if n != 4)
        assert verify(opened).is_sound
        found.append({path.partition("-")[2]: content for path, content in data(url, options).items()})
    assert found[:2] == found[2:]
