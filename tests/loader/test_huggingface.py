from __future__ import annotations

import json
import pickle
from collections.abc import Iterable
from itertools import chain
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from mmdata.core.arrays import ArraySpec
from mmdata.errors import ConfigError
from mmdata.loader.huggingface import StreamTables, _feature, table_of, to_huggingface
from mmdata.loader.parts import Part
from mmdata.loader.stream import Stream, stream
from mmdata.store import Store
from tests.loader.conftest import array_of

COLUMNS = ["image.embedding", "speech.mfcc", "image.sharpness", "label"]


def opened(store: Store, **settings: Any) -> Stream:
    given: dict[str, Any] = {"batch_size": 8, "seed": 2, "threads": 1, "tail": "short"}
    return stream(store, COLUMNS, **given | settings)


def keys(samples: Iterable[Any]) -> list[str]:
    return [sample["key"] for sample in samples]


def stream_keys(one: Stream, epoch: int = 0) -> list[str]:
    return [key for _, batch in one.batches(epoch) for key in batch["key"]]


def holds(sample: Any) -> None:
    """Check what a sample of a toy store holds."""
    number = int(sample["key"][4:10])
    for name in COLUMNS[:3]:
        expected = array_of(name, number)
        if expected is None:
            assert sample[name] is None
        else:
            np.testing.assert_array_equal(np.asarray(sample[name], np.float32).reshape(expected.shape), expected)
    assert sample["label"] == (None if number % 10 == 0 else "odd" if number % 2 else "even")


def test_samples_come_in_the_streams_order_with_their_types(small: Store) -> None:
    made = to_huggingface(opened(small))
    assert isinstance(made, datasets.IterableDataset)
    assert made.features == datasets.Features(
        {
            "image.embedding": datasets.List(datasets.Value("float32"), length=4),
            "speech.mfcc": datasets.List(datasets.List(datasets.Value("float32"), length=3)),
            "image.sharpness": datasets.Value("float32"),
            "label": datasets.Value("string"),
            "key": datasets.Value("string"),
        }
    )
    samples = list(made)
    assert keys(samples) == stream_keys(opened(small))
    assert len(samples) == 57
    for sample in samples:
        holds(sample)
    assert made.num_shards == 8
    assert to_huggingface(opened(small), shards=99).num_shards == 8  # no more than steps
    with pytest.raises(ConfigError, match="at least 1, not 0"):
        to_huggingface(opened(small), shards=0)


def test_arrays_and_batches_come_as_they_are_asked_for(small: Store) -> None:
    made = to_huggingface(opened(small)).with_format("numpy")
    rows = [row for row in made if row["image.embedding"] is not None and int(row["key"][4:10]) % 7 != 3]
    assert rows[0]["image.embedding"].dtype == np.float32
    assert rows[0]["image.embedding"].shape == (4,)
    batches = [batch["key"] for batch in to_huggingface(opened(small)).iter(batch_size=10)]
    assert [len(batch) for batch in batches] == [10, 10, 10, 10, 10, 7]
    assert list(chain.from_iterable(batches)) == stream_keys(opened(small))
    chained = to_huggingface(opened(small)).filter(lambda sample: sample["label"] == "odd").select_columns(["key"])
    assert keys(chained) == [key for key in stream_keys(opened(small)) if int(key[4:10]) % 2]


def test_epochs_and_seeds_give_other_orders(small: Store) -> None:
    made, one = to_huggingface(opened(small)), opened(small)
    for epoch in (1, 3, 0):
        made.set_epoch(epoch)
        assert keys(made) == stream_keys(one, epoch)
    shuffled = keys(made.shuffle(seed=5))
    assert sorted(shuffled) == sorted(stream_keys(one))
    assert shuffled not in [stream_keys(one, epoch) for epoch in range(6)]
    assert keys(to_huggingface(opened(small, epoch=2))) == stream_keys(one, 2)


@pytest.mark.parametrize("stop", [0, 1, 8, 13, 30, 56, 57])
@pytest.mark.parametrize("form", [None, "numpy"])
def test_an_epoch_is_taken_up_at_any_sample(small: Store, stop: int, form: str | None) -> None:
    whole = stream_keys(opened(small), 1)

    def fresh() -> datasets.IterableDataset:
        made = to_huggingface(opened(small), shards=3).with_format(form)
        made.set_epoch(1)
        return made

    made = fresh()
    taken = keys(sample for _, sample in zip(range(stop), made, strict=False))
    state = json.loads(json.dumps(made.state_dict()))
    other = fresh()
    other.load_state_dict(state)
    rest = keys(other)
    assert rest == whole[len(taken) :]


def test_what_was_given_is_not_read_again(toy: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made = to_huggingface(opened(toy, batch_size=50), shards=1)
    taken = keys(sample for _, sample in zip(range(1234), made, strict=False))
    state = made.state_dict()
    steps: list[int] = []
    batches = Stream.batches

    def watched(self: Stream, epoch: int, *, start: int = 0, stride: int = 1) -> Any:
        steps.append(start)
        return batches(self, epoch, start=start, stride=stride)

    monkeypatch.setattr(Stream, "batches", watched)
    other = to_huggingface(opened(toy, batch_size=50), shards=1)
    other.load_state_dict(state)
    assert taken + keys(other) == stream_keys(opened(toy, batch_size=50))
    assert steps[0] == 24


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_workers_and_ranks_share_the_shards(small: Store, workers: int) -> None:
    made = to_huggingface(opened(small), shards=4).select_columns(["key"])
    context = "fork" if workers else None
    loader = DataLoader(made, batch_size=5, num_workers=workers, multiprocessing_context=context)
    given = [key for batch in loader for key in batch["key"]]
    assert sorted(given) == sorted(stream_keys(opened(small)))
    ranks = [keys(made.shard(num_shards=2, index=rank)) for rank in range(2)]
    assert ranks[0] + ranks[1] == stream_keys(opened(small))
    assert keys(pickle.loads(pickle.dumps(made))) == keys(made)


def test_rows_that_fill_up_and_parts_of_a_mixture_are_told(small: Store) -> None:
    filled = list(to_huggingface(opened(small, tail="mask", batch_size=50)))
    assert sorted(sample["real"] for sample in filled) == [False] * 43 + [True] * 57
    mixed = stream([Part(small), Part(small)], ["label"], batch_size=8)
    assert {sample["part"] for sample in to_huggingface(mixed)} == {0, 1}


@pytest.mark.parametrize("output", ["numpy", "torch"])
def test_every_form_of_array_has_its_type(output: str) -> None:
    specs = {
        "scalar": ArraySpec(dtype="int64"),
        "heard": ArraySpec(dims=("time",)),
        "fixed": ArraySpec(dims=("y", "x", "c"), sizes={"y": 2, "x": 3, "c": 1}, dtype="uint8"),
        "frames": ArraySpec(dims=("time", "y", "x"), sizes={"y": 2, "x": 2}),
        "ragged": ArraySpec(dims=("y", "x")),
        "late": ArraySpec(dims=("c", "time"), sizes={"c": 2}, dtype="bool"),
        "none": ArraySpec(dims=("x",), sizes={"x": 0}),
        "rows_of_none": ArraySpec(dims=("y", "x"), sizes={"y": 2, "x": 0}),
        "times_of_none": ArraySpec(dims=("time", "x"), sizes={"x": 0}),
    }
    rng = np.random.default_rng(0)
    expected: dict[str, Any] = {}
    batch: dict[str, Any] = {}
    for name, spec in specs.items():
        sizes = rng.integers(0, 4, (5, len(spec.varying)))
        shapes = [[next(each) if n is None else n for n in spec.shape] for each in map(iter, sizes.tolist())]
        arrays = [rng.integers(0, 2, shape).astype(spec.dtype) for shape in shapes]
        longest = np.max(shapes, axis=0).astype(int) if spec.dims else []
        padded = np.zeros((5, *longest), spec.dtype)
        for at, array in enumerate(arrays):
            here: Any = (at, *map(slice, array.shape))
            padded[here] = array
        mask = np.array([True, False, True, True, True])
        padded[1] = 0
        batch |= {name: padded, f"{name}.mask": mask}
        if spec.varying:
            sizes[1] = 0
            batch[f"{name}.length"] = sizes[:, 0] if len(spec.varying) == 1 else sizes
        expected[name] = [array.tolist() if there else None for array, there in zip(arrays, mask, strict=True)]
    if output == "torch":
        batch = {name: torch.from_numpy(values) for name, values in batch.items()}
    features = datasets.Features({name: _feature(spec) for name, spec in specs.items()})
    table = table_of(batch, specs, features.arrow_schema)
    table.validate(full=True)
    assert table.schema == features.arrow_schema
    for name, values in expected.items():
        assert table[name].to_pylist() == values, name


def test_the_tables_need_nothing_else(small: Store) -> None:
    made = to_huggingface(opened(small))._ex_iterable
    assert isinstance(made, StreamTables)
    assert made.reshard_data_sources() is made
