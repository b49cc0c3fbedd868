"""Pocketsphinx's model of English as a voice."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from mmdata.align.speech.voice import LONGEST_WORD, NOTHING, Heard
from mmdata.kernels.align.chains import Chains, phone_loop, word_chains
from mmdata.kernels.align.paths import best_path
from mmdata.kernels.align.pronounce import Phones, pronunciations
from mmdata.kernels.align.sphinx import HOP, HOP_S, RATE_HZ, SIZE, acoustics, features

LEAST_SCORE = -1.4  # of benchmarks/align.py: 95 of 100 transcripts that fit score more


class SphinxVoice:
    """English, at 16 kHz and every 10 ms."""

    rate_hz = RATE_HZ
    hop_s = HOP_S
    lead_s = (SIZE - HOP) / 2 / RATE_HZ
    least_score = LEAST_SCORE
    breadth = 3.0  # its likelihoods count neighbouring frames as if they knew nothing of each other

    def spelled(self, word: str) -> list[Phones] | None:
        return (pronunciations(word) or None) if len(word) <= LONGEST_WORD else None

    def hear(self, wave: np.ndarray, words: Sequence[list[Phones]], *, open_end: bool) -> Heard:
        model, rows = acoustics(), features(wave)
        chains, loop = word_chains(model, words, open_end=open_end), _loop()
        scores = model.log_likelihood(rows, chains.senones)
        path, gains = best_path(scores, chains.graph)
        if not len(path):
            return NOTHING
        sounds = model.log_likelihood(rows, loop.senones)
        _, free = best_path(sounds, loop.graph)
        own = scores[np.arange(len(path)), chains.graph.columns[path]]
        units = chains.unit[path]
        names = {int(unit): model.phones[phone] for unit, phone in zip(units, chains.phone[path], strict=True)}
        fits = np.minimum(own - sounds.max(axis=1), 0).astype(np.float32)
        return Heard(chains.word[path].astype(np.int32), units.astype(np.int32), names, gains, free, fits)


@lru_cache(maxsize=1)
def _loop() -> Chains:
    return phone_loop(acoustics())


def model_version() -> str:
    """The version of the package that the model comes in. "" where it is not there."""
    try:
        return version("pocketsphinx")
    except PackageNotFoundError:
        return ""
