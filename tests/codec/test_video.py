from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.codec.video import DecodeFrames, OpenVideo
from mmdata.codec.video.opening import duration_s
from mmdata.codec.video.passing import Grid
from mmdata.core.sample import Blob, Frames, Video
from mmdata.errors import DecodeError
from mmdata.testing.contracts.steps import Case, StepContract
from mmdata.testing.films import moving_shapes
from mmdata.testing.media import mp4_bytes
from mmdata.testing.pictures import picture

Made = dict[str, bytes]


def opened(data: bytes, **settings: Any) -> Video:
    return OpenVideo(**settings).map(Blob.of(data))


def frames_of(data: bytes, **settings: Any) -> Frames:
    return DecodeFrames(**settings).map(opened(data))


def film() -> bytes:
    return mp4_bytes(moving_shapes(n_frames=8, radius_px=20)[0], fps=8)


class TestOpenVideo(StepContract):
    @pytest.fixture
    def case(self) -> Case:
        return Case(OpenVideo(), Blob.of(film()))


class TestDecodeFrames(StepContract):
    @pytest.fixture
    def case(self) -> Case:
        return Case(DecodeFrames(fps=2, size_px=40), opened(film()))


def test_every_container_is_looked_into(films: Made) -> None:
    codecs = {"mkv": "ffv1", "webm": "vp9", "avi": "mpeg4", "ts": "h264", "mpg": "mpeg2video", "flv": "flv"}
    for name, data in films.items():
        if name == "sound.mp4":
            continue
        video = opened(data)
        assert (video.width, video.height, video.rotation_deg, video.has_audio) == (64, 48, 0, False), name
        assert video.fps == 24, name
        assert video.codec == codecs.get(name, "h264"), name
        # a program stream gives no length; FFmpeg estimates one from its last packets
        assert video.duration_s == pytest.approx(2.0, abs=1.0 if name == "mpg" else 0.05), name
        assert video.n_frames == (48 if name in ("avi", "mov", "mp4") else None), name
        assert video.origin.data() == data, name
    assert opened(films["sound.mp4"]).has_audio


def test_every_container_gives_the_frame_that_is_shown_at_each_time(films: Made) -> None:
    for name, data in films.items():
        if name == "sound.mp4":
            continue
        frames = frames_of(data, fps=6)
        np.testing.assert_allclose(frames.times_s, np.arange(12) / 6)
        assert frames.pixels.shape == (12, 48, 64, 3), name
        levels = frames.pixels.mean(axis=(1, 2, 3))
        np.testing.assert_allclose(
            levels, np.arange(0, 240, 20), atol=4.5, err_msg=name
        )  # frame 4 k has the level 20 k


def test_without_a_rate_every_frame_comes_at_its_own_time(films: Made) -> None:
    for name in ("mp4", "mkv", "ts"):
        frames = frames_of(films[name])
        assert len(frames.pixels) == 48
        np.testing.assert_allclose(frames.times_s, np.arange(48) / 24, atol=0.0006)  # Matroska counts milliseconds


@pytest.mark.parametrize(("fps", "n"), [(1, 2), (0.5, 1), (23.976, 48), (24, 48), (48, 96), (7, 14)])
def test_the_grid_has_a_row_for_each_time_before_the_end(films: Made, fps: float, n: int) -> None:
    frames = frames_of(films["mp4"], fps=fps)
    assert len(frames.times_s) == n
    np.testing.assert_allclose(frames.times_s, np.arange(n) / fps, atol=1e-9)
    levels = frames.pixels.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(levels, 5 * np.floor(np.arange(n) / fps * 24 + 1e-6), atol=3)


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=30),
    st.fractions(min_value=Fraction(1, 3), max_value=60, max_denominator=50),
    st.data(),
)
def test_the_grid_shows_the_last_frame_that_has_begun(steps: list[int], fps: Fraction, data: st.DataObject) -> None:
    times = [Fraction(sum(steps[:at]), 100) for at in range(len(steps) + 1)]
    keys = data.draw(st.lists(st.booleans(), min_size=len(steps), max_size=len(steps)))
    shown: Any = [*zip(times[:-1], keys, range(len(steps)), strict=True), (times[-1], False, None)]
    grid = Grid(fps, Fraction(0))
    rows: Any = [row for each in shown for row in grid.at(*each)]
    assert [row[0] for row in rows] == [Fraction(k) / fps for k in range(len(rows))]
    assert len(rows) == -(-times[-1] * fps // 1)
    last = -1
    for time_s, is_key, frame in rows:
        assert frame == max(at for at in range(len(steps)) if times[at] <= time_s)
        assert is_key == any(keys[last + 1 : frame + 1])
        last = frame


def test_a_key_frame_between_two_rows_is_not_lost() -> None:
    original, _ = moving_shapes(n_frames=16)
    marks = np.zeros(16, bool)
    marks[[0, 5, 11]] = True
    data = mp4_bytes(Frames(original.pixels, original.times_s, marks), fps=8)
    assert np.flatnonzero(frames_of(data).is_key).tolist() == [0, 5, 11]
    assert np.flatnonzero(frames_of(data, fps=2).is_key).tolist() == [0, 2, 3]  # rows show frames 0, 4, 8, 12


@pytest.mark.parametrize(
    ("turn_deg", "rotation_deg", "black"), [(90, 270, [1, 0]), (180, 180, [1, 1]), (-90, 90, [0, 1])]
)
def test_frames_are_turned_as_a_player_shows_them(
    turned_films: dict[int, bytes], turn_deg: int, rotation_deg: int, black: list[int]
) -> None:
    """FFmpeg's angles are counter-clockwise, ours clockwise."""
    video = opened(turned_films[turn_deg])
    shape = (48, 64) if turn_deg == 180 else (64, 48)
    assert (video.rotation_deg, video.height, video.width) == (rotation_deg, *shape)
    pixels = DecodeFrames().map(video).pixels[40]
    assert pixels.shape[:2] == shape
    corners = np.array([[pixels[5, 5, 0], pixels[5, -5, 0]], [pixels[-5, 5, 0], pixels[-5, -5, 0]]])
    assert np.argwhere(corners < 50).tolist() == [black]
    assert DecodeFrames(size_px=32).map(video).pixels.shape[1:3] == tuple(side // 2 for side in shape)


@pytest.mark.parametrize(
    ("size_px", "size"), [(None, (64, 48)), (65, (64, 48)), (64, (64, 48)), (32, (32, 24)), (1, (1, 1))]
)
def test_frames_are_scaled_down_to_their_longest_side(films: Made, size_px: int | None, size: tuple[int, int]) -> None:
    frames = frames_of(films["mp4"], fps=1, size_px=size_px)
    assert frames.pixels.shape[2:0:-1] == size


def test_scaling_averages() -> None:
    """Within two levels of the mean of 4 x 4 blocks: libswscale's area filter also overlaps neighbours."""
    coarse = np.repeat(np.repeat(picture(20, 15).pixels, 8, axis=0), 8, axis=1)
    data = mp4_bytes(Frames(coarse[None], np.zeros(1), np.ones(1, bool)), fps=8, crf=1)
    small = frames_of(data, size_px=40).pixels[0].astype(int)
    blocks = frames_of(data).pixels[0].reshape(30, 4, 40, 4, 3).mean(axis=(1, 3))
    assert np.abs(small - blocks).mean() < 2


@pytest.mark.parametrize("name", ["mkv", "webm", "avi", "mov", "mp4"])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.8])
def test_what_is_cut_short_is_refused(films: Made, name: str, share: float) -> None:
    data = films[name]
    with pytest.raises(DecodeError, match="cut short"):
        opened(data[: int(len(data) * share)])


def test_a_film_that_ends_before_its_header_says_is_refused_while_decoding(films: Made) -> None:
    data = films["mkv"]
    video = opened(data[: len(data) // 2], strict=False)
    with pytest.raises(DecodeError, match=r"it is cut short: it ends at 0\.\d+ s of 2\.00"):
        DecodeFrames().map(video)
    assert 5 < len(DecodeFrames(strict=False).map(video).pixels) < 40


def test_limits_hold_on_both_sides(films: Made) -> None:
    data = films["mp4"]
    assert opened(data, max_s=2.0, max_pixels=64 * 48, max_frames=48, max_bytes=len(data)).width == 64
    tight = {"max_s": 1.99, "max_pixels": 64 * 48 - 1, "max_frames": 47, "max_bytes": len(data) - 1}
    for setting, limit in tight.items():
        with pytest.raises(DecodeError, match=setting):
            opened(data, **{setting: limit})
    video = opened(data)
    assert len(DecodeFrames(max_frames=48, max_bytes=48 * 64 * 48 * 3).map(video).pixels) == 48
    with pytest.raises(DecodeError, match=r"48 frames at this rate, and max_frames is 47"):
        DecodeFrames(max_frames=47).map(video)
    with pytest.raises(DecodeError, match=r"max_bytes is 442,367"):
        DecodeFrames(max_bytes=48 * 64 * 48 * 3 - 1).map(video)


def test_more_frames_than_promised_are_kept_within_the_limit(films: Made) -> None:
    short = Video(Blob.of(films["mp4"]), width=64, height=48, fps=24, duration_s=0.1)
    assert len(DecodeFrames().map(short).pixels) == 48
    with pytest.raises(DecodeError, match="max_frames is 20"):
        DecodeFrames(max_frames=20).map(short)


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (b"", "a.mp4", "it is empty"),
        (b"<html>not found</html>", "a.mp4", r"no film that is decoded here: it is named \.mp4 but holds HTML"),
        (b"RIFF\0\0\0\0WAVEfmt ", "a.avi", "holds audio/wav"),
        (b"\0\0\0\x10ftypisom\0\0\0\0", "a.mp4", "it is cut short: it has no moov box"),
        ((b"\x47" + bytes(187)) * 5, "a.ts", "FFmpeg can't decode it|no picture track|no frame"),
    ],
)
def test_what_is_no_film_is_named(data: bytes, name: str, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        OpenVideo().map(Blob.of(data, name=name))


def test_a_container_of_sound_alone_is_no_film(sounds: Made) -> None:
    with pytest.raises(DecodeError, match="it has no picture track"):
        opened(sounds["m4a"])


@pytest.mark.parametrize(
    ("own_s", "whole_s", "expected"), [(5, 3, 3), (3, 5, 3), (None, 3, 3), (3, None, 3), (None, None, None)]
)
def test_an_edit_list_may_make_the_whole_shorter_than_its_track(
    own_s: int | None, whole_s: int | None, expected: int | None
) -> None:
    container: Any = SimpleNamespace(duration=None if whole_s is None else whole_s * 1_000_000)
    stream: Any = SimpleNamespace(
        duration=None if own_s is None else own_s * 24, time_base=Fraction(1, 24), metadata={}
    )
    assert duration_s(container, stream) == expected
