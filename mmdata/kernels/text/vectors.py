"""Tables of word vectors: GloVe's text, word2vec's text and word2vec's binary form; and a word's neighbours in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np

LONGEST_LINE = 1 << 20  # bytes
LONGEST_WORD = 4096  # bytes of a word in the binary form
MOST_NUMBERS = 1 << 16  # of a vector
BLOCK = 1 << 20


@dataclass(frozen=True, eq=False)
class WordTable:
    """Vectors: float32 [word, feature], their words, and where each stands. Of a word twice, the first is there."""

    words: tuple[str, ...]
    places: dict[str, int]
    vectors: np.ndarray


@dataclass(frozen=True)
class Form:
    """How a table is written.

    Args:
        width: numbers a vector.
        n_words: as its first line says; None where it has no such line, as GloVe's.
        binary: whether numbers are float32 in bytes.
        start: where its first word begins, in bytes.
    """

    width: int
    n_words: int | None
    binary: bool
    start: int


def table_form(path: str) -> Form:
    """How a table is written, told by its first two lines and its size.

    Raises:
        ValueError: it is no table, or is too short for what its first line says.
    """
    with Path(path).open("rb") as file:
        first = file.readline(LONGEST_LINE)
        second = file.readline(LONGEST_LINE)
        size = os.fstat(file.fileno()).st_size
    fields = first.split()
    if len(fields) != 2 or not (fields[0].isdigit() and fields[1].isdigit()):
        if not first.endswith(b"\n") and len(first) == LONGEST_LINE:
            fields = []
        return Form(_usable(path, len(fields) - 1, first), None, binary=False, start=0)
    n_words, width = (int(field[:20]) for field in fields)
    _usable(path, width, first)
    binary = not _is_row(second, width)
    least = 4 * width + 2 if binary else 2 * width + 1
    if n_words < 1 or n_words * least > size:
        raise ValueError(f"{path} is damaged: it says {n_words} words of {width} numbers, and has {size} bytes")
    return Form(width, n_words, binary, start=len(first))


def _usable(path: str, width: int, first: bytes) -> int:
    if not 1 <= width <= MOST_NUMBERS:
        raise ValueError(f"{path} is no table of word vectors: its first line is {first[:60]!r}")
    return width


def _is_row(line: bytes, width: int) -> bool:
    """Whether a line is a word and so many numbers, as text."""
    try:
        return len([float(field) for field in line.rstrip().rsplit(b" ", width)[1:]]) == width
    except ValueError:
        return False


def word_table(path: str, *, max_words: int | None = None) -> WordTable:
    """A table as GloVe writes it (a word and its numbers a line), or word2vec as text (with "words width" above) or
    bytes (that line; then each word, a space, and its numbers as float32, little-endian). Told by contents.

    Mikolov et al., "Efficient Estimation of Word Representations in Vector Space" (2013), and the code published with
    it; Pennington et al., "GloVe" (EMNLP 2014). Bytes that are no UTF-8 are replaced.

    Args:
        path: the file; what was read is kept until it changes.
        max_words: read the first so many, which are the most frequent ones in the tables that are published.

    Raises:
        ValueError: it is none, is cut off, or has numbers that are none; names the line, or the word by its number.
    """
    state = Path(path).stat()
    return _word_table(path, max_words, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=2)
def _word_table(path: str, max_words: int | None, _size: int, _changed_ns: int) -> WordTable:
    form = table_form(path)
    places: dict[str, int] = {}
    rows: list[np.ndarray] = []
    with Path(path).open("rb") as file:
        file.seek(form.start)
        for word, numbers in (_of_bytes if form.binary else _of_lines)(path, file, form):
            if not np.isfinite(numbers).all():
                raise ValueError(f"{path} is damaged: the vector of {word[:60]!r} has numbers that are not finite")
            if places.setdefault(word, len(rows)) == len(rows):
                rows.append(numbers)
            if len(rows) == max_words:
                break
    return WordTable(tuple(places), places, np.array(rows, np.float32).reshape(-1, form.width))


def _of_lines(path: str, file: BinaryIO, form: Form) -> Iterator[tuple[str, np.ndarray]]:
    first = 1 if form.n_words is None else 2
    for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), start=first):
        fields = line.decode("utf-8", "replace").rstrip().rsplit(" ", form.width)
        if len(fields) != form.width + 1:
            start = line[:60].decode("utf-8", "replace")
            raise ValueError(f"{path}, line {number}: expected a word and {form.width} numbers, found {start!r}")
        try:
            yield fields[0], np.array(fields[1:], np.float32)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
    if form.n_words is not None and number - 1 < form.n_words:
        raise ValueError(f"{path} is cut off: it says {form.n_words} words, and has {number - 1}")


def _of_bytes(path: str, file: BinaryIO, form: Form) -> Iterator[tuple[str, np.ndarray]]:
    n_bytes, data, start = 4 * form.width, b"", 0
    for number in range(1, (form.n_words or 0) + 1):
        end = data.find(b" ", start, start + LONGEST_WORD + 1)
        if end < 0 or end + 1 + n_bytes > len(data):
            data, start = data[start:] + file.read(max(BLOCK, n_bytes + LONGEST_WORD + 2)), 0
            end = data.find(b" ", 0, LONGEST_WORD + 1)
        if end < 0 or end + 1 + n_bytes > len(data):
            found = "no end of its word" if end < 0 else f"{len(data) - end - 1} of {n_bytes} bytes"
            raise ValueError(f"{path} is damaged or cut off: word {number} of {form.n_words} has {found}")
        word = data[start:end].lstrip(b"\n").decode("utf-8", "replace")
        start = end + 1 + n_bytes
        yield word, np.frombuffer(data, "<f4", form.width, end + 1)


def neighbors(table: WordTable, word: str, n: int, min_cosine: float) -> tuple[tuple[str, float], ...]:
    """The words whose vectors lie nearest to one word's, by the cosine of the angle between them, nearest first.

    Args:
        table: of `word_table`.
        word: a word of the table; None are near to one that it lacks, or whose vector is zero.
        n: how many at most.
        min_cosine: how near they must be.

    Returns:
        pairs of word and cosine; cosines that are the same to five digits are in the table's order.
    """
    place = table.places.get(word)
    if place is None:
        return ()
    lengths = np.maximum(np.sqrt(np.einsum("wf,wf->w", table.vectors, table.vectors)), np.float32(1e-12))
    # not a product of BLAS, whose last bits change with its threads
    cosines = np.einsum("wf,f->w", table.vectors, table.vectors[place] / lengths[place]) / lengths
    cosines[place] = -2
    near = np.flatnonzero(cosines >= min_cosine)
    ordered = near[np.argsort(-np.round(cosines[near], 5), kind="stable")][:n]
    return tuple((table.words[other], float(cosines[other])) for other in ordered)
