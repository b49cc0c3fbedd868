"""Clips of films whose frames show their numbers, and whose sound clicks at known times."""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, get_args

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.codec.audio import DecodeAudio
from mmdata.codec.encode import encode
from mmdata.codec.video import DecodeFrames, OpenVideo
from mmdata.codec.video.cutting import Method, _with_dts, clip, is_copied, key_times
from mmdata.core.sample import Blob, Frames, Video
from mmdata.core.spans import Span, TimeMap
from mmdata.errors import DecodeError
from mmdata.testing.films import clicks, clicks_of, film_bytes, looped, moving_shapes, numbered, numbers_of

CLICKS = [0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75]
FILMS: dict[str, dict[str, Any]] = {
    "mp4": {"options": {"bf": "3"}},
    "open.mp4": {"options": {"bf": "3", "x264-params": "open-gop=1"}},
    "mov": {"form": "mov"},
    "mkv": {"form": "matroska", "options": {"bf": "2"}, "sound_codec": "flac"},
    "webm": {"form": "webm", "codec": "libvpx-vp9", "options": {"cpu-used": "8"}, "sound_codec": "libopus"},
    "ts": {"form": "mpegts", "options": {"bf": "2"}},
    "flv": {"form": "flv", "codec": "flv1", "sound_codec": "mp3"},
    "avi": {"form": "avi", "codec": "mpeg4", "sound_codec": "mp3"},
    "mpg": {"form": "mpeg", "codec": "mpeg2video", "options": {"bf": "2"}, "sound_codec": "mp2"},
}
METHODS: tuple[Method, ...] = get_args(Method)


@cache
def film(name: str = "mp4") -> Video:
    rate_hz = 44_100 if FILMS[name].get("sound_codec") == "mp3" else 48_000
    audio = clicks(CLICKS, seconds=4.0, rate_hz=rate_hz)
    return OpenVideo().map(Blob.of(film_bytes(numbered(96), audio=audio, **FILMS[name])))


@cache
def whole(name: str) -> Frames:
    return DecodeFrames().map(film(name))


def shown(video: Video) -> tuple[list[int], np.ndarray]:
    """The numbers of a clip's frames, and when they are shown on its own clock: by its bytes alone."""
    frames = DecodeFrames().map(OpenVideo().map(video.blob))
    return numbers_of(frames.pixels), frames.times_s


@pytest.mark.parametrize("name", FILMS)
@pytest.mark.parametrize("method", METHODS)
def test_a_clip_has_the_frames_and_the_sound_of_its_span(name: str, method: Method) -> None:
    video = film(name)
    keys = key_times(video)
    span = Span.of(keys[2], keys[4]) if method == "copy" else Span.of(keys[1] + Fraction(5, 24), Fraction(61, 24))
    cut = clip(video, span, method=method)
    numbers, times_s = shown(cut)
    at_s = whole(name).times_s + 1e-4
    first_s, last_s = float(span.start_s), float(span.end_s)
    inside = np.flatnonzero((at_s < last_s) & (np.append(at_s[1:], 9) > first_s + 2e-4))
    assert numbers == [numbers_of(whole(name).pixels)[index] for index in inside]
    early = 0.03 if name == "flv" and method == "copy" else 0.002  # FLV can't say that its sound begins before
    np.testing.assert_allclose(times_s[1:], whole(name).times_s[inside][1:] - float(span.start_s), atol=early)
    heard = clicks_of(DecodeAudio().map(cut.blob))
    begun = clicks_of(DecodeAudio().map(video.blob))
    assert len(heard) >= 2
    expected = [time_s - float(span.start_s) for time_s in begun if span.start_s <= time_s < span.end_s - 0.01]
    assert heard == pytest.approx(expected, abs=early + 0.002)


def test_a_clip_says_where_it_lay() -> None:
    video = film()
    first = clip(video, Span.of(1, 3), method="encode")
    second = clip(OpenVideo().map(first.blob), Span.of(Fraction(1, 2), 1), method="encode")
    assert first.time_map == TimeMap.identity(4).cut(1, 3)
    assert (first.duration_s, first.codec, first.has_audio) == (2.0, "h264", True)
    nested = clip(first, Span.of(Fraction(1, 2), 1), method="encode")
    assert nested.clock.to_source(0) == Fraction(3, 2)
    assert shown(nested)[0] == shown(second)[0] == list(range(36, 48))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["ts", "flv"])
def test_a_clip_that_is_stored_is_what_a_reader_of_its_bytes_finds(name: str, method: Method) -> None:
    cut = clip(film(name), Span.of(*key_times(film(name))[1:3]), method=method)
    stored = encode(cut, "auto")
    assert isinstance(stored.as_read, Video)
    assert vars(stored.as_read) == vars(replace(OpenVideo().map(cut.blob), time_map=cut.time_map))
    assert stored.as_read.duration_s != cut.duration_s


def test_frames_of_a_clip_have_the_times_of_its_film() -> None:
    cut = clip(film(), Span.of(Fraction(3, 2), 3), method="encode")
    frames = DecodeFrames(fps=4, size_px=32).map(cut)
    assert frames.times_s.tolist() == [1.5, 1.75, 2.0, 2.25, 2.5, 2.75]
    assert numbers_of(frames.pixels) == [36, 42, 48, 54, 60, 66]
    assert frames.space_map.to_source(np.array([[32.0, 24.0]])).tolist() == [[64.0, 48.0]]


def test_packets_without_a_time_of_decoding_get_one_before_the_next() -> None:
    stream: Any = SimpleNamespace(index=0, average_rate=Fraction(25), time_base=Fraction(1, 1000))
    given = [(0, None), (120, None), (40, None), (80, 40), (160, 80)]
    packets: list[Any] = [SimpleNamespace(stream=stream, pts=pts, dts=dts) for pts, dts in given]
    assert [packet.dts for packet in _with_dts(iter(packets), stream)] == [-80, -40, 0, 40, 80]
    lost: list[Any] = [SimpleNamespace(stream=stream, pts=pts, dts=None) for pts in (0, 80, 40)]
    assert [packet.dts for packet in _with_dts(iter(lost), stream)] == [-80, -40, 0]


def test_neighbours_share_every_frame_between_them() -> None:
    for name in ("mp4", "mkv", "ts"):
        keys = [*key_times(film(name)), Fraction(5)]
        numbers = [shown(clip(film(name), Span.of(*pair), method="copy"))[0] for pair in pairwise(keys)]
        assert [number for each in numbers for number in each] == list(range(96)), name


def test_frames_that_need_the_next_key_frame_are_in_no_clip() -> None:
    options = {"bf": "4", "x265-params": "log-level=none:open-gop=1:scenecut=0:b-adapt=0"}
    video = OpenVideo().map(Blob.of(film_bytes(numbered(40), codec="libx265", gop=10, options=options)))
    cut = clip(video, Span.of(*key_times(video)[:2]), method="copy")
    numbers, _ = shown(cut)  # which is strict: what it says of its length holds
    assert numbers == list(range(6))  # the four before the key frame are made from it


@pytest.mark.parametrize("form", ["mp4", "matroska", "mpegts"])
def test_copies_begin_where_nothing_before_is_needed(form: str) -> None:
    """H.264 in open groups: only the first I-frame is an IDR, so that a film of two such has one in its middle."""
    options = {"bf": "2", "x264-params": "open-gop=1:keyint=8:min-keyint=8:scenecut=0:bframes=2"}
    once = OpenVideo().map(Blob.of(film_bytes(numbered(48), options=options)))
    assert key_times(once) == [Fraction(number, 3) for number in range(6)]  # there are no others
    data = looped(once.blob.data(), 2)
    twice = OpenVideo().map(Blob.of(data if form == "mp4" else remuxed(data, form)))
    assert [round(float(time_s), 2) for time_s in key_times(twice)] == [0, 2]
    for span in (Span.of(0, 2), Span.of(key_times(twice)[1], 4)):
        assert shown(clip(twice, span, method="copy"))[0] == list(range(48))


def remuxed(film: bytes, form: str) -> bytes:
    """The pictures of a film in another container."""
    file = io.BytesIO()
    with av.open(io.BytesIO(film), "r") as read, av.open(file, "w", format=form) as made:
        stream = made.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(read.streams.video[0]):
            if packet.size:
                packet.stream = stream
                made.mux(packet)
    return file.getvalue()


@given(st.integers(0, 94), st.integers(1, 96))
@settings(deadline=None, max_examples=15)
def test_exact_clips_have_their_frames_whatever_the_span(first: int, length: int) -> None:
    last = min(96, first + length)
    cut = clip(film(), Span.of(Fraction(first, 24), Fraction(last, 24)), method="encode")
    assert shown(cut)[0] == list(range(first, last))


def test_frames_at_uneven_times_keep_them() -> None:
    ticks = np.cumsum([0, 1, 5, 2, 40, 1, 1, 20, 3, 30, 1, 7])
    video = OpenVideo(strict=False).map(Blob.of(film_bytes(numbered(12), ticks=ticks, gop=4)))
    start = Fraction(int(ticks[3]), 24)
    numbers, times_s = shown(clip(video, Span.of(start, 5), method="encode"))
    assert numbers == list(range(3, 12))
    np.testing.assert_allclose(times_s, (ticks[3:] - ticks[3]) / 24, atol=1e-3)


def test_what_is_shown_when_a_clip_begins_is_its_first_frame() -> None:
    numbers, times_s = shown(clip(film(), Span.of(Fraction(101, 240), 1), method="encode"))  # within frame 10
    assert numbers == list(range(10, 24))
    assert times_s[:2] == pytest.approx([0, 11 / 24 - 101 / 240], abs=1e-3)


@pytest.mark.parametrize("turn_deg", [90, 180, -90])
@pytest.mark.parametrize("method", METHODS)
def test_clips_are_shown_upright(turn_deg: int, method: Method) -> None:
    video = OpenVideo().map(Blob.of(film_bytes(moving_shapes(24, 64, 48)[0], turn_deg=turn_deg, options={"crf": "8"})))
    cut = OpenVideo().map(clip(video, Span.of(Fraction(1, 2), 1), method=method).blob)
    assert (cut.width, cut.height) == (video.width, video.height)
    assert cut.rotation_deg == (video.rotation_deg if method == "copy" else 0)
    expected = DecodeFrames().map(video).pixels[12:].astype(float)
    assert np.abs(DecodeFrames().map(cut).pixels - expected).mean() < 4


@pytest.mark.parametrize("size", [(47, 31), (2, 2), (64, 48)])
def test_any_size_can_be_encoded(size: tuple[int, int]) -> None:
    frames = moving_shapes(12, *size)[0]
    video = OpenVideo().map(Blob.of(film_bytes(frames, form="matroska", codec="ffv1")))
    cut = DecodeFrames().map(OpenVideo().map(clip(video, Span.of(0, 1), method="encode", crf=4).blob))
    assert cut.pixels.shape == (12, size[1], size[0], 3)
    assert np.abs(cut.pixels.astype(float) - DecodeFrames().map(video).pixels).mean() < 6


def test_the_same_clip_has_the_same_bytes() -> None:
    for method in METHODS:
        one, other = (clip(film(), Span.of(1, 2), method=method).blob.data() for _ in range(2))
        assert one == other


def test_bytes_are_made_when_they_are_asked_for() -> None:
    video = clip(Video(Blob.of(film().blob.data()), 64, 48, 24.0, 4.0), Span.of(1, 2), method="copy")
    assert not video.blob.is_read
    assert video.blob.data() is video.blob.data()


def test_films_that_time_not_every_frame_are_encoded() -> None:
    assert [name for name in FILMS if not is_copied(film(name))] == ["avi", "mpg"]


@pytest.mark.parametrize("method", METHODS)
def test_a_clip_of_nothing_or_of_what_is_damaged_is_a_fault_of_the_film(method: Method) -> None:
    with pytest.raises(DecodeError):
        clip(film(), Span.of(7, 8), method=method).blob.data()
    broken = bytearray(film().blob.data())
    broken[len(broken) // 6 : len(broken) // 2] = bytes(len(broken) // 2 - len(broken) // 6)
    video = Video(Blob.of(bytes(broken)), 64, 48, 24.0, 4.0)
    with suppress(DecodeError):  # copied damage may well be found by who decodes it
        DecodeFrames(strict=False).map(OpenVideo().map(clip(video, Span.of(0, 3), method=method).blob))


def test_a_film_without_sound_stays_without() -> None:
    video = OpenVideo().map(Blob.of(film_bytes(numbered(48))))
    for method in METHODS:
        assert not OpenVideo().map(clip(video, Span.of(0, 1), method=method).blob).has_audio
