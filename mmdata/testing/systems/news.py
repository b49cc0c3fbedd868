"""News as a reader is shown them, a title with a picture: what fits together is clicked."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmdata.core.rng import rng_for
from mmdata.core.sample import Image
from mmdata.testing.media import png_bytes
from mmdata.testing.pictures import drift, shape
from mmdata.testing.systems.worlds import Drawn, System, World

TOPICS = {
    "sport": ("goal", "match", "striker", "coach", "league", "referee"),
    "weather": ("storm", "sunshine", "frost", "rain", "forecast", "heatwave"),
    "food": ("recipe", "kitchen", "bread", "chef", "harvest", "cheese"),
    "travel": ("train", "airport", "island", "summit", "ferry", "visa"),
}
SHAPES = ("disc", "star", "ring", "triangle")  # a ball, the sun, a plate, a mountain
FRAMES = (
    "{word} surprises {place}",
    "Why {place} talks about the {word}",
    "{place}: the {word} of the year",
    "All about the {word}",
)
PLACES = ("the north", "a small town", "the capital", "the coast", "a village")
LIKED = (-0.9, -0.3, 0.3, 0.9)  # log odds by the title's topic
FITTING = 1.8  # log odds that a picture of the same topic adds, and one of another takes away
FITS = 0.5  # of the pictures
PICTURE_PX = 48


def weigh(title: int, picture: int) -> list[float]:
    """How likely a title of this topic, this picture and no click, or a click, are."""
    fits = title == picture
    odds = LIKED[title] + (FITTING if fits else -FITTING)
    clicked = 1 / (1 + math.exp(-odds))
    shown = FITS if fits else (1 - FITS) / (len(TOPICS) - 1)
    return [shown * (1 - clicked), shown * clicked]


def headline(topic: int, rng: np.random.Generator) -> str:
    """A title with one word of its topic."""
    word = str(rng.choice(list(TOPICS.values())[topic]))
    text = str(rng.choice(FRAMES)).format(word=word, place=rng.choice(PLACES))
    return text[0].upper() + text[1:]


def illustration(topic: int, rng: np.random.Generator) -> Image:
    """The topic's shape somewhere on a textured ground, in any colour."""
    size = PICTURE_PX
    pixels = drift(size, size, seed=int(rng.integers(1 << 32)), contrast=0.3)
    center = (rng.uniform(0.42, 0.58) * size, rng.uniform(0.42, 0.58) * size)
    inside = shape(SHAPES[topic], size, size, center_px=center, radius_px=size * rng.uniform(0.3, 0.4))
    pixels[inside] = rng.integers(0, 60, 3) if rng.random() < 0.5 else 255 - rng.integers(0, 60, 3)
    return Image(pixels)


def write(folder: Path, drawn: Sequence[Drawn], world: World, seed: int) -> None:
    """`shown.jsonl`, a line a piece of news that was shown; the pictures lie in `pictures`."""
    (folder / "pictures").mkdir(exist_ok=True)
    with (folder / "shown.jsonl").open("w", encoding="utf-8") as file:
        for index, sample in enumerate(drawn):
            rng, key = rng_for(seed, "news", index), f"{index:05d}"
            title = headline(sample.shown["title"], rng)
            (folder / f"pictures/{key}.png").write_bytes(png_bytes(illustration(sample.shown["picture"], rng)))
            row = {"id": key, "title": title, "picture": f"pictures/{key}.png", "clicked": world.labels[sample.label]}
            file.write(json.dumps(row) + "\n")


NEWS = System("news", World.of(("no", "yes"), {"title": 4, "picture": 4}, weigh), write)
