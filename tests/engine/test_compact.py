"""Small shards become full ones: nothing else changes, whoever is killed, reads or runs meanwhile."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import mmdata
from mmdata.clean.text import KeepLength, NormalizeText
from mmdata.codec.image import DecodeImage
from mmdata.core.pipeline import Pipeline, RunSettings
from mmdata.core.sample import Sample, Text
from mmdata.core.step import Split
from mmdata.engine import compact as module
from mmdata.engine.compact import compact
from mmdata.engine.options import RunOptions
from mmdata.engine.report import RunReport
from mmdata.engine.runner import plan, run
from mmdata.errors import CommitConflict, StoreError
from mmdata.features.image import PerceptualHash
from mmdata.features.text import TextLength
from mmdata.source.files import Files
from mmdata.store import pulse
from mmdata.store.files import Files as Folder
from mmdata.store.gc import gc
from mmdata.store.log import FamilyLog
from mmdata.store.store import Change, Recipe, Store
from mmdata.store.verify import verify
from mmdata.testing.build import picture, png_bytes

SETTINGS = RunSettings(shard_samples=40, max_rejects=1)
OPTIONS = RunOptions(settings=SETTINGS)
ROUNDS, A_ROUND = 6, 5


def add(folder: Path, number: int) -> None:
    """A picture and a text; each seventh is no picture, each fifth too short to keep."""
    folder.mkdir(exist_ok=True)
    image = b"no picture" if number % 7 == 3 else png_bytes(picture(16, 12, seed=number))
    (folder / f"{number:03d}.png").write_bytes(image)
    (folder / f"{number:03d}.txt").write_text("x" if number % 5 == 2 else f"text of number {number}")


def pipeline(folder: Path, **changes: Any) -> Pipeline:
    usual = Pipeline(
        source=Files(str(folder)),
        ingest=(DecodeImage(), NormalizeText(), KeepLength(min_chars=2)),
        features=(PerceptualHash(), TextLength()),
    )
    return replace(usual, **changes)


def do(folder: Path, store: Path, **changes: Any) -> RunReport:
    return run(pipeline(folder, **changes), str(store), OPTIONS)


def grow(root: Path) -> tuple[Path, Path]:
    """A store that was fed in rounds of a few files each, whose keys lie between each other."""
    folder, store = root / "corpus", root / "store"
    for turn in range(ROUNDS):
        for number in range(turn, ROUNDS * A_ROUND, ROUNDS):
            add(folder, number)
        assert do(folder, store).state == "done"
    return folder, store


@pytest.fixture(scope="session")
def _grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("grown")
    grow(root)
    return root


@pytest.fixture
def grown(_grown: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Source and store, as `grow` makes them."""
    subprocess.run(["cp", "-a", str(_grown / "store"), str(tmp_path / "store")], check=True)
    return _grown / "corpus", tmp_path / "store"


def live(store: Path) -> dict[str, bytes]:
    """Bytes by path of all that readers see."""
    view = Store.open(store).view()
    paths = [file.path for file in view.files()]
    paths += [shard.samples.media.path for shard in view.shards if shard.samples.media]
    return {path: (store / path).read_bytes() for path in paths}


def at_once(folder: Path, store: Path) -> dict[str, bytes]:
    assert do(folder, store).state == "done"
    assert len(Store.open(store).view().shards) == 1
    return live(store)


def nothing_left(folder: Path, store: Path) -> bool:
    todo = plan(pipeline(folder), str(store), OPTIONS)
    before = live(store)
    report = do(folder, store)
    return todo.is_empty and (report.counts.read, report.counts.steps) == (0, {}) and live(store) == before


def test_the_bytes_are_those_of_a_run_that_had_all_files_at_once(grown: tuple[Path, Path], tmp_path: Path) -> None:
    folder, store = grown
    assert len(Store.open(store).view().shards) == ROUNDS
    done = compact(Store.open(store), SETTINGS)
    assert [(merge.samples, len(merge.shards)) for merge in done.merges] == [(ROUNDS * A_ROUND, ROUNDS)]
    assert live(store) == at_once(folder, tmp_path / "other")
    assert verify(Store.open(store)).is_sound
    assert Store.open(store).drops().num_rows == 5
    assert Store.open(store).rejects().num_rows == 4


def test_a_run_after_it_has_nothing_to_do_and_neither_has_it_itself(grown: tuple[Path, Path]) -> None:
    folder, store = grown
    compact(Store.open(store), SETTINGS)
    before = live(store)
    assert nothing_left(folder, store)
    again = compact(Store.open(store), SETTINGS)
    assert (again.merges, again.finished) == ([], 0)
    assert live(store) == before


def test_a_dry_run_says_what_would_be_merged_and_writes_nothing(grown: tuple[Path, Path]) -> None:
    store = grown[1]
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    done = compact(Store.open(store), SETTINGS, dry_run=True)
    assert [len(merge.shards) for merge in done.merges] == [ROUNDS]
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("limit", "sizes"), [(10, [10, 10, 10]), (11, [10, 10, 10]), (12, [10, 10, 10]), (9, [5] * 6)])
def test_no_shard_is_above_the_limit_and_none_of_half_of_it_is_touched(
    grown: tuple[Path, Path], limit: int, sizes: list[int]
) -> None:
    settings = replace(SETTINGS, shard_samples=limit)
    store = Store.open(grown[1])
    compact(store, replace(settings, shard_samples=limit + 1) if limit == 10 else settings)
    assert sorted(len(entries) for entries in store.plan("corpus").shards.values()) == sizes


def test_bytes_bound_a_shard_too(grown: tuple[Path, Path]) -> None:
    store = Store.open(grown[1])
    size = max(sum(e.size for e in entries) for entries in store.plan("corpus").shards.values())
    compact(store, replace(SETTINGS, shard_bytes=size * 5 // 2))
    assert sorted(len(entries) for entries in store.plan("corpus").shards.values()) == [10, 10, 10]
    compact(store, replace(SETTINGS, shard_bytes=1))
    assert len(store.plan("corpus").shards) == 3


def test_a_snapshot_keeps_its_files_and_its_order(grown: tuple[Path, Path]) -> None:
    store = grown[1]
    Store.open(store).snapshot("before")

    def batches() -> list[Any]:
        pinned = mmdata.open(store, snapshot="before")
        return [batch["key"] for batch in mmdata.stream(pinned, ["image.phash"], batch_size=4, seed=3)]

    before = batches()
    reader = Store.open(store)
    keys = reader.keys()
    compact(Store.open(store), SETTINGS)
    assert reader.keys() == keys  # from the files that it had a picture of
    gc(Store.open(store), grace_s=0)
    assert batches() == before
    assert sorted(Store.open(store).keys()) == sorted(keys)
    assert verify(Store.open(store)).is_sound


@dataclass(frozen=True, kw_only=True)
class Halves(Split[Text]):
    """Two samples of each."""

    on: str = "text"

    def split(self, sample: Sample) -> list[Sample]:
        return [sample.child("9-10"), sample.child("1-2")]


def test_children_stay_with_their_entry(tmp_path: Path) -> None:
    folder, store = tmp_path / "corpus", tmp_path / "store"
    changes = {"ingest": (NormalizeText(), Halves())}
    for turn in range(2):
        for number in range(turn, 6, 2):
            add(folder, number)
        do(folder, store, **changes)
    compact(Store.open(store), SETTINGS)
    do(folder, tmp_path / "other", **changes)
    assert live(store) == live(tmp_path / "other")
    assert len(Store.open(store)) > 6


def test_shards_that_lack_a_feature_are_not_merged_with_others(grown: tuple[Path, Path]) -> None:
    store = Store.open(grown[1])
    lacking = store.view().shards[0]
    store.commit([Change("image.phash", remove=[lacking.features["image.phash"]])])
    done = compact(store, SETTINGS)
    assert [len(merge.shards) for merge in done.merges] == [ROUNDS - 1]
    assert lacking.shard in {view.shard for view in store.view().shards}
    do(*grown)
    assert [len(merge.shards) for merge in compact(store, SETTINGS).merges] == []  # 25 of 40 are no small shard
    assert verify(store).is_sound


class Killed(Exception):
    """What stands for a kill between two commits."""


@pytest.mark.parametrize(
    ("then", "done"), [*(("run", done) for done in range(7)), ("compact", 0), ("compact", 4), ("compact", 5)]
)
def test_what_was_killed_between_two_commits_is_finished_and_nothing_made_again(
    grown: tuple[Path, Path], tmp_path: Path, then: str, done: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, store = grown
    keys = sorted(Store.open(store).keys())
    change, calls = FamilyLog.change, iter(range(100))

    def killed(self: FamilyLog, *given: Any, **settings: Any) -> set[str]:
        if next(calls) == done:
            raise Killed
        return change(self, *given, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(FamilyLog, "change", killed)
        with suppress(Killed):
            compact(Store.open(store), SETTINGS)
    assert next(calls) > done, "it was over before"
    assert sorted(Store.open(store).keys()) == keys
    assert verify(Store.open(store)).is_sound
    if then == "run":
        report = do(folder, store)
        assert (report.counts.read, report.counts.steps) == (0, {})
    else:
        assert compact(Store.open(store), SETTINGS).merges == []
    assert live(store) == at_once(folder, tmp_path / "other")
    assert {len(Store.open(store).files(family)) for family in ("samples", "image.phash", "drops", "rejects")} == {1}
    assert nothing_left(folder, store)


def test_it_gives_way_to_a_run(grown: tuple[Path, Path]) -> None:
    store = Store.open(grown[1])
    machine = {"host": __import__("platform").node(), "pid": os.getpid()}
    record = store.start_run(command="test", recipe=Recipe("f" * 16), machine=machine)
    with pytest.raises(StoreError, match=r"a run is going on .* compact gives way"):
        compact(store, SETTINGS)
    store.finish_run(record, counts={}, seconds=0)
    assert compact(store, SETTINGS).merges


def test_it_gives_way_to_whoever_plans_meanwhile(grown: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(grown[1])
    written = module._written

    def slow(*given: Any) -> Any:
        made = written(*given)
        version = store.plan("corpus").version
        Store.open(grown[1]).commit_plan("corpus", version, add={})
        return made

    before = live(grown[1])
    monkeypatch.setattr(module, "_written", slow)
    with pytest.raises(CommitConflict, match="plan"):
        compact(store, SETTINGS)
    assert live(grown[1]) == before
    assert nothing_left(*grown)


def test_a_run_that_looked_before_makes_nothing_twice(
    grown: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features of shards that were merged meanwhile are lost, and made for the merged one."""
    folder, store = grown
    from mmdata.features.image import Sharpness

    work = __import__("mmdata.engine.runner", fromlist=["_work_until_done"])
    until = work._work_until_done

    def later(*given: Any) -> None:
        monkeypatch.setattr(module, "give_way", lambda *_, **__: None)
        compact(Store.open(store), SETTINGS)
        until(*given)

    monkeypatch.setattr(work, "_work_until_done", later)
    do(folder, store, features=(PerceptualHash(), TextLength(), Sharpness()))
    view = Store.open(store).view()
    assert [sorted(shard.features) for shard in view.shards] == [["image.phash", "image.sharpness", "text.length"]]
    assert len(Store.open(store).files("image.sharpness")) == 1
    assert verify(Store.open(store)).is_sound


def test_logs_are_summed_up_and_their_commits_swept_after_the_grace(grown: tuple[Path, Path]) -> None:
    store = Store.open(grown[1])
    compact(store, SETTINGS, log_commits=1)
    folder = grown[1] / "samples" / "_delta_log"
    assert list(folder.glob("*.checkpoint.parquet"))
    keys = Store.open(grown[1]).keys()
    gc(store)
    assert len(list(folder.glob("*.json"))) > ROUNDS
    gc(store, grace_s=0)
    assert len(list(folder.glob("*.json"))) == 1
    assert Store.open(grown[1]).keys() == keys
    assert nothing_left(*grown)
    store.refresh()
    assert store.keys() == keys


SCRIPT = """
import sys
from mmdata.core.pipeline import RunSettings
from mmdata.engine.compact import compact
from mmdata.store.store import Store
print("ready", flush=True)
compact(Store.open(sys.argv[1]), RunSettings(shard_samples=40))
"""


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_moment_it_can_be_gone_on_with(grown: tuple[Path, Path], tmp_path: Path, seed: int) -> None:
    folder, store = grown
    rng = random.Random(seed)
    keys = sorted(Store.open(store).keys())
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(store)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0, 0.6))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert sorted(Store.open(store).keys()) == keys
        assert verify(Store.open(store)).is_sound
    if seed % 2:
        report = do(folder, store)
        assert (report.counts.read, report.counts.steps) == (0, {})
    compact(Store.open(store), SETTINGS)
    assert live(store) == at_once(folder, tmp_path / "other")


READER = """
import sys, time
import mmdata
store = mmdata.open(sys.argv[1], snapshot=sys.argv[2] or None)
stream = mmdata.stream(store, ["image.phash", "key"], batch_size=2, seed=1, tail="short", threads=1)
for number, batch in enumerate(stream):
    print(*batch["key"], flush=True)
    time.sleep(0.05)
print(*[store.sample(key).key for key in store.keys()], flush=True)
"""


@pytest.mark.parametrize(("snapshot", "grace_s"), [("", 3600.0), ("pinned", 0.0)])
def test_a_reader_in_another_process_loses_nothing_to_compact_and_gc(
    grown: tuple[Path, Path], snapshot: str, grace_s: float
) -> None:
    store = grown[1]
    Store.open(store).snapshot("pinned")
    keys = Store.open(store).keys()
    command = [sys.executable, "-c", READER, str(store), snapshot]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        compact(Store.open(store), SETTINGS)
        gc(Store.open(store), grace_s=grace_s)
        rest = process.stdout.read().splitlines()
    assert process.returncode == 0
    assert sorted(key for line in [first, *rest[:-1]] for key in line.split()) == sorted(keys)
    assert rest[-1].split() == keys
    assert len(Store.open(store).view().shards) == 1


def test_runs_give_signs_of_life_and_those_without_are_dead(
    grown: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of another machine, as far as its record says."""
    folder = Folder.at(str(grown[1]))
    monkeypatch.setattr(pulse, "BEAT_S", 0.05)
    record = Store.open(grown[1]).start_run(
        command="x", recipe=Recipe("f" * 16), machine={"host": "elsewhere", "pid": 1}
    )
    sign = grown[1] / "runs" / f"{record}.alive"
    assert len(pulse.going_on(folder)) == 1  # it began just now
    with pulse.beating(folder, record):
        first = sign.read_bytes()
        while sign.read_bytes() == first:
            time.sleep(0.02)
        assert len(pulse.going_on(folder)) == 1
        with pytest.raises(StoreError, match="gives way"):
            compact(Store.open(grown[1]), SETTINGS)
    assert not sign.exists()
    sign.write_bytes(first)
    long_ago = time.time() - pulse.DEAD_S - 60
    os.utime(sign, (long_ago, long_ago))
    assert pulse.going_on(folder) == []
    assert compact(Store.open(grown[1]), SETTINGS).merges
    assert f"runs/{record}.alive" in {listed.path for listed in gc(Store.open(grown[1]), grace_s=0)}


def test_a_run_that_is_at_work_is_seen_by_its_sign(grown: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, store = grown
    seen: list[int] = []
    commit = Store.commit

    def watched(self: Store, *given: Any, **settings: Any) -> Any:
        seen.append(len(list((store / "runs").glob("*.alive"))))
        return commit(self, *given, **settings)

    monkeypatch.setattr(Store, "commit", watched)
    do(folder, store, features=(PerceptualHash(),), ingest=(NormalizeText(),))
    assert set(seen) == {1}
    assert not list((store / "runs").glob("*.alive"))
