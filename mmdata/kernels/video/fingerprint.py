"""Fingerprints of films, for finding near-duplicates: a hash a frame, and how much two films have in common.

The hash is PDQ's, and films are compared frame by frame as by vPDQ (Facebook ThreatExchange, "The TMK+PDQF
video-hashing algorithm and the PDQ image-hashing algorithm", 2019, and `vpdq`); what is added is that the frames that
are alike must lie apart by the same time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from mmdata.kernels.image.hashes import cosines

HASH_BYTES = 32
MAX_DISTANCE = 31  # bits of 256 by which frames that are alike differ at most: PDQ's own
LEAST_QUALITY = 0.5  # PDQ's own: what has less detail is like anything else of its kind
_SIDE, _N_FREQUENCIES = 64, 16
_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Match:
    """What two films have in common.

    Args:
        share: of the frames of the one with fewer, that the other has too, each as much later: 0 to 1.
        offset_s: how much later the second film shows them; 0 where there are none.
    """

    share: float
    offset_s: float


def frame_hash(luma: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """The PDQ hash of a frame, how far it can be trusted, and what it is made of.

    Args:
        luma: uint8 [height, width]; it is averaged to 64 x 64 pixels.

    Returns:
        uint8 [32], 256 signs; PDQ's quality, 0 to 1; and float32 [256], the frequencies whose signs they are (about
        their median), with norm 1, or all 0.
    """
    import cv2

    small = cv2.resize(luma, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)
    transform = _transform()
    frequencies = (transform @ small @ transform.T).ravel()
    centred = frequencies - np.median(frequencies)
    norm = np.linalg.norm(centred)
    steps = [np.abs(np.trunc(np.diff(small, axis=axis) * (100 / 255))).sum() for axis in (0, 1)]
    quality = min(1.0, sum(steps) / 9000)
    return np.packbits(centred > 0), quality, (centred / (norm or 1.0)).astype(np.float32)


def match(
    first: np.ndarray,
    first_s: np.ndarray,
    second: np.ndarray,
    second_s: np.ndarray,
    *,
    max_distance: int = MAX_DISTANCE,
    tolerance_s: float = 1.0,
) -> Match:
    """How much two films have in common, at the offset in time at which that is most.

    Args:
        first: uint8 [time, 32], hashes of frames.
        first_s: float64 [time], when each is shown.
        second: as first.
        second_s: as first_s.
        max_distance: bits by which frames that are alike may differ.
        tolerance_s: width of the bins of offsets.
    """
    rows, columns = _alike(first, second, max_distance)
    if rows.size == 0:
        return Match(0.0, 0.0)
    offsets_s = second_s[columns] - first_s[rows]
    fewer, n = (rows, len(first)) if len(first) <= len(second) else (columns, len(second))
    found = [_most(np.floor(offsets_s / tolerance_s + shift).astype(np.int64), fewer) for shift in (0.0, 0.5)]
    n_common, chosen = max(found, key=lambda each: each[0])
    return Match(n_common / n, float(np.median(offsets_s[chosen])))


def _most(bins: np.ndarray, places: np.ndarray) -> tuple[int, np.ndarray]:
    """The bin with most different places: how many, and bool [pair], which pairs are in it."""
    bins = bins - bins.min()
    width = int(places.max()) + 1
    counts = np.bincount(np.unique(bins * width + places) // width)
    return int(counts.max()), bins == counts.argmax()


def _alike(first: np.ndarray, second: np.ndarray, max_distance: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of frames that are alike: int64 [pair] of each film."""
    words = [np.ascontiguousarray(hashes).view(np.uint64) for hashes in (first, second)]
    rows, columns = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for start in range(0, len(first), _ROWS_AT_ONCE):
        some = words[0][start : start + _ROWS_AT_ONCE]
        distances = np.zeros((len(some), len(second)), np.uint16)
        for word in range(HASH_BYTES // 8):
            distances += np.bitwise_count(some[:, None, word] ^ words[1][None, :, word])
        row, column = np.nonzero(distances <= max_distance)
        rows.append(row + start)
        columns.append(column)
    return np.concatenate(rows), np.concatenate(columns)


@cache
def _transform() -> np.ndarray:
    """The frequencies 1 to 16 of the cosine transform: float64 [frequency, position]."""
    transform: np.ndarray = cosines(_SIDE)[1 : _N_FREQUENCIES + 1] * np.sqrt(2 / _SIDE)
    return transform
