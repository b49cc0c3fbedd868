"""Two writers at once: nothing is lost, nothing is there twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mmdata.errors import CommitConflict
from mmdata.store import log as log_module
from mmdata.store.files import Files
from mmdata.store.layout import DataFile
from mmdata.store.log import FamilyLog, Log, Logged
from mmdata.store.store import Store
from mmdata.store.tables import delta_schema

Made = Any  # the fixtures' class; conftest can't be imported
SCHEMA = delta_schema("drops", {})


def logged(name: str) -> Logged:
    return Logged(name, 1, 2, dict.fromkeys(("source", "shard", "fp", "keys", "digest"), name))


def drop_file(name: str, shard: str) -> DataFile:
    return DataFile("drops", f"drops/{name}", shard, "f" * 16, "k" * 12, 1, 1, "d" * 32, "src")


COMMITTER = """
import sys
from mmdata.store.layout import DataFile
from mmdata.store.store import Change, Store
url, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = Store.open(url)
print("ready", flush=True)
sys.stdin.readline()
for number in range(count):
    shard = f"{name}{number:015x}"
    def file(family):
        return DataFile(family, f"{family}/{shard}.parquet", shard, "f" * 16, "k" * 12, 1, 1, "d" * 32, "src")
    changes = [Change("samples", add=[file("samples")]), Change("drops", add=[file("drops")])]
    store.commit(changes, txn=("run:" + name, number))
"""


def test_two_processes_that_commit_at_once_lose_nothing(made: Made) -> None:
    def start(name: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", COMMITTER, made.url, name, "6"]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    processes = [start("a"), start("b")]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    store = Store.open(made.url)
    shards = {f"{name}{number:015x}" for name in "ab" for number in range(6)}
    for family in ("samples", "drops"):
        assert [file.shard for file in store.files(family)] == sorted(shards)


def test_two_logs_made_at_once_are_one(made: Made) -> None:
    first, second = (Log(Files.at(made.url), "drops") for _ in range(2))
    assert (first.refresh(), second.refresh()) == (-1, -1)
    first.commit(lambda live: ([logged("a")], []), SCHEMA)
    second.commit(lambda live: ([logged("b")], []), SCHEMA)
    first.refresh()
    assert set(first.live()) == set(second.live()) == {"a", "b"}


def test_a_writer_that_was_second_decides_again(made: Made) -> None:
    first, second = (Log(Files.at(made.url), "drops") for _ in range(2))
    first.commit(lambda live: ([logged("a")], []), SCHEMA)
    second.refresh()
    seen: list[set[str]] = []

    def decide(live: Any) -> Any:
        if not seen:
            first.commit(lambda live: ([logged("b")], []), SCHEMA)  # Delta alone sees no conflict in that
        seen.append(set(live))
        return [logged("c")], []

    assert second.commit(decide, SCHEMA)
    assert seen == [{"a"}, {"a", "b"}]
    assert set(second.live()) == {"a", "b", "c"}


def test_a_writer_that_is_always_second_gives_up(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "ATTEMPTS", 3)
    first, second = (Log(Files.at(made.url), "drops") for _ in range(2))
    count = iter(range(100))

    def decide(live: Any) -> Any:
        first.commit(lambda live: ([logged(f"a{next(count)}")], []), SCHEMA)
        return [logged("b")], []

    with pytest.raises(CommitConflict, match="first 3 times"):
        second.commit(decide, SCHEMA)
    first.refresh()
    assert "b" not in first.live()


def test_a_transaction_of_another_process_is_not_repeated(made: Made) -> None:
    first, second = (Log(Files.at(made.url), "drops") for _ in range(2))
    assert first.commit(lambda live: ([logged("a")], []), SCHEMA, txn=("run", 3))
    assert not second.commit(lambda live: ([logged("b")], []), SCHEMA, txn=("run", 3))
    assert not second.commit(lambda live: ([logged("b")], []), SCHEMA, txn=("run", 2))
    assert second.commit(lambda live: ([logged("b")], []), SCHEMA, txn=("other", 0))
    assert (second.transaction("run"), second.transaction("other"), second.transaction("none")) == (3, 0, -1)


def test_the_log_says_of_a_file_all_that_was_committed(filled: Made) -> None:
    files = filled.samples(9)
    filled.commit(*files, filled.phash(9))
    store = Store.open(filled.url)
    [samples] = [file for file in store.files("samples") if file.shard == filled.shard_id(9)]
    assert samples == files[0]
    for file in [*store.files("samples"), *store.files("image.phash"), *store.files("rejects")]:
        assert Files.at(filled.url).measure(file.path) == (file.size_bytes, file.digest)


def test_removing_what_is_gone_is_no_conflict_but_replacing_it_is(made: Made) -> None:
    log = FamilyLog(Files.at(made.url), "drops")
    file, other = drop_file("a", "1"), drop_file("b", "2")
    log.change([file], [], SCHEMA)
    log.change([], [file], None)
    assert not log.change([], [file], None)
    with pytest.raises(CommitConflict, match="already replaced a"):
        log.change([other], [file], SCHEMA)
    assert log.files() == []


def test_nothing_is_made_by_looking(made: Made) -> None:
    store = Store.open(made.url)
    assert store.files("drops") == store.files("image.phash") == []
    assert not (Path(made.url) / "drops").exists()


def test_a_delta_reader_of_another_make_sees_the_live_files(filled: Made) -> None:
    from deltalake import DeltaTable

    table = DeltaTable(f"{filled.url}/features/image.phash")
    assert {"key", "image.phash", "image.phash.score", "image.phash#error", "shard", "fp"} <= {
        field.name for field in table.schema().fields
    }
    assert table.metadata().configuration["delta.enableExpiredLogCleanup"] == "false"
    rows = table.to_pyarrow_dataset().to_table(columns=["key", "image.phash.score", "shard"])
    assert len(rows) == 15
