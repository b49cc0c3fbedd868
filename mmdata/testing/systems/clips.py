"""Short films with sound: where something goes is seen, whether it climbs is heard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmdata.core.rng import rng_for
from mmdata.core.sample import Audio, Frames
from mmdata.testing.media import mp4_bytes
from mmdata.testing.pictures import drift, shape
from mmdata.testing.systems.worlds import Drawn, System, World

LABELS = ("left_falling", "left_rising", "right_falling", "right_rising")
TRUE = 0.95  # how often each modality shows what the label says
SIZE_PX, N_FRAMES, FPS, RATE_HZ = 64, 10, 8, 16000


def weigh(seen: int, heard: int) -> list[float]:
    """How likely each label is with this motion (1: to the right) and this sound (1: rising)."""
    return [
        (TRUE if label // 2 == seen else 1 - TRUE) * (TRUE if label % 2 == heard else 1 - TRUE)
        for label in range(len(LABELS))
    ]


def motion(right: int, rng: np.random.Generator) -> Frames:
    """A disc that crosses a textured ground to the left or to the right."""
    size, way = SIZE_PX, 1 if right else -1
    ground = drift(size, size, seed=int(rng.integers(1 << 32)), contrast=0.5)
    color, step, height = rng.integers(0, 256, 3), rng.uniform(2.5, 4.5), rng.uniform(0.3, 0.7)
    pixels = np.repeat(ground[None], N_FRAMES, axis=0)
    for index, frame in enumerate(pixels):
        center = (size / 2 + way * step * (index - N_FRAMES / 2), height * size)
        frame[shape("disc", size, size, center_px=center, radius_px=size / 6)] = color
    return Frames(pixels, np.arange(N_FRAMES) / FPS, np.arange(N_FRAMES) == 0)


def glide(rising: int, rng: np.random.Generator) -> Audio:
    """A tone that goes up or down by an octave and a half, in noise."""
    time = np.arange(round(N_FRAMES / FPS * RATE_HZ)) / RATE_HZ
    way = time / time[-1] if rising else 1 - time / time[-1]
    phase = 2 * np.pi * np.cumsum(rng.uniform(250, 500) * 2 ** (1.5 * way)) / RATE_HZ
    wave = sum(np.sin(k * phase) / k for k in (1, 2, 3)) + 0.1 * rng.standard_normal(len(time))
    return Audio((rng.uniform(0.1, 0.3) * wave)[None].astype(np.float32), RATE_HZ)


def write(folder: Path, drawn: Sequence[Drawn], world: World, seed: int) -> None:
    """A folder a class, with films of H.264 and AAC."""
    for index, sample in enumerate(drawn):
        rng = rng_for(seed, "clips", index)
        frames = motion(sample.shown["frames"], rng)
        path = folder / world.labels[sample.label] / f"{index:05d}.mp4"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(mp4_bytes(frames, FPS, glide(sample.shown["sound"], rng), crf=24, mbtree="0"))


CLIPS = System("video_classes", World.of(LABELS, {"frames": 2, "sound": 2}, weigh), write)
