"""What a run lives through: steps that end, hold up or overfeed their processes, with real processes in a pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmdata.core.pipeline import Pipeline, RunSettings
from mmdata.engine.executors.pool import Pool
from mmdata.engine.options import RunOptions
from mmdata.engine.report import RunReport
from mmdata.engine.runner import run
from mmdata.features.text import TextLength
from mmdata.source.files import Files
from mmdata.store.store import Store
from mmdata.store.verify import verify
from mmdata.testing.build import caption
from tests.engine.hazards import Hazard, HazardLength

SETTINGS = RunSettings(shard_samples=12, max_rejects=1.0, timeout_s=3.0, memory_bytes=700_000_000)
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
        """Try again what failed, with the cause gone: the bytes are then those of the quiet run."""
        run(what, str(self.struck), replace(options, executor=RunOptions().executor, replay=True))
        assert live(self.struck) == live(self.quiet) != {}


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


@pytest.mark.parametrize(
    ("hazards", "kinds", "said"),
    [
        ({3: "segfault", 7: "exit"}, ["worker_died"] * 2, ["killed by SIGSEGV", "ended with exit code 1"]),
        ({0: "sleep", 9: "backtrack"}, ["timed_out"] * 2, ["took longer than 3 s"] * 2),
        ({4: "eat", 5: "gorge"}, ["out_of_memory"] * 2, ["more memory than the 700,000,000 bytes"] * 2),
    ],
)
@pytest.mark.slow
def test_a_step_that_ends_or_holds_up_its_process_costs_its_sample_alone(
    corpus: Corpus, hazards: dict[int, str], kinds: list[str], said: list[str]
) -> None:
    corpus.write(hazards)
    report = corpus.disturb(ingesting(corpus))
    found = rejects(corpus.struck)
    assert list(found) == [f"corpus/{number:02d}" for number in hazards]
    assert [row["kind"] for row in found.values()] == kinds
    assert all(words in row["error"] for words, row in zip(said, found.values(), strict=True))
    assert {row["step"] for row in found.values()} == {"tests.engine.hazards.Hazard"}
    assert report.counts.stored == 8
    corpus.replay(ingesting(corpus))
