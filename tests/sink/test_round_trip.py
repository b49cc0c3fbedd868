"""What goes out can be read back, all of it: by each format's own library alone, and by sources of ours."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pytest

import mmdata
from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Blob
from mmdata.source.table import Table
from mmdata.source.webdataset import Tars

Known = Any  # the fixtures' class; conftest can't be imported
SHARD_BYTES = 9_000  # some files a split


@dataclass
class Read:
    """A sample as a format's own library gives it."""

    about: Mapping[str, Any]
    data: dict[str, bytes] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


def specs(dest: Path) -> dict[str, ArraySpec]:
    """The forms of features, which `_export.json` says."""
    told = json.loads((dest / "_export.json").read_text())
    return {column: ArraySpec.from_json(json.dumps(spec)) for column, spec in told["features"].items()}


def array_of(value: Any, spec: ArraySpec, sizes: list[int] | None = None) -> np.ndarray:
    """Nested lists as an array: its shape is its own, save where nothing is in it."""
    if sizes is None:
        sizes = [-1 if size is None else size for size in spec.shape]
    return np.array(value, spec.dtype).reshape(sizes)


def read_webdataset(dest: Path) -> dict[str, Read]:
    webdataset = pytest.importorskip("webdataset")
    found: dict[str, Read] = {}
    for index in sorted(dest.glob("*-index.json")):
        listed = json.loads(index.read_text())
        assert (listed["__kind__"], listed["wids_version"]) == ("wids-shard-index-v1", 1)
        for shard in listed["shardlist"]:
            tar = dest / shard["url"]
            assert tar.stat().st_size == shard["filesize"]
            data = webdataset.WebDataset(str(tar), shardshuffle=False, handler=webdataset.reraise_exception)
            members = list(data)
            assert len(members) == shard["nsamples"]
            found |= dict(_of_members(each, specs(dest), dest) for each in members)
    assert {path.name for path in dest.glob("*.tar")} == {
        shard["url"] for index in dest.glob("*-index.json") for shard in json.loads(index.read_text())["shardlist"]
    }
    return found


def _of_members(members: Mapping[str, Any], forms: Mapping[str, ArraySpec], dest: Path) -> tuple[str, Read]:
    about = json.loads(members["json"])
    names = {suffix.lower(): name for suffix, name in json.loads((dest / "_export.json").read_text())["names"].items()}
    parts = {name.lower(): name for name in about["parts"]}
    read = Read(about, texts=about["text"])
    for suffix, data in members.items():
        if suffix in names:
            read.arrays[names[suffix]] = np.load(io.BytesIO(data), allow_pickle=False)
        elif not suffix.startswith("__") and suffix != "json":
            read.data[parts[unquote(suffix).lower().rpartition(".")[0]]] = data
    for name, value in about["features"].items():
        read.arrays[name] = np.array(float(value) if isinstance(value, str) else value, forms[name].dtype)
    return about["key"], read


def read_files(dest: Path) -> dict[str, Read]:
    found = {}
    told = json.loads((dest / "_export.json").read_text())
    for line in (dest / "manifest.jsonl").read_text("utf-8").splitlines():
        about = json.loads(line)
        read = Read(about, texts=about["texts"])
        for part in about["parts"]:
            column = next(column for column, name in told["names"].items() if name == part)
            path = dest / about[column]
            assert path.resolve().is_relative_to(dest.resolve())
            read.data[part] = path.read_bytes()
        for name, path in about["arrays"].items():
            read.arrays[name] = np.load(dest / path, allow_pickle=False)
        for name, value in about["features"].items():
            read.arrays[name] = np.array(float(value) if isinstance(value, str) else value, specs(dest)[name].dtype)
        found[about["key"]] = read
    on_disk = {path for folder in ("media", "arrays") for path in (dest / folder).rglob("*") if path.is_file()}
    assert len(on_disk) == sum(len(read.data) + len(read.about["arrays"]) for read in found.values())
    return found


def read_parquet(dest: Path) -> dict[str, Read]:
    table = pads.dataset(dest / "data", format="parquet").to_table()
    named = {name: column for column, name in json.loads((dest / "_export.json").read_text())["names"].items()}
    for column, spec in specs(dest).items():
        kind = table.schema.field(named[column]).type
        while pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
            kind = kind.value_type
        assert kind.to_pandas_dtype() == np.dtype(spec.dtype)
    return dict(_of_row(row, dest) for row in table.to_pylist())


def _of_row(row: Mapping[str, Any], dest: Path) -> tuple[str, Read]:
    about = {**row, "meta": json.loads(row["meta"]), "parts": json.loads(row["parts"])}
    about["errors"] = json.loads(row["errors"] or "{}")
    names = {name: column for column, name in json.loads((dest / "_export.json").read_text())["names"].items()}
    read = Read(about)
    for part, told in about["parts"].items():
        value = row[names[part]]
        if isinstance(value, str):
            read.texts[part] = value
            own = row.get(names.get(f"{part} as bytes", ""))
            read.data[part] = value.encode() if own is None else own
        else:
            read.data[part] = value["bytes"] if isinstance(value, dict) else value
            assert not isinstance(value, dict) or value["path"].endswith(told["extension"])
    for name, spec in specs(dest).items():
        column = names[name]
        sizes = zip(spec.dims, spec.shape, strict=True)
        lengths = [row.get(f"{column}#{dim}", -1) if size is None else size for dim, size in sizes]
        if row[column] is not None:
            read.arrays[name] = array_of(row[column], spec, lengths)
    return about["key"], read


def read_huggingface(dest: Path) -> dict[str, Read]:
    datasets = pytest.importorskip("datasets", reason="the extra huggingface is not installed")
    loaded = datasets.load_dataset(str(dest), cache_dir=str(dest.parent / "cache"))
    found = {}
    for split, rows in loaded.items():
        for name, feature in rows.features.items():
            if isinstance(feature, datasets.Image | datasets.Audio):
                rows = rows.cast_column(name, type(feature)(decode=False))
        for row in rows:
            key, read = _of_row(row, dest)
            assert split in (row.get("split"), "train")
            found[key] = read
    return found


READERS: Mapping[str, Callable[[Path], dict[str, Read]]] = {
    "webdataset": read_webdataset,
    "huggingface": read_huggingface,
    "parquet": read_parquet,
    "files": read_files,
}


def assert_same(told: Any, read: Read, split: str | None) -> None:
    """Whether a sample is what it was."""
    about = read.about
    path = told.key.removeprefix(f"{told.source}/")
    expected = (told.key, path, told.source, told.parent, told.label, told.meta, told.errors, split)
    names = ("key", "path", "source", "parent", "label", "meta", "errors", "split")
    assert tuple(about.get(name) for name in names) == expected
    assert about.get("weight") == (1.0 if split else None)
    assert read.data == told.data
    assert read.texts == told.texts
    there = {name: array for name, array in told.arrays.items() if array is not None}
    assert set(read.arrays) == set(there)
    for name, array in there.items():
        found = read.arrays[name]
        assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes()), name
    moves = {name: part["map"] for name, part in about["parts"].items() if "map" in part}
    assert set(moves) == set(told.data) & {"image", "Speech one/two"}


# webdataset leaves its file to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("form", READERS)
def test_a_store_comes_back_whole(known: Known, tmp_path: Path, form: str) -> None:
    dest = tmp_path / "out"
    done = mmdata.export(known.store, dest, format=form, shard_bytes=SHARD_BYTES)
    assert (done.state, done.samples, done.splits) == ("done", 22, {"": 22})
    found = READERS[form](dest)
    assert list(found) == list(known.samples)
    for key, told in known.samples.items():
        assert_same(told, found[key], None)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("form", READERS)
def test_a_selection_comes_back_split_by_split(known: Known, tmp_path: Path, form: str) -> None:
    dest = tmp_path / "out"
    done = mmdata.export(known.store, dest, format=form, selection="v1", shard_bytes=SHARD_BYTES)
    rows = known.store.selection("v1").to_pylist()
    splits = {row["key"]: row["split"] for row in rows if row["reason"] is None}
    assert "sounds/0" not in splits
    assert done.splits == {name: list(splits.values()).count(name) for name in ("train", "val")}
    found = READERS[form](dest)
    assert set(found) == set(splits)
    for key, split in splits.items():
        assert_same(known.samples[key], found[key], split)


def test_datasets_knows_pictures_sound_and_arrays_for_what_they_are(known: Known, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    mmdata.export(
        known.store, tmp_path / "out", format="huggingface", columns=["image", "image.grid", "Speech one/two"]
    )
    of = datasets.load_dataset("parquet", data_dir=str(tmp_path / "out" / "data"), cache_dir=str(tmp_path / "cache"))
    rows = of[next(iter(of))]
    assert rows.features["image"] == datasets.Image()
    assert rows.features["Speech one/two"] == datasets.Audio()
    assert rows.features["image.grid"] == datasets.Array2D((2, 3), "float16")
    rows = rows.remove_columns("Speech one/two")  # to decode sound it wants torchcodec
    assert rows[0]["image"] is None
    assert rows[1]["image"].size == (16, 12)
    assert np.array(rows[1]["image.grid"]).shape == (2, 3)


def test_another_engine_sees_native_lists(known: Known, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    mmdata.export(known.store, tmp_path / "out", format="parquet", selection="v1")
    columns = 'key, "feature.image.phash", "speech.mfcc", "image.grid.id"'  # it takes "Image.PHash" for "image.phash"
    sql = f"SELECT {columns} FROM read_parquet(?) WHERE split = 'train'"
    rows = duckdb.execute(sql, [f"{tmp_path}/out/data/*.parquet"]).fetchall()
    assert len(rows) == 13
    for key, *values in rows:
        for name, value in zip(("image.phash", "speech.mfcc", "image.grid.id"), values, strict=True):
            told = known.samples[key].arrays[name]
            assert (value is None) == (told is None)
            assert told is None or np.array_equal(np.array(value, told.dtype).reshape(told.shape), told)


def test_a_manifest_is_ingested_again_with_the_very_keys_metadata_and_bytes(known: Known, tmp_path: Path) -> None:
    mmdata.export(known.store, tmp_path / "out", format="files", selection="few")
    parts = {"image": "image", "text": "text", "label": "part.label", "raw": "raw", "Speech one/two": "Speech one/two"}
    path = str(tmp_path / "out" / "manifest.jsonl")
    assert_ingested(
        known,
        Table(path, name="sounds", key="path", parts=parts, inline=(), metadata="meta"),
        {name: name for name in parts},
    )


def test_parquet_is_ingested_again_with_the_very_keys_metadata_and_bytes(known: Known, tmp_path: Path) -> None:
    mmdata.export(known.store, tmp_path / "out", format="parquet", selection="few")
    parts = {"image": "image", "raw": "raw", "Speech one/two": "Speech one/two"}  # texts are texts there, not bytes
    path = str(tmp_path / "out" / "data" / "samples-00000-of-00001.parquet")
    assert_ingested(
        known, Table(path, name="sounds", key="path", parts=parts, metadata="meta"), {name: name for name in parts}
    )


def test_tars_are_ingested_again_with_the_very_keys_metadata_and_bytes(known: Known, tmp_path: Path) -> None:
    mmdata.export(known.store, tmp_path / "out", format="webdataset", selection="few", shard_bytes=SHARD_BYTES)
    called = {"image": "image", "text": "text", "label": "label", "speech%20one%2ftwo": "Speech one/two"}
    assert_ingested(known, Tars(str(tmp_path / "out"), name="sounds"), called)  # .bin is no medium for it


def assert_ingested(known: Known, source: Table | Tars, parts: Mapping[str, str]) -> None:
    """Whether a source gives the samples of "sounds" with these parts; their names there, by those that it gives."""
    scan = source.scan()
    assert scan.faults == []
    there = {key: told for key, told in known.samples.items() if told.source == "sounds"}
    wanted = {
        key: {name: data for name, data in told.data.items() if name in parts.values()} for key, told in there.items()
    }
    samples = {sample.key: sample for sample in source.read(scan.entries)}
    assert {key: sample.meta for key, sample in samples.items()} == {key: there[key].meta for key in there}
    found = {
        key: {parts[name]: blob.data() for name, blob in sample.parts.items() if isinstance(blob, Blob)}
        for key, sample in samples.items()
    }
    assert found == wanted
