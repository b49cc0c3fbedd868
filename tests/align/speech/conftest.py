"""Speech with known word times, said by eSpeak NG, which tells them (benchmarks/align.py): nobody need install it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from mmdata.codec.audio import DecodeAudio
from mmdata.core.sample import Audio, Blob, Sample, Text

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Said:
    """A clip, its transcript, and when its words begin and end."""

    audio: Audio
    text: str
    starts_s: tuple[float, ...]
    ends_s: tuple[float, ...]

    @property
    def sample(self) -> Sample:
        return Sample("said", {"audio": self.audio, "text": Text(self.text)})


@pytest.fixture(scope="session")
def said() -> Callable[[str], Said]:
    """Clips by name: "miller", "market"."""
    known = json.loads((DATA / "known.json").read_text())

    def load(name: str) -> Said:
        audio = DecodeAudio().map(Blob.of((DATA / f"{name}.flac").read_bytes(), name=f"{name}.flac"))
        assert isinstance(audio, Audio)
        times = known[name]
        return Said(audio, times["text"], tuple(times["starts_s"]), tuple(times["ends_s"]))

    return load


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """As workers have it: small products of matrices on a busy machine wait for each other's threads."""
    with threadpool_limits(1):
        yield


@pytest.fixture
def silence() -> Audio:
    return Audio(np.zeros((1, 16_000), np.float32), 16_000)
