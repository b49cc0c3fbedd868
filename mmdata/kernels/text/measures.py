"""Entropy, compression and readability of texts."""

from __future__ import annotations

import math
import re
import zlib

import numpy as np

from mmdata.kernels.hashing import code_points
from mmdata.kernels.text.sentences import sentence_ends

# a group of vowels is a syllable, but for a final e that is not heard
VOWELS = re.compile(r"[aeiouy]+")
SILENT = re.compile(r"(?:[^laeiouy]e|[^aeiouytd]ed|[^aeiouysxzcg]es)\Z")
LATIN_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def entropy_bits(text: str) -> float:
    """Shannon's entropy of a text's characters, in bits each; 0 for an empty text.

    >>> entropy_bits("abab")
    1.0
    """
    if not text:
        return 0.0
    counts = np.unique(code_points(text), return_counts=True)[1] / len(text)
    return float(max(0.0, -(counts * np.log2(counts)).sum()))


def compression_ratio(text: str) -> float:
    """Bytes of UTF-8 after DEFLATE (zlib, level 6) to those before; 1 for an empty text, above 1 for short ones."""
    data = text.encode("utf-8", "surrogatepass")
    return len(zlib.compress(data, 6)) / len(data) if data else 1.0


def shares(text: str) -> dict[str, float]:
    """Shares of a text's characters, blanks not counted: letters, capitals, decimal digits, punctuation and symbols."""
    chars, counts = np.unique(code_points(text), return_counts=True)
    seen = [(chr(char), int(count)) for char, count in zip(chars, counts, strict=True) if not chr(char).isspace()]
    whole = max(sum(count for _, count in seen), 1)
    return {
        "letters": sum(count for char, count in seen if char.isalpha()) / whole,
        "capitals": sum(count for char, count in seen if char.isupper()) / whole,
        "digits": sum(count for char, count in seen if char.isdecimal()) / whole,
        "punctuation": sum(count for char, count in seen if char.isprintable() and not char.isalnum()) / whole,
    }


def syllables(word: str) -> int:
    """About how many syllables an English word has, at least 1: groups of vowels, without a silent e at the end.

    >>> [syllables(word) for word in ("table", "stone", "reading", "wanted")]
    [2, 1, 2, 2]
    """
    groups = len(VOWELS.findall(word.lower()))
    return max(1, groups - (SILENT.search(word.lower()) is not None))


def readability(text: str) -> dict[str, float]:
    """Formulas of reading ease, for English.

    Flesch (1948), "A new readability yardstick"; Kincaid et al. (1975), whose report also has the constants of the
    Automated Readability Index; Coleman and Liau (1975). Words are runs of letters, sentences those of
    `sentence_ends`, syllables are estimated.

    Returns:
        flesch, flesch_kincaid, ari, coleman_liau; 0 throughout for a text without words.
    """
    words = LATIN_WORD.findall(text)
    n_words, n_sentences = len(words), max(len(sentence_ends(text)), 1)
    if not words:
        return dict.fromkeys(("flesch", "flesch_kincaid", "ari", "coleman_liau"), 0.0)
    length = n_words / n_sentences
    chars = sum(map(len, words)) / n_words
    sounds = math.fsum(map(syllables, words)) / n_words
    return {
        "flesch": 206.835 - 1.015 * length - 84.6 * sounds,
        "flesch_kincaid": 0.39 * length + 11.8 * sounds - 15.59,
        "ari": 4.71 * chars + 0.5 * length - 21.43,
        "coleman_liau": 5.88 * chars - 29.6 / length - 15.8,
    }
