"""The workers' side: files of one shard, whole or not at all. Nothing here touches a Delta table.

What is being written lies under tmp/ and takes its final name only when it is complete, so a worker may be killed at
any moment; `mmdata gc` sweeps what it left.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa

from mmdata.core.fingerprint import keys_digest
from mmdata.core.ports import Encoded
from mmdata.core.sample import Array, Audio, Blob, Captions, Frames, Image, Part, Sample, Text, Video
from mmdata.errors import DataError
from mmdata.store.files import Files, HashedFile, part_digest, place
from mmdata.store.layout import DROPS, MEDIA, REJECTS, SAMPLES, DataFile, Media, folder, stem
from mmdata.store.media import TarWriter, safe_key, suffixes
from mmdata.store.parquet import TableFile, write_rows
from mmdata.store.tables import BYTES_A_GROUP, FILES, PART, ROWS_A_GROUP
from mmdata.store.write_features import FeatureWriter

__all__ = ["FeatureWriter", "ShardWriter"]

KINDS: Mapping[type, str] = {
    Image: "image", Audio: "audio", Video: "video", Text: "text", Captions: "captions", Frames: "frames",
    Array: "array", Blob: "blob",
}  # fmt: skip
_JSON = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


@dataclass
class _Rows:
    """Columns of samples that wait to be written."""

    keys: list[str] = field(default_factory=list)
    parents: list[str | None] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    metas: list[str] = field(default_factory=list)
    texts: list[list[tuple[str, str]]] = field(default_factory=list)
    parts: list[tuple[Any, ...]] = field(default_factory=list)
    digests: list[list[tuple[str, str]]] = field(default_factory=list)
    ends: list[int] = field(default_factory=lambda: [0])
    sizes: list[int] = field(default_factory=list)

    def table(self) -> pa.Table:
        columns = list(zip(*self.parts, strict=True)) or [()] * len(PART)
        parts = pa.StructArray.from_arrays(
            [pa.array(column, each.type) for column, each in zip(columns, PART, strict=True)], fields=list(PART)
        )
        schema = FILES[SAMPLES]
        arrays = {
            "key": pa.array(self.keys, pa.string()),
            "parent": pa.array(self.parents, pa.string()),
            "label": pa.array(self.labels, pa.string()),
            "meta": pa.array(self.metas, pa.string()),
            "text": pa.array(self.texts, schema.field("text").type),
            "parts": pa.ListArray.from_arrays(pa.array(self.ends, pa.int32()), parts, type=schema.field("parts").type),
            "digests": pa.array(self.digests, pa.map_(pa.string(), pa.string())),
        }
        return pa.Table.from_arrays([arrays[name] for name in schema.names], schema=schema)


class ShardWriter:
    """Writes a shard's samples and media as they come, and its drops and rejects.

    Memory is bounded by a row group: media go straight to disk.

    Args:
        url: the store. shard: the shard's id. fp: fingerprint of the steps that made the samples.
        source: the name of the source that they came from.
    """

    def __init__(
        self, url: str, *, shard: str, fp: str, source: str, storage_options: Mapping[str, str] | None = None
    ) -> None:
        self._files = Files.at(url, storage_options)
        self._shard, self._fp, self._source = shard, fp, source
        self._keys: dict[str, None] = {}
        self._rows, self._bytes = _Rows(), 0
        self._tar_file = HashedFile(self._files.scratch(f"{shard}-{fp}.tar"))
        self._tar = TarWriter(self._tar_file)
        self._table = TableFile(self._files, f"{shard}-{fp}.parquet", FILES[SAMPLES])
        self._drops: list[tuple[str | None, ...]] = []
        self._rejects: list[tuple[str | None, ...]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.abort()

    def add(
        self,
        sample: Sample,
        stored: Mapping[str, Encoded],
        *,
        pointers: Mapping[str, str],
        references: Collection[str] = (),
    ) -> None:
        """Append a sample.

        Args:
            sample: as the last step left it.
            stored: the parts to keep, as they are to be kept.
            pointers: where each part came from, `str(Pointer)`, by part.
            references: parts that are not kept but only pointed to.

        Raises:
            DataError: the shard has that key already, or its key, text or metadata can't be stored: what is no
                Unicode (lone surrogates) or no JSON. Nothing of the sample was written then.
            Unreadable: a part's bytes can't be had. Nothing of the sample was written then.
        """
        meta = self._checked(sample)
        text = {name: part.as_read.text for name, part in stored.items() if isinstance(part.as_read, Text)}
        label = _label(sample.meta.get("label"))
        rest = _unicode({"key": sample.key, "label": label, "meta": dict(sample.meta), "text": text}, sample.key)
        bodies = {name: stored[name].blob.data() for name in sorted(stored)}  # all of them, before anything is written
        base = safe_key(sample.key)
        rows = self._rows
        for suffix, (name, data) in zip(
            suffixes((name, stored[name].extension) for name in bodies), bodies.items(), strict=True
        ):
            offset = self._tar.add(f"{base}.{suffix}", data)
            rows.parts.append(_part_row(name, stored[name], sample, offset, len(data), pointers.get(name)))
        for name in sorted(references):
            rows.parts.append(_reference_row(name, sample, pointers.get(name)))
        self._tar.add(f"{base}.json", rest)
        self._keys[sample.key] = None
        rows.keys.append(sample.key)
        rows.parents.append(sample.parent)
        rows.labels.append(label)
        rows.metas.append(meta)
        rows.texts.append(sorted(text.items()))
        rows.digests.append([(name, part_digest(data)) for name, data in bodies.items()])
        rows.ends.append(len(rows.parts))
        rows.sizes.append(len(rest) + 64 * (len(bodies) + 1))
        self._bytes += rows.sizes[-1]
        if len(rows.keys) >= ROWS_A_GROUP or self._bytes > BYTES_A_GROUP:
            self._flush()

    def _checked(self, sample: Sample) -> str:
        if sample.key in self._keys:
            raise DataError(f"{sample.key!r} is there twice: a step made two samples with one key")
        if not sample.key:
            raise DataError("a sample has an empty key")
        try:
            return _JSON.encode(dict(sample.meta))
        except (TypeError, ValueError) as error:
            raise DataError(f"{sample.key!r} has metadata that JSON can't hold: {error}") from error

    def _flush(self) -> None:
        if self._rows.keys:
            self._table.append(self._rows.table(), np.array(self._rows.sizes, np.int64))
        self._rows, self._bytes = _Rows(), 0

    def drop(self, key: str, step: str, reason: str, pointer: str | None = None) -> None:
        """Note a sample that a step decided against."""
        self._drops.append((key, step, reason, pointer))

    def reject(
        self, key: str, step: str, kind: str, error: str, traceback: str | None = None, pointer: str | None = None
    ) -> None:
        """Note a sample that failed."""
        self._rejects.append((key, step, kind, error, traceback, pointer))

    @property
    def keys(self) -> list[str]:
        """The keys so far, in order."""
        return list(self._keys)

    def close(self) -> list[DataFile]:
        """Give the files their names: samples, with their tar, and drops and rejects where there are any."""
        try:
            return self._close()
        except BaseException:
            self.abort()
            raise

    def _close(self) -> list[DataFile]:
        digest = keys_digest(self._keys)
        name = stem(self._shard, self._fp, digest)
        self._flush()
        self._tar.close()
        media = self._place_media(name)
        path, size, own = self._table.close(SAMPLES, name)
        samples = DataFile(
            SAMPLES, path, self._shard, self._fp, digest, len(self._keys), size, own, self._source, media
        )
        beside = [
            self._side_file(family, name, digest, rows)
            for family, rows in ((DROPS, self._drops), (REJECTS, self._rejects))
            if rows
        ]
        return [samples, *beside]

    def _place_media(self, name: str) -> Media | None:
        if not self._keys:
            self._tar_file.discard()
            return None
        path = place(self._files, self._tar_file, MEDIA, name, "tar")
        return Media(path, self._tar_file.size_bytes, self._tar_file.digest)

    def _side_file(self, family: str, name: str, digest: str, rows: list[tuple[str | None, ...]]) -> DataFile:
        schema = FILES[family]
        columns = [
            pa.array([_storable(value) for value in column], each.type)
            for column, each in zip(zip(*rows, strict=True), schema, strict=True)
        ]
        path, size, own = write_rows(self._files, folder(family), name, pa.Table.from_arrays(columns, schema=schema))
        return DataFile(family, path, self._shard, self._fp, digest, len(rows), size, own, self._source)

    def abort(self) -> None:
        """Delete what was written so far; nothing once it is closed."""
        self._tar_file.discard()
        self._table.abort()


def _part_row(
    name: str, part: Encoded, sample: Sample, offset: int, length: int, pointer: str | None
) -> tuple[str | int | None, ...]:
    before = sample.parts.get(name)
    own = before is part.blob or (before is not None and getattr(before, "origin", None) is part.blob)
    encoding = "copy" if own else "encoded"
    return name, _kind(part.as_read), part.extension, offset, length, pointer, encoding, _map(before or part.as_read)


def _reference_row(name: str, sample: Sample, pointer: str | None) -> tuple[str | int | None, ...]:
    part = sample.parts[name]
    blob = part if isinstance(part, Blob) else part.origin
    extension = blob.name.rpartition(".")[2] if blob is not None and "." in blob.name else ""
    return name, _kind(part), extension, None, blob.size if blob is not None else 0, pointer, "reference", _map(part)


def _kind(part: Part) -> str:
    return next(kind for cls, kind in KINDS.items() if isinstance(part, cls))


def _map(part: Part) -> str | None:
    """The part's way back to its source, as JSON; null where nothing was moved."""
    if isinstance(part, Image | Frames):
        return None if part.space_map.is_identity else _JSON.encode({"space": part.space_map.to_json()})
    if isinstance(part, Audio | Video | Captions) and part.time_map is not None:
        return _JSON.encode({"time": part.time_map.to_json()})
    return None


def _label(value: object) -> str | None:
    return value if isinstance(value, str) or value is None else _JSON.encode(value)


def _unicode(value: Mapping[str, Any], key: str) -> bytes:
    try:
        return _JSON.encode(value).encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{key!r} has a key, text or metadata that is not Unicode: {error}") from error


def _storable(value: str | None) -> str | None:
    """Messages as they can be stored: lone surrogates are spelled out."""
    return None if value is None else value.encode("utf-8", "backslashreplace").decode()
