"""Films whose tracks do not begin and end together, or have gaps, leaps and damage."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any

import av
import numpy as np
import pytest

from mmdata.clean.video import SplitEvery
from mmdata.codec.captions import ReadSubtitles
from mmdata.codec.video import DecodeClip, DecodeFrames, DecodeSound, OpenVideo
from mmdata.codec.video.cutting import Method, clip, key_times
from mmdata.codec.video.hearing import heard
from mmdata.core.sample import Audio, Blob, Captions, Frames, Sample, Video
from mmdata.core.spans import Span
from mmdata.core.step import Drop
from mmdata.errors import DecodeError
from mmdata.testing.films import clicks, clicks_of, film_bytes, numbered, numbers_of

FILLER = b"\0\0\0\1\x0c" + b"\xff" * 1_500_000 + b"\x80"  # a unit of H.264 that holds nothing: FFmpeg looks 5 MB far
RNG = np.random.default_rng(0)
OUTLASTED = {
    "mkv": {"form": "matroska"},
    "webm": {"form": "webm", "codec": "libvpx", "sound_codec": "libopus"},
    "flv": {"form": "flv", "codec": "flv1", "sound_codec": "mp3"},
}


def opened(data: bytes, *, strict: bool = True) -> Video:
    return OpenVideo(strict=strict).map(Blob.of(data))


def sound(video: Video, *, strict: bool = True) -> Audio:
    audio = DecodeSound(strict=strict).map(video)
    assert isinstance(audio, Audio)
    return audio


@cache
def outlasted(name: str) -> bytes:
    """A second of pictures, and two of sound."""
    audio = clicks([0.5, 1.5], seconds=2.0, rate_hz=44_100 if name == "flv" else 48_000)
    return film_bytes(numbered(24), audio=audio, **OUTLASTED[name])  # type: ignore[arg-type]


def shifted(
    data: bytes,
    form: str,
    shifts_s: dict[str, float],
    *,
    kept: Callable[[str, float], bool] = lambda *_: True,
    filled: bool = False,
) -> bytes:
    """A film's packets in a container, each kind of track later by so much, without those that are not kept.

    Where it is `filled`, the first four pictures take 6 MB.
    """
    file = io.BytesIO()
    with av.open(io.BytesIO(data), "r") as film, av.open(file, "w", format=form) as made:
        into = {stream.index: made.add_stream_from_template(stream) for stream in film.streams}
        found: list[tuple[Fraction, int, av.Packet[Any]]] = []
        for packet in film.demux():
            if packet.dts is None or not kept(packet.stream.type, float((packet.pts or 0) * packet.time_base)):
                continue
            shift = round(Fraction(shifts_s.get(packet.stream.type, 0.0)) / packet.time_base)
            packet.pts, packet.dts = (packet.pts or 0) + shift, packet.dts + shift
            found.append((packet.dts * packet.time_base, len(found), packet))
        n_filled = 0
        for _, _, packet in sorted(found, key=lambda each: each[:2]):
            stream = into[packet.stream.index]
            if filled and n_filled < 4 and stream.type == "video":
                n_filled += 1
                full = av.Packet(bytes(packet) + FILLER)
                full.pts, full.dts, full.time_base = packet.pts, packet.dts, packet.time_base
                full.is_keyframe, packet = packet.is_keyframe, full
            packet.stream = stream
            made.mux(packet)
    return file.getvalue()


def both(form: str = "mp4") -> bytes:
    return film_bytes(numbered(48), form=form, audio=clicks([0.5, 1.5], seconds=2.0))


@pytest.mark.parametrize("name", OUTLASTED)
@pytest.mark.parametrize("tagged", [True, False])
def test_sound_may_outlast_the_pictures(name: str, tagged: bool) -> None:
    data = outlasted(name) if tagged else outlasted(name).replace(b"DURATION", b"DURATIOX")
    video = opened(data)
    assert numbers_of(DecodeFrames().map(video).pixels) == list(range(24))
    assert sound(video).duration_s == pytest.approx(2.0, abs=0.1)
    drawn = DecodeClip(n_frames=8, at="middle").map(video, RNG)
    assert isinstance(drawn, Frames)
    assert numbers_of(drawn.pixels)[-1] == (22 if tagged and name != "flv" else 23)
    with pytest.raises(DecodeError, match="cut short"):
        DecodeFrames().map(opened(data[: len(data) // 3], strict=False))


@pytest.mark.parametrize("name", ["mkv", "webm"])
def test_the_length_of_a_matroska_film_is_that_of_its_pictures(name: str) -> None:
    video = opened(outlasted(name))
    assert video.duration_s == pytest.approx(1.0, abs=0.002)
    assert len(DecodeClip(n_frames=8, at="middle").map(video, RNG).pixels) == 8  # type: ignore[union-attr]
    parts = SplitEvery(length_s=0.5, cut="encode").split(Sample("a", {"video": video}))
    assert not isinstance(parts, Drop)
    assert [len(DecodeFrames().map(part.parts["video"]).pixels) for part in parts] == [12, 12]  # type: ignore[arg-type]
    late = shifted(outlasted(name), "matroska", {"video": 0.5})
    assert opened(late).duration_s == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("method", ["copy", "encode"])
def test_clips_are_in_step_after_a_gap_in_the_sound(method: Method) -> None:
    data = film_bytes(numbered(72), form="matroska", sound_codec="flac", audio=clicks([0.5, 2.5], seconds=3.0))
    video = opened(shifted(data, "matroska", {}, kept=lambda kind, time_s: kind != "audio" or not 1 < time_s < 2))
    assert clicks_of(sound(video)) == pytest.approx([0.5, 2.5], abs=0.002)
    made = clip(video, Span.of(0, 3), method=method)
    assert clicks_of(sound(made)) == pytest.approx([0.5, 2.5], abs=0.002)


def test_a_stream_that_brings_a_track_later_is_read_without_it() -> None:
    silent = film_bytes(numbered(24), form="mpegts")
    first, last = (shifted(silent, "mpegts", {"video": at_s}, filled=True) for at_s in (0.0, 3.0))
    video = opened(first + shifted(both("mpegts"), "mpegts", {"video": 1.0, "audio": 1.0}) + last)
    assert numbers_of(DecodeFrames().map(video).pixels) == [*range(24), *range(48), *range(24)]
    assert DecodeSound().map(video) == Drop("no_sound")
    assert ReadSubtitles().map(video) == Captions(())
    drawn = DecodeClip(n_frames=4, fps=24, at="start", start_s=2.0).map(video, RNG)
    assert isinstance(drawn, Frames)
    assert numbers_of(drawn.pixels) == [24, 25, 26, 27]
    assert max(key_times(video)) >= 3
    for method in ("copy", "encode"):
        made = clip(video, Span.of(0, 1), method=method)
        assert numbers_of(DecodeFrames().map(opened(made.blob.data())).pixels) == list(range(24))


def test_strict_says_where_joined_streams_run_back() -> None:
    video = opened(both("mpegts") * 2)
    with pytest.raises(DecodeError, match=r"its clock runs back from 1\.\d\d to 0\.0\d s, as where files were joined"):
        DecodeFrames().map(video)
    with pytest.raises(DecodeError, match=r"its sound's clock runs back at 2\.0\d s, as where files were joined"):
        DecodeSound().map(video)
    with pytest.raises(DecodeError, match=r"its clock runs back at 1\.\d\d s"):
        DecodeClip(n_frames=100, at="middle").map(video, RNG)
    assert numbers_of(DecodeFrames(strict=False).map(video).pixels)[:48] == list(range(48))
    assert clicks_of(sound(video, strict=False))[:2] == pytest.approx([0.5, 1.5], abs=0.1)
    assert sum(bool(piece.damage) for piece in heard(video)) == 1


def test_times_in_whole_milliseconds_leave_no_gaps() -> None:
    audio = Audio(np.full((1, 44_100), 0.5, np.float32), 44_100)
    video = opened(film_bytes(numbered(24), form="matroska", audio=audio))
    assert sound(video).samples[0, 4410:-4410].min() > 0.3


@pytest.mark.parametrize("name", ["mkv", "webm"])
def test_sound_of_copied_clips_is_not_early(name: str) -> None:
    form = OUTLASTED[name]
    video = opened(film_bytes(numbered(72), audio=clicks([0.4, 1.4, 2.4], seconds=3.0), **form))  # type: ignore[arg-type]
    at = clicks_of(sound(video))
    starts = [time_s for time_s in key_times(video) if all(abs(time_s - click_s) > 0.1 for click_s in at)]
    for start in starts[1:]:
        clicked = clicks_of(sound(clip(video, Span(start, Fraction(3)), method="copy")))
        expected = [click_s for click_s in at if click_s > start]
        assert [float(start) + each for each in clicked] == pytest.approx(expected, abs=0.002)


def test_damaged_sound_costs_the_clips_that_have_it_and_is_silent_where_damage_is_allowed() -> None:
    data = both()
    with av.open(io.BytesIO(data), "r") as film:
        packets = [packet for packet in film.demux(film.streams.audio[0]) if packet.size]
        broken = next(packet for packet in packets if (packet.pts or 0) * packet.time_base >= 1)
        at, size, time_s = broken.pos or 0, broken.size, float((broken.pts or 0) * broken.time_base)
    video = opened(data[:at] + b"\xff" * size + data[at + size :])
    with pytest.raises(DecodeError, match=rf"its sound breaks off at {time_s:.2f} s: FFmpeg can't decode it: \w"):
        clip(video, Span.of(0.5, 2), method="encode").blob.data()
    assert clicks_of(sound(video, strict=False)) == pytest.approx([0.5, 1.5], abs=0.004)
    mended = clip(video, Span.of(0.5, 2), method="encode", strict=False)
    assert clicks_of(sound(mended)) == pytest.approx([0.0, 1.0], abs=0.004)
    before = clip(video, Span.of(0, 0.9), method="encode")
    assert clicks_of(sound(before)) == pytest.approx([0.5], abs=0.002)
    after = clip(video, Span.of(1.25, 2), method="encode")
    assert clicks_of(sound(after)) == pytest.approx([0.25], abs=0.002)
    parts = SplitEvery(length_s=1.0, cut="encode", strict=False).split(Sample("a", {"video": video}))
    assert not isinstance(parts, Drop)
    assert clicks_of(sound(parts[1].parts["video"])) == pytest.approx([0.5], abs=0.004)  # type: ignore[arg-type]


def test_sound_that_begins_late_in_a_stream_is_decoded() -> None:
    plain, video = (
        opened(shifted(both("mpegts"), "mpegts", {"audio": 1.0}, filled=filled)) for filled in (False, True)
    )
    with av.open(video.blob.opened(), "r", format="mpegts") as film:
        assert not film.streams.audio[0].codec_context.sample_rate  # FFmpeg gave up looking for it
    late, early = sound(video), sound(plain)
    assert late.rate_hz == 48_000
    assert clicks_of(late) == pytest.approx(clicks_of(early), abs=0.001)
    made = clip(video, Span.of(1, 2), method="encode")
    assert clicks_of(sound(made)) == pytest.approx([clicks_of(early)[0] - 1], abs=0.002)
