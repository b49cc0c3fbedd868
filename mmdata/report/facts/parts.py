"""Which media samples hold: how many of each part, how large, and which stored bytes are the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmdata.codec.sniff import modality_of_name


@dataclass(frozen=True)
class PartFacts:
    """A part by its name and kind.

    Args:
        kind: "image", "audio", "video", "text", "captions", "frames", "array" or "blob".
        n: samples that have it. n_bytes: of all of them. extensions: of the stored files, the most frequent first.
        n_elsewhere: of n, those that lie in their source only.
    """

    name: str
    kind: str
    n: int
    n_bytes: int
    extensions: Sequence[str]
    n_elsewhere: int = 0

    @property
    def shown(self) -> str:
        """The kinds that it is shown as."""
        return ", ".join(dict.fromkeys(kind_shown(self.kind, extension) for extension in self.extensions)) or self.kind


def kind_shown(kind: str, extension: str) -> str:
    """What a part is shown as: bytes that no step looked into by what they are stored under, which was told by them."""
    return (modality_of_name(f"part.{extension}") or kind) if kind == "blob" else kind


def parts(samples: pa.Table) -> list[PartFacts]:
    """All parts of rows with a column `parts`, by name and kind."""
    flat = flattened(samples)
    if not flat.num_rows:
        return []
    by = flat.group_by(["name", "kind", "extension"]).aggregate(
        [([], "count_all"), ("length", "sum"), ("offset", "count")]
    )
    rows = by.sort_by([("count_all", "descending"), ("extension", "ascending")]).to_pylist()
    made = []
    for name, kind in sorted({(row["name"], row["kind"]) for row in rows}):
        own = [row for row in rows if (row["name"], row["kind"]) == (name, kind)]
        n = sum(row["count_all"] for row in own)
        stored = sum(row["offset_count"] for row in own)
        extensions = tuple(row["extension"] for row in own)
        made.append(PartFacts(name, kind, n, sum(row["length_sum"] or 0 for row in own), extensions, n - stored))
    return made


def flattened(samples: pa.Table) -> pa.Table:
    """A row a part: `row` (of the sample), name, kind, extension, offset and length."""
    column = samples["parts"].combine_chunks()
    inner = pc.list_flatten(column)
    names = ("name", "kind", "extension", "offset", "length")
    columns = {name: pc.struct_field(inner, name) for name in names}
    return pa.table({"row": pc.list_parent_indices(column), **columns})


def holding(samples: pa.Table, kind: str) -> np.ndarray:
    """The rows that have a part of a kind: int64 [row]."""
    flat = flattened(samples)
    rows = flat.filter(pc.equal(flat["kind"], kind))["row"]
    return np.unique(np.asarray(rows.to_numpy(), np.int64))


def digests(samples: pa.Table) -> dict[str, pa.Array]:
    """The digest of each stored part, by part's name, a value a row; null where there is no such part."""
    column = samples["digests"].combine_chunks()
    keys, values = column.keys, column.items
    counts = np.diff(np.asarray(column.offsets.to_numpy()))
    counts = np.where(np.asarray(column.is_valid()), counts, 0)
    first = int(column.offsets[0].as_py()) if len(column) else 0
    owner = np.repeat(np.arange(len(column)), counts)
    found: dict[str, pa.Array] = {}
    keys, values = keys.slice(first, len(owner)), values.slice(first, len(owner))
    for name in pc.unique(keys).to_pylist():
        at = np.flatnonzero(pc.equal(keys, name).to_numpy(zero_copy_only=False))
        places = np.full(len(column), -1)
        places[owner[at]] = at
        found[name] = values.take(pa.array(places, mask=places < 0))
    return found
