from __future__ import annotations

import io
from functools import cache
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.codec.video import DecodeClip, DecodeFrames, OpenVideo
from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Blob, Frames, Video
from mmdata.core.step import Drop
from mmdata.errors import DecodeError
from mmdata.testing.contracts.steps import Case, StepContract
from mmdata.testing.pictures import drift

ANY = ArraySpec(dims=("time", "height", "width", "channel"), sizes={"channel": 3}, dtype="uint8")
KINDS = {
    "mkv": ("matroska", "libx264", {"bf": "3"}),
    "open.mp4": ("mp4", "libx264", {"bf": "3", "x264-params": "open-gop=1"}),
    "refreshed.mp4": ("mp4", "libx264", {"x264-params": "intra-refresh=1"}),
    "ts": ("mpegts", "libx264", {"bf": "2"}),
    "mpg": ("mpeg", "mpeg2video", {"bf": "2"}),
    "avi": ("avi", "mpeg4", {"bf": "2"}),
    "webm": ("webm", "libvpx-vp9", {"cpu-used": "8"}),
    "flv": ("flv", "flv1", {}),
}


@cache
def film(name: str = "mkv", *, gop: int = 24, times: tuple[int, ...] = (), turn_deg: int = 0) -> bytes:
    """240 frames at 24 a second, each unlike all others, a key frame each second; or frames at given 24ths."""
    import av
    from av.video.stream import VideoStream

    form, codec, options = KINDS[name]
    file = io.BytesIO()
    with av.open(file, "w", format=form, options={"fflags": "+bitexact"}) as container:
        stream = cast(VideoStream, container.add_stream(codec, rate=24, options={"g": str(gop), **options}))
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.codec_context.thread_count, stream.codec_context.gop_size = 1, gop
        if turn_deg:
            stream.set_display_rotation(turn_deg)
        for number, at in enumerate(times or range(240)):
            pixels = drift(48, 32, shift_px=(1.5 * number, 0.3 * number))
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = at
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


@cache
def opened(data: bytes) -> Video:
    return OpenVideo(strict=False).map(Blob.of(data))


@cache
def whole(data: bytes, fps: float | None = None) -> Frames:
    return DecodeFrames(fps=fps).map(opened(data))


def clip(data: bytes, *, seed: int = 0, **settings: Any) -> Frames:
    found = DecodeClip(**settings).map(opened(data), np.random.default_rng(seed))
    assert isinstance(found, Frames)
    return found


class TestDecodeClip(StepContract):
    @pytest.fixture
    def case(self) -> Case:
        return Case(DecodeClip(n_frames=4, fps=4, size_px=40, end_s=9), opened(film()), others={"end_s": 7})


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1 << 32), fps=st.sampled_from([3, 10, 24, 60]), n_frames=st.integers(1, 12))
def test_a_clip_has_the_frames_of_the_whole_film(name: str, seed: int, fps: float, n_frames: int) -> None:
    everything, found = whole(film(name), fps), clip(film(name), seed=seed, fps=fps, n_frames=n_frames)
    rows = np.rint(found.times_s * fps).astype(int)
    assert (np.diff(rows) == 1).all()
    assert len(rows) == n_frames
    inside = rows[rows < len(everything.pixels)]  # a length that the container guesses may be a frame too long
    assert (found.pixels[: len(inside)] == everything.pixels[inside]).all()
    assert (found.times_s[: len(inside)] == everything.times_s[inside]).all()
    assert (found.is_key[1 : len(inside)] == everything.is_key[inside[1:]]).all()


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("gop", [24, 240])
def test_frames_spread_over_a_film_are_those_shown_then(name: str, gop: int) -> None:
    data = film(name, gop=gop)
    everything = whole(data)
    for at, share in (("start", 0.0), ("middle", 0.5)):
        found = clip(data, n_frames=4, at=at, end_s=9.0)
        assert found.times_s == pytest.approx([(part + share) * 9 / 4 for part in range(4)])
        for time_s, pixels in zip(found.times_s, found.pixels, strict=True):
            shown = max(0, np.searchsorted(everything.times_s, time_s + 1e-3) - 1)
            assert (pixels == everything.pixels[shown]).all()


def test_each_generator_draws_times_of_its_own() -> None:
    starts = {clip(film(), seed=seed, fps=8, n_frames=8).times_s[0] for seed in range(40)}
    assert len(starts) > 20
    assert min(starts) >= 0
    assert max(starts) <= 9
    spread = [clip(film(), seed=seed, n_frames=5).times_s for seed in range(20)]
    assert len({tuple(times_s) for times_s in spread}) == 20
    assert all((times_s // 2 == np.arange(5)).all() for times_s in spread)  # one in each fifth of ten seconds


@pytest.mark.parametrize(
    ("start_s", "end_s", "at", "first_s"), [(2, 6, "start", 2), (2, 6, "middle", 3.5), (5, None, "middle", 7)]
)
def test_a_stretch_bounds_what_is_drawn(start_s: float, end_s: float | None, at: str, first_s: float) -> None:
    assert clip(film(), fps=8, n_frames=8, start_s=start_s, end_s=end_s, at=at).times_s[0] == first_s
    for seed in range(10):
        times_s = clip(film(), seed=seed, fps=8, n_frames=8, start_s=start_s, end_s=end_s).times_s
        assert start_s <= times_s[0] < times_s[-1] < (end_s or 10)


def test_a_film_shorter_than_the_clip_gives_what_it_has_or_begins_anew_or_is_dropped() -> None:
    asked: dict[str, Any] = {"fps": 2, "n_frames": 50}
    kept = clip(film(), short="keep", **asked)
    assert kept.times_s.tolist() == [k / 2 for k in range(20)]
    repeated = clip(film(), short="repeat", **asked)
    assert repeated.times_s.tolist() == [k % 20 / 2 for k in range(50)]
    assert (repeated.pixels == kept.pixels[np.arange(50) % 20]).all()
    assert DecodeClip(short="drop", **asked).map(opened(film()), np.random.default_rng(0)) == Drop("too_short")
    assert DecodeClip(start_s=11).map(opened(film()), np.random.default_rng(0)) == Drop("too_short")


def test_the_promised_length_says_whether_it_varies() -> None:
    assert DecodeClip(fps=4, short="keep").spec_given(ANY) == ANY
    assert DecodeClip(fps=4, n_frames=7).spec_given(ANY) == ANY.fixed(time=7)
    assert DecodeClip(n_frames=7, short="keep").spec_given(ANY) == ANY.fixed(time=7)


def test_frames_of_a_varying_rate_come_at_their_own_times() -> None:
    times = tuple(np.cumsum([1, 5, 2, 40, 1, 1, 90, 3, 30, 1] * 3).tolist())
    data = film(times=times, gop=3)
    everything = whole(data, 12)
    for seed in range(10):
        found = clip(data, seed=seed, fps=12, n_frames=6)
        rows = np.rint(found.times_s * 12).astype(int)
        assert (found.pixels == everything.pixels[rows]).all()


@pytest.mark.parametrize("turn_deg", [90, 180, -90])
def test_clips_are_turned_and_scaled_as_whole_films_are(turn_deg: int) -> None:
    data = film("open.mp4", turn_deg=turn_deg)
    expected = DecodeFrames(fps=6, size_px=20).map(opened(data))
    found = clip(data, fps=6, size_px=20, n_frames=3, at="middle")
    assert found.pixels.shape[1:] == ((13, 20, 3) if turn_deg == 180 else (20, 13, 3))
    assert (found.pixels == expected.pixels[np.rint(found.times_s * 6).astype(int)]).all()


def test_a_film_without_a_length_is_measured_by_its_packets() -> None:
    video = opened(film())
    lengthless = Video(video.blob, width=48, height=32, fps=24, duration_s=0.0)
    found = DecodeClip(n_frames=5, at="start").map(lengthless, np.random.default_rng(0))
    assert isinstance(found, Frames)
    assert found.times_s == pytest.approx([0, 2, 4, 6, 8], abs=0.01)


@pytest.mark.parametrize("name", ["mkv", "ts", "avi"])
def test_a_film_that_was_cut_is_refused_where_the_clip_is_missing(name: str) -> None:
    data, promised = film(name), opened(film(name))
    cut = Blob.of(data[: len(data) // 2])
    video = Video(cut, width=48, height=32, fps=24, duration_s=promised.duration_s)
    with pytest.raises(DecodeError):
        DecodeClip(fps=8, n_frames=4, start_s=9).map(video, np.random.default_rng(0))
    lenient = DecodeClip(fps=8, n_frames=4, start_s=9, strict=False).map(video, np.random.default_rng(0))
    assert isinstance(lenient, Frames)
    assert len(lenient.pixels) == 4  # the last frame that is there, held


@pytest.mark.parametrize("data", [b"", b"\x1aE\xdf\xa3" + bytes(200), b"no film at all"])
def test_what_is_no_film_is_a_fault_of_the_film(data: bytes) -> None:
    video = Video(Blob.of(data), width=48, height=32, fps=24, duration_s=1.0)
    with pytest.raises(DecodeError):
        DecodeClip().map(video, np.random.default_rng(0))


def test_memory_is_bounded_before_anything_is_decoded() -> None:
    step = DecodeClip(n_frames=10, fps=10, max_bytes=10 * 48 * 32 * 3)
    assert step.n_bytes(opened(film())) == step.max_bytes
    assert isinstance(step.map(opened(film()), np.random.default_rng(0)), Frames)
    huge = Video(Blob.of(b""), width=48, height=33, fps=24, duration_s=1.0)
    with pytest.raises(DecodeError, match=r"max_bytes is 46,080"):
        step.map(huge, np.random.default_rng(0))


def test_an_empty_stretch_is_a_fault_of_the_settings() -> None:
    with pytest.raises(ValueError, match=r"end_s must be after start_s: 2 <= 3"):
        DecodeClip(start_s=3, end_s=2)


def test_few_frames_are_decoded_of_a_long_film(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[object] = []
    from mmdata.codec.video import clips

    decoded = clips._Reader._decoded

    def counted(reader: Any, **settings: Any) -> Any:
        for timed in decoded(reader, **settings):
            read.append(timed)
            yield timed

    monkeypatch.setattr(clips._Reader, "_decoded", counted)
    clip(film(), fps=24, n_frames=3, start_s=8.2, at="start")
    assert len(read) < 24 + 3 + 2  # a second up to the next key frame, not the eight before it
