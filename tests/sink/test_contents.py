"""Which rows go into which file: each once, in order, and about as many bytes as were asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.sink.contents import Piece, _divided, contents_of
from mmdata.sink.rows import batches
from mmdata.store.layout import DataFile
from mmdata.store.view import ShardView

Known = Any  # the fixtures' class; conftest can't be imported


def piece(number: int, rows: int) -> Piece:
    samples = DataFile("samples", f"{number}.parquet", f"{number:016x}", "f" * 16, "k" * 12, rows, 0, "d")
    return Piece(ShardView(samples.shard, "source", rows, samples), np.arange(rows, dtype=np.int64), np.ones(rows))


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 40)), min_size=1, max_size=8), st.integers(1, 500))
def test_files_hold_every_row_once_in_order_and_no_more_than_they_should(
    shards: list[tuple[int, int]], shard_bytes: int
) -> None:
    pieces = [piece(number, rows) for number, (rows, _) in enumerate(shards)]
    row_bytes = {f"{number:016x}": float(size) for number, (_, size) in enumerate(shards)}
    outputs = list(_divided("train", pieces, row_bytes, shard_bytes))
    rows = [(p.shard.shard, int(row)) for output in outputs for p in output.pieces for row in p.rows]
    assert rows == [(p.shard.shard, int(row)) for p in pieces for row in p.rows]
    assert [output.name for output in outputs] == [
        f"train-{number:05d}-of-{len(outputs):05d}" for number in range(len(outputs))
    ]
    for output in outputs:
        sizes = [len(p.rows) * row_bytes[p.shard.shard] for p in output.pieces]
        assert all(len(p.rows) == len(p.weights if p.weights is not None else []) > 0 for p in output.pieces)
        assert sum(sizes) <= shard_bytes or output.n_rows == 1


@pytest.mark.parametrize("shard_bytes", [1, 5_000, 10**9])
def test_the_rows_of_a_file_are_its_samples(known: Known, shard_bytes: int) -> None:
    contents = contents_of(known.store, selection="v1", shard_bytes=shard_bytes)
    rows = known.store.selection("v1").to_pylist()
    for split in ("train", "val"):
        found = [
            row.key
            for output in contents.outputs
            if output.split == split
            for batch in batches(contents, output)
            for row in batch.rows
        ]
        assert found == [row["key"] for row in rows if row["split"] == split and row["reason"] is None]


def test_equal_contents_have_equal_fingerprints_and_others_others(known: Known) -> None:
    def fingerprint(*settings: str, **which: Any) -> str:
        return contents_of(known.store, **{"shard_bytes": 9_000, **which}).fingerprint(*settings)

    same = fingerprint("a")
    others = [
        fingerprint("b"),
        fingerprint("a", shard_bytes=8_000),
        fingerprint("a", columns=["image"]),
        fingerprint("a", selection="v1"),
        fingerprint("a", selection="v1", split="train"),
        fingerprint("a", columns=[*known.store.families]),
    ]
    assert fingerprint("a") == same
    assert len({same, *others}) == 7
