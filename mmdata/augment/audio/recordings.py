"""Recordings of a folder, for steps that mix them in: backgrounds, and rooms."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np

from mmdata.codec.audio import DecodeAudio
from mmdata.core.fingerprint import fingerprint
from mmdata.core.sample import Blob
from mmdata.errors import ConfigError
from mmdata.kernels.audio import mono, resample

SOUNDS = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au", ".m4a"})
HELD = 16  # recordings that a process keeps decoded


def files(folder: str) -> list[Path]:
    """The sound files below a folder, by extension, in the order of their names.

    Raises:
        ConfigError: there is no such folder, or none in it.
    """
    root = Path(folder).expanduser()
    found = sorted(path for path in root.rglob("*") if path.suffix.lower() in SOUNDS and path.is_file())
    if not found:
        what = "there is no sound in it" if root.is_dir() else "there is no such folder"
        raise ConfigError("folder", [f"folder {folder!r}: {what}"])
    return found


def digest(folder: str) -> str:
    """A digest of the folder's sound files, their names below it and their contents; where it lies does not count."""
    root = Path(folder).expanduser()
    return fingerprint(*((path.relative_to(root).as_posix(), _content(path)) for path in files(folder)), chars=32)


def _content(path: Path) -> str:
    state = path.stat()
    return _content_at(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=65_536)
def _content_at(path: Path, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def pick(folder: str, rng: np.random.Generator, *, rate_hz: int) -> np.ndarray:
    """One of the recordings, drawn evenly: the mean of its channels, float32 [time], at a rate.

    Raises:
        ConfigError: the folder is gone, or empty.
        DecodeError: the file is no sound.
    """
    found = _files_at(folder)
    path = found[int(rng.integers(len(found)))]
    return _decoded(path, rate_hz)


@lru_cache(maxsize=16)
def _files_at(folder: str) -> list[Path]:
    """Listed once a process: a folder does not change while a run goes on."""
    return files(folder)


@lru_cache(maxsize=HELD)
def _decoded(path: Path, rate_hz: int) -> np.ndarray:
    audio = DecodeAudio().map(Blob.of(path.read_bytes(), name=path.name))
    wave: np.ndarray = resample(mono(audio.samples)[None], from_hz=audio.rate_hz, to_hz=rate_hz)[0]
    wave.flags.writeable = False
    return wave
