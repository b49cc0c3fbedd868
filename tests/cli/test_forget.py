"""Forgetting from the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Mmdata = Callable[..., Any]


def test_forget_says_what_would_go_and_then_it_is_gone(mmdata: Mmdata, copied: Path, tmp_path: Path) -> None:
    first, second = (line.split("\t")[0] for line in mmdata("ls", copied).out.splitlines()[1:3])
    mmdata("snapshot", copied, "before")
    keys = tmp_path / "keys.txt"
    keys.write_text(f"{second}\n\n")
    would = mmdata("forget", copied, first, "--from", keys, "--dry-run")
    assert would.out.startswith("2 samples, 0 drops and 0 rejects of 2 keys would go\n")
    assert mmdata("show", copied, "--json").json["samples"] == 10
    done = mmdata("forget", copied, first, "--from", keys, "--json").json
    assert (done["samples"], done["snapshots"], sorted(done["keys"])) == (2, ["before"], sorted([first, second]))
    assert mmdata("show", copied, "--json").json["samples"] == 8
    assert mmdata("show", copied, "--snapshot", "before", "--json").json["samples"] == 8
    assert mmdata("verify", copied).code == 0
    again = mmdata("forget", copied, first)
    assert (again.code, again.out.split(" ")[0]) == (0, "0")


def test_forget_of_a_wrong_key_fails_and_names_near_ones(mmdata: Mmdata, copied: Path) -> None:
    key = mmdata("ls", copied).out.splitlines()[1].split("\t")[0]
    ended = mmdata("forget", copied, key[:-1])
    assert (ended.code, ended.out) == (1, "")
    assert "did you mean 'media/" in ended.err
    assert mmdata("forget", copied).code == 1
    missing = mmdata("forget", copied, "--from", copied / "nope.txt")
    assert (missing.code, "can't be read" in missing.err) == (2, True)
