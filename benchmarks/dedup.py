"""Recall and precision of dedup on real data with planted copies, at the defaults, as a table.

    .venv/bin/python benchmarks/dedup.py                  all kinds of media
    .venv/bin/python benchmarks/dedup.py image --n 200

Of some real texts, pictures and recordings (`make corpora`), copies are made by each edit and put into one store beside
the originals; `mmdata.select` then looks for duplicates. Recall: the share of an edit's copies that are in the cluster
of their original. Precision: of an edit's pairs in one cluster (a copy, and an original), the share whose original is
the copy's own, or one that truly is alike. Which originals truly are alike another measure says: of texts the exact
share of runs of words in common, of pictures the correlation of 32 x 32 pixels in color (mirrored, too), of recordings
that of the waves.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mmdata.codec.decoders import decode
from mmdata.codec.encode import encode
from mmdata.codec.lossy import recoded
from mmdata.core.arrays import ArraySpec
from mmdata.core.fingerprint import keys_digest
from mmdata.core.sample import Audio, Blob, Image, Sample, Text
from mmdata.features.audio import AudioFingerprint
from mmdata.features.image import DifferenceHash, PerceptualHash, TinyGrey
from mmdata.features.text import MinHash
from mmdata.select import select
from mmdata.select.dedup import NearAudio, NearImage, NearText, NearView, Rule
from mmdata.store import Store
from mmdata.store.runs import Recipe
from mmdata.store.store import Change
from mmdata.store.write import ShardWriter
from mmdata.store.write_features import FeatureWriter
from mmdata.testing.corpora import media
from mmdata.testing.writings import writings

FP = "f" * 16
Edit = Callable[[Any, np.random.Generator], Any]


def main() -> None:
    """Plant, look, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=list(KINDS), choices=[*KINDS, []])
    parser.add_argument("--n", type=int, default=400, help="originals of each kind")
    parser.add_argument("--mild", action="store_true", help="the mild edits alone")
    asked = parser.parse_args()
    print("| media | edit | mild | recall | precision | copies |\n|---|---|---|---|---|---|")
    for kind in asked.kinds:
        originals, steps, rule, mild, hard, alike = KINDS[kind]
        values = originals(asked.n)
        edits = mild if asked.mild else {**mild, **hard}
        for name, recall, precision, n in judged(values, steps, rule, edits, alike(values)):
            print(f"| {kind} | {name} | {'yes' if name in mild else 'no'} | {recall:.3f} | {said(precision)} | {n} |")


def said(precision: float | None) -> str:
    """A share, or that there is none, as nothing was joined."""
    return "none joined" if precision is None else f"{precision:.3f}"


def judged(
    values: list[Any], steps: tuple[Any, ...], rule: Rule, edits: dict[str, Edit], alike: np.ndarray
) -> Iterator[tuple[str, float, float | None, int]]:
    """Each edit's name, recall, precision (None where nothing was joined) and number of copies."""
    n, random = len(values), np.random.default_rng(7)
    for name, edit in edits.items():
        copies = [edit(value, random) for value in values]
        with tempfile.TemporaryDirectory() as folder:
            store = stored(Path(folder) / "store", [*values, *copies], steps)
            select(store, "v1", dedup=[rule])
            found = store.selection("v1")["cluster"].to_pylist()
        clusters = np.array([-1 - row if label is None else label for row, label in enumerate(found)])
        together = clusters[n:, None] == clusters[None, :n]
        right = together & (alike | np.eye(n, dtype=bool))
        precision = float(right.sum() / together.sum()) if together.any() else None
        yield name, float(np.diag(together).mean()), precision, n


def stored(place: Path, values: list[Any], steps: tuple[Any, ...]) -> Store:
    """A store whose samples have some features, and nothing else."""
    store = Store.create(str(place))
    store.start_run(command="benchmark", recipe=Recipe(FP, {step.into: FP for step in steps}))
    keys = [f"made/{row:06d}" for row in range(len(values))]
    with ShardWriter(store.url, shard="0" * 16, fp=FP, source="made") as samples:
        for key in keys:
            samples.add(Sample(key, {}, {}), {}, pointers={})
        changes = [Change("samples", add=samples.close())]
    for step in steps:
        specs = step.spec()
        columns = {step.into: specs} if isinstance(specs, ArraySpec) else columns_of(step, specs)
        made = [step.extract(value) for value in values]
        with FeatureWriter(store.url, step.into, columns, shard="0" * 16, fp=FP) as writer:
            writer.add(keys, {column: [part_of(each, step, column) for each in made] for column in columns})
            changes.append(Change(step.into, add=[writer.close(keys_digest(keys))]))
    store.commit(changes)
    return store


def part_of(made: Any, step: Any, column: str) -> Any:
    """A column's array of what a step made."""
    return made[column.removeprefix(step.into).removeprefix(".")] if isinstance(made, dict) else made


def columns_of(step: Any, specs: Any) -> dict[str, ArraySpec]:
    """The columns of a step that has several."""
    return {f"{step.into}.{name}" if name else step.into: spec for name, spec in specs.items()}


# ---- texts


def texts(n: int) -> list[Text]:
    """Articles of two dictionaries and long texts, of 100 words at least."""
    long = [text for text in writings().values() if len(text.split()) >= 100]
    return [Text(text) for text in long[:: max(1, len(long) // n)][:n]]


def alike_texts(values: list[Text]) -> np.ndarray:
    """Whether half of the runs of five words of either are common to both."""
    runs = []
    for value in values:
        words = value.text.casefold().split()
        runs.append({hash(tuple(words[at : at + 5])) for at in range(max(1, len(words) - 4))})
    return np.array([[len(a & b) >= 0.5 * len(a | b) for b in runs] for a in runs])


def words_edited(change: Callable[[list[str], np.random.Generator], list[str]]) -> Edit:
    """A text with its words changed."""
    return lambda value, random: Text(" ".join(change(value.text.split(), random)))


def passage(words: list[str], random: np.random.Generator) -> list[str]:
    """A twentieth of the words, in one piece, replaced by words from elsewhere in the text."""
    n = max(1, len(words) // 20)
    at = int(random.integers(0, len(words) - n + 1))
    return [*words[:at], *random.permutation(words)[:n], *words[at + n :]]


def scattered(words: list[str], random: np.random.Generator) -> list[str]:
    """Every twentieth word replaced, anywhere."""
    return [f"x{random.integers(1000)}" if random.random() < 0.05 else word for word in words]


# ---- pictures


def pictures(n: int) -> list[Image]:
    """Stamps of Tux Paint, on white."""
    paths = sorted(media("tuxpaint-stamps-default").rglob("*.png"))
    found: list[Any] = [decode(Blob.of(path.read_bytes()), Image) for path in paths[:: max(1, len(paths) // n)][:n]]
    return [on_white(image) for image in found]


def on_white(image: Image) -> Image:
    pixels = image.pixels
    if pixels.shape[2] in (2, 4):
        alpha = pixels[..., -1:].astype(np.float32) / 255
        pixels = (pixels[..., :-1] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return Image(np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels)


def scaled(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    import cv2

    return np.asarray(cv2.resize(pixels, (max(8, width), max(8, height)), interpolation=cv2.INTER_AREA))


def alike_pictures(values: list[Image]) -> np.ndarray:
    """Whether the pixels of both, made small, mirrored or not, correlate by 0.9: of the stamps, 88 pairs."""
    small = np.stack([scaled(value.pixels, 32, 32).astype(np.float64) for value in values])
    small -= small.mean(axis=(1, 2, 3), keepdims=True)
    small /= np.maximum(np.sqrt((small**2).sum(axis=(1, 2, 3), keepdims=True)), 1e-9)
    own, other = (each.reshape(len(small), -1) for each in (small, small[:, :, ::-1]))
    return np.asarray(np.maximum(own @ own.T, own @ other.T) >= 0.9)


def encoded(encoding: str) -> Edit:
    return lambda value, _: decode(Blob.of(encode(value, encoding).blob.data()), Image)


def resized(share: float) -> Edit:
    return lambda value, _: Image(
        scaled(value.pixels, int(value.pixels.shape[1] * share), int(value.pixels.shape[0] * share))
    )


def cropped(share: float) -> Edit:
    def edit(value: Image, _: np.random.Generator) -> Image:
        height, width = value.pixels.shape[:2]
        y, x = int(height * share / 2), int(width * share / 2)
        return Image(np.ascontiguousarray(value.pixels[y : height - y, x : width - x]))

    return edit


def cropped_anywhere(share: float) -> Edit:
    def edit(value: Image, random: np.random.Generator) -> Image:
        height, width = value.pixels.shape[:2]
        rows, columns = int(height * share), int(width * share)
        y, x = int(random.integers(0, rows + 1)), int(random.integers(0, columns + 1))
        return Image(np.ascontiguousarray(value.pixels[y : height - rows + y, x : width - columns + x]))

    return edit


def darker(value: Image, _: np.random.Generator) -> Image:
    return Image(np.clip(value.pixels.astype(np.float32) * 0.9, 0, 255).astype(np.uint8))


def mirrored(value: Image, _: np.random.Generator) -> Image:
    return Image(np.ascontiguousarray(value.pixels[:, ::-1]))


# ---- recordings


def recordings(n: int) -> list[Audio]:
    """Prompts by one speaker, of a second at least; each text once."""
    found = []
    for path in sorted(media("asterisk-core-sounds-en-wav").rglob("*.wav")):
        audio: Any = decode(Blob.of(path.read_bytes()), Audio)
        if audio.duration_s >= 1 and "silence" not in path.parts:
            found.append(audio)
    return found[:: max(1, len(found) // n)][:n]


def alike_recordings(values: list[Audio]) -> np.ndarray:
    """Whether both have the same wave throughout, to a correlation of 0.9: some prompts lie in two folders."""
    return np.array([[correlation(one.samples[0], other.samples[0]) >= 0.9 for other in values] for one in values])


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """The greatest correlation of two waves of about the same length, over all shifts."""
    n = max(one.size, other.size)
    if min(one.size, other.size) < 0.99 * n:
        return 0.0
    product = np.fft.rfft(one, 2 * n) * np.conj(np.fft.rfft(other, 2 * n))
    return float(np.fft.irfft(product).max() / max(1e-9, float(np.linalg.norm(one) * np.linalg.norm(other))))


def with_wave(change: Callable[[np.ndarray, int, np.random.Generator], np.ndarray]) -> Edit:
    return lambda value, random: Audio(
        np.ascontiguousarray(change(value.samples, value.rate_hz, random), np.float32), value.rate_hz
    )


def coded(codec: Any, quality: float) -> Edit:
    return with_wave(lambda wave, rate, _: recoded(wave, rate_hz=rate, codec=codec, quality=quality))


def cut(wave: np.ndarray, _: int, random: np.random.Generator) -> np.ndarray:
    n = wave.shape[1] // 10
    at = int(random.integers(0, n + 1))
    return wave[:, at : wave.shape[1] - (n - at)]


def noisy(wave: np.ndarray, _: int, random: np.random.Generator) -> np.ndarray:
    level = np.sqrt((wave**2).mean()) * 10 ** (-20 / 20)
    return wave + random.normal(0, level, wave.shape)


def faster(wave: np.ndarray, _: int, __: np.random.Generator) -> np.ndarray:
    at = np.arange(0, wave.shape[1] - 1, 1.05)
    return np.stack([np.interp(at, np.arange(wave.shape[1]), channel) for channel in wave])


MILD_PICTURES: dict[str, Edit] = {
    "JPEG 75": encoded("jpeg:75"),
    "WebP 60": encoded("webp:60"),
    "half the size": resized(0.5),
    "cropped by 10 %": cropped(0.1),
}
HARD_PICTURES: dict[str, Edit] = {
    "a tenth darker": darker,
    "JPEG 30": encoded("jpeg:30"),
    "cropped by 2 %": cropped(0.02),
    "cropped by 10 %, anywhere": cropped_anywhere(0.1),
    "mirrored": mirrored,
}
KINDS: dict[str, tuple[Any, Any, Rule, dict[str, Edit], dict[str, Edit], Any]] = {
    "text": (
        texts,
        (MinHash(),),
        NearText(),
        {
            "blanks, case, marks": lambda value, _: Text(value.text.upper().replace("\n", " \n ").replace(".", " !")),
            "5 % cut off": words_edited(lambda words, _: words[: len(words) - len(words) // 20]),
            "5 % put before": words_edited(lambda words, _: [f"w{n}" for n in range(len(words) // 20)] + words),
            "5 % replaced, one passage": words_edited(passage),
        },
        {"5 % of words replaced, anywhere": words_edited(scattered)},
        alike_texts,
    ),
    "image": (pictures, (TinyGrey(),), NearView(), MILD_PICTURES, HARD_PICTURES, alike_pictures),
    "image, hashes": (
        pictures,
        (PerceptualHash(), DifferenceHash()),
        NearImage(),
        MILD_PICTURES,
        HARD_PICTURES,
        alike_pictures,
    ),
    "audio": (
        recordings,
        (AudioFingerprint(),),
        NearAudio(),
        {
            "-6 dB": with_wave(lambda wave, *_: wave * 0.5),
            "MP3": coded("mp3", 0.3),
            "Opus": coded("opus", 0.3),
            "10 % cut off": with_wave(cut),
        },
        {"GSM": coded("gsm", 0.5), "noise at 20 dB": with_wave(noisy), "5 % faster": with_wave(faster)},
        alike_recordings,
    ),
}

if __name__ == "__main__":
    main()
