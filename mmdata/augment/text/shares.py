"""How steps draw what they change: each place on its own, with one probability."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

Share = Annotated[float, Ge(0), Le(1)]


def drawn(rng: np.random.Generator, places: list[int], share: float) -> list[int]:
    """The places that are drawn, each with the probability of `share`."""
    return [places[number] for number in np.flatnonzero(rng.random(len(places)) < share)]
