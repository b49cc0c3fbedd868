"""A film's sound, on the film's clock."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mmdata.align.sync import SoundOffset
from mmdata.clean.video import KeepEventful
from mmdata.codec.audio import DecodeAudio
from mmdata.codec.video import DecodeSound, OpenVideo, hearing
from mmdata.core.sample import Audio, Blob, Video
from mmdata.core.step import Drop
from mmdata.engine.watching import watch_alone
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


def packets_of_sound(data: bytes) -> list[tuple[int, int, float]]:
    """Where each packet of the sound lies, how many bytes it has, and when it is heard."""
    import av

    with av.open(io.BytesIO(data), "r") as container:
        packets = [packet for packet in container.demux(container.streams.audio[0]) if packet.size]
        return [(packet.pos or 0, packet.size, float((packet.pts or 0) * packet.time_base)) for packet in packets]


def test_a_damaged_track_is_refused_with_the_second_or_silent_where_it_is_damaged() -> None:
    data = mp4_bytes(moving_shapes()[0], audio=tone(1.0))
    at, size, time_s = packets_of_sound(data)[8]
    damaged = data[:at] + b"\xff" * size + data[at + size :]
    with pytest.raises(DecodeError, match=rf"its sound breaks off at {time_s:.2f} s: FFmpeg can't decode it: \w"):
        heard(damaged)
    whole, mended = heard(data).samples[0], heard(damaged, strict=False).samples[0]
    assert mended.shape == whole.shape
    differ = np.flatnonzero(np.abs(mended - whole) > 0.01) / 16000
    assert time_s - 0.07 < differ[0] < differ[-1] < time_s + 0.14  # its own 64 ms, and those that lap over it
    assert not mended[round((time_s + 0.01) * 16000) : round((time_s + 0.05) * 16000)].any()


def index_first(data: bytes, path: Path) -> bytes:
    """The same MP4 with its index before its packets, so that what is left of it can be read."""
    import av

    with av.open(io.BytesIO(data), "r") as given, av.open(str(path), "w", options={"movflags": "faststart"}) as made:
        copies = {stream.index: made.add_stream_from_template(stream) for stream in given.streams}
        for packet in given.demux():
            if packet.size:
                packet.stream = copies[packet.stream.index]
                made.mux(packet)
    return path.read_bytes()


def test_a_track_that_ends_before_its_container_says_is_refused_or_ends_there(tmp_path: Path) -> None:
    data = index_first(mp4_bytes(moving_shapes()[0], audio=tone(1.0)), tmp_path / "film.mp4")
    at, _, time_s = packets_of_sound(data)[9]
    cut = OpenVideo(strict=False).map(Blob.of(data[:at]))
    with pytest.raises(DecodeError, match=rf"its sound is cut short: it ends at {time_s:.2f} s of 1\.0"):
        DecodeSound().map(cut)
    audio = DecodeSound(strict=False).map(cut)
    assert isinstance(audio, Audio)
    assert audio.duration_s == pytest.approx(time_s, abs=0.001)
    np.testing.assert_array_equal(audio.samples, heard(data).samples[:, : audio.n_samples])


def test_more_than_the_limit_is_refused() -> None:
    data = mp4_bytes(moving_shapes()[0], audio=tone(1.0))
    n_samples = heard(data).n_samples
    assert heard(data, max_samples=n_samples).n_samples == n_samples
    with pytest.raises(DecodeError, match="max_samples"):
        heard(data, max_samples=n_samples - 1)
    with pytest.raises(DecodeError, match="max_samples"):
        heard(mp4_bytes(moving_shapes()[0]), silent=True, max_samples=100)


def test_an_endless_gap_is_refused_by_who_would_fill_it() -> None:
    video = OpenVideo(max_s=1e9).map(Blob.of(film_with_pieces([(0.0, 0.5), (2e5, 2e5 + 0.5)])))
    for step in (DecodeSound(), DecodeSound(strict=False)):
        with pytest.raises(DecodeError, match="max_samples"):
            step.map(video)
    with pytest.raises(DecodeError, match="200,000 seconds of sound, and the most that is compared is 43,200"):
        watch_alone(SoundOffset(), video)
    silent = KeepEventful(min_s=1.0, max_silent=0.7, max_black=None, max_frozen=None)
    assert silent.keep(video) == Drop("too_silent")


@pytest.mark.parametrize("strict", [True, False])
def test_a_gap_that_leads_far_out_of_the_film_is_refused(strict: bool) -> None:
    far = film_with_pieces([(0.0, 0.5), (3000.0, 3000.5)])
    leaves = r"leaves the film: a gap of 3,000 s leads to 3,000 s, and it ends at 2\.00 s"
    with pytest.raises(DecodeError, match=leaves):
        heard(far, strict=strict)
    with pytest.raises(DecodeError, match=leaves):
        watch_alone(SoundOffset(strict=strict), opened(far))
    assert heard(film_with_pieces([(0.0, 0.5), (30.0, 30.5)]), strict=strict).duration_s == 30.5


def test_pieces_are_of_a_second_and_say_where_they_lie() -> None:
    pieces = list(hearing.heard(opened(film_with_pieces([(0.5, 1.0), (1.25, 2.0)]))))
    assert [(piece.first, piece.end) for piece in pieces] == [(0, 0), (4000, 8000), (10000, 16000)]
    assert {(piece.rate_hz, len(piece.samples), piece.damage) for piece in pieces} == {(8000, 1, "")}
    assert pieces[1].time_s == Fraction(1, 2)
    assert not any(piece.samples.flags.writeable for piece in pieces if piece.samples.size)
    whole = list(hearing.heard(opened(mp4_bytes(moving_shapes(40)[0], fps=8, audio=tone(5.0)))))
    assert [piece.first for piece in whole[2:]] == [piece.end for piece in whole[1:-1]]
    assert max(piece.samples.shape[1] for piece in whole) < 17_100
    assert not list(hearing.heard(opened(mp4_bytes(moving_shapes(8)[0], fps=8))))


def mixed_channels() -> bytes:
    """A transport stream of a second of mono sound, MP2, which goes on as another of stereo sound."""
    import av

    parts = []
    for layout, levels in (("mono", (1, 16128)), ("stereo", (1, 32256))):
        file = io.BytesIO()
        with av.open(file, "w", format="mpegts") as made:
            film = made.add_stream("mpeg2video", rate=25)
            film.width, film.height, film.pix_fmt = 32, 24, "yuv420p"
            sound = made.add_stream("mp2", rate=16000, layout=layout)
            for at in range(25):
                frame = av.VideoFrame.from_ndarray(np.full((24, 32, 3), 9 * at, np.uint8), format="rgb24")
                frame.pts, frame.time_base = at, Fraction(1, 25)
                made.mux(film.encode(frame))
            made.mux(film.encode(None))
            piece = av.AudioFrame.from_ndarray(np.full(levels, 9000, np.int16), format="s16", layout=layout)
            piece.rate, piece.pts, piece.time_base = 16000, 0, Fraction(1, 16000)
            made.mux(sound.encode(piece))
            made.mux(sound.encode(None))
        parts.append(file.getvalue())
    return b"".join(parts)


def test_a_track_whose_channels_change_breaks_off_there() -> None:
    video = opened(mixed_channels())
    with pytest.raises(
        DecodeError, match=r"its sound breaks off at [01]\.\d\d s: FFmpeg can't decode it: Frame does not match"
    ):
        DecodeSound().map(video)
    audio = DecodeSound(strict=False).map(video)
    assert isinstance(audio, Audio)
    assert audio.samples.shape[0] == 1
    assert audio.duration_s == pytest.approx(1.0, abs=0.1)
