"""Keep, cut or split texts by length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from mmdata.core.sample import Sample, Text
from mmdata.core.step import Drop, Filter, Map, Split
from mmdata.kernels.text.blanks import first_lines
from mmdata.kernels.text.sentences import cut_places, sentence_ends
from mmdata.kernels.text.words import split_words


@dataclass(frozen=True, kw_only=True)
class KeepLength(Filter[Text]):
    """Drop a text with too few or too many characters (code points); both bounds are kept.

    Reference:
        Plain counts.
    """

    on: str = "text"
    min_chars: Annotated[int, Ge(0)] = 1
    max_chars: Annotated[int, Ge(0)] | None = None

    def __post_init__(self) -> None:
        if self.max_chars is not None and self.max_chars < self.min_chars:
            raise ValueError(f"max_chars ({self.max_chars}) is below min_chars ({self.min_chars})")

    def keep(self, text: Text) -> Literal[True] | Drop:
        if len(text.text) < self.min_chars:
            return Drop("too_short")
        if self.max_chars is not None and len(text.text) > self.max_chars:
            return Drop("too_long")
        return True


@dataclass(frozen=True, kw_only=True)
class KeepLines(Map[Text, Text]):
    """Keep the first lines of a text, such as a caption above its translations.

    Reference:
        Plain cuts.
    """

    on: str = "text"
    first: Annotated[int, Ge(1)] = 1

    def map(self, text: Text) -> Text | Drop:
        return text.changed(first_lines(text.text, self.first))


@dataclass(frozen=True, kw_only=True)
class KeepWordCount(Filter[Text]):
    """Drop a text with too few or too many words (what stands between separators); both bounds are kept.

    Reference:
        Plain counts.
    """

    on: str = "text"
    min_words: Annotated[int, Ge(0)] = 1
    max_words: Annotated[int, Ge(0)] | None = None

    def __post_init__(self) -> None:
        if self.max_words is not None and self.max_words < self.min_words:
            raise ValueError(f"max_words ({self.max_words}) is below min_words ({self.min_words})")

    def keep(self, text: Text) -> Literal[True] | Drop:
        n_words = len(split_words(text.text))
        if n_words < self.min_words:
            return Drop("too_few_words")
        return Drop("too_many_words") if self.max_words is not None and n_words > self.max_words else True


@dataclass(frozen=True, kw_only=True)
class SplitText(Split[Text]):
    """Split a text into pieces, one sample each with the other parts; keys end in the first and last character.

    A sample whose text needs no cut stays as it is. Pieces have no blanks at their ends; those of blanks are left out.

    Args:
        by: "length" cuts into pieces of at most max_chars, after sentences where that is possible; "sentences" cuts
            after every sentence, and longer ones by length.
        max_chars: the longest piece.

    Reference:
        Of mmdata.
    """

    on: str = "text"
    by: Literal["length", "sentences"] = "length"
    max_chars: Annotated[int, Ge(1)] = 4000

    def split(self, sample: Sample) -> list[Sample] | Drop:
        text = sample.parts.get(self.on)
        if not isinstance(text, Text) or (self.by == "length" and len(text.text) <= self.max_chars):
            return [sample]
        pieces = [text.text[start:end] for start, end in self._spans(text.text)]
        if not any(piece.strip() for piece in pieces):
            return [sample]
        children, start = [], 0
        for piece in pieces:
            if piece.strip():
                children.append(sample.child(f"{start}-{start + len(piece)}", **{self.on: Text(piece.strip())}))
            start += len(piece)
        return [sample] if len(children) == 1 and children[0].parts[self.on] == text else children

    def _spans(self, text: str) -> list[tuple[int, int]]:
        ends = sentence_ends(text) if self.by == "sentences" else cut_places(text, self.max_chars)
        spans = []
        for start, end in zip([0, *ends], ends, strict=False):
            places = cut_places(text[start:end], self.max_chars)
            spans += [(start + a, start + b) for a, b in zip([0, *places], places, strict=False)]
        return spans
