"""Texts by the words of a vocabulary, and by vectors of words. Files that were fitted are part of the fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge

from mmdata.core.arrays import ArraySpec
from mmdata.core.faults import file_of
from mmdata.core.sample import Text
from mmdata.core.step import Extract
from mmdata.kernels.text.vectors import table_form, word_table
from mmdata.kernels.text.vocabulary import (
    Vocabulary,
    file_digest,
    fit_vocabulary,
    vocabulary_of,
)
from mmdata.kernels.text.words import split_words

__all__ = ["BagOfWords", "TfIdf", "WordVectors", "fit_vocabulary"]


@dataclass(frozen=True, kw_only=True)
class _OfFile(Extract[Text]):
    """A feature that reads a file. What the file holds is part of the fingerprint, not its name."""

    file: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.file:
            raise ValueError("file is missing: name the file that the feature reads")

    def settings(self) -> dict[str, Any]:
        with file_of("file", self.file):
            return {**super().settings(), "file": file_digest(self.file)}


def _vocabulary(file: str) -> Vocabulary:
    with file_of("file", file):
        return vocabulary_of(file)


@dataclass(frozen=True, kw_only=True)
class BagOfWords(_OfFile):
    """How often each word of a vocabulary stands in a text: float32 [term]; words that it lacks are passed over.

    Args:
        file: of `fit_vocabulary`.

    Reference:
        As scikit-learn's CountVectorizer.
    """

    on: str = "text"
    into: str = "text.words"

    def fitted(self) -> Mapping[str, str]:
        return {"file": self.file}

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("term",), sizes={"term": len(_vocabulary(self.file).places)})

    def extract(self, text: Text) -> np.ndarray:
        return _vocabulary(self.file).counts(text.text)


@dataclass(frozen=True, kw_only=True)
class TfIdf(_OfFile):
    """Counts of a vocabulary's words times how rare they are: float32 [term] of length 1, or zeros.

    As scikit-learn's TfidfVectorizer with its defaults: smoothed, natural logarithm, L2.

    Args:
        file: of `fit_vocabulary`.
        sublinear: take 1 + ln(count) for a count.

    Reference:
        As scikit-learn's TfidfVectorizer; Spaerck Jones, "A statistical interpretation of term specificity" (1972).
    """

    on: str = "text"
    into: str = "text.tfidf"
    sublinear: bool = False

    def fitted(self) -> Mapping[str, str]:
        return {"file": self.file}

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("term",), sizes={"term": len(_vocabulary(self.file).places)})

    def extract(self, text: Text) -> np.ndarray:
        vocabulary = _vocabulary(self.file)
        counts = vocabulary.counts(text.text)
        if self.sublinear:
            counts = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), counts).astype(np.float32)
        weighted: np.ndarray = counts * vocabulary.idf
        length = float(np.linalg.norm(weighted))
        return weighted / np.float32(length) if length else weighted


@dataclass(frozen=True, kw_only=True)
class WordVectors(_OfFile):
    """Vectors of a text's words from a table: float32 [feature], their mean; or [word, feature], each in order.

    Words that the table lacks are passed over; a text without any known word has zeros, or no rows.

    Args:
        file: GloVe's text form, or word2vec's as text or bytes (".bin").
        form: "mean" or "sequence".
        lower: look words up in lower case.
        max_words: read the first so many words of the table; None reads all. A worker holds it in memory.

    Reference:
        Mikolov et al., "Efficient Estimation of Word Representations in Vector Space" (2013); Pennington et al.,
        "GloVe" (EMNLP 2014).
    """

    on: str = "text"
    into: str = "text.vectors"
    form: Literal["mean", "sequence"] = "mean"
    lower: bool = True
    max_words: Annotated[int, Ge(1)] | None = None

    def spec(self) -> ArraySpec:
        with file_of("file", self.file):
            sizes = {"feature": table_form(self.file).width}
        return ArraySpec(dims=("feature",) if self.form == "mean" else ("word", "feature"), sizes=sizes)

    def extract(self, text: Text) -> np.ndarray:
        with file_of("file", self.file):
            table = word_table(self.file, max_words=self.max_words)
        words = split_words(text.text.lower() if self.lower else text.text)
        known = [table.places[word] for word in words if word in table.places]
        vectors: np.ndarray = table.vectors[np.array(known, np.int64)]
        if self.form == "sequence":
            return vectors
        total: np.ndarray = vectors.sum(axis=0, dtype=np.float64)
        mean: np.ndarray = (total / max(len(known), 1)).astype(np.float32)
        return mean
