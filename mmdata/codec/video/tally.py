"""How much of films this process decoded, for the record of a run."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import asdict, dataclass, field

from mmdata.core.sample import Blob


@dataclass(frozen=True)
class Decoded:
    """What was decoded.

    Args:
        streams: different picture tracks. passes: how often one was decoded, from start to end or in part.
        frames: that the decoder gave out. sounds: different sound tracks. sound_passes: how often one was decoded.
    """

    streams: int = 0
    passes: int = 0
    frames: int = 0
    sounds: int = 0
    sound_passes: int = 0

    def to_json(self) -> dict[str, int]:
        """By name; empty where nothing was decoded."""
        return asdict(self) if self.passes or self.sound_passes else {}


@dataclass
class _Tally:
    lock: threading.Lock = field(default_factory=threading.Lock)
    passes: Counter[tuple[str, int]] = field(default_factory=Counter)
    sounds: Counter[tuple[str, int, int]] = field(default_factory=Counter)
    frames: int = 0


_TALLY = _Tally()


def count(blob: Blob, n_frames: int) -> None:
    """Note a pass over a film's pictures."""
    with _TALLY.lock:
        _TALLY.passes[_named(blob), blob.size] += 1
        _TALLY.frames += n_frames


def count_sound(blob: Blob, track: int) -> None:
    """Note a pass over one of a film's sound tracks."""
    with _TALLY.lock:
        _TALLY.sounds[_named(blob), blob.size, track] += 1


def take() -> Decoded:
    """What was decoded since this was asked last."""
    with _TALLY.lock:
        pictures, sounds = _TALLY.passes, _TALLY.sounds
        found = Decoded(len(pictures), pictures.total(), _TALLY.frames, len(sounds), sounds.total())
        _TALLY.passes, _TALLY.sounds, _TALLY.frames = Counter(), Counter(), 0
    return found


def _named(blob: Blob) -> str:
    return str(blob.pointer) or str(id(blob))
