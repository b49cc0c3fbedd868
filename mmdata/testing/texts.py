"""Captions."""

from __future__ import annotations

from mmdata.core.rng import rng_for
from mmdata.core.sample import Text

COLORS = ("red", "green", "blue", "yellow", "orange", "purple", "white", "grey")
SIZES = ("tiny", "small", "large", "huge")
THINGS = ("disc", "square", "triangle", "ring", "cross", "star", "bar", "diamond")
PLACES = (
    "on a table",
    "in the snow",
    "by a river",
    "under a tree",
    "at night",
    "on a wall",
    "in a field",
    "near a house",
)


def caption(seed: int = 0, *, thing: str = "") -> Text:
    """One English sentence about a thing: "A small red disc on a table." The thing is drawn too where none is given."""
    rng = rng_for(seed, "caption")
    size, color, drawn, place = (str(rng.choice(words)) for words in (SIZES, COLORS, THINGS, PLACES))
    return Text(f"A {size} {color} {thing or drawn} {place}.")
