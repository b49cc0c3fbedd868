"""What columns are called and taken for by `datasets`, and which splits it can have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import mmdata
from mmdata.core.arrays import ArraySpec
from mmdata.errors import ConfigError
from mmdata.select.selection import select
from mmdata.sink.contents import PartForm
from mmdata.sink.huggingface import _array, _media
from mmdata.store.store import Store

Known = Any  # the fixtures' class; conftest can't be imported
BYTES = {"bytes": {"dtype": "binary", "_type": "Value"}, "path": {"dtype": "string", "_type": "Value"}}


@pytest.mark.parametrize(
    ("kinds", "extensions", "feature"),
    [
        ({"image"}, {"png", "jpg"}, {"_type": "Image"}),
        ({"blob"}, {"png", "jpg"}, {"_type": "Image"}),
        ({"blob", "image"}, {"png"}, {"_type": "Image"}),
        ({"audio"}, {"flac"}, {"_type": "Audio"}),
        ({"video"}, {"mp4"}, {"_type": "Video"}),
        ({"frames"}, {"mkv"}, {"_type": "Video"}),
        ({"blob"}, {"bin"}, BYTES),
        ({"blob"}, {"png", "mp3"}, BYTES),
        ({"image", "audio"}, {"png", "wav"}, BYTES),
        ({"text", "image"}, {"txt", "png"}, BYTES),
    ],
)
def test_parts_are_what_they_are_in_every_sample(
    kinds: set[str], extensions: set[str], feature: dict[str, Any]
) -> None:
    assert _media(PartForm("x", kinds, extensions, {"copy"})) == feature


@pytest.mark.parametrize(
    ("spec", "feature"),
    [
        (ArraySpec(dtype="uint16"), "Value('uint16')"),
        (ArraySpec(dims=("a",), sizes={"a": 3}), "List(Value('float32'), length=3)"),
        (ArraySpec(dims=("a",)), "List(Value('float32'))"),
        (ArraySpec(dims=("a", "b"), sizes={"a": 3, "b": 2}, dtype="int8"), "Array2D(shape=(3, 2), dtype='int8')"),
        (ArraySpec(dims=tuple("abc"), sizes=dict.fromkeys("abc", 2)), "Array3D(shape=(2, 2, 2), dtype='float32')"),
        (ArraySpec(dims=("a", "b"), sizes={"b": 2}), "List(List(Value('float32')))"),
        (ArraySpec(dims=("a", "b"), sizes={"a": 0, "b": 2}), "List(List(Value('float32')))"),
    ],
)
def test_arrays_have_types_that_datasets_knows(spec: ArraySpec, feature: str) -> None:
    datasets = pytest.importorskip("datasets", reason="the extra huggingface is not installed")
    assert repr(datasets.Features.from_dict({"x": _array(spec)})["x"]) == feature


def test_splits_that_datasets_can_not_have_are_refused_and_others_take_them(own: Known, tmp_path: Path) -> None:
    select(own.store, "odd", split={"a b/c": 0.5, "d": 0.5})
    store = Store.open(own.store.url)
    with pytest.raises(ConfigError, match=r"split: 'a b/c' can't be a split of `datasets`"):
        mmdata.export(store, tmp_path / "hf", format="huggingface", selection="odd")
    done = mmdata.export(store, tmp_path / "wds", format="webdataset", selection="odd")
    assert set(done.splits) == {"a b/c", "d"}
    told = json.loads((tmp_path / "wds" / "_export.json").read_text())
    assert [each["path"] for each in told["files"]] == ["a b%2Fc-00000-of-00001.tar", "d-00000-of-00001.tar"]
    assert mmdata.export(store, tmp_path / "hf", format="huggingface", selection="odd", split="d").state == "done"
    card = (tmp_path / "hf" / "README.md").read_text()
    assert "- split: d\n    path: data/d-*.parquet\n" in card
