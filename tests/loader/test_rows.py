from __future__ import annotations

import os
import pickle
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler, RandomSampler

from mmdata.augment.image import FlipImage
from mmdata.errors import ConfigError, StoreError
from mmdata.loader.rows import Gathered, Rows, rows
from mmdata.store import Store, pages
from tests.loader import gallery
from tests.loader.conftest import Build, array_of, key_of

COLUMNS = ["image.embedding", "speech.mfcc", "image.sharpness", "label"]
MEMORIES = [1 << 30, 60_000, 0]  # all is kept, some, none
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # more than this machine has


def opened(store: Store, columns: Sequence[str] = COLUMNS, **settings: Any) -> Rows:
    return rows(store, columns, **settings)


def holds(batch: Any, numbers: Sequence[int]) -> None:
    """Check a batch of some samples of a toy store."""
    assert batch["key"] == [key_of(number) for number in numbers]
    for at, number in enumerate(numbers):
        for name in ("image.embedding", "speech.mfcc", "image.sharpness"):
            array = array_of(name, number)
            assert bool(batch[f"{name}.mask"][at]) == (array is not None)
            given = batch[name][at]
            if name == "speech.mfcc":
                assert int(batch[f"{name}.length"][at]) == (0 if array is None else len(array))
                given = given[: batch[f"{name}.length"][at]]
            np.testing.assert_array_equal(np.asarray(given), 0 if array is None else array)
    assert batch["label"] == [None if n % 10 == 0 else "odd" if n % 2 else "even" for n in numbers]


@pytest.mark.parametrize("max_bytes", MEMORIES)
def test_any_rows_come_in_the_order_asked_for(toy: Store, max_bytes: int) -> None:
    data = opened(toy, max_bytes=max_bytes)
    assert len(data) == 2613
    for wanted in ([5], [2612, 0, 1506, 1507, 7, 6], [3, 3, 1400, 3], list(range(990, 1020)), [-1, -2613]):
        holds(data[wanted], [number % 2613 for number in wanted])
    holds(data[1500:1511:3], [1500, 1503, 1506, 1509])
    holds(data[np.array([8, 2])], [8, 2])
    holds(data[torch.tensor([8, 2])], [8, 2])
    assert data[[]]["key"] == data[7:7]["key"] == []
    assert data[7:7]["image.embedding"].shape == (0, 4)
    data.close()
    holds(data[[9]], [9])  # opens what it needs again


@pytest.mark.parametrize(("skipped_bytes", "expected"), [(4, [16, 16]), (100, [48])])
def test_rows_that_lie_far_apart_are_read_one_by_one(
    build: Build, monkeypatch: pytest.MonkeyPatch, skipped_bytes: int, expected: list[int]
) -> None:
    sizes: list[int] = []
    read_into = pages.read_into

    def counted(fd: int, room: memoryview, offset: int) -> None:
        sizes.append(room.nbytes)
        read_into(fd, room, offset)

    monkeypatch.setattr("mmdata.loader.opened.SKIPPED_BYTES", skipped_bytes)
    monkeypatch.setattr("mmdata.store.pages.read_into", counted)
    batch = rows(build(3), ["image.embedding"], max_bytes=0)[[2, 0]]
    np.testing.assert_array_equal(batch["image.embedding"], [array_of("image.embedding", n) for n in (2, 0)])
    assert sizes == expected


def test_only_some_columns_are_kept_where_memory_is_short(toy: Store) -> None:
    kept = [{column.name for column in opened(toy, max_bytes=most)._kept.columns} for most in MEMORIES]
    assert kept == [{*COLUMNS, "key"}, {"image.embedding", "image.sharpness"}, set()]


def test_one_row_is_a_batch_without_its_axis(small: Store) -> None:
    data = opened(small)
    row = data[np.int64(14)]
    assert (row["key"], row["label"]) == (key_of(14), "even")
    np.testing.assert_array_equal(row["image.embedding"], array_of("image.embedding", 14))
    assert row["speech.mfcc"].shape == (4, 3)
    assert row["speech.mfcc.length"] == 4
    assert data[-1]["key"] == key_of(56)
    assert [each["key"] for each in data] == [key_of(number) for number in range(57)]
    assert isinstance(opened(small, output="torch")[3]["image.sharpness"], torch.Tensor)


@pytest.mark.parametrize(
    ("wanted", "error", "says"),
    [
        (57, IndexError, "no row 57: there are 57"),
        (-58, IndexError, "no row -58"),
        ([0, 57], IndexError, "no row 57"),
        ([0.5], TypeError, "whole numbers"),
        ([True, False], TypeError, "whole numbers, not bool"),
        ("key", TypeError, "str"),
        ([[1, 2]], TypeError, "list"),
    ],
)
def test_what_is_no_row_is_refused(small: Store, wanted: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        _ = opened(small)[wanted]


def test_wrong_settings_are_refused(small: Store) -> None:
    with pytest.raises(ConfigError, match="at least 1, not 0"):
        opened(small, threads=0)
    with pytest.raises(ConfigError, match="no column 'nope'"):
        opened(small, ["nope"])


def test_a_file_that_is_gone_is_named(build: Build, tmp_path: Path) -> None:
    data = opened(build(5, 5))
    for file in (tmp_path / "store" / "features" / "image.embedding").glob("*.parquet"):
        file.unlink()
    for _ in range(2):  # what could not be read does not count as read
        with pytest.raises(StoreError, match=r"image\.embedding.*mmdata verify"):
            _ = data[[0, 7]]


def test_threads_may_ask_at_the_same_time(toy: Store) -> None:
    data = opened(toy)
    with ThreadPoolExecutor(4) as threads:
        wanted = [list(range(start, 2613, 211)) for start in range(40)]
        for numbers, batch in zip(wanted, threads.map(data.__getitem__, wanted), strict=True):
            holds(batch, numbers)


def loader(data: Any, **settings: Any) -> DataLoader[Any]:
    """Any class of rows will do for torch, whatever its types say."""
    return DataLoader(data, **settings)


def keys(batches: Iterable[Any]) -> list[str]:
    return [key for batch in batches for key in batch["key"]]


def test_a_loader_gathers_batches(small: Store) -> None:
    data = opened(small, output="torch")
    plain = loader(data, batch_size=10, collate_fn=data.collate)
    assert keys(plain) == [key_of(number) for number in range(57)]
    sampler = BatchSampler(RandomSampler(range(len(data))), 10, drop_last=False)
    whole = loader(data, sampler=sampler, batch_size=None)
    assert sorted(keys(whole)) == [key_of(number) for number in range(57)]
    # torch's own collating stacks samples: no list may hold None
    stacked = list(loader(opened(small, COLUMNS[:3]), batch_size=16, shuffle=True))
    assert sorted(keys(stacked)) == sorted(keys(plain))
    assert stacked[0]["image.embedding"].shape == (16, 4)
    with pytest.raises(TypeError, match="what __getitems__ gives, not list"):
        data.collate([data[0]])


def test_gathered_samples_are_those_of_the_batch(small: Store) -> None:
    gathered = opened(small).__getitems__([4, 2])
    assert isinstance(gathered, Gathered)
    assert (
        [sample["key"] for sample in gathered] == [sample["key"] for sample in gathered[0:2]] == [key_of(4), key_of(2)]
    )
    assert gathered[0]["speech.mfcc"].shape == (4, 3)
    with pytest.raises(IndexError):
        _ = gathered[2]


def test_ranks_share_the_rows(small: Store) -> None:
    data, given = opened(small), []
    for rank in range(3):
        sampler = DistributedSampler[Any](cast(Any, data), num_replicas=3, rank=rank, seed=1)
        given.append(keys(loader(data, batch_size=4, sampler=sampler, collate_fn=data.collate)))
    assert [len(each) for each in given] == [19, 19, 19]
    assert sorted(key for each in given for key in each) == [key_of(number) for number in range(57)]


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_may_be_forked_while_threads_run(small: Store, persistent: bool) -> None:
    data = opened(small)
    holds(data[[50]], [50])  # its threads are there, and one of four shards is read
    workers = loader(
        data,
        batch_size=9,
        collate_fn=data.collate,
        num_workers=2,
        multiprocessing_context="fork",
        persistent_workers=persistent,
    )
    for _ in range(2):
        numbers = [list(range(first, min(first + 9, 57))) for first in range(0, 57, 9)]
        for batch, wanted in zip(workers, numbers, strict=True):
            holds(batch, wanted)
    holds(data[[3]], [3])
    assert list(data._readers) == [os.getpid()]


def test_a_process_that_is_forked_while_rows_are_read_reads_for_itself(small: Store) -> None:
    data = opened(small)
    _ = data[[0]]
    kept = data._kept
    with kept.changing():
        workers = loader(data, batch_size=30, collate_fn=data.collate, num_workers=1, multiprocessing_context="fork")
        assert keys(workers) == [key_of(number) for number in range(57)]
    assert data._kept is kept


@pytest.mark.slow
def test_workers_may_be_spawned(small: Store) -> None:
    data = opened(small)
    holds(data[[50]], [50])
    workers = loader(data, batch_size=30, collate_fn=data.collate, num_workers=1, multiprocessing_context="spawn")
    assert keys(workers) == [key_of(number) for number in range(57)]


def test_a_copy_reads_for_itself(small: Store) -> None:
    data = opened(small, max_bytes=5_000, output="torch")
    holds(data[[5, 4]], [5, 4])
    copy = pickle.loads(pickle.dumps(data))
    data.close()
    holds(copy[[5, 4]], [5, 4])
    assert copy._settings == data._settings
    assert repr(copy).endswith("57 rows of image.embedding, speech.mfcc, image.sharpness, label, key>")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """57 pictures, of which number 7 can't be decoded."""
    made = tmp_path_factory.mktemp("pictures") / "store"
    return gallery.gallery(made, image=lambda n: b"no picture" if n == 7 else gallery.same_size(n))


@pytest.mark.parametrize("max_bytes", MEMORIES)
def test_pictures_are_decoded_by_number(pictures: Store, max_bytes: int) -> None:
    data = opened(pictures, ["image", "label"], max_bytes=max(max_bytes, 1 << 20) if max_bytes else 50_000)
    for number in (3, 56, 0):
        np.testing.assert_array_equal(data[number]["image"], gallery.shown(pictures, number).pixels)
    batch = data[[30, 2, 30]]
    assert batch["image"].shape == (3, 32, 40, 3)
    np.testing.assert_array_equal(batch["image"][0], batch["image"][2])
    with pytest.raises(StoreError, match=r"gallery/0007"):  # another in its place would be another row
        _ = data[[6, 7]]
    workers = loader(data, batch_size=7, sampler=range(8, 57), collate_fn=data.collate, num_workers=2)
    assert keys(workers) == [gallery.key_of(number) for number in range(8, 57)]
    data.close()
    assert data[5]["key"] == gallery.key_of(5)


def test_random_steps_differ_by_epoch_alone(pictures: Store) -> None:
    data = opened(pictures, ["image"], steps={"image": [FlipImage()]}, seed=3)
    first = data[:7]["image"]
    np.testing.assert_array_equal(data[:7]["image"], first)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(data))[:7]["image"], first)
    data.epoch = 1
    assert (data[:7]["image"] != first).any()
    assert pickle.loads(pickle.dumps(data)).epoch == 1
