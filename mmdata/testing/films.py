"""Films whose motion and cuts are known."""

from __future__ import annotations

import numpy as np

from mmdata.core.sample import Frames
from mmdata.testing.pictures import drift, shape


def moving_shapes(
    n_frames: int = 8,
    width: int = 160,
    height: int = 120,
    *,
    fps: float = 8.0,
    camera_px: tuple[float, float] = (0.0, 0.0),
    shape_px: tuple[float, float] = (3.0, 1.0),
    radius_px: float = 0.0,
    seed: int = 0,
) -> tuple[Frames, np.ndarray]:
    """A textured disc that moves over a textured ground.

    Args:
        n_frames: how many.
        width: of each, in pixels.
        height: of each, in pixels.
        fps: frames a second, which sets only their times.
        camera_px: how the ground moves from frame to frame, right and down.
        shape_px: how the disc moves.
        radius_px: its radius; 0 is no disc, so that one motion fills the frame.
        seed: of the textures.

    Returns:
        The frames (the first alone is a keyframe), and the exact flow, float32 [pair, row, column, xy]: where each
        pixel of a frame goes in the next, in pixels.
    """
    pixels = np.empty((n_frames, height, width, 3), np.uint8)
    flow = np.empty((n_frames, height, width, 2), np.float32)
    for index in range(n_frames):
        pixels[index] = drift(width, height, shift_px=(camera_px[0] * index, camera_px[1] * index), seed=seed)
        flow[index] = camera_px
        moved = (shape_px[0] * index, shape_px[1] * index)
        if radius_px > 0:
            center = (width * 0.4 + moved[0], height * 0.4 + moved[1])
            inside = shape("disc", width, height, center_px=center, radius_px=radius_px)
            pixels[index][inside] = drift(width, height, shift_px=moved, seed=seed + 1)[inside]
            flow[index][inside] = shape_px
    return Frames(pixels, np.arange(n_frames) / fps, np.arange(n_frames) == 0), flow[:-1]


def shots(
    lengths: tuple[int, ...] = (5, 4, 6), width: int = 96, height: int = 64, *, fps: float = 8.0, seed: int = 0
) -> tuple[Frames, np.ndarray]:
    """Shots that drift slowly, with hard cuts between them.

    Returns:
        The frames (the first of each shot is a keyframe), and int64 [shot], the index of each shot's first frame.
    """
    frames = [
        drift(width, height, shift_px=(0.5 * index, 0.0), seed=seed + 17 * shot)
        for shot, length in enumerate(lengths)
        for index in range(length)
    ]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
    times_s = np.arange(len(frames)) / fps
    return Frames(np.stack(frames), times_s, np.isin(np.arange(len(frames)), starts)), starts
