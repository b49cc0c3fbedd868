from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmdata.core.arrays import ArraySpec
from mmdata.core.fingerprint import keys_digest
from mmdata.core.ports import Encoded
from mmdata.core.sample import Blob, Sample, Text
from mmdata.store import Store
from mmdata.store.runs import Recipe
from mmdata.store.store import Change
from mmdata.store.write import ShardWriter
from mmdata.store.write_features import FeatureWriter

FP = "f" * 16
SPECS = {"image.sharpness": ArraySpec(), "image.embedding": ArraySpec(dims=("feature",), sizes={"feature": 2})}
Add = Callable[[Store, str, Sequence[dict[str, Any]]], None]


def add_shard(store: Store, shard: str, metas: Sequence[dict[str, Any]]) -> None:
    """Add a shard with a sample for each metadata; its `n` is its name and its sharpness, its `caption` a text part."""
    with ShardWriter(store.url, shard=shard, fp=FP, source="toy") as writer:
        for meta in metas:
            text = Text(meta["caption"])
            parts = {"caption": Encoded(Blob.of(text.text.encode()), "txt", text)}
            writer.add(Sample(f"toy/{meta['n']}", {"caption": text}, meta), parts, pointers={})
        files, keys = writer.close(), writer.keys
    changes = [Change("samples", add=files)]
    for family, spec in SPECS.items():
        features = FeatureWriter(store.url, family, {family: spec}, shard=shard, fp=FP)
        sharp = [float(meta.get("sharpness", meta["n"])) for meta in metas]
        features.add(keys, {family: [np.full(spec.sizes.get("feature", ()), value, np.float32) for value in sharp]})
        changes.append(Change(family, add=[features.close(keys_digest(keys))]))
    store.commit(changes)


@pytest.fixture
def add() -> Add:
    return add_shard


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """60 samples in two shards; captions repeat every ten."""
    made = Store.create(str(tmp_path / "store"))
    made.start_run(command="test", recipe=Recipe(FP, dict.fromkeys(SPECS, FP)))
    rows = [{"n": n, "caption": f"caption {n % 10}", "who": None if n % 2 else n % 3} for n in range(60)]
    add_shard(made, "0" * 16, rows[:40])
    add_shard(made, "1" * 16, rows[40:])
    return made
