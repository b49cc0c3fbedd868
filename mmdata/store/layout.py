"""Where everything lies in a store, and what it is called.

    STORE/
      store.json                            format version
      samples/  drops/  rejects/            Delta tables: SHARD-FP-KEYS.parquet and _delta_log/
      media/SHARD-FP-KEYS.tar               WebDataset shards; index.json lists the live ones
      features/FAMILY/SHARD-FP-KEYS.parquet Delta table a family
      plans/  runs/                         Delta tables of the coordinator
      selections/NAME/                      Delta table a selection
      snapshots/NAME.json
      fitted/FAMILY/FP/                     vocabularies and tokenizers that a family was made by
      forgotten/                            when samples were forgotten, and salted hashes of their keys
      tmp/                                  what is being written; left behind only by a killed process

A data file never changes once it has its name. SHARD is the shard's id, FP the fingerprint of all that made the file,
KEYS the digest of its rows' keys in their order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mmdata.errors import StoreError

FORMAT = 2  # 1 kept the entries of plans in their rows
MARKER = "store.json"
SAMPLES, DROPS, REJECTS = "samples", "drops", "rejects"
PLANS, RUNS = "plans", "runs"
MEDIA, FEATURES, SNAPSHOTS, SCRATCH = "media", "features", "snapshots", "tmp"
SELECTIONS, FITTED = "selections", "fitted"
MEDIA_INDEX = f"{MEDIA}/index.json"
LOG = "_delta_log"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_OWN = frozenset({SAMPLES, DROPS, REJECTS, PLANS, RUNS, "key", "parent", "label", "meta", "text", "parts", "source"})
_LOGGED = frozenset({"shard", "fp", "keys", "digest", "media", "media_bytes", "media_digest"})


@dataclass(frozen=True)
class Media:
    """A tar shard, as the log lists it beside its samples file."""

    path: str
    size_bytes: int
    digest: str


@dataclass(frozen=True)
class DataFile:
    """A file of a family, as the log lists it.

    Args:
        family: "samples", "drops", "rejects", or a feature family's name.
        path: relative to the store.
        shard, fp, keys: whose rows it holds, what made them, and the digest of their keys in order.
        rows, size_bytes: its extent. digest: xxh3-128 of its bytes, hexadecimal.
        source: the source's name; "" for features.
        media: the tar with the samples' parts; None for other families, and where there are no rows.
    """

    family: str
    path: str
    shard: str
    fp: str
    keys: str
    rows: int
    size_bytes: int
    digest: str
    source: str = ""
    media: Media | None = None

    @property
    def name(self) -> str:
        """The file's name within its folder."""
        return self.path.rpartition("/")[2]

    @property
    def stands_for(self) -> tuple[str, str, str]:
        """Two files with the same answer are interchangeable."""
        return self.shard, self.fp, self.keys


def stem(shard: str, fp: str, keys: str) -> str:
    """The name of a data file without its extension."""
    return f"{shard}-{fp}-{keys}"


def folder(family: str) -> str:
    """A family's folder, relative to the store.

    >>> folder("samples"), folder("image.phash")
    ('samples', 'features/image.phash')
    """
    own = family in (SAMPLES, DROPS, REJECTS, PLANS, RUNS) or family.startswith(f"{SELECTIONS}/")
    return family if own else f"{FEATURES}/{family}"


def is_selection(family: str) -> bool:
    """Whether a family is a selection's table.

    >>> is_selection("selections/v1"), is_selection("samples")
    (True, False)
    """
    return family.startswith(f"{SELECTIONS}/")


def checked_family(family: str) -> str:
    """The name of a feature family, when it can be one.

    Raises:
        StoreError: it can't be a folder's name everywhere, or it is a name of the store's own.
    """
    return _checked(family, "family")


def checked_column(column: str) -> str:
    """The name of a feature column, when it can be one. Raises StoreError as `checked_family` does."""
    return _checked(column, "column")


def checked_snapshot(name: str) -> str:
    """The name of a snapshot, when it can be one. Raises StoreError otherwise."""
    return _file_name(name, "snapshot")


def checked_selection(name: str) -> str:
    """The name of a selection, when it can be one. Raises StoreError otherwise."""
    return _file_name(name, "selection")


def _checked(name: str, what: str) -> str:
    _file_name(name, f"feature {what}")
    if name in _OWN or name in _LOGGED:
        raise StoreError(f"{name!r} can't name a feature {what}: the store has its own {name!r}; PART.FEATURE is usual")
    return name


def _file_name(name: str, what: str) -> str:
    if not _NAME.fullmatch(name):
        raise StoreError(f"{name!r} can't name a {what}: {_RULE}")
    return name


_RULE = "it takes 1 to 128 letters, digits, '_', '.' or '-', and starts with neither '.' nor '-'"
