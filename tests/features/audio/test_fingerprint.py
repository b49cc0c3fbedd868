"""The same recording is found again, and no other."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.codec.audio import DecodeAudio
from mmdata.core.rng import rng_for
from mmdata.core.sample import Audio, Blob
from mmdata.features.audio import AudioFingerprint
from mmdata.kernels.audio import resample
from mmdata.kernels.audio.landmarks import EMPTY, landmarks, min_hash, overlap
from mmdata.testing.build import noise, ogg_bytes, silence, tone
from mmdata.testing.contracts.steps import Case, StepContract


class TestContracts(StepContract):
    @pytest.fixture(
        params=[Case(AudioFingerprint(), noise(0.5, 22050, 2)), Case(AudioFingerprint(), silence())], ids=str
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


def melody(seed: int, seconds: float = 6.0, rate_hz: int = 16000) -> Audio:
    """Random notes with overtones, eight a second."""
    rng, wave = rng_for(seed, "melody"), np.zeros(round(seconds * rate_hz))
    for start in range(0, wave.size, rate_hz // 8):
        time_s = np.arange(min(rate_hz // 4, wave.size - start)) / rate_hz
        hz = rng.uniform(200, 900)
        note = sum(np.sin(2 * np.pi * hz * k * time_s) / k for k in range(1, 5)) * np.exp(-8 * time_s)
        wave[start : start + note.size] += note
    return Audio((0.2 * wave).astype(np.float32)[None], rate_hz)


def alike(one: Audio, other: Audio) -> tuple[float, float]:
    """The share of landmarks in common, and of equal places of the signatures."""
    step = AudioFingerprint()
    first, second = step.extract(one), step.extract(other)
    return overlap(first[""], second[""]), float((first["minhash"] == second["minhash"]).mean())


CHANGES: dict[str, tuple[Callable[[Audio], Audio], float]] = {
    "a twentieth of the gain": (lambda a: a.changed(a.samples / 20), 0.999),
    "two channels": (lambda a: a.changed(np.repeat(a.samples, 2, axis=0)), 0.999),
    "48 kHz": (lambda a: Audio(resample(a.samples, from_hz=16000, to_hz=48000), 48000), 0.9),
    "Vorbis": (lambda a: DecodeAudio().map(Blob.of(ogg_bytes(a))), 0.5),
    "without its first 37 ms": (lambda a: a.cut(592, a.n_samples), 0.5),
    "without its first and last second": (lambda a: a.cut(16_000, 80_011), 0.5),
    "with noise 30 dB below": (lambda a: a.changed(a.samples + noise(6.0, level_db=-45).samples), 0.4),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_recording_is_found_again(change: str) -> None:
    changed, least = CHANGES[change]
    shared, places = alike(melody(1), changed(melody(1)))
    assert shared >= least
    assert places > 0.15


def test_other_recordings_are_told_apart() -> None:
    clips = [melody(seed) for seed in range(6)]
    pairs = [alike(one, other) for place, one in enumerate(clips) for other in clips[:place]]
    assert max(shared for shared, _ in pairs) < 0.1
    assert max(places for _, places in pairs) < 0.1


@pytest.mark.corpus
def test_spoken_prompts_are_found_again_and_told_apart(prompts: Path) -> None:
    step, decode = AudioFingerprint(), DecodeAudio()
    found, again = [], []
    for path in sorted(prompts.rglob("*.wav"))[3::60]:
        audio = decode.map(Blob.of(path.read_bytes()))
        if audio.duration_s > 2 and np.abs(audio.samples).max() > 0.01:
            found.append(step.extract(audio)[""])
            again.append(step.extract(decode.map(Blob.of(ogg_bytes(audio.cut(300, audio.n_samples)))))[""])
    shared = np.array([[overlap(one, other) for other in again] for one in found])
    assert len(found) >= 5
    assert np.diag(shared).min() > 0.3
    assert shared[~np.eye(len(found), dtype=bool)].max() < 0.1


@pytest.mark.parametrize("audio", [silence(), silence(0.0), Audio(np.ones((1, 1), np.float32), 8000), tone(0.02)])
def test_what_has_no_landmarks_has_an_empty_signature(audio: Audio) -> None:
    found = AudioFingerprint(n_permutations=8).extract(audio)
    assert found[""].shape == (0,)
    np.testing.assert_array_equal(found["minhash"], np.full(8, EMPTY, np.uint32))
    assert overlap(found[""], found[""]) == 0


@given(st.sets(st.integers(0, 2**32 - 1), max_size=60), st.sets(st.integers(0, 2**32 - 1), max_size=60), st.data())
@settings(deadline=None, max_examples=40)
def test_equal_places_of_signatures_estimate_what_sets_share(
    one: set[int], other: set[int], data: st.DataObject
) -> None:
    one |= other if data.draw(st.booleans()) else set()
    exact = Fraction(len(one & other), max(1, len(one | other)))
    signatures = [min_hash(np.array(sorted(each), np.uint32), n_permutations=512) for each in (one, other)]
    if one and other:
        assert float(np.mean(signatures[0] == signatures[1])) == pytest.approx(float(exact), abs=0.12)


def test_landmarks_are_rising_and_each_there_once() -> None:
    found = landmarks(melody(3, rate_hz=8000).samples[0])
    assert len(found) > 100
    assert (np.diff(found.astype(np.int64)) > 0).all()
