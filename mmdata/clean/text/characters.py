"""Take out characters that are not wanted, or drop texts that are made of them."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

from annotated_types import Ge, Le

from mmdata.core.sample import Text
from mmdata.core.step import Drop, Filter, Map
from mmdata.kernels.text.characters import runs_cut, without_hidden


@dataclass(frozen=True, kw_only=True)
class RemoveHidden(Map[Text, Text]):
    """Remove characters that no reader sees; what they join or turn around stays.

    Args:
        controls: control characters but tab, line feed and carriage return.
        directions: marks, embeddings, overrides and isolates of writing direction. They are part of well-set texts
            that mix scripts, and a way to hide words.
        invisible: characters without width. Joiners stay between letters and inside emoji.

    Reference:
        Boucher and Anderson, "Trojan Source" (2021); UAX #9 for what turns writing around.
    """

    on: str = "text"
    controls: bool = True
    directions: bool = True
    invisible: bool = True

    def map(self, text: Text) -> Text | Drop:
        kept = without_hidden(text.text, controls=self.controls, directions=self.directions, invisible=self.invisible)
        return text.changed(kept)


@dataclass(frozen=True, kw_only=True)
class RemoveCharacters(Map[Text, Text]):
    """Replace characters by kind: punctuation, symbols, digits, or those of a list.

    Args:
        kinds: "punctuation" (Unicode's P), "symbols" (S: signs of mathematics and currency, arrows, emoji), "digits"
            (Nd), "marks" (M: what combines with a letter, in the text's own normal form).
        chars: characters of your own.
        by: what stands in the place of each.
        longest_run: cut runs of one same sign ("!!!!!!") to so many beforehand; None leaves them.

    Reference:
        Unicode's general categories (UAX #44).
    """

    on: str = "text"
    kinds: tuple[Literal["punctuation", "symbols", "digits", "marks"], ...] = ()
    chars: str = ""
    by: str = ""
    longest_run: Annotated[int, Ge(1)] | None = None

    def __post_init__(self) -> None:
        if not (self.kinds or self.chars or self.longest_run):
            raise ValueError("there is nothing to remove: give kinds, chars or longest_run")

    def map(self, text: Text) -> Text | Drop:
        kept = text.text if self.longest_run is None else runs_cut(text.text, self.longest_run)
        if not (self.kinds or self.chars):
            return text.changed(kept)
        kinds = tuple(CATEGORIES[kind] for kind in self.kinds)
        unwanted = {
            ord(char): self.by
            for char in set(kept)
            if char in self.chars or unicodedata.category(char).startswith(kinds or ("-",))
        }
        return text.changed(kept.translate(unwanted) if unwanted else kept)


CATEGORIES = {"punctuation": "P", "symbols": "S", "digits": "Nd", "marks": "M"}


@dataclass(frozen=True, kw_only=True)
class KeepLetters(Filter[Text]):
    """Drop a text of which too few characters, blanks left out, are letters or the marks on them.

    Args:
        min_ratio: least share of letters and marks; a text of blanks alone has none.
        scripts: count letters of these scripts alone, as Unicode's names begin: "LATIN", "CYRILLIC", "CJK". Empty
            takes all.

    Reference:
        Of mmdata; letters and scripts as Unicode has them.
    """

    on: str = "text"
    min_ratio: Annotated[float, Ge(0), Le(1)] = 0.6
    scripts: tuple[str, ...] = ()

    def keep(self, text: Text) -> Literal[True] | Drop:
        counts = Counter(text.text)
        n_chars = sum(count for char, count in counts.items() if not char.isspace())
        n_letters = sum(count for char, count in counts.items() if _is_letter(char, self.scripts))
        return True if n_letters >= self.min_ratio * max(n_chars, 1) else Drop("too_few_letters")


@lru_cache(maxsize=1 << 14)
def _is_letter(char: str, scripts: tuple[str, ...]) -> bool:
    if unicodedata.category(char)[0] not in "LM":
        return False
    return not scripts or unicodedata.name(char, "").startswith(scripts)


@dataclass(frozen=True, kw_only=True)
class ReplacePattern(Map[Text, Text]):
    r"""Replace what a regular expression of your own matches.

    The expression is Python's; one that takes exponential time on some texts will: `mmdata run --timeout` ends it.

    Args:
        pattern: the expression. by: what stands instead; \1 is the first group.

    Reference:
        Python's `re`.
    """

    on: str = "text"
    pattern: str = ""
    by: str = ""

    def __post_init__(self) -> None:
        if not self.pattern:
            raise ValueError("pattern is empty")
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"pattern {self.pattern!r} is no regular expression: {error}") from error

    def map(self, text: Text) -> Text | Drop:
        return text.changed(re.sub(self.pattern, self.by, text.text))
