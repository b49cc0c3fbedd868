"""Aligning sound of any length, a window at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from mmdata.align.speech.voice import Heard, Voice

WORDS_A_SECOND = 8  # nobody says more
HELD_BACK = 0.2  # of a window, at its end, where words are placed again in the next one


@dataclass(frozen=True)
class Placed:
    """A word in a sound.

    Args:
        start_s, end_s: on the sound's own clock. confidence: from 0 to 1.
        phones: name, start and end of each sound of it.
    """

    start_s: float
    end_s: float
    confidence: float
    phones: tuple[tuple[str, float, float], ...]


@dataclass(frozen=True)
class Alignment:
    """Where the words of a transcript are, all of them in order, and how well the whole fits.

    Args:
        score: log likelihood a frame of the transcript, less that of any sounds at all.
    """

    words: tuple[Placed, ...]
    score: float


def align(voice: Voice, wave: np.ndarray, words: Sequence[Any], *, window_s: float) -> Alignment | None:
    """Place spelled words in a wave; None where there is no room for them.

    A sound longer than a window is heard window by window, each beginning where the last word that is surely in the one
    before ends. So memory is that of a window.

    Args:
        voice: the model.
        wave: float32 [time], at the model's rate.
        words: as `voice.spelled` gave them.
        window_s: how long a window is, at most.
    """
    window, hop = round(window_s * voice.rate_hz), round(voice.hop_s * voice.rate_hz)
    most = int(window_s * WORDS_A_SECOND)
    if len(words) > len(wave) / voice.rate_hz * WORDS_A_SECOND + 1:
        return None
    placed: list[Placed] = []
    gained, n_frames, at = 0.0, 0, 0
    while at < len(wave):
        is_last = len(wave) - at <= window
        left = words[len(placed) :]
        heard = voice.hear(wave[at : at + window], left if is_last else left[:most], open_end=not is_last)
        n = len(heard.words)
        if not n:
            break
        kept = n if is_last else _surely(heard, n - round(n * HELD_BACK))
        placed += _words(voice, heard, kept, at / voice.rate_hz)
        gained += float((heard.gains[:kept] - heard.free[:kept]).sum())
        n_frames += kept
        at = len(wave) if is_last else at + kept * hop
    if len(placed) < len(words) or not n_frames:
        return None
    return Alignment(tuple(placed), gained / n_frames)


def _surely(heard: Heard, most: int) -> int:
    """Up to which frame words are taken over: to the end of the last one that ends in time, or all if none does."""
    words = heard.words
    begun = words[most] if words[most] >= 0 and words[most] == words[most - 1] else -1  # it goes on past the mark
    ends = np.flatnonzero((words[:most] >= 0) & (words[:most] != begun))
    if begun < 0:
        return most
    return int(ends[-1]) + 1 if len(ends) else int(np.argmax(words == begun)) or most


def _words(voice: Voice, heard: Heard, kept: int, start_s: float) -> list[Placed]:
    """The words of the first frames."""
    words, units = heard.words[:kept], heard.units[:kept]
    edges = np.flatnonzero(np.diff(words, prepend=-2, append=-2))
    found = []
    for first, last in pairwise(edges.tolist()):
        if words[first] < 0:
            continue
        turns = [first, *(np.flatnonzero(np.diff(units[first:last])) + first + 1).tolist(), last]
        phones = tuple(
            (heard.names[int(units[begin])], _time(voice, start_s, begin), _time(voice, start_s, end))
            for begin, end in pairwise(turns)
            if int(units[begin]) in heard.names
        )
        sure = float(np.exp(heard.fits[first:last].mean() / voice.breadth))
        found.append(Placed(_time(voice, start_s, first), _time(voice, start_s, last), sure, phones))
    return found


def _time(voice: Voice, start_s: float, frame: int) -> float:
    """Where a frame begins; the first one begins with the sound."""
    return start_s + (frame * voice.hop_s + voice.lead_s if frame or start_s else 0.0)
