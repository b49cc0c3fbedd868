"""Sound against picture: known shifts are found and put right, and what has no relation is told."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.align.sync import AlignSound, Motion, SoundOffset, compared, earlier, onsets
from mmdata.codec.decoders import decode
from mmdata.core.rng import rng_for
from mmdata.core.sample import Audio, Blob, Frames, Sample, Video
from mmdata.engine.watching import watch_alone
from mmdata.errors import DataError
from mmdata.kernels.sync import Lag, find_lag
from mmdata.testing.build import noise, silence
from mmdata.testing.contracts.steps import Case, StepContract
from mmdata.testing.hits import Motion as Kind
from mmdata.testing.hits import hit_times, hits_heard, hitting
from mmdata.testing.media import mp4_bytes

SECONDS, FPS = 6.0, 25
SHIFTS_S = (-1.0, -0.52, -0.2, -0.05, 0.0, 0.11, 0.3, 0.75, 1.0)


def seen(frames: Frames) -> Motion:
    motion = Motion()
    motion.see(Frames(frames.pixels[..., 1:2], frames.times_s, frames.is_key))
    return motion


def film(frames: Frames, audio: Audio | None) -> Video:
    opened = decode(Blob.of(mp4_bytes(frames, FPS, audio)), Video)
    assert isinstance(opened, Video)
    return opened


def offset(video: Video) -> tuple[float, float]:
    found = watch_alone(SoundOffset(), video)
    assert isinstance(found, dict)
    return float(found["offset_s"]), float(found["confidence"])


TIMES = hit_times(SECONDS)
HAMMER = hitting(TIMES, SECONDS, fps=FPS)


@cache
def hammer() -> Video:
    """The film without sound."""
    return film(HAMMER, None)


class TestAlignSound(StepContract):
    @pytest.fixture
    def case(self) -> Case:
        late = hits_heard([time_s + 0.4 for time_s in TIMES], SECONDS)
        sample = Sample("k", {"video": hammer(), "audio": late})
        return Case(AlignSound(), sample, unchanged=sample.with_part("audio", noise(1)), others={"video": "film"})


@pytest.mark.parametrize("kind", ["hammer", "ball", "jump"])
@pytest.mark.parametrize("seed", [0, 1])
def test_shifts_of_a_second_are_found_within_40_ms(kind: Kind, seed: int) -> None:
    times_s = hit_times(SECONDS, seed=seed)
    motion = seen(hitting(times_s, SECONDS, fps=FPS, motion=kind, seed=seed))
    for shift_s in SHIFTS_S:
        heard = hits_heard([time_s + shift_s for time_s in times_s], SECONDS, seed=seed)
        lag = compared(motion, onsets(heard), most_s=1.5)
        assert lag.seconds == pytest.approx(shift_s, abs=0.04)
        assert lag.confidence > 0.5, (shift_s, lag)


@pytest.mark.parametrize("kind", ["hammer", "ball", "jump"])
def test_what_has_no_relation_gets_low_confidence(kind: Kind) -> None:
    motion = seen(hitting(TIMES, SECONDS, fps=FPS, motion=kind))
    others = [hits_heard(hit_times(SECONDS, seed=100 + seed), SECONDS, seed=seed) for seed in range(12)]
    found = [compared(motion, onsets(each), most_s=1.5).confidence for each in others]
    assert max(found) < 0.5
    assert np.median(found) < 0.1


def test_a_beat_that_never_changes_fits_at_many_shifts() -> None:
    times_s = list(np.arange(0.4, 5.8, 0.4))
    lag = compared(seen(hitting(times_s, SECONDS, fps=FPS)), onsets(hits_heard(times_s, SECONDS)), most_s=1.5)
    assert lag.confidence < 0.5


@pytest.mark.parametrize("audio", [silence(SECONDS), noise(SECONDS), silence(0.0), silence(0.01)])
def test_sound_in_which_nothing_happens_says_nothing(audio: Audio) -> None:
    assert compared(seen(HAMMER), onsets(audio), most_s=1.5).confidence < 0.2


@pytest.mark.parametrize("n_frames", [0, 1, 2, 3, 25])
def test_a_still_or_short_film_says_nothing(n_frames: int) -> None:
    still = Frames(np.zeros((n_frames, 20, 30, 3), np.uint8), np.arange(n_frames) / FPS, np.ones(n_frames, bool))
    assert compared(seen(still), onsets(hits_heard(TIMES, SECONDS)), most_s=1.5) == Lag()


def test_a_films_own_sound_is_a_feature() -> None:
    found_s, sure = offset(film(HAMMER, hits_heard([time_s + 0.3 for time_s in TIMES], SECONDS)))
    assert found_s == pytest.approx(0.3, abs=0.04)
    assert sure > 0.5
    with pytest.raises(DataError, match="no sound track"):
        offset(film(HAMMER, None))


@pytest.mark.parametrize("shift_s", [-0.4, 0.4])
def test_a_sound_is_put_right_and_knows_its_moments(shift_s: float) -> None:
    heard = hits_heard([time_s + shift_s for time_s in TIMES], SECONDS)
    sample = Sample("k", {"video": hammer(), "audio": heard})
    right = AlignSound().map(sample)
    assert isinstance(right, Sample)
    audio = right.parts["audio"]
    assert isinstance(audio, Audio)
    lag = compared(seen(HAMMER), onsets(audio), most_s=1.5)
    assert lag.seconds == pytest.approx(0, abs=0.04)
    assert audio.clock.to_source(1) == 1  # the clock is the film's
    assert audio.duration_s == pytest.approx(SECONDS - shift_s, abs=0.04)
    assert AlignSound().map(right) is right


def test_a_sound_that_fits_or_says_nothing_is_left() -> None:
    fits = Sample("k", {"video": hammer(), "audio": hits_heard(TIMES, SECONDS)})
    assert AlignSound().map(fits) is fits
    other = fits.with_part("audio", hits_heard(hit_times(SECONDS, seed=7), SECONDS))
    assert AlignSound().map(other) is other
    without = Sample("k", {"audio": noise(1)})
    assert AlignSound().map(without) is without


def test_cuts_made_before_are_counted_in() -> None:
    """A sound whose first second was cut off says so by its time map, and is late by no more than before."""
    heard = hits_heard([time_s + 0.2 for time_s in TIMES], SECONDS)
    lag = compared(seen(HAMMER), onsets(heard.cut(16000, heard.n_samples)), most_s=1.5)
    assert lag.seconds == pytest.approx(0.2, abs=0.04)


@given(by_ms=st.integers(-900, 900), cut_ms=st.integers(0, 900))
def test_what_was_at_a_moment_is_so_much_earlier(by_ms: int, cut_ms: int) -> None:
    whole = Audio(rng_for(0, "w").standard_normal((2, 2000)).astype(np.float32), 1000)
    given_ = whole.cut(cut_ms, 2000)
    shifted = earlier(given_, by_ms / 1000)
    assert shifted.clock.length_s * 1000 == shifted.n_samples == given_.n_samples - by_ms
    assert shifted.clock.to_source(0) == given_.clock.to_source(0)
    moment = max(0, by_ms) + 7
    np.testing.assert_array_equal(shifted.samples[:, moment - by_ms], given_.samples[:, moment])


@settings(deadline=None)
@given(shift=st.integers(-100, 100), seed=st.integers(0, 50))
def test_a_shifted_series_is_found_where_it_is(shift: int, seed: int) -> None:
    series = rng_for(seed, "series").standard_normal(1000) ** 2
    lag = find_lag(series[150:850], series[150 - shift : 850 - shift], most_s=1.5)
    assert lag.seconds == pytest.approx(shift / 100, abs=0.01)
    assert lag.confidence > 0.9
