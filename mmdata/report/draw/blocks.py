"""Small plots in a line of text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BLOCKS = "▁▂▃▄▅▆▇█"
PLAIN = ".:-=+*#@"  # where a terminal has no blocks


def plot(counts: Sequence[int], *, levels: str = BLOCKS) -> str:
    """A histogram in a line, a sign a bar; what counts nothing is blank.

    >>> plot([0, 1, 4, 8]), plot([0, 1, 8], levels=PLAIN)
    (' ▁▄█', ' .@')
    """
    if not counts:
        return ""
    values = np.asarray(counts, np.float64)
    heights = np.ceil(values / max(values.max(), 1.0) * len(levels)).astype(int)
    return "".join(levels[height - 1] if height else " " for height in heights.tolist())


def fewer(counts: Sequence[int], most: int) -> list[int]:
    """The same counts in at most so many bars, neighbours added up.

    >>> fewer([1, 2, 3, 4, 5], 2)
    [6, 9]
    """
    if len(counts) <= most:
        return list(counts)
    step = -(-len(counts) // most)
    return [sum(counts[at : at + step]) for at in range(0, len(counts), step)]


def bar(n: float, most: float, width: int = 24, *, full: str = "█") -> str:
    """A bar whose length is a share of the width; what is not 0 is seen.

    >>> bar(1, 100, 10), bar(50, 100, 10), bar(0, 100, 10)
    ('█', '█████', '')
    """
    return full * (max(1, round(width * n / most)) if n > 0 and most > 0 else 0)
