"""Films in a stream: which of their frames are decoded, in how much memory, and steps on each of their pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import ceil
from threading import Condition
from typing import Any

import numpy as np

from mmdata.codec.video import DecodeFrames
from mmdata.core.sample import Frames, Image, Video
from mmdata.core.step import Drop, Map, RandomMap, Step
from mmdata.errors import ConfigError, StepError

MIB = 1 << 20


class Room:
    """Memory that threads share: who wants more than is free waits until others are done.

    Args:
        n_bytes: how much there is. what: what it is for, in messages.
    """

    def __init__(self, n_bytes: int, what: str) -> None:
        self.n_bytes, self._what = n_bytes, what
        self._free = n_bytes
        self._changed = Condition()

    @contextmanager
    def taken(self, n_bytes: int, key: str) -> Iterator[None]:
        """Hold so much while a sample is made. Raises ConfigError when there never is as much."""
        if n_bytes > self.n_bytes:
            raise ConfigError(
                "stream",
                [
                    f"max_bytes: the {self._what} of {key!r} takes {n_bytes / MIB:,.1f} MiB, its share of max_bytes "
                    f"is {self.n_bytes / MIB:,.1f}: take fewer or smaller frames (DecodeClip(n_frames=..., "
                    f"size_px=...)), a decoder that refuses such films (OpenVideo(max_bytes=...)), or more max_bytes"
                ],
            )
        with self._changed:
            self._changed.wait_for(lambda: self._free >= n_bytes)
            self._free -= n_bytes
        try:
            yield
        finally:
            with self._changed:
                self._free += n_bytes
                self._changed.notify_all()


def with_frames(steps: Sequence[Step]) -> list[Step]:
    """The steps on a film with the one that decodes its frames, which is `DecodeFrames` where none is given."""
    at = next((number for number, step in enumerate(steps) if step.takes is not Video), len(steps))
    if any(step.gives is Frames for step in steps[:at]):
        return list(steps)
    return [*steps[:at], DecodeFrames(), *steps[at:]]


def frames_bytes(step: Step, video: Video) -> int:
    """About how much memory a film's frames take, by what its container says of it."""
    counted: Callable[[Video], int] | None = getattr(step, "n_bytes", None)
    if counted is not None:
        return int(counted(video))
    longest = max(video.width, video.height)
    shrink = min(1.0, (getattr(step, "size_px", None) or longest) / longest)
    n_frames = max(1, ceil(video.duration_s * (getattr(step, "fps", None) or video.fps)))
    return n_frames * max(1, round(video.width * shrink)) * max(1, round(video.height * shrink)) * 3


def bounded(step: Step, n_bytes: int) -> Step:
    """A step that decodes frames, and refuses films that turn out larger than their container said."""
    known: Any = step
    return replace(known, max_bytes=min(known.max_bytes, n_bytes)) if isinstance(step, DecodeFrames) else step


def on_each(step: Step, frames: Frames, rng: Callable[[], np.random.Generator]) -> Frames | Drop:
    """A step on pictures done to each of a film's.

    Args:
        step: a `Map` or `RandomMap` of pictures.
        frames: what is changed.
        rng: makes a generator, the same each time: all pictures of a film are changed alike.

    Raises:
        StepError: pictures came out of different sizes.
    """
    made: list[np.ndarray] = []
    for pixels in frames.pixels:
        image = Image(pixels, space_map=frames.space_map)
        result: Any = step.map(image, rng()) if isinstance(step, RandomMap) else _mapped(step, image)
        if isinstance(result, Drop):
            return result
        if made and result.pixels.shape != made[0].shape:
            raise StepError(
                f"{step.name} gives pictures of different sizes ({made[0].shape}, {result.pixels.shape}) for the "
                f"frames of one film: take a step whose size hangs on no content"
            )
        made.append(result.pixels)
    return frames.changed(np.stack(made), space_map=result.space_map) if made else frames


def _mapped(step: Step, image: Image) -> Image | Drop:
    if not isinstance(step, Map):
        raise TypeError(f"{step.name} does not change pictures")
    result: Image | Drop = step.map(image)
    return result
