"""Numbers about texts, without a vocabulary or a model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Text
from mmdata.core.step import Extract
from mmdata.kernels.text.measures import compression_ratio, entropy_bits, readability, shares
from mmdata.kernels.text.private import USUAL, Kind, redacted
from mmdata.kernels.text.sentences import sentence_ends
from mmdata.kernels.text.words import split_words

INT32 = ArraySpec(dtype="int32")


@dataclass(frozen=True, kw_only=True)
class TextLength(Extract[Text]):
    """How long a text is: int32 scalars `chars` (code points) and `words` (what stands between separators).

    Reference:
        Plain counts.
    """

    on: str = "text"
    into: str = "text.length"

    def spec(self) -> dict[str, ArraySpec]:
        return {"chars": INT32, "words": INT32}

    def extract(self, text: Text) -> dict[str, np.ndarray]:
        counts = {"chars": len(text.text), "words": len(split_words(text.text))}
        return {name: np.asarray(count, np.int32) for name, count in counts.items()}


@dataclass(frozen=True, kw_only=True)
class TextMeasures(Extract[Text]):
    """What a text looks like, as scalars by which a selection can choose: float32, but for int32 `lines`, `sentences`.

    `word_chars`: mean length of words. `unique`: different words, without regard to case, to all. `entropy`: bits a
    character (Shannon), of how often each occurs. `compression`: bytes of UTF-8 after DEFLATE (zlib, level 6) to those
    before; low where a text repeats itself. `letters`, `capitals`, `digits`, `punctuation`: shares of characters,
    blanks not counted. An empty text has 0 throughout, and a compression of 1.

    Reference:
        Shannon, "A mathematical theory of communication" (1948); DEFLATE (RFC 1951).
    """

    on: str = "text"
    into: str = "text.measures"

    def spec(self) -> dict[str, ArraySpec]:
        real = ("word_chars", "unique", "entropy", "compression", "letters", "capitals", "digits", "punctuation")
        return {"lines": INT32, "sentences": INT32} | dict.fromkeys(real, ArraySpec())

    def extract(self, text: Text) -> dict[str, np.ndarray]:
        words = split_words(text.text.casefold())
        counts = {"lines": len(text.text.splitlines()), "sentences": len(sentence_ends(text.text))}
        real = {
            "word_chars": sum(map(len, words)) / max(len(words), 1),
            "unique": len(set(words)) / max(len(words), 1),
            "entropy": entropy_bits(text.text),
            "compression": compression_ratio(text.text),
            **shares(text.text),
        }
        return {name: np.asarray(count, np.int32) for name, count in counts.items()} | {
            name: np.asarray(value, np.float32) for name, value in real.items()
        }


@dataclass(frozen=True, kw_only=True)
class Readability(Extract[Text]):
    """How hard an English text is to read: float32 scalars; see `kernels.text.measures.readability`.

    `flesch`: reading ease, 100 is easy. `flesch_kincaid`, `ari`, `coleman_liau`: years of school.

    Reference:
        Flesch (1948); Kincaid et al. (1975); Coleman and Liau (1975).
    """

    on: str = "text"
    into: str = "text.readability"

    def spec(self) -> dict[str, ArraySpec]:
        return dict.fromkeys(("flesch", "flesch_kincaid", "ari", "coleman_liau"), ArraySpec())

    def extract(self, text: Text) -> dict[str, np.ndarray]:
        return {name: np.asarray(value, np.float32) for name, value in readability(text.text).items()}


@dataclass(frozen=True, kw_only=True)
class PrivateCounts(Extract[Text]):
    """How many private things of each kind a text holds, or held before `RedactPrivate`: int32 scalars by kind.

    Args:
        kinds: as those of `RedactPrivate`.
        by: the placeholder of `RedactPrivate`, which counts as what it stands for.

    Reference:
        As `clean.text.RedactPrivate`.
    """

    on: str = "text"
    into: str = "text.private"
    kinds: tuple[Kind, ...] = USUAL
    by: str = "<{kind}>"

    def spec(self) -> dict[str, ArraySpec]:
        return dict.fromkeys(self.kinds, INT32)

    def extract(self, text: Text) -> dict[str, np.ndarray]:
        marks = {kind: self.by.replace("{kind}", kind.upper()) for kind in self.kinds}
        _, counts = redacted(text.text, self.kinds, by="")
        found = {kind: counts[kind] + (text.text.count(marks[kind]) if self.by else 0) for kind in self.kinds}
        return {kind: np.asarray(count, np.int32) for kind, count in found.items()}
