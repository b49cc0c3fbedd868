"""Parts that a store only points to, read from their source by the plan that recorded where they lie."""

from __future__ import annotations

from mmdata.core.ports import Entry, Source
from mmdata.core.sample import Blob, Pointer
from mmdata.errors import Unreadable
from mmdata.store.read import Fetch
from mmdata.store.store import Store


class References:
    """Finds the entry that a pointer belongs to, and has the source read it: which tells when it was changed since.

    Args:
        store: that holds the pointers. source: that they point into.
    """

    def __init__(self, store: Store, source: Source) -> None:
        self._store, self._source = store, source
        self._entries: dict[str, tuple[Entry, str]] | None = None

    def of(self, source: str) -> Fetch | None:
        """What reads the parts of a source's samples; None for another source than the one that is there."""
        return self._fetch if source == self._source.name else None

    def _fetch(self, pointer: Pointer) -> bytes:
        """The bytes of a part. Raises Unreadable when the source has them no more, or others."""
        if self._entries is None:
            plan = self._store.plan(self._source.name)
            self._entries = {
                member.pointer: (entry, member.part)
                for entries in (*plan.left.values(), *plan.shards.values())
                for entry in entries
                for member in entry.members
            }
        if str(pointer) not in self._entries:
            raise Unreadable(f"{pointer}: no plan of source {self._source.name!r} names it")
        entry, name = self._entries[str(pointer)]
        part = next(iter(self._source.read([entry]))).parts[name]
        if not isinstance(part, Blob):
            raise Unreadable(f"{pointer}: the source gives no bytes for it")
        return part.data()
