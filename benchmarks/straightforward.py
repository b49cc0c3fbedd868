"""The script that a careful user writes without mmdata: a pool of processes, librosa, OpenCV, WebDataset, Parquet.

    python benchmarks/straightforward.py stamps FOLDER OUT --workers 2

It has what experience adds: one thread a worker (OMP_NUM_THREADS=1 is the caller's), imports done once before the
fork, several samples a task, arrays written in one go. Each feature is a function of a path, as in most code of this
kind, and so decodes for itself; `--decode once` is the variant that hands the decoded media on.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import ftfy
import librosa
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyloudnorm
import soundfile
from sklearn.feature_extraction.text import HashingVectorizer
from webdataset import ShardWriter

RATE_HZ = 16_000
SIZE_PX = 256
METER = pyloudnorm.Meter(RATE_HZ)
NGRAMS = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4), n_features=1024)
Made = dict[str, Any]


def picture(path: Path) -> np.ndarray:
    """RGB uint8, longest side at most 256 px, transparency on white."""
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError(f"{path} is no picture")
    if pixels.ndim == 2:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
    if pixels.shape[2] == 4:
        alpha = pixels[:, :, 3:].astype(np.float32) / 255
        pixels = (pixels[:, :, :3] * alpha + 255 * (1 - alpha)).round().astype(np.uint8)
    scale = SIZE_PX / max(pixels.shape[:2])
    if scale < 1:
        size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))


def phash(pixels: np.ndarray) -> np.ndarray:
    small = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (32, 32), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:8, :8]
    return np.packbits(low > np.median(low))


def sharpness(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.Laplacian(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var(), np.float32)


def colors(pixels: np.ndarray) -> np.ndarray:
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV_FULL)
    counts = cv2.calcHist([hsv], [0, 1, 2], None, [4, 4, 4], [0, 256] * 3)
    return np.asarray(counts.ravel() / np.float32(hsv.shape[0] * hsv.shape[1]))


def tiny(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.resize(pixels, (16, 16), interpolation=cv2.INTER_AREA))


def sound(path: Path) -> np.ndarray:
    """Mono float32 at 16 kHz and -23 LUFS, no peak above -1 dB."""
    wave, _ = librosa.load(path, sr=RATE_HZ, mono=True)
    padded = np.pad(wave, (0, max(0, round(0.4 * RATE_HZ) - len(wave))))  # the meter wants a whole block
    level = METER.integrated_loudness(padded)
    if level == -np.inf:
        raise ValueError("silent")
    gain_db = -23.0 - level
    gain_db = min(gain_db, -1.0 - 20 * np.log10(max(np.abs(wave).max(), 1e-9)))
    return np.asarray(wave * np.float32(10 ** (gain_db / 20)))


def mfcc(wave: np.ndarray) -> np.ndarray:
    return librosa.feature.mfcc(y=wave, sr=RATE_HZ, n_mfcc=20).T


def logmel(wave: np.ndarray) -> np.ndarray:
    mel = librosa.feature.melspectrogram(y=wave, sr=RATE_HZ, n_fft=400, hop_length=160, n_mels=80)
    return np.asarray(np.log(np.maximum(mel, 1e-10)).T)


def loudness(wave: np.ndarray) -> np.ndarray:
    padded = np.pad(wave, (0, max(0, round(0.4 * RATE_HZ) - len(wave))))
    return np.asarray(METER.integrated_loudness(padded), np.float32)


def caption(path: Path) -> str:
    """The first line, mended."""
    return ftfy.fix_text(path.read_text("utf-8", errors="replace").split("\n")[0].strip())


def ngrams(text: str) -> np.ndarray:
    return np.asarray(NGRAMS.transform([text]).toarray()[0].astype(np.float32))


def n_chars(text: str) -> np.ndarray:
    return np.asarray(len(text), np.int32)


def jpeg(pixels: np.ndarray) -> bytes:
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def flac(wave: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, RATE_HZ, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


Load = Callable[[Path], Any]
# part -> how it is loaded, what is stored of it under which extension, and its features
PARTS: dict[str, tuple[Load, str, Callable[[Any], Any], dict[str, Callable[[Any], np.ndarray]]]] = {
    "image": (picture, "jpg", jpeg, {"phash": phash, "sharpness": sharpness, "colors": colors, "tiny": tiny}),
    "speech": (sound, "flac", flac, {"mfcc": mfcc, "logmel": logmel, "loudness": loudness}),
    "text": (caption, "txt", str, {"ngrams": ngrams, "chars": n_chars}),
}


def stamps(root: Path) -> list[tuple[str, dict[str, Path]]]:
    """Pictures with their captions and spoken captions, where there are any."""
    found = []
    for path in sorted(root.rglob("*.png")):
        files = {"image": path, "text": path.with_suffix(".txt"), "speech": path.with_name(f"{path.stem}_desc_fr.ogg")}
        key = path.relative_to(root).with_suffix("").as_posix()
        found.append((key, {part: file for part, file in files.items() if file.exists()}))
    return found


def prompts(root: Path) -> list[tuple[str, dict[str, Path]]]:
    """Spoken prompts."""
    return [(p.relative_to(root).with_suffix("").as_posix(), {"speech": p}) for p in sorted(root.rglob("*.wav"))]


def process(item: tuple[str, dict[str, Path]], *, decode: str) -> tuple[Made, dict[str, np.ndarray]] | None:
    """One sample's members of the tar and its features; None when it is bad."""
    key, files = item
    members: Made = {"__key__": key.replace(".", "_")}
    features: dict[str, np.ndarray] = {}
    try:
        for part, path in files.items():
            load, extension, encode, extractors = PARTS[part]
            once = load(path)
            members[extension] = encode(once)
            for name, extract in extractors.items():
                features[f"{part}.{name}"] = extract(once if decode == "once" else load(path))
    except Exception as error:  # noqa: BLE001  as scripts do
        print(f"{key}: {error}", file=sys.stderr)
        return None
    members["json"] = json.dumps({"key": key}).encode()
    return members, features


def write_features(folder: Path, keys: list[str], columns: dict[str, list[np.ndarray | None]]) -> None:
    """A Parquet file a feature: arrays as lists, with their shapes."""
    for name, rows in columns.items():
        present = [(key, np.asarray(row)) for key, row in zip(keys, rows, strict=True) if row is not None]
        table = pa.table(
            {
                "key": [key for key, _ in present],
                "shape": [list(row.shape) for _, row in present],
                "values": pa.ListArray.from_arrays(
                    np.concatenate([[0], np.cumsum([row.size for _, row in present])]).astype(np.int32),
                    np.concatenate([row.ravel() for _, row in present]),
                ),
            }
        )
        pq.write_table(table, folder / f"{name}.parquet", compression="none")


def run(items: list[tuple[str, dict[str, Path]]], out: Path, *, workers: int, decode: str) -> int:
    """Write everything; returns how many samples were good."""
    out.mkdir(parents=True)
    keys: list[str] = []
    columns: dict[str, list[np.ndarray | None]] = {}
    with multiprocessing.get_context("fork").Pool(workers, initializer=cv2.setNumThreads, initargs=(0,)) as pool:
        results: Iterator[Any] = pool.imap(partial(process, decode=decode), items, chunksize=8)
        with ShardWriter(str(out / "shard-%06d.tar"), maxcount=1000, verbose=0) as shards:
            for made in filter(None, results):
                members, features = made
                shards.write(members)
                keys.append(members["__key__"])
                for name in columns.keys() | features.keys():
                    rows = columns.setdefault(name, [])
                    rows += [None] * (len(keys) - 1 - len(rows))
                    rows.append(features.get(name))
    write_features(out, keys, columns)
    return len(keys)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", choices=("stamps", "prompts"))
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--decode", choices=("each", "once"), default="each")
    args = parser.parse_args()
    items = {"stamps": stamps, "prompts": prompts}[args.corpus](args.source)
    start = perf_counter()
    stored = run(items, args.out, workers=args.workers, decode=args.decode)
    print(json.dumps({"read": len(items), "stored": stored, "seconds": perf_counter() - start}))


if __name__ == "__main__":
    main()
