"""Swap words, leave them out, repeat them or replace them by others.

Words are what stands between blanks, which stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le

from mmdata.augment.text.shares import Share, drawn
from mmdata.core.faults import file_of
from mmdata.core.sample import Text
from mmdata.core.step import Drop, RandomMap
from mmdata.kernels.text.lists import file_words, words_digest
from mmdata.kernels.text.vectors import WordTable, neighbors, table_form, word_table
from mmdata.kernels.text.vocabulary import file_digest

BLANKS = re.compile(r"(\s+)")
MARKS = re.compile(r"\W*")


@dataclass(frozen=True, kw_only=True)
class SwapWords(RandomMap[Text, Text]):
    """Let words change places with others of the text.

    Args:
        share: of the words that are drawn; each changes places with any word.

    Reference:
        Wei and Zou, "EDA: Easy Data Augmentation Techniques" (EMNLP 2019).
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

    Reference:
        Wei and Zou, "EDA: Easy Data Augmentation Techniques" (EMNLP 2019).
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

    Reference:
        Wei and Zou, "EDA: Easy Data Augmentation Techniques" (EMNLP 2019).
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

    Reference:
        Wei and Zou, "EDA: Easy Data Augmentation Techniques" (EMNLP 2019).
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
        with file_of("file", self.file):
            return {**super().settings(), "file": words_digest(file_words(self.file))}

    def map(self, text: Text, rng: np.random.Generator) -> Text | Drop:
        with file_of("file", self.file or ""):
            others = _others(self.table, file_words(self.file) if self.file else ())
        return _replaced(text, rng, self.share, lambda word: others.get(word.lower(), ()))


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
class ReplaceByVectors(RandomMap[Text, Text]):
    """Replace words by near ones of a table of word vectors: synonyms, and what else stands where they stand.

    A capital at the beginning and marks at the word stay. Words that the table lacks stay as they are; they are looked
    up as they are written, then in lower case.

    Args:
        share: of the words that have a neighbour.
        file: GloVe's text form, or word2vec's as text or bytes. What it holds is part of the fingerprint, not its name.
        n_nearest: each of so many neighbours is as likely as any other.
        min_cosine: how near a neighbour must be, by the cosine of the angle between the vectors.
        max_words: take words and neighbours from the first so many of the table, which are the frequent ones.

    Reference:
        Wang and Yang, "That's So Annoying!!!: A Lexical and Frame-Semantic Embedding Based Data Augmentation Approach"
        (EMNLP 2015).
    """

    on: str = "text"
    share: Share = 0.1
    file: str
    n_nearest: Annotated[int, Ge(1)] = 5
    min_cosine: Annotated[float, Ge(0), Le(1)] = 0.6
    max_words: Annotated[int, Ge(1)] | None = 50_000

    def settings(self) -> dict[str, Any]:
        with file_of("file", self.file):
            table_form(self.file)
            return {**super().settings(), "file": file_digest(self.file)}

    def map(self, text: Text, rng: np.random.Generator) -> Text | Drop:
        with file_of("file", self.file):
            table = word_table(self.file, max_words=self.max_words)
        return _replaced(text, rng, self.share, partial(_near, table, self.n_nearest, self.min_cosine))


@lru_cache(maxsize=1 << 16)
def _near(table: WordTable, n: int, min_cosine: float, word: str) -> tuple[str, ...]:
    """Neighbours of a word, other spellings of the same word left out; phrases are written with blanks."""
    known = word if word in table.places else word.lower()
    found = neighbors(table, known, 2 * n, min_cosine)
    return tuple(other.replace("_", " ") for other, _ in found if other.casefold() != word.casefold())[:n]


def _replaced(text: Text, rng: np.random.Generator, share: float, others: Callable[[str], Sequence[str]]) -> Text:
    """A text of whose words that have others a share is replaced by one of them."""
    pieces, places = _words(text.text)
    cores = {place: core for place in places if others((core := _core(pieces[place]))[1])}
    for place in drawn(rng, list(cores), share):
        before, word, after = cores[place]
        choice = others(word)
        new = choice[int(rng.integers(len(choice)))]
        pieces[place] = before + (new[:1].upper() + new[1:] if word[:1].isupper() else new) + after
    return text.changed("".join(pieces))


def _core(piece: str) -> tuple[str, str, str]:
    """A word between the marks that stand at it."""
    start, end = MARKS.match(piece).end(), len(piece)  # type: ignore[union-attr]  # it matches anything
    while end > start and not (piece[end - 1].isalnum() or piece[end - 1] == "_"):
        end -= 1
    return piece[:start], piece[start:end], piece[end:]


def _words(text: str) -> tuple[list[str], list[int]]:
    """A text cut at blanks, blanks included, and where its words are."""
    pieces = BLANKS.split(text)
    return pieces, [place for place in range(0, len(pieces), 2) if pieces[place]]
