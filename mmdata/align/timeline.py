"""Timed features of a sample on one clock: sound, frames, words and tokens, row by row beside each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np
from annotated_types import Ge

from mmdata.align.speech.words import Word, heard, sound_of, words_of
from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Audio, Sample
from mmdata.core.step import Extract
from mmdata.kernels.align.clock import How, on_ticks, tick_count

MASK = "mask"  # what `NAME.mask` says: whether a tick of NAME holds anything


@dataclass(frozen=True, eq=False)
class Track:
    """Rows with the time that each holds for.

    Args:
        values: [row, ...]. starts_s, ends_s: float64 [row].
    """

    values: np.ndarray
    starts_s: np.ndarray
    ends_s: np.ndarray

    @classmethod
    def every(cls, values: np.ndarray, hop_s: float, *, start_s: float = 0.0) -> Self:
        """Rows of equal length, one after the other: any feature whose `ArraySpec` has a `hop_s`."""
        edges = start_s + np.arange(len(values) + 1) * hop_s
        return cls(values, edges[:-1], edges[1:])

    @classmethod
    def at(cls, values: np.ndarray, times_s: np.ndarray, *, end_s: float) -> Self:
        """Rows that hold from their moment to the next, such as vectors of frames; the last one until `end_s`.

        Raises:
            ValueError: there are not as many moments as rows.
        """
        times = np.asarray(times_s, np.float64)
        if len(times) != len(values):
            raise ValueError(f"there are {len(values)} rows and {len(times)} moments")
        order = np.argsort(times, kind="stable")
        times = times[order]
        return cls(values[order], times, np.append(times[1:], max(end_s, times[-1]) if len(times) else []))

    @classmethod
    def between(cls, values: np.ndarray, starts_s: np.ndarray, ends_s: np.ndarray) -> Self:
        """Rows that hold for a stretch each, such as vectors of words: there may be gaps, and rows may overlap."""
        return cls(values, np.asarray(starts_s, np.float64), np.asarray(ends_s, np.float64))


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """A clock, and how each feature comes onto it.

    Args:
        hop_s: seconds from tick to tick.
        tracks: by name, "hold" (the row of the tick's middle), "mean", "max" or "linear"; see
            `mmdata.kernels.align.clock.on_ticks`.

    >>> line = Timeline(hop_s=0.5, tracks={"sound": "mean", "words": "hold"})
    >>> sound = Track.every(np.arange(6, dtype=np.float32), 0.25)
    >>> words = Track.between(np.array([7, 8]), np.array([0.1, 1.2]), np.array([0.6, 1.5]))
    >>> {name: array.tolist() for name, array in line.of({"sound": sound, "words": words}, duration_s=1.5).items()}
    {'sound': [0.5, 2.5, 4.5], 'sound.mask': [True, True, True], 'words': [7, 0, 8], 'words.mask': [True, False, True]}
    """

    hop_s: float
    tracks: Mapping[str, How]

    def specs(self, given: Mapping[str, ArraySpec]) -> dict[str, ArraySpec]:
        """The form of what `of` gives, by the forms of the features: the first axis becomes time, and has this hop.

        Raises:
            ValueError: a track has no form among those given, or no axis.
        """
        found: dict[str, ArraySpec] = {}
        for name, how in self.tracks.items():
            if name not in given or not given[name].dims:
                raise ValueError(f"track {name!r} has no form with an axis; there are {', '.join(sorted(given))}")
            spec = given[name]
            own = {dim: size for dim, size in spec.sizes.items() if dim != spec.dims[0]}
            exact = how in ("hold", "max")
            dtype = spec.dtype if exact or spec.dtype == "float64" else "float32"
            rest = tuple("time_" if dim == "time" else dim for dim in spec.dims[1:])
            sizes = {"time_" if dim == "time" else dim: size for dim, size in own.items()}
            found[name] = ArraySpec(dims=("time", *rest), sizes=sizes, dtype=dtype, hop_s=self.hop_s)
            found[f"{name}.{MASK}"] = ArraySpec(dims=("time",), dtype="bool", hop_s=self.hop_s)
        return found

    def of(self, given: Mapping[str, Track | None], *, duration_s: float) -> dict[str, np.ndarray]:
        """The features of a sample, tick by tick: NAME is [time, ...], and NAME.mask bool [time].

        Args:
            given: by name. A track that is None, or left out, is not among the results.
            duration_s: of the clip: all results have as many ticks as cover it.
        """
        n_ticks = tick_count(duration_s, self.hop_s)
        found: dict[str, np.ndarray] = {}
        for name, how in self.tracks.items():
            track = given.get(name)
            if track is None:
                continue
            values, mask = on_ticks(
                track.values, track.starts_s, track.ends_s, hop_s=self.hop_s, n_ticks=n_ticks, how=how
            )
            found[name] = values if how in ("hold", "max") or values.dtype == np.float64 else values.astype(np.float32)
            found[f"{name}.{MASK}"] = mask
        return found


def token_times(transcript: str, words: Sequence[Word], spans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """When tokens of a transcript are said, from the times of its words.

    A token has the share of its word's time that it has of the word's characters; one that reaches over several words
    has all of theirs. A token of no word (a blank, a sign of its own) is said at no time: it ends where it starts.

    Args:
        transcript: the text.
        words: its words, in the order in which they stand in it.
        spans: int [token, 2], the characters of each token, [first, last), as a tokenizer's offsets have them.

    Returns:
        float64 [token], starts and ends, in seconds.

    Raises:
        ValueError: a word is not in the transcript where it should be.
    """
    begins, ends, places = [], [], []
    at = 0
    for word in words:
        at = transcript.find(word.text, at)
        if at < 0:
            raise ValueError(f"the word {word.text!r} does not follow in the transcript")
        places.append((at, at + len(word.text)))
        begins.append(word.start_s)
        ends.append(word.end_s)
        at += len(word.text)
    n = len(np.asarray(spans).reshape(-1, 2))
    if not places:
        return np.zeros(n), np.zeros(n)
    # seconds by characters: within a word they run on, and between words they stand still
    characters, first = np.array(places, np.float64).ravel(), np.array([place for place, _ in places])
    times = np.array([begins, ends], np.float64).T.ravel()
    last = np.array([place for _, place in places])
    low, high = np.asarray(spans, np.float64).reshape(-1, 2).T
    owner_low, owner_high = np.searchsorted(last, low, "right"), np.searchsorted(first, high, "left") - 1
    said = (owner_low <= owner_high) & (high > low)
    owner_low, owner_high = np.minimum(owner_low, len(last) - 1), np.maximum(owner_high, 0)
    start = np.interp(np.maximum(low, first[owner_low]), characters, times)
    end = _at_end(np.minimum(high, last[owner_high]), characters, times)
    return np.where(said, start, 0.0), np.where(said, np.maximum(start, end), 0.0)


def _at_end(where: np.ndarray, characters: np.ndarray, times: np.ndarray) -> np.ndarray:
    """As np.interp, but a place at which two words touch is the end of the first."""
    found: np.ndarray = np.interp(where, characters, times)
    touching = np.searchsorted(characters, where, "left")
    ends_here = (touching < len(characters)) & (characters[np.minimum(touching, len(characters) - 1)] == where)
    return np.where(ends_here, times[np.minimum(touching, len(times) - 1)], found)


@dataclass(frozen=True, kw_only=True)
class WordTrack(Extract[Sample]):
    """Which word is being said, tick by tick: int32 [time], the number of the word in the metadata, -1 in pauses.

    So any array with a row for each word comes onto the clock of the sound by one indexing. A tick has the word that
    is said in its middle.

    Args:
        audio: the sound whose clock it is. words: the metadata, as `align.speech.AlignSpeech` writes it.
        hop_s: seconds from tick to tick.

    Reference:
        Of mmdata: the times of `align.speech.AlignSpeech`, on a grid.
    """

    into: str = "audio.word_track"
    audio: str = "audio"
    words: str = "words"
    hop_s: Annotated[float, Ge(0.001)] = 0.01

    def needs(self, parts: Collection[str] | None) -> Mapping[str, type]:  # noqa: ARG002  always the same
        return {self.audio: Audio}

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("time",), dtype="int32", hop_s=self.hop_s)

    def extract(self, sample: Sample) -> np.ndarray:
        audio = sound_of(sample, self.audio)
        found = heard(words_of(sample, self.words), audio, min_left=1e-9)
        numbers = np.array([number for number, _ in found], np.int32)
        starts, ends = np.array([(word.start_s, word.end_s) for _, word in found]).reshape(-1, 2).T
        n_ticks = tick_count(audio.duration_s, self.hop_s)
        track, mask = on_ticks(numbers, starts, ends, hop_s=self.hop_s, n_ticks=n_ticks, how="hold")
        return np.where(mask, track, np.int32(-1)).astype(np.int32)
