"""Frames of a film that are kept as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Frames, Video
from mmdata.core.watch import View, Watch, Watching
from mmdata.errors import DecodeError
from mmdata.kernels import video as kernels
from mmdata.kernels.scenes import WORKING_PX, ContentValues, content_cuts

_MOST_CANDIDATES = 2048  # of a longer film, every second of them, every fourth...
_HISTOGRAM_PX = 64


@dataclass(frozen=True, kw_only=True)
class VideoFrames(Watch):
    """Frames of a film as one array: uint8 [time, row, column, channel], and when each is shown.

    The column "times_s" is float64 [time]. Pictures have the film's own proportions.

    Args:
        fps: frames a second of the grid; None is every frame. size_px: the longer side, at most; None is full size.
        keys_only: only frames that the codec stored whole, for which no others are decoded, whatever `fps` says.
        max_bytes: refuse films whose frames take more memory.

    Raises:
        DecodeError: they would.

    Reference:
        FFmpeg decodes, by PyAV; the grid of times is of mmdata.
    """

    extra: ClassVar[str | None] = "video"

    into: str = "video.frames"
    fps: Annotated[float, Gt(0)] | None = 1.0
    size_px: Annotated[int, Gt(0)] | None = 224
    keys_only: bool = False
    max_bytes: Annotated[int, Gt(0)] = 256 * 1024**2

    def spec(self) -> Mapping[str, ArraySpec]:
        pictures = ArraySpec(dims=("time", "row", "column", "channel"), sizes={"channel": 3}, dtype="uint8")
        return {"": pictures, "times_s": ArraySpec(dims=("time",), dtype="float64")}

    def view(self, video: Video) -> View:  # noqa: ARG002  every film alike
        return View(fps=None if self.keys_only else self.fps, size_px=self.size_px, keys_only=self.keys_only)

    def watch(self, video: Video) -> Watching:  # noqa: ARG002  what it sees is enough
        pixels, times_s = np.empty((0, 0, 0, 0), np.uint8), list[float]()
        while (frames := (yield)) is not None:
            n, more = len(times_s), len(frames.pixels)
            if (n + more) * frames.pixels[0].nbytes > self.max_bytes:
                at_s = frames.times_s[-1]
                raise DecodeError(f"its frames take more than {self.max_bytes:,} bytes up to {at_s:.1f} s: max_bytes")
            if n + more > len(pixels):
                kept, most = pixels[:n], self.max_bytes // frames.pixels[0].nbytes
                pixels = np.empty((min(most, 2 * (n + more)), *frames.pixels.shape[1:]), np.uint8)
                if n:
                    pixels[:n] = kept
            pixels[n : n + more] = frames.pixels
            times_s += frames.times_s.tolist()
        return {"": pixels[: len(times_s)], "times_s": np.array(times_s)}


@dataclass(frozen=True, kw_only=True)
class VideoKeyframes(Watch):
    """A few frames that stand for a film: thumbnails, uint8 [keyframe, row, column, channel], and when each is shown.

    The column "times_s" is float64 [keyframe], rising. Thumbnails are squeezed to squares, so that all films have the
    same shape. Frames are chosen from a grid; where that has more than 2,048, from every second of them, every fourth,
    and so on.

    Args:
        method: "distinct" takes the first frame, then always the one whose colours (histograms of a 4 x 4 grid) differ
            most from those taken; "representative" groups frames by the same histograms, and takes of each group the
            one nearest to its mean (k-means, as VSUMM: de Avila et al., 2011); "scene" the middles of the longest
            scenes (content cuts, as PySceneDetect); "codec" the frames that the codec stored whole, for which alone no
            others are decoded; "uniform" the middles of equal stretches.
        n: how many at most. Of more codec keyframes, an even choice is taken.
        fps: of the grid. size_px: side of a thumbnail.
        min_difference: "distinct" stops when no frame differs in a greater share of its pixels.
    """

    extra: ClassVar[str | None] = "video"

    into: str = "video.keyframes"
    method: Literal["distinct", "representative", "scene", "codec", "uniform"] = "representative"
    n: Annotated[int, Gt(0)] = 8
    fps: Annotated[float, Gt(0)] = 2.0
    size_px: Annotated[int, Gt(0)] = 64
    min_difference: Annotated[float, Ge(0), Le(1)] = 0.2

    def spec(self) -> Mapping[str, ArraySpec]:
        sizes = {"row": self.size_px, "column": self.size_px, "channel": 3}
        thumbnails = ArraySpec(dims=("keyframe", "row", "column", "channel"), sizes=sizes, dtype="uint8")
        return {"": thumbnails, "times_s": ArraySpec(dims=("keyframe",), dtype="float64")}

    def view(self, video: Video) -> View:  # noqa: ARG002  every film alike
        size_px = 2 * max(self.size_px, _HISTOGRAM_PX)
        if self.method == "codec":
            return View(size_px=size_px, keys_only=True)
        if self.method == "scene":
            return View(size_px=max(WORKING_PX, 2 * self.size_px), sampled=True)
        return View(fps=self.fps, size_px=size_px)

    def watch(self, video: Video) -> Watching:  # noqa: ARG002  what it sees is enough
        by_colours = self.method in ("distinct", "representative")
        candidates, content = Candidates(self.size_px, by_colours), ContentValues() if self.method == "scene" else None
        all_times_s, next_s = [np.empty(0)], -np.inf
        while (frames := (yield)) is not None:
            if content is None:
                candidates.add(frames)
                continue
            content.add(frames.pixels)
            all_times_s.append(frames.times_s)
            for at, time_s in enumerate(frames.times_s.tolist()):
                if time_s >= next_s:
                    candidates.add(Frames(frames.pixels[at : at + 1], frames.times_s[at : at + 1], frames.is_key[:1]))
                    next_s = time_s + 0.999 / self.fps
        times_s = np.array(candidates.times_s)
        if content is not None:
            chosen = _middles(content.values, np.concatenate(all_times_s), times_s, self.n)
        else:
            chosen = self._choose(candidates)
        return {"": candidates.pictures(chosen), "times_s": times_s[chosen]}

    def _choose(self, candidates: Candidates) -> np.ndarray:
        if self.method == "distinct":
            return kernels.most_distinct(candidates.colours(), n=self.n, min_distance=self.min_difference)
        if self.method == "representative":
            return kernels.representatives(candidates.colours(), n=self.n)
        return kernels.evenly(len(candidates.times_s), self.n)


@dataclass(frozen=True, kw_only=True)
class ThumbnailStrip(Watch):
    """A film in one row of small pictures: uint8 [row, column, channel], the middles of equal stretches, left to right.

    The column "times_s" is float64 [picture], when each is shown; each is `columns / pictures` wide. Films that last
    for less than a few frames have fewer.

    Args:
        n: how many pictures. size_px: the longer side of each.
        keys_only: take the frames that the codec stored whole, for which no others are decoded: the ones that lie in
            the middles of equal stretches of them.

    Reference:
        FFmpeg decodes, by PyAV; the choice of frames is of mmdata.
    """

    extra: ClassVar[str | None] = "video"

    into: str = "video.strip"
    n: Annotated[int, Gt(0)] = 10
    size_px: Annotated[int, Gt(0)] = 128
    keys_only: bool = False

    def spec(self) -> Mapping[str, ArraySpec]:
        strip = ArraySpec(dims=("row", "column", "channel"), sizes={"channel": 3}, dtype="uint8")
        return {"": strip, "times_s": ArraySpec(dims=("picture",), dtype="float64")}

    def view(self, video: Video) -> View:
        if self.keys_only or video.duration_s <= 0:
            return View(size_px=self.size_px, keys_only=self.keys_only)
        return View(fps=2 * self.n / video.duration_s, size_px=self.size_px)

    def watch(self, video: Video) -> Watching:
        candidates = Candidates()
        while (frames := (yield)) is not None:
            candidates.add(frames)
        n_seen = len(candidates.times_s)
        on_grid = not self.keys_only and video.duration_s > 0 and n_seen >= 2 * self.n
        chosen = 2 * np.arange(self.n) + 1 if on_grid else kernels.evenly(n_seen, self.n)
        times_s = np.array(candidates.times_s)[chosen]
        return {"": np.concatenate(candidates.pictures(chosen), axis=1), "times_s": times_s}


@dataclass
class Candidates:
    """Frames to choose from: small pictures of them, their colours and times, of a number that is bounded.

    Args:
        size_px: side of the squares that they are squeezed to; None leaves them as they are.
        with_colours: whether histograms are wanted.
    """

    size_px: int | None = None
    with_colours: bool = False
    times_s: list[float] = field(default_factory=list)
    _pixels: list[np.ndarray] = field(default_factory=list)
    _histograms: list[np.ndarray] = field(default_factory=list)
    _stride: int = 1
    _n_seen: int = 0

    def add(self, frames: Frames) -> None:
        for at in range(len(frames.pixels)):
            if self._n_seen % self._stride == 0:
                self._add(frames.pixels[at], float(frames.times_s[at]))
            self._n_seen += 1

    def _add(self, pixels: np.ndarray, time_s: float) -> None:
        small = pixels.copy() if self.size_px is None else kernels.thumbnail(pixels, size_px=self.size_px)
        self._pixels.append(small)
        self.times_s.append(time_s)
        if self.with_colours:
            self._histograms.append(kernels.color_histograms(pixels[None])[0])
        if len(self.times_s) > _MOST_CANDIDATES:
            self._stride *= 2
            self._pixels, self._histograms, self.times_s = self._pixels[::2], self._histograms[::2], self.times_s[::2]

    def colours(self) -> np.ndarray:
        """Histograms: float32 [frame, cell and colour]."""
        return np.stack(self._histograms)

    def pictures(self, chosen: np.ndarray) -> np.ndarray:
        """uint8 [chosen, row, column, channel]."""
        return np.stack([self._pixels[index] for index in chosen])


def _middles(values: np.ndarray, times_s: np.ndarray, candidates_s: np.ndarray, n: int) -> np.ndarray:
    """The candidates nearest to the middles of the n longest scenes: int64, rising."""
    cuts = content_cuts(values)
    bounds_s = np.concatenate([times_s[:1], times_s[cuts], times_s[-1:]])
    longest = np.sort(np.argsort(-np.diff(bounds_s), kind="stable")[:n])
    middles_s = (bounds_s[longest] + bounds_s[longest + 1]) / 2
    return np.unique(np.abs(candidates_s[None] - middles_s[:, None]).argmin(axis=1))
