"""Swap words, leave them out, repeat them or replace them by others.

Words are what stands between blanks, which stay.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from mmdata.augment.text.shares import Share, drawn
from mmdata.core.sample import Text
from mmdata.core.step import Drop, RandomMap
from mmdata.kernels.text.lists import file_words, words_digest

BLANKS = re.compile(r"(\s+)")
CORE = re.compile(r"^(\W*)(.*?)(\W*)$", re.DOTALL)  # a word between the marks that stand at it


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
        for place in drawn(rng, places, self.share):
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
        chosen = drawn(rng, places, self.share)
        if len(chosen) == len(places) and chosen:
            chosen.remove(places[int(rng.integers(len(places)))])
        for place in chosen:
            pieces[place : place + 2] = [""] * len(pieces[place : place + 2])
        return text.changed("".join(pieces) if not chosen else "".join(pieces).rstrip())


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
        for place in drawn(rng, places, self.share):
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
        for place in drawn(rng, list(cores), self.share):
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


def _words(text: str) -> tuple[list[str], list[int]]:
    """A text cut at blanks, blanks included, and where its words are."""
    pieces = BLANKS.split(text)
    return pieces, [place for place in range(0, len(pieces), 2) if pieces[place]]
