"""Sound kernels, against librosa and known answers."""

from __future__ import annotations

from typing import Any

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.core.rng import rng_for
from mmdata.kernels import audio as kernels
from mmdata.testing.build import noise, tone


def mel(wave: np.ndarray, *, rate_hz: int, n_fft: int, window: int, hop: int, n_mels: int) -> np.ndarray:
    return kernels.mel_power(
        wave, rate_hz=rate_hz, n_fft=n_fft, window=window, hop=hop, n_mels=n_mels, min_hz=20.0, max_hz=rate_hz / 2
    )


@pytest.mark.parametrize(
    ("n_samples", "size", "hop", "shape"),
    [(0, 4, 2, (0, 4)), (3, 4, 2, (0, 4)), (4, 4, 2, (1, 4)), (5, 4, 2, (1, 4)), (6, 4, 2, (2, 4)), (5, 1, 3, (2, 1))],
)
def test_only_whole_frames_are_cut(n_samples: int, size: int, hop: int, shape: tuple[int, int]) -> None:
    frames = kernels.frame(np.arange(n_samples), size=size, hop=hop)
    assert frames.shape == shape
    assert all(frame[0] == index * hop for index, frame in enumerate(frames))


@pytest.mark.parametrize(("size", "hop"), [(0, 1), (1, 0), (-1, 1)])
def test_a_frame_of_no_samples_is_refused(size: int, hop: int) -> None:
    with pytest.raises(ValueError, match=rf"at least 1 sample, not {size} and {hop}"):
        kernels.frame(np.zeros(4), size=size, hop=hop)


def test_levels_are_those_of_known_signals() -> None:
    square = np.ones(1600, np.float32) * np.where(np.arange(1600) % 2, 1, -1)
    sine = tone(0.1, 1000, level_db=0).samples[0]
    levels = kernels.levels_db(np.stack([square, sine, 0 * sine]).astype(np.float32), hop=160)
    np.testing.assert_allclose(levels, np.broadcast_to([[0], [-3.0103], [-100]], (3, 10)), atol=1e-3)


def test_a_short_last_stretch_is_measured_over_its_own_length() -> None:
    levels = kernels.levels_db(np.array([[0, 0, 0, 1]], np.float32), hop=3)
    np.testing.assert_allclose(levels, [[-100, 0]])


def test_no_samples_have_no_levels() -> None:
    assert kernels.levels_db(np.empty((2, 0), np.float32), hop=3).shape == (2, 0)


@pytest.mark.parametrize("top_db", [None, 0.0, 30.0, 80.0])
def test_decibels_are_those_of_librosa(top_db: float | None) -> None:
    power = np.geomspace(1e-12, 1e3, 200, dtype=np.float32).reshape(20, 10)
    ours = kernels.power_to_db(power, top_db=top_db)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, librosa.power_to_db(power, top_db=top_db), atol=1e-4)


def test_decibels_of_nothing_are_nothing() -> None:
    assert kernels.power_to_db(np.empty((0, 3), np.float32), top_db=80).shape == (0, 3)


@pytest.mark.parametrize("hz", [0.0, 200.0, 999.0, 1000.0, 1001.0, 4000.0, 22050.0])
def test_the_mel_scale_is_that_of_librosa_both_ways(hz: float) -> None:
    assert kernels.hz_to_mel(hz) == pytest.approx(librosa.hz_to_mel(hz), rel=1e-12)
    assert kernels.mel_to_hz(kernels.hz_to_mel(hz)) == pytest.approx(hz, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(("rate_hz", "n_fft", "n_mels"), [(16000, 400, 80), (22050, 2048, 128), (8000, 275, 23)])
@pytest.mark.parametrize("min_hz", [0.0, 50.0])
def test_mel_filters_are_those_of_librosa(rate_hz: int, n_fft: int, n_mels: int, min_hz: float) -> None:
    theirs = librosa.filters.mel(sr=rate_hz, n_fft=n_fft, n_mels=n_mels, fmin=min_hz, fmax=rate_hz * 0.45)
    ours = kernels.mel_filters(rate_hz, n_fft, n_mels, min_hz, rate_hz * 0.45)
    np.testing.assert_allclose(ours, theirs.T, atol=1e-8)


def test_bands_put_together_are_the_filters() -> None:
    settings = (16000, 512, 90, 100.0, 7000.0)
    whole = np.zeros((257, 90), np.float32)
    for bins, mels, weights in kernels.mel_bands(*settings):
        whole[bins, mels] = weights
    np.testing.assert_array_equal(whole, kernels.mel_filters(*settings))


def test_filters_too_narrow_to_hear_any_bin_are_silent() -> None:
    power = kernels.mel_power(
        noise(0.1).samples[0], rate_hz=16000, n_fft=64, window=64, hop=32, n_mels=64, min_hz=0.0, max_hz=500.0
    )
    assert power.shape == (51, 64)
    assert (power == 0).all(axis=0).any()


def test_cached_tables_can_not_be_written_to() -> None:
    for table in (kernels.hann(4, 8), kernels.mel_filters(8000, 64, 8, 0.0, 4000.0), kernels.dct_matrix(4, 2)):
        with pytest.raises(ValueError, match="read-only"):
            table[0] = 1


@settings(deadline=None)  # the first call imports scipy
@given(
    n_samples=st.integers(1, 3000),
    n_fft=st.integers(2, 600),
    hop=st.integers(1, 400),
    padded=st.integers(0, 100),
    seed=st.integers(0, 9),
)
def test_mel_spectra_are_those_of_librosa_for_any_sizes(
    n_samples: int, n_fft: int, hop: int, padded: int, seed: int
) -> None:
    wave = rng_for(seed, "mel").standard_normal(n_samples, np.float32)
    window = max(2, n_fft - padded)
    ours = mel(wave, rate_hz=16000, n_fft=n_fft, window=window, hop=hop, n_mels=8)
    tail = wave if n_samples >= n_fft else np.pad(wave, (0, n_fft - n_samples))  # librosa warns of short clips
    theirs = librosa.feature.melspectrogram(
        y=tail, sr=16000, n_fft=n_fft, win_length=window, hop_length=hop, n_mels=8, fmin=20.0
    ).T
    assert len(ours) == 1 + (n_samples - n_fft % 2) // hop
    # float32 sums in another order: relative to the strongest
    np.testing.assert_allclose(ours, theirs[: len(ours)], atol=2e-6 * theirs.max() + 1e-12)


def test_a_spectrum_made_in_many_blocks_is_that_of_librosa() -> None:
    wave = noise(20).samples[0]
    ours = mel(wave, rate_hz=16000, n_fft=400, window=400, hop=80, n_mels=40)
    assert len(ours) * 400 * 4 > 4 * kernels.BLOCK_BYTES
    theirs = librosa.feature.melspectrogram(y=wave, sr=16000, n_fft=400, hop_length=80, n_mels=40, fmin=20.0).T
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_a_tone_is_loudest_in_the_filter_that_holds_it() -> None:
    power = mel(tone(0.5, 1000).samples[0], rate_hz=16000, n_fft=512, window=400, hop=160, n_mels=40)
    centres_hz = kernels.mel_to_hz(np.linspace(kernels.hz_to_mel(20.0), kernels.hz_to_mel(8000), 42))[1:-1]
    assert set(power[5:-5].argmax(axis=1)) == {np.abs(centres_hz - 1000).argmin()}


def test_no_samples_have_no_spectrum() -> None:
    assert mel(np.empty(0, np.float32), rate_hz=16000, n_fft=400, window=400, hop=160, n_mels=8).shape == (0, 8)


@pytest.mark.parametrize(("n_in", "n_out"), [(128, 20), (40, 40), (1, 1)])
def test_the_dct_is_orthonormal_and_scipys(n_in: int, n_out: int) -> None:
    import scipy.fft

    matrix = kernels.dct_matrix(n_in, n_out)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(n_out), atol=1e-5)
    np.testing.assert_allclose(matrix, scipy.fft.dct(np.eye(n_in), type=2, norm="ortho", axis=1)[:, :n_out], atol=1e-6)


@pytest.mark.parametrize(("from_hz", "to_hz"), [(8000, 16000), (44100, 16000), (48000, 22050)])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_resampled_tone_is_the_tone_at_that_rate(from_hz: int, to_hz: int, channels: int) -> None:
    sound = kernels.resample(tone(1.0, 440, from_hz, channels).samples, from_hz=from_hz, to_hz=to_hz)
    assert (sound.shape, str(sound.dtype), sound.flags.c_contiguous) == ((channels, to_hz), "float32", True)
    inner = slice(to_hz // 20, -to_hz // 20)  # the filter needs a few milliseconds at either end
    np.testing.assert_allclose(sound[:, inner], tone(1.0, 440, to_hz, channels).samples[:, inner], atol=1e-4)


def test_channels_keep_their_places() -> None:
    both = np.concatenate([tone(0.2, 300).samples, tone(0.2, 500).samples])
    apart = [kernels.resample(wave[None], from_hz=16000, to_hz=8000)[0] for wave in both]
    np.testing.assert_allclose(kernels.resample(both, from_hz=16000, to_hz=8000), np.stack(apart), atol=1e-6)


def test_resampling_takes_away_what_the_lower_rate_can_not_hold() -> None:
    assert np.abs(kernels.resample(tone(1.0, 7000).samples, from_hz=16000, to_hz=8000)[:, 400:-400]).max() < 1e-4


@settings(deadline=None)
@given(
    from_hz=st.sampled_from([8000, 11025, 16000, 44100, 48000]),
    n_samples=st.integers(0, 5000),
    cuts=st.lists(st.integers(0, 5000), max_size=5),
)
def test_pieces_are_resampled_as_the_whole(from_hz: int, n_samples: int, cuts: list[int]) -> None:
    wave = rng_for(n_samples, "wave").standard_normal(n_samples, np.float32)
    rate = kernels.Resampler(from_hz=from_hz, to_hz=16000)
    pieces = [rate.add(piece) for piece in np.split(wave, sorted(cuts))]
    pieces.append(rate.add(np.zeros(0, np.float32), last=True))
    whole = kernels.resample(wave[None], from_hz=from_hz, to_hz=16000)[0]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


@pytest.mark.parametrize("n_samples", [0, 1, 2])
def test_hardly_any_samples_can_be_resampled(n_samples: int) -> None:
    sound = kernels.resample(np.ones((2, n_samples), np.float32), from_hz=48000, to_hz=16000)
    assert sound.shape == (2, round(n_samples / 3))


def test_an_equal_rate_gives_the_same_array() -> None:
    samples = tone().samples
    assert kernels.resample(samples, from_hz=16000, to_hz=16000) is samples


def test_mixing_takes_the_mean() -> None:
    np.testing.assert_array_equal(kernels.mono(np.array([[1, 0], [0, 0.5]], np.float32)), np.array([0.5, 0.25]))
    one = np.ones((1, 3), np.float32)
    assert np.shares_memory(kernels.mono(one), one)


@pytest.mark.parametrize(("color", "fall_db"), [("white", 0.0), ("pink", 3.01)])
def test_noise_falls_by_so_much_an_octave(color: kernels.Color, fall_db: float) -> None:
    drawn = kernels.noise(rng_for(1, "noise"), (2, 1 << 17), color=color)
    power = np.mean(np.abs(np.fft.rfft(drawn)) ** 2, axis=0)
    octaves_db = [10 * np.log10(power[1 << n : 2 << n].mean()) for n in range(6, 16)]
    assert -np.polyfit(range(10), octaves_db, 1)[0] == pytest.approx(fall_db, abs=0.15)
    np.testing.assert_allclose(np.mean(drawn**2, axis=1), 1, rtol=1e-4)
    assert abs(np.corrcoef(drawn)[0, 1]) < 0.15  # pink noise is mostly a few slow waves


@pytest.mark.parametrize("color", ["white", "pink"])
@pytest.mark.parametrize("n_samples", [0, 1, 2, 3, 997])
def test_noise_can_be_short(color: kernels.Color, n_samples: int) -> None:
    drawn = kernels.noise(rng_for(1, "noise"), (2, n_samples), color=color)
    assert (drawn.shape, str(drawn.dtype)) == ((2, n_samples), "float32")
    assert np.isfinite(drawn).all()


@given(
    lengths=st.lists(st.integers(0, 3000), max_size=6),
    hop=st.integers(20, 400),
    window=st.integers(2, 500),
    precise=st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_spectra_side_by_side_are_those_of_each_wave_alone(
    lengths: list[int], hop: int, window: int, precise: bool
) -> None:
    waves = [
        rng_for(3, str(n), str(n_samples)).standard_normal(n_samples, np.float32) for n, n_samples in enumerate(lengths)
    ]
    frames: dict[str, Any] = {"n_fft": window + window % 2, "window": window, "hop": hop, "precise": precise}
    many = kernels.power_spectra(waves, **frames)
    complex_ = kernels.stfts(waves, **frames)
    assert len(many) == len(complex_) == len(waves)
    for wave, power, spectrum in zip(waves, many, complex_, strict=True):
        np.testing.assert_array_equal(power, kernels.power_spectrum(wave, **frames))
        np.testing.assert_array_equal(spectrum, kernels.stft(wave, **frames))


def test_blocks_begin_wherever_the_last_one_ended() -> None:
    waves = [np.full(n_samples, number, np.float32) for number, n_samples in enumerate((7, 0, 12, 3))]
    blocks = kernels.frame_blocks(waves, taper=np.ones(4, np.float32), hop=2, n_rows=5)
    found = [(rows.start, rows.stop, block.max(axis=1).tolist()) for rows, block in blocks]
    assert found == [(0, 5, [0, 0, 0, 0, 2]), (5, 10, [2] * 5), (10, 13, [2, 3, 3])]
