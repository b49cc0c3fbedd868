"""What each step on pictures costs: milliseconds of the processor for one photograph of 640 x 427 px, one thread.

    python benchmarks/image_steps.py

Each with the settings it has unless told otherwise; the least of five batches, as a busy machine only ever adds.
"""

from __future__ import annotations

from time import process_time
from typing import Any

import cv2
import numpy as np

from mmdata.config.names import steps
from mmdata.core.rng import rng_for
from mmdata.core.sample import Blob, Image
from mmdata.core.step import Extract, Filter, Map, RandomMap, Step, address
from mmdata.testing.media import jpeg_bytes

BATCHES, CALLS = 5, 10
PLACES = ("codec.image.", "clean.image.", "augment.image.", "features.image.")


def called(step: Step, image: Image, blob: Blob, number: int) -> object:
    """One call of a step, on what it takes."""
    value: Any = blob if step.takes is Blob else image
    match step:
        case Map():
            return step.map(value)
        case RandomMap():
            return step.map(value, rng_for(number, "cost"))
        case Filter():
            return step.keep(value)
        case Extract():
            return step.extract(value)
    raise TypeError(f"{step.name} is of no kind that is measured here")


def main() -> None:
    from skimage import data

    cv2.setNumThreads(0)
    rocket: Any = data.rocket
    image = Image(np.asarray(rocket()))
    blob = Blob.of(jpeg_bytes(image, quality=90))
    for cls in steps():
        if not address(cls).startswith(PLACES) or cls.takes not in (Image, Blob):
            continue
        settings: dict[str, Any] = {"p": 1.0} if "p" in cls.__dataclass_fields__ else {}
        step = cls(**settings)
        called(step, image, blob, 0)
        taken = []
        for batch in range(BATCHES):
            start = process_time()
            for number in range(CALLS):
                called(step, image, blob, batch * CALLS + number)
            taken.append((process_time() - start) / CALLS)
        print(f"{step.name:40} {min(taken) * 1e3:8.2f} ms")


if __name__ == "__main__":
    main()
