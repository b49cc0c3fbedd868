"""The log is a Delta table like any other: others read what we write, and we what they write."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.errors import CommitConflict, SchemaMismatch
from mmdata.store import live as live_module
from mmdata.store import log as log_module
from mmdata.store.files import Files
from mmdata.store.layout import DataFile
from mmdata.store.live import Live, Logged, form
from mmdata.store.log import FamilyLog, Log
from mmdata.store.store import Store
from mmdata.store.tables import delta_schema, logged

Made = Any  # the fixtures' class; conftest can't be imported
SCHEMA = delta_schema("drops", {})
VALUES = logged("drops")


def entry(name: str, size: int = 1, **values: str) -> Logged:
    return Logged(name, size, 2, {**dict.fromkeys(VALUES, ""), "shard": name[0], **values})


def as_deltalake_has_it(log: Log) -> dict[str, tuple[int, int, dict[str, str]]]:
    rows = pa.table(DeltaTable(log._uri).get_add_actions(flatten=True)).to_pylist()
    return {
        row["path"]: (row["size_bytes"], row["num_records"], {name: row[f"partition.{name}"] or "" for name in VALUES})
        for row in rows
    }


def as_we_have_it(log: Log) -> dict[str, tuple[int, int, dict[str, str]]]:
    return {name: (each.size_bytes, each.rows, dict(each.values)) for name, each in log.live().items()}


names = st.sampled_from([f"{shard}{number}" for shard in "ab" for number in range(4)])
commits = st.lists(
    st.tuples(st.lists(names, unique=True, max_size=4), st.lists(names, unique=True, max_size=3), st.booleans()),
    min_size=1,
    max_size=6,
)


@given(commits)
@settings(max_examples=20, deadline=None)
def test_deltalake_and_we_see_the_same_files_after_any_commits(
    changes: list[tuple[list[str], list[str], bool]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        writer = Log(Files.at(folder), "drops")
        old = Log(Files.at(folder), "drops")
        for number, (adds, removes, summed_up) in enumerate(changes):

            def decide(live: Live, adds: list[str] = adds, removes: list[str] = removes, n: int = number) -> Any:
                gone = [live[name] for name in removes if name in live and name not in adds]
                return [
                    entry(name, n, source=f"é {n}%20") for name in adds if name not in live or name in removes
                ], gone

            writer.commit(decide, SCHEMA, txn=("app", number))
            if summed_up and writer.refresh() >= 0:
                DeltaTable(writer._uri).create_checkpoint()
            if number % 2:
                old.refresh()
        fresh = Log(Files.at(folder), "drops")
        if fresh.refresh() < 0:
            return
        old.refresh()
        assert as_we_have_it(writer) == as_we_have_it(fresh) == as_we_have_it(old) == as_deltalake_has_it(fresh)
        assert writer.transaction("app") == fresh.transaction("app")
        for log in (writer, fresh, old):
            assert sorted(each.name for each in log.live().values()) == sorted(log.live()) == sorted(as_we_have_it(log))
            assert len(log.live()) == len(as_we_have_it(log))
            found = {each.name for each in log.live().of_shards(["a"])}
            assert found == {name for name in log.live() if name.startswith("a")}


def test_what_deltalake_commits_is_seen(made: Made) -> None:
    from deltalake.transaction import AddAction, RemoveAction

    log = Log(Files.at(made.url), "drops")
    log.commit(lambda live: ([entry("a"), entry("b")], []), SCHEMA)
    table = DeltaTable(log._uri)
    values = {**dict.fromkeys(VALUES), "shard": "c", "source": "a/b=ü"}
    adds = [AddAction("c d", 5, values, 0, True, '{"numRecords": 7}')]
    removes = [RemoveAction("a", True, 0, 1, dict.fromkeys(VALUES))]
    table.create_write_transaction([*adds, *removes], "append", table.schema(), list(VALUES))
    for seen in (log, Log(Files.at(made.url), "drops")):
        assert seen.refresh() == 2
        assert set(seen.live()) == set(as_we_have_it(seen)) == {"b", "c d"}
        assert seen.live()["c d"] == Logged("c d", 5, 7, {name: value or "" for name, value in values.items()})


def test_a_log_whose_old_commits_are_gone_is_read_from_its_checkpoint(made: Made) -> None:
    writer, old = (Log(Files.at(made.url), "drops") for _ in range(2))
    writer.commit(lambda live: ([entry("a")], []), SCHEMA, txn=("app", 5))
    old.refresh()
    writer.commit(lambda live: ([entry("b")], [live["a"]]), SCHEMA)
    writer.commit(lambda live: ([entry("c")], []), SCHEMA)
    DeltaTable(writer._uri).create_checkpoint()
    for path in Path(writer._uri, "_delta_log").glob("*.json"):
        path.unlink()
    for log in (old, writer, Log(Files.at(made.url), "drops")):
        assert log.refresh() == 3
        assert set(log.live()) == {"b", "c"}
        assert log.transaction("app") == 5
    assert old.commit(lambda live: ([entry("d")], []), SCHEMA)
    assert (writer.refresh(), set(writer.live())) == (4, {"b", "c", "d"})


def test_every_so_many_commits_a_checkpoint_is_made(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "CHECKPOINT_EVERY", 3)
    log = Log(Files.at(made.url), "drops")
    for number in range(7):
        log.commit(lambda live, n=number: ([entry(f"a{n}")], []), SCHEMA)  # type: ignore[misc]
    folder = Path(made.url, "drops", "_delta_log")
    assert [path.name[17:20] for path in sorted(folder.glob("*.checkpoint.parquet"))] == ["003", "006"]
    assert len(Log(Files.at(made.url), "drops").live()) == 0
    fresh = Log(Files.at(made.url), "drops")
    assert (fresh.refresh(), len(fresh.live())) == (7, 7)


def test_a_checkpoint_waits_until_it_is_worth_its_cost(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "CHECKPOINT_EVERY", 2)
    monkeypatch.setattr(log_module, "CHECKPOINT_SURELY", 6)
    log = Log(Files.at(made.url), "drops")
    log.commit(lambda live: ([entry(f"b{n}") for n in range(1000)], []), SCHEMA)
    for number in range(12):
        # once, another writer goes on from the log as it stands
        writer = Log(Files.at(made.url), "drops") if number == 6 else log
        writer.commit(lambda live, n=number: ([entry(f"a{n}")], []), SCHEMA)  # type: ignore[misc]
    folder = Path(made.url, "drops", "_delta_log")
    assert [path.name[17:20] for path in sorted(folder.glob("*.checkpoint.parquet"))] == ["002", "008"]


def test_many_changes_are_folded_into_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "FOLD_ABOVE", 3)
    live = Live(form(VALUES).empty_table())
    kept: dict[str, Logged] = {}
    for number in range(20):
        kept[f"n{number}"] = entry(f"n{number}")
        gone = [f"n{number - 3}"] if number % 2 else []
        kept = {name: each for name, each in kept.items() if name not in gone}
        live = live.changed([entry(f"n{number}")], gone)
        assert dict(live.items()) == kept
        assert len(live) == len(kept)
    assert "n0" not in live
    assert live.get("none") is None


def test_a_table_of_an_older_form_is_refused(made: Made) -> None:
    plain = [field for field in delta_schema("plans", {}) if field.name != "holds"]
    DeltaTable.create(f"{made.url}/plans", schema=pa.schema(plain), partition_by=["source", "version", "digest"])
    with pytest.raises(SchemaMismatch, match="plans: the log lacks 'holds': another mmdata made it"):
        Store.open(made.url).plan("src")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"add": {"path": "x"}}', "is damaged: KeyError"),
        ("{", "is damaged: JSONDecodeError"),
        ('{"protocol": {"minReaderVersion": 3, "minWriterVersion": 7}}', "raised the table's protocol to 3 and 7"),
        ('{"add": {"path": "x", "size": 1, "partitionValues": {}, "deletionVector": {"a": 1}}}', "deleted by another"),
    ],
)
def test_commits_that_are_not_understood_stop_the_reader(made: Made, line: str, told: str) -> None:
    log = Log(Files.at(made.url), "drops")
    log.commit(lambda live: ([entry("a")], []), SCHEMA)
    Path(log._uri, "_delta_log", f"{2:020}.json").write_text(line)
    with pytest.raises(SchemaMismatch, match=told):
        log.refresh()
    Path(log._uri, "_delta_log", "_last_checkpoint").write_text("[]")
    with pytest.raises(SchemaMismatch, match="_last_checkpoint is damaged"):
        Log(Files.at(made.url), "drops").refresh()


def test_a_commit_that_another_was_first_with_leaves_nothing_behind(made: Made) -> None:
    log = Log(Files.at(made.url), "drops")
    log.commit(lambda live: ([entry("a")], []), SCHEMA)
    other = Log(Files.at(made.url), "drops")

    def decide(live: Live) -> Any:
        other.commit(lambda live: ([entry("b")] if "b" not in live else [], []), SCHEMA)
        return [entry("c")], []

    assert log.commit(decide, SCHEMA)
    assert sorted(log.live()) == ["a", "b", "c"]
    assert list(Path(made.url, "tmp").iterdir()) == []
    lines = Path(log._uri, "_delta_log", f"{3:020}.json").read_text().splitlines()
    assert [next(iter(json.loads(line))) for line in lines] == ["commitInfo", "add"]


def test_a_commit_costs_what_it_changes(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many files are live, few of them become objects."""
    log = FamilyLog(Files.at(made.url), "drops")

    def file(number: int) -> DataFile:
        return DataFile("drops", f"drops/{number}.parquet", f"{number}", "f", "k", 1, 1, "d")

    log.change([file(number) for number in range(2000)], [], SCHEMA)
    fresh = FamilyLog(Files.at(made.url), "drops")
    fresh.refresh()
    looked_at: list[int] = []
    real = live_module.logged_at

    def counted(files: live_module.Columns, row: int) -> Logged:
        looked_at.append(row)
        return real(files, row)

    monkeypatch.setattr(live_module, "logged_at", counted)
    monkeypatch.setattr(Live, "values", lambda self: pytest.fail("all files were looked at"))
    assert fresh.change([file(3000)], [file(7)], SCHEMA)
    assert not fresh.change([file(3000)], [], SCHEMA)
    with pytest.raises(CommitConflict):
        fresh.change([file(3001)], [file(7)], SCHEMA)
    assert len(looked_at) < 10
