"""A forgotten sample is nowhere in a store's bytes, whatever pinned it, and no run brings it back."""

from __future__ import annotations

import json
import os
import platform
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mmdata
from mmdata.clean.text import KeepLength, NormalizeText
from mmdata.codec.image import DecodeImage
from mmdata.core.pipeline import Pipeline, RunSettings
from mmdata.core.sample import Sample, Text
from mmdata.core.step import Split
from mmdata.engine.compact import compact
from mmdata.engine.options import RunOptions
from mmdata.engine.report import RunReport
from mmdata.engine.runner import plan, run
from mmdata.errors import StoreError
from mmdata.features.image import TinyImage
from mmdata.features.text import TextLength
from mmdata.select.selection import select
from mmdata.source.files import Files
from mmdata.store import forget as module
from mmdata.store import plans, selections, snapshots
from mmdata.store.files import Files as Folder
from mmdata.store.gc import gc
from mmdata.store.store import Recipe, Store
from mmdata.store.verify import verify
from mmdata.testing.build import picture, png_bytes

OPTIONS = RunOptions(settings=RunSettings(shard_samples=4, max_rejects=1), text="# of corpus/007", location="corpus")
N = 10
KEYS = {"stored": "corpus/007", "dropped": "corpus/002", "rejected": "corpus/003"}


@dataclass(frozen=True, kw_only=True)
class Halves(Split[Text]):
    """Two samples of each."""

    on: str = "text"

    def split(self, sample: Sample) -> list[Sample]:
        return [sample.child("9-10"), sample.child("1-2")]


def words(number: int) -> str:
    return f"secret words of number {number:03d}"


def add(folder: Path, number: int) -> None:
    """A picture and a text; 003 is no picture, and 002 too long to keep."""
    folder.mkdir(exist_ok=True)
    image = b"no picture" if number == 3 else png_bytes(picture(16, 12, seed=number))
    (folder / f"{number:03d}.png").write_bytes(image)
    (folder / f"{number:03d}.txt").write_text(words(number) + ("!" * 100 if number == 2 else ""))


def pipeline(folder: Path, **changes: Any) -> Pipeline:
    usual = Pipeline(
        source=Files(str(folder)),
        ingest=(DecodeImage(), NormalizeText(), KeepLength(max_chars=99)),
        features=(TinyImage(), TextLength()),
    )
    return replace(usual, **changes)


def do(folder: Path, store: Path, **changes: Any) -> RunReport:
    return run(pipeline(folder, **changes), str(store), replace(OPTIONS, command="run corpus/007 --store x"))


@pytest.fixture(scope="session")
def _full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shards, of which one was replaced after a snapshot pinned it, a selection, and leftovers of all kinds."""
    root = tmp_path_factory.mktemp("full")
    folder, store = root / "corpus", root / "store"
    for number in range(N):
        add(folder, number)
    do(folder, store)
    Store.open(store).snapshot("first")
    (folder / "008.txt").write_text(words(800))  # its shard has 007, too
    do(folder, store)
    opened = Store.open(store)
    select(opened, "all", split={"train": 0.5, "test": 0.5})
    opened.snapshot("second")
    select(opened, "all", split={"train": 0.2, "test": 0.8})
    compact(opened, RunSettings(shard_samples=40))
    do(folder, store, features=(TinyImage(size_px=4), TextLength()))
    (store / "tmp").mkdir(exist_ok=True)
    (store / "tmp" / "left.part").write_bytes(b"corpus/007 " + words(7).encode())
    orphan = next((store / "media").glob("*.tar"))
    (store / "media" / ("f" * 16 + orphan.name[16:])).write_bytes(orphan.read_bytes())
    return root


@pytest.fixture
def full(_full: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Source and store, as `_full` says."""
    subprocess.run(["cp", "-a", f"{_full}/store", f"{_full}/corpus", str(tmp_path)], check=True)
    return tmp_path / "corpus", tmp_path / "store"


def texts(value: object) -> Iterator[bytes]:
    """All strings and bytes within a value."""
    if isinstance(value, str):
        yield value.encode("utf-8", "surrogateescape")
    elif isinstance(value, bytes):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from texts(key)
            yield from texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from texts(each)


def traces(store: Path, *needles: bytes) -> list[str]:
    """Where in all bytes of a folder something is, also within compressed columns."""
    found = []
    for path in sorted(store.rglob("*")):
        if not path.is_file():
            continue
        haystacks = [path.read_bytes(), str(path.relative_to(store)).encode()]
        if path.suffix == ".parquet":
            haystacks += list(texts(pq.read_table(path, partitioning=None).to_pylist()))
        if any(needle in hay for needle in needles for hay in haystacks):
            found.append(str(path.relative_to(store)))
    return found


def needles_of(folder: Path, number: int) -> tuple[bytes, ...]:
    key, name = f"corpus/{number:03d}", f"{number:03d}."
    picture_of = (folder / f"{number:03d}.png").read_bytes()
    return key.encode(), words(number).encode(), picture_of[-40:], f'"{name}png'.encode(), f"{name}txt".encode()


@pytest.mark.parametrize("what", KEYS)
def test_nothing_of_it_is_left_in_any_byte(full: tuple[Path, Path], what: str) -> None:
    folder, store = full
    key = KEYS[what]
    needles = needles_of(folder, int(key[-3:]))
    assert len({path.split("/")[0] for path in traces(store, *needles)}) >= (5 if what == "stored" else 2)
    others = set(Store.open(store).keys()) - {key}
    done = Store.open(store).forget(key)
    assert (done.samples, done.drops, done.rejects) == tuple(int(name == what) for name in KEYS)
    assert done.snapshots == ["first", "second"]
    assert done.selections == (["all"] if what == "stored" else [])
    assert traces(store, *needles) == []
    opened = Store.open(store)
    assert verify(opened).is_sound
    assert set(opened.keys()) == others
    for name in opened.snapshots():
        pinned = Store.open(store, snapshot=name)
        assert set(pinned.keys()) == others
        assert len(pinned.arrays("image.tiny")) == len(others)
        assert set(pinned.selection("all")["key"].to_pylist()) == others
    assert set(selections.read(Folder.at(str(store)), "all")["key"].to_pylist()) == others


def test_a_run_does_not_bring_it_back_and_has_nothing_else_to_do(full: tuple[Path, Path]) -> None:
    folder, store = full
    features = {"features": (TinyImage(size_px=4), TextLength())}
    Store.open(store).forget(KEYS["stored"])
    before = {file.path for file in Store.open(store).view().files()}
    todo = plan(pipeline(folder, **features), str(store), OPTIONS)
    assert (todo.is_empty, todo.forgotten, todo.entries) == (True, 1, N - 1)
    report = do(folder, store, **features)
    assert (report.counts.read, {file.path for file in Store.open(store).view().files()}) == (0, before)
    (folder / "007.txt").write_text("it changed")
    add(folder, 11)
    do(folder, store, **features)
    assert KEYS["stored"] not in Store.open(store).keys()  # noqa: SIM118  a store is no mapping
    assert "corpus/011" in Store.open(store).keys()  # noqa: SIM118
    places = {path.split("/")[0] for path in traces(store, b"corpus/007")}
    assert places == {"runs"}  # the text of a pipeline that names it is recorded anew by each run


def test_the_record_says_when_and_how_many_but_not_whom(full: tuple[Path, Path]) -> None:
    store = Store.open(full[1])
    store.forget(KEYS["stored"])
    [path] = (full[1] / "forgotten").glob("*.json")
    record = json.loads(path.read_text())
    assert (record["state"], record["counts"]["samples"], len(record["hashes"])) == ("done", 1, 1)
    assert "007" not in json.dumps(record["hashes"])
    assert KEYS["stored"] in store.forgotten()
    assert "corpus/008" not in store.forgotten()


def test_a_damaged_record_stops_runs_rather_than_let_the_sample_back(full: tuple[Path, Path]) -> None:
    folder, store = full
    Store.open(store).forget(KEYS["stored"])
    [path] = (store / "forgotten").glob("*.json")
    for text in ("{", "[]", '{"format": 99, "hashes": []}'):
        path.write_text(text)
        with pytest.raises(StoreError, match="can't be read, so runs can't heed it"):
            do(folder, store)


def test_a_dry_run_changes_nothing_and_says_the_same(full: tuple[Path, Path]) -> None:
    store = full[1]
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    would = Store.open(store).forget(KEYS["stored"], dry_run=True)
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before
    done = Store.open(store).forget(KEYS["stored"])
    assert (would.counts, would.snapshots, would.selections) == (done.counts, done.snapshots, done.selections)


def test_a_key_that_was_never_there_is_an_error_with_a_guess_and_nothing_changes(full: tuple[Path, Path]) -> None:
    store = full[1]
    with pytest.raises(StoreError, match=r"no sample 'corpus/07'.*did you mean 'corpus/00"):
        Store.open(store).forget("corpus/07", KEYS["stored"])
    with pytest.raises(StoreError, match="no key was given"):
        Store.open(store).forget()
    assert KEYS["stored"] in Store.open(store).keys()  # noqa: SIM118
    assert not (store / "forgotten").exists()


def test_forgetting_again_is_no_error(full: tuple[Path, Path]) -> None:
    store = Store.open(full[1])
    store.forget(KEYS["stored"])
    again = store.forget(KEYS["stored"])
    assert (again.counts["samples"], again.snapshots) == (0, [])


def test_all_samples_of_a_shard_can_go_and_all_of_a_store(full: tuple[Path, Path]) -> None:
    folder, store = full
    Store.open(store).forget(*[f"corpus/{number:03d}" for number in range(4)])
    assert verify(Store.open(store)).is_sound
    Store.open(store).forget(*[f"corpus/{number:03d}" for number in range(4, N)])
    opened = Store.open(store)
    assert (len(opened), opened.keys(), verify(opened).is_sound) == (0, [], True)
    assert traces(store, b"corpus/00") == []
    assert do(folder, store).counts.read == 0


def test_children_go_with_their_sample_and_lookalikes_stay(tmp_path: Path) -> None:
    folder, store = tmp_path / "corpus", tmp_path / "store"
    for number in range(3):
        add(folder, number)
    for name in ("000@2x", "000@2x@3"):
        for ending in ("png", "txt"):
            (folder / f"{name}.{ending}").write_bytes((folder / f"001.{ending}").read_bytes())
    do(folder, store, ingest=(NormalizeText(), Halves()))
    assert len(Store.open(store)) == 10
    with pytest.raises(StoreError, match="forget 'corpus/000', and all"):
        Store.open(store).forget("corpus/000@9-10")
    Store.open(store).forget("corpus/000")
    left = sorted(Store.open(store).keys())
    assert left == sorted(
        f"corpus/{name}@{part}" for name in ("000@2x", "000@2x@3", "001", "002") for part in ("1-2", "9-10")
    )
    assert traces(store, b"corpus/000@9", words(0).encode()) == []
    Store.open(store).forget("corpus/000@2x")
    assert sorted(Store.open(store).keys()) == [
        key for key in left if not key.startswith(("corpus/000@2x@1", "corpus/000@2x@9"))
    ]
    assert verify(Store.open(store)).is_sound


def test_it_gives_way_to_a_run(full: tuple[Path, Path]) -> None:
    store = Store.open(full[1])
    machine = {"host": platform.node(), "pid": os.getpid()}
    record = store.start_run(command="test", recipe=Recipe("f" * 16), machine=machine)
    with pytest.raises(StoreError, match=r"a run is going on .* forget gives way"):
        store.forget(KEYS["stored"])
    store.finish_run(record, counts={}, seconds=0)
    assert KEYS["stored"] in store.keys()  # noqa: SIM118
    assert store.forget(KEYS["stored"]).samples == 1


def test_a_run_that_looked_before_heeds_it(full: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, store = full
    start = Store.start_run

    def later(self: Store, **settings: Any) -> str:
        with monkeypatch.context() as patch:
            patch.setattr(Store, "start_run", start)
            Store.open(store).forget(KEYS["stored"])
        return start(self, **settings)

    monkeypatch.setattr(Store, "start_run", later)
    do(folder, store, features=(TinyImage(size_px=5), TextLength()))
    assert KEYS["stored"] not in Store.open(store).keys()  # noqa: SIM118
    assert verify(Store.open(store)).is_sound


def test_what_a_killed_run_left_half_replaced_is_not_stored_twice(
    full: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plan changed, data not yet: the old shard has the key, and so has the planned one."""
    folder, store = full
    (folder / "006.txt").write_text("it changed")
    runner = __import__("mmdata.engine.runner", fromlist=["_recorded_work"])
    with monkeypatch.context() as patch:
        patch.setattr(runner, "_recorded_work", lambda *_: None)
        do(folder, store)
    Store.open(store).forget(KEYS["stored"])
    assert traces(store, *needles_of(folder, 7)) == []
    do(folder, store)
    assert sorted(Store.open(store).keys()) == [f"corpus/{n:03d}" for n in range(N) if n not in (2, 3, 7)]
    assert verify(Store.open(store)).is_sound


class Killed(Exception):
    """What stands for a kill between two changes."""


STEPS = ("begin", "replace", "rewritten_selections", "erase_files", "erase_runs", "erase_plans", "end")


@pytest.mark.parametrize("at", range(len(STEPS) + 2))
def test_interrupted_between_any_two_steps_it_can_be_finished(
    full: tuple[Path, Path], at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, store = full
    kept = set(Store.open(store).keys()) - {KEYS["stored"]}

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if at < len(STEPS):
            name = STEPS[at]
            patch.setattr(snapshots if name == "replace" else module, name, killed)
        elif at == len(STEPS):
            patch.setattr(plans, "commit", killed)
        else:
            patch.setattr(module, "apply", killed)
        with pytest.raises(Killed):
            Store.open(store).forget(KEYS["stored"])
    assert verify(Store.open(store)).is_sound
    assert kept <= set(Store.open(store).keys())
    Store.open(store).forget(KEYS["stored"])
    assert traces(store, *needles_of(folder, 7)) == []
    assert set(Store.open(store).keys()) == kept
    assert verify(Store.open(store)).is_sound


SCRIPT = """
import sys
from mmdata.store.store import Store
store = Store.open(sys.argv[1])
print("ready", flush=True)
store.forget("corpus/007")
"""


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.long)])
def test_killed_at_any_moment_it_can_be_finished(full: tuple[Path, Path], seed: int) -> None:
    folder, store = full
    rng = random.Random(seed)
    kept = set(Store.open(store).keys()) - {KEYS["stored"]}
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(store)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0, 0.8))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert verify(Store.open(store)).is_sound
        assert kept <= set(Store.open(store).keys())
    Store.open(store).forget(KEYS["stored"])
    assert traces(store, *needles_of(folder, 7)) == []
    assert set(Store.open(store).keys()) == kept
    assert verify(Store.open(store)).is_sound


def test_other_streams_over_a_snapshot_go_on_without_it(full: tuple[Path, Path]) -> None:
    store = full[1]
    Store.open(store).forget(KEYS["stored"])
    gc(Store.open(store), grace_s=0)
    pinned = mmdata.open(store, snapshot="first")
    keys = [key for batch in mmdata.stream(pinned, ["image.tiny"], batch_size=3, tail="short") for key in batch["key"]]
    assert sorted(keys) == sorted(pinned.keys())
    assert pa.table({"key": keys}).num_rows == N - 3
