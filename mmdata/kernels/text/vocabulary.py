"""Vocabularies: made once of many texts, kept in a file, read by steps. And the digest of such a file."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from mmdata.kernels.text.words import split_words

FORMAT = "mmdata vocabulary 1"


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Terms in order, and how rare each is.

    Args:
        places: where each term stands.
        idf: float32 [term], inverse document frequency, smoothed: ln((1 + texts) / (1 + texts with it)) + 1.
    """

    places: dict[str, int]
    idf: np.ndarray

    def counts(self, text: str) -> np.ndarray:
        """How often each term stands in a text, case-folded: float32 [term]."""
        known = [place for word in split_words(text.casefold()) if (place := self.places.get(word)) is not None]
        return np.bincount(np.array(known, np.int64), minlength=len(self.places)).astype(np.float32)


def fit_vocabulary(
    texts: Iterable[str], path: str | Path, *, max_terms: int = 10_000, min_texts: int = 2, max_share: float = 1.0
) -> None:
    """Count the words of many texts and write the vocabulary to a file of JSON.

    The terms are the words of the most texts, in the order of the alphabet; of equally frequent ones the first by
    alphabet are taken. Texts are read once, one at a time; the result does not depend on their order.

    Args:
        texts: such as those of a store.
        path: the file; it is written whole or not at all.
        max_terms: how many terms there are at most.
        min_texts: fewest texts that a term must stand in.
        max_share: greatest share of texts that it may stand in.

    Raises:
        ValueError: no term is left.
    """
    n_texts, found = 0, Counter[str]()
    for text in texts:
        n_texts += 1
        found.update(set(split_words(text.casefold())))
    wanted = [(word, n) for word, n in found.items() if min_texts <= n <= max_share * n_texts]
    if not wanted:
        raise ValueError(f"no word stands in {min_texts} to {max_share:.0%} of {n_texts} texts")
    chosen = dict(sorted(sorted(wanted, key=lambda pair: (-pair[1], pair[0]))[:max_terms]))
    value = {"format": FORMAT, "n_texts": n_texts, "terms": list(chosen), "n_texts_with": list(chosen.values())}
    target = Path(path)
    part = target.with_name(f".{target.name}.part")
    part.write_text(json.dumps(value, ensure_ascii=False), "utf-8", "surrogatepass")
    part.replace(target)


def vocabulary_of(path: str) -> Vocabulary:
    """The vocabulary of a file that `fit_vocabulary` wrote; kept until the file changes.

    Raises:
        ValueError: it is none.
    """
    return _vocabulary(path, Path(path).stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _vocabulary(path: str, _changed_ns: int) -> Vocabulary:
    try:
        value = json.loads(Path(path).read_bytes())
        terms, n_with, n_texts = value["terms"], value["n_texts_with"], value["n_texts"]
        known = value["format"] == FORMAT and len(terms) == len(n_with)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no vocabulary: {type(error).__name__}: {error}") from error
    if not known:
        raise ValueError(f"{path} is no vocabulary of the form {FORMAT!r}")
    idf = [math.log((1 + n_texts) / (1 + n)) + 1 for n in n_with]
    return Vocabulary({term: place for place, term in enumerate(terms)}, np.array(idf, np.float32))


def file_digest(path: str) -> str:
    """A digest of a file's contents, 16 hexadecimal digits; kept until its size or time changes."""
    stat = Path(path).stat()
    return _file_digest(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _file_digest(path: str, _size: int, _changed_ns: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()
