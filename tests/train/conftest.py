"""A small world with known answers: two inputs that each tell half of the class, and a stream of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmdata.core.arrays import ArraySpec
from mmdata.core.fingerprint import keys_digest
from mmdata.core.sample import Sample
from mmdata.select.selection import select
from mmdata.store import Store
from mmdata.store.layout import DataFile
from mmdata.store.runs import Recipe
from mmdata.store.store import Change
from mmdata.store.write import ShardWriter
from mmdata.store.write_features import FeatureWriter
from mmdata.train.config import TrainConfig
from mmdata.train.inputs import Batch, Input

Builder = Callable[..., "ArrayBatches"]
INPUTS = (Input("image", "image.embedding", "vector", 4), Input("speech", "speech.mfcc", "sequence", 3))
SPECS = {
    "image.embedding": ArraySpec(dims=("feature",), sizes={"feature": 4}),
    "speech.mfcc": ArraySpec(dims=("time", "coefficient"), sizes={"coefficient": 3}),
}
COLUMNS = {"image": "image.embedding", "speech": "speech.mfcc"}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Models this small are slower on two threads, far slower where others use the second core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class ArrayBatches:
    """Batches of arrays in memory, in an order fixed by seed and epoch; a state is epoch and step."""

    def __init__(self, rows: dict[str, Any], *, size: int = 8, seed: int | None = None) -> None:
        self.rows, self.size, self.seed = rows, size, seed
        self.epoch = self.at = 0

    @property
    def n_steps(self) -> int:
        return -(-len(self.rows["key"]) // self.size)

    def __iter__(self) -> Iterator[Batch]:
        n = len(self.rows["key"])
        order = np.arange(n) if self.seed is None else np.random.default_rng((self.seed, self.epoch)).permutation(n)
        steps = -(-n // self.size)
        while self.at < steps:
            chosen = order[self.at * self.size : (self.at + 1) * self.size]
            self.at += 1
            yield {
                name: column[chosen] if isinstance(column, np.ndarray) else [column[place] for place in chosen]
                for name, column in self.rows.items()
            }
        self.epoch, self.at = self.epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "at": self.at}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self.at = state["epoch"], state["at"]


def world_rows(n: int, *, seed: int = 0, missing: float = 0.0) -> dict[str, Any]:
    """Four classes: the image tells north from south, the speech tells east from west; lengths vary from 1 to 9."""
    rng = np.random.default_rng(seed)
    south, east = rng.integers(0, 2, n), rng.integers(0, 2, n)
    image = rng.normal(size=(n, 4)).astype(np.float32) + 3 * south[:, None].astype(np.float32)
    length = rng.integers(1, 10, n)
    speech = rng.normal(size=(n, 9, 3)).astype(np.float32) + 3 * east[:, None, None].astype(np.float32)
    speech[np.arange(9) >= length[:, None]] = 0
    has_image, has_speech = rng.random(n) >= missing, rng.random(n) >= missing
    image[~has_image] = 0
    speech[~has_speech] = 0
    return {
        "key": [f"s/{row}" for row in range(n)],
        "label": [("north", "south")[a] + ("west", "east")[b] for a, b in zip(south, east, strict=True)],
        "image.embedding": image,
        "image.embedding.mask": has_image,
        "speech.mfcc": speech,
        "speech.mfcc.length": np.where(has_speech, length, 0),
        "speech.mfcc.mask": has_speech,
    }


@pytest.fixture
def inputs() -> tuple[Input, ...]:
    return INPUTS


@pytest.fixture
def world() -> Builder:
    """Make batches: world(n, seed=, missing=, size=, shuffle=)."""

    def build(
        n: int, *, seed: int = 0, missing: float = 0.0, size: int = 8, shuffle: int | None = None
    ) -> ArrayBatches:
        return ArrayBatches(world_rows(n, seed=seed, missing=missing), size=size, seed=shuffle)

    return build


@pytest.fixture
def config() -> TrainConfig:
    """Settings under which the small world is learnt in a second."""
    return TrainConfig(inputs=COLUMNS, width=16, hidden=(16,), epochs=12, batch_size=8, lr=5e-3, seed=3)


def write_store(
    folder: Path,
    *,
    n: int = 240,
    n_shards: int = 4,
    missing: float = 0.1,
    seed: int = 0,
    lacking: str = "",
    nan: str = "",
    tall: str = "",
) -> Store:
    """The small world as a store, with selections "v1" (train, val, test) and "folds" (three, grouped).

    The first shard has no file of the family `lacking`, and is of a source of its own then. The sample `nan` has a NaN
    in its image, and the sample `tall` a text for its height, which is 3 in the south, and 1 more in the east.
    """
    rows, fp = world_rows(n, seed=seed, missing=missing), "f" * 16
    for place, key in enumerate(rows["key"]):
        if key == nan:
            rows["image.embedding"][place], rows["image.embedding.mask"][place] = np.nan, True
    store = Store.create(str(folder))
    store.start_run(command="test", recipe=Recipe(fp, dict.fromkeys(SPECS, fp)))
    added: dict[str, list[DataFile]] = {"samples": [], **{family: [] for family in SPECS}}
    for number, places in enumerate(np.array_split(np.arange(n), n_shards)):
        shard = f"{number:016x}"
        with ShardWriter(
            str(folder), shard=shard, fp=fp, source="other" if lacking and number == 0 else "s"
        ) as samples:
            for place in places:
                label, key = rows["label"][place], rows["key"][place]
                height = 3.0 * label.startswith("south") + 1.0 * label.endswith("east")
                meta = {"label": label, "side": label[:5], "group": str(place // 3), "one": 1}
                meta["height"] = "tall" if key == tall else height
                samples.add(Sample(rows["key"][place], {}, meta), {}, pointers={})
            added["samples"] += samples.close()
            digest = keys_digest(samples.keys)
        for family, spec in SPECS.items():
            features = FeatureWriter(str(folder), family, {family: spec}, shard=shard, fp=fp)
            features.add([rows["key"][place] for place in places], {family: [row_of(rows, family, p) for p in places]})
            if family == lacking and number == 0:
                features.abort()
            else:
                added[family].append(features.close(digest))
    store.commit([Change(family, columns=columns_of(family), add=files) for family, files in added.items()])
    store = Store.open(str(folder))
    select(store, "v1", split={"train": 0.6, "val": 0.2, "test": 0.2})
    select(store, "folds", split={"folds": 3, "group": "meta.group"})
    return store


def columns_of(family: str) -> dict[str, ArraySpec]:
    return {family: SPECS[family]} if family in SPECS else {}


def row_of(rows: dict[str, Any], family: str, place: int) -> np.ndarray | None:
    if not rows[f"{family}.mask"][place]:
        return None
    values: np.ndarray = rows[family][place]
    return values[: rows[f"{family}.length"][place]] if SPECS[family].varying else values


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """240 samples of the small world in 4 shards, a tenth of each input missing. Only to read."""
    return write_store(tmp_path_factory.mktemp("world") / "store")


@pytest.fixture
def build_store(tmp_path: Path) -> Callable[..., Store]:
    """Makes a store of a test's own: build_store(n=, n_shards=, missing=, seed=, name=)."""

    def build(name: str = "store", **settings: Any) -> Store:
        return write_store(tmp_path / name, **settings)

    return build
