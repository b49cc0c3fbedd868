"""Names of columns: what each stands for, and what to say of one that is not there."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from mmdata.codec.sniff import HEAD_BYTES, media_type, modality, modality_of_name
from mmdata.core.sample import Audio, Frames, Image
from mmdata.errors import ConfigError, DataError
from mmdata.loader.columns import Column, Words, column_of
from mmdata.loader.decoding import decoding
from mmdata.loader.media import MediaSettings, Medium

if TYPE_CHECKING:
    import pyarrow as pa

    from mmdata.store import Store
    from mmdata.store.read import StoredBlob

KINDS: Mapping[str, type] = MappingProxyType(  # of parts that become one array
    {"image": Image, "audio": Audio, "video": Frames, "frames": Frames}
)
BYTES, SOUND = ".bytes", ".sound"
TEXTS = ("key", "label", "source", "parent")
LOOKED_AT = 100  # samples of each source, to say which parts and metadata there are


def columns_of(store: Store, names: Sequence[str], media: MediaSettings) -> tuple[Column, ...]:
    """The columns by name, `key` among them.

    Raises:
        ConfigError: names that the store does not have, all at once; says what there is. Or steps that don't fit.
    """
    if isinstance(names, str):
        raise ConfigError("stream", [f"columns: expected a list of names: [{names!r}], not {names!r}"])
    specs = store.families
    columns: list[Column] = []
    unknown = []
    faults = [f"steps: {name!r} is no column that was asked for" for name in media.steps if name not in names]
    seen = Seen(store)
    for name in dict.fromkeys([*names, "key"]):
        first, _, within = name.partition(".")
        if name in specs:
            columns.append(column_of(name, store.family_of(name), specs[name]))
        elif name in TEXTS:
            columns.append(Words(name, name))
        elif first in ("text", "meta") and within:
            columns.append(Words(name, first, within))
        elif _is_medium(name, seen.kinds):
            try:
                columns.append(_medium(name, seen.kinds, media))
            except ValueError as error:
                faults.append(f"{'steps' if name in media.steps else 'columns'}: {name!r}: {error}")
        else:
            unknown.append(name)
    if unknown or faults:
        raise ConfigError("stream", [*_faults(store, seen, unknown, list(specs)), *faults])
    return tuple(columns)


def _is_medium(name: str, kinds: Mapping[str, str]) -> bool:
    if name.endswith(SOUND) and kinds.get(name.removesuffix(SOUND)) == "video":
        return True
    return kinds.get(name.removesuffix(BYTES), "text") != "text"


def _medium(name: str, kinds: Mapping[str, str], media: MediaSettings) -> Medium:
    """The column of a part. Raises ValueError when it can't be decoded to one array, or its steps don't fit."""
    steps = media.steps.get(name, ())
    if name not in kinds and name.endswith(SOUND):
        part = name.removesuffix(SOUND)
        return Medium(name, part, decoding(part, Audio, steps, seed=media.seed, is_track=True))
    part = name.removesuffix(BYTES)
    kind = KINDS.get(kinds[part])
    if name != part:
        if name in media.steps:
            raise ValueError("bytes are given as they are, without steps")
        return Medium(name, part, None)
    if kind is None:
        raise ValueError(f"{kinds[part]} is not decoded to one array; {name + BYTES!r} gives its bytes")
    return Medium(name, part, decoding(part, kind, steps, seed=media.seed))


def check_words(stores: Sequence[Store], columns: Sequence[Column]) -> None:
    """See that each text and field of the metadata that was asked for is somewhere in the stores.

    A name that the first samples have costs nothing; for another one, all are looked through.

    Raises:
        ConfigError: no sample has it; says what there is.
    """
    faults = []
    seen = [Seen(store) for store in stores]
    for column in columns:
        if not isinstance(column, Words) or column.within is None or any(one.has(column) for one in seen):
            continue
        there = dict.fromkeys(name for one in seen for name in one.words(column.field))
        near = difflib.get_close_matches(column.within, [name.partition(".")[2] for name in there], n=1)
        what = f", did you mean {f'{column.field}.{near[0]}'!r}?" if near else ";"
        place = ", ".join(dict.fromkeys(store.url for store in stores))
        faults.append(f"columns: no sample of {place} has {column.name!r}{what} there are {', '.join(there) or 'none'}")
    if faults:
        raise ConfigError("stream", faults)


def _faults(store: Store, seen: Seen, unknown: Sequence[str], features: Sequence[str]) -> Iterator[str]:
    """Why each name is none, and what may have been meant."""
    if not unknown:
        return
    kinds, fields = seen.kinds, seen.fields
    texts = [*TEXTS, *(f"text.{part}" for part, kind in kinds.items() if kind == "text")]
    media = [part for part, kind in kinds.items() if kind in KINDS]
    media += [f"{part}{SOUND}" for part, kind in kinds.items() if kind == "video"]
    there = ", ".join([*features, *media, *texts, *(f"meta.{field}" for field in fields)])
    for name in unknown:
        start = f"columns: {store.url} has no column {name!r}"
        near = difflib.get_close_matches(name, [*features, *media, *texts], n=1)
        if kinds.get(name) == "text":
            yield f"{start}, did you mean 'text.{name}'?"
        elif name in fields:
            yield f"{start}, did you mean 'meta.{name}'?"
        else:
            guess = f", did you mean {near[0]!r}?" if near else ";"
            yield f"{start}{guess} there are {there}"
    for family, fault in store.unreadable.items():
        yield f"columns: of {family!r} {fault}"


class Seen:
    """What the first samples of each source have; they are read when that is asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def kinds(self) -> dict[str, str]:
        """The kind of each part by its name; of one that was never decoded, what its bytes are."""
        return self._found[0]

    @property
    def fields(self) -> list[str]:
        """The fields of the metadata."""
        return self._found[1]

    def words(self, field: str) -> list[str]:
        """The columns of texts or of metadata that the first samples have."""
        if field == "meta":
            return [f"meta.{name}" for name in self.fields]
        return [f"text.{part}" for part, kind in self.kinds.items() if kind == "text"]

    def has(self, column: Words) -> bool:
        """Whether any sample has a text, or a field of the metadata."""
        return column.name in self.words(column.field) or self._is_somewhere(column)

    def _is_somewhere(self, column: Words) -> bool:
        from mmdata.loader.reader import ShardReader
        from mmdata.store.files import Files

        reader = ShardReader(Files.at(self._store.url, self._store.storage_options), ())
        try:
            for shard in self._store.view().shards:
                file = shard.samples
                if file.rows and _has_word(reader.read(file, column.fields, np.arange(file.rows)), column):
                    return True
        finally:
            reader.close()
        return False

    @cached_property
    def _found(self) -> tuple[dict[str, str], list[str]]:
        from mmdata.store.read import StoredBlob

        firsts = {shard.source: shard for shard in reversed(self._store.view().shards) if shard.rows}
        blobs: dict[str, StoredBlob] = {}
        fields: dict[str, None] = {}
        for shard in reversed(firsts.values()):
            for sample in islice(self._store.read_samples(shard), LOOKED_AT):
                blobs |= {name: part for name, part in sample.parts.items() if isinstance(part, StoredBlob)}
                fields.update(dict.fromkeys(sample.meta))
        return {name: _kind(blobs[name]) for name in sorted(blobs)}, sorted(set(fields) - set(TEXTS))


def _has_word(rows: pa.Table, column: Words) -> bool:
    """Whether any of the samples has the text, or the field of the metadata."""
    import pyarrow.compute as pc

    found, name = rows.column(column.field), column.within or ""
    if column.field == "text":
        return bool(pc.any(pc.is_valid(pc.map_lookup(found, query_key=name, occurrence="first"))).as_py())
    if name.isascii():  # others may be written in several ways
        found = found.filter(pc.match_substring(found, json.dumps(name)))
    return any(name in json.loads(text) for text in found.to_pylist())


def _kind(blob: StoredBlob) -> str:
    """What a part is: as it is stored, or by its bytes."""
    if blob.kind != "blob":
        return blob.kind
    try:
        return modality(media_type(blob.data()[:HEAD_BYTES])) or "blob"
    except DataError:  # it is in its source only
        return modality_of_name(blob.name) or "blob"
