"""Samples that no decoder gives, but a step of somebody's might: no operator on sound may fail or hang on them."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest

from mmdata.augment import audio as augment
from mmdata.clean import audio as clean
from mmdata.core.sample import Audio, Sample
from mmdata.core.step import Drop, Step
from mmdata.features import audio as features
from mmdata.testing.build import noise
from mmdata.testing.contracts.steps import run

NEED_MORE = {"MelSpectrum", "MixBackground", "MaskSpectrum"}  # an abstract one, one with a folder, one on arrays
MODELS = {"KeepSpeech", "SplitOnSpeech", "TrimToSpeech"}


def steps(module: ModuleType) -> Iterator[Step]:
    for name in module.__all__:
        if name not in NEED_MORE | MODELS:
            yield getattr(module, name)()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("module", [clean, augment, features], ids=lambda module: module.__name__)
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_samples_that_are_no_numbers_end_no_step(module: ModuleType, value: float) -> None:
    samples = noise(0.6).samples.copy()
    samples[0, 3000:3010] = value
    audio = Audio(samples, 16000)
    done = 0
    for step in steps(module):
        given = Sample("k", {"audio": audio}) if step.name.startswith("clean.audio.Split") else audio
        result = run(step, given)
        done += 1
        if isinstance(result, Audio):
            assert (result.rate_hz, len(result.samples)) == (16000, 1)
        else:
            assert result is True or isinstance(result, Drop | dict | np.ndarray | list)
    assert done > 8
