"""A film's sound, on the film's clock."""

from __future__ import annotations

import io
from fractions import Fraction

import numpy as np
import pytest

from mmdata.codec.audio import DecodeAudio
from mmdata.codec.video import DecodeSound, OpenVideo
from mmdata.core.sample import Audio, Blob, Video
from mmdata.core.step import Drop
from mmdata.errors import DecodeError
from mmdata.testing.contracts.steps import Case, StepContract
from mmdata.testing.films import moving_shapes
from mmdata.testing.media import mp4_bytes
from mmdata.testing.sounds import tone


def opened(data: bytes) -> Video:
    return OpenVideo().map(Blob.of(data))


def heard(data: bytes, **settings: bool | int) -> Audio:
    audio = DecodeSound(**settings).map(opened(data))  # type: ignore[arg-type]
    assert isinstance(audio, Audio)
    return audio


class TestDecodeSound(StepContract):
    @pytest.fixture
    def case(self) -> Case:
        return Case(DecodeSound(), opened(mp4_bytes(moving_shapes()[0], audio=tone(1.0))))


def film_with_pieces(pieces_s: list[tuple[float, float]], *, apart: int = 400) -> bytes:
    """Two seconds of pictures, and a tone that is heard in these stretches alone: FFV1 and PCM in Matroska.

    Pieces of 400 samples are `apart` from each other, by their times.
    """
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="matroska", options={"fflags": "+bitexact"}) as container:
        film = container.add_stream("ffv1", rate=8)
        film.width, film.height, film.pix_fmt = 32, 24, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        for at in range(16):
            frame = av.VideoFrame.from_ndarray(np.full((24, 32, 3), 9 * at, np.uint8), format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, 8)
            container.mux(film.encode(frame))
        container.mux(film.encode(None))
        for from_s, to_s in pieces_s:
            for start in range(round(from_s * 8000), round(to_s * 8000), apart):
                levels = np.full((1, 400), 16384, np.int16)
                piece = av.AudioFrame.from_ndarray(levels, format="s16", layout="mono")
                piece.rate, piece.pts, piece.time_base = 8000, start, Fraction(1, 8000)
                container.mux(sound.encode(piece))
        container.mux(sound.encode(None))
    return file.getvalue()


def test_sound_and_pictures_start_together() -> None:
    data = mp4_bytes(moving_shapes()[0], audio=tone(1.0, channels=2))
    audio, alone = heard(data), DecodeAudio().map(Blob.of(data))
    assert (audio.rate_hz, audio.time_map, audio.origin) == (alone.rate_hz, None, None)
    np.testing.assert_array_equal(audio.samples, alone.samples)


def test_a_track_that_begins_late_begins_with_silence() -> None:
    loud = heard(film_with_pieces([(0.5, 2.0)])).samples[0] > 0.4
    assert loud.tolist() == [k >= 4000 for k in range(16000)]


def test_gaps_are_silence_and_what_comes_after_them_is_in_time() -> None:
    loud = heard(film_with_pieces([(0.0, 0.5), (1.25, 2.0)])).samples[0] > 0.4
    assert loud.tolist() == [k < 4000 or k >= 10000 for k in range(16000)]


def test_sound_that_is_longer_than_its_times_say_stays_in_step() -> None:
    audio = heard(film_with_pieces([(0.0, 1.5)], apart=300))
    assert audio.n_samples == pytest.approx(12000, abs=0.03 * 8000 + 100)
    assert (audio.samples > 0.4).all()


def test_a_film_without_sound_is_dropped_or_silent() -> None:
    video = opened(mp4_bytes(moving_shapes(8)[0], fps=8))
    assert DecodeSound().map(video) == Drop("no_sound")
    silence = DecodeSound(silent=True).map(video)
    assert isinstance(silence, Audio)
    assert (silence.samples.shape, silence.rate_hz) == ((1, 16000), 16000)
    assert not silence.samples.any()
    sounding = opened(mp4_bytes(moving_shapes()[0], audio=tone(1.0)))
    assert DecodeSound(track=1).map(sounding) == Drop("no_sound")


def test_more_than_the_limit_is_refused() -> None:
    data = mp4_bytes(moving_shapes()[0], audio=tone(1.0))
    n_samples = heard(data).n_samples
    assert heard(data, max_samples=n_samples).n_samples == n_samples
    with pytest.raises(DecodeError, match="max_samples"):
        heard(data, max_samples=n_samples - 1)
    with pytest.raises(DecodeError, match="max_samples"):
        heard(mp4_bytes(moving_shapes()[0]), silent=True, max_samples=100)
