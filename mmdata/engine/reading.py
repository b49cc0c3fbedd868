"""How long bytes took to be read, told apart from the steps that asked for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import perf_counter

from mmdata.core.sample import Blob, Sample

SOURCE = "source"  # the name under which reading is timed


class _Seconds(threading.local):
    waiting = 0.0


_SECONDS = _Seconds()


def watched(sample: Sample) -> Sample:
    """The sample as it is, but for the reading of its bytes, which is timed."""
    blobs = {name: part for name, part in sample.parts.items() if isinstance(part, Blob) and not part.is_read}
    if not blobs:
        return sample
    parts = {name: replace(blob, load=partial(_read, blob.load)) for name, blob in blobs.items()}
    return replace(sample, parts={**sample.parts, **parts})


def seconds_read() -> float:
    """Seconds that this thread spent on reading since it was asked last."""
    seconds, _SECONDS.waiting = _SECONDS.waiting, 0.0
    return seconds


def _read(load: Callable[[], bytes]) -> bytes:
    started = perf_counter()
    try:
        return load()
    finally:
        _SECONDS.waiting += perf_counter() - started
