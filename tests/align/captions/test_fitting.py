"""Captions put right by when somebody is heard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmdata.align.captions import FitCaptions
from mmdata.align.captions.fitting import fitted, heard
from mmdata.codec.audio import DecodeAudio
from mmdata.core.rng import rng_for
from mmdata.core.sample import Audio, Blob, Captions, Cue, Sample
from mmdata.testing.build import noise, silence, tone
from mmdata.testing.contracts.steps import Case, StepContract

RATE_HZ = 4000
Spans = list[tuple[float, float]]


def talk(seconds: float, seed: int = 0) -> Spans:
    """When somebody speaks, with pauses of unequal length."""
    rng, spans, now_s = rng_for(seed, "talk"), [], 1.0
    while now_s < seconds - 4:
        length_s = rng.uniform(0.8, 3.5)
        spans.append((now_s, now_s + length_s))
        now_s += length_s + rng.choice([0.15, 0.4, 1.5, 3.5])
    return spans


def sounding(spans: Spans, seconds: float) -> Audio:
    samples = noise(seconds, RATE_HZ, level_db=-50).samples.copy()
    loud = noise(seconds, RATE_HZ, seed=1).samples
    for start_s, end_s in spans:
        stretch = slice(round(start_s * RATE_HZ), round(end_s * RATE_HZ))
        samples[:, stretch] += loud[:, stretch]
    return Audio(samples, RATE_HZ)


def captioned(spans: Spans, *, early_s: float = 0.0, rate: float = 1.0) -> Captions:
    """Captions whose times are wrong: `rate` times theirs, and `early_s` more, is right; a little off each."""
    rng = rng_for(0, "sloppy")
    cues = []
    for start_s, end_s in spans:
        if (start := (start_s - early_s) / rate) >= 0:
            end = (end_s - early_s + float(rng.uniform(-0.2, 0.3))) / rate
            cues.append(Cue(round(start * 1000), round(end * 1000), "said"))
    return Captions(tuple(cues))


SPANS = talk(90)
SOUND = sounding(SPANS, 90)


class TestFitCaptions(StepContract):
    @pytest.fixture
    def case(self) -> Case:
        sample = Sample("k", {"audio": SOUND, "captions": captioned(SPANS, early_s=2)})
        step = FitCaptions(by="sound")
        return Case(step, sample, unchanged=sample.with_part("captions", Captions(())), others={"by": "speech"})


@pytest.mark.parametrize("early_s", [-8.0, -0.5, 0.0, 3.21, 12.0])
@pytest.mark.parametrize("rate", [1.0, 25 / 24])
def test_shift_and_drift_are_found(early_s: float, rate: float) -> None:
    found, lag = fitted(captioned(SPANS, early_s=early_s, rate=rate), heard(SOUND, by="sound"), most_s=30)
    assert found == pytest.approx(rate)
    assert lag.seconds == pytest.approx(early_s, abs=0.1)
    assert lag.confidence > 0.5


def test_captions_are_put_right() -> None:
    right = FitCaptions(by="sound").map(Sample("k", {"audio": SOUND, "captions": captioned(SPANS, early_s=4.2)}))
    assert isinstance(right, Sample)
    there = right.parts["captions"]
    assert isinstance(there, Captions)
    starts = [cue.start_ms / 1000 for cue in there.cues]
    wanted = [start_s for start_s, _ in SPANS][-len(starts) :]
    assert np.abs(np.subtract(starts, wanted)).max() < 0.15


def test_a_trim_made_before_is_counted_in() -> None:
    trimmed = SOUND.cut(10 * RATE_HZ, SOUND.n_samples)
    sample = Sample("k", {"audio": trimmed, "captions": captioned(SPANS, early_s=4.2)})
    right = FitCaptions(by="sound").map(sample)
    assert isinstance(right, Sample)
    there = right.parts["captions"]
    assert isinstance(there, Captions)
    assert there.time_map is None  # still on the clock of the source
    assert there.cues[-1].start_ms / 1000 == pytest.approx(SPANS[-1][0], abs=0.15)
    before = sample.parts["captions"]
    assert isinstance(before, Captions)
    assert len(there.cues) == len(before.cues)  # also those of what was cut away, which may still be seen


@pytest.mark.parametrize("audio", [sounding(talk(90, 7), 90), silence(5), silence(0), tone(5), noise(20)])
def test_what_does_not_fit_is_left(audio: Audio) -> None:
    sample = Sample("k", {"audio": audio, "captions": captioned(SPANS)})
    assert FitCaptions(by="sound").map(sample) is sample
    without = Sample("k", {"audio": SOUND, "captions": Captions(())})
    assert FitCaptions(by="sound").map(without) is without


@pytest.mark.corpus
def test_captions_of_real_speech_are_put_right_by_speech(prompts: Path) -> None:
    rng, pieces, cues, now = rng_for(0, "pauses"), [np.zeros((1, 8000), np.float32)], [], 8000
    for path in sorted(prompts.rglob("*.wav"))[10:400:13]:
        said = DecodeAudio().map(Blob.of(path.read_bytes())).samples
        cues.append(Cue(now // 8 + 3000, (now + said.shape[1]) // 8 + 3000, path.stem))
        pause = np.zeros((1, int(rng.choice([2000, 8000, 20000]))), np.float32)
        pieces += [said, pause]
        now += said.shape[1] + pause.shape[1]
    audio = Audio(np.concatenate(pieces, axis=1), 8000)
    found, lag = fitted(Captions(tuple(cues)), heard(audio, by="speech"), most_s=30)
    assert found == 1.0
    assert lag.seconds == pytest.approx(-3.0, abs=0.2)
    assert lag.confidence > 0.5
