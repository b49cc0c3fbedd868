"""Words of a list: drop texts that hold them, or take them out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge

from mmdata.core.faults import file_of
from mmdata.core.sample import Text
from mmdata.core.step import Drop, Filter, Map, Step
from mmdata.kernels.text.lists import count_listed, file_words, stop_words, words_digest


@dataclass(frozen=True, kw_only=True)
class _Listed(Step):
    """What steps with a list of words have in common.

    Args:
        words: words and phrases, without regard to case; they count where they stand whole.
        file: more of them, one a line. What it holds is part of the fingerprint, not its name.
    """

    words: tuple[str, ...] = ()
    file: str | None = None

    def listed(self) -> tuple[str, ...]:
        with file_of("file", self.file or ""):
            return (*self.words, *(file_words(self.file) if self.file else ()))

    def settings(self) -> dict[str, Any]:
        if self.file is None:
            return super().settings()
        with file_of("file", self.file):
            return {**super().settings(), "file": words_digest(file_words(self.file))}


@dataclass(frozen=True, kw_only=True)
class DropListedWords(_Listed, Filter[Text]):
    """Drop a text that holds words of a list more than so many times. The list is yours.

    Args:
        words: words and phrases, without regard to case; they count where they stand whole.
        file: more of them, one a line. What it holds is part of the fingerprint, not its name.
        max_count: how often they may occur, all together.

    Reference:
        Raffel et al., "Exploring the Limits of Transfer Learning" (JMLR 2020), 2.2, whose list is not brought along.
    """

    on: str = "text"
    max_count: Annotated[int, Ge(0)] = 0

    def __post_init__(self) -> None:
        if not (self.words or self.file):
            raise ValueError("there are no words: give words or file")

    def keep(self, text: Text) -> Literal[True] | Drop:
        return True if count_listed(text.text, self.listed()) <= self.max_count else Drop("listed_words")


@dataclass(frozen=True, kw_only=True)
class RemoveWords(_Listed, Map[Text, Text]):
    """Take words of a list, or a language's stop words, out of a text, with the blanks before them.

    Args:
        words: words and phrases, without regard to case, where they stand whole.
        file: more of them, one a line. What it holds is part of the fingerprint, not its name.
        stop_words: take out those of a language, too, by its code ("en"); none by default.

    Reference:
        The lists of stop words are those of stopwords-iso.
    """

    extra: ClassVar[str | None] = "text"

    on: str = "text"
    stop_words: str | None = None

    def __post_init__(self) -> None:
        if not (self.words or self.file or self.stop_words):
            raise ValueError("there are no words: give words, file or stop_words")

    def map(self, text: Text) -> Text | Drop:
        listed = {*self.listed(), *(stop_words(self.stop_words) if self.stop_words else ())}
        single, phrases = _parted(frozenset(listed))
        kept = WORD.sub(lambda found: "" if found[1].casefold() in single else found[0], text.text)
        return text.changed(kept if phrases is None else phrases.sub("", kept))


WORD = re.compile(r"[^\S\n]?(?<![\w'’])(\w+(?:['’]\w+)*)")


@lru_cache(maxsize=8)
def _parted(listed: frozenset[str]) -> tuple[frozenset[str], re.Pattern[str] | None]:
    """Words that stand alone, and a pattern of the phrases."""
    single = {words.casefold() for words in listed if re.fullmatch(r"\w+(?:['’]\w+)*", words)}
    phrases = sorted({words for words in listed if words.casefold() not in single}, key=len, reverse=True)
    whole = "|".join(re.escape(phrase) for phrase in phrases)
    return frozenset(single), re.compile(rf"[^\S\n]?(?<!\w)(?:{whole})(?!\w)", re.IGNORECASE) if phrases else None
