"""Forced alignment against known word times, and the finding of wrong transcripts.

    apt-get install espeak-ng                     # for speech with known word times
    python benchmarks/align.py [--prompts N] [--model FOLDER]

Three tables: speech of eSpeak NG, whose word times it tells itself; single real words (digits, letters and the phonetic
alphabet of the asterisk prompts) joined at known times; and whole prompts with their own and with others' transcripts.
A wrong transcript is that of another prompt: of any ("random"), or of one of the five nearest in length ("alike").
"""

from __future__ import annotations

import argparse
import ctypes
import gzip
import random
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from mmdata.align.speech import AlignSpeech
from mmdata.codec.audio import DecodeAudio
from mmdata.core.sample import Audio, Blob, Sample, Text
from mmdata.kernels.align.spoken import tokens
from mmdata.kernels.audio import levels_db, mono
from mmdata.testing.corpora import fetch, media

SENTENCES = (
    "The quick brown fox jumps over the lazy dog.",
    "She sells fresh bread, cheese and apples at the market every Friday.",
    "Please leave your name and telephone number after the tone.",
    "In 1984 the old railway station was closed, and nobody came back.",
    "Dr. Miller will see you at half past nine tomorrow morning.",
    "Heavy rain is expected in the north; the south will stay dry.",
    "Turn left at the second traffic light, then drive for 3 miles.",
    "Nothing is more difficult than to begin a long letter.",
    "My brother bought two green chairs and a wooden table.",
    "The library opens at ten and closes at six on weekdays.",
)
VOICES = ("en-us", "en-us+f3", "en-gb", "en-gb-scotland")
SPEEDS = (130, 175, 220)  # words a minute
CAPTION_WORDS = 12  # joined to one sound
RETRIEVAL, POSITION_CHARACTER, UTF8, PHONEME_EVENTS = 1, 1, 1, 1
WORD, PHONEME, RATE = 1, 7, 1  # kinds of events, and the parameter of the speed


@dataclass(frozen=True)
class Known:
    """Speech with its transcript and, for each of its words, when it is said; NaN where nobody knows."""

    audio: Audio
    text: str
    starts_s: tuple[float, ...]
    ends_s: tuple[float, ...]


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int), ("unique", ctypes.c_uint), ("position", ctypes.c_int), ("length", ctypes.c_int),
        ("audio_ms", ctypes.c_int), ("sample", ctypes.c_int), ("user", ctypes.c_void_p), ("id", _Id),
    )  # fmt: skip


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Espeak:
    """eSpeak NG's library (GPL-3, a tool only). Raises OSError where it is not installed."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libespeak-ng.so.1")
        self._rate_hz = self._library.espeak_Initialize(RETRIEVAL, 0, None, PHONEME_EVENTS)
        self._waves: list[np.ndarray] = []
        self._events: list[tuple[int, int, int, str]] = []
        self._callback = _CALLBACK(self._take)  # kept, as the library does not
        self._library.espeak_SetSynthCallback(self._callback)

    def _take(self, wave: ctypes._Pointer[ctypes.c_short], n: int, events: ctypes._Pointer[_Event]) -> int:
        if wave and n:
            self._waves.append(np.ctypeslib.as_array(wave, (n,)).copy())
        place = 0
        while events[place].type:
            event = events[place]
            name = event.id.string.decode("utf-8", "replace") if event.type == PHONEME else ""
            self._events.append((event.type, event.position, event.sample, name))
            place += 1
        return 0

    def say(self, text: str, *, voice: str, words_a_minute: int) -> Known:
        """Speech, and when each written word of it begins and ends."""
        self._waves, self._events = [], []
        self._library.espeak_SetVoiceByName(voice.encode())
        self._library.espeak_SetParameter(RATE, words_a_minute, 0)
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, POSITION_CHARACTER, 0, UTF8, None, None)
        self._library.espeak_Synchronize()
        wave = np.concatenate(self._waves).astype(np.float32) / 32768
        starts, ends = [], []
        for token in tokens(text):
            own = [
                place
                for place, (kind, position, _, _) in enumerate(self._events)
                if kind == WORD and token.first < position <= token.last
            ]
            # it says "of the" as one word, and tells no event of the second
            starts.append(self._events[own[0]][2] / self._rate_hz if own else np.nan)
            ends.append(self._end(own[-1]) / self._rate_hz if own else np.nan)
            if not own and len(ends) > 1:
                ends[-2] = np.nan
        return Known(Audio(wave[None], self._rate_hz), text, tuple(starts), tuple(ends))

    def _end(self, place: int) -> int:
        """The sample at which a word ends: where a pause or the next word begins."""
        for kind, _, sample, name in self._events[place + 1 :]:
            if kind == WORD or (kind == PHONEME and name.startswith("_")):
                return sample
        return self._events[-1][2]


def prompts() -> dict[str, tuple[Audio, str]]:
    """The asterisk prompts with what they say, by name; those that hold no speech are left out."""
    folder = media("asterisk-core-sounds-en-wav")
    listed = fetch("asterisk-core-sounds-en") / "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
    texts = dict(
        line.strip().split(": ", 1)
        for line in gzip.decompress(listed.read_bytes()).decode().splitlines()
        if ": " in line and not line.startswith(";")
    )
    found = {}
    for path in sorted(folder.rglob("*.wav")):
        name = path.relative_to(folder).as_posix().split("/", 1)[1].removesuffix(".wav")
        if name in texts and tokens(texts[name]) and "[" not in texts[name] and "(" not in texts[name]:
            audio = DecodeAudio().map(Blob.of(path.read_bytes(), name=path.name))
            if isinstance(audio, Audio):
                found[name] = audio, texts[name]
    return found


def joined(spoken: dict[str, tuple[Audio, str]], *, n: int, seed: int) -> Iterator[Known]:
    """Single words, each cut to where it sounds (-35 dB of its loudest 10 ms), put behind each other with pauses."""
    rng = random.Random(seed)
    names = [
        name
        for name, (_, text) in spoken.items()
        if name.split("/")[0] in ("digits", "phonetic", "letters") and len(tokens(text)) == 1
    ]
    for _ in range(n):
        pieces, starts, ends, texts, at = [], [], [], [], 0
        rate = 0
        for name in rng.sample(names, CAPTION_WORDS):
            audio, text = spoken[name]
            wave, rate = mono(audio.samples), audio.rate_hz
            hop = rate // 100
            levels = levels_db(wave[None], hop=hop)[0]
            loud = np.flatnonzero(levels > levels.max() - 35)
            word = wave[loud[0] * hop : (loud[-1] + 1) * hop]
            pause = np.zeros(round(rng.choice([0.0, 0.05, 0.1, 0.3]) * rate), np.float32)
            pieces += [pause, word]
            starts.append((at + len(pause)) / rate)
            at += len(pause) + len(word)
            ends.append(at / rate)
            texts.append(text)
        noise = np.random.default_rng(seed).normal(0, 1e-4, at).astype(np.float32)
        yield Known(Audio((np.concatenate(pieces) + noise)[None], rate), " ".join(texts), tuple(starts), tuple(ends))


def errors_ms(step: AlignSpeech, known: Sequence[Known]) -> tuple[np.ndarray, np.ndarray, int]:
    """Distances of found starts and ends from the true ones, in ms, with their signs; and how many were dropped."""
    starts, ends, dropped = [], [], 0
    for each in known:
        found = step.map(Sample("k", {"audio": each.audio, "text": Text(each.text)}))
        if not isinstance(found, Sample):
            dropped += 1
            continue
        words = found.meta[step.words]
        starts += [word["start_s"] - true for word, true in zip(words, each.starts_s, strict=True)]
        ends += [word["end_s"] - true for word, true in zip(words, each.ends_s, strict=True)]
    of_starts, of_ends = np.array(starts) * 1000, np.array(ends) * 1000
    return of_starts[~np.isnan(of_starts)], of_ends[~np.isnan(of_ends)], dropped


def tell(name: str, known: Sequence[Known], step: AlignSpeech) -> None:
    starts, ends, dropped = errors_ms(step, known)
    both = np.abs(np.concatenate([starts, ends]))
    print(
        f"{name:28s} {len(known):4d} clips {len(starts):5d} words  median {np.median(both):5.1f} ms  "
        f"(starts {np.median(np.abs(starts)):.1f}, ends {np.median(np.abs(ends)):.1f}; bias {np.median(starts):+.1f}, "
        f"{np.median(ends):+.1f})  within 50 ms {np.mean(both <= 50):.2f}, 100 ms {np.mean(both <= 100):.2f}  "
        f"dropped {dropped}"
    )


def score(step: AlignSpeech, audio: Audio, text: str) -> float:
    """The transcript's score; the worst one where there is no room for it."""
    found = step.map(Sample("k", {"audio": audio, "text": Text(text)}))
    return float(found.meta[f"{step.words}_score"]) if isinstance(found, Sample) else -1000.0


def wrong_transcripts(spoken: dict[str, tuple[Audio, str]], step: AlignSpeech, seed: int) -> dict[str, list[float]]:
    """Scores of prompts with their own transcripts and with others'; by kind, in the order of the prompts."""
    rng = random.Random(seed)
    found: dict[str, list[float]] = {"own": [], "alike": [], "random": []}
    for audio, text in spoken.values():
        others = [other for _, other in spoken.values() if other.lower().strip(".") != text.lower().strip(".")]
        alike = sorted(others, key=lambda other: (abs(len(other) - len(text)), other))[:5]
        for kind, said in (("own", text), ("alike", rng.choice(alike)), ("random", rng.choice(others))):
            found[kind].append(score(step, audio, said))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=0, help="how many prompts; 0 is all")
    parser.add_argument("--model", default=None, help="a CTC model in place of pocketsphinx's")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    threadpool_limits(1)  # as workers have it
    step = AlignSpeech(model=given.model, min_score=-999.0)
    try:
        voice = Espeak()
        for words_a_minute in SPEEDS:
            said = [voice.say(text, voice=name, words_a_minute=words_a_minute) for name in VOICES for text in SENTENCES]
            tell(f"eSpeak, {words_a_minute} words a minute", said, step)
    except OSError as error:
        print(f"no speech with known times: {error}; apt-get install espeak-ng")
    spoken = prompts()
    tell("real words, joined", list(joined(spoken, n=40, seed=given.seed)), step)
    names = sorted(spoken)
    random.Random(given.seed).shuffle(names)
    chosen = {name: spoken[name] for name in (names[: given.prompts] if given.prompts else names)}
    started = time.process_time()
    scores = {kind: np.array(values) for kind, values in wrong_transcripts(chosen, step, given.seed).items()}
    seconds = time.process_time() - started
    sound = 3 * sum(audio.duration_s for audio, _ in chosen.values())
    long = np.array([len(tokens(text)) >= 3 for _, text in chosen.values()])
    for name, which in (("all prompts", np.ones(len(long), bool)), ("of 3 words and more", long)):
        least = float(np.quantile(scores["own"][which], 0.05))
        found = {kind: float(np.mean(scores[kind][which] < least)) for kind in ("alike", "random")}
        ours = AlignSpeech()._voice().least_score if given.model is None else np.nan
        print(
            f"{name}: {which.sum()}; at 5 % false alarms (score below {least:.2f}) found {found['alike']:.3f} of "
            f"alike, {found['random']:.3f} of random wrong transcripts; at the default {ours}: false alarms "
            f"{np.mean(scores['own'][which] < ours):.3f}, found {np.mean(scores['alike'][which] < ours):.3f}, "
            f"{np.mean(scores['random'][which] < ours):.3f}"
        )
    print(
        f"{sound / seconds:.0f} s of sound a second of processor time; "
        f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"
    )


if __name__ == "__main__":
    main()
