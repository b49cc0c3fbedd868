"""What overlap is worth: pictures through a model by a loop, and by the runner, on the same device with the same model.

    python benchmarks/batching.py [--pictures 256] [--rounds 3] [--threads 1] [--wait-ms 8]

The loop is what one writes first: decode, prepare, and call the model on 32 at a time, in order, then save an array.
The runner prepares beside the model, finds the size of its groups and writes a family's file of a store. Both use the
step's own methods, so they differ in nothing else. The model is loaded before, and called once. `--threads` is what
torch may use: with 1, a second core is free for decoding. `--wait-ms` puts a pause for each picture in the model's
place: a device that needs no core of this machine, as a GPU does not.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import numpy as np
from measure import spread

from mmdata.codec.decoders import decode
from mmdata.core.arrays import ArraySpec
from mmdata.core.pipeline import Family, RunSettings
from mmdata.core.sample import Blob, Image, Sample
from mmdata.core.step import BatchExtract
from mmdata.engine.counts import Counts
from mmdata.engine.extract import Extraction
from mmdata.engine.models import model_of, together
from mmdata.engine.notes import Notes
from mmdata.engine.rows import FamilyWork
from mmdata.kernels.image import resize
from mmdata.store.store import Store
from mmdata.store.write_features import FeatureWriter
from mmdata.testing.corpora import media

BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Waits(BatchExtract[Image]):
    """Small pictures, and a device that takes its time for each."""

    on: str = "image"
    into: str = "image.waits"
    ms: float = 8.0

    def spec(self) -> ArraySpec:
        return ArraySpec()

    def load(self, device: str) -> float:  # noqa: ARG002  there is none
        return self.ms / 1000

    def prepare(self, value: Image) -> np.ndarray:
        return resize(value.pixels, width=224, height=224)

    def cost(self, prepared: np.ndarray) -> int:
        return int(prepared.size)

    def extract(self, model: float, prepared: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        sleep(model * len(prepared))
        return [np.asarray(each.mean(), np.float32) for each in prepared]


def loop(step: BatchExtract[Any], paths: list[Path], folder: Path) -> Counts:
    """Decode, prepare, compute, one after the other."""
    model, batch = model_of(step, "cpu"), []
    rows: list[Any] = []
    for number, path in enumerate(paths):
        batch.append(step.prepare(decode(Blob.of(path.read_bytes()), Image)))
        if len(batch) == BATCH or number == len(paths) - 1:
            rows += together(step, model, batch, "cpu")
            batch = []
    np.save(folder / "loop.npy", np.stack([np.asarray(row) for row in rows]))
    return Counts()


def runner(step: BatchExtract[Any], paths: list[Path], folder: Path) -> Counts:
    """The same by the engine."""
    Store.create(folder / "store")
    counts = Counts()
    writer = FeatureWriter(str(folder / "store"), step.into, step.columns(), shard="s", fp="f")
    extraction = Extraction([FamilyWork(Family(step, "f"), writer)], counts, Notes(None), RunSettings(device="cpu"))
    for number, path in enumerate(paths):
        extraction.add(str(number), Sample(str(number), {"image": Blob.of(path.read_bytes())}))
    extraction.flush()
    extraction.close()
    writer.abort()
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--wait-ms", type=float)
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(given.threads)

    from mmdata.features.embed.wheels import EfficientNetLite0

    step: BatchExtract[Any] = EfficientNetLite0() if given.wait_ms is None else Waits(ms=given.wait_ms)
    paths = sorted(media("tuxpaint-stamps-default").rglob("*.png"))[: given.pictures]
    first = step.prepare(decode(Blob.of(paths[0].read_bytes()), Image))
    together(step, model_of(step, "cpu"), [first], "cpu")
    sides: dict[str, Callable[[BatchExtract[Any], list[Path], Path], Counts]] = {"loop": loop, "runner": runner}
    taken: dict[str, list[float]] = {name: [] for name in sides}
    counts = Counts()
    for turn in range(given.rounds + 1):  # the first finds the budget, and fills the caches
        for name, side in sides.items():
            with tempfile.TemporaryDirectory() as folder:
                start = perf_counter()
                counts = side(step, paths, Path(folder))
                if turn:
                    taken[name].append(perf_counter() - start)
    for name, seconds in taken.items():
        print(f"{name:8} {spread([len(paths) / each for each in seconds])} pictures/s")
    ratios = [one / other for one, other in zip(taken["loop"], taken["runner"], strict=True)]
    print(f"runner to loop: {spread(ratios)} times")
    print({stage: round(sum(steps.values()), 2) for stage, steps in counts.stages.items()})


if __name__ == "__main__":
    main()
