"""Noise, at exactly the ratio that was drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mmdata.augment.audio import AddNoise
from mmdata.core.rng import rng_for
from mmdata.core.sample import Audio
from mmdata.kernels.audio import Color
from mmdata.testing.build import noise, silence, tone
from mmdata.testing.contracts.steps import Case, StepContract


def noisy(step: AddNoise, audio: Audio, seed: int = 0) -> Audio:
    result = step.map(audio, rng_for(seed, "noise"))
    assert isinstance(result, Audio)
    return result


def snr_db(clean: Audio, dirty: Audio) -> float:
    """Measured; nothing must have been turned down."""
    rest = dirty.samples.astype(np.float64) - clean.samples
    return float(10 * np.log10(np.mean(clean.samples.astype(np.float64) ** 2) / np.mean(rest**2)))


class TestContracts(StepContract):
    @pytest.fixture(
        params=[
            Case(AddNoise(), tone(channels=2), unchanged=silence()),
            Case(AddNoise(color="pink"), tone(), unchanged=silence(0.0)),
            Case(AddNoise(p=0), tone(), unchanged=tone()),
        ],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


@settings(deadline=None)  # the first call imports scipy
@given(
    ratio_db=st.floats(-20, 60),
    color=st.sampled_from(["white", "pink"]),
    channels=st.integers(1, 2),
    level_db=st.floats(-80, -45),
    seed=st.integers(0, 99),
)
def test_the_ratio_is_the_one_asked_for(
    ratio_db: float, color: Color, channels: int, level_db: float, seed: int
) -> None:
    clean = tone(0.25, channels=channels, level_db=level_db)
    dirty = noisy(AddNoise(min_snr_db=ratio_db, max_snr_db=ratio_db, color=color), clean, seed)
    assert dirty.samples.dtype == np.float32
    assert snr_db(clean, dirty) == pytest.approx(ratio_db, abs=0.01)


@pytest.mark.parametrize("color", ["white", "pink"])
def test_where_the_sum_would_pass_full_scale_all_of_it_is_turned_down(color: Color) -> None:
    step = AddNoise(min_snr_db=0, max_snr_db=0, color=color)
    loud, quiet = noisy(step, tone(level_db=0)), noisy(step, tone(level_db=-40))
    assert np.abs(loud.samples).max() == 1
    np.testing.assert_allclose(loud.samples, quiet.samples / np.abs(quiet.samples).max(), atol=1e-5)


def test_ratios_are_spread_evenly_over_their_range() -> None:
    clean, step = noise(0.5, level_db=-50), AddNoise(min_snr_db=5, max_snr_db=15)
    ratios = [snr_db(clean, noisy(step, clean, seed)) for seed in range(200)]
    assert 4.8 < min(ratios) < 6
    assert 14 < max(ratios) < 15.2
    assert np.mean(ratios) == pytest.approx(10, abs=0.6)


def test_the_share_p_of_clips_gets_noise() -> None:
    clip = tone(0.01)
    assert 90 < sum(noisy(AddNoise(p=0.25), clip, seed) is not clip for seed in range(400)) < 110


def test_a_clip_far_from_full_scale_keeps_its_own_level() -> None:
    clean = tone(level_db=-20)
    rest = noisy(AddNoise(min_snr_db=40, max_snr_db=40), clean).samples - clean.samples
    assert 10 * np.log10(np.mean(rest**2)) == pytest.approx(-20 - 3.01 - 40, abs=0.01)


def test_another_sample_gets_other_noise() -> None:
    clip = tone()
    assert not np.array_equal(noisy(AddNoise(), clip, 1).samples, noisy(AddNoise(), clip, 2).samples)


def test_time_is_not_moved() -> None:
    clip = tone().cut(100, 5000)
    assert noisy(AddNoise(), clip).time_map == clip.time_map


@pytest.mark.parametrize(
    ("given_settings", "fault"),
    [
        ({"p": 1.1}, "less than or equal to 1"),
        ({"p": -0.1}, "greater than or equal to 0"),
        ({"color": "brown"}, "'white' or 'pink'"),
        ({"min_snr_db": 20, "max_snr_db": 10}, r"min_snr_db must not be greater than max_snr_db: 20.0 > 10.0"),
    ],
)
def test_a_wrong_setting_is_refused(given_settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        TypeAdapter(AddNoise).validate_python(given_settings)
