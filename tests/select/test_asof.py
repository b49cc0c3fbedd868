from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.errors import ConfigError
from mmdata.select import as_of
from mmdata.select.asof import AsOf, write_as_of

START = datetime(2026, 3, 1, tzinfo=UTC)
Row = dict[str, Any]


def at(hours: float | None) -> datetime | None:
    return None if hours is None else START + timedelta(hours=hours)


def table(rows: list[Row], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist(rows, schema)


FEATURES = pa.schema(
    {
        "user": pa.string(),
        "event_time": pa.timestamp("us", "UTC"),
        "created_time": pa.timestamp("us", "UTC"),
        "n": pa.int32(),
    }
)
SAMPLES = pa.schema({"key": pa.string(), "who": pa.string(), "when": pa.timestamp("us", "UTC")})


def row(user: str | None, event: float | None, created: float | None, n: int) -> Row:
    return {"user": user, "event_time": at(event), "created_time": at(created), "n": n}


def asked(who: str | None, when: float | None) -> Row:
    return {"key": "k", "who": who, "when": at(when)}


def found(samples: list[Row], rows: list[Row], **settings: Any) -> list[int | None]:
    joined = as_of(
        table(samples, SAMPLES), table(rows, FEATURES), entity={"who": "user"}, time="when", **settings
    ).read_all()
    assert joined.select(SAMPLES.names).equals(table(samples, SAMPLES))
    return list(joined["n"].to_pylist())


def expected(sample: Row, rows: list[Row], max_age: timedelta | None) -> int | None:
    """One sample at a time, straight from the definition."""
    best: tuple[datetime, datetime, int] | None = None
    for number, each in enumerate(rows):
        event, created = each["event_time"], each["created_time"] or each["event_time"]
        if sample["who"] is None or sample["when"] is None or each["user"] != sample["who"] or event is None:
            continue
        if event > sample["when"] or created > sample["when"]:
            continue
        best = max(best or (event, created, number), (event, created, number))
    if best is None or (max_age is not None and sample["when"] - best[0] > max_age):
        return None
    return int(rows[best[2]]["n"])


hours = st.none() | st.integers(0, 6)
users = st.sampled_from([None, "a", "b", "c"])


@given(
    samples=st.lists(st.builds(asked, users, hours), max_size=8),
    rows=st.lists(st.builds(row, users, hours, hours, st.integers(0, 99)), max_size=14),
    age=st.none() | st.integers(0, 4),
)
@settings(deadline=None, max_examples=40)
def test_each_sample_sees_what_was_known_at_its_time(samples: list[Row], rows: list[Row], age: int | None) -> None:
    max_age = None if age is None else timedelta(hours=age)
    seconds = None if max_age is None else max_age.total_seconds()
    assert found(samples, rows, max_age_s=seconds) == [expected(each, rows, max_age) for each in samples]


def test_a_late_row_is_not_seen_before_it_came() -> None:
    rows = [row("a", 1, 1, 1), row("a", 2, 5, 2), row("a", 3, 3, 3), row("a", 1, 6, 4)]
    samples = [asked("a", hour) for hour in (0.5, 1, 2, 3, 5, 7)]
    assert found(samples, rows) == [None, 1, 1, 3, 3, 3]


def test_a_correction_is_seen_from_its_creation_on() -> None:
    rows = [row("a", 1, 1, 1), row("a", 1, 4, 2)]
    assert found([asked("a", 3), asked("a", 4)], rows) == [1, 2]


def test_the_last_of_rows_with_equal_times_is_seen() -> None:
    assert found([asked("a", 3)], [row("a", 1, 2, n) for n in (5, 9, 7)]) == [7]


def test_an_age_is_inclusive_and_counts_from_the_event() -> None:
    rows = [row("a", 1, 2, 1)]
    samples = [asked("a", 3), asked("a", 3.001)]
    assert found(samples, rows, max_age_s=7200) == [1, None]
    assert found([asked("a", 2), asked("a", 1)], rows, max_age_s=0) == [None, None]
    assert found([asked("a", 2)], [row("a", 2, 1, 8)], max_age_s=0) == [8]


def test_a_row_that_is_too_old_is_not_replaced_by_an_older_one_or_a_later_one() -> None:
    rows = [row("a", 1, 1, 1), row("a", 2, 2, 2)]
    assert found([asked("a", 9)], rows, max_age_s=3600) == [None]


def test_times_are_instants_in_whatever_zone_and_type() -> None:
    samples = pa.table({"who": [1, 1], "when": ["2026-03-01T13:00:00+02:00", "2026-03-01 10:59:59.999999"]})
    for kind in (pa.timestamp("s", "America/New_York"), pa.timestamp("ns", "UTC"), pa.timestamp("ms"), pa.int64()):
        event = pa.array([int((START + timedelta(hours=11)).timestamp())], pa.int64())
        event = event if pa.types.is_integer(kind) else event.cast(pa.timestamp("s")).cast(kind)
        rows = pa.table({"user": ["1"], "event_time": event, "n": [7]})
        joined = as_of(samples, rows, entity={"who": "user"}, time="when", created_time=None).read_all()
        assert joined["n"].to_pylist() == [7, None], kind
        assert joined["feature_time"].to_pylist() == [START + timedelta(hours=11), None]


def test_what_is_finer_than_a_microsecond_is_never_seen_early() -> None:
    samples = pa.table({"who": [1, 1], "when": pa.array([1_500, 2_000], pa.timestamp("ns"))})
    rows = pa.table({"user": [1], "event_time": pa.array([1_600], pa.timestamp("ns")), "n": [7]})
    joined = as_of(samples, rows, entity={"who": "user"}, time="when", created_time=None).read_all()
    assert joined["n"].to_pylist() == [None, 7]


def test_several_entities_are_all_compared() -> None:
    samples = pa.table({"who": ["a", "a"], "what": [1, 2], "when": [10, 10]})
    rows = pa.table({"user": ["a", "b"], "item": [1, 2], "event_time": [5, 5], "x": [0.5, 0.25]})
    joined = as_of(samples, rows, entity={"who": "user", "what": "item"}, time="when", created_time=None).read_all()
    assert joined["x"].to_pylist() == [0.5, None]


@pytest.mark.parametrize("samples", [0, 3])
@pytest.mark.parametrize("rows", [0, 2])
def test_what_is_empty_gives_nothing(samples: int, rows: int) -> None:
    assert found([asked("z", 1)] * samples, [row("a", 0, 0, 1)] * rows) == [None] * samples


def test_columns_keep_their_types(tmp_path: Path) -> None:
    values = {
        "words": pa.array([["a", "b"], None], pa.list_(pa.string())),
        "money": pa.array([1, 2]).cast(pa.decimal128(30, 4)),
        "day": pa.array([3, 4], pa.date32()),
        "half": pa.array([0.5, 1.5], pa.float32()),
        "data": pa.array([b"\x00\xff", b""], pa.binary()),
    }
    rows = pa.table({"user": [1, 2], "event_time": [5, 5], **values})
    pq.write_table(rows, tmp_path / "rows.parquet")
    samples = pa.table({"who": [1, 2, 3], "when": [9, 9, 9]})
    for features in (rows, rows.to_reader(1), tmp_path / "rows.parquet", tmp_path):
        joined = as_of(samples, features, entity={"who": "user"}, time="when", created_time=None).read_all()
        for name, column in values.items():
            assert joined[name].type == column.type
            assert joined[name].to_pylist() == [*column.to_pylist(), None]


def test_a_file_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    samples, rows = table([asked("a", 3), asked("b", 3)], SAMPLES), table([row("a", 1, 1, 7)], FEATURES)
    asked_for = AsOf(entity={"who": "user"}, time="when")
    assert write_as_of(as_of(samples, rows, asked_for), tmp_path / "out.parquet") == (2, 1)
    assert pq.read_table(tmp_path / "out.parquet")["n"].to_pylist() == [7, None]
    late = pa.table({"user": ["a"], "event_time": ["never"], "created_time": [1], "n": [2]})
    with pytest.raises(ConfigError, match="event_time: 'never' is no time in ISO 8601"):
        write_as_of(as_of(samples, late, asked_for), tmp_path / "other.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]


def test_temporary_files_go_when_a_result_is_let_go_of(tmp_path: Path) -> None:
    samples, rows = table([asked("a", 3)] * 9, SAMPLES), table([row("a", 1, 1, 7)], FEATURES)
    reader = as_of(samples, rows, entity={"who": "user"}, time="when", folder=tmp_path)
    assert reader.read_next_batch().num_rows == 9
    assert len(list(tmp_path.iterdir())) == 1
    reader.close()
    del reader
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"entity": {}}, "entity: which columns"),
        ({"max_age_s": -1}, "max_age_s: must be a number of seconds"),
        ({"max_age_s": float("nan")}, "max_age_s: must be a number of seconds"),
        ({"memory_bytes": 10}, "memory_bytes: must be at least 64,000,000"),
        ({"entity": {"who": "usr"}}, "the features have no column 'usr', did you mean 'user'"),
        ({"time": "wen"}, "the samples have no column 'wen', did you mean 'when'"),
        ({"created_time": "made"}, "created_time: the features have no column 'made'"),
        ({"columns": ["m"]}, "columns: the features have no column 'm'"),
        ({"entity": {"who": "event_time"}}, "whole numbers, texts and truth values can be compared"),
        ({"time": "key"}, "key: 'k' is no time in ISO 8601"),
    ],
)
def test_what_can_not_work_is_refused(given: dict[str, Any], told: str) -> None:
    settings = {"entity": {"who": "user"}, "time": "when", **given}
    with pytest.raises(ConfigError, match=told):
        as_of(table([asked("a", 3)], SAMPLES), table([row("a", 1, 1, 7)], FEATURES), **settings).read_all()


def test_names_of_two_columns_are_refused_and_quotes_in_names_do_no_harm() -> None:
    samples = pa.table({"x": [1], 'w"; DROP': [5]})
    rows = pa.table({"x": [1], "event_time": [2], 'n"; --': [3]})
    joined = as_of(samples, rows, entity={"x": "x"}, time='w"; DROP', created_time=None).read_all()
    assert joined['n"; --'].to_pylist() == [3]
    with pytest.raises(ConfigError, match="'x' is the name of two columns"):
        as_of(samples, rows, entity={"x": "x"}, time='w"; DROP', created_time=None, columns=["x"])


@pytest.mark.slow
def test_memory_is_bounded_however_many_rows_there_are(tmp_path: Path) -> None:
    code = """
        import sys
        import numpy as np
        import pyarrow as pa
        from mmdata.select import as_of
        from mmdata.testing.peaks import peak_bytes

        rng = np.random.default_rng(0)
        schema = pa.schema({"user": pa.int64(), "event_time": pa.int64(), **{f"c{n}": pa.float64() for n in range(8)}})
        def batches():
            for _ in range(int(sys.argv[1])):
                columns = [rng.integers(0, 3, 50_000), rng.integers(0, 10**9, 50_000), *rng.random((8, 50_000))]
                yield pa.record_batch([pa.array(column) for column in columns], schema=schema)
        samples = pa.table({"who": rng.integers(0, 3, 1000), "when": rng.integers(0, 10**9, 1000)})
        rows = pa.RecordBatchReader.from_batches(schema, batches())
        found = as_of(samples, rows, entity={"who": "user"}, time="when", created_time=None, memory_bytes=64_000_000,
                      folder=sys.argv[2]).read_all()
        assert found["c7"].null_count < 10
        print(peak_bytes() // 1_000_000)
    """
    used = []
    for n in (1, 25):  # 4 MB and 100 MB of rows
        command = [sys.executable, "-c", textwrap.dedent(code), str(n), str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ})
        used.append(int(done.stdout))
    assert used[1] - used[0] < 96, used
