"""What acoustic models have in common for alignment: they spell words, and say to which word each frame belongs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True, eq=False)
class Heard:
    """What a model makes of a stretch of sound for which it was given a text. Nothing where no path fits at all.

    Args:
        words: int32 [time], which word each frame belongs to; -1 in pauses.
        units: int32 [time], a number for each sound of the path: it changes where another sound begins.
        names: names of those sounds, such as "AH", by number.
        gains: float64 [time], what each frame adds to the text's log likelihood.
        free: float64 [time], what it adds to that of any sounds at all.
        fits: float32 [time], log of how likely the frame's sound is beside the likeliest one; 0 is best.
    """

    words: np.ndarray
    units: np.ndarray
    names: dict[int, str]
    gains: np.ndarray
    free: np.ndarray
    fits: np.ndarray


LONGEST_WORD = 200  # characters: what is longer is no word, and spelled out would be a graph of any size


class Voice(Protocol):
    """An acoustic model, as alignment uses it."""

    rate_hz: int
    hop_s: float
    lead_s: float  # where the first frame begins to count: half of what a frame sees beyond its hop
    least_score: float  # from which a transcript fits, unless the step says otherwise
    breadth: float  # what logs are divided by where they become confidences: 1 for honest probabilities

    def spelled(self, word: str) -> Any | None:
        """A written word as the model's sounds; None where it can't say it."""

    def hear(self, wave: np.ndarray, words: Sequence[Any], *, open_end: bool) -> Heard:
        """Say for each frame of a wave, float32 [time] at `rate_hz`, which of the spelled words it belongs to.

        Args:
            wave: mono.
            words: as `spelled` gave them; none asks for silence.
            open_end: whether the sound may end before the text does.
        """


NOTHING = Heard(
    np.empty(0, np.int32), np.empty(0, np.int32), {}, np.empty(0), np.empty(0), np.empty(0, np.float32)
)  # fmt: skip
