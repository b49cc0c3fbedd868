"""Compacting from the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Mmdata = Callable[..., Any]


def test_compact_says_what_it_would_do_and_then_does_it(mmdata: Mmdata, copied: Path) -> None:
    assert mmdata("compact", copied).out.startswith("0 of 3 shards became 0")  # 4 samples a shard, said its run
    would = mmdata("compact", copied, "--shard-samples", 100, "--dry-run", "--json").json
    assert [(merge["samples"], len(merge["shards"])) for merge in would["merges"]] == [(12, 3)]
    done = mmdata("compact", copied, "--shard-samples", 100)
    assert (done.code, done.err) == (0, "")
    assert "3 of 3 shards became 1" in done.out
    assert mmdata("show", copied).out.splitlines()[0] == "10 samples in 1 shard"
    assert mmdata("verify", copied).code == 0
    other = mmdata("compact", copied, "--source", "nope", "--shard-samples", 100)
    assert "0 of 1 shards became 0" in other.out


def test_compact_needs_a_store(mmdata: Mmdata, tmp_path: Path) -> None:
    ended = mmdata("compact", tmp_path / "nothing")
    assert (ended.code, ended.out) == (1, "")
    assert "no store" in ended.err
