"""A store and a source in a bucket: the same keys and bytes as in a folder, and errors that come soon and are clear."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mmdata
from mmdata import api
from mmdata.config.load import load
from mmdata.core.storage import open_place
from mmdata.errors import StoreError, Unreachable
from mmdata.store import gc
from mmdata.store.files import Files
from mmdata.store.store import Store
from mmdata.store.verify import verify
from mmdata.testing.build import picture, png_bytes
from mmdata.testing.servers import S3Server, Wire

pytestmark = [pytest.mark.s3, pytest.mark.slow]
SOON_S = 120  # on a busy machine; a person is told within a few seconds
PIPELINE = """
source: {use: source.files.Files, name: corpus}
ingest:
  - use: codec.image.DecodeImage
  - use: clean.text.NormalizeText
features:
  - use: features.image.Sharpness
  - use: features.image.PerceptualHash
run: {shard_samples: 8}
select: {name: v1, split: {train: 0.5, test: 0.5}}
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen pictures of 100 kB with captions, one that is broken, and names of all kinds."""
    folder = tmp_path_factory.mktemp("corpus")
    for number in range(16):
        stem = folder / f"{number} é#%20+"
        stem.with_suffix(".png").write_bytes(png_bytes(picture(200, 160, seed=number)))
        stem.with_suffix(".txt").write_text(f"picture {number}")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    return folder


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pipeline") / "p.yaml"
    path.write_text(PIPELINE)
    return path


@pytest.fixture(scope="module")
def in_folder(corpus: Path, pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store that a folder of it gives in a folder."""
    path = tmp_path_factory.mktemp("in_folder") / "store"
    api.run(pipeline, store=path, source=corpus)
    return path


def data(url: str | Path, options: dict[str, str] | None = None) -> dict[str, bytes]:
    """Every live data file, by its path."""
    files = Files.at(url, options)
    store = Store.open(url, storage_options=options)
    live = store.view().files()
    paths = {file.path for file in live} | {file.media.path for file in live if file.media}
    return {path: files.read(path) for path in sorted(paths)}


def upload(folder: Path, url: str) -> str:
    system, root = open_place(url)
    for path in sorted(folder.iterdir()):
        system.pipe_file(f"{root}/{path.name}", path.read_bytes())
    return url


def test_a_store_in_a_bucket_is_that_of_a_folder_and_is_read_and_kept_alike(
    corpus: Path, pipeline: Path, in_folder: Path, bucket: str
) -> None:
    url = f"{bucket}/some/store"
    report = api.run(pipeline, store=url, source=corpus)
    assert report.counts.balances
    assert (report.counts.stored, report.counts.n_rejected) == (16, 1)
    assert data(url) == data(in_folder)

    here, there = mmdata.open(in_folder), mmdata.open(url)
    assert there.keys() == here.keys()
    assert there.table(["key", "image.sharpness", "text.text"]) == here.table(["key", "image.sharpness", "text.text"])
    for ours, theirs in zip(there.arrays("image.phash"), here.arrays("image.phash"), strict=True):
        assert np.array_equal(ours, theirs)  # type: ignore[arg-type]  # none is missing
    key = there.keys()[3]
    assert np.array_equal(there.sample(key).parts["image"].pixels, here.sample(key).parts["image"].pixels)  # type: ignore[union-attr]
    assert there.rejects().to_pylist()[0]["key"] == "corpus/broken"
    settings: dict[str, Any] = {"selection": "v1", "split": "train", "batch_size": 4, "seed": 3}
    batches = [list(mmdata.stream(store, ["image.phash", "text.text"], **settings)) for store in (here, there)]
    assert [list(batch["key"]) for batch in batches[0]] == [list(batch["key"]) for batch in batches[1]]

    there.snapshot("v1")
    with pytest.raises(StoreError, match="v1"):
        there.snapshot("v1")
    assert verify(there).is_sound
    assert api.run(pipeline, store=url, source=corpus).counts.read == 0
    Files.at(url).create("media/stray.tar", b"left by a killed run")
    swept = gc.gc(mmdata.open(url), grace_s=-3600)
    assert "media/stray.tar" in {listed.path for listed in swept}
    assert verify(mmdata.open(url, snapshot="v1")).is_sound


def test_a_source_in_a_bucket_gives_the_keys_and_samples_of_a_folder(
    corpus: Path, pipeline: Path, in_folder: Path, bucket: str, tmp_path: Path
) -> None:
    source = upload(corpus, f"{bucket}/raw/corpus")
    report = api.run(pipeline, store=tmp_path / "store", source=source)
    assert report.counts.balances
    here, there = mmdata.open(in_folder), mmdata.open(tmp_path / "store")
    assert sorted(there.keys()) == sorted(here.keys())
    columns = ["key", "image.sharpness", "text.text"]
    assert there.table(columns).sort_by("key") == here.table(columns).sort_by("key")
    assert there.rejects().to_pylist()[0]["key"] == "corpus/broken"
    again = api.run(pipeline, store=tmp_path / "store", source=source)
    assert (again.counts.read, again.kept) == (0, 17)
    system, root = open_place(source)
    system.pipe_file(f"{root}/{next(corpus.glob('3 *.txt')).name}", b"another caption")
    assert api.run(pipeline, store=tmp_path / "store", source=source).counts.stored > 0
    assert "another caption" in mmdata.open(tmp_path / "store").table(["text.text"])["text.text"].to_pylist()


def test_the_command_line_takes_settings_and_records_none(
    s3: S3Server, corpus: Path, pipeline: Path, in_folder: Path
) -> None:
    url = f"{s3.bucket()}/store"
    command = [sys.executable, "-m", "mmdata"]
    given = [f"--storage-option={name}={value}" for name, value in s3.options.items()]
    ingest = [*command, "ingest", str(corpus), url, "--pipeline", str(pipeline), "--workers", "2", "--json"]
    done = subprocess.run([*ingest, *given], capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["stored"] == 16
    options = dict(s3.options)
    assert data(url, options) == data(in_folder)
    secret = s3.options["AWS_SECRET_ACCESS_KEY"]
    assert secret not in done.stdout + done.stderr
    assert secret not in str(Store.open(url, storage_options=options).runs().to_pylist())
    shown = subprocess.run([*command, "ls", url, "--json", *given], capture_output=True, text=True, check=True)
    assert len(json.loads(shown.stdout)["samples"]) == 16


@pytest.fixture
def wire(s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """A connection to the server that can be cut, and that the environment names."""
    with Wire(s3.port) as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL", wire.endpoint)
        yield wire


def test_uploads_that_are_cut_in_the_middle_are_done_again(
    corpus: Path, pipeline: Path, in_folder: Path, bucket: str, wire: Wire
) -> None:
    url = f"{bucket}/store"
    wire.cut_after(700_000, times=2)
    assert api.run(pipeline, store=url, source=corpus).state == "done"
    assert wire.n_cuts == 2
    assert data(url) == data(in_folder)
    assert verify(mmdata.open(url)).is_sound


@pytest.mark.parametrize("n_bytes", [60_000, pytest.param(700_000, marks=pytest.mark.long)])
def test_a_network_that_is_gone_ends_the_run_and_the_next_one_finishes_it(
    n_bytes: int, corpus: Path, pipeline: Path, in_folder: Path, bucket: str, wire: Wire
) -> None:
    url = f"{bucket}/store"
    wire.cut_after(n_bytes)
    started = time.monotonic()
    with pytest.raises((StoreError, OSError), match="can't be reached"):
        api.run(pipeline, store=url, source=corpus)
    assert time.monotonic() - started < 3 * SOON_S
    wire.mend()
    if Files.at(url).exists("store.json"):
        assert verify(mmdata.open(url)).is_sound  # of what was made: all or nothing
        mmdata.open(url).table(incomplete=True)
    assert api.run(pipeline, store=url, source=corpus).state == "done"
    assert data(url) == data(in_folder)


def test_a_source_that_is_gone_costs_no_sample(
    corpus: Path, pipeline: Path, in_folder: Path, bucket: str, wire: Wire, tmp_path: Path
) -> None:
    source = upload(corpus, f"{bucket}/raw/corpus")
    store = tmp_path / "store"
    wire.cut_after(20_000)  # after the listing, before the last of the files
    with pytest.raises((StoreError, Unreachable), match="can't be reached"):
        api.run(pipeline, store=store, source=source)
    wire.mend()
    report = api.run(pipeline, store=store, source=source)
    assert report.state == "done"
    assert mmdata.open(store).rejects().num_rows == 1
    assert len(mmdata.open(store)) == 16


def test_of_many_who_create_one_file_one_wins(bucket: str) -> None:
    files = Files.at(f"{bucket}/é store")
    files.create("a", b"first")
    with pytest.raises(FileExistsError):
        files.create("a", b"second")
    files.create("a", b"first")  # as after an answer that was lost
    assert files.read("a") == b"first"
    assert [listed.path for listed in files.listing("")] == ["a"]


def test_an_endpoint_without_server_and_a_bucket_that_is_not_there_are_told_of_soon(
    s3: S3Server, corpus: Path, pipeline: Path
) -> None:
    options = {**s3.options, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    started = time.monotonic()
    with pytest.raises(Unreachable, match=r"s3://nowhere/x: can't be reached: .*look at the endpoint"):
        mmdata.open("s3://nowhere/x", storage_options=options)
    assert time.monotonic() - started < SOON_S
    with pytest.raises(OSError, match=r"there is no bucket 'mmdata-none'; make it first") as caught:
        mmdata.open("s3://mmdata-none/x", storage_options=s3.options)
    assert not isinstance(caught.value, FileNotFoundError)
    with pytest.raises(StoreError, match="there is no bucket 'mmdata-none'"):
        api.run(pipeline, store="s3://mmdata-none/x", source=corpus, storage_options=s3.options)
    with pytest.raises(StoreError, match=r"no store at .*nothing is there"):
        mmdata.open(f"{s3.bucket()}/x", storage_options=s3.options)


def test_a_pipeline_file_can_t_hold_credentials(pipeline: Path, tmp_path: Path) -> None:
    text = pipeline.read_text().replace("name: corpus", "root: x, storage_options: {AWS_SECRET_ACCESS_KEY: s3cr3t}")
    shutil.copy(pipeline, tmp_path / "p.yaml")
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(mmdata.errors.ConfigError, match="no setting 'storage_options'") as caught:
        load(tmp_path / "p.yaml")
    assert "s3cr3t" not in str(caught.value)


def test_wrong_credentials_are_told_of_soon(s3: S3Server) -> None:
    if s3.log is not None:
        pytest.skip("moto takes any credentials; set MMDATA_TEST_S3 to another server")
    options = {**s3.options, "AWS_SECRET_ACCESS_KEY": "wr0ng"}
    url = f"{s3.bucket()}/x"
    started = time.monotonic()
    with pytest.raises(PermissionError, match=r"refused: .*look at the credentials") as caught:
        mmdata.open(url, storage_options=options)
    assert time.monotonic() - started < SOON_S
    assert "wr0ng" not in str(caught.value)
