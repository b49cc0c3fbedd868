"""Names of columns: what each stands for, and what to say of one that is not there."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from mmdata.errors import ConfigError
from mmdata.loader.columns import Column, Words, column_of

if TYPE_CHECKING:
    from mmdata.store import Store

TEXTS = ("key", "label", "source", "parent")
LOOKED_AT = 100  # samples of each source, to say which parts and metadata there are


def columns_of(store: Store, names: Sequence[str]) -> tuple[Column, ...]:
    """The columns by name, `key` among them.

    Raises:
        ConfigError: names that the store does not have, all at once; says what there is.
    """
    specs = store.families
    columns: list[Column] = []
    unknown = []
    for name in dict.fromkeys([*names, "key"]):
        first, _, within = name.partition(".")
        if name in specs:
            columns.append(column_of(name, store.family_of(name), specs[name]))
        elif name in TEXTS:
            columns.append(Words(name, name))
        elif first in ("text", "meta") and within:
            columns.append(Words(name, first, within))
        else:
            unknown.append(name)
    if unknown:
        raise ConfigError("stream", list(_faults(store, unknown, list(specs))))
    return tuple(columns)


def _faults(store: Store, unknown: Sequence[str], features: Sequence[str]) -> Iterator[str]:
    """Why each name is none, and what may have been meant."""
    kinds, fields = _seen(store)
    texts = [*TEXTS, *(f"text.{part}" for part, kind in kinds.items() if kind == "text")]
    there = ", ".join([*features, *texts, *(f"meta.{field}" for field in fields)])
    for name in unknown:
        start = f"columns: {store.url} has no column {name!r}"
        near = difflib.get_close_matches(name, [*features, *texts], n=1)
        if kinds.get(name) == "text":
            yield f"{start}, did you mean 'text.{name}'?"
        elif name in kinds:
            made = ", ".join(feature for feature in features if feature.startswith(f"{name}.")) or "none so far"
            yield f"{start}: {name!r} is a part of samples; parts are not streamed, their features are: {made}"
        elif name in fields:
            yield f"{start}, did you mean 'meta.{name}'?"
        else:
            guess = f", did you mean {near[0]!r}?" if near else ";"
            yield f"{start}{guess} there are {there}"


def _seen(store: Store) -> tuple[dict[str, str], list[str]]:
    """The kind of each part by its name, and the fields of the metadata, as the first samples of each source have."""
    from mmdata.store.read import StoredBlob

    firsts = {shard.source: shard for shard in reversed(store.view().shards) if shard.rows}
    kinds: dict[str, str] = {}
    fields: dict[str, None] = {}
    for shard in reversed(firsts.values()):
        for sample in islice(store.read_samples(shard), LOOKED_AT):
            kinds.update({name: part.kind for name, part in sample.parts.items() if isinstance(part, StoredBlob)})
            fields.update(dict.fromkeys(sample.meta))
    return dict(sorted(kinds.items())), sorted(set(fields) - set(TEXTS))
