"""What goes out: which parts and features, and which rows of which shards into which file.

All of it follows from the store's files and the settings, before anything is written: so a file that an interrupted
export has finished is known to be the same when the export is taken up.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmdata.core.arrays import ArraySpec
from mmdata.core.fingerprint import fingerprint
from mmdata.core.pipeline import guess
from mmdata.errors import ConfigError
from mmdata.store import read
from mmdata.store.files import Files
from mmdata.store.media import safe_key
from mmdata.store.view import ShardView

if TYPE_CHECKING:
    from mmdata.store import Store

log = logging.getLogger(__name__)

ALL = "samples"  # what files are called where there are no splits
ROW_BYTES = 300  # about what key, metadata and texts take
TOLD = ("name", "kind", "extension", "encoding")


@dataclass
class PartForm:
    """What is known of a part over all samples that go out.

    Args:
        kinds: "image", "audio", "text", "blob"... extensions: of its bytes. encodings: "copy", "encoded", "reference".
    """

    name: str
    kinds: set[str] = field(default_factory=set)
    extensions: set[str] = field(default_factory=set)
    encodings: set[str] = field(default_factory=set)

    @property
    def is_text(self) -> bool:
        """Whether it is a text in every sample; one that no step decoded tells so by what its bytes were taken for."""
        return self.kinds == {"text"} or (self.kinds <= {"text", "blob"} and self.extensions == {"txt"})


@dataclass(frozen=True, eq=False)
class Piece:
    """Rows of a shard, ascending: int64 [row]; `weights` is float64 [row] where there is a selection."""

    shard: ShardView
    rows: np.ndarray
    weights: np.ndarray | None = None

    def cut(self, start: int, stop: int) -> Piece:
        weights = self.weights[start:stop] if self.weights is not None else None
        return Piece(self.shard, self.rows[start:stop], weights)


@dataclass(frozen=True, eq=False)
class Output:
    """One file to be written: its name without an extension, the split of its rows ("" is none), and the rows."""

    name: str
    split: str
    pieces: tuple[Piece, ...]

    @property
    def n_rows(self) -> int:
        return sum(len(piece.rows) for piece in self.pieces)


@dataclass(frozen=True, eq=False)
class Contents:
    """All that goes out of a store.

    Args:
        files: the store's. parts, features: what of each sample; of a feature its family and its promise.
        outputs: the files. n_bytes: about how many there will be. selection: its name, where there is one.
    """

    files: Files
    parts: Mapping[str, PartForm]
    features: Mapping[str, tuple[str, ArraySpec]]
    outputs: tuple[Output, ...]
    n_bytes: int
    selection: str | None

    @property
    def splits(self) -> dict[str, int]:
        """How many samples each split has."""
        found: dict[str, int] = {}
        for output in self.outputs:
            found[output.split] = found.get(output.split, 0) + output.n_rows
        return found

    @property
    def families(self) -> dict[str, dict[str, ArraySpec]]:
        """The columns of each family that go out."""
        found: dict[str, dict[str, ArraySpec]] = {}
        for column, (family, spec) in self.features.items():
            found.setdefault(family, {})[column] = spec
        return found

    def fingerprint(self, *settings: object) -> str:
        """Equal for equal contents and settings: the same files would be written."""
        specs = {column: spec.to_json() for column, (_, spec) in self.features.items()}
        rows = [[each.name, each.split, [self._told(piece) for piece in each.pieces]] for each in self.outputs]
        return fingerprint(settings, sorted(self.parts), specs, rows, chars=32)

    def _told(self, piece: Piece) -> list[str]:
        shard = piece.shard
        families = [shard.features[name].digest for name in self.families if name in shard.features]
        rows = hashlib.blake2b(piece.rows.tobytes(), digest_size=16)
        if piece.weights is not None:
            rows.update(piece.weights.tobytes())
        media = shard.samples.media.digest if shard.samples.media else ""
        return [shard.samples.digest, media, rows.hexdigest(), *families]


def contents_of(
    store: Store,
    *,
    selection: str | None = None,
    split: str | Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    shard_bytes: int,
    incomplete: bool = False,
) -> Contents:
    """Look up what is to go out. Reads the store's log, of every shard the list of parts, and keys for a selection.

    Raises:
        ConfigError: a column or a split is unknown, or nothing is selected.
        Incomplete: a shard with selected samples lacks a feature, and that was not allowed.
    """
    files = Files.at(store.url, store.storage_options)
    shards = [shard for shard in store.view().shards if shard.rows]
    by_split = _by_split(store, files, shards, selection, split)
    if not any(len(piece.rows) for pieces in by_split.values() for piece in pieces):
        what = f"selection {selection!r} of {store.url} selects no samples" if selection else f"{store.url} is empty"
        raise ConfigError("export", [what])
    used = {piece.shard.shard: piece.shard for pieces in by_split.values() for piece in pieces}
    parts, part_bytes = _parts(files, list(used.values()))
    specs = {column: (store.family_of(column), spec) for column, spec in store.families.items()}
    if columns is None and store.unreadable:
        faults = [
            f"{family}: {fault}; `columns` says what goes out without it" for family, fault in store.unreadable.items()
        ]
        raise ConfigError("export", faults)
    parts, specs = _wanted(store.url, columns, parts, specs)
    for family in sorted({family for family, _ in specs.values()}):
        if not incomplete and any(family not in shard.features for shard in used.values()):
            store.check_complete([family])
    row_bytes = {
        name: _row_bytes(shard, part_bytes[name], list(parts), {family for family, _ in specs.values()})
        for name, shard in used.items()
    }
    outputs = tuple(
        output for name, pieces in by_split.items() for output in _divided(name, pieces, row_bytes, shard_bytes)
    )
    n_bytes = sum(len(p.rows) * row_bytes[p.shard.shard] for output in outputs for p in output.pieces)
    return Contents(files, parts, specs, outputs, round(n_bytes), selection)


def _by_split(
    store: Store, files: Files, shards: Sequence[ShardView], selection: str | None, split: str | Sequence[str] | None
) -> dict[str, list[Piece]]:
    """The selected rows, by split in order of name; all of them under "" without a selection."""
    if selection is None:
        if split is not None:
            raise ConfigError("export", [f"split: {split!r} needs the name of a selection"])
        return {"": [Piece(shard, np.arange(shard.rows, dtype=np.int64)) for shard in shards]}
    table = store.selection(selection)
    wanted = table.filter(pc.is_null(table["reason"]))
    there = sorted(name or "" for name in wanted["split"].unique().to_pylist())
    names = there if split is None else list(dict.fromkeys([split] if isinstance(split, str) else split))
    if unknown := [name for name in names if name not in there]:
        has = f"its splits are {', '.join(there)}" if any(there) else "it has no splits"
        raise ConfigError("export", [f"split: {selection!r} has no samples in {name!r}; {has}" for name in unknown])
    if "" in names and ALL in names:
        raise ConfigError("export", [f"split: {selection!r} has samples without a split, and a split {ALL!r}"])
    keys = [read.open_rows(files, shard.samples, ["key"]).column("key").combine_chunks() for shard in shards]
    found = pc.index_in(pa.chunked_array(keys, pa.string()), value_set=wanted["key"].combine_chunks())
    at = np.asarray(pc.fill_null(found, -1).to_numpy(), np.int64)  # of each row of the store, where it is selected
    later = len(at) - table.num_rows
    if later > 0:
        log.warning(
            "selection=%s place=%s later=%d: samples that came later; select again", selection, store.url, later
        )
    codes = np.asarray(
        pc.index_in(pc.fill_null(wanted["split"], ""), value_set=pa.array(names, pa.string())).fill_null(-1).to_numpy(),
        np.int64,
    )
    weights = wanted["weight"].to_numpy()
    bounds = np.cumsum([0, *(shard.rows for shard in shards)])
    made: dict[str, list[Piece]] = {name: [] for name in names}
    for shard, (low, high) in zip(shards, pairwise(bounds), strict=True):
        here = at[low:high]
        code = np.where(here >= 0, codes[here], -1) if len(codes) else np.full(len(here), -1)
        for number, name in enumerate(names):
            rows = np.flatnonzero(code == number)
            if len(rows):
                made[name].append(Piece(shard, rows, np.asarray(weights[here[rows]], np.float64)))
    return made


def _parts(files: Files, shards: Sequence[ShardView]) -> tuple[dict[str, PartForm], dict[str, dict[str, int]]]:
    """What parts the shards' samples have, and how many bytes of each, by shard."""
    forms: dict[str, PartForm] = {}
    n_bytes: dict[str, dict[str, int]] = {}
    for shard in shards:
        of_shard = n_bytes.setdefault(shard.shard, {})
        for cells in read.open_rows(files, shard.samples, ["parts"]).column("parts").chunks:
            flat = cells.flatten()
            told = pa.table({name: flat.field(name) for name in (*TOLD, "length")})
            for row in told.group_by(list(TOLD)).aggregate([("length", "sum")]).to_pylist():
                form = forms.setdefault(row["name"], PartForm(row["name"]))
                form.kinds.add(row["kind"])
                form.extensions.add(row["extension"])
                form.encodings.add(row["encoding"])
                of_shard[form.name] = of_shard.get(form.name, 0) + row["length_sum"]
    return dict(sorted(forms.items())), n_bytes


def _wanted(
    place: str,
    columns: Sequence[str] | None,
    parts: dict[str, PartForm],
    features: dict[str, tuple[str, ArraySpec]],
) -> tuple[dict[str, PartForm], dict[str, tuple[str, ArraySpec]]]:
    """The parts and features that are asked for; all of them unless any is named."""
    if columns is None:
        return parts, features
    if isinstance(columns, str):
        raise ConfigError("export", [f"columns: expected a list of names: [{columns!r}], not {columns!r}"])
    there = [*parts, *features]
    faults = [
        f"columns: {place} has no part or feature {name!r}{guess(name, there)}" for name in columns if name not in there
    ]
    if faults:
        raise ConfigError("export", faults)
    return (
        {name: form for name, form in parts.items() if name in columns},
        {name: found for name, found in features.items() if name in columns},
    )


def _row_bytes(shard: ShardView, parts: Mapping[str, int], names: Sequence[str], families: set[str]) -> float:
    """About how many bytes a row of a shard comes to."""
    features = sum(shard.features[name].size_bytes for name in families if name in shard.features)
    return ROW_BYTES + (sum(parts.get(name, 0) for name in names) + features) / shard.rows


def _divided(split: str, pieces: Sequence[Piece], row_bytes: Mapping[str, float], shard_bytes: int) -> Iterator[Output]:
    """A split's rows, cut into files of about so many bytes, in the store's order."""
    cut = list(_cut(pieces, row_bytes, shard_bytes))
    name = safe_key(split).replace("/", "%2F") if split else ALL
    for number, found in enumerate(cut):
        yield Output(f"{name}-{number:05d}-of-{len(cut):05d}", split, tuple(found))


def _cut(pieces: Sequence[Piece], row_bytes: Mapping[str, float], shard_bytes: int) -> Iterator[list[Piece]]:
    held: list[Piece] = []
    left = float(shard_bytes)
    for piece in pieces:
        each, start = row_bytes[piece.shard.shard], 0
        while start < len(piece.rows):
            stop = min(len(piece.rows), start + max(int(left // each), 0 if held else 1))
            if stop > start:
                held.append(piece.cut(start, stop))
                left -= (stop - start) * each
                start = stop
            if start < len(piece.rows):
                yield held
                held, left = [], float(shard_bytes)
    if held:
        yield held
