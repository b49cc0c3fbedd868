"""One decoding for many views: the same frames as alone, damage told by its second, and what was decoded counted."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mmdata.codec.video import BrokenOff, DecodeFrames, OpenVideo, decoded, tally
from mmdata.codec.video.scaling import Planes, Scaler
from mmdata.core.rng import rng_for
from mmdata.core.sample import Blob, Frames, Video
from mmdata.core.watch import View
from mmdata.errors import DecodeError
from mmdata.testing.films import moving_shapes
from mmdata.testing.media import film_bytes, mp4_bytes

EVERY = View()


def opened(data: bytes, *, strict: bool = True) -> Video:
    return OpenVideo(strict=strict).map(Blob.of(data))


def shown(video: Video, views: Sequence[View], **settings: bool | int) -> dict[View, Frames]:
    """All frames of each view, put together."""
    chunks: dict[View, list[Frames]] = {view: [] for view in views}
    for view, frames in decoded(video, views, **settings):  # type: ignore[arg-type]
        chunks[view].append(frames)
    return {view: joined(each) for view, each in chunks.items()}


def joined(chunks: Sequence[Frames]) -> Frames:
    pixels, times_s, is_key = ([getattr(chunk, name) for chunk in chunks] for name in ("pixels", "times_s", "is_key"))
    return Frames(np.concatenate(pixels), np.concatenate(times_s), np.concatenate(is_key))


def film(n_frames: int = 24, keys: Sequence[int] = (0, 9, 17), *, fps: int = 8) -> bytes:
    frames, _ = moving_shapes(n_frames, 96, 64, camera_px=(2, 1), fps=fps)
    return mp4_bytes(Frames(frames.pixels, frames.times_s, np.isin(np.arange(n_frames), keys)), fps=fps)


def same(first: Frames, second: Frames) -> None:
    for name in ("pixels", "times_s", "is_key"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


def test_views_of_one_pass_are_what_each_gives_alone() -> None:
    video = opened(film())
    small, grey = View(size_px=40), View(size_px=40, grey=True)
    views = [EVERY, View(fps=3), View(fps=5, size_px=40), small, grey, View(keys_only=True)]
    together = shown(video, views)
    assert [len(together[view].times_s) for view in views] == [24, 9, 15, 24, 24, 3]
    for view in views:
        same(together[view], shown(video, [view])[view])
        same(together[view], shown(video, [view, view], chunk_bytes=1)[view])


@pytest.mark.parametrize("view", [EVERY, View(fps=3), View(fps=20, size_px=40), View(size_px=50)])
def test_left_to_libswscale_they_are_what_decode_frames_gives(view: View) -> None:
    video = opened(film())
    view = replace(view, by_planes=False)
    same(shown(video, [view])[view], DecodeFrames(fps=view.fps, size_px=view.size_px).map(video))


def test_a_chunk_is_bounded_and_new() -> None:
    chunks = [frames.pixels for _, frames in decoded(opened(film()), [EVERY], chunk_bytes=5 * 96 * 64 * 3 + 1)]
    assert [len(chunk) for chunk in chunks] == [5, 5, 5, 5, 4]
    assert not any(np.shares_memory(chunks[0], chunk) for chunk in chunks[1:])


def test_small_pictures_are_averages_in_the_films_own_colours() -> None:
    """Against averages of what libswscale makes at full size, which truncates where we round."""
    frames, _ = moving_shapes(2, 160, 96, camera_px=(3, 0))
    video = opened(mp4_bytes(frames, crf=1))
    exact = DecodeFrames().map(video).pixels[0]
    for size_px in (80, 50, 20):
        small = shown(video, [View(size_px=size_px)])[View(size_px=size_px)].pixels[0]
        expected = cv2.resize(exact, small.shape[1::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(small.astype(int) - expected).mean() < 4
        assert abs((small.astype(int) - expected).mean()) < 2.5
        grey = shown(video, [View(size_px=size_px, grey=True)])[View(size_px=size_px, grey=True)].pixels[0]
        assert grey.shape == (*small.shape[:2], 1)
        luma = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        assert np.abs(grey[..., 0].astype(int) - luma).mean() < 1.5


@pytest.mark.parametrize("size_px", [96, 80, 40])
def test_sampled_pictures_are_bilinear_samples_of_the_whole_ones(size_px: int) -> None:
    """To within the rounding of colours, of which libswscale truncates some; small chroma is sampled by itself."""
    video = opened(film(4, keys=(0,)))
    view = View(size_px=size_px, sampled=True)
    found = shown(video, [EVERY, view])
    for whole, small in zip(found[EVERY].pixels, found[view].pixels, strict=True):
        expected = cv2.resize(whole, small.shape[1::-1], interpolation=cv2.INTER_LINEAR).astype(int)
        assert np.abs(small - expected).mean() < (3.5 if size_px == 40 else 1e-6)


@pytest.mark.parametrize("colorspace", [1, 5, 9])
@pytest.mark.parametrize("color_range", [1, 2])
@pytest.mark.parametrize("levels", [(16, 128, 128), (235, 128, 128), (120, 90, 200), (90, 200, 100)])
def test_colours_are_those_of_libswscale(colorspace: int, color_range: int, levels: tuple[int, int, int]) -> None:
    import av

    sizes = ((48, 64), (24, 32), (24, 32))
    planes = [np.full(size, level, np.uint8).reshape(-1, 64) for level, size in zip(levels, sizes, strict=True)]
    frame = av.VideoFrame.from_ndarray(np.concatenate(planes), format="yuv420p")
    frame.color_range, frame.colorspace = color_range, colorspace
    ours = Planes(frame).rgb((16, 12))[3, 3].astype(int)
    theirs = Scaler((64, 48), 0)(frame)[20, 20].astype(int)
    assert np.abs(ours - theirs).max() <= 2
    grey = int(Planes(frame).luma((16, 12))[3, 3])
    assert grey == (levels[0] if color_range == 2 else min(255, round((levels[0] - 16) * 255 / 219)))


@pytest.mark.parametrize("turn_deg", [90, 180, -90])
def test_small_and_grey_pictures_are_turned_too(turned_films: dict[int, bytes], turn_deg: int) -> None:
    video = opened(turned_films[turn_deg])
    views = [EVERY, View(size_px=32), View(size_px=32, grey=True)]
    whole, small, grey = (frames.pixels[40].astype(int) for frames in shown(video, views).values())
    halves = whole.reshape(whole.shape[0] // 2, 2, whole.shape[1] // 2, 2, 3).mean(axis=(1, 3))
    assert small.shape == halves.shape == (*grey.shape[:2], 3)
    assert np.abs(small - halves).mean() < 3
    assert np.abs(grey - halves).mean() < 4


def test_key_frames_alone_are_decoded_where_nobody_wants_others() -> None:
    video = opened(film())
    tally.take()
    keys = shown(video, [View(keys_only=True), View(keys_only=True, size_px=40)])[View(keys_only=True)]
    assert keys.times_s.tolist() == [0, 9 / 8, 17 / 8]
    assert keys.is_key.all()
    assert tally.take() == tally.Decoded(streams=1, passes=1, frames=3)
    same(keys, shown(video, [View(keys_only=True), View(fps=1)])[View(keys_only=True)])
    assert tally.take() == tally.Decoded(streams=1, passes=1, frames=24)


@pytest.mark.parametrize("name", ["mkv", "webm", "avi", "mov", "ts", "mpg", "flv", "mp4"])
def test_key_frames_are_the_same_decoded_alone_and_with_others(films: dict[str, bytes], name: str) -> None:
    video = opened(films[name])
    alone = shown(video, [View(keys_only=True)])[View(keys_only=True)]
    among = shown(video, [EVERY, View(keys_only=True)])[View(keys_only=True)]
    same(alone, among)
    assert 0 < len(alone.times_s) < 48


def test_what_is_left_early_is_counted_once() -> None:
    video = opened(film())
    tally.take()
    chunks = decoded(video, [EVERY], chunk_bytes=1)
    next(chunks)
    chunks.close()
    assert tally.take().passes == 1


# --- films that are not as they should be


def test_variable_rates_lie_on_their_own_clock_and_on_a_grid() -> None:
    frames, _ = moving_shapes(12, 96, 64, camera_px=(2, 0))
    times_s = np.cumsum([0, 1, 1, 5, 1, 2, 8, 1, 1, 1, 3, 2]) / 25
    video = opened(film_bytes(Frames(frames.pixels, times_s, np.arange(12) == 0)))
    found = shown(video, [EVERY, View(fps=5)])
    np.testing.assert_allclose(found[EVERY].times_s, times_s, atol=1e-3)
    rows = np.searchsorted(times_s, found[View(fps=5)].times_s + 1e-3, side="right") - 1
    assert rows.tolist()[:5] == [0, 2, 5, 5, 8]
    np.testing.assert_array_equal(found[View(fps=5)].pixels, found[EVERY].pixels[rows])


@pytest.mark.parametrize(("codec", "pix_fmt"), [("libx264", "yuv420p10le"), ("ffv1", "yuv422p10le")])
def test_ten_bits_are_read_as_eight(codec: str, pix_fmt: str) -> None:
    frames, _ = moving_shapes(6, 96, 64, camera_px=(2, 0))
    data = film_bytes(frames, form="matroska", codec=codec, pix_fmt=pix_fmt)
    found = shown(opened(data), [EVERY, View(size_px=40), View(size_px=40, grey=True)])
    assert all(len(each.times_s) == 6 and each.pixels.dtype == np.uint8 for each in found.values())
    assert np.abs(found[EVERY].pixels.astype(int) - frames.pixels).mean() < 8


@pytest.mark.parametrize(("width", "height"), [(65, 47), (33, 1), (5, 61)])
def test_odd_sizes_are_shown_whole(width: int, height: int) -> None:
    frames, _ = moving_shapes(4, width, height, camera_px=(1, 0))
    data = film_bytes(frames, form="matroska", codec="ffv1", pix_fmt="yuv420p")
    found = shown(opened(data), [EVERY, View(size_px=15), View(size_px=15, grey=True)])
    assert found[EVERY].pixels.shape == (4, height, width, 3)
    for view, channels in ((View(size_px=15), 3), (View(size_px=15, grey=True), 1)):
        longest = max(found[view].pixels.shape[1:3])
        assert (longest, found[view].pixels.shape[3]) == (15, channels)


def test_a_film_without_an_index_is_read_to_its_end() -> None:
    frames, _ = moving_shapes(10, 96, 64, camera_px=(2, 0), fps=25)
    data = film_bytes(frames, written_as={"movflags": "frag_keyframe+empty_moov+default_base_moof"})
    found = shown(opened(data), [EVERY, View(fps=5)])
    assert [len(each.times_s) for each in found.values()] == [10, 2]


def test_one_frame_of_no_length_is_one_frame() -> None:
    frames, _ = moving_shapes(1, 96, 64)
    for form in ("mp4", "matroska"):
        video = opened(film_bytes(frames, form=form))
        assert len(shown(video, [EVERY])[EVERY].times_s) == 1
        assert len(shown(video, [View(fps=10)])[View(fps=10)].times_s) >= 1


def until_broken(video: Video) -> tuple[Frames, BrokenOff]:
    """Every frame up to where the film breaks off, and what is said then."""
    chunks: list[Frames] = []
    with pytest.raises(BrokenOff) as caught:
        chunks += (frames for _, frames in decoded(video, [EVERY], chunk_bytes=1))
    return joined(chunks), caught.value


def test_a_film_that_breaks_off_gives_what_comes_before_and_the_second() -> None:
    frames, _ = moving_shapes(48, 96, 64, camera_px=(2, 1), fps=8)
    data = film_bytes(frames, form="matroska")
    whole = shown(opened(data), [EVERY])[EVERY]
    sound, broken = until_broken(opened(data[: len(data) * 6 // 10], strict=False))
    assert 8 < len(sound.times_s) < 40
    assert f"it ends at {broken.at_s:.2f} s of 5.92" in str(broken)
    n_sound = int((sound.times_s < broken.at_s).sum())
    assert len(sound.times_s) - 4 <= n_sound <= len(sound.times_s)  # what is decoded early is shown late
    np.testing.assert_array_equal(sound.pixels[:n_sound], whole.pixels[:n_sound])


def test_a_file_that_lacks_bytes_is_refused_with_the_second() -> None:
    frames, _ = moving_shapes(48, 96, 64, camera_px=(2, 1), fps=8)
    first = film_bytes(frames, form="matroska")
    with pytest.raises(DecodeError, match=r"its Segment of .*; its pictures break off at [23]\.\d\d s"):
        opened(first[: len(first) * 6 // 10])
    last = film_bytes(frames)
    with pytest.raises(DecodeError, match="nothing of it can be decoded"):
        opened(last[: len(last) * 6 // 10])


def corrupted(data: bytes, share: float) -> bytes:
    """The film with 300 bytes of its media replaced."""
    at = int(len(data) * share)
    return data[:at] + bytes((7 * each) % 256 for each in range(300)) + data[at + 300 :]


@pytest.mark.parametrize("share", [0.5, 0.7])
def test_a_corrupt_packet_ends_what_is_sound(share: float) -> None:
    frames, _ = moving_shapes(48, 160, 96, camera_px=(2, 1), fps=8, radius_px=20)
    data = film_bytes(Frames(frames.pixels, frames.times_s, np.arange(48) % 16 == 0), form="mpegts")
    whole = shown(opened(data), [EVERY])[EVERY]
    video = opened(corrupted(data, share))
    sound, broken = until_broken(video)
    assert 4 < len(sound.times_s) < 46
    assert broken.at_s == pytest.approx(sound.times_s[-1] + 1 / 8, abs=0.05)
    np.testing.assert_array_equal(sound.pixels, whole.pixels[: len(sound.times_s)])
    mended = shown(video, [EVERY], strict=False)[EVERY]
    assert len(mended.times_s) > len(sound.times_s)


def test_any_wrong_bit_gives_sound_frames_or_a_decode_error() -> None:
    data = film(8, keys=(0,))
    rng = rng_for(5, "bits")
    for at in rng.integers(0, len(data), 60):
        broken = bytearray(data)
        broken[at] ^= 1 << int(rng.integers(8))
        for strict in (True, False):
            with suppress(DecodeError):
                for _, frames in decoded(opened(bytes(broken), strict=False), [View(fps=4)], strict=strict):
                    assert frames.pixels.ndim == 4
                    assert len(frames.pixels) == len(frames.times_s) == len(frames.is_key) > 0


@pytest.mark.parametrize(
    ("settings", "fault"),
    [({"fps": 0}, "fps"), ({"size_px": 0}, "size_px"), ({"fps": 2, "keys_only": True}, "grid")],
)
def test_a_view_that_can_not_be_is_refused(settings: dict[str, float], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        View(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_a_grid_has_a_rate(fps: float) -> None:
    with pytest.raises(ValueError, match="fps must be greater than 0"):
        View(fps=fps)
