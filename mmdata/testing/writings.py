"""Real texts for tests and benchmarks, out of the corpora: encyclopedic, conversational and long, most in English."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from mmdata.testing.corpora import media

DICTIONARIES = ("dict-jargon", "dict-foldoc")
DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def writings() -> dict[str, str]:
    """All texts by key: 143 of some 80,000 characters, and 14,000 articles of two dictionaries.

    Raises:
        CorpusUnavailable: a corpus can't be fetched.
    """
    found = dict(_packed(media("anarchism"), "anarchism"))
    for name in DICTIONARIES:
        found |= dict(_articles(media(name) / name.removeprefix("dict-"), name))
    return dict(sorted(found.items()))


def sampled_writings() -> dict[str, str]:
    """Some 2,600 of them, 6 MB: a fourth of the long ones, half of one dictionary, long articles of the other."""
    chosen = {}
    for number, (key, text) in enumerate(writings().items()):
        step = {"anarchism": 4, "dict-jargon": 2, "dict-foldoc": 1}[key.partition("/")[0]]
        if number % step == 0 and (len(text) > 900 or step > 1):
            chosen[key] = text
    return chosen


def digest(texts: Iterable[str]) -> str:
    """A digest of texts in their order."""
    whole = hashlib.blake2b(digest_size=8)
    for text in texts:
        whole.update(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
    return whole.hexdigest()


def _packed(folder: Path, name: str) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        yield (
            f"{name}/{path.name}",
            (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8", "replace"),
        )


def _articles(stem: Path, name: str) -> Iterator[tuple[str, str]]:
    """The articles of a dictionary of dictd: the index has a word, an offset and a length a line, in base 64."""
    data = gzip.decompress(stem.with_suffix(".dict.dz").read_bytes())
    for line in stem.with_suffix(".index").read_text("utf-8").splitlines():
        _, offset, length = line.split("\t")[:3]
        start = _number(offset)
        yield f"{name}/{start:07}", data[start : start + _number(length)].decode("utf-8", "replace")


def _number(digits: str) -> int:
    number = 0
    for digit in digits:
        number = 64 * number + DIGITS.index(digit)
    return number
