"""Loudness, against EBU Tech 3341's test signals, FFmpeg, pyloudnorm and the standard's own table."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, cast

import av
import av.filter
import numpy as np
import pyloudnorm
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.core.rng import rng_for
from mmdata.kernels import loudness as kernels
from mmdata.testing.build import noise, silence, tone


def sines(*stretches: tuple[float, float], rate_hz: int = 48000) -> np.ndarray:
    """A stereo sine of 1 kHz: (seconds, peak level in dB) one after another."""
    return np.concatenate([tone(s, 1000, rate_hz, 2, level_db=level).samples for s, level in stretches], axis=1)


# EBU Tech 3341 (2016), table 1, cases 1 to 5: what every meter must show, within 0.1 LU
@pytest.mark.parametrize(
    ("stretches", "lufs"),
    [
        ([(20, -23)], -23),
        ([(20, -33)], -33),
        ([(10, -36), (60, -23), (10, -36)], -23),
        ([(10, -72), (10, -36), (60, -23), (10, -36), (10, -72)], -23),
        ([(20, -26), (20.1, -20), (20, -26)], -23),
    ],
)
@pytest.mark.parametrize("rate_hz", [8000, 48000])
def test_the_ebus_signals_read_what_they_should(
    stretches: list[tuple[float, float]], lufs: float, rate_hz: int
) -> None:
    assert kernels.loudness_lufs(sines(*stretches, rate_hz=rate_hz), rate_hz=rate_hz) == pytest.approx(lufs, abs=0.1)


@pytest.mark.parametrize("order", [[-28, -28, -24, -30, -30], [-28, -28, -24, 0, -30, -30]])
def test_surround_is_weighted_and_its_bass_left_out(order: list[float]) -> None:
    """Case 6 of the same table; with six channels the fourth is that of the low frequencies."""
    samples = np.concatenate([tone(20, 1000, 48000, level_db=level).samples for level in order])
    assert kernels.loudness_lufs(samples, rate_hz=48000) == pytest.approx(-23, abs=0.1)


def test_the_filters_are_those_of_the_standards_table() -> None:
    """ITU-R BS.1770-4, tables 1 and 2, 48 kHz."""
    (shelf, shelf_poles), (high, high_poles) = kernels.k_stages(48000)
    np.testing.assert_allclose(shelf, [1.53512485958697, -2.69169618940638, 1.19839281085285], atol=1e-8)
    np.testing.assert_allclose(shelf_poles, [1, -1.69065929318241, 0.73248077421585], atol=1e-8)
    np.testing.assert_allclose(high, [1, -2, 1])
    np.testing.assert_allclose(high_poles, [1, -1.99004745483398, 0.99007225036621], atol=1e-8)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100, 96000])
@pytest.mark.parametrize("n_samples", [1, 100, 4 * 44100])
def test_the_weighting_is_that_of_the_recursive_filters(rate_hz: int, n_samples: int) -> None:
    wave = rng_for(3, "weighting").standard_normal(n_samples, np.float32) + np.float32(0.5)  # with an offset
    sections = np.array([np.concatenate(stage) for stage in kernels.k_stages(rate_hz)])
    expected = scipy.signal.sosfilt(sections, wave.astype(np.float64))
    weighted = kernels.k_weighted(wave, rate_hz=rate_hz)
    assert (weighted.shape, str(weighted.dtype)) == (wave.shape, "float32")
    np.testing.assert_allclose(weighted, expected, atol=5e-6)  # 106 dB below the signal: float32's FFT


@settings(deadline=None)  # the first call imports scipy
@given(
    tenths=st.integers(4, 60),
    rate_hz=st.sampled_from([8000, 22050, 44100]),
    channels=st.integers(1, 3),
    level_db=st.floats(-60, 0),
    seed=st.integers(0, 99),
)
def test_loudness_is_that_of_pyloudnorm(tenths: int, rate_hz: int, channels: int, level_db: float, seed: int) -> None:
    """Whole tenths of a second: pyloudnorm rounds the number of blocks and so may use an incomplete last one."""
    samples = noise(tenths / 10, rate_hz, channels, level_db=level_db, seed=seed).samples
    samples *= np.linspace(1, 0.01, samples.shape[1], dtype=np.float32)  # fades, so that gates matter
    meter = pyloudnorm.Meter(rate_hz, filter_class="DeMan")
    ours = kernels.loudness_lufs(samples, rate_hz=rate_hz)
    assert ours == pytest.approx(meter.integrated_loudness(samples.T.astype(np.float64)), abs=0.01)


def ffmpeg(samples: np.ndarray, *, rate_hz: int, layout: str) -> tuple[float, float]:
    """Integrated loudness and true peak by FFmpeg's filter `ebur128`."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(format="fltp", sample_rate=rate_hz, layout=layout)
    meter, sink = graph.add("ebur128", "metadata=1:peak=true"), graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
    frame.sample_rate, frame.pts = rate_hz, 0
    source.push(frame)
    source.push(None)
    read: dict[str, str] = {}
    with contextlib.suppress(av.error.EOFError):
        while True:
            read = cast(Any, sink.pull()).metadata or read  # a frame without any ends the sound
    return float(read["lavfi.r128.I"]), float(read["lavfi.r128.true_peak"])


@pytest.mark.parametrize("layout", ["mono", "stereo", "quad(side)", "5.0(side)", "5.1(side)"])
@pytest.mark.parametrize("rate_hz", [8000, 44100, 48000])
@pytest.mark.parametrize("seconds", [0.437, 3.333])
def test_loudness_and_true_peak_are_those_of_ffmpeg(layout: str, rate_hz: int, seconds: float) -> None:
    """Also where the last block is incomplete. FFmpeg cuts what it prints, and its oversampling filter is shorter."""
    channels = av.AudioLayout(layout).nb_channels
    samples = noise(seconds, rate_hz, channels, seed=3).samples
    samples *= np.linspace(1, 0.01, samples.shape[1], dtype=np.float32)
    lufs, peak = ffmpeg(samples, rate_hz=rate_hz, layout=layout)
    assert kernels.loudness_lufs(samples, rate_hz=rate_hz) == pytest.approx(lufs, abs=0.02)
    assert abs(20 * np.log10(kernels.true_peak(samples, rate_hz=rate_hz) / peak)) < 0.4


@pytest.mark.corpus
def test_loudness_of_speech_is_that_of_pyloudnorm(prompts: Path) -> None:
    import soundfile

    for path in sorted(prompts.rglob("*.wav"))[::60]:
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        samples = samples[: len(samples) // (rate_hz // 10) * (rate_hz // 10)]
        if len(samples) >= 0.4 * rate_hz:
            meter = pyloudnorm.Meter(rate_hz, filter_class="DeMan")
            ours = kernels.loudness_lufs(np.ascontiguousarray(samples.T), rate_hz=rate_hz)
            assert ours == pytest.approx(meter.integrated_loudness(samples.astype(np.float64)), abs=0.05), path


@pytest.mark.parametrize(
    ("level_db", "heard"),
    [(-66.0, True), (-67.1, False), (-200.0, False)],  # a mono sine of 1 kHz reads 3.01 LU below its peak level
)
def test_nothing_below_the_gate_is_heard(level_db: float, heard: bool) -> None:
    loudness = kernels.loudness_lufs(tone(2, 1000, 48000, level_db=level_db).samples, rate_hz=48000)
    assert (loudness > -np.inf) == heard


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.399, 0.4, 5.0])
def test_silence_has_no_loudness(seconds: float) -> None:
    assert kernels.loudness_lufs(silence(seconds).samples, rate_hz=16000) == -np.inf


@pytest.mark.parametrize("seconds", [0.05, 0.2, 0.399, 0.4, 0.499])
def test_a_clip_shorter_than_a_block_is_one_block(seconds: float) -> None:
    loudness = kernels.loudness_lufs(tone(seconds, 1000, 48000, level_db=-20).samples, rate_hz=48000)
    assert loudness == pytest.approx(-23.01, abs=0.15)


def test_an_incomplete_last_block_is_not_used() -> None:
    quiet, loud = tone(0.4, 1000, level_db=-40).samples, tone(0.09, 1000, level_db=0).samples
    whole = np.concatenate([quiet, loud], axis=1)
    expected = kernels.loudness_lufs(quiet, rate_hz=16000)
    assert kernels.loudness_lufs(whole, rate_hz=16000) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("rate_hz", [2000, 4000, 7999])
def test_rates_too_low_for_the_weighting_are_raised_first(rate_hz: int) -> None:
    expected = kernels.loudness_lufs(tone(2, 500, 8000).samples, rate_hz=8000)
    loudness = kernels.loudness_lufs(tone(2, 500, rate_hz).samples, rate_hz=rate_hz)
    assert loudness == pytest.approx(expected, abs=0.01)


# EBU Tech 3341, cases 15 to 17: a quarter, a quarter shifted by 45 degrees, a sixth of the rate; +0.2/-0.4 dB allowed
@pytest.mark.parametrize(("part", "phase_deg"), [(4, 0), (4, 45), (6, 60)])
def test_a_true_peak_stands_between_samples(part: int, phase_deg: float) -> None:
    time = np.arange(48000)
    wave = 0.5 * np.sin(2 * np.pi * time / part + np.deg2rad(phase_deg)) * np.hanning(48000) ** 0.1
    peak = kernels.true_peak(wave[None].astype(np.float32), rate_hz=48000)
    assert -0.4 < 20 * np.log10(peak / 0.5) < 0.2


@pytest.mark.parametrize("n_samples", [20, kernels.CHUNK - 1, kernels.CHUNK, kernels.CHUNK + 20])
def test_a_true_peak_is_found_in_the_last_samples(n_samples: int) -> None:
    samples = np.zeros((1, n_samples), np.float32)
    samples[0, -20:] = 0.5 * np.sin(np.pi / 2 * np.arange(20) + np.pi / 4)
    assert kernels.true_peak(samples, rate_hz=48000) > 0.45  # at the samples it is 0.354


@pytest.mark.parametrize("rate_hz", [8000, 96000, 192000])
@pytest.mark.parametrize("n_samples", [1, 1000, 40000])
def test_a_true_peak_is_never_below_a_sample_wherever_it_stands(rate_hz: int, n_samples: int) -> None:
    samples = np.zeros((2, n_samples), np.float32)
    samples[1, n_samples - 1] = -0.75
    assert kernels.true_peak(samples, rate_hz=rate_hz) >= 0.75


def test_no_samples_have_no_peak() -> None:
    assert kernels.true_peak(np.empty((2, 0), np.float32), rate_hz=16000) == 0
