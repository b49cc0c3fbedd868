"""An acoustic model of English, read from the files of the package `pocketsphinx`, which is never imported.

The model is CMU Sphinx's en-us: Gaussian mixtures over MFCC, tied within each phone (PTM). What is computed here are
the numbers of its `ptm_mgau.c`, `bin_mdef.c` and `fe_sigproc.c` in floating point, of all Gaussians instead of the best
four, and without its removal of noise. The decoder of the package is not used: it prunes, so that it loses texts that
fit, and does not tell the likelihoods of frames, of which scores and confidences are made.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from mmdata.kernels.audio.waves import frame

RATE_HZ, HOP, SIZE, N_FFT = 16_000, 160, 410, 512
HOP_S = HOP / RATE_HZ
N_MELS, N_COEFFICIENTS, LOW_HZ, HIGH_HZ, LIFTER = 25, 13, 130.0, 6800.0, 22
STREAMS = 3  # coefficients, their slopes, their curvatures
STATES = 3  # of a phone
QUANTUM = 1024 * np.log(1.0001)  # a step of the stored mixture weights
MAGIC, BYTE_ORDER = b"BMDF", 0x11223344
INSIDE, BEGIN, END, SINGLE = range(4)  # where in its word a phone stands
FLOOR = 50.0  # of a mel band's power, as of noise at -90 dB: digital silence is like nothing the model ever heard
SILENCE, FILLERS = "SIL", ("SIL", "+NSN+", "+SPN+")


@dataclass(frozen=True, eq=False)
class Acoustics:
    """A model's arrays.

    Args:
        phones: names of the phones, in order; those in angle or plus signs are no speech.
        triphones: int64 [triphone], sorted: place, phone, left and right neighbour as one number.
        sequences: int [triphone], a row of `senones` each. own: int [phone], the same without neighbours.
        senones: int [sequence, state]. book: int [senone], the phone that it is a mixture of.
        mean, precision: float32 [phone, stream, coefficient, density]; precision is half the inverse of the variance.
        offset: float32 [phone, stream, density], log of the Gaussian's factor.
        weights: uint8 [stream, density, senone], quantised negative logs.
        stay: float32 [phone, state], log probabilities of staying; leave: of going on.
    """

    phones: tuple[str, ...]
    triphones: np.ndarray
    sequences: np.ndarray
    own: np.ndarray
    senones: np.ndarray
    book: np.ndarray
    mean: np.ndarray
    precision: np.ndarray
    offset: np.ndarray
    weights: np.ndarray
    stay: np.ndarray
    leave: np.ndarray

    def states_of(self, phone: int, left: int, right: int, place: int) -> np.ndarray:
        """The senones of a phone between two others: int [state]; those of the phone alone where none were trained."""
        for where in (place, INSIDE):
            key = _key(where, phone, left, right)
            at = int(np.searchsorted(self.triphones, key))
            if at < len(self.triphones) and self.triphones[at] == key:
                found: np.ndarray = self.senones[self.sequences[at]]
                return found
        alone: np.ndarray = self.senones[self.own[phone]]
        return alone

    def log_likelihood(self, features: np.ndarray, senones: np.ndarray) -> np.ndarray:
        """Log likelihoods of frames: float32 [time, senone].

        Args:
            features: float32 [time, stream, coefficient].
            senones: int [senone], those that are wanted.
        """
        found = np.zeros((len(features), len(senones)), np.float32)
        books = self.book[senones]
        for phone in np.unique(books):
            columns = np.flatnonzero(books == phone)
            for stream in range(STREAMS):
                found[:, columns] += self._mixed(features[:, stream], int(phone), stream, senones[columns])
        return found

    def _mixed(self, rows: np.ndarray, phone: int, stream: int, senones: np.ndarray) -> np.ndarray:
        mean, precision = self.mean[phone, stream], self.precision[phone, stream]
        densities = (
            self.offset[phone, stream]
            - np.square(rows) @ precision
            + rows @ (2 * mean * precision)
            - (np.square(mean) * precision).sum(axis=0)
        )
        best = densities.max(axis=1, keepdims=True)
        weights = np.exp(self.weights[stream][:, senones] * np.float32(-QUANTUM))
        mixed: np.ndarray = best + np.log(np.exp(densities - best) @ weights + np.float32(1e-30))
        return mixed


def features(wave: np.ndarray) -> np.ndarray:
    """Sphinx's MFCC, their slopes and curvatures, less their means: float32 [time, stream, coefficient], every 10 ms.

    Args:
        wave: float32 [time], at 16 kHz. Less than a frame of 25.6 ms gives no rows.
    """
    scaled = wave.astype(np.float32) * 32768  # the model's floor of logs is one of 16-bit numbers
    sharp = np.append(scaled[:1], scaled[1:] - np.float32(0.97) * scaled[:-1])
    frames = frame(sharp, size=SIZE, hop=HOP)
    if not len(frames):
        return np.empty((0, STREAMS, N_COEFFICIENTS), np.float32)
    window = np.hamming(SIZE).astype(np.float32)
    bank, turn = _bank(), _turn()
    cepstra = np.empty((len(frames), N_COEFFICIENTS), np.float32)
    for first in range(0, len(frames), 4096):
        spectrum = np.fft.rfft(frames[first : first + 4096] * window, N_FFT)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        cepstra[first : first + 4096] = np.log(power @ bank + FLOOR) @ turn
    cepstra -= cepstra.mean(axis=0)
    padded = np.pad(cepstra, ((3, 3), (0, 0)), mode="edge")
    n = len(cepstra)
    slopes = padded[5 : 5 + n] - padded[1 : 1 + n]
    curves = (padded[6 : 6 + n] - padded[2 : 2 + n]) - (padded[4 : 4 + n] - padded[:n])
    return np.stack([cepstra, slopes, curves], axis=1)


@lru_cache(maxsize=1)
def _bank() -> np.ndarray:
    """Triangles of unit area on the mel scale, their corners on the bins: float32 [bin, mel]."""
    step = RATE_HZ / N_FFT
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (LOW_HZ, HIGH_HZ))
    mels = np.linspace(low, high, N_MELS + 2)
    corners = np.floor(700 * (10 ** (mels / 2595) - 1) / step + 0.5) * step
    bins = np.arange(N_FFT // 2 + 1)[:, None] * step
    left, middle, right = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (bins - left) / (middle - left), (right - bins) / (right - middle)
    bank: np.ndarray = (np.maximum(0, np.minimum(rising, falling)) * 2 / (right - left)).astype(np.float32)
    return bank


@lru_cache(maxsize=1)
def _turn() -> np.ndarray:
    """The cosine transform and the lifter: float32 [mel, coefficient]."""
    places = (np.arange(N_MELS) + 0.5)[:, None] * np.arange(N_COEFFICIENTS)
    cosine = np.cos(np.pi * places / N_MELS) * np.sqrt(2 / N_MELS)
    cosine[:, 0] = np.sqrt(1 / N_MELS)
    lifter = 1 + LIFTER / 2 * np.sin(np.arange(N_COEFFICIENTS) * np.pi / LIFTER)
    turn: np.ndarray = (cosine * lifter).astype(np.float32)
    return turn


def folder() -> Path:
    """Where the package keeps its model. The package is not imported.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    found = importlib.util.find_spec("pocketsphinx")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'pocketsphinx'", name="pocketsphinx")
    return Path(found.submodule_search_locations[0]) / "model" / "en-us"


@lru_cache(maxsize=1)
def acoustics() -> Acoustics:
    """The model, read once a process: 20 MB.

    Raises:
        ModuleNotFoundError: the package is not installed.
        ValueError: its files are of another form.
    """
    place = folder() / "en-us"
    names, triphones, sequences, own, senones = _definition((place / "mdef").read_bytes())
    mean, variance = _gaussians((place / "means").read_bytes()), _gaussians((place / "variances").read_bytes())
    variance = np.maximum(variance, 1e-4)
    weights = _mixtures((place / "sendump").read_bytes(), mean.shape[2])
    moves = _s3((place / "transition_matrices").read_bytes(), 3)
    _, n_from, n_to = moves[0]
    counts = moves[1].reshape(-1, n_from, n_to)
    chances = np.log(np.maximum(counts / counts.sum(axis=2, keepdims=True), 1e-10))
    states = np.arange(STATES)
    stay, leave = chances[:, states, states], chances[:, states, states + 1]
    book = np.zeros(weights.shape[2], np.int64)
    owners = np.concatenate([np.arange(len(names)), (triphones >> 32) & 0xFF])
    book[senones[np.concatenate([own, sequences])]] = owners[:, None]
    return Acoustics(
        names, triphones, sequences, own, senones, book,
        mean=np.ascontiguousarray(mean.swapaxes(2, 3)),
        precision=np.ascontiguousarray((0.5 / variance).swapaxes(2, 3)),
        offset=-0.5 * np.log(2 * np.pi * variance).sum(axis=3),
        weights=weights, stay=stay[: len(names)], leave=leave[: len(names)],
    )  # fmt: skip


def _key(place: int, phone: int, left: int, right: int) -> int:
    return place << 48 | phone << 32 | left << 16 | right


def _definition(data: bytes) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Names, triphones, their sequences, the phones' own, and the senones of each sequence (bin_mdef.c)."""
    if data[:4] != MAGIC:
        raise ValueError("the model's mdef is not in Sphinx's binary form")
    at = 12 + int.from_bytes(data[8:12], "little")
    n_own, n_all, n_states, _, _, _, n_sequences, _, n_tree, _ = np.frombuffer(data, "<i4", 10, at).tolist()
    at = names_at = at + 40
    names = []
    for _ in range(n_own):
        end = data.index(b"\0", at)
        names.append(data[at:end].decode("ascii"))
        at = end + 1
    at = names_at + (at - names_at + 3) // 4 * 4 + 8 * n_tree
    entry = np.dtype([("sequence", "<i4"), ("moves", "<i4"), ("info", "u1", 4)])
    entries = np.frombuffer(data, entry, n_all, at)
    at += entry.itemsize * n_all + 4
    senones = np.frombuffer(data, "<u2", n_sequences * n_states, at).reshape(n_sequences, n_states).astype(np.int64)
    info = entries["info"][n_own:].astype(np.int64)
    keys = info[:, 0] << 48 | info[:, 1] << 32 | info[:, 2] << 16 | info[:, 3]
    order = np.argsort(keys, kind="stable")
    sequences = entries["sequence"].astype(np.int64)
    return tuple(names), keys[order], sequences[n_own:][order], sequences[:n_own], senones


def _s3(data: bytes, n_sizes: int) -> tuple[list[int], np.ndarray]:
    """Sizes and numbers of a file with Sphinx 3's header."""
    at = data.index(b"endhdr\n") + len(b"endhdr\n")
    if int.from_bytes(data[at : at + 4], "little") != BYTE_ORDER:
        raise ValueError("the model's files are of the other byte order")
    sizes = np.frombuffer(data, "<i4", n_sizes, at + 4).tolist()
    at += 4 + 4 * n_sizes
    return sizes, np.frombuffer(data, "<f4", int.from_bytes(data[at : at + 4], "little"), at + 4)


def _gaussians(data: bytes) -> np.ndarray:
    """Means or variances: float32 [phone, stream, density, coefficient]."""
    sizes, numbers = _s3(data, 3 + STREAMS)
    n_books, n_streams, n_densities, *lengths = sizes
    if n_streams != STREAMS or set(lengths) != {N_COEFFICIENTS}:
        raise ValueError(f"the model has streams of {lengths} numbers; expected were {STREAMS} of {N_COEFFICIENTS}")
    return numbers.reshape(n_books, n_streams, n_densities, N_COEFFICIENTS)


def _mixtures(data: bytes, n_densities: int) -> np.ndarray:
    """Mixture weights: uint8 [stream, density, senone] (read_sendump)."""
    at = 0
    while length := int.from_bytes(data[at : at + 4], "little"):
        at += 4 + length
    rows, columns = np.frombuffer(data, "<i4", 2, at + 4).tolist()
    if rows != n_densities:
        raise ValueError(f"the model's mixtures are of {rows} densities, its Gaussians of {n_densities}")
    return np.frombuffer(data, np.uint8, STREAMS * rows * columns, at + 12).reshape(STREAMS, rows, columns)
