"""Bad films and odd frames, before every step on them: a result, a drop or a rejection, and never anything else."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import mmdata.augment.video as augment
import mmdata.clean.video as clean
from mmdata.codec.video import DecodeFrames, OpenVideo
from mmdata.core.rng import rng_for
from mmdata.core.sample import Blob, Frames, Sample, Video
from mmdata.core.step import Drop, Filter, Map, RandomMap, Split, Step
from mmdata.errors import DataError, DecodeError
from mmdata.testing.contracts.steps import freeze
from mmdata.testing.films import clicks, film_bytes, moving_shapes, numbered

SETTINGS: dict[str, list[dict[str, Any]]] = {
    "EachFrame": [{"step": {"use": "clean.image.SharpenImage"}}, {"step": {"use": "clean.image.ResizeImage"}}],
    "AugmentFrames": [{"step": {"use": f"augment.image.{name}"}} for name in ("CropAtRandom", "RotateImage")],
    "DenoiseFrames": [{}, {"method": "non_local_means"}, {"n_frames": 15}],
    "KeepByFrames": [{"step": {"use": f"clean.image.{name}"}} for name in ("KeepExposure", "DropPlain", "DropBlurred")],
    "KeepMotion": [{}, {"measure": "difference"}],
    "SplitScenes": [{}, {"cut": "encode", "detector": "adaptive"}, {"strict": False, "min_scene_in": "seconds"}],
    "SplitEvery": [{"length_s": 0.3}, {"length_s": 0.3, "cut": "encode"}],
    "CutPassages": [{"kinds": ("black", "frozen", "silent"), "min_s": 0.1, "strict": False}],
    "KeepEventful": [{"max_silent": 0.5}],
    "CropTime": [{}, {"n_frames": 3}],
}
SKIPPED = ("EnlargeFrames",)  # needs a model: test_enlarging.py
CLASSES = [getattr(module, name) for module in (clean, augment) for name in module.__all__ if name not in SKIPPED]
STEPS: list[Step] = [cls(**given) for cls in CLASSES for given in SETTINGS.get(cls.__name__, [{}])]
ON_FRAMES = [step for step in STEPS if step.takes is Frames]
ON_FILMS = [step for step in STEPS if step.takes is Video]


def frames(n: int, height: int, width: int, channels: int = 3, level: int | None = None) -> Frames:
    rng = np.random.default_rng(1)
    shape = (n, height, width, channels)
    pixels = rng.integers(0, 256, shape, dtype=np.uint8) if level is None else np.full(shape, level, np.uint8)
    return Frames(pixels, np.arange(n) / 8, np.arange(n) == 0)


ODD_FRAMES = {
    "none": frames(0, 12, 16),
    "one": frames(1, 12, 16),
    "a pixel": frames(5, 1, 1),
    "a row": frames(4, 1, 40),
    "a column": frames(4, 40, 1),
    "odd": frames(5, 7, 13),
    "grey": frames(5, 12, 16, channels=1),
    "black": frames(5, 12, 16, level=0),
    "white": frames(5, 12, 16, level=255),
    "long": frames(3, 3, 900),
    "at one time": Frames(frames(4, 12, 16).pixels, np.zeros(4), np.zeros(4, bool)),
    "backwards": frames(5, 12, 16).rows(slice(None, None, -1)),
    "uneven": Frames(frames(4, 12, 16).pixels, np.array([-1.0, 0.0, 1e-7, 90.0]), np.ones(4, bool)),
}


def outcome(step: Any, value: Any) -> Any:
    if isinstance(step, Split):
        return step.split(Sample("a", {"video": value}))
    if isinstance(step, Filter):
        return step.keep(value)
    return step.map(value, rng_for(3, step.name)) if isinstance(step, RandomMap) else step.map(value)


@pytest.mark.parametrize("name", ODD_FRAMES)
@pytest.mark.parametrize("step", ON_FRAMES, ids=lambda step: type(step).__name__)
def test_odd_frames_are_changed_dropped_or_refused(step: Step, name: str) -> None:
    given = ODD_FRAMES[name]
    freeze(given)
    try:
        result = outcome(step, given)
    except DataError:
        return
    if isinstance(result, Frames):
        assert result.pixels.dtype == np.uint8
        assert result.pixels.ndim == 4
        assert len(result.pixels) == len(result.times_s) == len(result.is_key)
        assert result.pixels.shape[3] == given.pixels.shape[3]
        assert isinstance(step, Map | RandomMap)
    else:
        assert result is True or isinstance(result, Drop)


@cache
def films() -> dict[str, bytes]:
    whole = film_bytes(moving_shapes(30, 64, 48, radius_px=9)[0], audio=clicks([0.2, 0.9], seconds=1.25))
    torn = bytearray(whole)
    for first in range(len(whole) // 4, len(whole) // 2, 97):
        torn[first : first + 40] = bytes(40)
    stray = np.cumsum([0, 1, 1, 60, 1, 200, 3, 1, 1])
    return {
        "whole": whole,
        "torn packets": bytes(torn),
        "cut short": film_bytes(numbered(40), form="matroska")[:-1500],
        "no index": film_bytes(numbered(40), form="mpegts"),
        "one frame": film_bytes(numbered(1)),
        "two frames": film_bytes(numbered(2)),
        "a few pixels": film_bytes(frames(6, 2, 2), form="matroska", codec="ffv1"),
        "a pixel": film_bytes(frames(6, 1, 1), form="matroska", codec="ffv1"),
        "odd": film_bytes(frames(20, 31, 47), form="matroska", codec="ffv1"),
        "uneven": film_bytes(numbered(9), ticks=stray),
        "turned": film_bytes(moving_shapes(20, 64, 48)[0], turn_deg=90),
        "ten bits": film_bytes(numbered(20), codec="libx264", options={"profile": "high10"}, pix_fmt="yuv420p10le"),
        "silent": film_bytes(numbered(20)),
        "avi": film_bytes(numbered(30), form="avi", codec="mpeg4", audio=clicks([0.3], seconds=1.0), sound_codec="mp3"),
        "mpeg": film_bytes(numbered(30), form="mpeg", codec="mpeg2video"),
    }


@pytest.mark.parametrize("name", films())
@pytest.mark.parametrize("step", ON_FILMS, ids=lambda step: f"{type(step).__name__}")
def test_bad_films_are_cut_kept_dropped_or_rejected(step: Step, name: str) -> None:
    try:
        video = OpenVideo(strict=False).map(Blob.of(films()[name]))
        result = outcome(step, video)
    except DecodeError:
        assert name in ("torn packets", "cut short", "mpeg")
        return
    if isinstance(step, Split) and not isinstance(result, Drop):
        for child in result:
            clip = child.parts["video"]
            assert isinstance(clip, Video)
            try:
                shown = DecodeFrames(strict=False).map(OpenVideo(strict=False).map(clip.blob))
            except DecodeError:
                assert name in ("torn packets", "cut short", "mpeg")
            else:
                assert len(shown.times_s)
    else:
        assert result is True or isinstance(result, Drop)


@pytest.mark.parametrize("step", ON_FILMS, ids=lambda step: type(step).__name__)
@pytest.mark.parametrize("data", [b"", b"no film at all", b"\0\0\0\x18ftypmp42" + bytes(300)])
def test_what_is_no_film_is_a_fault_of_the_sample(step: Step, data: bytes) -> None:
    for duration_s in (0.0, 2.0):
        video = Video(Blob.of(data), width=8, height=8, fps=25.0, duration_s=duration_s)
        try:
            result = outcome(step, video)
            children = result if isinstance(result, list | tuple) else []
            for child in children:
                if child.key != "a":
                    child.parts["video"].blob.data()
        except DecodeError:
            continue
        assert result is True or isinstance(result, Drop) or [child.key for child in children] == ["a"]


def test_damage_is_told_by_its_second() -> None:
    video = OpenVideo(strict=False).map(Blob.of(films()["cut short"]))
    with pytest.raises(DecodeError, match=r"\d\.\d\d"):
        clean.SplitScenes().split(Sample("a", {"video": video}))
