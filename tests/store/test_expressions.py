"""What an expression may say, judged by its text."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import gettempdir

import pyarrow as pa
import pytest

from mmdata.errors import StoreError
from mmdata.store import expressions


@pytest.mark.parametrize(
    "text",
    [
        "a > 3",
        "image.sharpness > 20 and label = 'x''y'",
        "percent_rank() over (order by a) > 0.1",
        "a > (select avg(a) from samples)",
        "a in (with t as (select 1 as q) select q from t)",
        "count(*) > 1",
        "exists (values (1))",
        "a > 1 -- more",
        "created > timestamp '2026-03-01'",
        "age(created, timestamp '2026-03-01') > interval 3 days",
    ],
)
def test_an_expression_over_samples_is_sound(text: str) -> None:
    assert expressions.faults(text) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("a >", "syntax error"),
        ("a like 'x", "unterminated"),
        ("1), (2", "one expression"),
        ("true); drop table samples; select (true", "SELECT"),
        ("true limit 1", "syntax error"),
        ("1) from samples where (2", "syntax error"),
        ("a in (select content from read_text('/etc/passwd'))", r"no tables but samples: read_text\(\)"),
        ("a in (select a from 'x.parquet')", "no tables but samples: 'x.parquet'"),
        ("a > (select count(*) from range(9))", "no tables but samples: range"),
        ("a in (select * from duckdb_settings())", "no tables but samples"),
        ("a > $1", "a parameter"),
        ("random() < 0.5", r"random\(\) gives something else each time"),
        ("a > 3 or RANDOM() < 0.5", "something else each time"),
        ("uuid() > key", "something else each time"),
        ("sleep_ms(10) is null", "something else each time"),
        ("created > now()", r"now\(\) gives something else each time"),
        ("created > today() - 7", "something else each time"),
        ("created > current_date", "current_date gives something else each time"),
        ("created > CURRENT_TIMESTAMP", "CURRENT_TIMESTAMP gives something else each time"),
        ("age(created) > interval 3 days", "give both"),
        ("current_setting('threads') = '2'", "something else each time"),
        ("a > (select avg(a) from samples using sample 10%)", "another one each time"),
        ("a > (select avg(a) from samples tablesample 3 rows)", "another one each time"),
        ("a = '\ud800'", "surrogate"),
    ],
)
def test_other_texts_are_refused(text: str, fault: str) -> None:
    assert any(re.search(fault, told, re.IGNORECASE) for told in expressions.faults(text))


def test_what_is_no_number_is_missing() -> None:
    table = pa.table({"a": pa.array([1.0, float("nan"), None, float("inf")]), "b": pa.array([1, 2, 3, 4])})
    found = expressions.run({"big": '"a" > 0', "half": '"b" / 2'}, table)
    assert found["big"].to_pylist() == [True, None, None, True]
    assert found["half"].to_pylist() == [0.5, 1.0, 1.5, 2.0]


def test_an_expression_gives_one_value_a_sample() -> None:
    with pytest.raises(StoreError, match="6 values for 3 samples"):
        expressions.run({"x": "unnest([1, 2])"}, pa.table({"a": [1, 2, 3]}))


def test_rows_stay_in_order_whatever_a_window_needs() -> None:
    values = [(n * 37) % 101 for n in range(101)]
    found = expressions.run({"rank": "row_number() over (order by a)"}, pa.table({"a": values}))
    assert found["rank"].to_pylist() == [value + 1 for value in values]


def test_what_memory_does_not_hold_goes_neither_beside_the_store_nor_where_one_stands() -> None:
    table = pa.table({"a": [1]})
    (place,) = expressions.run({"x": "current_setting('temp_directory')"}, table)["x"].to_pylist()
    assert Path(place).parent == Path(gettempdir())
    assert not Path(place).exists()  # it went with the query
    asked = expressions.run({"x": "current_setting('temp_directory')"}, table, most_s=120)
    assert asked["x"].to_pylist() == [""]  # somebody else's has no place


def test_what_is_nested_too_deeply_is_told() -> None:
    assert expressions.faults("not " * 990 + "true") != []
