"""The published rules by which text of the web is kept or dropped, each with its paper's numbers.

Words and sentences are those of `kernels.text.tokens`, for English. Reasons are named as in datatrove (Penedo et al.
2024), the open implementation of all four, with which they are compared.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le

from mmdata.core.sample import Text
from mmdata.core.step import Drop, Filter, Map
from mmdata.kernels.text.repeats import (
    gram_codes,
    longer_places,
    repeated,
    repeated_gram_chars,
    repeated_places,
    top_gram_chars,
    window_sums,
)
from mmdata.kernels.text.tokens import ALPHA, STOPS, SYMBOL, Tokens, count_sentences, tokenize

Share = Annotated[float, Ge(0), Le(1)]

CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")


@dataclass(frozen=True, kw_only=True)
class KeepC4Lines(Map[Text, Text]):
    """Keep lines that read like sentences; drop a text with too few of them. The rules of C4.

    A line goes when it does not end in a mark (. ? ! " ') or ends in an ellipsis, has few words or an endless one,
    names JavaScript, or speaks of cookies and terms of use; marks of citation ("[1]", "[edit]") are taken out. A text
    goes that holds "lorem ipsum" or a curly bracket in a line that was kept so far, and one with few sentences left.
    C4's list of bad words is yours to choose (`DropListedWords`).

    Args:
        min_sentences: fewest sentences of the lines that are left.
        min_words: fewest words of a line, parted by blanks.
        max_word_chars: longest word of a line.
        terminal_mark: whether a line must end in a mark.
        citations: whether marks of citation are taken out.
        lorem_ipsum, javascript, curly_bracket, policy: whether that rule holds.

    Reference:
        Raffel et al., "Exploring the Limits of Transfer Learning" (JMLR 2020), 2.2, and the code published with it.
    """

    on: str = "text"
    min_sentences: Annotated[int, Ge(0)] = 5
    min_words: Annotated[int, Ge(0)] = 3
    max_word_chars: Annotated[int, Ge(1)] = 1000
    terminal_mark: bool = True
    citations: bool = True
    lorem_ipsum: bool = True
    javascript: bool = True
    curly_bracket: bool = True
    policy: bool = True

    def map(self, text: Text) -> Text | Drop:
        kept = []
        for raw in text.text.splitlines():
            line = self._trimmed(raw)
            if line is None:
                continue
            lower = line.lower()
            if self.lorem_ipsum and "lorem ipsum" in lower:
                return Drop("lorem_ipsum")
            if self.javascript and "javascript" in lower:
                continue
            if self.curly_bracket and "{" in line:
                return Drop("curly_bracket")
            if self.policy and any(phrase in lower for phrase in POLICIES):
                continue
            kept.append(line)
        if len(kept) < self.min_sentences and sum(map(count_sentences, kept)) < self.min_sentences:
            return Drop("too_few_sentences")
        return text.changed("\n".join(kept).strip())

    def _trimmed(self, line: str) -> str | None:
        """A line without citations; None where its words or its end don't pass."""
        line = line.strip()
        words = line.split()
        if len(line) > self.max_word_chars and max(map(len, words)) > self.max_word_chars:
            return None
        if self.citations and "[" in line:
            line = CITATION.sub("", line)
        if self.terminal_mark and (not line.endswith((".", "?", "!", '"', "'")) or line.endswith("...")):
            return None
        return line if len(words) >= self.min_words else None


@dataclass(frozen=True, kw_only=True)
class KeepGopherQuality(Filter[Text]):
    """Drop a text whose words and lines are not those of prose: the quality rules of Gopher.

    None switches a rule off.

    Args:
        min_words: fewest words; tokens of nothing but signs are none.
        max_words: most words.
        min_word_chars: least mean length of words.
        max_word_chars: greatest mean length of words.
        max_symbol_ratio: most hash signs, or ellipses, to a token.
        max_bullet_ratio: greatest share of lines that begin with a bullet or a hyphen.
        max_ellipsis_ratio: greatest share of lines that end in an ellipsis.
        min_alpha_ratio: least share of tokens with a letter.
        min_stop_words: fewest different words of `stop_words`.
        stop_words: the words that prose can't do without, in lower case as they stand.

    Reference:
        Rae et al., "Scaling Language Models" (2021), A.1.1.
    """

    on: str = "text"
    min_words: Annotated[int, Ge(0)] | None = 50
    max_words: Annotated[int, Ge(0)] | None = 100_000
    min_word_chars: Annotated[float, Ge(0)] | None = 3
    max_word_chars: Annotated[float, Ge(0)] | None = 10
    max_symbol_ratio: Annotated[float, Ge(0)] | None = 0.1
    max_bullet_ratio: Share | None = 0.9
    max_ellipsis_ratio: Share | None = 0.3
    min_alpha_ratio: Share | None = 0.8
    min_stop_words: Annotated[int, Ge(0)] | None = 2
    stop_words: tuple[str, ...] = ("the", "be", "to", "of", "and", "that", "have", "with")

    def keep(self, text: Text) -> Literal[True] | Drop:
        tokens = tokenize(text.text)
        reason = self._words(tokens) or self._signs(text.text, max(len(tokens.words), 1)) or self._letters(tokens)
        return Drop(reason) if reason else True

    def _words(self, tokens: Tokens) -> str | None:
        are_words = (tokens.marks & SYMBOL) == 0
        n_words = int(are_words.sum())
        if n_words < (self.min_words or 0):
            return "gopher_short_doc"
        if self.max_words is not None and n_words > self.max_words:
            return "gopher_long_doc"
        mean = float(tokens.lengths[are_words].sum()) / max(n_words, 1)
        if mean < (self.min_word_chars or 0):
            return "gopher_below_avg_threshold"
        if self.max_word_chars is not None and mean > self.max_word_chars:
            return "gopher_above_avg_threshold"
        return None

    def _signs(self, text: str, n_tokens: int) -> str | None:
        if self.max_symbol_ratio is not None:
            if text.count("#") / n_tokens > self.max_symbol_ratio:
                return "gopher_too_many_hashes"
            if (text.count("...") + text.count("…")) / n_tokens > self.max_symbol_ratio:
                return "gopher_too_many_ellipsis"
        lines = [line.strip() for line in text.splitlines()] or [""]
        if _over(self.max_bullet_ratio, [line.startswith(("•", "-")) for line in lines]):
            return "gopher_too_many_bullets"
        if _over(self.max_ellipsis_ratio, [line.endswith(("...", "…")) for line in lines]):
            return "gopher_too_many_end_ellipsis"
        return None

    def _letters(self, tokens: Tokens) -> str | None:
        n_alpha = int(((tokens.marks & ALPHA) != 0).sum())
        if n_alpha < (self.min_alpha_ratio or 0) * len(tokens.words):
            return "gopher_below_alpha_threshold"
        if self.min_stop_words and len(set(self.stop_words).intersection(tokens.words)) < self.min_stop_words:
            return "gopher_enough_stop_words"
        return None


def _over(most: float | None, holds: list[bool]) -> bool:
    return most is not None and sum(holds) / len(holds) > most


@dataclass(frozen=True, kw_only=True)
class KeepGopherRepetition(Filter[Text]):
    """Drop a text that repeats its lines, paragraphs or runs of words: the repetition rules of Gopher.

    The rules are tried in the order of the settings; in a text
    of a few words every pair is the most frequent one, so short texts go. None, or no pairs, switches a rule off.

    Args:
        max_paragraph_ratio: greatest share of paragraphs that stood there before.
        max_paragraph_char_ratio: greatest share of characters in such paragraphs.
        max_line_ratio: greatest share of lines that stood there before.
        max_line_char_ratio: greatest share of characters in such lines.
        top_grams: pairs of n and the greatest share of characters in the most frequent n-gram of words.
        repeated_grams: pairs of n and the greatest share of characters in n-grams that stood there before.

    Reference:
        Rae et al., "Scaling Language Models" (2021), table A1.
    """

    on: str = "text"
    max_paragraph_ratio: Share | None = 0.3
    max_paragraph_char_ratio: Share | None = 0.2
    max_line_ratio: Share | None = 0.3
    max_line_char_ratio: Share | None = 0.2
    top_grams: tuple[tuple[int, float], ...] = ((2, 0.2), (3, 0.18), (4, 0.16))
    repeated_grams: tuple[tuple[int, float], ...] = (
        (5, 0.15),
        (6, 0.14),
        (7, 0.13),
        (8, 0.12),
        (9, 0.11),
        (10, 0.1),
    )

    def __post_init__(self) -> None:
        for name in ("top_grams", "repeated_grams"):
            if wrong := [pair for pair in getattr(self, name) if pair[0] < 1 or not 0 <= pair[1] <= 1]:
                raise ValueError(f"{name} are pairs of n, at least 1, and a share of 0 to 1, not {wrong[0]}")

    def keep(self, text: Text) -> Literal[True] | Drop:
        if not text.text:
            return Drop("empty")
        reason = self._pieces(text.text) or self._grams(text.text)
        return Drop(reason) if reason else True

    def _pieces(self, text: str) -> str | None:
        rules = (
            ("para", text.strip(), PARAGRAPHS, self.max_paragraph_ratio, self.max_paragraph_char_ratio),
            ("line", text, LINES, self.max_line_ratio, self.max_line_char_ratio),
        )
        for name, whole, break_, most, most_chars in rules:
            pieces = break_.split(whole)
            n_repeated, n_chars = repeated(pieces)
            if most is not None and n_repeated / len(pieces) > most:
                return f"dup_{name}_frac"
            if most_chars is not None and n_chars / len(text) > most_chars:
                return f"dup_{name}_char_frac"
        return None

    def _grams(self, text: str) -> str | None:
        tokens = tokenize(text)
        most_n = max(n for n, _ in (*self.top_grams, *self.repeated_grams, (1, 0)))
        grams = dict(enumerate(gram_codes(tokens.codes, most_n), start=1))
        for n, most in self.top_grams:
            # an n-gram's words are parted by single blanks
            chars = window_sums(tokens.lengths, n) + n - 1
            if len(grams[n]) and top_gram_chars(grams[n], chars) > most * len(text):
                return f"top_{n}_gram"
        last = 0
        places: np.ndarray | None = None
        for n, most in self.repeated_grams:
            if places is None or n < last:
                among = None
            elif len(places):
                among = longer_places(places, n - last, len(grams[n]))
            else:  # no longer run repeats, either
                continue
            last, places = n, repeated_places(grams[n], among)
            if repeated_gram_chars(grams[n], window_sums(tokens.lengths, n), n, places) > most * len(text):
                return f"duplicated_{n}_n_grams"
        return None


PARAGRAPHS, LINES = re.compile(r"\n{2,}"), re.compile(r"\n+")


@dataclass(frozen=True, kw_only=True)
class KeepFineWebQuality(Filter[Text]):
    """Drop a text whose lines are those of a list or a menu: the rules that FineWeb added.

    Lines of blanks alone don't count.

    Args:
        min_mark_ratio: least share of lines that end in a mark.
        max_short_ratio: greatest share of short lines.
        short_chars: characters of the longest line that is short.
        max_repeated_ratio: greatest share of characters in lines that stood there before.
        max_break_ratio: most line breaks to a token.
        marks: what a line may end in; empty takes the marks that end a sentence in any script.

    Reference:
        Penedo et al., "The FineWeb Datasets" (2024), 3.6.
    """

    on: str = "text"
    min_mark_ratio: Share = 0.12
    max_short_ratio: Share = 0.67
    short_chars: Annotated[int, Ge(0)] = 30
    max_repeated_ratio: Share = 0.01
    max_break_ratio: Annotated[float, Ge(0)] = 0.3
    marks: str = ""

    def keep(self, text: Text) -> Literal[True] | Drop:
        lines = [line for line in text.text.split("\n") if line and not line.isspace()]
        if not lines:
            return Drop("empty")
        ends = set(self.marks) or STOPS
        if sum([line[-1] in ends for line in lines]) / len(lines) < self.min_mark_ratio:
            return Drop("line_punct_ratio")
        if int((np.fromiter(map(len, lines), np.int64) <= self.short_chars).sum()) / len(lines) > self.max_short_ratio:
            return Drop("short_line_ratio")
        n_breaks = text.text.count("\n")
        if repeated(lines)[1] / (len(text.text) - n_breaks) > self.max_repeated_ratio:
            return Drop("char_dup_ratio")
        if n_breaks / len(tokenize(text.text).words) > self.max_break_ratio:
            return Drop("list_ratio")
        return True
