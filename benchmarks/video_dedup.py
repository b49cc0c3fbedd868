"""Recall and precision of `NearVideo` on real films with planted copies, at its defaults, as a table; see dedup.py.

    .venv/bin/python benchmarks/video_dedup.py [--n 24]

The originals are clips of about 8 s out of Big Buck Bunny and out of what cameras saw (`films.py`); those of the street
all show the same place. Copies are made of them by each edit, encoded anew. No original counts as like another: a copy
in the cluster of any but its own is an error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import cv2
import numpy as np
from dedup import judged, said
from films import bunny, camera

from mmdata.clean.video import SplitEvery
from mmdata.codec.frames import h264_bytes
from mmdata.codec.video import DecodeFrames, OpenVideo
from mmdata.core.sample import Blob, Frames, Sample, Video
from mmdata.core.step import Drop
from mmdata.engine.watching import watch_alone
from mmdata.features.video import VideoFingerprint
from mmdata.select.dedup import NearVideo

CLIP_S, WORKING_PX = 8.0, 320


@dataclass
class Fingerprints:
    """`VideoFingerprint` for `dedup.stored`, which asks each step for one value's arrays; of originals once."""

    step: VideoFingerprint = field(default_factory=VideoFingerprint)
    known: dict[int, Any] = field(default_factory=dict)
    kept: list[Video] = field(default_factory=list)

    @property
    def into(self) -> str:
        return self.step.into

    def spec(self) -> Any:
        return self.step.spec()

    def extract(self, video: Video) -> Any:
        if id(video) not in self.known:
            self.known[id(video)] = watch_alone(self.step, video)
            self.kept.append(video)
        return self.known[id(video)]


def clips(n: int) -> list[Video]:
    """Clips of the films, as evenly as can be."""
    found: list[Video] = []
    for path in (bunny(), *camera()):
        sample = Sample(path.stem, {"video": OpenVideo().map(Blob.of(path.read_bytes(), name=path.name))})
        children = SplitEvery(length_s=CLIP_S, min_clip_s=4.0).split(sample)
        found += [] if isinstance(children, Drop) else [child.parts["video"] for child in children]  # type: ignore[misc]
    return [OpenVideo().map(Blob.of(clip.blob.data())) for clip in found[:: max(1, len(found) // n)][:n]]


@cache
def frames_of(video: Video) -> Frames:
    """An original's frames, small: 33 MB for each edit to begin with."""
    return DecodeFrames(size_px=WORKING_PX).map(video)


def made(change: Callable[[np.ndarray], np.ndarray], crf: int = 23, times: slice = slice(None)) -> Callable[..., Video]:
    """An edit: each frame changed, and all of them encoded as H.264."""

    def edit(video: Video, _: np.random.Generator) -> Video:
        frames = frames_of(video).rows(times)
        pixels = np.stack([np.ascontiguousarray(change(frame)) for frame in frames.pixels])
        return OpenVideo().map(Blob.of(h264_bytes(frames.changed(pixels), crf)))

    return edit


def sized(width: int, height: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda frame: np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA))


def barred(frame: np.ndarray) -> np.ndarray:
    """Black bars of a tenth of the height above and below."""
    bar = frame.shape[0] // 20 * 2
    return np.asarray(cv2.copyMakeBorder(frame, bar, bar, 0, 0, cv2.BORDER_CONSTANT))


def marked(frame: np.ndarray) -> np.ndarray:
    """A white mark in a corner."""
    frame = frame.copy()
    frame[8 : frame.shape[0] // 8, 8 : frame.shape[1] // 5] = 255
    return frame


def cropped(frame: np.ndarray) -> np.ndarray:
    """Five hundredths off each side."""
    y, x = frame.shape[0] // 20 // 2 * 2, frame.shape[1] // 20 // 2 * 2
    return frame[y:-y, x:-x]


MILD: dict[str, Any] = {
    "H.264, crf 38": made(lambda frame: frame, crf=38),
    "256 x 144": made(sized(256, 144)),
    "squeezed to 4:3": made(sized(320, 240)),
    "middle half cut out": lambda video, random: made(
        lambda frame: frame, times=slice(int(2 * video.fps), int(6 * video.fps))
    )(video, random),
    "a tenth darker": made(lambda frame: (frame * 0.9).astype(np.uint8)),
}
HARD: dict[str, Any] = {
    "a mark in a corner": made(marked),
    "black bars": made(barred),
    "5 % cropped off each side": made(cropped),
    "mirrored": made(lambda frame: frame[:, ::-1]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=24, help="originals")
    originals = clips(parser.parse_args().n)
    sys.stdout.write("| media | edit | mild | recall | precision | copies |\n|---|---|---|---|---|---|\n")
    steps, itself = (Fingerprints(),), np.eye(len(originals), dtype=bool)
    for name, recall, precision, n in judged(originals, steps, NearVideo(), {**MILD, **HARD}, itself):
        mild = "yes" if name in MILD else "no"
        sys.stdout.write(f"| video | {name} | {mild} | {recall:.3f} | {said(precision)} | {n} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
