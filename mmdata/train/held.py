"""A small split kept in memory: read once, then given in the very order and form in which its stream would give it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mmdata.loader.order import PlanOrder
from mmdata.loader.stream import Stream

HELD_BYTES = 256 << 20  # what a run may keep of each of its splits
Rows = Tensor | list[Tensor] | list[str | None]


def held(stream: Stream, *, max_bytes: int = HELD_BYTES) -> Stream | HeldStream:
    """The stream in memory where it fits the bound, itself otherwise."""
    return HeldStream(stream) if stream.n_rows * stream.contents.row_bytes <= max_bytes else stream


class HeldStream:
    """What a stream gives, without reading twice. It shares the stream's place and its states.

    Args:
        stream: of one rank, which keeps the rows of all, with "short" or "drop" for a tail. Features vary along their
            first axis at most.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._rows: Mapping[str, Rows] | None = None
        counts = [len(chunk.rows) for chunk in stream.contents.chunks]
        self._starts = np.cumsum([0, *counts[:-1]])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        stream = self.stream
        if self._rows is None:
            self._rows = _read(stream)
        epoch = stream.epoch
        chunks, rows = stream.plan.epoch(epoch).sequence()
        places = self._starts[chunks] + rows
        for step in range(stream.step, stream.n_steps):
            runs = [run for run in stream.plan.share(step, rank=stream.rank, world=stream.world) if run.real]
            chosen = np.concatenate([places[:0], *(places[run.start : run.stop] for run in runs)])
            stream.step = step + 1
            yield _batch(self._rows, chosen)
        stream.seek(epoch=epoch + 1)

    @property
    def n_steps(self) -> int:
        """As the stream's."""
        return self.stream.n_steps

    def seek(self, *, epoch: int, step: int = 0) -> None:
        """As the stream's."""
        self.stream.seek(epoch=epoch, step=step)

    def state_dict(self) -> dict[str, Any]:
        """As the stream's."""
        return self.stream.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As the stream's."""
        self.stream.load_state_dict(state)


def _read(stream: Stream) -> dict[str, Rows]:
    """All rows in stored order; what varies in length stays a list, as its longest might be far longer than most."""
    stored = Stream(
        [stream.contents],
        PlanOrder(replace(stream.plan, shuffle=False, tail="short", weights=None)),
        rank=0,
        world=1,
        epoch=0,
        threads=1,
        max_bytes=1 << 62,  # it fits: that was asked before
        output="torch",
    )
    pieces: dict[str, list[Any]] = {}
    for batch in stored:
        lengths = {name: batch.get(f"{name}.length") for name in batch}
        for name, values in batch.items():
            pieces.setdefault(name, []).append(_unpadded(values, lengths[name]))
    return {name: _joined(parts) for name, parts in pieces.items()}


def _unpadded(values: Tensor | list[str | None], length: Tensor | None) -> Rows:
    if length is None or isinstance(values, list):
        return values
    return [row[:n].clone() for row, n in zip(values, length.tolist(), strict=True)]


def _joined(parts: list[Any]) -> Rows:
    return torch.cat(parts) if isinstance(parts[0], Tensor) else [row for part in parts for row in part]


def _batch(columns: Mapping[str, Rows], chosen: np.ndarray) -> dict[str, Any]:
    index = torch.from_numpy(chosen)
    batch: dict[str, Any] = {}
    for name, rows in columns.items():
        if isinstance(rows, Tensor):
            batch[name] = rows[index]
        elif f"{name}.length" in columns:
            batch[name] = _padded([rows[place] for place in chosen], rows[0])
        else:
            batch[name] = [rows[place] for place in chosen]
    return batch


def _padded(rows: list[Any], like: Any) -> Tensor:
    """[batch, time, ...], as long as the longest, and at least 1; of the form of `like` where there is no row."""
    padded = pad_sequence(rows or [like[:0]], batch_first=True)[: len(rows)]
    return padded if padded.shape[1] else padded.new_zeros((len(rows), 1, *padded.shape[2:]))
