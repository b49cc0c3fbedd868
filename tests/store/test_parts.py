"""Parts as users get them: decoded, once, on the clock and grid of their source."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from mmdata.clean.audio import TrimSilence
from mmdata.clean.image import ResizeImage
from mmdata.clean.text import NormalizeText
from mmdata.codec.video import DecodeFrames, OpenVideo
from mmdata.core.pipeline import Pipeline
from mmdata.core.sample import Audio, Blob, Frames, Image, Sample, Text, Video
from mmdata.core.spans import SpaceMap, TimeMap
from mmdata.core.step import Map
from mmdata.engine.options import RunOptions
from mmdata.engine.runner import run
from mmdata.errors import Unreadable
from mmdata.source.files import Files
from mmdata.store.parts import StoredParts
from mmdata.store.store import Store
from mmdata.testing.build import moving_shapes, mp4_bytes, picture, png_bytes, tone, wav_bytes


@pytest.fixture
def source(tmp_path: Path) -> Files:
    folder = tmp_path / "in"
    folder.mkdir()
    sound = np.concatenate([np.zeros((1, 4000), np.float32), tone(seconds=0.5).samples], axis=1)
    (folder / "a.png").write_bytes(png_bytes(picture(80, 40, seed=1)))
    (folder / "a.wav").write_bytes(wav_bytes(Audio(sound, 16000)))
    (folder / "a.txt").write_text("two  words")
    (folder / "a.mp4").write_bytes(mp4_bytes(moving_shapes()[0]))
    return Files(str(folder))


def opened(source: Files, tmp_path: Path, **settings: object) -> StoredParts:
    steps = (NormalizeText(), ResizeImage(size_px=40, side="longest"), TrimSilence())
    run(Pipeline(source=source, ingest=steps, **settings), str(tmp_path / "store"), RunOptions())  # type: ignore[arg-type]
    parts = Store.open(tmp_path / "store").sample("in/a").parts
    assert isinstance(parts, StoredParts)
    return parts


def test_parts_are_decoded_when_touched_and_kept(source: Files, tmp_path: Path) -> None:
    parts = opened(source, tmp_path)
    assert sorted(parts) == ["audio", "image", "text", "video"]
    image, text, video = parts["image"], parts["text"], parts["video"]
    assert isinstance(image, Image)
    assert (image.width, image.height) == (40, 20)
    assert text == Text("two words")
    assert isinstance(video, Video)  # no step decoded it: its bytes say what it is
    assert parts["image"] is image


@dataclass(frozen=True, kw_only=True)
class MoveFilm(Map[Sample, Sample]):
    """Says of a film that it lay from second 3 on, and of frames that they were the right of wider ones."""

    def map(self, sample: Sample) -> Sample:
        video, frames = sample.parts["video"], sample.parts["frames"]
        assert isinstance(video, Video)
        assert isinstance(frames, Frames)
        clip = replace(video, time_map=TimeMap.identity(9).cut(3, 4))
        return sample.with_part("video", clip).with_part(
            "frames", frames.changed(frames.pixels, space_map=SpaceMap().cropped(left=7, top=0))
        )


def test_films_and_frames_keep_their_maps(source: Files, tmp_path: Path) -> None:
    steps = (OpenVideo(), DecodeFrames(fps=2), MoveFilm())
    pipeline = Pipeline(source=source, ingest=steps, store={"video": "auto", "frames": "ffv1"})
    run(pipeline, str(tmp_path / "moved"), RunOptions())
    parts = Store.open(tmp_path / "moved").sample("in/a").parts
    video, frames = parts["video"], parts["frames"]
    assert isinstance(video, Video)
    assert isinstance(frames, Frames)
    assert video.clock.to_source(0.5) == 3.5
    assert frames.space_map.to_source(np.zeros((1, 2))).tolist() == [[7.0, 0.0]]


def test_maps_lead_back_to_the_source(source: Files, tmp_path: Path) -> None:
    parts = opened(source, tmp_path)
    audio, image = parts["audio"], parts["image"]
    assert isinstance(audio, Audio)
    assert isinstance(image, Image)
    assert float(audio.clock.to_source(0) or 0) == pytest.approx(0.25, abs=0.02)
    assert image.space_map.to_source(np.array([[10.0, 5.0]])).tolist() == [[20.0, 10.0]]


def test_the_stored_bytes_are_there_too(source: Files, tmp_path: Path) -> None:
    blob = opened(source, tmp_path).blob("video")
    assert blob.data() == (tmp_path / "in" / "a.mp4").read_bytes()
    assert blob.encoding == "copy"


def test_a_part_that_is_only_referred_to_says_where_it_is(source: Files, tmp_path: Path) -> None:
    parts = opened(source, tmp_path, store={"video": "reference", "image": "jpeg:80"})
    with pytest.raises(Unreadable, match=r"in its source only.*a\.mp4"):
        parts["video"]
    assert "audio" not in parts


def test_unknown_bytes_stay_bytes(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"\x01\x02\x03 neither picture nor text \xff\xfe\x00")
    run(Pipeline(source=Files(str(tmp_path / "in"))), str(tmp_path / "store"), RunOptions())
    assert isinstance(Store.open(tmp_path / "store").sample("in/a").parts["image"], Blob)
