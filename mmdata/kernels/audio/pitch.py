"""Fundamental frequency by probabilistic YIN (Mauch and Dixon, ICASSP 2014), with librosa 0.11's settings.

Where librosa multiplies by a matrix of all pairs of states, most of them impossible, here only those within reach of
each other are compared: the result is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from mmdata.kernels.audio.spectrum import cut_up, frame_blocks, frame_starts
from mmdata.kernels.fourier import fast_length, irfft, rfft

N_THRESHOLDS = 100
BOLTZMANN = 2.0  # how much a frame's first troughs are preferred
NO_TROUGH = 0.01  # probability given to the deepest trough below no threshold
BINS_A_SEMITONE = 10
OCTAVES_A_SECOND = 35.92  # how fast pitch may move
SWITCH = 0.01  # probability of a change between voiced and unvoiced
LOG_TINY = float(np.log(np.finfo(np.float64).tiny))
FRAMES_AT_ONCE = 256


def pyin(
    waves: Sequence[np.ndarray], *, rate_hz: int, min_hz: float, max_hz: float, size: int, hop: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pitch of each frame, and how probably it has one. Frames of several waves are transformed side by side.

    Args:
        waves: float32 [time] each.
        rate_hz: their rate.
        min_hz: the lowest pitch, a period of which must fit into a frame.
        max_hz: the highest.
        size: samples in a frame.
        hop: from frame to frame.

    Returns:
        a wave, float32 [frame], Hz, 0 where there is no pitch (librosa: NaN); float32 [frame], probabilities.
    """
    min_period = int(np.floor(rate_hz / max_hz))
    max_period = min(int(np.ceil(rate_hz / min_hz)), size - 1)
    starts = frame_starts(waves, n_fft=size, hop=hop)
    heights = np.empty((starts[-1], max_period - min_period + 1), np.float32)
    for rows, frames in frame_blocks(waves, taper=np.ones(size, np.float32), hop=hop, n_rows=FRAMES_AT_ONCE):
        heights[rows] = difference(frames, min_period=min_period, max_period=max_period)
    n_bins = int(np.floor(12 * BINS_A_SEMITONE * np.log2(max_hz / min_hz))) + 1
    reach = round(OCTAVES_A_SECOND * 12 * hop / rate_hz) * BINS_A_SEMITONE // 2
    bins_hz = min_hz * 2 ** (np.arange(n_bins) / (12 * BINS_A_SEMITONE))
    found = []
    for each in cut_up(heights, starts):
        if not len(each):
            found.append((np.empty(0, np.float32), np.empty(0, np.float32)))
            continue
        chunks = [each[first : first + FRAMES_AT_ONCE] for first in range(0, len(each), FRAMES_AT_ONCE)]
        observed = np.concatenate([_candidates(chunk, rate_hz, min_period, min_hz, n_bins) for chunk in chunks])
        chances = np.clip(observed.sum(axis=1), 0, 1)
        states = _likeliest_path(observed, chances, reach)
        pitch = np.where(states < n_bins, bins_hz[states % n_bins], 0)
        found.append((pitch.astype(np.float32), chances.astype(np.float32)))
    return found


def difference(frames: np.ndarray, *, min_period: int, max_period: int) -> np.ndarray:
    """YIN's cumulative mean normalised difference (de Cheveigne and Kawahara 2002, equation 8).

    In float32 and in librosa's order of sums, as where troughs lie hangs on it.

    Args:
        frames: float32 [frame, time].
        min_period: the shortest, in samples.
        max_period: the longest, included.

    Returns:
        float32 [frame, period].
    """
    n_fft = fast_length(2 * frames.shape[1] - 1)
    spectrum = rfft(frames, n_fft)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    lagged = irfft(power, n_fft)[:, : max_period + 1]
    energy = np.cumsum(np.square(frames[:, :max_period]), axis=1)
    raw = 2 * (lagged[:, :1] - lagged[:, 1:]) - energy
    mean = np.cumsum(raw, axis=1) / np.arange(1, max_period + 1)
    denominator = mean[:, min_period - 1 : max_period]
    normal: np.ndarray = raw[:, min_period - 1 : max_period] / (denominator + np.finfo(denominator.dtype).tiny)
    return normal


def _candidates(heights: np.ndarray, rate_hz: int, min_period: int, min_hz: float, n_bins: int) -> np.ndarray:
    """How probable each pitch is, by the `difference` of frames: float64 [frame, bin]."""
    troughs = np.zeros(heights.shape, bool)
    troughs[:, 1:-1] = (heights[:, 1:-1] < heights[:, :-2]) & (heights[:, 1:-1] <= heights[:, 2:])
    troughs[:, 0] = heights[:, 0] < heights[:, 1]
    troughs[:, -1] = heights[:, -1] < heights[:, -2]
    rows, periods = np.nonzero(troughs)
    probability = _trough_probability(heights[rows, periods], rows, len(heights)).astype(heights.dtype)
    certain = probability > 0
    rows, periods, probability = rows[certain], periods[certain], probability[certain]
    hz = rate_hz / (min_period + periods + _shifts(heights, rows, periods))
    bins = np.clip(np.round(12 * BINS_A_SEMITONE * np.log2(hz / min_hz)), 0, n_bins).astype(int)
    observed = np.zeros((len(heights), n_bins + 1))
    observed[rows, bins] = probability  # of two in one bin the longer period counts; above the range none does
    return observed[:, :n_bins]


def _shifts(heights: np.ndarray, rows: np.ndarray, periods: np.ndarray) -> np.ndarray:
    """By how much of a sample each trough's parabola lies off it; 0 at both ends."""
    inner = (periods > 0) & (periods < heights.shape[1] - 1)
    at = np.clip(periods, 1, heights.shape[1] - 2)
    below, middle, above = (heights[rows, at + step].astype(np.float64) for step in (-1, 0, 1))
    curve, slope = above + below - 2 * middle, (above - below) / 2
    bent = inner & (np.abs(slope) < np.abs(curve))
    return np.where(bent, -slope / np.where(bent, curve, 1.0), 0.0).astype(heights.dtype)


def _trough_probability(heights: np.ndarray, rows: np.ndarray, n_frames: int) -> np.ndarray:
    """How probable each trough is to be the period, over all thresholds: float64 [trough]; `rows` is rising."""
    thresholds, weights = threshold_weights()
    below = heights[:, None] < thresholds[1:]
    running = np.concatenate([np.zeros((1, N_THRESHOLDS), np.int64), np.cumsum(below, axis=0)])
    starts = np.searchsorted(rows, np.arange(n_frames + 1))
    before = running[starts[:-1]][rows]
    counts = (running[starts[1:]] - running[starts[:-1]])[rows]
    places = running[1:] - before - 1
    share = (1 - np.exp(-BOLTZMANN)) / (1 - np.exp(-BOLTZMANN * np.maximum(counts, 1)))
    found = np.where(below, share * np.exp(-BOLTZMANN * places), 0) @ weights
    if heights.size:
        heard = np.flatnonzero(np.diff(starts))
        least = np.minimum.reduceat(heights, starts[heard])
        order = np.flatnonzero(heights == np.repeat(least, np.diff(starts)[heard]))
        deepest = order[np.unique(rows[order], return_index=True)[1]]
        above = np.concatenate([[0.0], np.cumsum(weights)])[(~below[deepest]).sum(axis=1)]
        found[deepest] += NO_TROUGH * above
    return np.asarray(found)


@lru_cache(maxsize=1)
def threshold_weights() -> tuple[np.ndarray, np.ndarray]:
    """Thresholds float64 [101] from 0 to 1, and the beta(2, 18) distribution's mass between them, [100]."""
    thresholds = np.linspace(0, 1, N_THRESHOLDS + 1)
    cumulative = 1 - (1 - thresholds) ** 19 - 19 * thresholds * (1 - thresholds) ** 18
    return thresholds, np.diff(cumulative)


@lru_cache(maxsize=8)
def _moves(n_bins: int, reach: int) -> np.ndarray:
    """Log probabilities of coming to a bin from those around it: float64 [bin, 2 * reach + 1], -inf from outside."""
    triangle = 1 - np.abs(np.arange(-reach, reach + 1)) / (reach + 1)
    source = np.arange(n_bins)[:, None] + np.arange(-reach, reach + 1)
    inside = (source >= 0) & (source < n_bins)
    totals = np.where(inside, triangle, 0).sum(axis=1)  # a triangle cut off by the edge weighs more
    with np.errstate(divide="ignore"):
        moves = np.log(np.where(inside, triangle / totals[np.clip(source, 0, n_bins - 1)], 0))
    moves.flags.writeable = False
    return moves


def _likeliest_path(observed: np.ndarray, voiced: np.ndarray, reach: int) -> np.ndarray:
    """Viterbi's path through voiced and unvoiced bins: int64 [frame], 0 to n - 1 voiced, n to 2 * n - 1 unvoiced."""
    n_frames, n_bins = observed.shape
    moves, tiny = _moves(n_bins, reach), np.finfo(np.float64).tiny
    log_voiced = np.log(observed + tiny)
    log_unvoiced = np.log((1 - voiced) / n_bins + tiny)
    stay, switch = np.log(1 - SWITCH), np.log(SWITCH)
    padded = np.full((2, n_bins + 2 * reach), -np.inf)
    values = padded[:, reach : reach + n_bins]
    values[0], values[1] = log_voiced[0], log_unvoiced[0]
    values -= np.log(2 * n_bins)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=1)
    back = np.empty((n_frames, 2, n_bins), np.int32)
    bins = np.arange(n_bins)
    for at in range(1, n_frames):
        reached = windows + moves
        nearest = reached.argmax(axis=2)
        best = np.take_along_axis(reached, nearest[..., None], axis=2)[..., 0]
        source = nearest + bins - reach
        source[1] += n_bins
        anywhere = int(values.argmax())
        far = float(values.flat[anywhere]) + LOG_TINY
        for to, (from_voiced, from_unvoiced) in enumerate(((stay, switch), (switch, stay))):
            one, other = best[0] + from_voiced, best[1] + from_unvoiced
            value = np.maximum(one, other)
            chosen = np.where(one >= other, source[0], source[1])
            back[at, to] = np.where(value >= far, chosen, anywhere)
            best_to = np.maximum(value, far) + (log_voiced[at] if to == 0 else log_unvoiced[at])
            reached[to, :, 0] = best_to  # kept aside: both are read off the old values
        values[:] = reached[:, :, 0]
    states = np.empty(n_frames, np.int64)
    states[-1] = values.argmax()
    flat = back.reshape(n_frames, 2 * n_bins)
    for at in range(n_frames - 2, -1, -1):
        states[at] = flat[at + 1, states[at + 1]]
    return states
