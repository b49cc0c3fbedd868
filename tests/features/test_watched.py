"""Features that watch films, on films whose motion and cuts are known, and against those of decoded frames."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, get_args

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from mmdata.codec.video import DecodeFrames, OpenVideo, tally
from mmdata.core.sample import Blob, Frames, Video
from mmdata.core.watch import Watch, watched
from mmdata.engine.watching import watch_alone
from mmdata.errors import DecodeError
from mmdata.features.video import (
    FrameDifference,
    OpticalFlow,
    SceneCuts,
    ThumbnailStrip,
    VideoDifference,
    VideoFingerprint,
    VideoFlow,
    VideoFrames,
    VideoKeyframes,
    VideoSummary,
)
from mmdata.kernels.scenes import ContentValues
from mmdata.kernels.video import match
from mmdata.testing.contracts.steps import Case, StepContract
from mmdata.testing.films import moving_shapes, shots
from mmdata.testing.media import film_bytes, mp4_bytes

Method = Literal["distinct", "representative", "scene", "codec", "uniform"]
METHODS: tuple[Method, ...] = get_args(Method)


@cache
def filmed(*lengths: int, fps: int = 8, crf: int = 4) -> Video:
    return opened(mp4_bytes(shots(lengths, fps=fps)[0], fps=fps, crf=crf))


@cache
def moving(camera_px: tuple[float, float] = (3.0, 1.0), n_frames: int = 5, fps: int = 8) -> Video:
    return opened(mp4_bytes(moving_shapes(n_frames, 160, 120, camera_px=camera_px, fps=fps)[0], fps=fps, crf=1))


def opened(data: bytes) -> Video:
    return OpenVideo().map(Blob.of(data))


def made(step: Watch, video: Video) -> Mapping[str, np.ndarray]:
    """The arrays, which are as promised."""
    arrays = watch_alone(step, video)
    named, columns = step.named(arrays), step.columns()
    assert {name: columns[name].fault(np.asarray(array)) for name, array in named.items()} == dict.fromkeys(columns)
    return {name.removeprefix(step.into).lstrip("."): array for name, array in named.items()}


class TestContracts(StepContract):
    @pytest.fixture(
        params=[
            *(Case(VideoKeyframes(method=method, n=2), filmed(5, 4, 6)) for method in METHODS),
            Case(VideoFlow(), moving()),
            Case(VideoFlow(method="farneback", keep="dense"), moving()),
            Case(VideoFrames(fps=2), filmed(5, 4, 6)),
            Case(SceneCuts(min_frames=2), filmed(5, 4, 6), others={"threshold": 20.0}),
            Case(VideoDifference(), filmed(5, 4, 6), others={"fps": 3.0}),
            Case(VideoDifference(strict=False), filmed(5, 4, 6), others={"fps": 3.0}),
            *(Case(step, filmed(5, 4, 6)) for step in (ThumbnailStrip(), VideoFingerprint(), VideoSummary())),
        ],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


EVERY = [
    *(VideoKeyframes(method=method) for method in METHODS),
    *(SceneCuts(method=method) for method in ("content", "adaptive")),
    *(VideoFlow(fps=None), VideoFrames(), VideoFrames(fps=None), ThumbnailStrip(), ThumbnailStrip(keys_only=True)),
    *(VideoDifference(), VideoFingerprint(), VideoSummary()),
]


@pytest.mark.parametrize("step", EVERY, ids=lambda step: f"{type(step).__name__}")
def test_how_frames_are_cut_into_chunks_changes_nothing(step: Watch) -> None:
    video = filmed(7, 5)
    view = step.view(video)
    assert view is not None
    frames = DecodeFrames(fps=view.fps, size_px=view.size_px).map(video)
    if view.keys_only:
        frames = some(frames, frames.is_key)
    if view.grey:
        frames = Frames(frames.pixels[..., 1:2], frames.times_s, frames.is_key)
    n = len(frames.times_s)
    whole = step.named(watched(step.watch(video), [frames]))
    for size in (1, 3):
        chunks = [some(frames, slice(first, first + size)) for first in range(0, n, size)]
        for name, array in step.named(watched(step.watch(video), chunks)).items():
            np.testing.assert_array_equal(array, whole[name], err_msg=name)


def some(frames: Frames, which: Any) -> Frames:
    return Frames(frames.pixels[which], frames.times_s[which], frames.is_key[which])


@pytest.mark.parametrize("step", EVERY, ids=lambda step: f"{type(step).__name__}")
@pytest.mark.parametrize("form", ["mp4", "matroska"])
def test_a_film_of_one_frame_keeps_every_promise(step: Watch, form: str) -> None:
    found = made(step, opened(film_bytes(moving_shapes(1, 64, 48)[0], form=form)))
    assert all(np.isfinite(array).all() for array in found.values())


# --- keyframes, strips, frames


@pytest.mark.parametrize("method", ["distinct", "representative", "scene"])
def test_keyframes_show_each_shot_once(method: str) -> None:
    step = TypeAdapter(VideoKeyframes).validate_python({"method": method, "n": 3, "fps": 8})
    starts = np.cumsum([0, 20, 18])
    found = made(step, filmed(20, 18, 22))
    assert np.searchsorted(starts, found["times_s"] * 8 + 1e-6, side="right").tolist() == [1, 2, 3]
    assert found[""].shape == (3, 64, 64, 3)


def test_scene_keyframes_are_middles() -> None:
    found = made(VideoKeyframes(method="scene", n=2, fps=8), filmed(20, 18, 22))
    np.testing.assert_allclose(found["times_s"], [10 / 8, (38 + 60) / 2 / 8], atol=1.01 / 8)


def test_codec_keyframes_are_decoded_alone() -> None:
    video = filmed(5, 4, 6)
    tally.take()
    found = made(VideoKeyframes(method="codec"), video)
    assert found["times_s"].tolist() == [0, 5 / 8, 9 / 8]
    assert tally.take().frames == 3


def test_thumbnails_are_of_the_frames_at_their_times() -> None:
    levels = np.repeat(np.arange(10, 250, 24, dtype=np.uint8), 2)[:, None, None, None]
    frames = Frames(np.broadcast_to(levels, (20, 48, 64, 3)), np.arange(20) / 8, np.arange(20) == 0)
    video = opened(mp4_bytes(frames, fps=8, crf=2))
    found = made(VideoKeyframes(method="uniform", n=5, fps=8), video)
    shown = levels[np.round(found["times_s"] * 8).astype(int), 0, 0, 0]
    np.testing.assert_allclose(found[""][:, 32, 32].mean(axis=-1), shown, atol=4)
    strip = made(ThumbnailStrip(n=5, size_px=32), video)
    assert strip[""].shape == (24, 5 * 32, 3)
    np.testing.assert_allclose(strip["times_s"], (np.arange(5) + 0.5) * 0.5)
    np.testing.assert_allclose(strip[""][12, 16::32].mean(axis=-1), levels[2::4, 0, 0, 0], atol=4)


def test_a_long_film_has_candidates_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmdata.features.video.stills._MOST_CANDIDATES", 4)
    found = made(VideoKeyframes(method="uniform", n=99, fps=8), filmed(20, 18, 22))
    np.testing.assert_allclose(found["times_s"] * 8, [0, 16, 32, 48])


def test_frames_are_those_of_the_grid_and_bounded() -> None:
    video = filmed(5, 4, 6)
    found = made(VideoFrames(fps=4, size_px=None), video)
    frames = DecodeFrames(fps=4).map(video)
    np.testing.assert_array_equal(found[""], frames.pixels)
    np.testing.assert_array_equal(found["times_s"], frames.times_s)
    keys = made(VideoFrames(keys_only=True), video)
    assert keys["times_s"].tolist() == [0, 5 / 8, 9 / 8]
    n_bytes = frames.pixels.nbytes
    made(VideoFrames(fps=4, size_px=None, max_bytes=n_bytes), video)
    with pytest.raises(DecodeError, match="max_bytes"):
        made(VideoFrames(fps=4, size_px=None, max_bytes=n_bytes - 1), video)


# --- scenes


@pytest.mark.parametrize("method", ["content", "adaptive"])
def test_scenes_begin_where_shots_do(method: str) -> None:
    found = made(TypeAdapter(SceneCuts).validate_python({"method": method}), filmed(20, 18, 22))
    expected = np.array([[0, 20], [20, 38], [38, 60]]) / 8
    np.testing.assert_allclose(found[""], expected, atol=1e-6)
    np.testing.assert_allclose(found["lengths_s"], [2.5, 2.25, 2.75])
    assert np.argsort(found["content"])[-2:].tolist() in ([20, 38], [38, 20])


def test_exact_scenes_are_of_whole_frames() -> None:
    frames, _ = shots((5, 4), 512, 288, fps=8)
    video = opened(mp4_bytes(frames, fps=8))
    content = ContentValues()
    content.add(DecodeFrames().map(video).pixels)
    exact, quick = made(SceneCuts(exact=True, min_frames=2), video), made(SceneCuts(min_frames=2), video)
    np.testing.assert_allclose(exact["content"], content.values, rtol=1e-5)
    assert not np.array_equal(quick["content"], exact["content"])
    np.testing.assert_allclose(quick["content"], exact["content"], atol=2)
    np.testing.assert_array_equal(quick[""], exact[""])
    assert len(exact[""]) == 2


def test_what_decides_about_a_cut_is_a_setting() -> None:
    assert len(made(SceneCuts(threshold=250.0), filmed(20, 18, 22))[""]) == 1
    assert len(made(SceneCuts(), filmed(5, 4, 6))[""]) == 1  # shorter than 15 frames
    assert len(made(SceneCuts(min_frames=2), filmed(5, 4, 6))[""]) == 3


def test_a_summary_is_a_clip_of_each_kind_of_shot() -> None:
    """The first shot comes twice: it is summed up once, and stands for half of the film."""
    pixels, _ = shots((16, 16, 16), fps=8)
    order = np.concatenate([np.arange(48), np.arange(16)])
    video = opened(mp4_bytes(Frames(pixels.pixels[order], np.arange(64) / 8, order % 16 == 0), fps=8))
    found = made(VideoSummary(n=3, clip_s=2.0), video)
    np.testing.assert_allclose(found[""] % 2, 0)
    assert np.diff(found[""], axis=1).ravel().tolist() == [2, 2, 2]
    assert found[""][1:, 0].tolist() == [2, 4]
    assert found["weights"].tolist() == [0.5, 0.25, 0.25]


def test_a_short_film_is_its_own_summary() -> None:
    found = made(VideoSummary(clip_s=10), filmed(20, 18, 22))
    np.testing.assert_allclose(found[""], [[0, 7.5]])
    assert found["weights"].tolist() == [1]


# --- motion


@pytest.mark.parametrize("method", ["dis", "farneback"])
@pytest.mark.parametrize("camera_px", [(3.0, 1.0), (0.0, -2.0), (-1.5, 1.5)])
def test_flow_of_a_film_is_within_a_quarter_pixel_of_the_truth(method: str, camera_px: tuple[float, float]) -> None:
    step = TypeAdapter(VideoFlow).validate_python({"method": method, "fps": None, "keep": "dense"})
    found = made(step, moving(camera_px))
    error_px = np.linalg.norm(found[""].astype(np.float64) - camera_px, axis=-1)
    assert found[""].shape == (4, 120, 160, 2)
    assert error_px[:, 8:-8, 8:-8].mean() < 0.25
    widths_per_s = np.hypot(*camera_px) * 8 / 160
    assert found["motion"] == pytest.approx(widths_per_s, rel=0.1)
    np.testing.assert_allclose(found["track"], widths_per_s, rtol=0.2)
    assert found["directions"].argmax() == round(np.arctan2(camera_px[1], camera_px[0]) / (np.pi / 4)) % 8
    assert found["speeds"].argmax() == 7 + int(np.floor(np.log2(widths_per_s)))  # the last bin begins at 1
    assert found["speeds"].sum() == pytest.approx(1)


def test_flow_of_a_film_sums_up_as_that_of_its_frames() -> None:
    video = moving()
    frames, film = OpticalFlow().extract(DecodeFrames().map(video)), made(VideoFlow(fps=None), video)
    np.testing.assert_allclose(film[""], frames[""], atol=0.1)
    assert film["motion"] == pytest.approx(float(frames["motion"]), rel=0.02)
    np.testing.assert_allclose(film["directions"], frames["histogram"], atol=0.02)
    np.testing.assert_allclose(film["times_s"], np.arange(1, 5) / 8)


def test_dense_flow_is_bounded() -> None:
    n_bytes = 4 * 120 * 160 * 2 * 2
    made(VideoFlow(fps=None, keep="dense", max_bytes=n_bytes), moving())
    with pytest.raises(DecodeError, match=r"takes more than 307,199 bytes up to 0\.5 s"):
        made(VideoFlow(fps=None, keep="dense", max_bytes=n_bytes - 1), moving())


def test_a_still_film_does_not_move() -> None:
    found = made(VideoFlow(fps=None), moving((0.0, 0.0)))
    assert found["motion"] < 0.002
    assert found["speeds"][0] > 0.99


def test_differences_of_a_film_are_those_of_its_frames() -> None:
    video = filmed(5, 4, 6)
    film, frames = made(VideoDifference(), video), FrameDifference().extract(DecodeFrames().map(video))
    for name in ("", "mean", "max"):
        np.testing.assert_allclose(film[name], frames[name], rtol=1e-6)
    assert set((np.argsort(film[""])[-2:] + 1).tolist()) == {5, 9}
    np.testing.assert_allclose(film["times_s"], np.arange(1, 15) / 8)


# --- fingerprints


def test_a_film_is_found_again_encoded_anew_smaller_and_cut() -> None:
    frames, _ = shots(tuple(range(10, 18)), 128, 96, fps=8, seed=3)
    others, _ = shots(tuple(range(10, 18)), 128, 96, fps=8, seed=99)
    kept = slice(29, 92)
    copies = {
        "encoded": mp4_bytes(frames, fps=8, crf=40),
        "smaller": mp4_bytes(Frames(frames.pixels[:, ::2, ::2], frames.times_s, frames.is_key), fps=8),
        "cut": mp4_bytes(some(frames, kept), fps=8, crf=30),
    }
    own = made(VideoFingerprint(fps=4), opened(mp4_bytes(frames, fps=8)))
    for name, data in copies.items():
        copy = made(VideoFingerprint(fps=4), opened(data))
        found = match(own[""], own["times_s"], copy[""], copy["times_s"])
        assert found.share > 0.6, name
        assert found.offset_s == pytest.approx(-29 / 8 if name == "cut" else 0, abs=0.26)
    other = made(VideoFingerprint(fps=4), opened(mp4_bytes(others, fps=8)))
    assert match(own[""], own["times_s"], other[""], other["times_s"]).share < 0.05
    assert np.linalg.norm(own["mean"]) == pytest.approx(1)


def test_frames_without_detail_have_no_hash() -> None:
    black = Frames(np.zeros((8, 48, 64, 3), np.uint8), np.arange(8) / 8, np.arange(8) == 0)
    found = made(VideoFingerprint(), opened(mp4_bytes(black)))
    assert (found[""].shape, found["times_s"].shape) == ((0, 32), (0,))
    assert not found["mean"].any()


@pytest.mark.parametrize(
    ("step", "settings", "fault"),
    [
        (VideoKeyframes, {"method": "best"}, "representative"),
        (VideoFlow, {"fps": 0}, "greater than 0"),
        (SceneCuts, {"min_frames": -1}, "greater than or equal to 0"),
        (VideoSummary, {"n": 0}, "greater than 0"),
    ],
)
def test_a_wrong_setting_is_refused(step: type, settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        TypeAdapter(step).validate_python(settings)
