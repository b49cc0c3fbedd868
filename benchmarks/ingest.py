"""Ingest and features: mmdata against the straightforward script, same media, same outputs, equal workers, in turns.

    python benchmarks/ingest.py [--corpus stamps] [--workers 2] [--rounds 3] [--copies 2]

Times are of whole commands, start-up and imports included, as a user waits for them. `steady` takes start-up out of
them: it is the rate at which `--copies` more copies of the corpus are worked through.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from measure import Measured, measure, spread

from mmdata.testing.corpora import default_cache, media

HERE = Path(__file__).parent
CORPORA = {"stamps": "tuxpaint-stamps-default", "prompts": "asterisk-core-sounds-en-wav"}
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)  # mmdata does so itself
CONTESTANTS = ("mmdata", "straightforward", "straightforward, decoding once")


def command(contestant: str, corpus: str, source: Path, out: Path, workers: int) -> list[str | Path]:
    """What a user types."""
    if contestant == "mmdata":
        program: list[str | Path] = [Path(sys.executable).with_name("mmdata"), "run", HERE / f"{corpus}.yaml", "--json"]
        return [*program, "--source", source, "--store", out, "--executor", "pool", "--workers", str(workers)]
    decode = "once" if contestant.endswith("once") else "each"
    program = [sys.executable, HERE / "straightforward.py", corpus, source, out]
    return [*program, "--workers", str(workers), "--decode", decode]


def timed(contestant: str, corpus: str, source: Path, workers: int) -> tuple[Measured, int]:
    """One run into an empty place, and how many samples it stored."""
    with tempfile.TemporaryDirectory(prefix="mmdata-bench-") as folder:
        words = command(contestant, corpus, source, Path(folder) / "out", workers)
        done = measure(words, env={} if contestant == "mmdata" else ONE_THREAD)
    return done, int(json.loads(done.output[done.output.index("{") :])["stored"])


def copies(source: Path, folder: Path, n: int) -> Path:
    """The corpus n times, below one folder, as hard links: both sides read them as files."""
    for number in range(n):
        shutil.copytree(source, folder / f"copy{number}", copy_function=os.link)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", choices=tuple(CORPORA), action="append")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--copies", type=int, default=2)
    args = parser.parse_args()
    for corpus in args.corpus or CORPORA:
        compare(corpus, workers=args.workers, rounds=args.rounds, n_copies=args.copies)


def compare(corpus: str, *, workers: int, rounds: int, n_copies: int) -> None:
    """Run all contestants in turns and print medians, ratios and memory."""
    source = media(CORPORA[corpus])
    figures = {contestant: Figures() for contestant in CONTESTANTS}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=default_cache()) as folder:  # on one disk with the corpus
        many = copies(source, Path(folder), n_copies + 1)
        for turn in range(rounds):
            for contestant in CONTESTANTS[turn % 3 :] + CONTESTANTS[: turn % 3]:
                few = timed(contestant, corpus, source, workers)
                figures[contestant].add(*few, *timed(contestant, corpus, many, workers))
    ours = figures["mmdata"]
    print(f"\n{corpus}: {ours.n_stored} samples, {workers} workers, {rounds} rounds in turns; medians (and range)")
    print(f"{'':31} {'samples/s, whole command':>26} {'samples/s, steady':>18} {'cpu ms a sample':>24} {'peak MB':>8}")
    for contestant, each in figures.items():
        print(
            f"{contestant:31} {spread(each.whole):>26} {each.steady[0]:>18.2f} {spread(each.cpu_ms):>24} "
            f"{statistics.median(each.peak_mb):8.0f}"
        )
    for contestant in CONTESTANTS[1:]:
        other = figures[contestant]
        print(
            f"mmdata to {contestant}: "
            f"whole {ratio(ours.whole, other.whole)}, steady {ratio(ours.steady, other.steady)}, "
            f"cpu {ratio(other.cpu_ms, ours.cpu_ms)}, memory {ratio(ours.peak_mb, other.peak_mb)}"
        )
        if other.n_stored != ours.n_stored:
            print(f"NOT THE SAME WORK: {contestant} stored {other.n_stored}, mmdata {ours.n_stored}")


@dataclass
class Figures:
    """What the rounds of one contestant gave."""

    n_stored: int = 0
    n_more: int = 0
    few_s: list[float] = field(default_factory=list)
    many_s: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)

    def add(self, few: Measured, n_few: int, many: Measured, n_many: int) -> None:
        self.n_stored, self.n_more = n_few, n_many - n_few
        self.few_s.append(few.seconds)
        self.many_s.append(many.seconds)
        self.cpu_ms.append((many.cpu_seconds - few.cpu_seconds) / (n_many - n_few) * 1e3)
        self.peak_mb.append(many.peak_bytes / 1e6)

    @property
    def whole(self) -> list[float]:
        """Samples a second of each whole command."""
        return [self.n_stored / seconds for seconds in self.few_s]

    @property
    def steady(self) -> list[float]:
        """Samples a second once started: one figure, of medians, as a round's difference is mostly noise."""
        return [self.n_more / (statistics.median(self.many_s) - statistics.median(self.few_s))]


def ratio(above: list[float], below: list[float]) -> str:
    return f"{statistics.median(above) / statistics.median(below):.2f}"


if __name__ == "__main__":
    main()
