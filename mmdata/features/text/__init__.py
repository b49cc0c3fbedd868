"""Numbers about texts, their n-grams, words and vectors, without a model."""

from __future__ import annotations

from mmdata.features.text.ngrams import HashedNgrams, MinHash
from mmdata.features.text.numbers import PrivateCounts, Readability, TextLength, TextMeasures
from mmdata.features.text.perplexity import Perplexity
from mmdata.features.text.vocabulary import BagOfWords, TfIdf, WordVectors, fit_vocabulary

__all__ = [
    "BagOfWords",
    "HashedNgrams",
    "MinHash",
    "Perplexity",
    "PrivateCounts",
    "Readability",
    "TextLength",
    "TextMeasures",
    "TfIdf",
    "WordVectors",
    "fit_vocabulary",
]
