"""Features that watch a film: one decoding for all of them, each with its own errors, and all of it counted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
import pytest
from annotated_types import Gt

from mmdata.codec.video import DecodeFrames, OpenVideo, tally
from mmdata.core.arrays import ArraySpec
from mmdata.core.pipeline import Family, Pipeline
from mmdata.core.sample import Blob, Sample, Video
from mmdata.core.watch import View, Watch, Watching
from mmdata.engine.carry import ALWAYS_FAILS
from mmdata.engine.counts import Counts
from mmdata.engine.extract import Extraction, FamilyWork
from mmdata.engine.notes import Notes
from mmdata.engine.options import RunOptions
from mmdata.engine.runner import run
from mmdata.engine.watching import SHOWING, Watcher, watch, watch_alone
from mmdata.errors import DecodeError, StepError
from mmdata.features.video import FrameDifference, VideoDifference, VideoKeyframes, VideoSize
from mmdata.source.files import Files
from mmdata.store.store import Store
from mmdata.store.write_features import FeatureWriter
from mmdata.testing.films import looped, moving_shapes
from mmdata.testing.media import film_bytes, mp4_bytes


@dataclass(frozen=True, kw_only=True)
class Brightness(Watch):
    """The mean of each frame: float32 [time]."""

    into: str = "video.brightness"
    fps: Annotated[float, Gt(0)] | None = None
    fails_at: int = -1
    error: str = "data"

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("time",))

    def view(self, video: Video) -> View:
        return View(fps=self.fps, size_px=48)

    def watch(self, video: Video) -> Watching:
        levels = [np.empty(0)]
        while (frames := (yield)) is not None:
            levels.append(frames.pixels.mean(axis=(1, 2, 3)))
            if 0 <= self.fails_at < sum(map(len, levels)):
                raise DecodeError("too bright") if self.error == "data" else KeyError("wrong")
            if self.error == "ends":
                return np.zeros(1, np.float32)
            if self.error == "writes":
                frames.pixels[0] = 0
        return np.concatenate(levels).astype(np.float32)


@dataclass
class Table:
    """Where a family's rows would be written."""

    rows: dict[str, tuple[Mapping[str, Any] | None, str | None]] = field(default_factory=dict)

    def add(self, keys: Sequence[str], arrays: Mapping[str, Sequence[Any]], errors: Sequence[str | None]) -> None:
        for at, (key, error) in enumerate(zip(keys, errors, strict=True)):
            row = {name: values[at] for name, values in arrays.items()}
            self.rows[key] = (None if error else row, error)


@dataclass(frozen=True, kw_only=True)
class Unruly(Brightness):
    """Without a view, or raising when it is told that the film broke off."""

    into: str = "video.unruly"
    has_view: bool = True

    def view(self, video: Video) -> View:
        return super().view(video) if self.has_view else cast(View, None)

    def watch(self, video: Video) -> Watching:
        try:
            return (yield from super().watch(video))
        except GeneratorExit:
            raise KeyError("not now") from None


def film(n_frames: int = 16) -> bytes:
    return mp4_bytes(moving_shapes(n_frames, 96, 64, camera_px=(2, 0))[0], fps=8, mbtree="0")


def broken_film() -> bytes:
    """Two thirds of the bytes of a film of 6 s."""
    data = film_bytes(moving_shapes(48, 96, 64, camera_px=(2, 0), fps=8)[0], form="matroska")
    return data[: len(data) * 2 // 3]


def sample(data: bytes, key: str = "s/a") -> Sample:
    return Sample(key, {"video": Blob.of(data)})


def extracted(
    steps: Sequence[Any],
    samples: Sequence[Sample],
    counts: Counts | None = None,
    refused: Mapping[str, str] | None = None,
) -> list[dict[str, tuple[Mapping[str, Any] | None, str | None]]]:
    tables = [Table() for _ in steps]
    writers = [cast(FeatureWriter, table) for table in tables]
    works = [FamilyWork(Family(step, "f"), writer) for step, writer in zip(steps, writers, strict=True)]
    extraction = Extraction(works, counts or Counts(), Notes(None))
    for each in samples:
        extraction.add(each.key, each, refused)
    extraction.flush()
    return [table.rows for table in tables]


def test_a_watcher_without_a_view_or_that_raises_once_it_is_closed_costs_no_other() -> None:
    steps = (
        Unruly(has_view=False),
        Unruly(into="video.closing"),
        Brightness(),
        Brightness(into="video.to", strict=False),
    )
    data = film(96)
    damaged = bytearray(data)
    first = data.index(b"mdat") + data.index(b"moov") >> 1
    damaged[first : first + 2000] = bytes(2000)
    whole, broken = extracted(steps, [sample(data)]), extracted(steps, [sample(bytes(damaged))])
    unseen, closing, one, other = (rows["s/a"][1] for rows in whole)
    assert "view must return a View, not None" in str(unseen)
    assert unseen == broken[0]["s/a"][1]
    assert closing is one is other is None
    assert broken[1]["s/a"][1] == broken[2]["s/a"][1]
    assert "it breaks off" in str(broken[2]["s/a"][1])
    assert broken[3]["s/a"][1] is None


def test_a_film_is_decoded_once_however_many_features_watch_it() -> None:
    counts, steps = Counts(), (Brightness(), Brightness(into="video.slow", fps=2), VideoDifference(), VideoKeyframes())
    tally.take()
    tables = extracted(steps, [sample(film()), sample(film(24), "s/b")], counts)
    assert tally.take() == tally.Decoded(streams=2, passes=2, frames=40)
    for step, table in zip(steps, tables, strict=True):
        assert list(table) == ["s/a", "s/b"]
        alone = step.named(watch_alone(step, OpenVideo().map(Blob.of(film()))))
        row, error = table["s/a"]
        assert error is None
        for name, array in alone.items():
            np.testing.assert_array_equal((row or {})[name], array)
    assert counts.computed == {step.into: 2 for step in steps}
    assert counts.steps[SHOWING].n == 2
    assert all(counts.steps[step.name].n == 2 for step in steps[2:])


def test_an_error_of_one_costs_the_others_nothing() -> None:
    steps = [
        Brightness(into="video.a", fails_at=3),
        Brightness(into="video.b", fails_at=0, error="bug"),
        Brightness(into="video.c", error="ends"),
        Brightness(into="video.d", error="writes"),
        Brightness(into="video.e"),
    ]
    counts = Counts()
    errors = [rows["s/a"][1] for rows in extracted(steps, [sample(film())], counts)]
    assert errors[0] == "decode: too bright"
    assert str(errors[1]).startswith("bug: KeyError: 'wrong'")
    assert str(errors[2]).startswith("bug: TypeError: a watcher must go on until it is sent None")
    assert "read-only" in str(errors[3])
    assert errors[4] is None
    assert +counts.missing == {f"video.{name}": 1 for name in "abcd"}


def test_a_feature_that_always_fails_stops_the_run() -> None:
    counts, data = Counts(), film(4)
    with pytest.raises(StepError, match="so the step is wrong"):
        extracted([Brightness(fails_at=0, error="bug")], [sample(data, f"s/{at}") for at in range(99)], counts)
    assert counts.steps[Brightness().name].bugs == ALWAYS_FAILS


def test_damage_is_a_missing_feature_or_one_that_says_how_far_it_goes() -> None:
    steps = (Brightness(), Brightness(into="video.sound", strict=False), VideoSize())
    whole = film_bytes(moving_shapes(48, 96, 64, camera_px=(2, 0), fps=8)[0], form="matroska")
    brightness_of_all = np.asarray(watch_alone(Brightness(), OpenVideo().map(Blob.of(whole))))
    strict, lenient, size = (rows["s/a"] for rows in extracted(steps, [sample(broken_film())]))
    assert strict[0] is None
    assert "cut short" in str(strict[1])
    assert " s" in str(strict[1])
    assert size[0] is None
    row = lenient[0] or {}
    until_s = float(row["video.sound.decoded_s"])
    assert 1 < until_s < 5
    n_before = int(np.ceil(8 * until_s))
    np.testing.assert_array_equal(row["video.sound"][:n_before], brightness_of_all[:n_before])
    assert n_before <= len(row["video.sound"]) <= n_before + 4  # what is decoded early is shown late


def test_a_film_that_is_whole_is_decoded_to_its_end() -> None:
    row = extracted([Brightness(strict=False)], [sample(film(16))])[0]["s/a"][0] or {}
    assert row["video.brightness.decoded_s"] == pytest.approx(2.0)


def test_what_is_no_film_costs_its_features_alone() -> None:
    tables = extracted([Brightness(), VideoKeyframes()], [sample(b"no film"), sample(film(), "s/b")])
    for table in tables:
        assert str(table["s/a"][1]).startswith("decode: ")
        assert table["s/b"][1] is None


def test_films_that_must_not_be_decoded_again_are_not() -> None:
    tally.take()
    refused = {SHOWING: "died: it ended a process"}
    tables = extracted([Brightness(), VideoKeyframes()], [sample(film())], refused=refused)
    assert [table["s/a"][1] for table in tables] == ["died: it ended a process"] * 2
    assert tally.take().passes == 0


def test_each_call_is_noted() -> None:
    noted: list[str] = []
    watchers = [Watcher(Brightness()), Watcher(VideoDifference())]
    watch(OpenVideo().map(Blob.of(film())), watchers, noted.append)
    assert noted[:4] == [Brightness().name, VideoDifference().name, SHOWING, Brightness().name]
    assert set(noted) == {Brightness().name, VideoDifference().name, SHOWING}
    assert all(watcher.error is None and watcher.seconds > 0 for watcher in watchers)


def test_nobody_left_to_watch_ends_the_decoding() -> None:
    tally.take()
    data = film_bytes(moving_shapes(200, 96, 64, camera_px=(1, 0), fps=8)[0])
    watch(OpenVideo().map(Blob.of(data)), [Watcher(Brightness(fails_at=0))])
    assert 0 < tally.take().frames < 150


def test_a_run_records_what_was_decoded_and_once_is_enough(tmp_path: Path) -> None:
    corpus = tmp_path / "films"
    corpus.mkdir()
    for number in range(3):
        (corpus / f"{number}.mp4").write_bytes(film(16))
    features = (VideoDifference(), VideoKeyframes(), VideoKeyframes(into="video.codec", method="codec"), VideoSize())
    report = run(Pipeline(source=Files(str(corpus)), features=features), str(tmp_path / "store"), RunOptions())
    assert report.counts.to_json()["decoded"] == {"frames": 48, "passes": 3, "streams": 3}
    (recorded,) = Store.open(str(tmp_path / "store")).runs().column("counts").to_pylist()
    assert json.loads(recorded)["decoded"] == {"frames": 48, "passes": 3, "streams": 3}
    keys = (*features, VideoKeyframes(into="video.alone", method="codec"))
    report = run(Pipeline(source=Files(str(corpus)), features=keys), str(tmp_path / "store"), RunOptions())
    assert report.counts.to_json()["decoded"] == {"frames": 3, "passes": 3, "streams": 3}  # a key frame each


def test_frames_decoded_at_ingest_are_counted_too(tmp_path: Path) -> None:
    corpus = tmp_path / "films"
    corpus.mkdir()
    (corpus / "a.mp4").write_bytes(film(16))
    what = Pipeline(
        source=Files(str(corpus)), ingest=(DecodeFrames(fps=2),), features=(FrameDifference(), VideoDifference())
    )
    report = run(what, str(tmp_path / "store"), RunOptions())
    assert report.counts.to_json()["decoded"] == {"frames": 16, "passes": 1, "streams": 1}


def test_a_long_film_takes_no_more_memory_than_its_chunks() -> None:
    """1,200 frames, which would be 276 MB, watched by three features in a process of its own."""
    code = """
import sys
from mmdata.codec.video import OpenVideo
from mmdata.core.sample import Blob
from mmdata.engine.watching import Watcher, watch
from mmdata.features.video import SceneCuts, VideoDifference, VideoKeyframes
from mmdata.testing.peaks import peak_bytes

video = OpenVideo().map(Blob.of(sys.stdin.buffer.read()))
before = peak_bytes()
watchers = [Watcher(step) for step in (SceneCuts(exact=True), VideoDifference(), VideoKeyframes())]
watch(video, watchers)
assert all(watcher.error is None for watcher in watchers), [watcher.error for watcher in watchers]
print(len(watchers[1].found[""]), peak_bytes() - before)
"""
    data = looped(film_bytes(moving_shapes(24, 320, 240, camera_px=(1, 0), fps=25)[0], bf="0"), 50)
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True, timeout=280)
    n_pairs, grown = map(int, done.stdout.split())
    assert n_pairs == 1199
    assert grown < 120_000_000
