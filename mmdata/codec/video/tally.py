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
        frames: that the decoder gave out.
    """

    streams: int = 0
    passes: int = 0
    frames: int = 0

    def to_json(self) -> dict[str, int]:
        """By name; empty where nothing was decoded."""
        return asdict(self) if self.passes else {}


@dataclass
class _Tally:
    lock: threading.Lock = field(default_factory=threading.Lock)
    passes: Counter[tuple[str, int]] = field(default_factory=Counter)
    frames: int = 0


_TALLY = _Tally()


def count(blob: Blob, n_frames: int) -> None:
    """Note a pass over a film."""
    with _TALLY.lock:
        _TALLY.passes[str(blob.pointer) or str(id(blob)), blob.size] += 1
        _TALLY.frames += n_frames


def take() -> Decoded:
    """What was decoded since this was asked last."""
    with _TALLY.lock:
        found = Decoded(len(_TALLY.passes), _TALLY.passes.total(), _TALLY.frames)
        _TALLY.passes, _TALLY.frames = Counter(), 0
    return found
