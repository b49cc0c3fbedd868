"""A real film: Big Buck Bunny, H.264 and AAC, 1280 x 720 (Blender Foundation, CC BY 3.0)."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from mmdata.clean.video import CutPassages, SplitScenes
from mmdata.codec.video import DecodeFrames, DecodeSound, OpenVideo, seen
from mmdata.codec.video.cutting import Method, clip, key_times
from mmdata.core.sample import Audio, Blob, Sample, Video
from mmdata.core.spans import Span
from mmdata.core.step import Drop
from mmdata.testing.corpora import default_cache

FILM = default_cache() / "corpora" / "big-buck-bunny" / "bbb.mp4"
pytestmark = [
    pytest.mark.corpus,
    pytest.mark.slow,
    pytest.mark.skipif(not FILM.exists(), reason="`python benchmarks/films.py` fetches the film"),
]


@cache
def film() -> Video:
    return OpenVideo().map(Blob.of(FILM.read_bytes()))


@cache
def excerpt() -> Video:
    """Some forty seconds from key frame to key frame, copied."""
    keys = key_times(film())
    start = min(keys, key=lambda time_s: abs(time_s - 150))
    end = min(keys, key=lambda time_s: abs(time_s - 190))
    return OpenVideo().map(clip(film(), Span.of(start, end), method="copy").blob)


def test_cuts_are_those_of_pyscenedetect(tmp_path: Path) -> None:
    scenedetect = pytest.importorskip("scenedetect", reason="pip install --no-deps scenedetect==0.7.2")
    (tmp_path / "a.mp4").write_bytes(excerpt().blob.data())
    for name, kind in (("content", scenedetect.ContentDetector), ("adaptive", scenedetect.AdaptiveDetector)):
        scenes = scenedetect.detect(str(tmp_path / "a.mp4"), kind(), backend="pyav")
        _, cuts = seen(SplitScenes(detector=name), excerpt())  # type: ignore[arg-type]
        assert cuts.tolist() == [scene[0].frame_num for scene in scenes][1:]
        assert len(cuts) > 2


@pytest.mark.parametrize("method", ["copy", "encode"])
def test_clips_show_and_sound_as_the_film_does(method: Method) -> None:
    keys = key_times(excerpt())
    span = Span.of(keys[1], keys[3]) if method == "copy" else Span.of(keys[1] + 1, keys[1] + 4)
    cut = OpenVideo().map(clip(excerpt(), span, method=method).blob)
    first, last = round(float(span.start_s) * 24), round(float(span.end_s) * 24)
    shown = DecodeFrames(size_px=160).map(excerpt()).pixels[first:last]
    found = DecodeFrames(size_px=160).map(cut).pixels
    assert found.shape == shown.shape
    assert np.abs(found.astype(int) - shown).mean() < (1e-9 if method == "copy" else 2)
    heard, sound = DecodeSound().map(excerpt()), DecodeSound().map(cut)
    assert isinstance(heard, Audio)
    assert isinstance(sound, Audio)
    rate_hz, at = heard.rate_hz, round(float(span.start_s) * heard.rate_hz)
    assert sound.rate_hz == rate_hz
    here = sound.samples[0, rate_hz // 2 : rate_hz * 2]
    lags = range(-200, 201)
    whole = heard.samples[0, at + rate_hz // 2 - 200 : at + rate_hz * 2 + 200]
    likeness = [float(here @ whole[200 + lag : 200 + lag + len(here)]) for lag in lags]
    assert abs(lags[int(np.argmax(likeness))]) <= rate_hz // 1000  # a millisecond


def test_scenes_make_up_the_film_again() -> None:
    children = SplitScenes(cut="copy").split(Sample("bunny", {"video": excerpt()}))
    assert not isinstance(children, Drop)
    n_frames = len(DecodeFrames(size_px=32).map(excerpt()).times_s)
    clips = [child.parts["video"] for child in children]
    assert sum(len(DecodeFrames(size_px=32).map(each).times_s) for each in clips if isinstance(each, Video)) == n_frames
    assert len(clips) > 2


def test_the_black_beginning_is_cut_off() -> None:
    keys = key_times(film())
    opening = clip(film(), Span.of(0, min(keys, key=lambda time_s: abs(time_s - 20))), method="copy")
    children = CutPassages(kinds=("black", "frozen"), min_s=0.5, cut="encode").split(
        Sample("bunny", {"video": OpenVideo().map(opening.blob)})
    )
    assert not isinstance(children, Drop)
    first = children[0].parts["video"]
    assert isinstance(first, Video)
    start_s = float(first.clock.to_source(0) or 0)
    frames = DecodeFrames(size_px=160).map(OpenVideo().map(opening.blob))
    before = frames.pixels[frames.times_s < start_s - 0.01]
    assert start_s > 0
    assert before[0].max() < 30
