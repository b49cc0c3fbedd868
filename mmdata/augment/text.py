"""Change texts at random: words swapped, left out, repeated or replaced; typing errors, misread letters, case.

After Wei and Zou, "EDA: Easy Data Augmentation" (2019), for words. Words are what stands between blanks, which stay.
Each step has a setting `share`: of so many words or characters it changes that share, each drawn on its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Le

from mmdata.core.sample import Text
from mmdata.core.step import Drop, RandomMap
from mmdata.kernels.text.lists import file_words, words_digest

Share = Annotated[float, Ge(0), Le(1)]
BLANKS = re.compile(r"(\s+)")
CORE = re.compile(r"^(\W*)(.*?)(\W*)$", re.DOTALL)  # a word between the marks that stand at it

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
class SwapWords(RandomMap[Text, Text]):
    """Let words change places with others of the text.

    Args:
        share: of the words that are drawn; each changes places with any word.
    """

    on: str = "text"
    share: Share = 0.1

    def map(self, text: Text, rng: np.random.Generator) -> Text | Drop:
        pieces, places = _words(text.text)
        for place in _drawn(rng, places, self.share):
            other = places[int(rng.integers(len(places)))]
            pieces[place], pieces[other] = pieces[other], pieces[place]
        return text.changed("".join(pieces))


@dataclass(frozen=True, kw_only=True)
class DeleteWords(RandomMap[Text, Text]):
    """Leave words out, with the blank behind them; one word at least stays.

    Args:
        share: of the words.
    """

    on: str = "text"
    share: Share = 0.1

    def map(self, text: Text, rng: np.random.Generator) -> Text | Drop:
        pieces, places = _words(text.text)
        drawn = _drawn(rng, places, self.share)
        if len(drawn) == len(places) and drawn:
            drawn.remove(places[int(rng.integers(len(places)))])
        for place in drawn:
            pieces[place : place + 2] = [""] * len(pieces[place : place + 2])
        return text.changed("".join(pieces) if not drawn else "".join(pieces).rstrip())


@dataclass(frozen=True, kw_only=True)
class InsertWords(RandomMap[Text, Text]):
    """Put words in: of a list, or of the text itself.

    Args:
        share: so many words a word of the text are put in, each behind a word that is drawn.
        words: the list; empty takes words of the text.
    """

    on: str = "text"
    share: Share = 0.1
    words: tuple[str, ...] = ()

    def map(self, text: Text, rng: np.random.Generator) -> Text | Drop:
        pieces, places = _words(text.text)
        source = self.words or tuple(pieces[place] for place in places)
        for place in _drawn(rng, places, self.share):
            pieces[place] += f" {source[int(rng.integers(len(source)))]}"
        return text.changed("".join(pieces))


@dataclass(frozen=True, kw_only=True)
class ReplaceWords(RandomMap[Text, Text]):
    """Replace words by others of the same meaning, from a table of your own.

    A capital at the beginning and marks at the word stay. Words that the table lacks stay as they are.

    Args:
        share: of the words that the table has.
        table: rows of words that may stand for each other: (("big", "large", "great"), ...).
        file: more rows, one a line, words separated by commas. What it holds is part of the fingerprint, not its name.
    """

    on: str = "text"
    share: Share = 0.3
    table: tuple[tuple[str, ...], ...] = ()
    file: str | None = None

    def __post_init__(self) -> None:
        if not (self.table or self.file):
            raise ValueError("there are no words to replace: give table or file")
        if short := [row for row in self.table if len(row) < 2]:
            raise ValueError(f"a row of the table needs two words at least, not {short[0]}")

    def settings(self) -> dict[str, Any]:
        if self.file is None:
            return super().settings()
        return {**super().settings(), "file": words_digest(file_words(self.file))}

    def map(self, text: Text, rng: np.random.Generator) -> Text | Drop:
        others = _others(self.table, file_words(self.file) if self.file else ())
        pieces, places = _words(text.text)
        cores = {place: core for place in places if (core := CORE.match(pieces[place])) and core[2].lower() in others}
        for place in _drawn(rng, list(cores), self.share):
            before, word, after = cores[place].groups()
            choice = others[word.lower()]
            new = choice[int(rng.integers(len(choice)))]
            pieces[place] = before + (new[:1].upper() + new[1:] if word[:1].isupper() else new) + after
        return text.changed("".join(pieces))


@lru_cache(maxsize=8)
def _others(table: tuple[tuple[str, ...], ...], lines: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """For each word in lower case, those that may stand for it."""
    rows = [*table, *(tuple(word.strip() for word in line.split(",") if word.strip()) for line in lines)]
    found: dict[str, tuple[str, ...]] = {}
    for row in rows:
        for word in row:
            more = [other for other in row if other.lower() != word.lower()]
            found[word.lower()] = tuple(dict.fromkeys((*found.get(word.lower(), ()), *more)))
    return {word: choice for word, choice in found.items() if choice}


@dataclass(frozen=True, kw_only=True)
class AddTypos(RandomMap[Text, Text]):
    """Make typing errors in Latin letters: a key beside the right one, one too many, one left out, two in wrong order.

    Args:
        share: of the letters.
        kinds: which errors; each is as likely as any other.
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
        for place in _drawn(rng, letters, self.share):
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
    """

    on: str = "text"
    share: Share = 0.02

    def map(self, text: Text, rng: np.random.Generator) -> Text | Drop:
        found = list(MISREADABLE.finditer(text.text))
        pieces, done = [], 0
        for place in _drawn(rng, list(range(len(found))), self.share):
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


def _words(text: str) -> tuple[list[str], list[int]]:
    """A text cut at blanks, blanks included, and where its words are."""
    pieces = BLANKS.split(text)
    return pieces, [place for place in range(0, len(pieces), 2) if pieces[place]]


def _drawn(rng: np.random.Generator, places: list[int], share: float) -> list[int]:
    """The places that are drawn, each with the probability of `share`."""
    return [places[number] for number in np.flatnonzero(rng.random(len(places)) < share)]
