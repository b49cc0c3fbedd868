"""Sounds that no one expects: each operator on sound gives a result, drops them or refuses them, and never fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmdata.augment import audio as augment
from mmdata.clean import audio as clean
from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Array, Audio, Sample
from mmdata.core.step import Drop, Feature, Split, Step, is_abstract
from mmdata.errors import DataError
from mmdata.features import audio as features
from mmdata.features.audio import LogMel
from mmdata.testing.build import noise
from mmdata.testing.contracts.steps import run
from mmdata.testing.media import wav_bytes

STEPS = [
    step
    for module in (clean, augment, features)
    for name in module.__all__
    if isinstance(step := getattr(module, name), type) and issubclass(step, Step) and not is_abstract(step)
]


def of(samples: np.ndarray, rate_hz: int = 16000) -> Audio:
    return Audio(np.ascontiguousarray(samples, np.float32), rate_hz)


def broken(value: float) -> Audio:
    samples = noise(0.6).samples.copy()
    samples[0, 3000:3010] = value
    return of(samples)


SOUNDS: dict[str, Callable[[], Audio]] = {
    "empty": lambda: of(np.zeros((1, 0))),
    "empty in stereo": lambda: of(np.zeros((2, 0)), 44100),
    "one sample": lambda: of(np.full((1, 1), 0.5)),
    "two samples": lambda: of(np.array([[0.5, -0.5]])),
    "40 samples at 1 Hz": lambda: of(noise(0.0025).samples, 1),
    "zeros": lambda: of(np.zeros((1, 8000))),
    "an offset and nothing else": lambda: of(np.full((1, 8000), 0.25)),
    "full scale and nothing else": lambda: of(np.ones((2, 8000))),
    "an amplitude of a million": lambda: of(noise(0.5, level_db=0).samples * np.float32(1e6)),
    "an amplitude of 1e-30": lambda: of(noise(0.5, level_db=0).samples * np.float32(1e-30)),
    "192 kHz": lambda: noise(0.25, 192000),
    "8 channels": lambda: noise(0.5, 8000, 8),
    "NaN": lambda: broken(np.nan),
    "infinity": lambda: broken(np.inf),
    "1e30": lambda: broken(1e30),
}
NO_NUMBERS = ("NaN", "infinity", "1e30")


def made(step: type[Step], folder: Path) -> Step:
    """A step with the settings that it can't do without."""
    needed: dict[str, Any] = {"folder": str(folder)} if step.__name__ == "MixBackground" else {}
    return step(**needed)


def given(step: Step, audio: Audio) -> Any:
    if isinstance(step, Split):
        return Sample("k", {"audio": audio})
    if step.takes is Array:
        mels = LogMel().extract(audio)
        return Array(mels, ArraySpec(dims=("time", "mel"), sizes={"mel": mels.shape[1]}))
    return audio


def sounds_in(result: Any) -> Iterator[Audio]:
    for part in [result] if not isinstance(result, list | tuple) else [each.parts["audio"] for each in result]:
        if isinstance(part, Audio):
            yield part


def check(step: Step, audio: Audio, *, finite: bool) -> bool:
    """Whether a result came; that it is as the step promises is asserted."""
    try:
        result = run(step, given(step, audio))
    except DataError:
        return False
    for sound in sounds_in(result):
        assert sound.samples.dtype == np.float32
        assert sound.samples.ndim == 2
        assert sound.rate_hz > 0
        assert not finite or np.isfinite(sound.samples).all()
        assert sound.time_map is None or abs(float(sound.time_map.length_s) - sound.duration_s) < 0.05
    if isinstance(step, Feature):
        arrays, columns = step.named(result), step.columns()
        assert arrays.keys() == columns.keys()
        for name, array in arrays.items():
            assert columns[name].fault(array) is None, name
            assert not finite or array.dtype.kind not in "fc" or np.isfinite(array).all(), name
    elif not isinstance(result, Drop | Audio | Array):
        assert result is True or (isinstance(result, list | tuple) and result)
    return not isinstance(result, Drop)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("backgrounds")
    (place / "a.wav").write_bytes(wav_bytes(noise(0.3, 8000)))
    return place


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("sound", SOUNDS)
def test_every_operator_gives_a_result_drops_or_refuses(sound: str, folder: Path) -> None:
    audio = SOUNDS[sound]()
    audio.samples.flags.writeable = False
    for step in STEPS:
        check(made(step, folder), audio, finite=sound not in NO_NUMBERS)


@pytest.mark.parametrize("sound", ["8 channels", "192 kHz"])
def test_what_is_only_unusual_gets_results(sound: str, folder: Path) -> None:
    results = {step.__name__ for step in STEPS if check(made(step, folder), SOUNDS[sound](), finite=True)}
    drops = {step.__name__ for step in STEPS} - results
    assert drops <= {"KeepBandwidth", "KeepSnr", "KeepSpeech", "SplitOnSpeech", "TrimToSpeech"}


@pytest.mark.slow
def test_what_is_very_long_is_no_trouble(folder: Path) -> None:
    audio = of(np.tile(noise(60.0, 8000).samples, (1, 4)), 8000)
    results = {step.__name__ for step in STEPS if check(made(step, folder), audio, finite=True)}
    assert {"Mfcc", "Pitch", "Denoise", "ChangeTempo", "AudioFingerprint", "SpeechShare"} <= results


def test_all_operators_are_among_them() -> None:
    names = {step.__name__ for step in STEPS}
    assert len(names) == len(STEPS) >= 50
    assert {"TrimSilence", "KeepSpeech", "MixBackground", "MaskSpectrum", "Pitch", "SpeechShare"} <= names
