"""What a stream reads: chunks of a store's selected rows, columns, and digests that say whether they changed."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from mmdata.core.fingerprint import fingerprint
from mmdata.errors import ConfigError, Incomplete
from mmdata.loader.buffers import Buffers
from mmdata.loader.cache import Cache, Copies, Wanted, copies
from mmdata.loader.columns import Column
from mmdata.loader.media import ROW_BYTES, MediaSettings, Medium
from mmdata.loader.names import columns_of
from mmdata.loader.reader import Chunk, ShardReader
from mmdata.loader.tars import MediaFiles
from mmdata.loader.weights import Weights

if TYPE_CHECKING:
    from mmdata.store import Store
    from mmdata.store.files import Files
    from mmdata.store.layout import DataFile

log = logging.getLogger(__name__)

CHUNK_ROWS = 1_000  # as many as a row group has: a chunk is read without its neighbours
SAMPLES = "samples"


@dataclass(frozen=True, eq=False)
class Contents:
    """A store's content as a stream sees it. Can be sent to another process.

    Args:
        place: the store's URL, for messages. files: its file system.
        columns: what a batch holds. chunks: the selected rows, in stored order.
        row_bytes: about how much memory a row takes.
        digests: of the selected rows, and of the files of each family.
        snapshot: the name of the store's snapshot that is read; None for what was newest.
        media: how media are decoded.
        cache: keeps copies of the files on this machine.
        weights: of the selected rows, float64 [row], above 0; None where they are not asked for.
    """

    place: str
    files: Files
    columns: tuple[Column, ...]
    chunks: tuple[Chunk, ...]
    row_bytes: float
    digests: Mapping[str, str]
    snapshot: str | None = None
    media: MediaSettings = field(default_factory=MediaSettings)
    cache: Cache | None = None
    weights: Weights | None = None

    @property
    def n_rows(self) -> int:
        return sum(len(chunk.rows) for chunk in self.chunks)

    @property
    def n_shards(self) -> int:
        """Shards that have selected rows."""
        return len({chunk.files[SAMPLES].shard for chunk in self.chunks})

    def through(self, cache: Cache | str | os.PathLike[str] | None) -> Contents:
        """The same, read through a cache, or a folder for one. Raises ConfigError when it can't be used."""
        if cache is None:
            return self
        cache = cache if isinstance(cache, Cache) else Cache(cache)
        if self.files.is_local:
            cache.check_apart(self.files.full(""))
        cache.prepare()
        return replace(self, cache=cache)

    def copies(self) -> Copies:
        """Where copies of the files are that this reads, if there are any."""
        return copies(self.files, self.cache, self._wanted)

    def _wanted(self) -> Iterator[Wanted]:
        families = dict.fromkeys(column.family for column in self.columns)
        with_tars = any(isinstance(column, Medium) for column in self.columns)
        for chunk in self.chunks:
            for family in families:
                file = chunk.files[family]
                yield Wanted(file.path, file.size_bytes, file.digest)
            if with_tars and (tar := chunk.files[SAMPLES].media):
                yield Wanted(tar.path, tar.size_bytes, tar.digest)

    def reader(self, buffers: Buffers | None = None) -> ShardReader:
        """What reads the rows, into memory of its own unless some is given."""
        checks = self.media.check_digests
        return ShardReader(self.files, self.columns, self.copies(), check_digests=checks, buffers=buffers)

    @property
    def media_bytes(self) -> float:
        """About how many bytes of tars a row takes, where media are streamed."""
        if not any(isinstance(column, Medium) for column in self.columns):
            return 0.0
        files = {file.path: file for chunk in self.chunks if (file := chunk.files[SAMPLES]).media}.values()
        n_bytes = sum(file.media.size_bytes for file in files if file.media)
        return n_bytes / max(1, sum(file.rows for file in files))

    def media_files(self) -> MediaFiles:
        """What reads the samples' media."""
        tars = {file.media.path: file.media for chunk in self.chunks if (file := chunk.files[SAMPLES]).media}
        settings = self.media
        return MediaFiles(
            self.files,
            tars,
            check_digests=settings.check_digests,
            fetch=settings.fetch,
            copies=self.copies() if self.cache is not None else None,
        )


def contents_of(
    store: Store,
    names: Sequence[str],
    *,
    selection: str | None,
    split: str | Sequence[str] | None,
    media: MediaSettings | None = None,
    weighted: bool = False,
) -> Contents:
    """Look up columns and rows in a store; reads its log, and the keys when there is a selection.

    Raises:
        ConfigError: a name is unknown; all of them at once. Or nothing is selected.
        Incomplete: a shard with selected rows lacks a family.
    """
    from mmdata.store.files import Files

    files = Files.at(store.url, store.storage_options)
    view = store.view()
    media = media or MediaSettings()
    columns = columns_of(store, names, media)
    families = list(dict.fromkeys(column.family for column in columns))
    shards = [{SAMPLES: shard.samples, **shard.features} for shard in view.shards if shard.rows]
    chosen, weights = _rows(store, shards, selection, split, weighted=weighted)
    used = [(shard, rows) for shard, rows in zip(shards, chosen, strict=True) if len(rows)]
    if not used:
        raise ConfigError("stream", _nothing(store, selection, split, weighted=weighted))
    chunks = [chunk for shard, rows in used for chunk in _chunks(shard, rows)]
    needed = [shard for shard, _ in used]  # a shard that gives no row may lack whatever it likes
    _check_complete(store.url, families, needed)
    digests = {family: fingerprint([shard[family].digest for shard in needed]) for family in families}
    return Contents(
        place=store.url,
        files=files,
        columns=columns,
        chunks=tuple(chunks),
        row_bytes=sum(row_bytes(column, needed) for column in columns),
        digests={
            "rows": _digest(shards, chosen),
            **({} if weights is None else {"weights": weights.digest}),
            **digests,
        },
        snapshot=store.pinned,
        media=media,
        weights=weights,
    )


def _check_complete(place: str, families: Sequence[str], shards: Sequence[Mapping[str, DataFile]]) -> None:
    """Raise Incomplete when shards lack a family: whose, what makes it, and what leaves those samples out."""
    for family in families:
        lacking = Counter(shard[SAMPLES].source for shard in shards if family not in shard)
        if not lacking:
            continue
        whole = sorted({shard[SAMPLES].source for shard in shards} - lacking.keys())
        where = f"source = {_quoted(whole[0])}" if len(whole) == 1 else f"source in ({', '.join(map(_quoted, whole))})"
        other = f"; or leave those samples out by a selection (`where: {json.dumps(where)}`)" if whole else ""
        raise Incomplete(
            f"{family!r} lacks {lacking.total()} of the {len(shards)} shards of {place!r} that are to be streamed, of "
            f"source {', '.join(map(repr, sorted(lacking)))}: `mmdata features` (or `mmdata run`) on this store makes "
            f"them where the samples have what it needs{other}"
        )


def _quoted(text: str) -> str:
    """A string of SQL."""
    return "'" + text.replace("'", "''") + "'"


def _rows(
    store: Store,
    shards: Sequence[Mapping[str, DataFile]],
    selection: str | None,
    split: str | Sequence[str] | None,
    *,
    weighted: bool,
) -> tuple[list[np.ndarray], Weights | None]:
    """Which rows of each shard are selected: int64 [row] a shard, ascending; and the weights of all, if asked for.

    A row of weight 0 is not selected then.
    """
    counts = [shard[SAMPLES].rows for shard in shards]
    if selection is None:
        if split is not None:
            raise ConfigError("stream", [f"split: {split!r} needs the name of a selection"])
        if weighted:
            raise ConfigError("stream", ["weighted: weights are those of a selection: name one"])
        return [np.arange(count, dtype=np.int64) for count in counts], None
    import pyarrow as pa
    import pyarrow.compute as pc

    table = store.selection(selection)
    wanted = pc.is_null(table["reason"])
    if split is not None:
        names = [split] if isinstance(split, str) else list(split)
        wanted = pc.and_(wanted, pc.is_in(table["split"], pa.array(names, pa.string())))
    if weighted:
        wanted = pc.and_(wanted, pc.greater(table["weight"], 0))
    chosen = table.filter(wanted)
    if table.num_rows < sum(counts):
        later = sum(counts) - table.num_rows
        log.warning(
            "selection=%s place=%s later=%d: samples that came later; select again", selection, store.url, later
        )
    places = pc.index_in(pa.array(store.keys(), pa.string()), chosen["key"].combine_chunks())
    bounds = np.cumsum([0, *counts])
    marks = np.asarray(places.is_valid().to_numpy(zero_copy_only=False))
    rows = [np.flatnonzero(marks[low:high]) for low, high in pairwise(bounds)]
    if not weighted:
        return rows, None
    try:
        return rows, Weights(chosen["weight"].to_numpy()[places.drop_null().to_numpy()])
    except ValueError as error:
        raise ConfigError("stream", [f"selection: {selection!r} of {store.url}: {error}"]) from error


def _chunks(files: Mapping[str, DataFile], rows: np.ndarray) -> list[Chunk]:
    """A shard's selected rows, cut where its row groups are."""
    cuts = np.searchsorted(rows, np.arange(CHUNK_ROWS, files[SAMPLES].rows, CHUNK_ROWS))
    return [Chunk(dict(files), part) for part in np.split(rows, cuts) if len(part)]


def row_bytes(column: Column, shards: Sequence[Mapping[str, DataFile]]) -> float:
    """About what a row of a column takes in a window; what varies is judged by its files' sizes."""
    if isinstance(column, Medium):
        return ROW_BYTES
    if column.spec is None:
        return 100.0
    if column.spec.item_bytes is not None:
        return float(column.spec.item_bytes)
    files = [shard[column.family] for shard in shards]
    return sum(file.size_bytes for file in files) / max(1, sum(file.rows for file in files))


def _digest(shards: Sequence[Mapping[str, DataFile]], chosen: Sequence[np.ndarray]) -> str:
    """A hash of which samples there are, in order, and which of them are selected."""
    rows: list[Any] = [
        [files[SAMPLES].shard, files[SAMPLES].keys, fingerprint(np.packbits(_marks(files, part)).tobytes().hex())]
        for files, part in zip(shards, chosen, strict=True)
    ]
    return fingerprint(CHUNK_ROWS, rows)


def _marks(files: Mapping[str, DataFile], rows: np.ndarray) -> np.ndarray:
    marks = np.zeros(files[SAMPLES].rows, bool)
    marks[rows] = True
    return marks


def _nothing(store: Store, selection: str | None, split: str | Sequence[str] | None, *, weighted: bool) -> list[str]:
    """Why there are no rows."""
    if selection is None:
        return [f"store: {store.url} holds no samples"]
    if split is None:
        what = "samples of a weight above 0" if weighted else "samples"
        return [f"selection: {selection!r} of {store.url} selects no {what}"]
    names = [split] if isinstance(split, str) else list(split)
    import pyarrow.compute as pc

    from mmdata.store import selections

    table = store.selection(selection)
    why = json.loads((table.schema.metadata or {}).get(selections.EMPTY, b"{}"))
    if known := [name for name in names if name in why]:
        return [f"split: selection {selection!r} has no samples in {name!r}: {why[name]}" for name in known]
    splits = table["split"].filter(pc.is_null(table["reason"])).unique().drop_null().to_pylist()
    there = ", ".join(splits) or "none"
    return [f"split: selection {selection!r} has no samples in {', '.join(map(repr, names))}; its splits are {there}"]
