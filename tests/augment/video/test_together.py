"""Frames that show their numbers and a sound that clicks, cut at one time."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.augment.video import CropTogether
from mmdata.codec.video import DecodeFrames, DecodeSound
from mmdata.core.pipeline import Pipeline
from mmdata.core.sample import Audio, Frames, Sample, Text
from mmdata.core.spans import TimeMap
from mmdata.core.step import Drop
from mmdata.engine.options import RunOptions
from mmdata.engine.runner import run
from mmdata.errors import ConfigError
from mmdata.source.files import Files
from mmdata.store.store import Store
from mmdata.testing.contracts.steps import Case, StepContract
from mmdata.testing.films import clicks, clicks_of, film_bytes, numbered, numbers_of

CLICKS = [0.25 * number for number in range(16)]


@cache
def sample(late_s: float = 0.0) -> Sample:
    """Four seconds; the sound begins later, and says so in its time map."""
    sound = clicks(CLICKS, seconds=4.0, rate_hz=16_000)
    audio = sound.cut(round(late_s * 16_000), sound.n_samples)
    return Sample("a", {"frames": numbered(96), "audio": audio, "text": Text("x")})


@given(st.integers(0, 10**6), st.sampled_from([0.0, 1.0]))
@settings(deadline=None, max_examples=40)
def test_what_is_seen_and_heard_stays_together(seed: int, late_s: float) -> None:
    made = CropTogether(min_s=0.7, max_s=1.9).map(sample(late_s), np.random.default_rng(seed))
    assert isinstance(made, Sample)
    frames, audio = made.parts["frames"], made.parts["audio"]
    assert isinstance(frames, Frames)
    assert isinstance(audio, Audio)
    numbers = numbers_of(frames.pixels)
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert (frames.times_s == np.array(numbers) / 24).all()
    start_s = float(audio.clock.to_source(0) or 0)
    assert start_s == pytest.approx(max(numbers[0] / 24, late_s), abs=1e-4)
    assert audio.duration_s == pytest.approx(len(numbers) / 24, abs=1 / 12 + 1e-3)
    assert 0.65 <= audio.duration_s <= 1.95
    heard = np.array([at_s + start_s for at_s in clicks_of(audio)])
    assert np.abs(heard - np.round(heard * 4) / 4).max(initial=0) < 2e-3  # each where one is in the film
    certain = [at_s for at_s in CLICKS if start_s - 1e-4 <= at_s < start_s + audio.duration_s - 0.006]
    assert all(np.abs(heard - at_s).min(initial=1) < 2e-3 for at_s in certain)


def test_samples_that_are_too_short_are_kept_or_dropped() -> None:
    rng = np.random.default_rng(0)
    assert CropTogether(min_s=5, max_s=5).map(sample(), rng) is sample()
    assert CropTogether(min_s=5, max_s=5, short="drop").map(sample(), rng) == Drop("too_short")
    assert CropTogether(min_s=3.5, max_s=3.5, short="drop").map(sample(1.0), rng) == Drop("too_short")


def test_frames_without_sound_and_sound_without_frames() -> None:
    rng = np.random.default_rng(0)
    silent = Sample("a", {"frames": numbered(96)})
    made = CropTogether().map(silent, rng)
    assert isinstance(made, Sample)
    frames = made.parts["frames"]
    assert isinstance(frames, Frames)
    assert 48 <= len(frames.times_s) <= 49
    for other in (Sample("a", {"audio": sample().parts["audio"]}), Sample("a", {"frames": numbered(0)})):
        assert CropTogether().map(other, rng) is other


def test_sound_that_was_cut_apart_keeps_its_map() -> None:
    audio = sample().parts["audio"]
    assert isinstance(audio, Audio)
    clock = TimeMap.identity(4).cut(0, 1).followed_by(TimeMap.identity(4).cut(2, 4))
    spliced = audio.changed(np.delete(audio.samples, np.s_[16_000:32_000], axis=1), time_map=clock)
    for seed in range(10):
        made = CropTogether().map(sample().with_part("audio", spliced), np.random.default_rng(seed))
        assert isinstance(made, Sample)
        cut = made.parts["audio"]
        assert isinstance(cut, Audio)
        assert 0 < cut.n_samples < spliced.n_samples


def test_a_film_is_cut_with_its_sound_in_a_pipeline(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    data = film_bytes(numbered(96), audio=clicks(CLICKS, seconds=4.0), options={"crf": "12"})
    (tmp_path / "in" / "a.mp4").write_bytes(data)
    steps = (DecodeSound(), DecodeFrames(), CropTogether(min_s=1, max_s=1))
    source = Files(str(tmp_path / "in"), parts={"video": "{stem}.mp4"})
    pipeline = Pipeline(source=source, ingest=steps, store={"frames": "h264:12", "audio": "flac"})
    run(pipeline, str(tmp_path / "store"), RunOptions())
    parts = Store.open(tmp_path / "store").sample("in/a").parts
    frames, audio = parts["frames"], parts["audio"]
    assert isinstance(frames, Frames)
    assert isinstance(audio, Audio)
    numbers = numbers_of(frames.pixels)
    assert frames.times_s.tolist() == [number / 24 for number in numbers]
    start_s = float(audio.clock.to_source(0) or 0)
    assert start_s == pytest.approx(numbers[0] / 24, abs=1e-4)
    heard = [at_s + start_s for at_s in clicks_of(audio)]
    assert heard == pytest.approx([round(at_s * 4) / 4 for at_s in heard], abs=3e-3)
    assert len(heard) in (3, 4, 5)


def test_frames_must_be_decoded_before(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(film_bytes(numbered(5)))
    pipeline = Pipeline(source=Files(str(tmp_path / "in")), ingest=(CropTogether(),))
    with pytest.raises(ConfigError, match="frames"):
        run(pipeline, str(tmp_path / "store"), RunOptions())


class TestContract(StepContract):
    @pytest.fixture
    def case(self) -> Case:
        return Case(CropTogether(min_s=1, max_s=1.5), sample(), others={"min_s": 1.2})
