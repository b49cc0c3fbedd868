"""Large films: read piece by piece from where they lie, to the same ends, and never held as a whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmdata.clean.video import KeepEventful, SplitScenes
from mmdata.codec.captions import ReadSubtitles
from mmdata.codec.video import DecodeClip, DecodeFrames, DecodeSound, OpenVideo, decoded
from mmdata.core.pipeline import Pipeline, RunSettings
from mmdata.core.rng import rng_for
from mmdata.core.sample import Blob
from mmdata.core.watch import View
from mmdata.engine.options import RunOptions
from mmdata.engine.runner import run
from mmdata.errors import DecodeError, Unreadable
from mmdata.features.video import VideoDifference
from mmdata.source import place
from mmdata.source.files import Files
from mmdata.store.store import Store
from mmdata.testing.films import clicks, film_bytes, shots


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is large."""
    monkeypatch.setattr(place, "WINDOW_BYTES", 1)


@pytest.fixture(params=["mp4", "matroska"])
def corpus(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    frames, _ = shots((20, 26), 96, 64)
    (folder / "a.mp4").write_bytes(film_bytes(frames, form=request.param, audio=clicks([0.4], seconds=1.8), gop=12))
    return folder


def blob(folder: Path) -> Blob:
    source = Files(str(folder), parts={"video": "{stem}.mp4"})
    (sample,) = source.read(source.scan().entries)
    part = sample.parts["video"]
    assert isinstance(part, Blob)
    return part


def everything(film: Blob) -> list[Any]:
    """What the steps of codec and clean make of a film."""
    video = OpenVideo().map(film)
    sound, clip = DecodeSound().map(video), DecodeClip(n_frames=3).map(video, rng_for(1, "clip"))
    frames = DecodeFrames(fps=5).map(video)
    pieces = [chunk.pixels for _, chunk in decoded(video, [View(size_px=40)])]
    whole = (video.width, video.height, video.fps, video.duration_s, video.n_frames, video.codec, video.has_audio)
    captions = ReadSubtitles().map(video)
    return [
        whole,
        frames.pixels,
        frames.times_s,
        *pieces,
        getattr(sound, "samples", 0),
        getattr(clip, "pixels", 0),
        captions,
    ]


@pytest.mark.usefixtures("large")
def test_a_film_read_by_pieces_is_the_same_and_not_held(corpus: Path) -> None:
    film = blob(corpus)
    by_pieces = everything(film)
    assert not film.is_read
    whole = everything(Blob.of((corpus / "a.mp4").read_bytes(), name="a.mp4"))
    for one, other in zip(by_pieces, whole, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("cut", ["copy", "encode"])
def test_clips_of_it_are_the_same_and_runs_record_the_same(corpus: Path, cut: Any, tmp_path: Path) -> None:
    stores = []
    for number, least in enumerate((1, 1 << 40)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(place, "WINDOW_BYTES", least)
            steps = (KeepEventful(), SplitScenes(cut=cut, min_scene=5))
            what = Pipeline(source=Files(str(corpus)), ingest=steps, features=(VideoDifference(),))
            report = run(what, str(tmp_path / f"{number}"), RunOptions())
        assert report.counts.stored == 2
        stores.append(Store.open(tmp_path / f"{number}"))
    one, other = (store.table(["key", "video.difference.mean"]).to_pylist() for store in stores)
    assert one == other
    digests = [sorted(file.name for file in (tmp_path / f"{number}" / "media").rglob("*.tar")) for number in (0, 1)]
    assert digests[0] == digests[1]


@pytest.mark.usefixtures("large")
def test_a_film_that_is_written_to_while_it_is_decoded_is_unreadable(corpus: Path) -> None:
    video = OpenVideo().map(blob(corpus))
    chunks = decoded(video, [View()], chunk_bytes=1)
    next(chunks)
    path = corpus / "a.mp4"
    path.write_bytes(path.read_bytes()[:-100] + bytes(100))
    os.utime(path, ns=(1, 1))  # a clock may be too coarse to tell
    with pytest.raises((Unreadable, DecodeError)):
        everything(video.blob)


@pytest.mark.usefixtures("large")
def test_what_is_no_film_or_lacks_bytes_or_is_too_large_is_told_as_ever(corpus: Path) -> None:
    path = corpus / "a.mp4"
    data = path.read_bytes()
    with pytest.raises(DecodeError, match=f"it has {len(data):,} bytes, and max_bytes is 99"):
        OpenVideo(max_bytes=99).map(blob(corpus))
    for content in (data[: len(data) // 2], b"no film at all", data[:3000]):
        path.write_bytes(content)
        with pytest.raises(DecodeError) as by_pieces:
            OpenVideo().map(blob(corpus))
        with pytest.raises(DecodeError) as whole:
            OpenVideo().map(Blob.of(content, name="a.mp4"))
        assert str(by_pieces.value) == str(whole.value)


@pytest.mark.usefixtures("large")
def test_an_unreadable_film_is_rejected_by_a_run(corpus: Path, tmp_path: Path) -> None:
    source = Files(str(corpus))
    (corpus / "b.mp4").write_bytes((corpus / "a.mp4").read_bytes())

    class Shortened(Files):
        def read(self, entries: Any) -> Any:
            (corpus / "a.mp4").write_bytes(b"123")
            yield from super().read(entries)

    what = Pipeline(source=Shortened(source.root), ingest=(KeepEventful(),), store={"video": "reference"})
    report = run(what, str(tmp_path / "store"), RunOptions(settings=RunSettings(max_rejects=1.0)))
    assert (report.counts.stored, dict(report.counts.rejected)) == (1, {"unreadable": 1})
