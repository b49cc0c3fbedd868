"""Who makes a batch: another thread, and the caller's beside it while it has nothing else to do."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
import torch

from mmdata.errors import ConfigError
from mmdata.loader import flight
from mmdata.loader.collate import Begun, Collator, Made
from mmdata.loader.stream import stream
from mmdata.store import Store


@pytest.mark.parametrize(("busy_s", "is_busy"), [(float("inf"), False), (1e-4, True)])
def test_a_caller_that_is_not_busy_makes_every_other_batch(
    small: Store, monkeypatch: pytest.MonkeyPatch, busy_s: float, is_busy: bool
) -> None:
    made_by: list[str] = []
    finish = Collator.finish

    def recorded(self: Collator, begun: Begun) -> Made:
        made_by.append(threading.current_thread().name)
        return finish(self, begun)

    expected = [batch["key"] for batch in stream(small, ["image.embedding"], batch_size=4, seed=5)]
    monkeypatch.setattr(flight, "BUSY_S", busy_s)
    monkeypatch.setattr(Collator, "finish", recorded)
    keys = []
    for batch in stream(small, ["image.embedding"], batch_size=4, seed=5):
        keys.append(batch["key"])
        time.sleep(0.001)
    assert keys == expected
    assert len(made_by) == len(keys) > 3
    assert made_by.count("MainThread") == (1 if is_busy else -(-len(keys) // 2))
    assert set(made_by) == {"MainThread", "mmdata-batch_0"}


def test_an_error_comes_with_its_batch_whoever_makes_it(small: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: Collator, begun: Begun) -> Made:
        raise OSError("the disk is gone")

    monkeypatch.setattr(Collator, "finish", failing)
    for busy_s in (float("inf"), 0.0):
        monkeypatch.setattr(flight, "BUSY_S", busy_s)
        with pytest.raises(OSError, match="the disk is gone"):
            next(iter(stream(small, ["image.embedding"], batch_size=4)))


def test_pinned_tensors_are_the_same_and_need_no_gpu(small: Store) -> None:
    def batches(**settings: Any) -> list[dict[str, Any]]:
        return list(stream(small, ["image.embedding", "speech.mfcc"], batch_size=8, output="torch", **settings))

    for pinned, plain in zip(batches(pin=True), batches(), strict=True):
        assert pinned["image.embedding"].is_pinned() == torch.cuda.is_available()
        for name, values in plain.items():
            np.testing.assert_array_equal(pinned[name], values)
    with pytest.raises(ConfigError, match="pin: arrays of numpy can't be pinned: set output='torch'"):
        stream(small, ["image.embedding"], pin=True)
