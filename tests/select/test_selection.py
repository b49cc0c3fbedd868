from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmdata.errors import ConfigError, SchemaMismatch, StoreError
from mmdata.select.balance import Balance
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


def test_classes_that_nobody_is_of_are_told_with_those_there_are(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    select(store, "v", balance={"by": "meta.who", "weight": {"O": 2, "1": 3}, "cap": {"null": 9, "nul": 9}})
    assert [record.getMessage().partition(" balance.")[2] for record in caplog.records] == [
        "cap: no sample is of class 'nul', did you mean 'null'?",
        "weight: no sample is of class 'O'; there are '0', '1', '2', 'null'",
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


def test_conditions_by_name_give_their_names_as_reasons_and_tell_what_is_missing_apart(store: Store, add: Add) -> None:
    add(store, "0" * 15 + "5", [{"n": 100, "caption": "", "sharpness": "nan"}])
    where = {"sharp": "image.sharpness >= 20", "even": "meta.n % 2 = 0", "who": "meta.who > 0"}
    made = select(store, "v1", where=where)
    assert made.reasons == {"where.sharp": 20, "where.sharp.missing": 1, "where.even": 20, "where.who": 6}
    by_key = {row["key"]: row["reason"] for row in rows(store, "v1")}
    assert by_key["toy/100"] == "where.sharp.missing"
    assert by_key["toy/19"] == "where.sharp"
    assert by_key["toy/21"] == "where.even"
    assert by_key["toy/24"] == "where.who"
    assert by_key["toy/22"] is None


def test_a_funnel_tells_what_each_reason_left(store: Store) -> None:
    made = select(store, "v1", where=["image.sharpness >= 20", "meta.n < 50"])
    assert made.funnel() == [("", 0, 60), ("where.0", 20, 40), ("where.1", 10, 30)]


def test_a_condition_may_rank_samples(store: Store) -> None:
    made = select(store, "v1", where="percent_rank() over (order by image.sharpness) >= 0.5")
    assert made.splits == {"": 30}


@pytest.mark.parametrize(
    ("where", "fault"),
    [
        ("random() < 0.5", r"random\(\) gives something else each time"),
        ("image.sharpness", "true or false; it is float"),
        ("meta.n + 'x' > 2", "where="),
        ({"a b": "true"}, "can't name a condition"),
        ({"missing": "true"}, "can't name a condition"),
        ({"a": 3}, "where.a: expected a condition in SQL, not 3"),
        ("image.embedding > 3", "where="),
    ],
)
def test_a_condition_that_decides_nothing_is_refused(store: Store, where: Any, fault: str) -> None:
    with pytest.raises((ConfigError, StoreError), match=fault):
        select(store, "v1", where=where)
    assert selections.names(Files.at(store.url)) == []


def test_names_of_metadata_are_any_letters_and_quoted_ones_any_characters(store: Store, add: Add) -> None:
    add(store, "0" * 15 + "5", [{"n": 100, "caption": "", "größe": 3, 'a"b': 4}])
    assert select(store, "v1", where="meta.größe = 3").splits == {"": 1}
    assert select(store, "v1", where='"meta.a""b" = 4').splits == {"": 1}


@pytest.mark.parametrize("by", ["[key]", "{a: key}", "map {'a': key}"])
def test_classes_are_single_values(store: Store, by: str) -> None:
    with pytest.raises(ConfigError, match=r"balance\.by: is to be one number or text"):
        select(store, "v1", balance=Balance(by=by, cap=1))


def test_classes_may_be_of_an_enum_and_named_by_numbers_and_texts(store: Store) -> None:
    texts = select(store, "v1", balance={"by": "meta.n % 2", "cap": 1})
    enum = "if(meta.n % 2 = 0, 'even', 'odd')::enum('odd', 'even')"
    assert select(store, "v1", balance={"by": enum, "cap": 1}) == texts
    numbered = {1: 2.0, "0": 3.0}
    assert select(store, "v1", balance={"by": "meta.n % 2", "weight": numbered}).weights == {"": 150.0}


def test_when_all_are_left_out_the_reasons_are_told(store: Store) -> None:
    with pytest.raises(ConfigError, match=r"of 60 samples all are left out: where.a 50, where.b 10"):
        select(store, "v1", where={"a": "image.sharpness < 10", "b": "image.sharpness > 20"})


def test_an_empty_store_selects_nothing(tmp_path: Path) -> None:
    empty = Store.create(str(tmp_path / "empty"))
    with pytest.raises(ConfigError, match="the store has no samples"):
        select(empty, "v1", where="key = 'a'")


def test_pinning_makes_a_snapshot_a_change_and_none_without(store: Store, add: Add) -> None:
    assert select(store, "v1", pin=True).snapshot == "v1.1"
    assert select(store, "v1", pin=True).snapshot == "v1.1"
    assert select(store, "v1", where="image.sharpness < 10", pin=True).snapshot == "v1.2"
    add(store, "0" * 15 + "5", [{"n": 100, "caption": ""}])
    assert select(store, "v1", where="image.sharpness < 10", pin=True).snapshot == "v1.3"
    assert select(store, "w", pin=False).snapshot is None
    assert store.snapshots() == ["v1.1", "v1.2", "v1.3"]
    first = Store.open(store.url, snapshot="v1.1")
    assert first.selection("v1")["reason"].null_count == 60
    assert select(first, "old", pin=True).snapshot == "v1.1"


def test_several_groups_keep_all_together_that_share_any(store: Store) -> None:
    made = select(store, "v1", split={"folds": 3, "group": ["text.caption", "meta.who"]})
    assert sum(made.splits.values()) == 60
    found = {int(row["key"][4:]): row["split"] for row in rows(store, "v1")}
    assert len({found[n] for n in range(0, 60, 2)}) == 1  # who links the even captions
    assert all(len({found[n] for n in range(start, 60, 10)}) == 1 for start in range(10))


def test_a_cluster_without_dedup_is_refused(store: Store) -> None:
    with pytest.raises(ConfigError, match="there is no dedup rule"):
        select(store, "v1", split={"train": 1.0, "group": "cluster"})


def test_what_groups_merged_would_move_is_left_out_and_stays_so(store: Store, add: Add) -> None:
    deal = {"train": 0.5, "test": 0.5, "group": ["text.caption", "meta.who"]}
    select(store, "v1", split=deal, where="meta.who is null")  # odd ones, by caption alone
    before = {row["key"]: row["split"] for row in rows(store, "v1") if row["reason"] is None}
    assert set(before.values()) == {"train", "test"}
    add(store, "0" * 15 + "5", [{"n": 100 + n, "caption": f"caption {2 * n + 1}", "who": 9} for n in range(5)])
    for _ in range(2):
        made = select(store, "v1", split=deal)
        after = {row["key"]: row for row in rows(store, "v1")}
        assert {after[key]["split"] for key in before if after[key]["reason"] is None} == {after["toy/100"]["split"]}
        moved = {key for key in before if after[key]["reason"] == "split.moved"}
        assert moved == {key for key, split in before.items() if split != after["toy/100"]["split"]} != set()
        assert all(after[key]["split"] == split for key, split in before.items())
        assert made.reasons == {"split.moved": len(moved)}


def test_strata_are_balanced(store: Store) -> None:
    select(store, "v1", split={"train": 0.5, "test": 0.5, "stratified": "text.caption"})
    found = {int(row["key"][4:]): row["split"] for row in rows(store, "v1")}
    assert all(2 <= sum(found[n] == "train" for n in range(start, 60, 10)) <= 4 for start in range(10))


def test_caps_and_weights_come_after_the_split(store: Store) -> None:
    balance = {"by": "text.caption", "cap": 2, "weight": {"caption 0": 3}, "splits": ["train"]}
    made = select(store, "v1", split={"train": 0.7, "test": 0.3}, balance=balance)
    without = select(store, "v2", split={"train": 0.7, "test": 0.3})
    assert made.splits["test"] == without.splits["test"]
    assert made.reasons == {"balance.cap": without.splits["train"] - made.splits["train"]}
    kept = [row for row in rows(store, "v1") if row["split"] == "train" and row["reason"] is None]
    captions = Counter(int(row["key"][4:]) % 10 for row in kept)
    assert set(captions.values()) <= {1, 2}
    assert {row["weight"] for row in kept if int(row["key"][4:]) % 10} == {1.0}
    assert made.weights == {"train": len(kept) + 2.0 * captions[0], "test": float(made.splits["test"])}


def test_a_weight_may_be_an_expression_over_what_is_selected(store: Store) -> None:
    select(store, "v1", where="meta.n > 0", balance={"weight": "1 / meta.n"})
    assert rows(store, "v1")[4]["weight"] == 0.25
    with pytest.raises(ConfigError, match=r"null, negative or no number for 30 samples, such as 'toy/1'"):
        select(store, "v1", balance={"weight": "meta.who"})
    with pytest.raises(ConfigError, match="no split 'trian'; there are train"):
        select(store, "v1", split={"train": 1}, balance={"weight": "1", "splits": ["trian"]})


def test_a_selection_of_before_there_were_clusters_is_read(store: Store) -> None:
    select(store, "v1", split={"train": 0.5, "test": 0.5})
    files = Files.at(store.url)
    old = selections.read(files, "v1").drop(["cluster", "since"])
    path = next((Path(store.url) / "selections" / "v1").glob("*.parquet"))
    pq.write_table(old, path)
    assert selections.read(files, "v1").schema.names == selections.SCHEMA.names
    deal = {"train": 0.5, "test": 0.5, "group": ["text.caption", "meta.who"]}
    assert sum(select(store, "v1", split=deal).splits.values()) == 60
