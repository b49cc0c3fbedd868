"""Comments with a picture and a voice: what the words say, the tone of voice may turn around."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmdata.core.rng import rng_for
from mmdata.core.sample import Audio, Image
from mmdata.testing.media import png_bytes, wav_bytes
from mmdata.testing.pictures import drift, shape
from mmdata.testing.systems.worlds import Drawn, System, World

GOOD = ("wonderful", "lovely", "brilliant", "delightful", "superb", "charming", "excellent", "splendid")
BAD = ("awful", "terrible", "dreadful", "horrible", "dull", "poor", "nasty", "wretched")
THINGS = ("film", "meal", "hotel", "phone", "journey", "concert", "book", "match")
FRAMES = (
    "What a {word} {thing}.",
    "This {thing} was {word}.",
    "A truly {word} {thing}, I would say.",
    "{word}, this {thing}!",
)
SARCASTIC, TRUE, SMILES = 0.3, 0.95, 0.75
RATE_HZ, FACE_PX = 8000, 32


def weigh(words: int, voice: int, face: int) -> list[float]:
    """How likely each polarity is with these words (1: praise), this voice (1: sarcastic) and this face (1: it smiles).

    Praise is meant unless it is sarcastic, and the other way round; one comment of 20 is labelled wrongly. Three faces
    of four fit the label.
    """
    meant = words ^ voice
    tone = SARCASTIC if voice else 1 - SARCASTIC
    return [
        tone * (TRUE if label == meant else 1 - TRUE) * (SMILES if label == face else 1 - SMILES) for label in (0, 1)
    ]


def comment(praise: int, rng: np.random.Generator) -> str:
    """A sentence with one word of praise or blame."""
    word = str(rng.choice(GOOD if praise else BAD))
    text = str(rng.choice(FRAMES)).format(word=word, thing=rng.choice(THINGS))
    return text[0].upper() + text[1:]


def voice(sarcastic: int, rng: np.random.Generator) -> Audio:
    """A hum of half a second or so: lively, its pitch swings by half an octave; sarcastic, it is flat."""
    seconds = rng.uniform(0.5, 0.8)
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    swing = 0.0 if sarcastic else rng.uniform(4, 7)
    semitones = swing * np.sin(2 * np.pi * (rng.uniform(2.5, 4) * time_s + rng.random()))
    pitch_hz = rng.uniform(180, 320) * 2 ** (semitones / 12)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    wave = sum(np.sin(k * phase) / k for k in range(1, 6)) * np.hanning(len(time_s)) ** 0.3
    hiss = 0.03 * rng.standard_normal(len(time_s))
    return Audio((rng.uniform(0.15, 0.35) * (wave + hiss))[None].astype(np.float32), RATE_HZ)


def face(smiles: int, rng: np.random.Generator) -> Image:
    """A round face on a textured ground, whose mouth goes up or down at its ends."""
    size = FACE_PX
    pixels = drift(size, size, seed=int(rng.integers(1 << 32)), contrast=0.3)
    x, y = size * rng.uniform(0.45, 0.55, 2)
    radius = size * rng.uniform(0.36, 0.44)
    pixels[shape("disc", size, size, center_px=(x, y), radius_px=radius)] = rng.integers(170, 256, 3)
    for side in (-1, 1):
        eye = shape("disc", size, size, center_px=(x + side * 0.35 * radius, y - 0.3 * radius), radius_px=1.6)
        pixels[eye] = 0
    across, down = np.arange(size)[None] - x, np.arange(size)[:, None] - y
    bend = (1 if smiles else -1) * 0.35 * radius * (0.5 - (across / (0.5 * radius)) ** 2)
    pixels[(abs(across) < 0.55 * radius) & (abs(down - 0.4 * radius - bend) < 1.2)] = 0
    return Image(pixels)


def write(folder: Path, drawn: Sequence[Drawn], world: World, seed: int) -> None:
    """`comments.csv`, a row a comment; its picture and voice lie in `faces` and `voices`."""
    for name in ("faces", "voices"):
        (folder / name).mkdir(exist_ok=True)
    with (folder / "comments.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("id", "comment", "picture", "voice", "polarity"))
        for index, sample in enumerate(drawn):
            rng, key = rng_for(seed, "sentiment", index), f"{index:05d}"
            text = comment(sample.shown["words"], rng)
            (folder / f"voices/{key}.wav").write_bytes(wav_bytes(voice(sample.shown["voice"], rng)))
            (folder / f"faces/{key}.png").write_bytes(png_bytes(face(sample.shown["picture"], rng)))
            table.writerow((key, text, f"faces/{key}.png", f"voices/{key}.wav", world.labels[sample.label]))


SENTIMENT = System(
    "sentiment", World.of(("negative", "positive"), {"words": 2, "voice": 2, "picture": 2}, weigh), write
)
