"""Lists of words: of a file, of a language, and where they stand in a text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from mmdata.kernels.text.words import split_words


def file_words(path: str) -> tuple[str, ...]:
    """The words and phrases of a file in UTF-8, one a line; empty lines and those that begin with # are passed over."""
    return _file_words(path, Path(path).stat().st_mtime_ns)


@lru_cache(maxsize=16)
def _file_words(path: str, _changed_ns: int) -> tuple[str, ...]:
    lines = (line.strip() for line in Path(path).read_text("utf-8-sig").splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def words_digest(words: Iterable[str]) -> str:
    """A digest of words, whatever their order: 16 hexadecimal digits."""
    whole = "\n".join(sorted(set(words)))
    return hashlib.blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


@lru_cache(maxsize=16)
def by_length(words: tuple[str, ...]) -> dict[int, frozenset[tuple[str, ...]]]:
    """Phrases by their number of words, without regard to case; what is cut at is what `split_words` cuts at."""
    phrases = {tuple(split_words(words.casefold())) for words in words}
    lengths = {len(phrase) for phrase in phrases if phrase}
    return {n: frozenset(phrase for phrase in phrases if len(phrase) == n) for n in sorted(lengths)}


def count_listed(text: str, phrases: tuple[str, ...]) -> int:
    """How often words and phrases of a list stand in a text, whole and without regard to case.

    >>> count_listed("Free money, FREE of charge!", ("free", "free money"))
    3
    """
    words, count = split_words(text.casefold()), 0
    for n, wanted in by_length(phrases).items():
        runs = zip(*(words[first:] for first in range(n)), strict=False)
        count += sum(map(wanted.__contains__, runs))
    return count


def stop_words(language: str) -> frozenset[str]:
    """The words of a language that carry little meaning, by its code: the lists of stopwords-iso, of 57 languages.

    Raises:
        ValueError: it has no list of that language.
    """
    import stopwordsiso

    if not stopwordsiso.has_lang(language):
        known = ", ".join(sorted(stopwordsiso.langs()))
        raise ValueError(f"there is no list of stop words for {language!r}; there are {known}")
    return frozenset(stopwordsiso.stopwords(language))
