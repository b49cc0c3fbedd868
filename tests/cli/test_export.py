"""`mmdata export`: what it says and returns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

Mmdata = Callable[..., Any]


def test_samples_go_out_and_what_was_dropped_or_rejected_does_not(mmdata: Mmdata, made: Any, tmp_path: Path) -> None:
    ended = mmdata("export", made.store, tmp_path / "out", "--format", "parquet", "--selection", "v1")
    assert ended.code == 0, ended
    assert ended.out.startswith("10 samples (")
    assert ended.out.endswith(f" bytes: {tmp_path / 'out'}\n")
    rows = pq.read_table(tmp_path / "out" / "data")
    assert sorted(rows["key"].to_pylist()) == sorted(
        f"media/{name}/{name}_{number:04d}" for number in range(10) for name in [("disc", "square")[number % 2]]
    )
    assert set(rows.column_names) >= {"image", "speech", "text", "image.phash", "image.sharpness", "label", "split"}
    again = mmdata("export", made.store, tmp_path / "out", "--format", "parquet", "--selection", "v1")
    assert (again.code, again.out.endswith("is this very export already\n")) == (0, True)


def test_a_plan_says_what_would_come(mmdata: Mmdata, made: Any, tmp_path: Path) -> None:
    ended = mmdata(
        "export", made.store, tmp_path / "out", "--format", "webdataset", "--dry-run", "--shard-bytes", "50kB"
    )
    assert (ended.code, ended.out.startswith("10 samples would be about ")) == (0, True)
    found = mmdata("export", made.store, tmp_path / "out", "--format", "webdataset", "--dry-run", "--json").json
    assert (found["state"], found["samples"], found["n_files"]) == ("planned", 10, 1)
    assert list(tmp_path.iterdir()) == []


def test_columns_may_be_joined_by_commas_and_repeated(mmdata: Mmdata, made: Any, tmp_path: Path) -> None:
    columns = ("--columns", "image, text", "--columns", "image.phash")
    found = mmdata("export", made.store, tmp_path / "out", "--format", "files", *columns, "--json").json
    assert found["columns"] == ["image", "text", "image.phash"]
    assert found["n_files"] == 31


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--format", "parquet", "--columns", "imag"), "no part or feature 'imag', did you mean 'image'?"),
        (("--format", "parket"), "parket"),
        (("--format", "parquet", "--split", "train"), "needs the name of a selection"),
        (("--format", "parquet", "--shard-bytes", "many"), "expected a size"),
        ((), "--format"),
    ],
)
def test_wrong_usage_ends_with_2(mmdata: Mmdata, made: Any, tmp_path: Path, arguments: Any, error: str) -> None:
    ended = mmdata("export", made.store, tmp_path / "out", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert error in ended.err
    assert list(tmp_path.iterdir()) == []
