"""One epoch after another with a loader that mmdata is measured against. Started by `stream.py`, in the loader's own
environment (`benchmarks/peers.sh`); needs nothing of mmdata.

    out/peers/litdata/bin/python benchmarks/stream_peer.py litdata FOLDER

FOLDER has rows.npy, float32 [sample, part, feature]. What the loader reads is made of it in FOLDER/NAME, once. Each
line on standard input, `SEED SECONDS`, is one epoch that ends after so many seconds at the latest; the answer is a line
of JSON. Each loader is set up as its documentation does it, in one process, without workers: a batch is a dict of 4
tensors [256, 512], keys and labels.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

BATCH = 256
SHARD = 5_000
BUFFER = 4_096
PARTS = [f"part{number}" for number in range(4)]
Epoch = Callable[[int], Iterator[Any]]


def samples(folder: Path) -> Iterator[dict[str, Any]]:
    """Each sample: key, label, and a vector a part."""
    rows = np.load(folder / "rows.npy", mmap_mode="r")
    for number, row in enumerate(rows):
        vectors = {name: np.array(row[part]) for part, name in enumerate(PARTS)}
        yield {"key": f"bench/{number:08d}", "label": str(number % 10), **vectors}


def webdataset(folder: Path) -> tuple[Callable[[], None], Epoch]:
    import webdataset as wds

    made = folder / "webdataset"

    def make() -> None:
        with wds.ShardWriter(str(made / "%06d.tar"), maxcount=SHARD, verbose=0) as sink:
            for sample in samples(folder):
                vectors = {f"{name}.npy": sample[name] for name in PARTS}
                sink.write({"__key__": sample["key"], "label.txt": sample["label"], **vectors})

    def epoch(seed: int) -> Iterator[Any]:
        urls = sorted(map(str, made.glob("*.tar")))
        data = wds.WebDataset(urls, shardshuffle=len(urls), seed=seed).shuffle(BUFFER).decode()
        names = ["__key__", "label.txt", *(f"{name}.npy" for name in PARTS)]
        yield from data.to_tuple(*names).batched(BATCH, partial=False)

    return make, epoch


def litdata(folder: Path) -> tuple[Callable[[], None], Epoch]:
    from litdata import StreamingDataLoader, StreamingDataset
    from litdata.streaming.cache import Cache

    made = folder / "litdata"

    def make() -> None:
        cache = Cache(str(made), chunk_bytes=64 << 20)
        for number, sample in enumerate(samples(folder)):
            cache[number] = sample
        cache.done()
        cache.merge()

    def epoch(seed: int) -> Iterator[Any]:
        data = StreamingDataset(str(made), shuffle=True, drop_last=True, seed=seed)
        yield from StreamingDataLoader(data, batch_size=BATCH, num_workers=0, drop_last=True)

    return make, epoch


def mosaicml(folder: Path) -> tuple[Callable[[], None], Epoch]:
    # an import of what is not used here asks for torchvision
    for name in ("torchvision", "torchvision.datasets", "torchvision.transforms", "torchvision.transforms.functional"):
        sys.modules[name] = stub = ModuleType(name)
        stub.__spec__ = ModuleSpec(name, None)
        stub.__dict__.update(VisionDataset=object, CIFAR10=object, to_tensor=None)
    from streaming import MDSWriter, StreamingDataset
    from streaming.base.util import clean_stale_shared_memory
    from torch.utils.data import DataLoader

    made = folder / "mosaicml"

    def make() -> None:
        columns = {"key": "str", "label": "str", **dict.fromkeys(PARTS, "ndarray:float32:512")}
        with MDSWriter(out=str(made), columns=columns) as out:
            for sample in samples(folder):
                out.write(sample)

    def epoch(seed: int) -> Iterator[Any]:
        clean_stale_shared_memory()
        data = StreamingDataset(local=str(made), shuffle=True, shuffle_seed=seed, batch_size=BATCH)
        yield from DataLoader(data, batch_size=BATCH, drop_last=True)

    return make, epoch


def huggingface(folder: Path) -> tuple[Callable[[], None], Any]:
    import pyarrow as pa
    from datasets import Dataset
    from datasets.utils.logging import disable_progress_bar

    made = folder / "datasets"
    disable_progress_bar()

    def make() -> None:
        rows = np.load(folder / "rows.npy")
        numbers = range(len(rows))
        columns: dict[str, Any] = {
            "key": [f"bench/{number:08d}" for number in numbers],
            "label": [str(number % 10) for number in numbers],
        }
        for part, name in enumerate(PARTS):
            columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(rows[:, part].ravel()), rows.shape[2])
        Dataset(pa.table(columns)).save_to_disk(str(made), num_shards=max(1, len(rows) // SHARD))

    return make, lambda: Dataset.load_from_disk(str(made)).with_format("torch")


def datasets_map(folder: Path) -> tuple[Callable[[], None], Epoch]:
    from torch.utils.data import DataLoader

    make, load = huggingface(folder)

    def epoch(seed: int) -> Iterator[Any]:
        generator = torch.Generator().manual_seed(seed)
        yield from DataLoader(load(), batch_size=BATCH, shuffle=True, drop_last=True, generator=generator)

    return make, epoch


def datasets_iterable(folder: Path) -> tuple[Callable[[], None], Epoch]:
    from torch.utils.data import DataLoader

    make, load = huggingface(folder)

    def epoch(seed: int) -> Iterator[Any]:
        data = load()
        shuffled = data.to_iterable_dataset(num_shards=max(1, len(data) // SHARD)).shuffle(seed, buffer_size=BUFFER)
        yield from DataLoader(shuffled, batch_size=BATCH, drop_last=True)

    return make, epoch


PEERS = {
    "webdataset": webdataset,
    "litdata": litdata,
    "mosaicml": mosaicml,
    "datasets-map": datasets_map,
    "datasets-iterable": datasets_iterable,
}
FOLDERS = {"datasets-map": "datasets", "datasets-iterable": "datasets"}


def timed(epoch: Epoch, seed: int, most_s: float) -> dict[str, float]:
    """Seconds and samples of an epoch, or of what fits into the time; from the call on."""
    start, cpu = time.perf_counter(), time.process_time()
    n_batches = 0
    for _ in epoch(seed):
        n_batches += 1
        if time.perf_counter() - start > most_s:
            break
    seconds, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    return {"samples": n_batches * BATCH, "seconds": seconds, "cpu_s": cpu_s}


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    torch.set_num_threads(1)
    make, epoch = PEERS[name](folder)
    made = folder / FOLDERS.get(name, name)
    if not made.exists():
        made.mkdir()
        make()
    answers, sys.stdout = sys.stdout, sys.stderr  # some of them print
    for line in sys.stdin:
        seed, most_s = line.split()
        print(json.dumps(timed(epoch, int(seed), float(most_s))), file=answers, flush=True)


if __name__ == "__main__":
    main()
