"""What a run lives through: steps that end, hold up or overfeed their processes, with real processes in a pool."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from mmdata.core.pipeline import Pipeline, RunSettings
from mmdata.core.ports import Died
from mmdata.engine.executors.pool import Pool
from mmdata.engine.options import RunOptions
from mmdata.engine.report import RunReport
from mmdata.engine.runner import run
from mmdata.errors import RunStopped
from mmdata.features.text import TextLength
from mmdata.source.files import Files
from mmdata.store.store import Store
from mmdata.store.verify import verify
from mmdata.testing.build import caption
from tests.engine.hazards import Hazard, HazardLength, HazardModel, HazardSource

SETTINGS = RunSettings(shard_samples=12, max_rejects=1.0)
MADE = ("samples/*.parquet", "features/*/*.parquet", "media/*.tar")
POOL = RunOptions(settings=SETTINGS, executor=Pool(1))


class Corpus:
    """Captions, some of them hazards, and two stores: one of a run that nothing struck, one of a run that was."""

    def __init__(self, folder: Path) -> None:
        self.media, self.armed = folder / "corpus", str(folder / "armed")
        self.quiet, self.struck = folder / "quiet", folder / "struck"
        self.media.mkdir()

    def write(self, hazards: Mapping[int, str], n: int = 10) -> None:
        for number in range(n):
            text = f"!{hazards[number]} {number}" if number in hazards else caption(number).text
            (self.media / f"{number:02d}.txt").write_text(text)

    def disturb(self, what: Pipeline, options: RunOptions = POOL) -> RunReport:
        """Run once undisturbed, and once into another store while the hazards strike."""
        run(what, str(self.quiet), replace(options, executor=RunOptions().executor))
        Path(self.armed).touch()
        try:
            report = run(what, str(self.struck), options)
        finally:
            Path(self.armed).unlink()
        assert report.counts.balances
        assert verify(Store.open(self.struck)).is_sound
        return report

    def replay(self, what: Pipeline, options: RunOptions = POOL) -> None:
        """Try again what failed, with the cause gone: the bytes are then those of the quiet run.

        Where a file of the same rows had nulls before, the new one's name has its digest, too.
        """
        run(what, str(self.struck), replace(options, executor=RunOptions().executor, replay=True))
        found = {
            re.sub("(-[0-9a-f]{12})-[0-9a-f]{12}[.]", r"\1.", path): data for path, data in live(self.struck).items()
        }
        assert found == live(self.quiet) != {}


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus(tmp_path)


def live(store: Path) -> dict[str, bytes]:
    """What readers see: bytes by path, tars too."""
    view = Store.open(store).view()
    paths = [file.path for file in view.files()]
    paths += [shard.samples.media.path for shard in view.shards if shard.samples.media]
    return {path: (store / path).read_bytes() for path in paths}


def ingesting(corpus: Corpus) -> Pipeline:
    source = Files(str(corpus.media))
    return Pipeline(source=source, ingest=(Hazard(armed=corpus.armed),), features=(TextLength(),))


def extracting(corpus: Corpus) -> Pipeline:
    source = Files(str(corpus.media))
    return Pipeline(source=source, features=(TextLength(), HazardLength(armed=corpus.armed)))


def rejects(store: Path) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in Store.open(store).rejects().to_pylist()}


CRASHES = {
    0: ("segfault", "worker_died", "ended its process: killed by SIGSEGV"),
    1: ("exit", "worker_died", "ended its process: ended with exit code 1"),
    4: ("sleep", "timed_out", "took longer than 4 s"),
    5: ("backtrack", "timed_out", "took longer than 4 s"),
}
HUNGER = {
    8: ("eat", "out_of_memory", "took more memory than the 500,000,000 bytes that a worker may"),
    9: ("gorge", "out_of_memory", "took more memory than the 500,000,000 bytes that a worker may"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("cases", "limits"), [(CRASHES, {"timeout_s": 4.0}), (HUNGER, {"memory_bytes": 500_000_000})])
def test_a_step_that_ends_or_holds_up_or_overfeeds_its_process_costs_its_sample_alone(
    corpus: Corpus, cases: dict[int, tuple[str, str, str]], limits: dict[str, Any]
) -> None:
    corpus.write({number: hazard for number, (hazard, _, _) in cases.items()})
    report = corpus.disturb(ingesting(corpus), replace(POOL, settings=replace(SETTINGS, **limits)))
    found = rejects(corpus.struck)
    step = "tests.engine.hazards.Hazard"
    assert {key: (row["step"], row["kind"], row["error"]) for key, row in found.items()} == {
        f"corpus/{number:02d}": (step, kind, f"{step} {said}") for number, (_, kind, said) in cases.items()
    }
    assert report.counts.stored == 10 - len(cases)
    for row in found.values():
        told = row["kind"] == "timed_out" or "SIGSEGV" in row["error"]
        assert ("in strike" in row["traceback"]) == told
        assert "0x0" not in row["traceback"]
    corpus.replay(ingesting(corpus))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [pytest.param(HazardLength, marks=pytest.mark.long), HazardModel])
def test_a_feature_that_ends_its_process_costs_one_row_of_its_own(
    corpus: Corpus, kind: type[HazardLength] | type[HazardModel]
) -> None:
    corpus.write({2: "segfault", 8: "kill"})
    what = replace(extracting(corpus), features=(TextLength(), kind(armed=corpus.armed)))
    report = corpus.disturb(what)
    store = Store.open(corpus.struck)
    failed = {row["key"]: row for row in store.missing().to_pylist()}
    assert {key: (row["family"], row["error"].partition(":")[0]) for key, row in failed.items()} == {
        "corpus/02": ("text.hazard", "worker_died"),
        "corpus/08": ("text.hazard", "worker_died"),
    }
    assert (len(store), report.counts.n_rejected, report.counts.missing) == (10, 0, {"text.hazard": 2})
    assert None not in store.arrays("text.length.chars", ["corpus/02", "corpus/08"])
    corpus.replay(what)


@pytest.mark.slow
@pytest.mark.parametrize("later", [False, pytest.param(True, marks=pytest.mark.long)])
def test_samples_that_kill_only_together_are_done_apart_and_lose_nothing(corpus: Corpus, later: bool) -> None:
    corpus.write({1: "alone", 6: "company"})
    what = extracting(corpus) if later else ingesting(corpus)
    if later:
        for store in (corpus.quiet, corpus.struck):
            run(replace(what, features=what.features[:1]), str(store), RunOptions(settings=SETTINGS))
    report = corpus.disturb(what)
    assert (report.counts.n_rejected, report.counts.missing) == (0, {})
    assert report.counts.read == (0 if later else 10)
    assert live(corpus.struck) == live(corpus.quiet) != {}
    left = {str(path.relative_to(corpus.struck)) for kind in MADE for path in corpus.struck.glob(kind)}
    assert left == set(live(corpus.struck))  # what was made apart is not left behind


@pytest.mark.long
@pytest.mark.parametrize(("late", "step"), [(False, "start-up"), (True, "store")])
def test_a_death_before_the_first_note_and_one_over_the_store_are_brought_home_too(
    corpus: Corpus, late: bool, step: str
) -> None:
    corpus.write({}, n=3)
    source = HazardSource(inner=Files(str(corpus.media)), key="corpus/01", armed=corpus.armed, late=late)
    what = Pipeline(source=source, features=())
    corpus.disturb(what)
    (row,) = rejects(corpus.struck).values()
    assert (row["key"], row["kind"], row["step"]) == ("corpus/01", "worker_died", step)
    assert "killed by SIGKILL" in row["error"]
    corpus.replay(what)


def test_processes_that_die_without_any_sample_stop_the_run(corpus: Corpus) -> None:
    corpus.write({}, n=4)
    source = HazardSource(inner=Files(str(corpus.media)), key="", armed=corpus.armed, late=False)
    Path(corpus.armed).touch()
    with pytest.raises(RunStopped, match=r"die before any sample of shard .* is begun: .*SIGKILL"):
        run(Pipeline(source=source, features=()), str(corpus.struck), POOL)
    Path(corpus.armed).unlink()
    assert run(Pipeline(source=source, features=()), str(corpus.struck), RunOptions()).counts.stored == 4


@dataclass(frozen=True)
class TwoWorkersEach:
    """An executor that gives every item to two workers, as it may where one is slow; the second may be lost."""

    lost: bool

    def map(self, work: Callable[[Any], Any], items: Iterable[Any]) -> Generator[Any, None, None]:
        for item in items:
            yield work(item)
            yield Died(item, "gone") if self.lost else work(item)


@pytest.mark.parametrize("lost", [False, True])
def test_a_shard_that_two_workers_did_counts_once(corpus: Corpus, lost: bool) -> None:
    corpus.write({})
    options = RunOptions(settings=replace(SETTINGS, shard_samples=4), executor=TwoWorkersEach(lost))
    report = run(ingesting(corpus), str(corpus.struck), options)
    assert (report.counts.read, report.counts.stored, report.shards) == (10, 10, 3)
    run(ingesting(corpus), str(corpus.quiet), replace(options, executor=RunOptions().executor))
    assert live(corpus.struck) == live(corpus.quiet)


@dataclass(frozen=True)
class Dying:
    """An executor whose workers die of something that is no sample's."""

    def map(self, work: Callable[[Any], Any], items: Iterable[Any]) -> Generator[Any, None, None]:
        yield from (Died(item, "killed by SIGKILL") for item in items)


def test_workers_that_only_die_stop_the_run_with_words(corpus: Corpus) -> None:
    corpus.write({})
    with pytest.raises(RunStopped, match=r"8 workers died one after the other.*killed by SIGKILL"):
        run(ingesting(corpus), str(corpus.struck), RunOptions(settings=SETTINGS, executor=Dying()))
    assert verify(Store.open(corpus.struck)).is_sound


def test_each_row_of_the_document_names_a_test_that_is_there() -> None:
    tests = Path(__file__).parents[1]
    named = re.findall(r"`(test_\w+)`", (tests.parent / "docs" / "survival.md").read_text())
    there = "".join(path.read_text() for path in (tests / "engine").glob("test_*.py"))
    assert len(named) >= 12
    assert [name for name in named if f"def {name}(" not in there] == []
