"""Numbers about texts, without a vocabulary or a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Text
from mmdata.core.step import Extract
from mmdata.kernels.hashing import code_points, hash_spans, signed_counts
from mmdata.kernels.text import char_grams, split_words, word_grams

INT32 = ArraySpec(dtype="int32")


@dataclass(frozen=True, kw_only=True)
class HashedNgrams(Extract[Text]):
    """Counts of n-grams by hashed bin: float32 [feature] of length 1, or zeros for a text without words.

    In the manner of scikit-learn's HashingVectorizer with signs: no vocabulary, so nothing to fit and each text stands
    alone. Texts are case-folded; words are what stands between blanks and punctuation.

    Args:
        analyzer: "char" takes n-grams of characters inside words, the blank at each end counted in (scikit-learn's
            "char_wb"): it bears with inflection and spelling. "word" takes runs of whole words.
        n_min: shortest n-gram.
        n_max: longest.
        n_features: bins; more collide less.
    """

    on: str = "text"
    into: str = "text.ngrams"
    analyzer: Literal["char", "word"] = "char"
    n_min: Annotated[int, Ge(1)] = 2
    n_max: Annotated[int, Ge(1)] = 4
    n_features: Annotated[int, Ge(2)] = 1024

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_max < self.n_min:
            raise ValueError(f"n_max ({self.n_max}) is below n_min ({self.n_min})")

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("feature",), sizes={"feature": self.n_features})

    def extract(self, text: Text) -> np.ndarray:
        words = split_words(text.text.casefold())
        if not words:
            return np.zeros(self.n_features, np.float32)
        codes = code_points(f" {' '.join(words)} ")
        grams = char_grams if self.analyzer == "char" else word_grams
        counts = signed_counts(hash_spans(codes, *grams(codes, self.n_min, self.n_max)), self.n_features)
        return counts / max(float(np.linalg.norm(counts)), 1.0)


@dataclass(frozen=True, kw_only=True)
class TextLength(Extract[Text]):
    """How long a text is: int32 scalars `chars` (code points) and `words` (what stands between separators)."""

    on: str = "text"
    into: str = "text.length"

    def spec(self) -> dict[str, ArraySpec]:
        return {"chars": INT32, "words": INT32}

    def extract(self, text: Text) -> dict[str, np.ndarray]:
        counts = {"chars": len(text.text), "words": len(split_words(text.text))}
        return {name: np.asarray(count, np.int32) for name, count in counts.items()}
