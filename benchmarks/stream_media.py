"""How fast pictures stream: JPEG of 256 px, decoded to RGB, in shuffled batches of 256.

    benchmarks/peers.sh webdataset litdata mosaicml        # once: environments of the peers, 3 GB
    python benchmarks/stream_media.py                      # all of it: about 5 minutes on an idle machine
    python benchmarks/stream_media.py --peers              # mmdata and the loop alone: half a minute

The pictures are crops of the photographs that scikit-image and scikit-learn carry (both are in mmdata's `dev` extra).
All sides get the very same bytes, and each goes through two epochs in a process of its own, of which the second is
timed: what is paid once is left out, for all. In turns: mmdata from its store; a loop that gives OpenCV's decoder as
many threads as there are cores; and webdataset on mmdata's own tars, litdata and mosaicml-streaming on files that they
wrote themselves, decoding with Pillow as is usual there, or with OpenCV (`/cv2`). Peers are tried with no worker
process and with one a core in a first round; the better of the two takes part in the others.
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
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
PEERS = ("webdataset", "webdataset/cv2", "litdata", "litdata/cv2", "mosaicml")
BATCH, SIDE_PX, QUALITY, SHARD = 256, 256, 90, 1024
FP = "0" * 16
LONGEST_S = 180  # of one side's process
Rate = tuple[float, float]  # pictures a second by the clock, and a second of a processor


def photographs() -> list[np.ndarray]:
    """BGR photographs, uint8 [height, width, 3]."""
    import cv2
    import skimage
    import sklearn

    data = Path(skimage.__file__).parent / "data"
    named = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "ihc.png")
    images = Path(sklearn.__file__).parent / "datasets" / "images"
    files = [*(data / name for name in named), images / "china.jpg", images / "flower.jpg"]
    found = [cv2.imread(str(file)) for file in files]
    return [image for image in found if image is not None]


def pictures(n: int) -> Iterator[bytes]:
    """Crops at random places and scales, as JPEG."""
    import cv2

    photos, rng = photographs(), np.random.default_rng(0)
    for number in range(n):
        photo = photos[number % len(photos)]
        side = int(rng.integers(SIDE_PX, min(photo.shape[:2]) + 1))
        top, left = (int(rng.integers(0, size - side + 1)) for size in photo.shape[:2])
        crop = cv2.resize(photo[top : top + side, left : left + side], (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
        yield cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def make(folder: Path, n: int) -> None:
    """A store, and the pictures one after another in a file with their offsets."""
    from mmdata.core.ports import Encoded
    from mmdata.core.sample import Blob, Image, Sample
    from mmdata.store import Store
    from mmdata.store.store import Change
    from mmdata.store.write import ShardWriter

    shown = Image(np.zeros((1, 1, 3), np.uint8))
    data = list(pictures(n))
    (folder / "pictures.bin").write_bytes(b"".join(data))
    np.save(folder / "offsets.npy", np.cumsum([0, *map(len, data)]))
    store = Store.create(str(folder / "store"))
    added = []
    for first in range(0, n, SHARD):
        with ShardWriter(store.url, shard=f"{first:016x}", fp=FP, source="bench") as writer:
            for number in range(first, min(first + SHARD, n)):
                sample = Sample(f"bench/{number:06d}", {"image": shown}, {"label": str(number % 10)})
                writer.add(sample, {"image": Encoded(Blob.of(data[number]), "jpg", shown)}, pointers={})
            added += writer.close()
    store.commit([Change("samples", add=added)])


def by_stream(folder: Path, threads: int) -> Iterator[np.ndarray]:
    """Batches of mmdata, two epochs."""
    import mmdata

    made = mmdata.stream(str(folder / "store"), ["image"], batch_size=BATCH, threads=threads, output="torch")
    for _ in range(2):
        for batch in made:
            yield batch["image"]


def by_loop(folder: Path, threads: int) -> Iterator[np.ndarray]:
    """Batches of OpenCV in threads, the next while the caller has one: what a person writes who wants nothing else."""
    import cv2

    cv2.setNumThreads(1)
    offsets = np.load(folder / "offsets.npy")
    file = os.open(folder / "pictures.bin", os.O_RDONLY)

    def decode(into: np.ndarray, at: int, number: int) -> None:
        data = os.pread(file, int(offsets[number + 1] - offsets[number]), int(offsets[number]))
        into[at] = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)

    def begin(numbers: np.ndarray) -> tuple[np.ndarray, list[Future[None]]]:
        batch = np.empty((len(numbers), SIDE_PX, SIDE_PX, 3), np.uint8)
        return batch, [pool.submit(decode, batch, at, number) for at, number in enumerate(numbers.tolist())]

    with ThreadPoolExecutor(threads) as pool:
        for epoch in range(2):
            order = np.random.default_rng(epoch).permutation(len(offsets) - 1)
            steps = [order[at : at + BATCH] for at in range(0, len(order) - BATCH + 1, BATCH)]
            coming = begin(steps[0])
            for step in [*steps[1:], None]:
                (batch, tasks), coming = coming, begin(step) if step is not None else (np.empty(0), [])
                for task in tasks:
                    task.result()
                yield batch


SIDES: dict[str, Callable[[Path, int], Iterator[np.ndarray]]] = {"mmdata": by_stream, "loop": by_loop}


def rate(batches: Iterator[np.ndarray], steps: int) -> Rate:
    """Rates of the second of two epochs."""
    start = busy = 0.0
    for number, batch in enumerate(batches):
        if tuple(batch.shape) != (BATCH, SIDE_PX, SIDE_PX, 3):
            raise ValueError(f"a batch is {tuple(batch.shape)}")
        if number == steps - 1:
            start, busy = time.perf_counter(), time.process_time()
    if number != 2 * steps - 1:
        raise ValueError(f"two epochs had {number + 1} batches, not {2 * steps}")
    n = steps * BATCH
    return n / (time.perf_counter() - start), n / (time.process_time() - busy)


def run(command: list[str]) -> Rate:
    """The rates that a process of its own prints."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=LONGEST_S)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr[-3000:]}")
    by_clock, by_processor = json.loads(done.stdout.splitlines()[-1])
    return float(by_clock), float(by_processor)


def own(side: str, folder: Path, threads: int) -> Rate:
    return run([sys.executable, __file__, "--only", side, "--folder", str(folder), "--threads", str(threads)])


def peer(name: str, verb: str, folder: Path, workers: int) -> Rate:
    python = HERE.parent / "out" / "peers" / name.partition("/")[0] / "bin" / "python"
    script = HERE / "stream_media_peers.py"
    return run([str(python), str(script), name, verb, str(folder), "--workers", str(workers)])


def measured(folder: Path, peers: list[str], *, threads: int, rounds: int) -> dict[str, list[Rate]]:
    """Rates of each side, round by round."""
    rates: dict[str, list[Rate]] = {}
    best: dict[str, int] = {}
    for number in range(rounds):
        for side in SIDES:
            rates.setdefault(side, []).append(own(side, folder, threads))
        for name in peers:
            workers = [best[name]] if number else [0, threads]
            tried = {each: peer(name, "run", folder, each) for each in workers}
            best[name] = max(tried, key=lambda each: tried[each])
            rates.setdefault(name, []).append(tried[best[name]])
            shown = {each: f"{found[0]:.0f}" for each, found in tried.items()}
            print(f"  round {number}: {name} by workers: {shown}", file=sys.stderr, flush=True)
    return {f"{name}, {best[name]} workers" if name in best else name: values for name, values in rates.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pictures", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=PEERS)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", choices=list(SIDES))
    given = parser.parse_args()
    if given.only:
        offsets = np.load(given.folder / "offsets.npy")
        found = rate(SIDES[given.only](given.folder, given.threads), (len(offsets) - 1) // BATCH)
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make(folder, given.pictures)
        for name in dict.fromkeys(name.partition("/")[0] for name in given.peers):
            peer(name, "prepare", folder, 0)
        load = os.getloadavg()
        rates = measured(folder, given.peers, threads=given.threads, rounds=given.rounds)
        size = (folder / "pictures.bin").stat().st_size / given.pictures / 1024
    print(
        f"{given.pictures} JPEG of {SIDE_PX} px and {size:.0f} KiB, batches of {BATCH}, {given.threads} threads, ",
        end="",
    )
    print(f"{given.rounds} rounds; load before {load[0]:.1f}, after {os.getloadavg()[0]:.1f}")
    clock = {name: statistics.median(one[0] for one in values) for name, values in rates.items()}
    busy = {name: statistics.median(one[1] for one in values) for name, values in rates.items()}
    for name, values in rates.items():
        spread = f"({min(values)[0]:,.0f} to {max(values)[0]:,.0f})"
        ratios = f"mmdata has {clock['mmdata'] / clock[name]:.2f} and {busy['mmdata'] / busy[name]:.2f}"
        print(f"{name:26} {clock[name]:7,.0f} pictures/s {spread:18} {busy[name]:7,.0f} a processor's second; {ratios}")


if __name__ == "__main__":
    main()
