"""`mmdata asof`: what it writes, says and refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mmdata.store import Store
from mmdata.store.runs import Recipe
from tests.select.conftest import FP, SPECS, add_shard

Mmdata = Callable[..., Any]
ROWS = """user,event_time,created_time,n
1,2026-03-01T10:00:00,2026-03-01T10:00:00,1
1,2026-03-01T12:00:00,2026-03-01T15:00:00,2
"""


def test_samples_are_written_with_what_was_known_of_them(mmdata: Mmdata, tmp_path: Path) -> None:
    times = ("2026-03-01T13:00:00+00:00", "2026-03-01T16:00:00+01:00", None)
    store = Store.create(str(tmp_path / "store"))
    store.start_run(command="test", recipe=Recipe(FP, dict.fromkeys(SPECS, FP)))
    add_shard(store, "0" * 16, [{"n": n, "caption": "c", "user": 1, "at": time} for n, time in enumerate(times)])
    (tmp_path / "rows.csv").write_text(ROWS)
    settings = ("asof", store.url, tmp_path / "rows.csv", "--entity", "meta.user=user", "--time", "meta.at")
    out = tmp_path / "out.parquet"
    assert "3 samples" in mmdata(*settings, "--out", out).out
    assert pq.read_table(out)["n"].to_pylist() == [1, 2, None]
    assert pq.read_table(out)["key"].to_pylist() == ["toy/0", "toy/1", "toy/2"]
    told = mmdata(*settings, "--out", out, "--max-age-s", 7200, "--created-time", "", "--column", "n", "--json").json
    assert (told["samples"], told["known"]) == (3, 1)
    wrong = mmdata(*settings, "--out", out, "--entity", "user")
    assert (wrong.code, "--entity: 'user' must be COLUMN=COLUMN" in wrong.err) == (2, True)
    missing = mmdata(
        "asof", store.url, tmp_path / "no.csv", "--entity", "meta.user=user", "--time", "key", "--out", out
    )
    assert (missing.code, "no.csv" in missing.err) == (1, True)
