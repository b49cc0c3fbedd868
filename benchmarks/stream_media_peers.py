"""One peer's part of `stream_media.py`, in that peer's environment: it writes its files, or reads two epochs of them.

    out/peers/litdata/bin/python benchmarks/stream_media_peers.py litdata prepare FOLDER
    out/peers/litdata/bin/python benchmarks/stream_media_peers.py litdata run FOLDER --workers 2

Each is used as its own documentation shows it: shuffled, batches of 256 stacked to one uint8 tensor [batch, height,
width, channel].
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

BATCH = 256
Decode = Callable[[bytes], np.ndarray]
BUFFER = 1000  # of webdataset: pictures to choose the next one from


def stored(folder: Path) -> Iterator[bytes]:
    """The pictures in order."""
    data, offsets = (folder / "pictures.bin").read_bytes(), np.load(folder / "offsets.npy")
    for first, last in pairwise(offsets):
        yield data[first:last]


def by_pillow(data: bytes) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def by_opencv(data: bytes) -> np.ndarray:
    import cv2

    cv2.setNumThreads(1)
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB))


def stacked(rows: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(rows))


def decoded(decode: Decode, rows: list[dict[str, bytes]]) -> torch.Tensor:
    """A batch of rows, in the worker that read them."""
    return stacked([decode(row["image"]) for row in rows])


def loading(workers: int) -> dict[str, Any]:
    return {"num_workers": workers, **({"persistent_workers": True, "prefetch_factor": 2} if workers else {})}


def webdataset(folder: Path, decode: Decode, workers: int) -> Any:
    import webdataset as wds

    tars = sorted(str(path) for path in (folder / "store" / "media").glob("*.tar"))
    data = wds.WebDataset(tars, shardshuffle=len(tars), workersplitter=wds.split_by_worker, empty_check=False)
    rows = data.shuffle(BUFFER).map(lambda sample: decode(sample["image.jpg"]))
    return wds.WebLoader(rows.batched(BATCH, collation_fn=stacked), batch_size=None, **loading(workers))


def write_litdata(folder: Path) -> None:
    from litdata.streaming.writer import BinaryWriter

    writer = BinaryWriter(str(folder / "litdata"), chunk_bytes="64MB")
    for number, data in enumerate(stored(folder)):
        writer[number] = {"image": data}
    writer.done()
    writer.merge()


def litdata(folder: Path, decode: Decode, workers: int) -> Any:
    from litdata import StreamingDataLoader, StreamingDataset

    data = StreamingDataset(str(folder / "litdata"), shuffle=True)
    return StreamingDataLoader(data, batch_size=BATCH, collate_fn=partial(decoded, decode), **loading(workers))


def without_torchvision() -> None:
    """Let mosaicml-streaming be imported: it asks for torchvision, for datasets that are not used here."""
    import transformers  # noqa: F401  it looks for the real one

    for name in ("torchvision", "torchvision.datasets", "torchvision.transforms", "torchvision.transforms.functional"):
        sys.modules[name] = ModuleType(name)
    sys.modules["torchvision.datasets"].__dict__["VisionDataset"] = object
    sys.modules["torchvision.transforms.functional"].__dict__["to_tensor"] = None


def write_mosaicml(folder: Path) -> None:
    without_torchvision()
    from streaming import MDSWriter

    with MDSWriter(out=str(folder / "mosaicml"), columns={"image": "bytes"}) as writer:
        for data in stored(folder):
            writer.write({"image": data})


def mosaicml(folder: Path, decode: Decode, workers: int) -> Any:
    without_torchvision()
    from streaming import StreamingDataset
    from torch.utils.data import DataLoader

    data = StreamingDataset(local=str(folder / "mosaicml"), shuffle=True, batch_size=BATCH)
    return DataLoader(data, batch_size=BATCH, collate_fn=partial(decoded, decode), **loading(workers))


LOADERS = {"webdataset": webdataset, "litdata": litdata, "mosaicml": mosaicml}
WRITERS = {"litdata": write_litdata, "mosaicml": write_mosaicml}


def cpu_s() -> float:
    """Seconds that processors were busy with this process and its workers."""
    total = time.process_time()
    for task in Path("/proc/self/task").glob("*/children"):
        for child in task.read_text().split():
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def epoch(loader: Any, n: int) -> tuple[float, float]:
    """Seconds of one epoch by the clock and of processors; at least nine in ten of its pictures must come."""
    start, busy, rows = time.perf_counter(), cpu_s(), 0
    for batch in loader:
        rows += len(batch)
    if rows < 0.9 * n:
        raise ValueError(f"{rows} of {n} pictures came")
    return (time.perf_counter() - start) * n / rows, (cpu_s() - busy) * n / rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("peer")
    parser.add_argument("verb", choices=["prepare", "run"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=0)
    given = parser.parse_args()
    name, _, decoder = given.peer.partition("/")
    torch.set_num_threads(1)
    if given.verb == "prepare":
        WRITERS.get(name, lambda _: None)(given.folder)
        print(json.dumps([0, 0]))
        return
    n = len(np.load(given.folder / "offsets.npy")) - 1
    loader = LOADERS[name](given.folder, by_opencv if decoder else by_pillow, given.workers)
    epoch(loader, n)
    seconds, busy = epoch(loader, n)
    print(json.dumps([n / seconds, n / busy]))


if __name__ == "__main__":
    main()
