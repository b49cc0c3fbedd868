"""Long sounds: aligned window by window, to the same words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest

from mmdata.align.speech.sphinx import SphinxVoice
from mmdata.align.speech.voice import NOTHING, Heard
from mmdata.align.speech.windows import align
from mmdata.core.packages import missing_packages
from mmdata.kernels.align.ctc import label_chain
from mmdata.kernels.align.paths import best_path
from mmdata.kernels.align.spoken import tokens
from mmdata.testing.peaks import forget_peak, peak_bytes
from tests.align.speech.conftest import Said

Clips = Callable[[str], Said]
needs_model = pytest.mark.skipif(bool(missing_packages("align")), reason="needs the extra align")


class Beeps:
    """A voice without a model, of ten samples a second, whose values are the numbers of the words that are said."""

    rate_hz, hop_s, lead_s, least_score, breadth = 10, 0.1, 0.0, -1.0, 1.0

    def __init__(self) -> None:
        self.longest = 0

    def spelled(self, word: str) -> int | None:
        return int(word) or None

    def hear(self, wave: np.ndarray, words: Sequence[int], *, open_end: bool) -> Heard:
        self.longest = max(self.longest, len(wave))
        scores = np.where(wave[:, None] == np.arange(1000), 0.0, -5.0)
        ends = list(range(len(words) + 1)) if open_end else None
        path, gains = best_path(scores, label_chain(words, blank=0, ends=ends))
        if not len(path):
            return NOTHING
        said = np.where(path % 2 == 1, path // 2, -1)
        return Heard(said.astype(np.int32), path, {}, gains, np.zeros(len(path)), gains.astype(np.float32))


def beeping(lengths: Sequence[int], pauses: Sequence[int]) -> tuple[np.ndarray, list[int], list[tuple[float, float]]]:
    """A wave of words 1, 2, ... with pauses before each, and when they are said."""
    pieces, times, at = [], [], 0
    for number, (length, pause) in enumerate(zip(lengths, pauses, strict=True), 1):
        pieces += [np.zeros(pause), np.full(length, number % 999 + 1)]
        times.append(((at + pause) / 10, (at + pause + length) / 10))
        at += pause + length
    return np.concatenate(pieces).astype(np.float32), [n % 999 + 1 for n in range(1, len(lengths) + 1)], times


@pytest.mark.parametrize("seed", range(5))
def test_windows_find_what_one_look_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wave, words, times = beeping(rng.integers(1, 9, 200).tolist(), rng.integers(1, 40, 200).tolist())
    voice = Beeps()
    found = align(voice, wave, words, window_s=12.0)
    assert found is not None
    assert [(word.start_s, word.end_s) for word in found.words] == [pytest.approx(time) for time in times]
    assert found.score == 0
    assert voice.longest == 120


def test_a_long_silence_and_a_word_longer_than_a_window_are_passed() -> None:
    wave, words, times = beeping([5, 5, 300, 5], [400, 400, 3, 400])
    found = align(Beeps(), wave, words, window_s=10.0)
    assert found is not None
    assert found.words[1].start_s == pytest.approx(times[1][0])
    assert found.words[3].end_s == pytest.approx(times[3][1])


def test_words_that_do_not_come_any_more_leave_no_room() -> None:
    wave, words, _ = beeping([5, 5], [3, 3])
    assert align(Beeps(), wave, [*words, *range(1, 300)], window_s=10.0) is None
    assert align(Beeps(), np.empty(0, np.float32), words, window_s=10.0) is None


@needs_model
def test_sound_that_goes_on_after_the_last_word_counts_against_the_transcript(said: Clips) -> None:
    clip, voice = said("market"), SphinxVoice()
    wave = np.tile(clip.audio.samples[0], 5)
    words = [voice.spelled(token.text) for token in tokens(clip.text)]
    assert all(words)
    short = align(voice, wave, words, window_s=5.0)
    whole = align(voice, wave, words * 5, window_s=5.0)
    assert short is not None
    assert whole is not None
    assert short.score < whole.score - 1


@needs_model
def test_long_speech_is_aligned_in_windows_as_its_pieces_are(said: Clips) -> None:
    clips, voice = [said("miller"), said("market")] * 4, SphinxVoice()
    wave = np.concatenate([clip.audio.samples[0] for clip in clips])
    words = [voice.spelled(token.text) for clip in clips for token in tokens(clip.text)]
    found = align(voice, wave, words, window_s=8.0)
    assert found is not None
    at, off = 0.0, []
    placed = iter(found.words)
    for clip in clips:
        off += [abs(next(placed).start_s - at - start) for start in clip.starts_s]
        at += clip.audio.duration_s
    assert np.median(off) < 0.03
    assert max(off) < 0.3
    assert all(a.end_s <= b.start_s + 1e-9 for a, b in pairwise(found.words))


@pytest.mark.long
@pytest.mark.timeout(1800)
@needs_model
def test_an_hour_takes_no_more_memory_than_its_samples_and_a_window(said: Clips) -> None:
    clip, voice = said("market"), SphinxVoice()
    times = int(3600 / clip.audio.duration_s)
    wave = np.tile(clip.audio.samples[0], times)
    words = [voice.spelled(token.text) for token in tokens(clip.text)] * times
    before = forget_peak()
    found = align(voice, wave, words, window_s=30.0)
    assert found is not None
    assert found.score > voice.least_score
    assert found.words[-1].end_s == pytest.approx(times * clip.audio.duration_s, abs=0.3)
    assert peak_bytes() - before < 300_000_000
