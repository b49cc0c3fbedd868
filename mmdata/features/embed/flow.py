"""Optical flow by a network of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Frames
from mmdata.core.step import BatchExtract
from mmdata.features.embed.network import ONNX, Network, digest_of_network, load, path_of, ports
from mmdata.features.embed.weights import unusable
from mmdata.features.video import OpticalFlow, summed_up
from mmdata.kernels.image import resize

PAIRS = 16  # that go through at once
SCALES = {"unit": (0.0, 1 / 255), "signed": (-1.0, 2 / 255), "levels": (0.0, 1.0)}


@dataclass(frozen=True, kw_only=True)
class LearnedFlow(BatchExtract[Frames]):
    """The columns of `features.video.OpticalFlow`, by a network such as RAFT: float32 [pair, row, column, xy].

    The network takes two batches of frames, float32 [pair, channel, row, column], and gives float32 [pair, xy, row,
    column]: where each pixel of the first goes, in pixels right and down. Frames are resized to what the file says; of
    a file that takes any size, edges are repeated until rows and columns are multiples of `multiple_px`.

    Args:
        model: a file of ONNX (.onnx), or of torch.export (.pt2) where `trusted` is set: torch runs code that stands in
            the latter.
        scale: what the network wants of pixels: 0 to 1 ("unit"), -1 to 1 ("signed"), or 0 to 255 ("levels").
        n_rows, n_columns: the grid. n_bins: directions.

    Reference:
        The network's own, by ONNX Runtime or torch. RAFT: Teed and Deng, "Recurrent All-Pairs Field Transforms for
        Optical Flow" (ECCV 2020).
    """

    extra: ClassVar[str | None] = "models"

    on: str = "frames"
    into: str = "frames.flow"
    model: str
    trusted: bool = False
    scale: Literal["unit", "signed", "levels"] = "unit"
    multiple_px: Annotated[int, Gt(0)] = 8
    n_rows: Annotated[int, Gt(0)] = 8
    n_columns: Annotated[int, Gt(0)] = 8
    n_bins: Annotated[int, Ge(1)] = 8

    def settings(self) -> dict[str, Any]:
        """The fields, with a digest of the file in place of its name."""
        found = {**super().settings(), "model": digest_of_network(self.model, trusted=self.trusted)}
        del found["trusted"]
        return found

    def spec(self) -> Mapping[str, ArraySpec]:
        if len(self._names()) != 2:
            raise unusable(self.model, f"expected a network of two inputs, not {self._names()}")
        return OpticalFlow(n_rows=self.n_rows, n_columns=self.n_columns, n_bins=self.n_bins).spec()

    def _names(self) -> tuple[str, ...]:
        is_onnx = path_of(self.model, trusted=self.trusted).suffix == ONNX
        return tuple(port.name for port in ports(self.model)[0]) if is_onnx else ("before", "after")

    def _fixed(self) -> tuple[int, int] | None:
        """Rows and columns that the file insists on."""
        if path_of(self.model, trusted=self.trusted).suffix != ONNX:
            return None
        rows, columns = (*ports(self.model)[0][0].shape, None, None)[2:4]
        return None if rows is None or columns is None else (rows, columns)

    def load(self, device: str) -> Network:
        return load(self.model, device, trusted=self.trusted)

    def cost(self, prepared: Frames) -> int:
        return max(1, prepared.pixels.size // 3)

    def extract(self, model: Network, prepared: Sequence[Frames]) -> Sequence[Mapping[str, np.ndarray]]:
        sizes = {"n_rows": self.n_rows, "n_columns": self.n_columns, "n_bins": self.n_bins}
        return [summed_up(self._flows(model, frames.pixels), frames, **sizes) for frames in prepared]

    def _flows(self, model: Network, pixels: np.ndarray) -> Iterator[np.ndarray]:
        """Float32 [row, column, xy] of each pair, in pixels of the frames as they are."""
        if len(pixels) < 2:
            return
        rows, columns = pixels.shape[1:3]
        inputs = self._inputs(pixels)
        fit = np.array([columns / inputs.shape[3], rows / inputs.shape[2]] if self._fixed() else [1, 1], np.float32)
        output = self._output()
        for first in range(0, len(inputs) - 1, PAIRS):
            last = min(first + PAIRS, len(inputs) - 1)
            pairs = zip(self._names(), (inputs[first:last], inputs[first + 1 : last + 1]), strict=True)
            flows = np.asarray(model.run(dict(pairs), output), np.float32)
            if flows.shape != (last - first, 2, *inputs.shape[2:]):
                raise ValueError(f"{self.model}: flow of {inputs.shape[2:]} pixels came out as {flows.shape}")
            for flow in flows.transpose(0, 2, 3, 1):
                cut = flow if self._fixed() else flow[:rows, :columns]
                yield np.ascontiguousarray(cut * fit)

    def _output(self) -> str:
        is_onnx = path_of(self.model, trusted=self.trusted).suffix == ONNX
        return ports(self.model)[1][-1].name if is_onnx else ""  # networks that refine give their best one last

    def _inputs(self, pixels: np.ndarray) -> np.ndarray:
        """Frames as the network takes them: float32 [time, channel, row, column]."""
        if fixed := self._fixed():
            pixels = np.stack([resize(frame, width=fixed[1], height=fixed[0]) for frame in pixels])
        rows, columns = pixels.shape[1:3]
        more = (-rows % self.multiple_px, -columns % self.multiple_px) if fixed is None else (0, 0)
        padded = np.pad(pixels, ((0, 0), (0, more[0]), (0, more[1]), (0, 0)), mode="edge")
        shift, step = SCALES[self.scale]
        return np.ascontiguousarray(padded.transpose(0, 3, 1, 2).astype(np.float32) * step + shift, np.float32)
