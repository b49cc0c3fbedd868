from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmdata.core.arrays import ArraySpec
from mmdata.core.fingerprint import keys_digest
from mmdata.core.ports import Encoded
from mmdata.core.sample import Blob, Sample, Text
from mmdata.store import Store
from mmdata.store.layout import DataFile
from mmdata.store.runs import Recipe
from mmdata.store.store import Change
from mmdata.store.write import ShardWriter
from mmdata.store.write_features import FeatureWriter

VECTOR = ArraySpec(dims=("feature",), sizes={"feature": 4})
FRAMES = ArraySpec(dims=("time", "coefficient"), sizes={"coefficient": 3})
FAMILIES = {"image.embedding": VECTOR, "speech.mfcc": FRAMES, "image.sharpness": ArraySpec()}
FP = "f" * 16
Build = Callable[..., Store]


def key_of(number: int) -> str:
    return f"toy/{number:06d}.png"


def array_of(family: str, number: int) -> np.ndarray | None:
    """What the toy store holds for a sample; every seventh has no embedding, every eleventh no mfcc."""
    if family == "image.embedding":
        return None if number % 7 == 3 else np.float32(number) + np.arange(4, dtype=np.float32) / 8
    if family == "speech.mfcc":
        return None if number % 11 == 5 else np.full((number % 5, 3), number, np.float32)
    return np.array(number / 2, np.float32)


def write_shard(url: str, shard: str, numbers: Sequence[int], source: str) -> tuple[list[DataFile], str]:
    with ShardWriter(url, shard=shard, fp=FP, source=source) as writer:
        for number in numbers:
            text = Text(f"number {number}")
            meta = {"n": number, **({"label": "odd" if number % 2 else "even"} if number % 10 else {})}
            sample = Sample(key_of(number), {"caption": text}, meta)
            caption = Encoded(Blob.of(text.text.encode()), "txt", text)
            writer.add(sample, {"caption": caption}, pointers={"caption": f"{number}.txt"})
        return writer.close(), keys_digest(writer.keys)


def write_feature(
    url: str,
    family: str,
    shard: str,
    numbers: Sequence[int],
    keys: str,
    spec: ArraySpec,
    bent: Mapping[int, float],
) -> DataFile:
    writer = FeatureWriter(url, family, {family: spec}, shard=shard, fp=FP)
    arrays = [array_of(family, number) for number in numbers]
    if family == "image.sharpness":
        arrays = [np.array(bent.get(number, array), np.float32) for number, array in zip(numbers, arrays, strict=True)]
    if spec != FAMILIES[family]:
        arrays = [np.zeros([spec.sizes[dim] for dim in spec.dims], np.float32) for _ in numbers]
    writer.add([key_of(number) for number in numbers], {family: arrays})
    return writer.close(keys)


def make(
    folder: Path,
    sizes: Sequence[int],
    lacking: tuple[str, int] | None = None,
    odd: tuple[str, int] | None = None,
    sources: Sequence[str] = (),
    forms: Mapping[str, ArraySpec] | None = None,
    bent: Mapping[int, float] | None = None,
) -> Store:
    """A store with a shard for each size; `lacking` is a family and a shard without it, `odd` one of another form.

    `sources` names the source of each shard, "toy" unless said. `forms` gives families other forms in all shards, and
    `bent` samples another sharpness.
    """
    url = str(folder)
    store = Store.create(url)
    store.start_run(command="test", recipe=Recipe(FP, dict.fromkeys(FAMILIES, FP)))
    added: dict[str, list[DataFile]] = {"samples": [], **{family: [] for family in FAMILIES}}
    first = 0
    for shard_number, size in enumerate(sizes):
        shard, numbers = f"{shard_number:016x}", range(first, first + size)
        first += size
        files, keys = write_shard(url, shard, numbers, sources[shard_number] if sources else "toy")
        added["samples"] += files
        for family, spec in {**FAMILIES, **(forms or {})}.items():
            form = ArraySpec(dims=("feature",), sizes={"feature": 5}) if odd == (family, shard_number) else spec
            if lacking != (family, shard_number):
                added[family].append(write_feature(url, family, shard, numbers, keys, form, bent or {}))
    specs = {family: {family: spec} for family, spec in {**FAMILIES, **(forms or {})}.items()}
    store.commit([Change(family, columns=specs.get(family, {}), add=files) for family, files in added.items()])
    return Store.open(url)


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Makes a store in a folder of the test's own."""

    def built(*sizes: int, **options: Any) -> Store:
        return make(tmp_path / "store", sizes, **options)

    return built


@pytest.fixture(scope="session")
def make_store() -> Build:
    """Makes a store in a folder: `make` itself."""
    return make


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """5 shards, one of them empty, 2,613 samples; the largest has more than one row group."""
    return make(tmp_path_factory.mktemp("toy") / "store", (7, 1500, 0, 106, 1000))


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """4 shards, 57 samples."""
    return make(tmp_path_factory.mktemp("small") / "store", (20, 3, 25, 9))
