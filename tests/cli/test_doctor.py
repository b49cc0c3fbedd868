"""`mmdata doctor`, as people and scripts call it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Mmdata = Callable[..., Any]


def test_the_command_says_it_to_people_and_to_scripts(mmdata: Mmdata, tmp_path: Path) -> None:
    told = mmdata("doctor", str(tmp_path))
    assert told.code == 0
    assert "  commits, by hard links: yes" in told.out
    assert told.out.splitlines()[-1].startswith("0 faults (!), ")
    found = mmdata("doctor", str(tmp_path), "--json").json
    assert found["faults"] == 0
    assert {one["topic"] for one in found["findings"]} == {"machine", "packages", "formats", str(tmp_path)}


def test_the_command_fails_where_something_will_not_work(mmdata: Mmdata, tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"a file")
    told = mmdata("doctor", str(tmp_path / "store"))
    assert told.code == 1
    assert "! writing: " in told.out
