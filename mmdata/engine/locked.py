"""The arrays of parts, locked: a step that writes into what it is given would change what others read."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmdata.core.sample import Array, Audio, Frames, Image


def numbers_of(part: object) -> np.ndarray | None:
    """The array that a part holds; None where it holds none."""
    if isinstance(part, Image | Frames):
        return part.pixels
    if isinstance(part, Audio):
        return part.samples
    return part.values if isinstance(part, Array) else None


def read_only(part: Any) -> Any:
    """The part itself, its array locked: a step that writes into what it is given would change what others read."""
    numbers = numbers_of(part)
    if numbers is not None and numbers.flags.writeable:
        numbers.flags.writeable = False
    return part
