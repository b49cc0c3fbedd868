"""From files to word times in a store, with the transcripts that don't fit left out and named."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import mmdata
from mmdata.core.packages import missing_packages
from tests.align.speech.conftest import DATA

pytestmark = pytest.mark.skipif(bool(missing_packages("align")), reason="needs the extra align")
FEATURES = ("audio.words.start_s", "audio.words.end_s", "audio.words.number")
PIPELINE = """
source: {use: source.files.Files, parts: {audio: "{stem}.flac", text: "{stem}.txt"}}
ingest:
  - align.speech.AlignSpeech
  - use: clean.audio.SplitOnSilence
    min_silence_s: 0.1
  - align.speech.TrimTranscript
store: {audio: flac, text: auto}
features:
  - align.speech.WordTimes
  - align.timeline.WordTrack
"""


def source(folder: Path) -> Path:
    """Two clips with their transcripts, and one with the other's."""
    folder.mkdir()
    texts = {
        "miller": "Dr. Miller came back in 1984, and nobody knew him.",
        "market": "She sells fresh bread at the market every Friday.",
    }
    for name, text in texts.items():
        shutil.copy(DATA / f"{name}.flac", folder)
        (folder / f"{name}.txt").write_text(text)
    shutil.copy(DATA / "market.flac", folder / "wrong.flac")
    (folder / "wrong.txt").write_text(texts["miller"])
    return folder


def test_word_times_are_stored_and_transcripts_that_do_not_fit_are_named(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(PIPELINE)
    report = mmdata.run(tmp_path / "p.yaml", source=source(tmp_path / "in"), store=tmp_path / "store")
    assert dict(report.counts.dropped) == {"align.speech.AlignSpeech:does_not_fit": 1}
    store = mmdata.open(str(tmp_path / "store"))
    keys = sorted(key for key in store.keys() if key.startswith("in/miller"))  # noqa: SIM118  a store is no mapping
    samples = [store.sample(key) for key in keys]
    said = [str(sample.parts["text"].text).split() for sample in samples]  # type: ignore[union-attr]
    assert " ".join(word for words in said for word in words) == "Dr. Miller came back in 1984, and nobody knew him."
    assert len(keys) == 2
    before = {name: store.arrays(name) for name in FEATURES}
    (tmp_path / "p.yaml").write_text(PIPELINE.replace("  - align.speech.WordTimes\n", ""))
    mmdata.run(tmp_path / "p.yaml", source=tmp_path / "in", store=tmp_path / "late")
    (tmp_path / "p.yaml").write_text(PIPELINE)
    mmdata.run(tmp_path / "p.yaml", source=tmp_path / "in", store=tmp_path / "late")
    for name, arrays in before.items():  # features that are added later are those made at once
        for array, later in zip(arrays, mmdata.open(str(tmp_path / "late")).arrays(name), strict=True):
            np.testing.assert_array_equal(array, later)
    starts, numbers, tracks = (
        store.arrays(name, keys=keys) for name in ("audio.words.start_s", "audio.words.number", "audio.word_track")
    )
    for sample, words, start, number, track in zip(samples, said, starts, numbers, tracks, strict=True):
        assert start is not None
        assert number is not None
        assert track is not None
        assert len(words) == len(start) == len(number)
        assert start[0] < 0.3  # on the clip's own clock, whatever came before it in the file
        assert (np.diff(start) > 0).all()
        assert set(track.tolist()) <= {-1, *number.tolist()}
        assert sample.meta["words_score"] == pytest.approx(samples[0].meta["words_score"])
