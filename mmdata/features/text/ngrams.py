"""Texts as counts and samples of their n-grams, without a vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Text
from mmdata.core.step import Extract
from mmdata.kernels.hashing import hash_spans, min_hashes, signed_counts
from mmdata.kernels.text.words import char_grams, word_codes, word_grams


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

    Reference:
        Weinberger et al., "Feature Hashing for Large Scale Multitask Learning" (ICML 2009), as scikit-learn's
        HashingVectorizer.
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
        codes = word_codes(text.text)
        if not len(codes):
            return np.zeros(self.n_features, np.float32)
        grams = char_grams if self.analyzer == "char" else word_grams
        counts = signed_counts(hash_spans(codes, *grams(codes, self.n_min, self.n_max)), self.n_features)
        return counts / max(float(np.linalg.norm(counts)), 1.0)


@dataclass(frozen=True, kw_only=True)
class MinHash(Extract[Text]):
    """A signature by which near duplicates are found: uint32 [permutation]; see `kernels.hashing.min_hashes`.

    Of two texts the share of equal places is about the share of runs of words that they have in common (Jaccard), with
    a standard error of at most 0.5 / sqrt(n_permutations). Case and what stands between words make no difference. A
    text of fewer words than a run counts as one run; one without words has the greatest number in all places.

    Args:
        n_words: words a run.
        n_permutations: places; the signature is cut into bands by who looks for duplicates.
        seed: of the permutations; only signatures of one seed can be compared.

    Reference:
        Broder, "On the resemblance and containment of documents" (1997).
    """

    on: str = "text"
    into: str = "text.minhash"
    n_words: Annotated[int, Ge(1)] = 5
    n_permutations: Annotated[int, Ge(1)] = 128
    seed: Annotated[int, Ge(0)] = 1

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("permutation",), sizes={"permutation": self.n_permutations}, dtype="uint32")

    def extract(self, text: Text) -> np.ndarray:
        codes = word_codes(text.text)
        if not len(codes):
            return min_hashes(np.zeros(0, np.uint64), self.n_permutations, seed=self.seed)
        starts, ends = word_grams(codes, self.n_words, self.n_words)
        if not len(starts):  # fewer words than a run has
            starts, ends = np.array([1]), np.array([len(codes) - 1])
        return min_hashes(hash_spans(codes, starts, ends), self.n_permutations, seed=self.seed)
