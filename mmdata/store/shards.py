"""What a planned shard is called, and whose sample is whose."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mmdata.core.fingerprint import fingerprint
from mmdata.core.ports import Entry


def shard_id(entries: Sequence[Entry]) -> str:
    """16 hex digits of the entries: keys, members with their signatures, metadata."""
    return fingerprint("shard", [entry.to_json() for entry in entries])


def entry_of(key: str, entries: Collection[str]) -> str | None:
    """The entry that a sample comes from: a split extends its key by `@...`, but a file's name may hold an `@` too.

    >>> entry_of("icon@2x@0-5", {"icon", "icon@2x"})
    'icon@2x'
    """
    while key not in entries:
        key, at, _ = key.rpartition("@")
        if not at:
            return None
    return key
