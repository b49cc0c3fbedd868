"""Keys by what a person knows of them: a file's name, or a part of either."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from mmdata.store.store import Store

MOST_PLANNED = 200_000  # entries that are looked at
MOST_NEAR = 5


@dataclass(frozen=True)
class Hits:
    """What is found.

    Args:
        of_file: keys of entries of which one file has just that name or pointer.
        near: keys that have the text in them, or in a file's pointer, in any case.
    """

    of_file: Sequence[str]
    near: Sequence[str]


def seek(store: Store, text: str, keys: Sequence[str] = ()) -> Hits:
    """Look through stored keys, drops, rejects and the plans of a store's sources.

    Args:
        store: where.
        text: what is sought.
        keys: those of stored samples.
    """
    wanted = text.casefold()
    near = dict.fromkeys(islice((key for key in keys if wanted in key.casefold()), MOST_NEAR))
    of_file: dict[str, None] = {}
    planned = list(_planned(store, text))
    for key, pointer in chain(_lost(store), planned):
        if len(near) < MOST_NEAR and (wanted in key.casefold() or wanted in pointer.casefold()):
            near[key] = None
    for key, pointer in planned if text else ():
        if text in (pointer, f"{key.partition('/')[0]}/{pointer}") or pointer.endswith(f"/{text}"):
            of_file[key] = None
    return Hits(list(of_file), list(near))


def _lost(store: Store) -> Iterator[tuple[str, str]]:
    for table in (store.drops(), store.rejects()):
        for row in table.select(["key", "pointer"]).to_pylist():
            yield row["key"], row["pointer"] or ""


def _planned(store: Store, text: str) -> Iterator[tuple[str, str]]:
    """Each file of each entry, and whose it is."""
    sources = sorted({*store.view().sources, text.partition("/")[0]} - {""})
    plans = (store.plan(source) for source in sources)
    entries = (entry for plan in plans for shard in plan.shards.values() for entry in shard)
    for entry in islice(entries, MOST_PLANNED):
        for member in entry.members:
            yield entry.key, member.pointer
