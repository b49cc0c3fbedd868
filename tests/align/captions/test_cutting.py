"""Clips with what their captions say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mmdata
from mmdata.align.captions import CutAtCaptions, MoveCaptions
from mmdata.codec.decoders import decode
from mmdata.core.sample import Audio, Blob, Captions, Frames, Sample, Text, Video
from mmdata.core.spans import TimeMap
from mmdata.core.step import Drop
from mmdata.errors import DataError
from mmdata.testing.build import noise
from mmdata.testing.captions import captions, srt_bytes
from mmdata.testing.contracts.steps import Case, StepContract
from mmdata.testing.films import shots
from mmdata.testing.media import mp4_bytes, wav_bytes

SAID = captions((500, 1000, "one"), (1250, 2000, "two\nlines"), (3000, 3500, "three"))
ALL = ["one", "two lines", "three"]
SOUND = noise(4.0, 8000)
FILM = shots((8, 8, 16), fps=8.0)[0]


def cut(step: CutAtCaptions, sample: Sample) -> list[Sample]:
    children = step.split(sample)
    assert not isinstance(children, Drop)
    return list(children)


def texts(children: list[Sample]) -> list[str]:
    return [part.text for child in children if isinstance(part := child.parts["text"], Text)]


class TestCutAtCaptions(StepContract):
    @pytest.fixture
    def case(self) -> Case:
        return Case(
            CutAtCaptions(),
            Sample("k", {"audio": SOUND, "frames": FILM, "captions": SAID}),
            others={"on": "words", "join_gap_s": 0.3, "video": "film", "audio": None, "frames": None},
        )


def test_each_caption_is_a_clip_of_sound_and_frames_with_its_text() -> None:
    children = cut(CutAtCaptions(), Sample("k", {"audio": SOUND, "frames": FILM, "captions": SAID}))
    assert [child.key for child in children] == ["k@0.500-1.000", "k@1.250-2.000", "k@3.000-3.500"]
    assert texts(children) == ["one", "two lines", "three"]
    sound, frames, own = (children[1].parts[name] for name in ("audio", "frames", "captions"))
    assert isinstance(sound, Audio)
    np.testing.assert_array_equal(sound.samples, SOUND.samples[:, 10_000:16_000])
    assert isinstance(frames, Frames)
    assert frames.times_s.tolist() == [1.25, 1.375, 1.5, 1.625, 1.75, 1.875]
    assert isinstance(own, Captions)
    assert own.cues == SAID.cues[1:2]
    moved = MoveCaptions().map(children[1])
    assert isinstance(moved, Sample)
    assert moved.parts["captions"].cues[0].span.end_s == 0.75  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("step", "keys", "said"),
    [
        (CutAtCaptions(join_gap_s=0.25), ["k@0.500-2.000", "k@3.000-3.500"], ["one two lines", "three"]),
        (CutAtCaptions(join_gap_s=0.24), ["k@0.500-1.000", "k@1.250-2.000", "k@3.000-3.500"], ALL),
        (CutAtCaptions(join_gap_s=9), ["k@0.500-3.500"], ["one two lines three"]),
        (CutAtCaptions(join_gap_s=9, max_s=1.5), ["k@0.500-2.000", "k@3.000-3.500"], ["one two lines", "three"]),
        (CutAtCaptions(margin_s=0.2), ["k@0.300-1.125", "k@1.125-2.200", "k@2.800-3.700"], ALL),
        (CutAtCaptions(margin_s=9), ["k@0.000-1.125", "k@1.125-2.500", "k@2.500-12.500"], ALL),
    ],
)  # fmt: skip
def test_captions_are_joined_and_clips_widened(step: CutAtCaptions, keys: list[str], said: list[str]) -> None:
    children = cut(step, Sample("k", {"captions": SAID}))
    assert [child.key for child in children] == keys
    assert texts(children) == said


def test_what_is_said_at_once_is_one_clip() -> None:
    given = captions((0, 1000, "A"), (0, 1000, "B"), (500, 1500, "C"))
    assert texts(cut(CutAtCaptions(), Sample("k", {"captions": given}))) == ["A B", "C"]


def test_cuts_made_before_are_counted_in() -> None:
    trimmed = SOUND.cut(8_000, 14_000)  # seconds 1 to 1.75: of "two lines" two thirds are left
    children = cut(CutAtCaptions(), Sample("k", {"audio": trimmed, "captions": SAID}))
    assert [child.key for child in children] == ["k@1.250-2.000"]
    sound = children[0].parts["audio"]
    assert isinstance(sound, Audio)
    np.testing.assert_array_equal(sound.samples, SOUND.samples[:, 10_000:14_000])
    assert CutAtCaptions(min_left=0.7).split(Sample("k", {"audio": trimmed, "captions": SAID})) == Drop("no_captions")


def test_captions_of_another_clock_cut_at_the_same_places() -> None:
    clock = TimeMap.identity(4).stretched(2)
    there = MoveCaptions().map(Sample("k", {"audio": Audio(SOUND.samples[:, ::2], 8000, clock), "captions": SAID}))
    assert isinstance(there, Sample)
    children = cut(CutAtCaptions(), there)
    assert [child.key for child in children] == ["k@0.500-1.000", "k@1.250-2.000", "k@3.000-3.500"]
    sound = children[0].parts["audio"]
    assert isinstance(sound, Audio)
    assert sound.duration_s == 0.25


def test_a_film_is_cut_where_its_captions_are() -> None:
    film = decode(Blob.of(mp4_bytes(FILM, 8)), Video)
    child = cut(CutAtCaptions(), Sample("k", {"video": film, "captions": SAID}))[1]
    clip = child.parts["video"]
    assert isinstance(clip, Video)
    assert clip.duration_s == 0.75
    again = decode(Blob.of(clip.blob.data()), Video)
    assert isinstance(again, Video)
    assert again.duration_s == pytest.approx(0.75, abs=0.13)


def test_captions_that_say_nothing_make_no_clips() -> None:
    assert CutAtCaptions().split(Sample("k", {"audio": SOUND, "captions": Captions(())})) == Drop("no_captions")
    assert CutAtCaptions().split(Sample("k", {"captions": captions((5, 5, "now"))})) == Drop("no_captions")
    other = Sample("k", {"audio": SOUND})
    assert CutAtCaptions().split(other) == [other]


def test_a_part_that_is_not_decoded_is_named() -> None:
    with pytest.raises(DataError, match=r"'audio' is Blob, not Audio: put codec\.audio\.DecodeAudio before this step"):
        CutAtCaptions().split(Sample("k", {"audio": Blob.of(b""), "captions": SAID}))


RECIPE = """
source: {use: source.files.Files, parts: {audio: "{stem}.wav", captions: "{stem}.srt"}}
ingest:
  - use: clean.audio.TrimSilence
  - use: align.captions.CutAtCaptions
  - use: align.captions.MoveCaptions
store: {audio: flac, captions: auto, text: auto}
features:
  - align.captions.CaptionQuality
"""


def test_clips_are_stored_with_their_text_and_captions_on_their_own_clock(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.wav").write_bytes(wav_bytes(SOUND))
    (tmp_path / "in" / "a.srt").write_bytes(srt_bytes(SAID.cues))
    (tmp_path / "in" / "b.wav").write_bytes(wav_bytes(SOUND))
    (tmp_path / "in" / "b.srt").write_bytes(b"1\n00:00:01,000 --> soon\nHi\n")
    pipeline = tmp_path / "p.yaml"
    pipeline.write_text(RECIPE)
    report = mmdata.run(pipeline, source=str(tmp_path / "in"), store=str(tmp_path / "store"), executor="inline")
    assert (report.counts.stored, dict(report.counts.rejected)) == (3, {"decode": 1})
    store = mmdata.open(tmp_path / "store")
    keys = sorted(store.keys())
    assert [key.partition("@")[2] for key in keys] == ["0.500-1.000", "1.250-2.000", "3.000-3.500"]
    sample = store.sample(keys[1])
    assert sample.parts["text"].text == "two lines"  # type: ignore[union-attr]
    own, sound = sample.parts["captions"], sample.parts["audio"]
    assert isinstance(own, Captions)
    assert isinstance(sound, Audio)
    assert [(cue.start_ms, cue.end_ms, cue.text) for cue in own.cues] == [(0, 750, "two\nlines")]
    assert own.time_map == sound.time_map is not None
    assert float(sound.clock.to_source(0) or 0) == 1.25
