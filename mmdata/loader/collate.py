"""Rows of windows to one batch: every column of the same rows, as arrays of numpy or tensors of torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import numpy as np

from mmdata.loader.assembling import Decoders, Held, MediaBatch
from mmdata.loader.columns import Column, Fixed, Gathered, Piece, together
from mmdata.loader.media import Medium
from mmdata.loader.order import Taken, WindowId
from mmdata.loader.reader import WindowReader
from mmdata.loader.replacing import Replaced

if TYPE_CHECKING:
    import torch

Output = Literal["numpy", "torch"]


@dataclass(frozen=True, eq=False)
class Made:
    """A batch.

    Args:
        batch: arrays and lists by name. replaced: the samples that it should have held, and does not.
        n_bytes: of its arrays, and of media given as bytes.
    """

    batch: dict[str, Any]
    replaced: tuple[Replaced, ...] = ()
    n_bytes: int = 0


@dataclass(frozen=True, eq=False)
class Begun:
    """A batch whose rows are there, or are being decoded."""

    taken: Sequence[Taken]
    windows: Sequence[Held]
    media: MediaBatch | None


class Pieces(Protocol):
    """Rows by window."""

    def pieces(self, window: WindowId, places: np.ndarray) -> dict[str, Piece]:
        """The rows at some places of a window, by column."""


@dataclass(frozen=True, eq=False)
class _Whole:
    """A window of rows, none of which stands in for another."""

    windows: Pieces
    window: WindowId
    n_rows: int = 0

    def pieces(self, places: np.ndarray) -> dict[str, Piece]:
        return self.windows.pieces(self.window, places)


@dataclass(frozen=True)
class Collator:
    """Makes batches.

    Args:
        columns: what a batch holds. output: arrays of numpy, or tensors of torch.
        marks_real: give the batch `real`, bool [batch], False for rows that fill up.
        marks_part: give the batch `part`, int64 [batch], which part of the data each row is of.
        pin: put tensors where a GPU can fetch them by itself; where there is none, they stay where they are.
    """

    columns: tuple[Column, ...]
    output: Output
    marks_real: bool
    marks_part: bool = False
    pin: bool = False

    @property
    def media(self) -> tuple[Medium, ...]:
        """The columns that are decoded."""
        return tuple(column for column in self.columns if isinstance(column, Medium))

    def __call__(self, taken: Sequence[Taken], windows: Pieces, decoders: Decoders | None = None) -> dict[str, Any]:
        """A batch of rows that are there, made in one go; a bad one is not replaced. Raises as `finish` does."""
        held = [_Whole(windows, one.window) for one in taken]
        return self.finish(Begun(taken, held, None if decoders is None else decoders.begin(taken, held))).batch

    def begin(self, taken: Sequence[Taken], windows: WindowReader, decoders: Decoders | None) -> Begun:
        """Have a batch's media decoded, once its windows say where they lie."""
        held = [windows.window(one.window) for one in taken]
        return Begun(taken, held, None if decoders is None else decoders.begin(taken, held))

    def finish(self, begun: Begun, change: Callable[[dict[str, Any]], None] | None = None) -> Made:
        """The batch, after a change in place if there is one. Raises what reading and decoding raised."""
        arrays, replaced = ({}, []) if begun.media is None else begun.media.finish()
        places = [one.places for one in begun.taken] if begun.media is None else begun.media.places
        pieces = [window.pieces(rows) for window, rows in zip(begun.windows, places, strict=True)]
        fixed = [column.name for column in self.columns if isinstance(column, Fixed)]
        batch: dict[str, Any] = {**together({name: [piece[name] for piece in pieces] for name in fixed})}
        for column in self.columns:
            if not isinstance(column, Medium | Fixed):
                batch.update(cast(Gathered, column).batch([piece[column.name] for piece in pieces]))
        batch.update(arrays)
        if self.marks_real:
            batch["real"] = np.repeat([one.real for one in begun.taken], [len(one.places) for one in begun.taken])
        if self.marks_part:
            parts = np.array([one.window.part for one in begun.taken], np.int64)
            batch["part"] = np.repeat(parts, [len(one.places) for one in begun.taken])
        if change is not None:
            change(batch)
        n_bytes = sum(values.nbytes for values in batch.values() if isinstance(values, np.ndarray))
        n_bytes += begun.media.n_raw_bytes if begun.media is not None else 0
        return Made(self._finished(batch), tuple(replaced), n_bytes)

    def _finished(self, batch: dict[str, Any]) -> dict[str, Any]:
        if self.output == "numpy":
            return batch
        import torch

        pin = self.pin and torch.cuda.is_available()
        return {
            name: _tensor(torch.from_numpy(values), pin=pin) if isinstance(values, np.ndarray) else values
            for name, values in batch.items()
        }


def _tensor(values: torch.Tensor, *, pin: bool) -> torch.Tensor:
    return values.pin_memory() if pin else values
