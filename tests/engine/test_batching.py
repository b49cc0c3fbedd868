"""Features by models: grouped across a shard, in order, within bounds, and a failure costs its own row alone."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest
import torch

from mmdata.core.arrays import ArraySpec
from mmdata.core.pipeline import Family, RunSettings
from mmdata.core.sample import Sample, Text
from mmdata.core.step import BatchExtract
from mmdata.engine import budgets, lanes, models
from mmdata.engine.counts import Counts
from mmdata.engine.extract import Extraction
from mmdata.engine.notes import Notes
from mmdata.engine.rows import FamilyWork
from mmdata.errors import DecodeError
from mmdata.store.write_features import FeatureWriter


@dataclass
class Table:
    """Where a family's rows would be written."""

    rows: dict[str, tuple[float | None, str | None]] = field(default_factory=dict)

    def add(self, keys: Sequence[str], arrays: Mapping[str, Sequence[Any]], errors: Sequence[str | None]) -> None:
        (values,) = arrays.values()
        for key, value, error in zip(keys, values, errors, strict=True):
            assert key not in self.rows
            self.rows[key] = (None if value is None else float(value), error)


@dataclass
class Memory:
    """What a device has, in costs, and which groups were tried on it."""

    cost: int = 10**9
    groups: list[list[int]] = field(default_factory=list)
    loads: int = 0
    error: type[Exception] = torch.OutOfMemoryError
    text: str = "CUDA out of memory. Tried to allocate 2.00 GiB"


MEMORY = Memory()


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """A device of its own for each test, and nothing that is remembered of another."""
    vars(MEMORY).update(vars(Memory()))
    monkeypatch.setattr(models, "_loaded", type(models._loaded)())
    monkeypatch.setattr(budgets, "_known", {})
    monkeypatch.setattr(lanes, "budgets_file", lambda: None)
    return MEMORY


@dataclass(frozen=True, kw_only=True)
class Lengths(BatchExtract[Text]):
    """Ten times the number that a text is, by a "model" on a device whose memory ends."""

    on: str = "text"
    into: str = "text.tenfold"

    def spec(self) -> ArraySpec:
        return ArraySpec()

    def load(self, device: str) -> float:
        MEMORY.loads += 1
        return 10.0

    def prepare(self, text: Text) -> int:
        if text.text == "bad":
            raise DecodeError("it is bad")
        return int(text.text)

    def cost(self, prepared: int) -> int:
        return prepared

    def extract(self, model: float, prepared: Sequence[int]) -> Sequence[np.ndarray]:
        MEMORY.groups.append(list(prepared))
        if len(prepared) * max(prepared) > MEMORY.cost:
            raise MEMORY.error(MEMORY.text)
        if 13 in prepared:
            raise ValueError("no thirteen here")
        return list(np.asarray(prepared, np.float32) * np.float32(model))


def texts(*words: object) -> list[Sample]:
    return [Sample(f"s/{at}", {"text": Text(str(word))}) for at, word in enumerate(words)]


def extracted(
    step: BatchExtract[Any], samples: Sequence[Sample], counts: Counts | None = None, **options: Any
) -> dict[str, tuple[float | None, str | None]]:
    table = Table()
    work = FamilyWork(Family(step, "f"), cast(FeatureWriter, table), options.pop("gather", {}))
    extraction = Extraction([work], counts or Counts(), Notes(None), RunSettings(device="cpu"), **options)
    try:
        for sample in samples:
            extraction.add(sample.key, sample)
        extraction.flush()
    finally:
        extraction.close()
    assert threading.active_count() == 1
    return table.rows


def test_rows_come_in_the_samples_order_whatever_the_groups() -> None:
    numbers = np.random.default_rng(7).integers(1, 2000, 3000).tolist()
    rows = extracted(Lengths(), texts(*numbers))
    assert list(rows) == [f"s/{at}" for at in range(3000)]
    assert [value for value, _ in rows.values()] == [10.0 * number for number in numbers]
