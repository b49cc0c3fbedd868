"""Why a file is missing: samples that were dropped or rejected, files that are planned, found by key or file name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from mmdata.select.search import having
from mmdata.serve.catalog import Catalog, Lost

MOST = 200
MOST_PLANNED = 200_000  # entries that are looked at


@dataclass(frozen=True)
class Losses:
    """What a search finds.

    Args:
        shown: the first of those found. total: how many were found.
        kinds: how many of all there are, by outcome, step and reason, the most first.
        stored: keys of stored samples that fit, too. planned: (key, file) of the plans that fit and are none of these.
    """

    shown: Sequence[Lost]
    total: int
    kinds: Sequence[tuple[tuple[str, str, str], int]]
    stored: Sequence[str] = ()
    planned: Sequence[tuple[str, str]] = ()


def losses(catalog: Catalog, q: str, outcome: str, step: str, reason: str) -> Losses:
    """Samples that were lost, of one kind or all, whose key or file has the words in it."""
    kinds = Counter((each.outcome, each.step, each.reason) for each in catalog.lost).most_common()
    words = q.casefold().split()
    found = [
        each
        for each in catalog.lost
        if (not outcome or each.outcome == outcome)
        and (not step or each.step == step)
        and (not reason or each.reason == reason)
        and _fits(words, each.key, each.pointer)
    ]
    if not words:
        return Losses(found[:MOST], len(found), kinds)
    stored = _stored(catalog, words)
    planned = () if found or stored else tuple(islice(_planned(catalog, words), MOST))
    return Losses(found[:MOST], len(found), kinds, stored, planned)


def _fits(words: Sequence[str], *texts: str) -> bool:
    whole = "\n".join(texts).casefold()
    return all(word in whole for word in words)


def _stored(catalog: Catalog, words: Sequence[str]) -> list[str]:
    """Keys of stored samples, of which a key or a part's file has the words."""
    keys = catalog.known.keys
    rows = having([keys], words)
    if len(rows):
        return [keys[int(row)].as_py() for row in rows[:MOST]]
    return list(islice(_by_file(catalog, words), MOST))


def _by_file(catalog: Catalog, words: Sequence[str]) -> Iterator[str]:
    parts = catalog.known.samples["parts"].combine_chunks()
    pointers = parts.flatten().field("pointer")
    owners = pc.list_parent_indices(parts)
    hits = having([pa.chunked_array([pointers])], words)
    for row in dict.fromkeys(owners[int(hit)].as_py() for hit in hits[: 4 * MOST]):
        yield catalog.known.keys[row].as_py()


def _planned(catalog: Catalog, words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Entries of the plans, as recorded: what a run has not done yet, and what could become no sample."""
    with catalog.lock:
        sources = sorted({shard.source for shard in catalog.known.shards})
        plans = [catalog.store.plan(source) for source in sources]
        entries = (entry for plan in plans for entries in plan.shards.values() for entry in entries)
        for entry in islice(entries, MOST_PLANNED):
            for member in entry.members:
                if _fits(words, entry.key, member.pointer):
                    yield entry.key, member.pointer
                    break
