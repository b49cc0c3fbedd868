"""How fast a store streams: 4 vectors of 512 float32 a sample, batches of 256, shuffled, in one process.

    OMP_NUM_THREADS=1 python benchmarks/stream.py --peers
    OMP_NUM_THREADS=1 python benchmarks/stream.py [--samples 50000] [--shard 5000] [--threads 2] [--rounds 5]

A batch draws on windows of some 40,000 samples, which must be read before the first one: the second table, of more
samples, shows the rate at which a long epoch runs.

The data are made here, once, in a folder of the system's temporary space. Each round runs, in turns: a new
stream, straight from Parquet; one through a local cache, which is mapped into memory; of each the next epoch of a
stream that goes on ("on"), as a training does; and the limit, which is to read
the bytes of the same feature files from the page cache: "page cache" is `Path.read_bytes` a file, the other reads all
files over each other, into memory that never leaves the processor's cache, as no loader could.

With `--peers` also each other loader on the same vectors, in an environment and a process of its own: first
`benchmarks/peers.sh webdataset litdata mosaicml datasets`. An epoch's time is from the call to the last batch, with the
first batch; a loader that takes longer than `--most-s` is stopped there. The ratios are what to quote.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.core.fingerprint import keys_digest
from mmdata.core.sample import Sample
from mmdata.loader.stream import Stream, stream
from mmdata.store import Store
from mmdata.store.layout import DataFile
from mmdata.store.runs import Recipe
from mmdata.store.store import Change
from mmdata.store.write import ShardWriter
from mmdata.store.write_features import FeatureWriter

FAMILIES = [f"part{number}.embedding" for number in range(4)]
SPEC = ArraySpec(dims=("feature",), sizes={"feature": 512})
FP = "0" * 16
MANY = 200_000  # samples, of which one is read while others are given, and the first batch must come soon
PEERS = {  # loader -> environment
    "webdataset": "webdataset",
    "litdata": "litdata",
    "mosaicml": "mosaicml",
    "datasets-map": "datasets",
    "datasets-iterable": "datasets",
}
HERE = Path(__file__).parent


def make(url: str, rows: np.ndarray, *, shard: int) -> Store:
    """A store of vectors, [sample, part, feature]."""
    store = Store.create(url)
    store.start_run(command="bench", recipe=Recipe(FP, dict.fromkeys(FAMILIES, FP)))
    added: dict[str, list[DataFile]] = {family: [] for family in ["samples", *FAMILIES]}
    for first in range(0, len(rows), shard):
        last = min(first + shard, len(rows))
        keys = [f"bench/{number:08d}" for number in range(first, last)]
        name = f"{first:016x}"
        writer = ShardWriter(url, shard=name, fp=FP, source="bench")
        for number, key in enumerate(keys, first):
            writer.add(Sample(key, {}, {"label": str(number % 10)}), {}, pointers={})
        added["samples"] += writer.close()
        for part, family in enumerate(FAMILIES):
            features = FeatureWriter(url, family, {family: SPEC}, shard=name, fp=FP)
            for start in range(first, last, 1000):
                stop = min(start + 1000, last)
                vectors = np.ascontiguousarray(rows[start:stop, part])
                features.add(keys[start - first : stop - first], {family: vectors})
            added[family].append(features.close(keys_digest(keys)))
    store.commit([Change(family, add=files) for family, files in added.items()])
    return Store.open(url)


def opened(store: Store, seed: int, threads: int, cache: Path | None = None, max_bytes: int = 2 << 30) -> Stream:
    return stream(
        store,
        [*FAMILIES, "label"],
        batch_size=256,
        seed=seed,
        threads=threads,
        output="torch",
        cache=cache,
        max_bytes=max_bytes,
    )


def feature_files(store: Store) -> list[tuple[Path, int]]:
    return [
        (Path(store.url) / file.path, file.size_bytes)
        for shard in store.view().shards
        for file in shard.features.values()
    ]


def read_all(store: Store) -> int:
    """Read every feature file's bytes; returns how many there are."""
    return sum(len(path.read_bytes()) for path, _ in feature_files(store))


def read_over(store: Store) -> int:
    """The same, one over the other into memory that stays in the processor's cache."""
    files, size = feature_files(store), 0
    room = memoryview(bytearray(max(size_bytes for _, size_bytes in files)))
    for path, _ in files:
        with path.open("rb", buffering=0) as file:
            size += file.readinto(room) or 0
    return size


def epoch(made: Stream) -> int:
    return sum(len(batch["key"]) for batch in made)


def first_batch(made: Stream) -> None:
    for _ in made:
        return


Rounds = dict[str, list[tuple[float, float, int]]]  # what was done -> seconds, seconds of the processor, samples


@contextmanager
def timed(rounds: Rounds, name: str, samples: int = 0) -> Iterator[None]:
    start, cpu = time.perf_counter(), time.process_time()
    yield
    rounds.setdefault(name, []).append((time.perf_counter() - start, time.process_time() - cpu, samples))


class Peer:
    """A loader in a process of its own, which waits until it is told to read an epoch."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        python = HERE.parent / "out" / "peers" / PEERS[name] / "bin" / "python"
        if not python.exists():
            raise SystemExit(f"{name} has no environment: benchmarks/peers.sh {PEERS[name]}")
        self.process = subprocess.Popen(
            [str(python), str(HERE / "stream_peer.py"), name, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HOME": str(folder / "hf")},
        )

    def epoch(self, seed: int, most_s: float) -> tuple[float, float, int]:
        """Seconds, of the processor too, and samples."""
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("it has no pipes")
        self.process.stdin.write(f"{seed} {most_s}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with {self.process.wait()}")
        told = json.loads(line)
        return told["seconds"], told["cpu_s"], int(told["samples"])

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def measure(store: Store, n: int, cache: Path, peers: Sequence[Peer], given: argparse.Namespace) -> Rounds:
    """Each round's figures; of a first one, which warms page cache and cache, nothing."""
    rounds: Rounds = {}
    kept = {name: opened(store, 0, given.threads, folder) for name, folder in (("parquet", None), ("mapped", cache))}
    for seed in range(given.rounds + 1):
        for name, folder in (("parquet", None), ("mapped", cache)):
            with timed(rounds, name, n):
                epoch(opened(store, seed, given.threads, folder))
            with timed(rounds, f"{name}, on", n):  # the next epoch of a stream that has its memory
                epoch(kept[name])
        with timed(rounds, "page cache", n):
            read_all(store)
        with timed(rounds, "page cache, over", n):
            read_over(store)
        for peer in peers:
            rounds.setdefault(peer.name, []).append(peer.epoch(seed, given.most_s))
        if seed == 0:
            rounds.clear()
    return rounds


def latency(store: Store, given: argparse.Namespace) -> Rounds:
    """Until the first batch, and until one in the midst of an epoch."""
    rounds: Rounds = {}
    for seed in range(given.rounds):
        with timed(rounds, "first batch"):
            made = opened(store, seed, given.threads)
            first_batch(made)
        state = {**made.state_dict(), "step": made.n_steps // 2}
        with timed(rounds, "resume"):
            made = opened(store, seed, given.threads)
            made.load_state_dict(state)
            first_batch(made)
    return rounds


def memory(url: str, max_bytes: int) -> None:
    """What an epoch takes above what the process had before it, in MB; in a process of its own."""
    made = opened(Store.open(url), 0, 2, max_bytes=max_bytes)
    import torch

    torch.zeros(1)
    before = status("VmRSS")
    epoch(made)
    print(status("VmHWM") - before)


def status(name: str) -> float:
    """A figure of this process's memory, in MB; `ru_maxrss` would begin with that of the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def report(rounds: Rounds) -> None:
    def median(name: str, at: int) -> float:
        return statistics.median(times[2] / max(times[at], 1e-9) for times in rounds[name])

    limit = median("page cache", 0)
    best = max((median(name, 0) for name in rounds if name in PEERS), default=0.0)
    print(f"{'':20}{'samples/s':>12}{'range':>24}{'a CPU second':>14}{'of page cache':>15}{'of best peer':>14}")
    for name, times in rounds.items():
        rates = [n / seconds for seconds, _, n in times]
        spread = f"{min(rates):,.0f} to {max(rates):,.0f}"
        rate = median(name, 0)
        ratio = f"{rate / best:14.1f}" if best else ""
        print(f"{name:20}{rate:12,.0f}{spread:>24}{median(name, 1):14,.0f}{rate / limit:15.2f}{ratio}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--shard", type=int, default=5_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", nargs="*", choices=PEERS, help="other loaders, too; all of them unless named")
    parser.add_argument("--most-s", type=float, default=5.0, help="a peer's epoch is stopped after so long")
    parser.add_argument("--memory-of", nargs=2, metavar=("STORE", "MAX_BYTES"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.memory_of:
        memory(given.memory_of[0], int(given.memory_of[1]))
        return
    names = [] if given.peers is None else given.peers or list(PEERS)
    print(f"{given.samples} samples of 8 KB in shards of {given.shard}, {given.threads} threads, {given.rounds} rounds")
    print(f"load {', '.join(f'{load:.1f}' for load in os.getloadavg())} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as made, ExitStack() as stack:
        folder = Path(made)
        rows = np.random.default_rng(0).standard_normal((given.samples, len(FAMILIES), 512), np.float32)
        np.save(folder / "rows.npy", rows)
        store = make(f"{folder}/store", rows, shard=given.shard)
        peers = [Peer(name, folder) for name in names]
        for peer in peers:
            stack.callback(peer.end)
            peer.epoch(0, 0.1)  # one after the other: it makes its data
        report(measure(store, given.samples, folder / "cache", peers, given))
        many = np.resize(rows, (MANY, *rows.shape[1:]))
        large = make(f"{folder}/large", many, shard=given.shard)
        print(f"{MANY} samples, of which windows hold a part at a time:")
        report(measure(large, MANY, folder / "cache-of-large", (), given))
        for name, times in latency(large, given).items():
            seconds = [each[0] for each in times]
            print(f"{name:20}{statistics.median(seconds):12.3f} s, at most {max(seconds):.3f}, of {MANY} samples")
        for max_bytes in (400 << 20, 1 << 30):
            command = [sys.executable, __file__, "--memory-of", large.url, str(max_bytes)]
            peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            print(f"{'peak memory':20}{float(peak):12,.0f} MB above the start, with max_bytes={max_bytes >> 20} MB")


if __name__ == "__main__":
    main()
