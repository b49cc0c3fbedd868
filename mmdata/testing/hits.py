"""Films in which something hits at known times, and the sound of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from mmdata.core.rng import rng_for
from mmdata.core.sample import Audio, Frames
from mmdata.testing.pictures import drift, shape

Motion = Literal["hammer", "ball", "jump"]
REACH = 0.12  # how far a hit is seen to come, as a share of the picture's height
SWING_S = 0.18  # how long it takes to come down
SWINGS = {"hammer": 0.45, "ball": 0.18}  # seconds that it takes to rise again


def hit_times(seconds: float = 6.0, *, least_s: float = 0.3, most_s: float = 0.9, seed: int = 0) -> list[float]:
    """Times of hits, irregular, so that one shift alone brings two lists of them together."""
    rng, times = rng_for(seed, "hits"), [0.5]
    while times[-1] + most_s < seconds - 0.3:
        times.append(times[-1] + float(rng.uniform(least_s, most_s)))
    return times


def hitting(
    times_s: Sequence[float],
    seconds: float = 6.0,
    *,
    fps: float = 25.0,
    motion: Motion = "hammer",
    width: int = 128,
    height: int = 96,
    noise_levels: float = 2.0,
    seed: int = 0,
) -> Frames:
    """A disc over a texture, which is at its lowest at each of the times.

    Args:
        times_s: when it hits.
        seconds: how long the film is.
        fps: frames a second, at k / fps.
        motion: a "hammer" falls ever faster and stops; a "ball" bounces; a "jump" is to the other side, at once.
        width: pixels.
        height: pixels.
        noise_levels: standard deviation of the camera's noise.
        seed: of textures and noise.
    """
    rng = rng_for(seed, "noise")
    ground, skin = drift(width, height, seed=seed), drift(2 * width, 2 * height, seed=seed + 1)
    frames = []
    for number in range(round(seconds * fps)):
        now_s = number / fps
        pixels = ground.astype(np.float32)
        above = 0.0 if motion == "jump" else height * REACH * 2 * _height(now_s, times_s, motion)
        side = sum(hit_s <= now_s for hit_s in times_s) % 2 if motion == "jump" else 0.5
        center = (width * (0.3 + 0.4 * side), height * 0.7 - above)
        inside = shape("disc", width, height, center_px=center, radius_px=height * 0.22)
        down, across = np.nonzero(inside)
        pixels[inside] = skin[(down + round(above)) % (2 * height), across]
        pixels += noise_levels * rng.standard_normal(pixels.shape).astype(np.float32)
        frames.append(np.clip(pixels.round(), 0, 255).astype(np.uint8))
    return Frames(np.stack(frames), np.arange(len(frames)) / fps, np.arange(len(frames)) == 0)


def _height(now_s: float, times_s: Sequence[float], motion: Motion) -> float:
    """How high the disc is, from 0 at a hit to 1."""
    since_s = min((now_s - hit_s for hit_s in times_s if hit_s <= now_s), default=np.inf)
    until_s = min((hit_s - now_s for hit_s in times_s if hit_s > now_s), default=np.inf)
    rise_s = SWINGS[motion]
    if motion == "ball":
        return float(min(1 - (1 - min(since_s / rise_s, 1)) ** 2, 1 - (1 - min(until_s / rise_s, 1)) ** 2))
    up = 0.5 - 0.5 * np.cos(np.pi * min(since_s / rise_s, 1))
    down = 1 - (1 - min(until_s / SWING_S, 1)) ** 2
    return float(min(up, down))


def hits_heard(
    times_s: Sequence[float], seconds: float = 6.0, rate_hz: int = 16000, *, noise_db: float = -45.0, seed: int = 0
) -> Audio:
    """The sound: bursts that die away within 60 ms, over noise. Times before 0 and after the end are not heard."""
    rng = rng_for(seed, "heard")
    wave = 10 ** (noise_db / 20) * rng.standard_normal(round(seconds * rate_hz))
    burst = rng.standard_normal(round(0.15 * rate_hz)) * np.exp(-np.arange(round(0.15 * rate_hz)) / (0.02 * rate_hz))
    for hit_s in times_s:
        first = round(hit_s * rate_hz)
        if 0 <= first < wave.size:
            wave[first : first + burst.size] += 0.3 * burst[: wave.size - first]
    return Audio(wave.astype(np.float32)[None], rate_hz)
