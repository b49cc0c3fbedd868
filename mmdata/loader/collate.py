"""Rows of windows to one batch: every column of the same rows, as arrays of numpy or tensors of torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mmdata.loader.columns import Batch, Column
from mmdata.loader.order import Taken
from mmdata.loader.reader import WindowReader

Output = Literal["numpy", "torch"]


@dataclass(frozen=True)
class Collator:
    """Makes batches.

    Args:
        columns: what a batch holds. output: arrays of numpy, or tensors of torch.
        marks_real: give the batch `real`, bool [batch], False for rows that fill up.
    """

    columns: tuple[Column, ...]
    output: Output
    marks_real: bool

    def __call__(self, taken: Sequence[Taken], windows: WindowReader) -> dict[str, Any]:
        pieces = [windows.pieces(one.window, one.places) for one in taken]
        batch: Batch = {}
        for column in self.columns:
            batch.update(column.batch([piece[column.name] for piece in pieces]))
        if self.marks_real:
            batch["real"] = np.repeat([one.real for one in taken], [len(one.places) for one in taken])
        return self._finished(batch)

    def _finished(self, batch: Batch) -> dict[str, Any]:
        if self.output == "numpy":
            return dict(batch)
        import torch

        return {
            name: torch.from_numpy(values) if isinstance(values, np.ndarray) else values
            for name, values in batch.items()
        }
