"""Ingest and features: mmdata against the straightforward script, same media, same outputs, equal workers, in turns.

    python benchmarks/ingest.py [--corpus stamps] [--workers 2] [--rounds 3] [--copies 4]

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
from collections import defaultdict
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
    parser.add_argument("--copies", type=int, default=4, help="0 leaves the steady rate out")
    args = parser.parse_args()
    for corpus in args.corpus or CORPORA:
        compare(corpus, workers=args.workers, rounds=args.rounds, n_copies=args.copies)


def compare(corpus: str, *, workers: int, rounds: int, n_copies: int) -> None:
    """Run all contestants in turns and print medians, ratios and memory."""
    source = media(CORPORA[corpus])
    whole: dict[str, list[float]] = defaultdict(list)
    steady: dict[str, list[float]] = defaultdict(list)
    peaks: dict[str, list[int]] = defaultdict(list)
    n_stored: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=default_cache()) as folder:  # on one disk with the corpus
        many = copies(source, Path(folder), n_copies + 1) if n_copies else source
        for turn in range(rounds):
            for contestant in CONTESTANTS[turn % 3 :] + CONTESTANTS[: turn % 3]:
                once, stored = timed(contestant, corpus, source, workers)
                whole[contestant].append(stored / once.seconds)
                n_stored[contestant] = stored
                if n_copies:
                    more, stored_more = timed(contestant, corpus, many, workers)
                    steady[contestant].append((stored_more - stored) / (more.seconds - once.seconds))
                    peaks[contestant].append(more.peak_bytes)
                else:
                    peaks[contestant].append(once.peak_bytes)
    print(f"\n{corpus}: {n_stored['mmdata']} samples, {workers} workers, {rounds} rounds in turns")
    print(f"{'':32} {'samples/s, whole command':>28} {'samples/s, steady':>28} {'peak MB':>8}  mmdata is")
    for contestant in CONTESTANTS:
        tables = [table for table in (whole, steady) if table]
        ratios = [statistics.median(table["mmdata"]) / statistics.median(table[contestant]) for table in tables]
        times = " and ".join(f"{ratio:.2f}" for ratio in ratios)
        print(
            f"{contestant:32} {spread(whole[contestant]):>28} {spread(steady[contestant]) if steady else '-':>28} "
            f"{statistics.median(peaks[contestant]) / 1e6:8.0f}  {times} times it"
        )
    if len(set(n_stored.values())) > 1:
        print(f"NOT THE SAME NUMBER OF SAMPLES: {n_stored}")


if __name__ == "__main__":
    main()
