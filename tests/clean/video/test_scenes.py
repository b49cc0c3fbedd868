"""Films of known scenes, split; and PySceneDetect on the same files."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from mmdata.clean.video import SplitEvery, SplitScenes
from mmdata.codec.audio import DecodeAudio
from mmdata.codec.video import DecodeFrames, OpenVideo, seen, tally
from mmdata.codec.video.cutting import key_times
from mmdata.core.pipeline import Pipeline
from mmdata.core.sample import Blob, Frames, Sample, Text, Video
from mmdata.core.step import Drop
from mmdata.engine.options import RunOptions
from mmdata.engine.runner import run
from mmdata.errors import ConfigError
from mmdata.source.files import Files
from mmdata.store.store import Store
from mmdata.testing.contracts.steps import Case, StepContract
from mmdata.testing.films import clicks, clicks_of, film_bytes, numbered, numbers_of, shots

LENGTHS = (30, 25, 40, 21)
EDGES = [0, 30, 55, 95, 116]


@cache
def film(gop: int = 250, fps: int = 24, form: str = "mp4", codec: str = "libx264") -> bytes:
    audio = clicks([frame / 24 + 0.01 for frame in EDGES[:-1]], seconds=116 / 24)
    frames = shots(LENGTHS, 96, 64)[0]
    return film_bytes(frames, gop=gop, form=form, codec=codec, audio=audio, options={"crf": "16"})


def sample(data: bytes) -> Sample:
    return Sample("film", {"video": OpenVideo().map(Blob.of(data)), "text": Text("about it")}, {"label": "x"})


def split(step: Any, data: bytes) -> list[Sample]:
    children = step.split(sample(data))
    assert not isinstance(children, Drop)
    return list(children)


def video_of(child: Sample) -> Video:
    video = child.parts["video"]
    assert isinstance(video, Video)
    return video


@pytest.mark.parametrize("detector", ["content", "adaptive"])
@pytest.mark.parametrize("cut", ["copy", "encode"])
def test_a_film_is_split_at_its_cuts(detector: str, cut: str) -> None:
    children = split(SplitScenes(detector=detector, cut=cut), film())  # type: ignore[arg-type]
    spans = [f"{first / 24:.3f}-{last / 24:.3f}" for first, last in pairwise(EDGES)]
    assert [child.key for child in children] == [f"film@{span}" for span in spans]  # x264 puts key frames at cuts
    whole = DecodeFrames().map(OpenVideo().map(Blob.of(film()))).pixels.astype(int)
    for child, first, last in zip(children, EDGES, EDGES[1:], strict=False):
        assert (child.parent, child.meta, child.parts["text"]) == ("film", {"label": "x"}, Text("about it"))
        video = video_of(child)
        assert float(video.clock.to_source(0) or 0) == pytest.approx(first / 24, abs=1e-6)
        frames = DecodeFrames().map(video)
        assert len(frames.pixels) == last - first
        np.testing.assert_allclose(frames.times_s, np.arange(first, last) / 24, atol=1e-3)
        assert np.abs(frames.pixels - whole[first:last]).mean() < (0.01 if cut == "copy" else 4)
        assert clicks_of(DecodeAudio().map(video.blob))[0] == pytest.approx(0.01, abs=0.003)


def test_copies_move_cuts_to_the_nearest_key_frame() -> None:
    data = film(gop=12, form="matroska", codec="ffv1")  # each frame of FFV1 is a key frame but for the group's others
    keys = [float(time_s) for time_s in key_times(OpenVideo().map(Blob.of(data)))]
    children = split(SplitScenes(cut="copy"), data)
    starts = [float(video_of(child).clock.to_source(0) or 0) for child in children]
    nearest = [min(keys, key=lambda key, cut=cut: abs(key - cut / 24)) for cut in EDGES[:-1]]  # type: ignore[misc]
    assert starts == pytest.approx(nearest, abs=1e-6)
    counts = [len(DecodeFrames().map(video_of(child)).times_s) for child in children]
    assert sum(counts) == 116


def test_the_last_clip_has_what_is_shown_after_the_length_that_the_container_gives() -> None:
    data = film_bytes(shots((30, 25, 40), 96, 64)[0], form="mpeg", codec="mpeg2video")
    whole = OpenVideo().map(Blob.of(data))
    assert whole.duration_s < 3.5  # FFmpeg guesses it by the last packet that has a time
    children = split(SplitScenes(cut="encode"), data)
    assert sum(len(DecodeFrames().map(video_of(child)).times_s) for child in children) == 95


@pytest.mark.parametrize("rest", [True, False])
def test_equal_clips_of_a_program_stream_reach_to_its_last_frame(rest: bool) -> None:
    data = film_bytes(shots((30, 25, 40), 96, 64)[0], form="mpeg", codec="mpeg2video")
    children = split(SplitEvery(length_s=0.75, rest=rest), data)
    counts = [len(DecodeFrames().map(video_of(child)).times_s) for child in children]
    assert counts == [18, 18, 18, 18, 18, *([5] if rest else [])]  # 95 frames, of which the container tells of 80
    tally.take()
    split(SplitEvery(length_s=0.75), film())
    assert tally.take().passes == 0


def test_clips_that_are_encoded_are_counted_as_passes_over_the_film() -> None:
    tally.take()
    for child in split(SplitEvery(length_s=2.0, cut="encode"), film()):
        video_of(child).blob.data()
    counts = tally.take()
    assert (counts.streams, counts.passes) == (1, 3)


def test_a_film_of_one_scene_stays_itself() -> None:
    whole = sample(film_bytes(numbered(20)))
    assert SplitScenes(threshold=255.0).split(whole) == [whole]
    assert SplitEvery(length_s=60).split(whole) == [whole]


def test_short_scenes_are_left_out_and_long_ones_cut() -> None:
    children = split(SplitScenes(cut="encode", min_clip_s=0.45, max_clip_s=0.9), film())
    lengths = [round(video_of(child).duration_s * 24, 6) for child in children]
    assert lengths == pytest.approx([15, 15, 12.5, 12.5, 20, 20, 21], abs=0.02)  # the sound ends a little early
    assert SplitScenes(min_clip_s=9).split(sample(film())) == Drop("no_clip")


def test_a_least_length_in_seconds_goes_by_the_clock() -> None:
    assert len(split(SplitScenes(min_scene=1.3, min_scene_in="seconds"), film())) == 2
    assert len(split(SplitScenes(min_scene=26), film())) == 2  # the first cut is merged away with the second


def test_samples_without_the_film_pass() -> None:
    other = Sample("a", {"text": Text("x")})
    assert SplitScenes().split(other) == [other]
    assert SplitEvery().split(other) == [other]


@pytest.mark.parametrize(
    ("length_s", "step_s", "rest", "expected"),
    [
        (2.0, None, True, [(0, 48), (48, 96), (96, 116)]),
        (2.0, None, False, [(0, 48), (48, 96)]),
        (2.0, 1.5, True, [(0, 48), (36, 84), (72, 116)]),
        (1.0, 2.0, True, [(0, 24), (48, 72), (96, 116)]),
    ],
)
def test_equal_clips_lie_side_by_side_or_overlap(
    length_s: float, step_s: float | None, rest: bool, expected: list[tuple[int, int]]
) -> None:
    step = SplitEvery(length_s=length_s, step_s=step_s, rest=rest, cut="encode")
    found = [numbers_of(DecodeFrames().map(video_of(child)).pixels) for child in split(step, film_bytes(numbered(116)))]
    assert [(numbers[0], numbers[-1] + 1) for numbers in found] == expected
    assert all(numbers == list(range(first, last)) for numbers, (first, last) in zip(found, expected, strict=True))


def test_stretches_that_move_to_the_same_key_frames_are_one_clip() -> None:
    data = film_bytes(numbered(116), gop=48, options={"sc_threshold": "0"})
    children = split(SplitEvery(length_s=1.0, step_s=0.25, cut="copy"), data)
    keys = [child.key for child in children]
    assert len(set(keys)) == len(keys)
    assert {key.partition("@")[2] for key in keys} <= {"0.000-2.000", "2.000-4.000", "4.000-4.833"}


def test_clips_can_not_be_kept_as_references(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(film())
    pipeline = Pipeline(source=Files(str(tmp_path / "in")), ingest=(SplitScenes(),), store={"video": "reference"})
    with pytest.raises(ConfigError, match="a reference keeps the source's own bytes"):
        run(pipeline, str(tmp_path / "store"), RunOptions())


@pytest.mark.parametrize("detector", ["content", "adaptive"])
def test_cuts_of_files_are_those_of_pyscenedetect(tmp_path: Path, detector: str) -> None:
    scenedetect = pytest.importorskip("scenedetect", reason="pip install --no-deps scenedetect==0.7.2")
    (tmp_path / "a.mp4").write_bytes(film_bytes(shots((20, 31, 16, 40, 22), 322, 180, seed=4)[0]))
    kinds = {"content": scenedetect.ContentDetector, "adaptive": scenedetect.AdaptiveDetector}
    scenes = scenedetect.detect(str(tmp_path / "a.mp4"), kinds[detector](), backend="pyav")
    video = OpenVideo().map(Blob.of((tmp_path / "a.mp4").read_bytes()))
    times_s, cuts = seen(SplitScenes(detector=detector), video)  # type: ignore[arg-type]
    assert cuts.tolist() == [scene[0].frame_num for scene in scenes][1:]
    assert len(cuts) == 4
    assert times_s[cuts] == pytest.approx([scene[0].seconds for scene in scenes][1:], abs=1e-6)


def test_clips_are_stored_with_their_maps_and_read_again(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(film())
    steps = (SplitScenes(cut="copy"), DecodeFrames(fps=4))
    pipeline = Pipeline(source=Files(str(tmp_path / "in")), ingest=steps, store={"video": "auto"})
    report = run(pipeline, str(tmp_path / "store"), RunOptions())
    assert (report.counts.stored, report.counts.made) == (4, 3)
    stored = Store.open(tmp_path / "store").sample("in/a@1.250-2.292").parts["video"]
    assert isinstance(stored, Video)
    assert float(stored.clock.to_source(0) or 0) == pytest.approx(1.25)
    frames = DecodeFrames().map(stored)
    assert frames.times_s[[0, -1]] == pytest.approx([30 / 24, 54 / 24], abs=1e-3)


SPLITTERS = [SplitScenes(), SplitScenes(detector="adaptive", cut="encode"), SplitEvery(length_s=1)]


class TestContracts(StepContract):
    @pytest.fixture(
        params=[
            Case(step, sample(film()), others={"threshold": 9.0, "step_s": 2.0, "max_clip_s": 4.0})
            for step in SPLITTERS
        ],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


def test_bounds_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(ValidationError, match="max_clip_s must be at least twice min_clip_s"):
        TypeAdapter(SplitScenes).validate_python({"min_clip_s": 2, "max_clip_s": 3})


def test_frames_without_cuts_have_none() -> None:
    still = film_bytes(Frames(np.full((40, 32, 32, 3), 99, np.uint8), np.arange(40) / 24, np.arange(40) == 0))
    assert len(split(SplitScenes(), still)) == 1
