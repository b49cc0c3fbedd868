"""Hashes that decide what must be computed again: canonical, short, and the same on every machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text.

    Raises:
        TypeError: the value holds something that JSON has no form for.
        ValueError: it holds a NaN or an infinity.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(*parts: Any, chars: int = 16) -> str:
    """A hex digest (BLAKE2b) of JSON-able values; `chars` hex digits, four bits each.

    >>> fingerprint("a", 1) == fingerprint("a", 1) != fingerprint("a1")
    True
    """
    return hashlib.blake2b(canonical(parts).encode(), digest_size=32).hexdigest()[:chars]


def keys_digest(keys: Iterable[str], *, chars: int = 12) -> str:
    """A hex digest of keys in their order. Lengths are hashed too, so that no two lists run together."""
    digest = hashlib.blake2b(digest_size=32)
    for key in keys:
        raw = key.encode("utf-8", "surrogateescape")
        digest.update(len(raw).to_bytes(4, "little") + raw)
    return digest.hexdigest()[:chars]
