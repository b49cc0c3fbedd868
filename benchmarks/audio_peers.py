"""Speech to mel cepstra, log-mel energies and loudness by what a user would pick instead; run in out/peers/audio.

    out/peers/audio/bin/python benchmarks/audio_peers.py librosa FOLDER OUT --workers 2

Frames are the same for all: cepstra 128 ms every 32, log-mels 25 ms every 10, at 16 kHz. What is made is written as
uncompressed numpy arrays, several files at once. lhotse has no loudness and is let off. Imports that a contestant does
not need are not made.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

RATE_HZ = 16_000
A_TASK = 32  # files
Arrays = tuple[np.ndarray, np.ndarray, float]


def sounds(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in (".wav", ".ogg"))


def loudness(wave: np.ndarray) -> float:
    import pyloudnorm

    return float(pyloudnorm.Meter(RATE_HZ).integrated_loudness(wave)) if len(wave) >= 0.4 * RATE_HZ else -70.0


def by_librosa(path: Path) -> Arrays:
    import librosa

    wave, _ = librosa.load(path, sr=RATE_HZ)
    mfcc = librosa.feature.mfcc(y=wave, sr=RATE_HZ)
    mel = librosa.feature.melspectrogram(y=wave, sr=RATE_HZ, n_fft=400, hop_length=160, n_mels=80)
    return mfcc.T, np.log(np.maximum(mel, 1e-10)).T, loudness(wave)


def by_kaldi(path: Path) -> Arrays:
    import kaldi_native_fbank as knf
    import soundfile
    import soxr

    wave, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    wave = soxr.resample(wave.mean(axis=1), rate_hz, RATE_HZ)
    mfcc, fbank = knf.MfccOptions(), knf.FbankOptions()
    for options, window_ms, hop_ms, n_mels in ((mfcc, 128, 32, 128), (fbank, 25, 10, 80)):
        options.frame_opts.samp_freq = RATE_HZ
        options.frame_opts.frame_length_ms, options.frame_opts.frame_shift_ms = window_ms, hop_ms
        options.frame_opts.snip_edges = False
        options.frame_opts.dither = 0
        options.mel_opts.num_bins = n_mels
    mfcc.num_ceps = 20
    found = []
    for maker in (knf.OnlineMfcc(mfcc), knf.OnlineFbank(fbank)):
        maker.accept_waveform(RATE_HZ, wave)
        maker.input_finished()
        rows = [maker.get_frame(row) for row in range(maker.num_frames_ready)]
        found.append(np.stack(rows) if rows else np.zeros((0, 1), np.float32))
    return found[0], found[1], loudness(wave)


def task(make: Callable[[Path], Arrays], out: Path, number: int, paths: list[Path]) -> int:
    arrays: dict[str, Any] = {}
    for place, path in enumerate(paths):
        arrays[f"{place}.mfcc"], arrays[f"{place}.logmel"], arrays[f"{place}.loudness"] = make(path)
    with (out / f"{number}.npz").open("wb") as file:
        np.savez(file, **arrays)
    return len(paths)


def in_pool(make: Callable[[Path], Arrays], folder: Path, out: Path, workers: int) -> int:
    paths = sounds(folder)
    tasks = [paths[first : first + A_TASK] for first in range(0, len(paths), A_TASK)]
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        return sum(pool.starmap(partial(task, make, out), enumerate(tasks), chunksize=1))


def by_lhotse(folder: Path, out: Path, workers: int) -> int:
    from lhotse import CutSet, Fbank, FbankConfig, Mfcc, MfccConfig, NumpyFilesWriter, Recording, RecordingSet

    recordings = RecordingSet.from_recordings(
        Recording.from_file(path, recording_id=str(path.relative_to(folder))) for path in sounds(folder)
    )
    cuts = CutSet.from_manifests(recordings=recordings).resample(RATE_HZ)
    extractors = {
        "mfcc": Mfcc(MfccConfig(frame_length=0.128, frame_shift=0.032, num_filters=128, num_ceps=20)),
        "logmel": Fbank(FbankConfig(num_filters=80)),
    }
    for name, extractor in extractors.items():
        done = cuts.compute_and_store_features(extractor, out / name, num_jobs=workers, storage_type=NumpyFilesWriter)
    return len(list(done))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contestant", choices=("librosa", "kaldi", "lhotse"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    args.out.mkdir(parents=True)
    if args.contestant == "lhotse":
        stored = by_lhotse(args.folder, args.out, args.workers)
    else:
        if args.contestant == "librosa":  # once, before the fork, with all that it loads when first used
            by_librosa(sounds(args.folder)[0])
        stored = in_pool(by_librosa if args.contestant == "librosa" else by_kaldi, args.folder, args.out, args.workers)
    json.dump({"stored": stored}, sys.stdout)


if __name__ == "__main__":
    main()
