"""Language models of n-grams, read from ARPA files, and how likely they find texts."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mmdata.kernels.text.vocabulary import file_digest

LONGEST_LINE = 1 << 16  # bytes
MOST_WORDS = 1 << 16  # of a block of lines that is looked up at once
HIGHEST_ORDER = 16
UNKNOWN, BEGIN, END = "<unk>", "<s>", "</s>"
MARKS = frozenset((UNKNOWN, BEGIN, END))  # in a text, no words of the model's
UNSEEN = -100.0  # log10 of a word that is unknown to a model without a sign for unknown words: KenLM's


@dataclass(frozen=True, eq=False)
class _Level:
    """The n-grams of one length, each as the place of its first n - 1 words among those, and its last word.

    Args:
        keys: uint64 [n-gram], rising: place * number of words + word.
        scores: float32 [n-gram], log10 of the last word's probability behind the others.
        backoffs: float32 [n-gram], log10 of what is taken off where a longer one is not there.
    """

    keys: np.ndarray
    scores: np.ndarray
    backoffs: np.ndarray

    def places(self, keys: np.ndarray) -> np.ndarray:
        """Where each key stands, or -1: int64 [key]."""
        if not len(self.keys):
            return np.full(len(keys), -1)
        found = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[found] == keys, found, -1)


@dataclass(frozen=True, eq=False)
class NgramModel:
    """A back-off model: the probability of a word behind others is that of the longest n-gram that it has, times the
    back-off weights of what was too long (Katz 1987). Models with interpolation are written in the same form.

    Args:
        words: numbers of the words.
        levels: n-grams of 1 word, 2, ...
    """

    words: dict[str, int]
    levels: tuple[_Level, ...]

    def scores(self, lines: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
        """log10 of the probability of each word, and of the end, of lines that each begin anew.

        Args:
            lines: words of each line.

        Returns:
            scores: float64 [word], each line's words and its end. known: bool [word], whether the model has it.
        """
        known, ids, behind = self._numbered(lines)
        unseen = ids < 0
        places = np.where(unseen, -1, ids)
        scores = np.where(unseen, UNSEEN, self.levels[0].scores[places].astype(np.float64))
        for n, level in enumerate(self.levels[1:], start=2):
            context = np.concatenate([[-1], places[:-1]])
            reaches = behind >= n - 1  # so many words stand before it in its line, the sign of beginning counted in
            has_context = reaches & (context >= 0)
            keys = context.astype(np.uint64) * np.uint64(len(self.words)) + ids.astype(np.uint64)
            places = np.where(has_context & ~unseen, level.places(keys), -1)
            backed = scores + np.where(has_context, self.levels[n - 2].backoffs[context], np.float32(0))
            if not len(level.keys):  # nor is there a longer one
                scores = backed
                break
            scores = np.where(places >= 0, level.scores[places], backed)
        counted = behind > 0
        return scores[counted], known[counted]

    def _numbered(self, lines: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Whether words are known, their numbers (-1: none, and no sign for it), and how many stand before each."""
        begin, end, unknown = self.words[BEGIN], self.words[END], self.words.get(UNKNOWN, -1)
        found: list[int] = []
        for line in lines:
            found.append(begin)
            found += [self.words.get(word, -1) if word not in MARKS else -1 for word in line]
            found.append(end)
        numbers = np.array(found, np.int64)
        known = numbers >= 0
        ids = np.where(known, numbers, unknown)
        behind = np.concatenate([np.zeros(0, np.int64), *(np.arange(len(line) + 2) for line in lines)])
        return known, ids, behind

    def perplexity(self, lines: Sequence[Sequence[str]]) -> tuple[float, float]:
        """How surprised the model is by each word and line end, as if it chose among so many; and the share of words
        that it does not know. (0, 0) where there is no word.
        """
        blocks = [self.scores(block) for block in _blocks([line for line in lines if line])]
        n_scores = sum(len(scores) for scores, _ in blocks)
        if not n_scores:
            return 0.0, 0.0
        mean = math.fsum(float(scores.sum()) for scores, _ in blocks) / n_scores
        n_words = sum(map(len, lines))
        n_unknown = sum(int((~known).sum()) for _, known in blocks)
        return 10.0 ** min(-mean, 38.0), n_unknown / n_words


def _blocks(lines: Sequence[Sequence[str]]) -> Iterator[list[Sequence[str]]]:
    """Lines in blocks of about MOST_WORDS words, so that what is computed at once stays small."""
    block: list[Sequence[str]] = []
    n_words = 0
    for line in lines:
        block.append(line)
        n_words += len(line)
        if n_words >= MOST_WORDS:
            yield block
            block, n_words = [], 0
    if block:
        yield block


def ngram_model(path: str) -> NgramModel:
    r"""The model of an ARPA file, as SRILM, KenLM (`lmplz`), IRSTLM and others write it; kept until the file changes.

    The form is that of ngram-format(5) of SRILM: `\data\`, counts by length, the n-grams of each length with log10 of
    their probability before and of their back-off behind, `\end\`.

    Raises:
        ValueError: it is none, is cut off, does not hold what it counts, or holds an n-gram whose beginning it lacks.
    """
    state = Path(path).stat()
    return _ngram_model(path, state.st_size, state.st_mtime_ns)


def model_digest(path: str) -> str:
    """The digest of an ARPA file's contents, of which no more than the head is looked at.

    Raises:
        ValueError: it has no such head.
    """
    with Path(path).open("rb") as file:
        _counts(_Lines(path, file))
    return file_digest(path)


@lru_cache(maxsize=2)
def _ngram_model(path: str, _size: int, _changed_ns: int) -> NgramModel:
    with Path(path).open("rb") as file:
        lines = _Lines(path, file)
        counts = _counts(lines)
        words: dict[str, int] = {}
        levels: list[_Level] = []
        for n, count in enumerate(counts, start=1):
            lines.expect(f"\\{n}-grams:".encode())
            levels.append(_level(lines, n, count, words, levels))
            if not words.keys() >= {BEGIN, END}:
                raise lines.fault(f"there is no {BEGIN} or no {END} among the words above")
        lines.expect(b"\\end\\")
    return NgramModel(words, tuple(levels))


class _Lines:
    """The lines of a file that are not empty, and where reading stands."""

    def __init__(self, path: str, file: BinaryIO) -> None:
        self.path, self.file, self.number = path, file, 0

    def next(self) -> bytes:
        while line := self.file.readline(LONGEST_LINE):
            self.number += 1
            if len(line) == LONGEST_LINE:
                raise self.fault(f"is longer than {LONGEST_LINE} bytes")
            if stripped := line.strip():
                return stripped
        raise ValueError(f"{self.path} is no ARPA file, or is cut off: it ends without \\end\\")

    def expect(self, wanted: bytes) -> None:
        line = self.next()
        if line != wanted:
            raise self.fault(f"expected {wanted.decode()}, found {line[:60]!r}")

    def fault(self, what: str) -> ValueError:
        return ValueError(f"{self.path}, line {self.number}: {what}")


def _counts(lines: _Lines) -> list[int]:
    while lines.next() != b"\\data\\":  # what stands above is a comment
        continue
    counts: list[int] = []
    while True:
        at = lines.file.tell(), lines.number
        name, sign, count = lines.next().partition(b"=")
        if not sign:
            lines.file.seek(at[0])
            lines.number = at[1]
            break
        if name.split() != [b"ngram", str(len(counts) + 1).encode()] or not count.strip().isdigit():
            raise lines.fault(f"expected ngram {len(counts) + 1}=NUMBER, found {(name + sign + count)[:60]!r}")
        counts.append(int(count[:20]))
    if not 1 <= len(counts) <= HIGHEST_ORDER:
        raise lines.fault(f"expected n-grams of 1 to at most {HIGHEST_ORDER} words, found {len(counts)} lengths")
    return counts


def _level(lines: _Lines, n: int, count: int, words: dict[str, int], levels: Sequence[_Level]) -> _Level:
    ids, scores, backoffs = array("q"), array("f"), array("f")
    for _ in range(count):
        fields = lines.next().split()
        if not n + 1 <= len(fields) <= n + 2:
            raise lines.fault(f"expected a number, {n} words and perhaps a number, found {b' '.join(fields)[:60]!r}")
        scores.append(_number(lines, fields[0], highest=1e-3))
        backoffs.append(_number(lines, fields[n + 1], highest=99.0) if len(fields) == n + 2 else 0.0)
        for field in fields[1 : n + 1]:
            word = field.decode("utf-8", "surrogateescape")
            number = words.setdefault(word, len(words)) if n == 1 else words.get(word, -1)
            if number < 0:
                raise lines.fault(f"the word {word!r} is not among those of one word")
            ids.append(number)
    grams = np.frombuffer(ids, np.int64).reshape(-1, n) if count else np.zeros((0, n), np.int64)
    return _sorted(lines, grams, np.array(scores, np.float32), np.array(backoffs, np.float32), levels, len(words))


def _number(lines: _Lines, field: bytes, *, highest: float) -> float:
    try:
        number = float(field)
    except ValueError:
        number = math.nan
    if not -1000 <= number <= highest:
        raise lines.fault(f"expected the logarithm of a probability, found {field[:60]!r}")
    return number


def _sorted(
    lines: _Lines, grams: np.ndarray, scores: np.ndarray, backoffs: np.ndarray, levels: Sequence[_Level], n_words: int
) -> _Level:
    keys = grams[:, 0].astype(np.uint64)
    for level, word in zip(levels, grams.T[1:], strict=True):
        places = level.places(keys)
        if len(places) and places.min() < 0:
            raise lines.fault(f"a {grams.shape[1]}-gram above has a beginning that the model lacks")
        keys = places.astype(np.uint64) * np.uint64(n_words) + word.astype(np.uint64)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    if (keys[1:] == keys[:-1]).any():
        raise lines.fault(f"a {grams.shape[1]}-gram above stands there twice")
    return _Level(keys, scores[order], backoffs[order])
