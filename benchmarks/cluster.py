"""How shards of about five seconds scale over workers, on the pool and on Dask, and what Dask costs over the pool.

    python benchmarks/cluster.py [--rounds 3] [--shards 8] [--seconds 5] [--workers 1 2]

Work is bound by decoding: drawn photographs of 3 megapixels, JPEG, of which a hash is kept. Every round runs each
executor with each number of workers, in turns, into empty stores. `a shard` is the time between results once all
workers are warm, times the workers: what a worker takes for one, its waiting counted in. `scales` is the rate against
that with one worker, over the number of workers; the goal is 0.85. `over the pool` compares with the pool of as many
workers; the goal is below 10 %. `busy` is the share of that time in which workers were in a shard: on a machine that
others use, too, it still tells what handing out costs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from measure import spread

import mmdata
from mmdata.codec.image import DecodeImage
from mmdata.core.pipeline import Pipeline, RunSettings
from mmdata.core.sample import Image
from mmdata.engine.executors import executor
from mmdata.engine.options import RunOptions
from mmdata.engine.progress import Progress
from mmdata.engine.runner import run
from mmdata.features.image import PerceptualHash
from mmdata.kernels.image import resize
from mmdata.source.files import Files
from mmdata.testing.media import jpeg_bytes
from mmdata.testing.pictures import drift

WIDTH, HEIGHT = 2048, 1536
EXECUTORS = ("pool", "dask")


@dataclass
class Clock:
    """When each shard was done, and how long shards took their workers, all in all."""

    done_s: list[float] = field(default_factory=list)
    worked_s: list[float] = field(default_factory=list)

    def __call__(self, progress: Progress) -> None:
        if progress.shards > len(self.done_s):
            self.done_s.append(time.perf_counter())
            self.worked_s.append(progress.counts.times("shard").seconds)


def corpus(folder: Path, n: int) -> None:
    """So many photographs of a texture, each of other bytes."""
    small = drift(WIDTH // 4, HEIGHT // 4, seed=1)
    pixels = resize(small, width=WIDTH, height=HEIGHT)
    for number in range(n):
        (folder / f"{number:05}.jpg").write_bytes(jpeg_bytes(Image(np.roll(pixels, 16 * number, axis=1))))


def once(name: str, workers: int, source: Path, store: Path, shard_samples: int) -> tuple[float, float]:
    """Seconds that a worker takes for a shard, once all are warm, and the share of them in which it works."""
    clock = Clock()
    pipeline = Pipeline(source=Files(str(source), name="bench"), ingest=(DecodeImage(),), features=(PerceptualHash(),))
    options = RunOptions(
        settings=RunSettings(shard_samples=shard_samples), executor=executor(name, workers), watch=clock
    )
    report = run(pipeline, str(store), options)
    if report.counts.n_rejected or len(clock.done_s) <= 2 * workers:
        raise RuntimeError(
            f"{name}: {report.counts.n_rejected} rejected, {len(clock.done_s)} shards; give more --shards"
        )
    wall = clock.done_s[-1] - clock.done_s[workers - 1]
    shards = len(clock.done_s) - workers
    return wall * workers / shards, (clock.worked_s[-1] - clock.worked_s[workers - 1]) / (wall * workers)


def samples_of(seconds: float, folder: Path) -> int:
    """How many pictures a worker does in so many seconds."""
    place = folder / "probe"
    place.mkdir()
    corpus(place, 30)
    began = time.process_time()
    run(
        Pipeline(source=Files(str(place)), ingest=(DecodeImage(),), features=(PerceptualHash(),)),
        f"{place}-out",
        RunOptions(),
    )
    return max(1, round(30 * seconds / (time.process_time() - began)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shards", type=int, default=8, help="a worker")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a shard")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()
    taken: dict[tuple[str, int], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="mmdata-bench-") as temporary:
        folder = Path(temporary)
        shard_samples = samples_of(args.seconds, folder)
        for workers in args.workers:
            (folder / f"source{workers}").mkdir()
            corpus(folder / f"source{workers}", shard_samples * args.shards * workers)
        for turn in range(args.rounds):
            for workers in args.workers:
                for name in EXECUTORS:
                    store = folder / f"{name}-{workers}-{turn}"
                    found = once(name, workers, folder / f"source{workers}", store, shard_samples)
                    taken.setdefault((name, workers), []).append(found)
    report(taken, shard_samples)


def report(taken: dict[tuple[str, int], list[tuple[float, float]]], shard_samples: int) -> None:
    load = os.getloadavg()[0]
    print(f"mmdata {mmdata.__version__}, {os.cpu_count()} cores, load {load:.1f}, {shard_samples} pictures a shard")
    print(f"{'':8}{'workers':>8}{'a shard, s':>26}{'scales':>8}{'over the pool':>15}{'busy':>7}")
    medians = {which: statistics.median(seconds for seconds, _ in found) for which, found in taken.items()}
    for (name, workers), found in taken.items():
        fewest = min(n for each, n in taken if each == name)
        scales = medians[name, fewest] / medians[name, workers]
        over = medians[name, workers] / medians["pool", workers] - 1
        busy = statistics.median(share for _, share in found)
        times = spread([seconds for seconds, _ in found])
        print(f"{name:8}{workers:>8}{times:>26}{scales:>8.2f}{over:>14.1%} {busy:>6.1%}")


if __name__ == "__main__":
    main()
