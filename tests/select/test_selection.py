from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pytest

from mmdata.errors import ConfigError, SchemaMismatch, StoreError
from mmdata.select.selection import Selected, select
from mmdata.select.split import Split
from mmdata.store import Store, selections
from mmdata.store.files import Files

Add = Callable[[Store, str, Sequence[dict[str, Any]]], None]


def rows(store: Store, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = selections.read(Files.at(store.url), name).to_pylist()
    return found


def test_a_selection_has_a_row_a_sample_in_the_stores_order(store: Store) -> None:
    made = select(store, "v1", split={"train": 0.7, "test": 0.3}, where="image.sharpness >= 20")
    found = rows(store, "v1")
    assert [row["key"] for row in found] == store.keys()
    assert [row["reason"] for row in found] == ["where"] * 20 + [None] * 40
    assert {row["weight"] for row in found} == {1.0}
    assert [row["split"] for row in found] == Split(shares={"train": 0.7, "test": 0.3}).assign(store.keys())
    counts = {name: sum(row["split"] == name and row["reason"] is None for row in found) for name in ("train", "test")}
    assert made == Selected(name="v1", splits=counts, reasons={"where": 20})


def test_without_a_split_there_is_none(store: Store) -> None:
    assert select(store, "all") == Selected(name="all", splits={"": 60}, reasons={})
    assert {row["split"] for row in rows(store, "all")} == {None}


def test_samples_of_one_caption_stay_together(store: Store) -> None:
    select(store, "v1", split={"folds": 4, "group": "text.caption"})
    parts = defaultdict(set)
    for row in rows(store, "v1"):
        parts[int(row["key"][4:]) % 10].add(row["split"])
    assert all(len(found) == 1 for found in parts.values())
    assert len(set.union(*parts.values())) > 1


def test_a_null_group_stands_alone(store: Store) -> None:
    select(store, "v1", split=Split(folds=5, group="meta.who"))
    found = {int(row["key"][4:]): row["split"] for row in rows(store, "v1")}
    assert all(len({found[n] for n in range(0, 60, 2) if n % 3 == rest}) == 1 for rest in range(3))
    assert len({found[n] for n in range(1, 60, 2)}) == 5


def test_the_key_can_be_the_group(store: Store) -> None:
    select(store, "a", split={"folds": 5, "group": "key"})
    select(store, "b", split={"folds": 5})
    assert rows(store, "a") == rows(store, "b")


def test_a_number_can_be_the_group(store: Store) -> None:
    select(store, "v1", split={"folds": 5, "group": "image.sharpness"})
    assert len({row["split"] for row in rows(store, "v1")}) == 5


def test_what_is_no_number_groups_nothing(store: Store, add: Add) -> None:
    add(store, "0" * 15 + "5", [{"n": 100 + n, "caption": "", "sharpness": "nan"} for n in range(40)])
    select(store, "v1", split={"folds": 3, "group": "image.sharpness"})
    assert len({row["split"] for row in rows(store, "v1") if row["key"] >= "toy/100" and len(row["key"]) == 7}) == 3


def test_new_samples_change_nobodys_split(store: Store, add: Add) -> None:
    select(store, "v1", split={"folds": 4, "group": "text.caption"})
    before = {row["key"]: row["split"] for row in rows(store, "v1")}
    add(store, "0" * 15 + "5", [{"n": 100 + n, "caption": f"caption {n}"} for n in range(12)])
    select(store, "v1", split={"folds": 4, "group": "text.caption"})
    after = {row["key"]: row["split"] for row in rows(store, "v1")}
    assert len(after) == 72
    assert before.items() <= after.items()
    assert after["toy/103"] == before["toy/3"]


def test_a_selection_takes_the_place_of_the_one_of_its_name(store: Store) -> None:
    for where in ("image.sharpness < 10", "image.sharpness < 20", "image.sharpness < 10"):
        select(store, "v1", where=where)
        count = sum(row["reason"] is None for row in rows(store, "v1"))
        assert count == (20 if "20" in where else 10)
    assert selections.names(Files.at(store.url)) == ["v1"]


def test_of_two_who_write_one_selection_one_comes_last(store: Store) -> None:
    def write(number: int) -> None:
        select(Store.open(store.url), "v1", where=f"image.sharpness < {number}")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(1, 7)))
    found = rows(store, "v1")
    assert len(found) == 60
    assert 1 <= sum(row["reason"] is None for row in found) <= 6


@pytest.mark.parametrize(
    ("settings", "error", "fault"),
    [
        ({"split": {"train": 2}}, ConfigError, "a share can't be 2"),
        ({"split": {"folds": 3, "group": "image.embedding"}}, ConfigError, "not one number or text a sample"),
        ({"split": {"folds": 3, "group": "nothing"}}, StoreError, "nothing"),
        ({"where": "image.sharpnes > 3"}, StoreError, "sharpnes"),
        ({"where": "key in (select content from read_text('/etc/hostname'))"}, StoreError, "where"),
    ],
)
def test_what_cannot_be_selected_is_refused_and_nothing_is_written(
    store: Store, settings: dict[str, Any], error: type[Exception], fault: str
) -> None:
    with pytest.raises(error, match=fault):
        select(store, "v1", **settings)
    assert selections.names(Files.at(store.url)) == []


@pytest.mark.parametrize("name", ["", "../samples", "a/b", ".hidden", "-v", "x" * 129, "a\nb"])
def test_a_name_that_is_no_folder_is_refused(store: Store, name: str) -> None:
    with pytest.raises(StoreError, match="can't name a selection"):
        select(store, name)


def test_rows_of_another_form_are_refused(store: Store) -> None:
    with pytest.raises(SchemaMismatch, match="a selection has the columns"):
        selections.write(Files.at(store.url), "v1", pa.table({"key": ["a"]}), fp="f" * 16)


def test_a_selection_that_is_not_there_is_named_with_those_that_are(store: Store) -> None:
    select(store, "v1")
    with pytest.raises(StoreError, match=r"no selection 'v2' in .*; there are: v1"):
        rows(store, "v2")


def test_a_selection_of_nothing_is_refused_and_the_old_one_stays(store: Store) -> None:
    before = select(store, "v1", split={"train": 1.0})
    with pytest.raises(ConfigError, match=r"'v1' would be empty: no sample meets where: label = 'none'"):
        select(store, "v1", split={"train": 1.0}, where="label = 'none'")
    assert select(store, "v1", split={"train": 1.0}) == before
    assert before.splits == {"train": 60}


def test_an_empty_split_is_told_with_the_number_of_groups(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    made = select(store, "v1", split={"train": 0.999, "val": 0.001, "none": 0, "group": "text.caption"})
    assert made.splits == {"train": 60, "val": 0, "none": 0}
    assert [record.getMessage() for record in caplog.records] == [
        f"selection=v1 place={store.url} split=val: it is empty: of 10 selected groups by 'text.caption' none was "
        "dealt to it; try another seed or other shares"
    ]


def test_groups_are_counted_among_the_selected(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    select(store, "v1", split={"folds": 9, "group": "meta.who"}, where="image.sharpness < 4")
    empty = [record.getMessage() for record in caplog.records]
    assert len(empty) >= 5  # 0 and 2 have groups of their own, 1 and 3 none
    assert all("of 4 selected groups by 'meta.who' none" in told and "fewer folds" in told for told in empty)


def test_full_splits_are_not_spoken_of(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    select(store, "v1", split={"train": 0.7, "test": 0.3})
    select(store, "v2", where="image.sharpness < 4")
    assert caplog.records == []
