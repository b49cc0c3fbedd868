"""What the runner costs a sample: no-op steps against a bare loop that reads the same files and writes the same tar.

    python benchmarks/overhead.py [--samples 10000] [--rounds 5]

Every sample is a picture of 20 kB, a caption and metadata. Both sides run in one process, in turns, into empty folders
on the same disk. The runner also lists and signs the source, records the division, writes rows, digests every file and
commits; all of that is counted. `a sample more` takes out what does not grow with their number. Times are the
processor's, system calls included, so that other work on the machine counts less.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import numpy as np
from measure import spread

from mmdata.core.pipeline import Pipeline
from mmdata.core.sample import Sample
from mmdata.core.step import Drop, Map
from mmdata.engine.options import RunOptions
from mmdata.engine.runner import run
from mmdata.source.files import Files

PICTURE_BYTES = 20_000


@dataclass(frozen=True, kw_only=True)
class Nothing(Map[Sample, Sample]):
    """Give back what came."""

    def map(self, sample: Sample) -> Sample | Drop:
        return sample


def corpus(folder: Path, n: int) -> Path:
    """Pictures with captions, 1,000 a folder. The steps decode nothing, so their bytes need only look like JPEG."""
    random = np.random.default_rng(7)
    for number in range(n):
        place = folder / f"{number // 1000:03}"
        place.mkdir(parents=True, exist_ok=True)
        picture = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + random.bytes(PICTURE_BYTES)
        (place / f"{number:06}.jpg").write_bytes(picture)
        (place / f"{number:06}.txt").write_text(f"picture number {number}, drawn by nobody")
    return folder


def bare(source: Path, out: Path) -> None:
    """List, read, and write tars of 1,000 samples, each with its metadata."""
    out.mkdir()
    names = sorted(
        os.path.join(at, name) for at, _, found in os.walk(source) for name in found if name.endswith(".jpg")
    )
    for first in range(0, len(names), 1000):
        with tarfile.open(out / f"{first:06}.tar", "w") as tar:
            for name in names[first : first + 1000]:
                stem = name.removesuffix(".jpg")
                key = os.path.relpath(stem, source)
                with open(name, "rb") as file:
                    add(tar, f"{key}.jpg", file.read())
                with open(f"{stem}.txt", "rb") as file:
                    text = file.read()
                add(tar, f"{key}.txt", text)
                add(tar, f"{key}.json", json.dumps({"key": key, "text": text.decode()}).encode())


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def runner(n_steps: int) -> Callable[[Path, Path], None]:
    """The same by mmdata, through so many steps that do nothing."""

    def ingest(source: Path, out: Path) -> None:
        steps = tuple(Nothing() for _ in range(n_steps))
        report = run(Pipeline(source=Files(str(source), name="bench"), ingest=steps), str(out), RunOptions())
        if report.counts.n_rejected:
            raise RuntimeError(f"{report.counts.n_rejected} samples were rejected")

    return ingest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    contestants = {"bare loop": bare, "runner, 1 step": runner(1), "runner, 10 steps": runner(10)}
    taken: dict[str, dict[int, list[float]]] = {name: {} for name in contestants}
    with tempfile.TemporaryDirectory(prefix="mmdata-bench-") as folder:
        sizes = args.samples // 10, args.samples
        sources = {n: corpus(Path(folder) / f"source{n}", n) for n in sizes}
        for turn in range(args.rounds + 1):  # the first warms imports and the file cache, and does not count
            for name, work in contestants.items():
                for n, source in sources.items():
                    start = process_time()
                    work(source, Path(folder) / f"out-{turn}-{n}-{name}")
                    if turn:
                        taken[name].setdefault(n, []).append(process_time() - start)
    report(taken, *sizes)


def report(taken: dict[str, dict[int, list[float]]], few: int, many: int) -> None:
    print(
        f"{'microseconds a sample':24} {f'of {many}, all in all':>28} {'a sample more':>28} {'over the bare loop':>24}"
    )
    medians = {}
    for name, times in taken.items():
        whole = [seconds / many * 1e6 for seconds in times[many]]
        more = [(b - a) / (many - few) * 1e6 for a, b in zip(times[few], times[many], strict=True)]
        medians[name] = statistics.median(whole), statistics.median(more)
        over = [medians[name][column] - medians["bare loop"][column] for column in (0, 1)]
        print(f"{name:24} {spread(whole):>28} {spread(more):>28} {over[0]:>10.1f} and {over[1]:>8.1f}")


if __name__ == "__main__":
    main()
