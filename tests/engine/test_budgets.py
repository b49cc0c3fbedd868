from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmdata.engine import budgets
from mmdata.engine.budgets import FIRST, TRY_AGAIN, Budget, budget, budgets_file


@pytest.fixture(autouse=True)
def new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "_known", {})


def work(made: Budget, groups: int, *, fits: int = 10**9, saturates: int = 10**9, cost: int = 10) -> None:
    """Put groups of values of that cost through a device that is no faster beyond `saturates`, and has so much room."""
    for _ in range(groups):
        whole = made.fits(cost) * cost
        if whole > fits:
            made.ran_out(whole)
        else:
            made.worked(whole, 1.0 + whole / 100 if whole > saturates else 1.0)


def test_a_first_group_is_of_a_few_values_like_the_first() -> None:
    assert Budget().fits(1000) == FIRST
    made = Budget()
    assert (made.fits(10), made.fits(1), made.fits(100)) == (FIRST, 10 * FIRST, 1)


@pytest.mark.parametrize("cost", [1, 7, 10**40])
def test_one_value_always_fits(cost: int) -> None:
    assert Budget(1).fits(cost) >= 1


def test_it_doubles_while_larger_groups_are_faster() -> None:
    made = Budget()
    work(made, 20)
    assert made.cost == 10 * FIRST * 2**10


def test_it_stays_where_larger_groups_are_no_faster() -> None:
    made = Budget()
    work(made, 200, saturates=1000)
    assert made.cost is not None
    assert 640 <= made.cost <= 1280


def test_small_groups_say_nothing() -> None:
    made = Budget()
    made.fits(10)
    for _ in range(50):
        made.worked(10, 1.0)
    assert made.cost == 10 * FIRST


def test_it_does_not_grow_where_it_may_not() -> None:
    made = Budget()
    for _ in range(20):
        made.worked(made.fits(10) * 10, 1.0, may_grow=lambda: False)
    assert made.cost == 10 * FIRST


@pytest.mark.parametrize("fits", [5, 100, 12_345])
def test_out_of_memory_it_halves_until_it_works_and_stays_there(fits: int) -> None:
    made = Budget(10**6)
    work(made, 40, fits=max(fits, 10))
    assert made.cost is not None
    assert made.fits(10) * 10 <= max(fits, 10)
    before = made.cost
    work(made, TRY_AGAIN - 50, fits=max(fits, 10))
    assert made.cost == before


def test_long_after_memory_ran_out_more_is_tried_again() -> None:
    made = Budget()
    work(made, 40, fits=1000)
    assert made.cost is not None
    small = made.cost
    work(made, TRY_AGAIN + 20, fits=4000)  # whoever else was on the device has left it
    assert small < made.cost <= 4000


def test_what_was_found_is_there_for_the_next_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cache" / "budgets.json"
    first = budget("step on cuda", path)
    assert budget("step on cuda", path) is first
    work(first, 40, fits=1000)
    budget("other on cuda", path).ran_out(64)
    monkeypatch.setattr(budgets, "_known", {})
    assert budget("step on cuda", path).cost == first.cost
    assert budget("other on cuda", path).cost == 32
    assert budget("step on cpu", path).cost is None
    assert [file.name for file in path.parent.iterdir()] == ["budgets.json"]


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[1]", b"\xff\xfe", b"{" * 100_000, b'{"s": -1}', b'{"s": "9"}', b'{"s": true}', b'{"s": 1e400}'],
)
def test_a_file_that_is_damaged_is_no_more_than_none(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "budgets.json"
    path.write_bytes(damage)
    made = budget("s", path)
    assert made.cost is None
    made.ran_out(10)
    assert json.loads(path.read_text()) == {"s": 5}


def test_a_place_that_can_not_be_written_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    made = budget("s", tmp_path / "file" / "budgets.json")
    made.ran_out(10)
    assert made.cost == 5


def test_it_is_kept_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert budgets_file() == tmp_path / "mmdata" / "budgets.json"
