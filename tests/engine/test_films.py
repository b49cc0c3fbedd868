"""Films that several steps watch: decoded once for all that see them unchanged, and what comes of each is as alone."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from mmdata.align.sync import AlignSound
from mmdata.clean.video import KeepEventful, KeepMotion, KeepResolution, SplitScenes
from mmdata.codec.video import DecodeFrames, DecodeSound, OpenVideo, seen
from mmdata.core.arrays import ArraySpec
from mmdata.core.pipeline import Pipeline, Placed, RunSettings
from mmdata.core.sample import Blob, Video
from mmdata.core.step import Drop, Filter, Step
from mmdata.core.watch import Seeing, View, Watch, WatchFirst, Watching
from mmdata.engine.counts import Counts
from mmdata.engine.executors.pool import Pool
from mmdata.engine.films import Early, Films, companies
from mmdata.engine.notes import FEATURES, INGEST, SIZE, Note, Notes, read_note
from mmdata.engine.options import RunOptions
from mmdata.engine.report import RunReport
from mmdata.engine.runner import run
from mmdata.engine.watching import SHOWING
from mmdata.errors import DecodeError
from mmdata.features.video import FrameDifference, VideoDifference, VideoKeyframes
from mmdata.source.files import Files
from mmdata.store.store import Store
from mmdata.testing.films import film_bytes, shots
from mmdata.testing.retelling import Doubled, Retold

LENGTHS = (12, 10, 14)
N_FRAMES = sum(LENGTHS)


@dataclass(frozen=True, kw_only=True)
class KeepBright(WatchFirst[float], Filter[Video]):
    """Keep films that are bright on average; `error` raises once the film has been seen."""

    on: str = "video"
    strict: bool = True
    least: float = 0.0
    error: str = ""

    def view(self, video: Video) -> View:
        return View(size_px=32, grey=True)

    def watch(self, video: Video) -> Seeing[float]:
        levels = [0.0]
        while (frames := (yield)) is not None:
            levels.append(float(frames.pixels.mean()))
        if self.error:
            raise DecodeError(self.error)
        return float(np.mean(levels[1:]))

    def keep(self, video: Video) -> Literal[True] | Drop:
        return self.after(video, seen(self, video))

    def after(self, video: Video, found: float) -> Literal[True] | Drop:
        return True if found >= self.least else Drop("dark")


@dataclass(frozen=True, kw_only=True)
class Counted(Watch):
    """How many frames there are: a float32 scalar; a film of more than `most` ends the process."""

    into: str = "video.deadly"
    most: int = 1000

    def spec(self) -> ArraySpec:
        return ArraySpec()

    def view(self, video: Video) -> View:
        return View(size_px=32)

    def watch(self, video: Video) -> Watching:
        n = 0
        while (frames := (yield)) is not None:
            n += len(frames.pixels)
            if n > self.most:
                os.kill(os.getpid(), signal.SIGKILL)
        return np.asarray(n, np.float32)


def corpus(folder: Path, lengths: Mapping[str, tuple[int, ...]]) -> Files:
    folder.mkdir()
    for name, each in lengths.items():
        (folder / f"{name}.mp4").write_bytes(film_bytes(shots(each, 96, 64)[0]))
        (folder / f"{name}.txt").write_text(name)
    return Files(str(folder), parts={"video": "{stem}.mp4", "text": "{stem}.txt"})


def ran(
    folder: Path, ingest: Sequence[Step], features: Sequence[Any] = (), options: RunOptions | None = None, n: int = 1
) -> tuple[RunReport, Store]:
    source = corpus(folder / "in", {f"{name}": LENGTHS for name in range(n)})
    what = Pipeline(source=source, ingest=tuple(ingest), features=tuple(features))
    report = run(what, str(folder / "store"), options or RunOptions())
    assert report.counts.balances
    return report, Store.open(folder / "store")


def decoded(report: RunReport) -> tuple[int, int, int]:
    counts = report.counts.decoded
    return counts["streams"], counts["passes"], counts["frames"]


FILTERS = (
    KeepEventful(),
    KeepBright(),
    KeepBright(least=1.0),
    KeepResolution(min_px=10),
    KeepEventful(max_frozen=None, min_s=1.0),
    DecodeFrames(fps=4, size_px=48),
    KeepMotion(min_motion=0.0),
    KeepBright(strict=False),
    DecodeSound(silent=True),
    AlignSound(),
)
WATCHING = (VideoDifference(), VideoKeyframes(n=2), FrameDifference())


@pytest.mark.parametrize("n", [1, 2, 3, len(FILTERS)])
@pytest.mark.parametrize("features", [(), WATCHING[:2]])
def test_however_many_steps_and_features_watch_a_film_it_is_decoded_once(
    tmp_path: Path, n: int, features: tuple[Any, ...]
) -> None:
    report, _ = ran(tmp_path, FILTERS[:n], features, n=2)
    assert report.counts.stored == 2
    assert decoded(report) == (2, 2, 2 * N_FRAMES)


def test_what_comes_of_each_is_as_alone(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    together, shared = ran(tmp_path / "a", FILTERS, WATCHING)
    apart, alone = ran(tmp_path / "b", [each for step in FILTERS for each in (Retold(), step)], WATCHING)
    assert decoded(together)[1] == 1
    looks = [step for step in FILTERS if isinstance(step, WatchFirst) and not isinstance(step, DecodeSound)]
    assert decoded(apart)[1] == len(looks)
    for step in WATCHING:
        one, other = (store.arrays(step.into)[0] for store in (shared, alone))
        np.testing.assert_array_equal(one, other)
    assert together.counts.computed == apart.counts.computed


def test_a_split_ends_what_is_shared_and_each_clip_is_a_film_of_its_own(tmp_path: Path) -> None:
    report, _ = ran(tmp_path, [KeepEventful(), KeepBright(), SplitScenes(min_scene=5)], WATCHING[:2])
    assert report.counts.stored == 3
    assert decoded(report)[:2] == (4, 4)
    assert decoded(report)[2] == pytest.approx(2 * N_FRAMES, abs=3)


def test_samples_that_share_a_film_share_its_decoding(tmp_path: Path) -> None:
    report, _ = ran(tmp_path, [KeepResolution(min_px=10), Doubled(), KeepBright(), KeepEventful()], [VideoDifference()])
    assert (report.counts.stored, decoded(report)) == (2, (1, 1, N_FRAMES))
    assert report.counts.computed == {"video.difference": 2}


def test_errors_wait_for_their_turn(tmp_path: Path) -> None:
    """A film that is dropped is no reject, whatever later steps would say; without the drop, they say it."""
    for name, least in (("dropped", 256.0), ("rejected", 0.0)):
        (tmp_path / name).mkdir()
        steps = [KeepBright(least=least), KeepBright(error="too odd"), DecodeFrames(max_frames=3)]
        settings = RunSettings(max_rejects=1.0)
        report, store = ran(tmp_path / name, steps, [VideoDifference()], RunOptions(settings=settings))
        assert decoded(report) == (1, 1, N_FRAMES)
        if name == "dropped":
            assert report.counts.dropped == {f"{steps[0].name}:dark": 1}
            assert not report.counts.rejected
        else:
            (row,) = store.rejects().to_pylist()
            assert (row["step"], row["kind"], row["error"]) == (steps[1].name, "decode", "too odd")


def test_a_film_that_is_given_out_of_order_costs_no_other(tmp_path: Path) -> None:
    """A limit of `DecodeFrames` rejects the sample by its own name, and what comes after is never asked."""
    report, store = ran(
        tmp_path, [KeepEventful(), DecodeFrames(max_frames=3)], options=RunOptions(settings=RunSettings(max_rejects=1))
    )
    (row,) = store.rejects().to_pylist()
    assert row["step"] == DecodeFrames().name
    assert "max_frames" in row["error"]
    assert decoded(report)[1] == 1


def test_damage_is_shared_and_only_strict_steps_mind(tmp_path: Path) -> None:
    source = corpus(tmp_path / "in", {"a": (20, 25)})
    path = tmp_path / "in" / "a.mp4"
    data = bytearray(path.read_bytes())
    first = data.index(b"mdat") + 8
    at = first + (data.index(b"moov") - first) * 3 // 4
    data[at : at + 1200] = bytes(1200)
    path.write_bytes(bytes(data))
    lenient = (KeepBright(strict=False), KeepEventful(strict=False))
    for number, (steps, kept) in enumerate([(lenient, 1), ((*lenient, KeepBright()), 0)]):
        options = RunOptions(settings=RunSettings(max_rejects=1.0))
        features = (VideoDifference(strict=False), VideoDifference(into="video.strict"))
        report = run(Pipeline(source=source, ingest=steps, features=features), str(tmp_path / f"{number}"), options)
        assert (report.counts.stored, decoded(report)[1]) == (kept, 1)
        assert +report.counts.missing == ({"video.strict": 1} if kept else {})


def test_time_is_counted_by_step_and_decoding_by_itself(tmp_path: Path) -> None:
    report, _ = ran(tmp_path, [KeepBright(), KeepEventful()], [VideoDifference()])
    steps = report.counts.steps
    assert (steps[SHOWING].n, steps[KeepBright().name].n, steps[VideoDifference().name].n) == (1, 1, 1)
    assert all(times.seconds >= 0 for times in steps.values())
    assert steps[SHOWING].seconds > 0
    assert steps[VideoDifference().name].stages["compute"] > 0


def test_notes_say_who_is_called_and_that_a_death_of_a_feature_costs_no_sample() -> None:
    """Read as another process would, from the file that notes are kept in."""

    @dataclass(frozen=True, kw_only=True)
    class Noted(Counted):
        into: str = "video.noted"

        def watch(self, video: Video) -> Watching:
            said.append(read_note(file.fileno()))
            return (yield from super().watch(video))

    said: list[Note | None] = []
    asks, feature = KeepBright(), Noted()
    placed = (Placed(asks, "video", None), Placed(KeepBright(least=1.0), "video", None))
    with tempfile.TemporaryFile() as file:
        file.truncate(SIZE)
        films = Films(Counts(), Notes(file.fileno()), [Early("video.noted", feature, frozenset())])
        video = OpenVideo().map(Blob.of(film_bytes(shots((8,), 96, 64)[0])))
        company = companies(placed)[0]
        assert (len(company.steps), company.to_the_end) == (2, True)
        films.found(asks, video, company, entry_key="s/a", key="s/a")
        assert said == [Note("s/a", feature.name, FEATURES)]
        assert read_note(file.fileno()) == Note("s/a", asks.name, INGEST)
        assert films.taken(feature, video) is not None
        films.refused = lambda _: {feature.name: "died"}
        again = replace(video)
        films.found(asks, again, company, entry_key="s/a", key="s/a")
        assert films.taken(feature, again) is films.taken(feature, video) is None
        films.forget()
        assert len(said) == 1


@pytest.mark.slow
def test_a_feature_that_ends_its_process_beside_steps_costs_itself_alone(tmp_path: Path) -> None:
    source = corpus(tmp_path / "in", {"a": (8, 8), "b": (20, 20)})
    features = (Counted(most=30), VideoDifference())
    what = Pipeline(source=source, ingest=(KeepBright(), KeepEventful()), features=features)
    report = run(what, str(tmp_path / "store"), RunOptions(executor=Pool(1)))
    assert (report.counts.stored, +report.counts.missing) == (2, {"video.deadly": 1})
    (row,) = Store.open(tmp_path / "store").missing().to_pylist()
    assert (row["key"], row["family"]) == ("in/b", "video.deadly")
