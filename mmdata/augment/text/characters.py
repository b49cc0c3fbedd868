"""Typing errors, misread letters, and case."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mmdata.augment.text.shares import Share, drawn
from mmdata.core.sample import Text
from mmdata.core.step import Drop, RandomMap

# The keys beside each on a keyboard of the layout QWERTY, without those of digits.
ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
MISREAD: Mapping[str, tuple[str, ...]] = {
    "m": ("rn",), "rn": ("m",), "w": ("vv",), "vv": ("w",), "d": ("cl",), "cl": ("d",), "u": ("ii",), "l": ("1", "I"),
    "I": ("l", "1"), "1": ("l", "I"), "O": ("0",), "0": ("O",), "o": ("0",), "S": ("5",), "5": ("S",), "B": ("8",),
    "8": ("B",), "e": ("c",), "c": ("e",), "h": ("b",), "b": ("h",), "g": ("q", "9"), "q": ("g",), "Z": ("2",),
    "2": ("Z",), "t": ("f",), "f": ("t",), ",": (".",), ".": (",",), "fi": ("h",), "n": ("ri",), "G": ("6",),
}  # fmt: skip
MISREADABLE = re.compile("|".join(sorted(map(re.escape, MISREAD), key=len, reverse=True)))


@dataclass(frozen=True, kw_only=True)
class AddTypos(RandomMap[Text, Text]):
    """Make typing errors in Latin letters: a key beside the right one, one too many, one left out, two in wrong order.

    Args:
        share: of the letters.
        kinds: which errors; each is as likely as any other.

    Reference:
        Belinkov and Bisk, "Synthetic and Natural Noise Both Break Neural Machine Translation" (ICLR 2018); keys of
        QWERTY.
    """

    on: str = "text"
    share: Share = 0.02
    kinds: tuple[Literal["beside", "extra", "missing", "order"], ...] = ("beside", "extra", "missing", "order")

    def __post_init__(self) -> None:
        if not self.kinds:
            raise ValueError("kinds is empty: there is no error to make")

    def map(self, text: Text, rng: np.random.Generator) -> Text | Drop:
        chars = list(text.text)
        letters = [place for place, char in enumerate(chars) if char.lower() in BESIDE]
        for place in drawn(rng, letters, self.share):
            near = BESIDE[chars[place].lower()] if chars[place].lower() in BESIDE else chars[place]
            key = near[int(rng.integers(len(near)))] if near else ""
            key = key.upper() if chars[place].isupper() else key
            match self.kinds[int(rng.integers(len(self.kinds)))]:
                case "beside":
                    chars[place] = key
                case "extra":
                    chars[place] += key
                case "missing":
                    chars[place] = ""
                case "order" if place + 1 < len(chars):
                    chars[place], chars[place + 1] = chars[place + 1], chars[place]
        return text.changed("".join(chars))


def _beside() -> dict[str, str]:
    found = {}
    for number, row in enumerate(ROWS):
        for place, key in enumerate(row):
            near = [row[place - 1 : place], row[place + 1 : place + 2]]
            near += [ROWS[number - 1][place : place + 2]] if number else []
            near += [ROWS[number + 1][max(0, place - 1) : place + 1]] if number + 1 < len(ROWS) else []
            found[key] = "".join(near)
    return found


BESIDE = _beside()


@dataclass(frozen=True, kw_only=True)
class AddMisreadings(RandomMap[Text, Text]):
    """Replace characters by what a machine that reads print takes them for: "rn" for "m", "0" for "O", "c" for "e".

    Args:
        share: of the places that can be misread.

    Reference:
        Of mmdata.
    """

    on: str = "text"
    share: Share = 0.02

    def map(self, text: Text, rng: np.random.Generator) -> Text | Drop:
        found = list(MISREADABLE.finditer(text.text))
        pieces, done = [], 0
        for place in drawn(rng, list(range(len(found))), self.share):
            choice = MISREAD[found[place][0]]
            pieces += [text.text[done : found[place].start()], choice[int(rng.integers(len(choice)))]]
            done = found[place].end()
        return text.changed("".join([*pieces, text.text[done:]]))


@dataclass(frozen=True, kw_only=True)
class ChangeCase(RandomMap[Text, Text]):
    """Write a text in lower case, in capitals, with capitals at the beginnings of words, or with cases exchanged.

    Args:
        p: the share of texts that are changed.
        kinds: which ways; each is as likely as any other.

    Reference:
        Of mmdata.
    """

    on: str = "text"
    p: Share = 0.5
    kinds: tuple[Literal["lower", "upper", "title", "swap"], ...] = ("lower", "upper", "title")

    def __post_init__(self) -> None:
        if not self.kinds:
            raise ValueError("kinds is empty: there is no way to change the case")

    def map(self, text: Text, rng: np.random.Generator) -> Text | Drop:
        if rng.random() >= self.p:
            return text
        ways = {"lower": str.lower, "upper": str.upper, "title": str.title, "swap": str.swapcase}
        return text.changed(ways[self.kinds[int(rng.integers(len(self.kinds)))]](text.text))
