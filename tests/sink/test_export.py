"""An export is seen whole or not at all, is taken up where it was interrupted, and never writes over anything."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mmdata
from mmdata.core.arrays import ArraySpec
from mmdata.errors import ConfigError, Incomplete, SchemaMismatch, StoreError, Unreadable
from mmdata.sink.destination import MARKER, destination
from mmdata.store.layout import DataFile
from mmdata.store.runs import Recipe
from mmdata.store.store import Change, Store
from mmdata.store.write_features import FeatureWriter

Known = Any  # the fixtures' class; conftest can't be imported
FORMS = ("webdataset", "huggingface", "parquet", "files")
FP = "f" * 16


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Stop:
    """Ctrl-C after some files."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, done: int, total: int) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("form", FORMS)
def test_an_interrupted_export_is_not_seen_and_goes_on_to_the_same_bytes(
    known: Known, tmp_path: Path, form: str
) -> None:
    settings: dict[str, Any] = {"format": form, "selection": "v1", "shard_bytes": 9_000}
    mmdata.export(known.store, tmp_path / "whole", **settings)
    dest, part = tmp_path / "out", tmp_path / "out.part"
    with pytest.raises(KeyboardInterrupt):
        mmdata.export(known.store, dest, watch=Stop(3), **settings)
    assert not dest.exists()
    told = json.loads((part / MARKER).read_text())
    assert (told["state"], len(told["files"])) == ("unfinished", 3)
    before = {each["path"]: (part / each["path"]).stat().st_mtime_ns for each in told["files"]}
    (part / told["files"][0]["path"]).write_bytes(b"torn")  # by whatever: it is noticed by its size
    done = mmdata.export(known.store, dest, **settings)
    assert done.state == "done"
    assert not part.exists()
    assert contents(dest) == contents(tmp_path / "whole")
    if form != "files":  # where pieces of the manifest are gone by now
        after = {path: (dest / path).stat().st_mtime_ns for path in before}
        assert [after[path] == was for path, was in before.items()] == [False, True, True]


@pytest.mark.parametrize("form", ["files", "parquet", "webdataset"])
def test_the_same_export_again_says_what_lies_there(known: Known, tmp_path: Path, form: str) -> None:
    done = mmdata.export(known.store, tmp_path / "out", format=form)
    for dry_run in (False, True):
        again = mmdata.export(known.store, tmp_path / "out", format=form, dry_run=dry_run)
        assert vars(again) == {**vars(done), "state": "there"}


def test_a_column_alone_is_asked_for_as_a_list(known: Known, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        mmdata.export(known.store, tmp_path / "out", format="parquet", columns="image")
    assert error.value.faults == ("columns: expected a list of names: ['image'], not 'image'",)
    assert not (tmp_path / "out").exists()


def test_the_same_export_again_does_nothing(known: Known, tmp_path: Path) -> None:
    mmdata.export(known.store, tmp_path / "out", format="parquet")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert mmdata.export(known.store, tmp_path / "out", format="parquet").state == "there"
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


KILLED = """
import time, mmdata
told = []
def watch(*progress):
    told.append(progress)
    if len(told) == 4:
        print("in the midst of it", flush=True)
        time.sleep(3600)
mmdata.export({store!r}, {dest!r}, format="files", shard_bytes=9_000, watch=watch)
"""


def test_a_killed_export_goes_on_to_the_same_bytes(known: Known, tmp_path: Path) -> None:
    dest = tmp_path / "out"
    program = KILLED.format(store=known.store.url, dest=str(dest))
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "in the midst of it\n"
    finally:
        process.kill()
        process.communicate()
    assert len(list((tmp_path / "out.part" / "tmp").glob("*.jsonl"))) >= 3
    assert not dest.exists()
    mmdata.export(known.store, dest, format="files", shard_bytes=9_000)
    mmdata.export(known.store, tmp_path / "whole", format="files", shard_bytes=9_000)
    assert contents(dest) == contents(tmp_path / "whole")


@pytest.mark.parametrize("form", FORMS)
def test_one_that_was_killed_before_it_got_its_name_gets_it(known: Known, tmp_path: Path, form: str) -> None:
    mmdata.export(known.store, tmp_path / "out", format=form, selection="few")
    before = contents(tmp_path / "out")
    os.rename(tmp_path / "out", tmp_path / "out.part")
    assert mmdata.export(known.store, tmp_path / "out", format=form, selection="few").state == "done"
    assert contents(tmp_path / "out") == before


def test_an_unfinished_export_of_something_else_is_begun_anew(known: Known, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        mmdata.export(known.store, tmp_path / "out", format="files", watch=Stop(1), shard_bytes=9_000)
    mmdata.export(known.store, tmp_path / "out", format="parquet", selection="few")
    assert sorted(contents(tmp_path / "out")) == [MARKER, "data/samples-00000-of-00001.parquet"]


def test_two_at_once_do_not_write_into_each_other(known: Known, tmp_path: Path) -> None:
    url = str(tmp_path / "out")
    with destination(url, {"id": "x"}, {}), pytest.raises(StoreError, match="another process is writing"):
        mmdata.export(known.store, url, format="parquet")
    mmdata.export(known.store, url, format="parquet")


def test_a_destination_that_came_to_be_meanwhile_stays(known: Known, tmp_path: Path) -> None:
    def meddle(done: int, total: int) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine").touch()

    with pytest.raises(ConfigError, match="can't be made of"):
        mmdata.export(known.store, tmp_path / "out", format="parquet", watch=meddle)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]
    shutil.rmtree(tmp_path / "out")
    assert mmdata.export(known.store, tmp_path / "out", format="parquet").state == "done"


def test_places_that_hold_something_are_refused_and_left_alone(known: Known, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    (tmp_path / "file").write_text("x")
    (tmp_path / "way.part").mkdir()
    (tmp_path / "way.part" / "thesis.tex").write_text("x")
    (tmp_path / "link.part").symlink_to(tmp_path / "full")
    mmdata.export(known.store, tmp_path / "other", format="files", columns=["image"])
    before = contents(tmp_path)
    for name, says in (
        ("full", "holds thesis.tex; an export wants a folder of its own"),
        ("file", "is no folder"),
        ("way", "is in the way, and no unfinished export"),
        ("link", "is in the way"),
        ("other", "holds another export"),
    ):
        with pytest.raises(ConfigError, match=says):
            mmdata.export(known.store, tmp_path / name, format="parquet")
    with pytest.raises(ConfigError, match="lies in the store"):
        mmdata.export(known.store, f"{known.store.url}/media/out", format="parquet")
    assert contents(tmp_path) == before
    (tmp_path / "empty").mkdir()
    assert mmdata.export(known.store, tmp_path / "empty", format="parquet").state == "done"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"format": "parket"}, "format: expected webdataset, huggingface, parquet, files, not 'parket'"),
        ({"shard_bytes": 0}, "shard_bytes: must be at least 1"),
        ({"columns": ["imag", "text"]}, "no part or feature 'imag', did you mean 'image'"),
        ({"split": "train"}, "split: 'train' needs the name of a selection"),
        ({"selection": "v1", "split": ["train", "tset"]}, "no samples in 'tset'; its splits are train, val"),
        ({"selection": "few", "split": "train"}, "no samples in 'train'; it has no splits"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_made(
    known: Known, tmp_path: Path, settings: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        mmdata.export(known.store, tmp_path / "out", **{"format": "parquet", **settings})
    assert list(tmp_path.iterdir()) == []


def test_a_store_without_samples_is_refused(tmp_path: Path) -> None:
    Store.create(tmp_path / "store")
    with pytest.raises(ConfigError, match="is empty"):
        mmdata.export(tmp_path / "store", tmp_path / "out", format="parquet")
    with pytest.raises(StoreError, match="no store at"):
        mmdata.export(tmp_path / "nothing", tmp_path / "out", format="parquet")


def test_a_dry_run_tells_and_writes_nothing(known: Known, tmp_path: Path) -> None:
    done = mmdata.export(known.store, tmp_path / "out", format="webdataset", selection="v1", dry_run=True)
    assert (done.state, done.samples, done.n_files) == ("planned", 21, 2)
    assert done.splits.keys() == {"train", "val"}
    assert list(tmp_path.iterdir()) == []


def test_only_what_is_asked_for_goes_out(known: Known, tmp_path: Path) -> None:
    mmdata.export(known.store, tmp_path / "out", format="files", columns=["image", "image.phash"], split="val", selection="v1")  # fmt: skip # noqa: E501
    lines = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    splits = {row["key"]: row["split"] for row in known.store.selection("v1").to_pylist() if not row["reason"]}
    assert [line["key"] for line in lines] == [key for key in known.samples if splits.get(key) == "val"]
    assert {name for line in lines for name in line["parts"]} == {"image"}
    assert {name for line in lines for name in (*line["arrays"], *line["features"])} == {"image.phash"}
    assert all(line["texts"] == {} for line in lines)


def test_a_snapshot_goes_out_as_it_was(own: Known, tmp_path: Path) -> None:
    own.store.snapshot("before")
    mmdata.export(own.store, tmp_path / "first", format="parquet")
    shard = own.store.view().shards[1]
    own.store.commit([Change("samples", remove=[shard.samples])])
    assert mmdata.export(own.store.url, tmp_path / "now", format="parquet").samples == 16
    store = mmdata.open(own.store.url, snapshot="before")
    assert mmdata.export(store, tmp_path / "again", format="parquet").samples == 22
    assert contents(tmp_path / "again") == contents(tmp_path / "first")


def feature(known: Known, number: int, spec: ArraySpec, fp: str = FP) -> DataFile:
    """A feature `text.size` of one shard."""
    shard = known.store.view().shards[number]
    writer = FeatureWriter(known.store.url, "text.size", {"text.size": spec}, shard=shard.shard, fp=fp)
    keys = known.store.keys_of(shard)
    writer.add(keys, {"text.size": [np.ones([size or 0 for size in spec.shape], spec.dtype) for _ in keys]})
    return writer.close(shard.samples.keys)


def joined(known: Known, spec: ArraySpec, *files: DataFile) -> Store:
    """The store with more features."""
    families = [*dict(known.store.families), "text.size"]
    store = Store.open(known.store.url)
    recipe = dict.fromkeys([store.family_of(name) for name in families[:-1]], FP)
    store.start_run(command="test", recipe=Recipe(FP, recipe | {"text.size": FP}))
    store.commit([Change(file.family, columns={"text.size": spec}, add=[file]) for file in files])
    return Store.open(known.store.url)


@pytest.mark.parametrize("form", FORMS)
def test_shards_that_lack_a_feature_are_told_of_and_may_be_let_pass(own: Known, tmp_path: Path, form: str) -> None:
    store = joined(own, ArraySpec(), feature(own, 1, ArraySpec()))
    with pytest.raises(Incomplete, match=r"'text.size' lacks 1 of 2 shards"):
        mmdata.export(store, tmp_path / "out", format=form)
    assert mmdata.export(store, tmp_path / "few", format=form, selection="few").state == "done"
    assert mmdata.export(store, tmp_path / "out", format=form, incomplete=True).samples == 22
    if form == "files":
        lines = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
        assert [line["features"].get("text.size") for line in lines] == [None] * 16 + [1.0] * 6


def test_a_feature_of_two_forms_is_refused(own: Known, tmp_path: Path) -> None:
    forms = [ArraySpec(dims=("x",), sizes={"x": size}) for size in (2, 3)]
    store = joined(own, forms[0], *(feature(own, number, spec) for number, spec in enumerate(forms)))
    with pytest.raises(SchemaMismatch, match="it is being replaced"):
        mmdata.export(store, tmp_path / "out", format="parquet")
    assert not (tmp_path / "out").exists()


def test_media_that_is_cut_short_ends_the_export_and_says_where(own: Known, tmp_path: Path) -> None:
    tar = min(Path(own.store.url, "media").glob("*.tar"))
    whole = tar.read_bytes()
    tar.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Unreadable, match="it was cut"):
        mmdata.export(own.store, tmp_path / "out", format="webdataset", shard_bytes=9_000)
    assert not (tmp_path / "out").exists()
    tar.write_bytes(whole)
    assert mmdata.export(own.store, tmp_path / "out", format="webdataset", shard_bytes=9_000).state == "done"


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_finds_no_room_ends_the_export_which_goes_on_later(known: Known, tmp_path: Path, form: str) -> None:
    """A limit on files' sizes fails a write as a full disk does, in the midst of it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            mmdata.export(known.store, tmp_path / "out", format=form)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "out").exists()
    assert json.loads((tmp_path / "out.part" / MARKER).read_text())["state"] == "unfinished"
    assert mmdata.export(known.store, tmp_path / "out", format=form).state == "done"
    mmdata.export(known.store, tmp_path / "whole", format=form)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_the_marker_says_nothing_of_this_machine(known: Known, tmp_path: Path) -> None:
    mmdata.export(known.store, tmp_path / "out", format="parquet")
    assert str(tmp_path.parent) not in (tmp_path / "out" / MARKER).read_text()
    assert known.store.url not in (tmp_path / "out" / MARKER).read_text()
