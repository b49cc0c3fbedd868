"""Following a source: what has settled is taken up, what is being written is not, and errors pass."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mmdata.core.ports import Entry, Member
from mmdata.engine.compact import Compacted
from mmdata.engine.follow import LONGEST_S, Following, Round, Settling, follow
from mmdata.engine.report import RunReport
from mmdata.errors import ConfigError, SchemaMismatch, StepError, StoreError
from mmdata.store.store import Store
from mmdata.store.verify import verify
from mmdata.testing.build import picture, png_bytes


def entry(key: str, size: int = 1) -> Entry:
    return Entry(key, (Member("text", f"{key}.txt", size, f"mtime={size}"),))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def keys_by_round(settling: Settling, clock: Clock, rounds: Sequence[Sequence[Entry]], planned: Any = ()) -> list[Any]:
    found = []
    for entries in rounds:
        found.append([(each.key, each.size) for each in settling(entries, dict(planned))])
        clock.now += 1
    return found


def test_an_entry_is_taken_once_it_was_the_same_for_long_enough() -> None:
    clock = Clock()
    sizes = [[entry("a", 1)], [entry("a", 2)], [entry("a", 2)], [entry("a", 2)], [entry("a", 2), entry("b")]]
    settling = Settling(2.0, clock)
    assert keys_by_round(settling, clock, sizes) == [[], [], [], [("a", 2)], [("a", 2)]]
    assert settling.waiting == 1


def test_what_is_recorded_and_the_same_needs_no_rest() -> None:
    clock = Clock()
    assert keys_by_round(Settling(2.0, clock), clock, [[entry("a")]], {"s": [entry("a")]}) == [[("a", 1)]]


def test_a_change_is_held_back_with_its_whole_shard() -> None:
    clock, planned = Clock(), {"s": [entry("a"), entry("b")], "t": [entry("c")]}
    found = [entry("a", 2), entry("b"), entry("c"), entry("d")]
    before = [("a", 1), ("b", 1), ("c", 1)]
    after = [("a", 2), ("b", 1), ("c", 1), ("d", 1)]
    assert keys_by_round(Settling(2.0, clock), clock, [found] * 3, planned) == [before, before, after]


def test_a_file_that_goes_and_comes_back_was_never_gone() -> None:
    clock, planned = Clock(), {"s": [entry("a"), entry("b")]}
    both, one = [entry("a"), entry("b")], [entry("a")]
    there, gone = [("a", 1), ("b", 1)], [("a", 1)]
    rounds = [both, one, both, both, both, one, one, one, one]
    expected = [there, there, there, there, there, there, there, gone, gone]
    assert keys_by_round(Settling(2.0, clock), clock, rounds, planned) == expected


def test_without_a_rest_all_is_taken_at_once() -> None:
    assert keys_by_round(Settling(0.0, Clock()), Clock(), [[entry("a")], []]) == [[("a", 1)], []]


class Ended(Exception):
    """Raised by the clock's last tick."""


def course(outcomes: Sequence[Any], settings: Following, **given: Any) -> tuple[list[Round], list[float]]:
    """The rounds that come of runs that end so, and the pauses between them."""
    rounds: list[Round] = []
    pauses: list[float] = []
    left = iter(outcomes)

    def take_up(_: object) -> RunReport:
        outcome = next(left, None)
        if outcome is None:
            raise Ended
        if isinstance(outcome, BaseException):
            raise outcome
        made: RunReport = outcome
        return made

    with pytest.raises(Ended):
        follow(take_up, settings, tell=rounds.append, sleep=pauses.append, **given)
    return rounds, pauses


def report(shards: int = 0, state: str = "done") -> RunReport:
    return RunReport("store", shards=shards, state=state)


def test_failures_are_told_and_tried_again_later_and_later() -> None:
    outcomes = [report(), *[OSError("no route")] * 8, ConfigError("source x", ["no folder"]), report(1)]
    rounds, pauses = course(outcomes, Following(every_s=10))
    assert pauses == [10, 10, 20, 40, 80, 160, LONGEST_S, LONGEST_S, LONGEST_S, LONGEST_S, 10]
    assert [str(each.error) for each in rounds][1] == "no route"
    assert [each.is_quiet for each in rounds] == [True] + [False] * 10


@pytest.mark.parametrize("error", [StepError("always"), SchemaMismatch("newer"), KeyboardInterrupt()])
def test_what_only_a_person_can_mend_ends_it(error: BaseException) -> None:
    def take_up(_: object) -> RunReport:
        raise error

    with pytest.raises(type(error)):
        follow(take_up, Following(), tell=lambda _: None, sleep=lambda _: None)


def test_an_interrupted_run_ends_it_and_too_many_rejects_too() -> None:
    quiet: Any = {"tell": lambda _: None, "sleep": lambda _: None}
    with pytest.raises(KeyboardInterrupt):
        follow(lambda _: report(state="interrupted"), Following(), **quiet)
    assert follow(lambda _: report(state="stopped"), Following(), **quiet).state == "stopped"


def test_shards_are_merged_after_so_many_changes_and_a_refusal_is_no_end() -> None:
    merged: list[int] = []

    def compact() -> Compacted:
        merged.append(1)
        if len(merged) == 1:
            raise StoreError("a run is going on")
        return Compacted()

    rounds, _ = course(
        [report(1), report(), report(1), report(1), report(1)], Following(compact_every=2), compact=compact
    )
    assert [each.compacted is not None for each in rounds] == [False, False, False, False, True]
    assert len(merged) == 2


PIPELINE = """
source: {use: source.files.Files, parts: {text: "{stem}.txt", image: "{stem}.png"}}
ingest: [codec.image.DecodeImage, clean.text.NormalizeText]
features: [features.text.TextLength, features.image.Sharpness]
"""


@contextmanager
def watching(folder: Path, store: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    pipeline = folder.parent / "p.yaml"
    pipeline.write_text(PIPELINE)
    command = [sys.executable, "-m", "mmdata", "ingest", str(folder), str(store), "--pipeline", str(pipeline)]
    settings = ["--watch", "--every", "0.2", "--settle", "0.5", "--executor", "inline"]
    with (folder.parent / "said").open("a") as said:
        process = subprocess.Popen([*command, *settings, *more], stderr=said, stdout=said, text=True)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def until(condition: Callable[[], bool], said: Path) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, said.read_text()
        time.sleep(0.1)


def keys(store: Path) -> list[str]:
    return sorted(Store.open(store).keys()) if (store / "store.json").exists() else []


def text_of(store: Path, key: str) -> Any:
    table = Store.open(store).table(["key", "text.text"])
    return dict(zip(table["key"].to_pylist(), table["text.text"].to_pylist(), strict=True)).get(key)


@pytest.mark.slow
def test_a_store_is_fed_as_files_come_change_and_go(tmp_path: Path) -> None:
    folder, store, said = tmp_path / "in", tmp_path / "store", tmp_path / "said"
    with watching(folder, store, "--compact-every", "2") as process:
        until(lambda: said.exists() and "trying again" in said.read_text(), said)
        folder.mkdir()
        (folder / "a.txt").write_text("first")
        (folder / "a.png").write_bytes(png_bytes(picture(20, 20, seed=1)))
        until(lambda: keys(store) == ["in/a"], said)
        half = (folder / "half.txt").open("w")
        wrote_s, in_time = time.monotonic(), True
        for number in range(12):  # it grows for longer than files must rest
            half.write(f"line {number}\n")
            half.flush()
            in_time = in_time and time.monotonic() - wrote_s < 0.4  # on a busy machine it may have rested long enough
            wrote_s = time.monotonic()
            assert not in_time or "in/half" not in keys(store)
            time.sleep(0.15)
        (folder / "b.txt").write_text("second")
        half.close()
        until(lambda: keys(store) == ["in/a", "in/b", "in/half"], said)
        assert len(text_of(store, "in/half").splitlines()) == 12
        (folder / "b.txt").write_text("second, again")
        until(lambda: text_of(store, "in/b") == "second, again", said)
        (folder / "a.txt").unlink()
        until(lambda: keys(store) == ["in/b", "in/half"], said)
        folder.rename(tmp_path / "away")  # out of reach: nothing is taken out of the store
        time.sleep(1)
        assert keys(store) == ["in/b", "in/half"]
        (tmp_path / "away").rename(folder)
        (folder / "c.txt").write_text("third")
        until(lambda: keys(store) == ["in/b", "in/c", "in/half"], said)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=120) == 143
    assert "Traceback" not in said.read_text()
    assert verify(Store.open(store)).is_sound


@pytest.mark.slow
def test_killed_and_stopped_at_any_moment_it_goes_on_with_the_next_start(tmp_path: Path) -> None:
    folder, store, said = tmp_path / "in", tmp_path / "store", tmp_path / "said"
    folder.mkdir()
    rng = random.Random(3)

    def starts() -> int:
        return said.read_text().count("following") if said.exists() else 0

    for turn, number in enumerate((signal.SIGKILL, signal.SIGINT, signal.SIGKILL)):
        before = starts()
        with watching(folder, store, "--compact-every", "1") as process:
            for index in range(6):
                (folder / f"{turn}{index}.txt").write_text(f"text {index}")
                time.sleep(0.2)
            time.sleep(rng.uniform(1, 2))
            if number == signal.SIGINT:  # Python has come so far as to heed it
                until(lambda before=before: starts() > before, said)  # type: ignore[misc]
            process.send_signal(number)
            code = process.wait(timeout=120)
            assert code == (130 if number == signal.SIGINT else -number)
        if (store / "store.json").exists():
            assert verify(Store.open(store)).is_sound
    before = starts()
    with watching(folder, store) as process:
        until(lambda: starts() > before and len(keys(store)) == 18, said)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) == 130
    assert verify(Store.open(store)).is_sound
    assert os.listdir(store / "media")
