"""Sound tracks that several steps and features hear: decoded once each, and what comes of each is as alone."""

from __future__ import annotations

import io
import subprocess
import sys
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest

from mmdata.align.sync import SoundOffset
from mmdata.clean.audio import KeepDuration
from mmdata.clean.video import CutPassages, KeepEventful, KeepResolution
from mmdata.codec.video import DecodeSound, OpenVideo, tally
from mmdata.core.arrays import ArraySpec
from mmdata.core.pipeline import Family, Pipeline, Placed, RunSettings
from mmdata.core.sample import Audio, Blob, Sample, Video
from mmdata.core.step import Arrays, Step
from mmdata.core.watch import Attending, Heard, Hearing, View, Watch, Watching
from mmdata.engine.counts import Counts
from mmdata.engine.extract import Extraction, FamilyWork
from mmdata.engine.films import Films, companies
from mmdata.engine.notes import Notes
from mmdata.engine.options import RunOptions
from mmdata.engine.report import RunReport
from mmdata.engine.runner import run
from mmdata.engine.watching import HEARING, SHOWING, Watcher, watch, watch_alone
from mmdata.features.video import VideoDifference
from mmdata.source.files import Files
from mmdata.store.store import Store
from mmdata.store.write_features import FeatureWriter
from mmdata.testing.films import moving_shapes
from mmdata.testing.media import mp4_bytes
from mmdata.testing.retelling import Doubled, Retold
from mmdata.testing.sounds import noise, tone

N_FRAMES = 16


@dataclass(frozen=True, kw_only=True)
class Loudest(Watch):
    """The greatest sample of a track, and of how many: two float32 scalars. It sees nothing."""

    into: str = "video.loudest"
    track: int = 0
    fails: str = ""

    def spec(self) -> Mapping[str, ArraySpec]:
        return {"level": ArraySpec(), "n": ArraySpec()}

    def view(self, video: Video) -> View | None:
        return None

    def hears(self, video: Video) -> Hearing | None:
        return None if self.fails == "deaf" else Hearing(self.track)

    def watch(self, video: Video) -> Attending[Arrays]:
        level, n = 0.0, 0
        while (heard := (yield)) is not None:
            assert isinstance(heard, Heard)
            level = max(level, float(np.abs(heard.samples).max(initial=0)))
            n += heard.samples.size
            if n and self.fails == "raises":
                raise KeyError("wrong")
            if n and self.fails == "writes":
                heard.samples[0] = 0
        return {"level": np.asarray(level, np.float32), "n": np.asarray(n, np.float32)}


def pictured(audio: Audio | None) -> bytes:
    return mp4_bytes(moving_shapes(N_FRAMES, 64, 48, camera_px=(2, 0))[0], fps=8, audio=audio, mbtree="0")


@cache
def film() -> bytes:
    """Two seconds of pictures with two sound tracks: a tone with a break, and noise."""
    file = io.BytesIO()
    broken = tone(2.0).samples * (np.abs(np.arange(32000) - 16000) > 8000)
    sounds = Audio(broken.astype(np.float32), 16000), noise(2.0, level_db=-30)
    with av.open(file, "w", format="matroska", options={"fflags": "+bitexact"}) as made:
        given = [av.open(io.BytesIO(pictured(sound)), "r") for sound in sounds]
        tracks = [given[0].streams.video[0], *(each.streams.audio[0] for each in given)]
        into = [made.add_stream_from_template(track) for track in tracks]
        for container, track, copy in zip([given[0], *given], tracks, into, strict=True):
            container.seek(0)
            for packet in container.demux(track):
                if packet.size:
                    packet.stream = copy
                    made.mux(packet)
        for each in given:
            each.close()
    return file.getvalue()


@cache
def damaged() -> tuple[bytes, float]:
    """The film with a packet of its first sound track that can't be decoded, and when that is heard."""
    data = bytearray(film())
    with av.open(io.BytesIO(film()), "r") as container:
        sounds = [packet for packet in container.demux(container.streams.audio[0]) if packet.size]
        packet = sounds[26]
        assert data.count(bytes(packet)) == 1
        at, when_s = data.index(bytes(packet)), float((packet.pts or 0) * packet.time_base)
        data[at : at + packet.size] = b"\xff" * packet.size
    return bytes(data), when_s


def opened(data: bytes) -> Video:
    return OpenVideo().map(Blob.of(data))


def ran(
    folder: Path, ingest: Sequence[Step], features: Sequence[Any] = (), data: bytes | None = None
) -> tuple[RunReport, Store]:
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "a.mkv").write_bytes(film() if data is None else data)
    (folder / "in" / "a.txt").write_text("a")
    source = Files(str(folder / "in"), parts={"video": "{stem}.mkv", "text": "{stem}.txt"})
    settings = RunSettings(max_rejects=1.0)
    what = Pipeline(source=source, ingest=tuple(ingest), features=tuple(features))
    report = run(what, str(folder / "store"), RunOptions(settings=settings))
    assert report.counts.balances
    return report, Store.open(folder / "store")


def sounds(report: RunReport) -> tuple[int, int]:
    return report.counts.decoded["sounds"], report.counts.decoded["sound_passes"]


HEARING_FIRST: tuple[Step, ...] = (
    DecodeSound(),
    KeepEventful(max_silent=0.9, max_black=None, max_frozen=None),
    KeepEventful(max_silent=0.9),
    DecodeSound(into="other"),
)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("features", [(), (SoundOffset(), Loudest(), VideoDifference())], ids=["", "features"])
@pytest.mark.parametrize("turned", [False, True])
def test_a_track_is_decoded_once_however_many_hear_it(
    tmp_path: Path, n: int, features: tuple[Any, ...], turned: bool
) -> None:
    steps = HEARING_FIRST[::-1][:n] if turned else HEARING_FIRST[:n]
    report, _ = ran(tmp_path, steps, features)
    assert report.counts.stored == 1
    assert not +report.counts.missing
    assert sounds(report) == (1, 1)
    looks = bool(features) or HEARING_FIRST[2] in steps
    assert report.counts.decoded["passes"] == looks
    assert report.counts.steps[HEARING].n == 1


def test_each_track_is_decoded_once(tmp_path: Path) -> None:
    steps = (DecodeSound(), DecodeSound(track=1, into="other"), KeepEventful(max_silent=0.9))
    report, store = ran(tmp_path, steps, (SoundOffset(), Loudest(), Loudest(into="video.other", track=1)))
    assert sounds(report) == (2, 2)
    assert report.counts.decoded["passes"] == 1
    first, second = (np.asarray(store.arrays(f"video.{name}.level")[0]) for name in ("loudest", "other"))
    assert first > 0.45 > 0.3 > second


def test_features_alone_share_a_pass_too(tmp_path: Path) -> None:
    report, _ = ran(tmp_path, (), (SoundOffset(), Loudest(), Loudest(into="video.other", track=1)))
    assert sounds(report) == (2, 2)
    assert report.counts.decoded["passes"] == 1


def test_what_comes_of_each_is_as_alone(tmp_path: Path) -> None:
    features = (SoundOffset(), Loudest())
    together, shared = ran(tmp_path / "a", HEARING_FIRST, features)
    apart, alone = ran(tmp_path / "b", [each for step in HEARING_FIRST for each in (Retold(), step)], features)
    assert (sounds(together), sounds(apart)) == ((1, 1), (1, 1 + len(HEARING_FIRST) - 1))
    for column in ("video.sync.offset_s", "video.sync.confidence", "video.loudest.level", "video.loudest.n"):
        assert shared.arrays(column)[0] == alone.arrays(column)[0]
    expected = DecodeSound().map(opened(film()))
    assert isinstance(expected, Audio)
    for store in (shared, alone):
        for part in ("audio", "other"):
            audio = store.sample("in/a").parts[part]
            assert isinstance(audio, Audio)
            np.testing.assert_allclose(audio.samples, expected.samples, atol=1e-4)  # stored as FLAC


def test_who_only_hears_has_no_pictures_decoded_and_the_other_way_round(tmp_path: Path) -> None:
    report, _ = ran(tmp_path / "a", [DecodeSound()], [Loudest()])
    assert report.counts.to_json()["decoded"] == {"sound_passes": 1, "sounds": 1}
    report, _ = ran(tmp_path / "b", [KeepEventful()], [VideoDifference()])
    assert report.counts.to_json()["decoded"] == {"frames": N_FRAMES, "passes": 1, "streams": 1}


def test_a_film_that_is_dropped_for_its_sound_is_never_shown(tmp_path: Path) -> None:
    """`KeepEventful` and the features wait for pictures when the turn of `KeepDuration` comes, and get none."""
    steps = (DecodeSound(), KeepDuration(min_s=60), KeepEventful(max_silent=0.9))
    report, _ = ran(tmp_path, steps, (VideoDifference(), SoundOffset()))
    assert report.counts.dropped == {f"{steps[1].name}:too_short": 1}
    assert report.counts.to_json()["decoded"] == {"sound_passes": 1, "sounds": 1}


def test_what_is_heard_to_encode_clips_is_counted_too(tmp_path: Path) -> None:
    report, _ = ran(tmp_path, [CutPassages(kinds=("silent",), min_s=0.5, cut="encode")])
    assert report.counts.stored == 2
    assert sounds(report) == (1, 1 + 2)


def test_samples_that_share_a_film_share_its_sound(tmp_path: Path) -> None:
    opens = KeepResolution(min_px=10)
    report, _ = ran(tmp_path, [opens, Doubled(), DecodeSound(), KeepEventful(max_silent=0.9)], [Loudest()])
    assert (report.counts.stored, sounds(report)) == (2, (1, 1))


def test_of_a_damaged_track_each_has_its_own_outcome(tmp_path: Path) -> None:
    data, when_s = damaged()
    lenient = (DecodeSound(strict=False), KeepEventful(max_silent=0.9, strict=False))
    features = (
        SoundOffset(),
        SoundOffset(into="video.lenient", strict=False),
        Loudest(),
        Loudest(into="video.most", strict=False),
        VideoDifference(),
    )
    report, store = ran(tmp_path / "a", lenient, features, data)
    assert (report.counts.stored, sounds(report)) == (1, (1, 1))
    assert +report.counts.missing == {"video.sync": 1, "video.loudest": 1}
    for row in store.missing().to_pylist():
        assert f"its sound breaks off at {when_s:.2f} s: FFmpeg can't decode it: " in row["error"]
    for name in ("video.lenient", "video.most"):
        assert store.arrays(f"{name}.decoded_s")[0] == pytest.approx(when_s, abs=0.07)
    report, store = ran(tmp_path / "b", (*lenient, DecodeSound(into="strict")), features, data)
    (row,) = store.rejects().to_pylist()
    assert (row["step"], row["kind"]) == (DecodeSound().name, "decode")
    assert row["error"].startswith(f"its sound breaks off at {when_s:.2f} s: ")
    assert sounds(report) == (1, 1)


def test_an_error_of_one_costs_the_others_nothing() -> None:
    video = opened(film())
    watchers = [Watcher(Loudest(fails=fails)) for fails in ("raises", "writes", "deaf", "")]
    tally.take()
    watch(video, watchers)
    raised, wrote, deaf, whole = watchers
    assert isinstance(raised.error, KeyError)
    assert "read-only" in str(wrote.error)
    assert "view must return a View, not None" in str(deaf.error)
    assert whole.error is None
    assert tally.take() == tally.Decoded(sounds=1, sound_passes=1)


def test_nobody_left_to_hear_ends_the_decoding() -> None:
    noted: list[str] = []
    data = film()
    watch(opened(data), [Watcher(Loudest(fails="raises"))], noted.append)
    assert noted.count(HEARING) < 4


def test_hearing_something_else_is_a_bug_of_the_step() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Odd(Loudest):
        def hears(self, video: Video) -> Any:
            return 1

    with pytest.raises(TypeError, match="hears must return a Hearing or None, not 1"):
        watch_alone(Odd(), opened(film()))
    with pytest.raises(ValueError, match="track must be at least 0"):
        Hearing(-1)


def test_a_film_without_the_track_is_heard_as_nothing() -> None:
    found = watch_alone(Loudest(track=2), opened(film()))
    assert isinstance(found, Mapping)
    assert found["n"] == 0


def test_where_only_features_hear_a_death_is_noted_as_theirs() -> None:
    """So it costs them, and not the sample; the pictures that a step of ingest sees are noted as before."""

    @dataclass(frozen=True, kw_only=True)
    class Seen(Watch):
        into: str = "video.seen"

        def spec(self) -> ArraySpec:
            return ArraySpec()

        def view(self, video: Video) -> View:
            return View(size_px=16)

        def watch(self, video: Video) -> Watching:
            while (yield) is not None:
                pass
            return np.zeros((), np.float32)

    of_steps: list[str] = []
    of_features: list[str] = []
    step, feature = Watcher(Seen()), Watcher(Loudest(), of_features.append)
    watch(opened(film()), [step, feature], of_steps.append)
    assert set(of_features) == {Loudest().name, HEARING}
    assert set(of_steps) == {Seen().name, SHOWING}
    watch(opened(film()), [Watcher(DecodeSound()), Watcher(Loudest(), of_features.append)], of_steps.append)
    assert HEARING in of_steps


def test_a_death_while_hearing_costs_the_features_that_hear() -> None:
    """What is noted as `HEARING` is refused to them the next time; `VideoDifference` sees, and is computed."""
    tables = extracted([Loudest(), SoundOffset(), VideoDifference()], {HEARING: "died: it ended a process"})
    assert tables == ["died: it ended a process", "died: it ended a process", None]
    assert extracted([Loudest()], {SHOWING: "died"}) == ["died"]


def extracted(steps: Sequence[Any], refused: Mapping[str, str]) -> list[str | None]:
    """What the rows of features of the film say in place of them."""
    errors: list[list[str | None]] = [[] for _ in steps]

    @dataclass
    class Table:
        at: int

        def add(self, keys: Sequence[str], arrays: Mapping[str, Any], said: Sequence[str | None]) -> None:
            errors[self.at] += said

    works = [FamilyWork(Family(step, "f"), cast(FeatureWriter, Table(at))) for at, step in enumerate(steps)]
    extraction = Extraction(works, Counts(), Notes(None))
    extraction.add("s/a", Sample("s/a", {"video": Blob.of(film())}), refused)
    extraction.flush()
    return [each[0] for each in errors]


def test_what_was_found_is_let_go_once_it_was_taken(tmp_path: Path) -> None:
    """A whole sound track is not held beside what later steps make of it."""
    step, later = DecodeSound(), KeepEventful(max_silent=0.9)
    company = companies((Placed(step, "video", "audio"), Placed(later, "video", None)))[0]
    films, video = Films(Counts(), Notes(None)), opened(film())
    track = films.found(step, video, company, entry_key="s/a", key="s/a")
    held = weakref.ref(track)
    assert held() is not None
    del track
    assert held() is None
    films.found(later, video, company, entry_key="s/a", key="s/a")
    films.forget()


def lasting(seconds: int) -> bytes:
    """A film of one second's picture and so many seconds of stereo noise: FFV1 and PCM in Matroska."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska", options={"fflags": "+bitexact"}) as made:
        film = made.add_stream("ffv1", rate=1)
        film.width, film.height, film.pix_fmt = 32, 24, "yuv420p"
        sound = made.add_stream("pcm_s16le", rate=48_000, layout="stereo")
        frame = av.VideoFrame.from_ndarray(np.zeros((24, 32, 3), np.uint8), format="rgb24")
        frame.pts, frame.time_base = 0, Fraction(1)
        made.mux(film.encode(frame))
        made.mux(film.encode(None))
        levels = (noise(1.0, 48_000, 2).samples * 20_000).astype(np.int16).T.reshape(1, -1)
        for second in range(seconds):
            piece = av.AudioFrame.from_ndarray(levels, format="s16", layout="stereo")
            piece.rate, piece.pts, piece.time_base = 48_000, second * 48_000, Fraction(1, 48_000)
            made.mux(sound.encode(piece))
        made.mux(sound.encode(None))
    return file.getvalue()


def test_a_long_track_takes_no_more_memory_than_its_pieces() -> None:
    """Four minutes of stereo, which would be 92 MB, heard by all but `DecodeSound`, in a process of its own."""
    code = """
import sys

from mmdata.align.sync import Onsets
from mmdata.clean.video import KeepEventful
from mmdata.codec.video import OpenVideo
from mmdata.codec.video.hearing import Gapless, heard
from mmdata.core.sample import Blob
from mmdata.testing.peaks import peak_bytes

video = OpenVideo().map(Blob.of(sys.stdin.buffer.read()))
step = KeepEventful(max_silent=0.9, max_black=None, max_frozen=None)
before = peak_bytes()
sound, gapless = Onsets(), Gapless()
for piece in heard(video):
    for samples in gapless.of(piece):
        sound.hear(samples, piece.rate_hz)
rises, _ = sound.found()
assert step.keep(video) is True
print(len(rises), peak_bytes() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], input=lasting(240), capture_output=True, check=True, timeout=280
    )
    n_rises, grown = map(int, done.stdout.split())
    assert n_rises == 24_001
    assert grown < 60_000_000
