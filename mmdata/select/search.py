"""Samples whose texts hold some words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_WORDS = re.compile(r'"([^"]+)"|(\S+)')
MOST_WORDS = 16


def words(query: str) -> list[str]:
    """The words of a query; what stands in quotes is one.

    >>> words('red  "old apple"')
    ['red', 'old apple']
    """
    return [quoted or word for quoted, word in _WORDS.findall(query)][:MOST_WORDS]


def having(columns: Iterable[pa.ChunkedArray], query: Sequence[str]) -> np.ndarray:
    """The rows in which each of some words stands in one of the columns at least, in any case: int64 [row].

    Args:
        columns: texts, of as many rows each; null holds no word.
        query: the words, of which none is a pattern.
    """
    texts = list(columns)
    found: np.ndarray | None = None
    for word in query:
        each = [pc.fill_null(pc.match_substring(text, word, ignore_case=True), False).to_numpy() for text in texts]
        any_of = np.logical_or.reduce([np.asarray(hits, bool) for hits in each]) if each else np.zeros(0, bool)
        found = any_of if found is None else found & any_of
    if found is None:
        return np.arange(len(texts[0]) if texts else 0)
    return np.flatnonzero(found)
