"""Frames made larger, or better, by a network of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt

from mmdata.codec.limits import MIB, within
from mmdata.core.sample import Frames
from mmdata.core.step import Drop, Map
from mmdata.errors import DataError
from mmdata.features.embed.network import ONNX, Network, batches_alone, digest_of_network, load, path_of, ports
from mmdata.kernels.image.color import as_array

SCALES = {"unit": (0.0, 1 / 255), "signed": (-1.0, 2 / 255), "levels": (0.0, 1.0)}


@dataclass(frozen=True, kw_only=True)
class EnlargeFrames(Map[Frames, Frames]):
    """Send each frame through a network of yours: super-resolution, deblurring, restoration.

    The network takes float32 [frame, channel, row, column] and gives the same with sides k times as large, for a whole
    number k, which may be 1. It is loaded once a process and runs on the processor. Where its file takes any size,
    edges are repeated until rows and columns are multiples of `multiple_px`, and cut again.

    Args:
        model: a file of ONNX (.onnx), or of torch.export (.pt2) where `trusted` is set: torch runs code that stands in
            the latter. It is part of the fingerprint by its digest.
        scale: what the network takes and gives: 0 to 1 ("unit"), -1 to 1 ("signed"), or 0 to 255 ("levels").
        planes: "rgb"; or "luma" alone, of BT.601, where the network has one channel: colours are enlarged by cubics.
        batch: frames that go through at once, where the network takes several.
        max_bytes: refuse frames that would take more memory.

    Reference:
        The model's own.

    Raises:
        ConfigError: the file is not there, is damaged, or is not trusted.
        DataError: the frames are not of the size that the network takes. DecodeError: they would become too large.
    """

    extra: ClassVar[str | None] = "models"

    on: str = "frames"
    model: str
    trusted: bool = False
    scale: Literal["unit", "signed", "levels"] = "unit"
    planes: Literal["rgb", "luma"] = "rgb"
    multiple_px: Annotated[int, Gt(0)] = 1
    batch: Annotated[int, Ge(1)] = 4
    max_bytes: Annotated[int, Gt(0)] = 2048 * MIB

    def settings(self) -> dict[str, Any]:
        """The fields, with a digest of the file in place of its name."""
        found = {**super().settings(), "model": digest_of_network(self.model, trusted=self.trusted)}
        del found["trusted"]
        return found

    def map(self, frames: Frames) -> Frames | Drop:
        if not frames.pixels.size:
            return frames
        network = _network(self.model, self.trusted, digest_of_network(self.model, trusted=self.trusted))
        made: np.ndarray | None = None
        at = 0
        for larger in self._through(network, frames.pixels):
            if made is None:
                whole = len(frames.pixels) * larger[:1].nbytes
                within("bytes of frames once enlarged", whole, "max_bytes", self.max_bytes)
                made = np.empty((len(frames.pixels), *larger.shape[1:]), np.uint8)
            made[at : at + len(larger)] = larger
            at += len(larger)
        if made is None:
            return frames
        height, width = frames.pixels.shape[1:3]
        space_map = frames.space_map.resized(from_size=(width, height), to_size=(made.shape[2], made.shape[1]))
        return frames.changed(made, space_map=space_map if made.shape[1:3] != (height, width) else None)

    def _through(self, network: Network, pixels: np.ndarray) -> Iterator[np.ndarray]:
        """The frames as the network gives them, some at a time: uint8 [time, row, column, channel]."""
        names, output, together, fixed = self._ports()
        rows, columns = pixels.shape[1:3]
        if fixed is not None and fixed != (rows, columns):
            raise DataError(f"{self.model} takes frames of {fixed[1]} x {fixed[0]} pixels, not of {columns} x {rows}")
        shift, step = SCALES[self.scale]
        multiple = 1 if fixed else self.multiple_px
        edges = ((0, 0), (0, 0), (0, -rows % multiple), (0, -columns % multiple))
        for first in range(0, len(pixels), together):
            part = pixels[first : first + together]
            planes = _luma(part) if self.planes == "luma" else part.transpose(0, 3, 1, 2)
            given = np.pad(planes, edges, mode="edge").astype(np.float32) * np.float32(step) + np.float32(shift)
            found = np.asarray(network.run({names: np.ascontiguousarray(given, np.float32)}, output), np.float32)
            k = self._factor(given.shape, found.shape)
            levels = (found[:, :, : rows * k, : columns * k] - np.float32(shift)) / np.float32(step)
            larger = np.clip(np.rint(np.nan_to_num(levels)), 0, 255).astype(np.uint8)
            yield _colored(part, larger[:, 0]) if self.planes == "luma" else larger.transpose(0, 2, 3, 1)

    def _factor(self, given: tuple[int, ...], found: tuple[int, ...]) -> int:
        k = found[2] // given[2] if len(found) == 4 else 0
        if k < 1 or found != (*given[:2], given[2] * k, given[3] * k):
            raise ValueError(f"{self.model}: frames of {given} came out as {found}; expected sides k times as large")
        return k

    def _ports(self) -> tuple[str, str, int, tuple[int, int] | None]:
        """The names of input and output, how many frames go at once, and rows and columns that the file insists on."""
        if path_of(self.model, trusted=self.trusted).suffix != ONNX:
            return "frames", "", self.batch, None
        inputs, outputs = ports(self.model)
        rows, columns = (*inputs[0].shape, None, None)[2:4]
        fixed = None if rows is None or columns is None else (rows, columns)
        return inputs[0].name, outputs[0].name, 1 if batches_alone(inputs[0]) else self.batch, fixed


@lru_cache(maxsize=2)
def _network(model: str, trusted: bool, _digest: str) -> Network:
    """The network, once a process; again where its file has changed."""
    return load(model, "cpu", trusted=trusted)


def _luma(pixels: np.ndarray) -> np.ndarray:
    """uint8 [time, 1, row, column] of RGB or grey frames."""
    import cv2

    if pixels.shape[3] == 1:
        return pixels.transpose(0, 3, 1, 2)
    return np.stack([as_array(cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb))[None, ..., 0] for frame in pixels])


def _colored(pixels: np.ndarray, luma: np.ndarray) -> np.ndarray:
    """Frames with another luma, uint8 [time, row, column], and their own colours at its size."""
    import cv2

    if pixels.shape[3] == 1:
        return luma[..., None]
    size = luma.shape[2], luma.shape[1]
    made = []
    for frame, levels in zip(pixels, luma, strict=True):
        colors = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb), size, interpolation=cv2.INTER_CUBIC)
        made.append(as_array(cv2.cvtColor(np.dstack([levels, as_array(colors)[..., 1:]]), cv2.COLOR_YCrCb2RGB)))
    return np.stack(made)
