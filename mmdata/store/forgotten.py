"""Keys that must not come back: what `mmdata forget` recorded, without the keys themselves.

    STORE/forgotten/salt            a random number of this store's own
    STORE/forgotten/WHEN-ID.json    when, how many samples, and a salted hash of each key

A hash tells nobody the key, but whoever has a key can tell whether it was forgotten: that is what it is for.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import uuid
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mmdata.errors import SchemaMismatch
from mmdata.store.files import Files
from mmdata.store.layout import FORMAT
from mmdata.store.shards import entry_of

FORGOTTEN = "forgotten"
_SALT = f"{FORGOTTEN}/salt"


@dataclass(frozen=True)
class Blocked:
    """The keys that were forgotten, as hashes: `key in blocked` tells.

    Args:
        salt: of the store. hashes: of the keys.
    """

    salt: bytes = b""
    hashes: frozenset[str] = field(default_factory=frozenset)

    def __len__(self) -> int:
        return len(self.hashes)

    def __contains__(self, key: object) -> bool:
        return bool(self.hashes) and isinstance(key, str) and _hash(self.salt, key) in self.hashes


@dataclass(frozen=True)
class Sought:
    """Whether a row is of a sample that is to be forgotten: of its entry, or of a child that a split made of it.

    Args:
        keys: of the entries.
        others: keys of other entries that look like such children: a file's name may hold an `@`, too.
    """

    keys: frozenset[str]
    others: frozenset[str] = frozenset()

    def __call__(self, key: str) -> bool:
        if key in self.keys:
            return True
        return "@" in key and entry_of(key, _Either(self.keys, self.others)) in self.keys

    def any(self, keys: Iterable[str]) -> bool:
        """Whether there is one of the sample's among some keys."""
        return any(self(key) for key in keys)


@dataclass(frozen=True)
class _Either(Collection[str]):
    one: frozenset[str]
    other: frozenset[str]

    def __contains__(self, key: object) -> bool:
        return key in self.one or key in self.other

    def __iter__(self) -> Any:
        return iter(self.one | self.other)

    def __len__(self) -> int:
        return len(self.one | self.other)


def _hash(salt: bytes, key: str) -> str:
    return hashlib.blake2b(key.encode("utf-8", "surrogateescape"), key=salt, digest_size=16).hexdigest()


def blocked(files: Files) -> Blocked:
    """All keys that were forgotten in a store. Raises SchemaMismatch when a record is damaged, or a newer mmdata's."""
    hashes: set[str] = set()
    for record in records(files):
        hashes.update(record["hashes"])
    return Blocked(_salt(files), frozenset(hashes)) if hashes else Blocked()


def records(files: Files) -> list[dict[str, Any]]:
    """The records, the oldest first: when, hashes, state ("begun" or "done"), and counts."""
    found = []
    for listed in files.listing(FORGOTTEN):
        if not listed.path.endswith(".json"):
            continue
        try:
            value = json.loads(files.read(listed.path))
            if value["format"] > FORMAT or not all(isinstance(each, str) for each in value["hashes"]):
                raise ValueError(f"its format is {value['format']}, this mmdata knows up to {FORMAT}")
        except (ValueError, KeyError, TypeError) as error:
            raise SchemaMismatch(f"{files.url}/{listed.path} can't be read, so runs can't heed it: {error}") from error
        found.append(value)
    return found


def begin(files: Files, keys: Collection[str]) -> str:
    """Record that keys are forgotten, before anything is removed; returns the record's path."""
    with suppress(FileExistsError):
        files.create(_SALT, secrets.token_hex(16).encode())
    now = datetime.now(UTC)
    path = f"{FORGOTTEN}/{now:%Y%m%dT%H%M%S.%f}-{uuid.uuid4().hex[:8]}.json"
    files.create(path, _record(files, now.isoformat(), keys, "begun", {}))
    return path


def end(files: Files, path: str, keys: Collection[str], counts: Mapping[str, int]) -> None:
    """Record that nothing is left of them, and what there was."""
    when = json.loads(files.read(path))["when"]
    files.replace(path, _record(files, when, keys, "done", counts))


def _record(files: Files, when: str, keys: Collection[str], state: str, counts: Mapping[str, int]) -> bytes:
    hashes = sorted(_hash(_salt(files), key) for key in keys)
    value = {"format": FORMAT, "when": when, "state": state, "hashes": hashes, "counts": dict(counts)}
    return json.dumps(value, sort_keys=True).encode()


def _salt(files: Files) -> bytes:
    return bytes.fromhex(files.read(_SALT).decode())
