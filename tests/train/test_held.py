from __future__ import annotations

from typing import Any

import pytest
import torch

from mmdata.loader.stream import Stream, stream
from mmdata.store import Store
from mmdata.train.held import HeldStream, held

COLUMNS = ["image.embedding", "speech.mfcc", "label", "meta.group"]


def opened(store: Store, **settings: Any) -> Stream:
    return stream(store, COLUMNS, **{"batch_size": 8, "seed": 5, "tail": "short", "output": "torch", **settings})


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    def equal(name: str) -> bool:
        a, b = one[name], other[name]
        return a.dtype == b.dtype and torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b

    return one.keys() == other.keys() and all(equal(name) for name in one)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(
    ("tail", "batch_size"), [("short", 1), ("short", 7), ("drop", 7), ("short", 8), ("drop", 240), ("short", 1000)]
)
def test_memory_gives_the_very_batches_of_the_stream(store: Store, tail: str, shuffle: bool, batch_size: int) -> None:
    settings = dict(tail=tail, shuffle=shuffle, batch_size=batch_size, window_rows=50)
    plain, kept = opened(store, **settings), HeldStream(opened(store, **settings))
    for _ in range(2):
        batches = list(plain)
        assert all(same(a, b) for a, b in zip(batches, kept, strict=True))
        assert kept.state_dict() == plain.state_dict()


def test_of_a_split_too(store: Store) -> None:
    settings = dict(selection="v1", split=["train", "test"])
    pairs = zip(opened(store, **settings), HeldStream(opened(store, **settings)), strict=True)
    assert all(same(a, b) for a, b in pairs)


@pytest.mark.parametrize("step", [1, 4, 30])
def test_a_state_of_either_is_a_state_of_both(store: Store, step: int) -> None:
    plain, kept = opened(store), HeldStream(opened(store))
    for number, _ in enumerate(zip(plain, kept, strict=True), start=1):
        if number == step:
            break
    assert kept.state_dict() == plain.state_dict()
    from_plain, from_kept = HeldStream(opened(store)), opened(store)
    from_plain.load_state_dict(plain.state_dict())
    from_kept.load_state_dict(kept.state_dict())
    following = [*plain, *plain]
    assert all(same(a, b) for a, b in zip(following, [*from_plain, *from_plain], strict=True))
    assert all(same(a, b) for a, b in zip(following, [*from_kept, *from_kept], strict=True))


def test_a_batch_is_the_callers_own(store: Store) -> None:
    kept = HeldStream(opened(store, shuffle=False))
    first = next(iter(kept))
    before = {name: values.clone() for name, values in first.items() if isinstance(values, torch.Tensor)}
    for values in first.values():
        values.fill_(1) if isinstance(values, torch.Tensor) else values.clear()
    kept.load_state_dict({**kept.state_dict(), "step": 0})
    again = next(iter(kept))
    assert all(torch.equal(again[name], values) for name, values in before.items())
    assert len(again["label"]) == 8


def test_what_passes_the_bound_is_streamed(store: Store) -> None:
    plain = opened(store)
    need = plain.n_rows * plain.contents.row_bytes
    assert held(plain, max_bytes=int(need) - 1) is plain
    assert isinstance(held(plain, max_bytes=int(need) + 1), HeldStream)
