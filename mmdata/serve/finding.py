"""Which samples a page asks for: by words, a condition, a split, or a sample that they are to be like."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import BoundedSemaphore, Lock
from urllib.parse import urlencode

import numpy as np

from mmdata.errors import StoreError
from mmdata.select.nearest import nearest
from mmdata.select.search import having, words
from mmdata.serve.catalog import Catalog

MOST_S = 10.0  # of a condition
MOST_ALIKE = 240
KEPT = 8  # answers
MOST_WAIT_S = 1.0  # for others' conditions to be answered
_BUSY = BoundedSemaphore(2)  # conditions and comparisons that run at once


class Busy(StoreError):
    """Others are being answered."""


@contextmanager
def _one_of_few() -> Iterator[None]:
    """Hold one of the few places. Raises Busy where none gets free, so that all else is still answered."""
    if not _BUSY.acquire(timeout=MOST_WAIT_S):
        raise Busy("two others are being answered; ask again")
    try:
        yield
    finally:
        _BUSY.release()


@dataclass(frozen=True)
class Asked:
    """What is asked for; "" asks for nothing.

    Args:
        q: words of texts, keys and labels. where: a condition in SQL.
        selection, split: only samples of these. sort: a scalar, "-NAME" the largest first.
        like: a sample's key. on: the feature by which samples are like it.
        page: from 0.
    """

    q: str = ""
    where: str = ""
    selection: str = ""
    split: str = ""
    sort: str = ""
    like: str = ""
    on: str = ""
    page: int = 0

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Asked:
        """Of a URL's query; what can't be read is not asked for."""
        texts = {name: given.get(name, "")[:4000] for name in cls.__dataclass_fields__ if name != "page"}
        texts |= {name: texts[name].strip() for name in ("q", "where")}  # a key may begin or end with a space
        page = given.get("page", "0")
        return cls(**texts, page=int(page) if page.isascii() and page.isdigit() and len(page) < 10 else 0)

    def url(self, **changed: str | int) -> str:
        """The page that asks for this, with something changed."""
        asked = replace(self, **changed)  # type: ignore[arg-type]  # pages are numbers, all else texts
        given = {name: getattr(asked, name) for name in asked.__dataclass_fields__}
        return "samples?" + urlencode({name: value for name, value in given.items() if value})

    @property
    def is_plain(self) -> bool:
        """Whether it is all samples, in their order."""
        return replace(self, page=0) == Asked()


@dataclass(frozen=True, eq=False)
class Found:
    """The answer.

    Args:
        numbers: int64 [found], the samples' rows, in order. scores: by row, of a comparison. measure: that gave them.
    """

    numbers: np.ndarray
    scores: Mapping[int, float]
    measure: str = ""

    def __len__(self) -> int:
        return len(self.numbers)


class Finder:
    """Answers, and remembers the last few."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._answers: OrderedDict[tuple[int, Asked], Found] = OrderedDict()

    def find(self, catalog: Catalog, asked: Asked) -> Found:
        """The samples that are asked for.

        Raises:
            StoreError: the condition is wrong or takes too long; no such selection, scalar, feature or sample.
        """
        wanted = catalog.serial, replace(asked, page=0)
        with self._lock:
            if wanted in self._answers:
                self._answers.move_to_end(wanted)
                return self._answers[wanted]
        found = _find(catalog, asked)
        with self._lock:
            self._answers[wanted] = found
            while len(self._answers) > KEPT:
                self._answers.popitem(last=False)
        return found


def _find(catalog: Catalog, asked: Asked) -> Found:
    if asked.sort and (name := asked.sort.removeprefix("-")) not in catalog.known.scalars:
        raise StoreError(f"no scalar {name!r} to sort by; there are: {', '.join(catalog.known.scalars) or 'none'}")
    if asked.split and not asked.selection:
        raise StoreError(f"split {asked.split!r} is of no selection: say of which")
    keep = np.ones(len(catalog), bool)
    if asked.where:
        with _one_of_few():
            keep &= _mask(catalog, catalog.matching(asked.where, MOST_S))
    if asked.q:
        texts = [catalog.rows.column(name)[name] for name in ("key", "label")]
        texts += [catalog.rows.column(f"text.{name}")[f"text.{name}"] for name in catalog.text_parts]
        texts += [catalog.captions] if catalog.captions is not None else []
        keep &= _mask(catalog, having(texts, words(asked.q)))
    if asked.selection:
        keep &= _selected(catalog, asked.selection, asked.split)
    if asked.like:
        return _alike(catalog, asked, keep)
    numbers = np.flatnonzero(keep)
    return Found(numbers[_order(catalog, asked.sort, numbers)] if asked.sort else numbers, {})


def _mask(catalog: Catalog, numbers: np.ndarray) -> np.ndarray:
    mask = np.zeros(len(catalog), bool)
    mask[numbers] = True
    return mask


def _selected(catalog: Catalog, name: str, split: str) -> np.ndarray:
    if name not in catalog.selections:
        raise StoreError(f"no selection {name!r}; there are: {', '.join(catalog.selections) or 'none'}")
    rows = catalog.selections[name]
    chosen = [
        key
        for key, theirs, reason in zip(
            *(rows[column].to_pylist() for column in ("key", "split", "reason")), strict=True
        )
        if reason is None and (not split or theirs == split)
    ]
    numbers = catalog.known.rows_of(chosen)
    return _mask(catalog, numbers[numbers >= 0])


def _order(catalog: Catalog, sort: str, numbers: np.ndarray) -> np.ndarray:
    values = catalog.known.scalars[sort.removeprefix("-")][numbers]
    return np.argsort(-values if sort.startswith("-") else values, kind="stable")  # NaN comes last


def _alike(catalog: Catalog, asked: Asked, keep: np.ndarray) -> Found:
    number = catalog.number(asked.like)
    if number is None:
        raise StoreError(f"no stored sample {asked.like!r} to be like")
    column = asked.on or next(iter(catalog.measures), "")
    if column not in catalog.measures:
        there = ", ".join(catalog.measures) or "none: embeddings and hashes are"
        raise StoreError(f"samples can't be compared by {column!r}; there are: {there}")
    one = catalog.array(number, column)
    if one is None:
        raise StoreError(f"{asked.like!r} has no {column!r}")
    with _one_of_few():
        shards = (columns[column] for columns in catalog.rows.by_shard(column))
        rows, scores = nearest(shards, one, catalog.measures[column], MOST_ALIKE + 1)
    chosen = [(int(row), float(score)) for row, score in zip(rows, scores, strict=True) if row != number and keep[row]]
    numbers = np.array([row for row, _ in chosen], np.int64)
    return Found(numbers, dict(chosen), catalog.measures[column])
