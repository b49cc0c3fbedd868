"""Columns of media: where each row's bytes lie, held a window at a time; they are read when a batch is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Audio, Frames
from mmdata.core.step import Step
from mmdata.loader.decoding import SPECS, Decoding
from mmdata.loader.tars import Fetch, Place

if TYPE_CHECKING:
    import pyarrow as pa

ROW_BYTES = 400.0  # about what a window holds of a row: a place, a key and a pointer


@dataclass(frozen=True, eq=False)
class MediaSettings:
    """How media are streamed.

    Args:
        steps: by column, what is done with what was decoded; a decoder may stand first.
        seed: of random steps and of replacements.
        max_consecutive_bad: most samples in a row that may be bad: one, and those that should take its place.
        check_digests: compare each file of a local store with the log before its first use.
        fetch: reads parts that are in their source only.
    """

    steps: Mapping[str, Sequence[Step]] = field(default_factory=dict)
    seed: int = 0
    max_consecutive_bad: int = 16
    check_digests: bool = False
    fetch: Fetch | None = None


@dataclass(frozen=True)
class Medium:
    """A part of samples, as what it shows or as its bytes.

    NAME is [batch, *axes] as the spec says, NAME.length the true sizes where axes vary, NAME.mask bool [batch]; of
    sound, NAME.rate_hz is int64 [batch], samples a second; of films, NAME.times_s is float64 [batch, time], when each
    frame is shown. Of bytes, NAME is a list of bytes or None.

    Args:
        name: as it was asked for. part: its name in samples.
        decoding: what is done with the bytes; None gives them as they are.
    """

    name: str
    part: str
    decoding: Decoding | None
    family: str = "samples"
    fields: tuple[str, ...] = ("key", "parts", "digests", "tar")

    @property
    def spec(self) -> ArraySpec | None:
        return None if self.decoding is None else self.decoding.spec

    @property
    def is_sound(self) -> bool:
        """Whether it has a rate: samples over time."""
        how = self.decoding
        return how is not None and how.kind is Audio and how.spec.dims == ("channel", "time")

    @property
    def is_film(self) -> bool:
        """Whether it is made of a film's frames."""
        return self.decoding is not None and self.decoding.kind is Frames

    @property
    def times(self) -> ArraySpec | None:
        """The form of the times at which its frames are shown; None where it has no frames, or features of them."""
        if not self.is_film or self.spec is None or self.spec.dims != SPECS[Frames].dims:
            return None
        sizes = {"time": self.spec.sizes["time"]} if "time" in self.spec.sizes else {}
        return ArraySpec(dims=("time",), sizes=sizes, dtype="float64")

    def hold(self, n_rows: int) -> MediumRows:
        return MediumRows(self.part, n_rows)


class MediumRows:
    """The place of each row's part; of many rows or none."""

    def __init__(self, part: str, n_rows: int) -> None:
        self._part = part
        self._keys = np.empty(n_rows, object)
        self._tars = np.empty(n_rows, object)
        self._pointers = np.full(n_rows, "", object)
        self._digests = np.full(n_rows, "", object)
        self._offsets = np.full(n_rows, -1, np.int64)
        self._lengths = np.full(n_rows, -1, np.int64)

    def put(self, part: int, first: int, rows: pa.Table) -> None:  # noqa: ARG002  the place says it all
        import pyarrow as pa
        import pyarrow.compute as pc

        here = slice(first, first + rows.num_rows)
        self._keys[here] = rows.column("key").to_pylist()
        self._tars[here] = rows.column("tar").to_pylist()
        if "digests" in rows.column_names:  # older files have none
            digests = pc.map_lookup(rows.column("digests"), query_key=self._part, occurrence="first")
            self._digests[here] = pc.fill_null(digests, pa.scalar("", pa.string())).to_pylist()
        lists = rows.column("parts").chunk(0)
        flat = lists.flatten()
        is_mine = pc.equal(pc.struct_field(flat, "name"), self._part)
        at = first + np.asarray(pc.list_parent_indices(lists).filter(is_mine))
        mine = flat.filter(is_mine)
        self._lengths[at] = pc.struct_field(mine, "length").to_numpy(zero_copy_only=False)
        offsets = pc.struct_field(mine, "offset")
        self._offsets[at] = offsets.fill_null(-1).to_numpy(zero_copy_only=False)
        if offsets.null_count:
            pointers = pc.struct_field(mine, "pointer")
            self._pointers[at] = pc.fill_null(pointers, pa.scalar("", pa.string())).to_pylist()

    def only(self, rows: np.ndarray) -> None:  # noqa: ARG002  any row may have to stand in for a bad one
        return None

    def key(self, row: int) -> str:
        """A row's key."""
        return str(self._keys[row])

    def place(self, row: int) -> Place | None:
        """Where a row's part lies; None where it has none."""
        length = int(self._lengths[row])
        if length < 0:
            return None
        offset = int(self._offsets[row])
        tar = self._tars[row] if offset >= 0 else ""
        return Place(self._keys[row], self._part, tar, offset, length, self._pointers[row], self._digests[row])
