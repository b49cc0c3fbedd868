"""Steps and sources that end or hold up their processes. Their samples say how; a file says whether they do at all."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.core.ports import Entry, Scan
from mmdata.core.sample import Blob, Sample, Text
from mmdata.core.step import BatchExtract, Extract, Map
from mmdata.source.files import Files

_seen: set[str] = set()  # by this process


def _eat() -> None:
    held = []
    while True:
        held.append(np.ones(10_000_000))
        time.sleep(0.001)  # others get their turn, as between the lines of any step


def _eat_in_one_call() -> None:
    while True:  # each multiplication holds Python's lock
        _seen.add((b"%d" % len(_seen)).decode() * 200_000_000)


def _backtrack() -> None:
    re.match("(a+)+$", "a" * 60 + "b")  # for ages, in C, with Python's lock in hand


def _in_company() -> None:
    if {"company", "alone"} <= _seen:
        os.kill(os.getpid(), signal.SIGKILL)


HAZARDS = {
    "segfault": lambda: ctypes.string_at(0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: sys.exit("enough"),
    "sleep": lambda: time.sleep(3600),
    "backtrack": _backtrack,
    "eat": _eat,
    "gorge": _eat_in_one_call,
    "alone": lambda: None,
    "company": _in_company,
}


def strike(text: str, armed: str) -> None:
    """Do what the text's first word says, where it is a hazard and the file is there."""
    name = text.split(" ", 1)[0].removeprefix("!")
    if text.startswith("!") and Path(armed).exists():
        _seen.add(name)
        HAZARDS[name]()


@dataclass(frozen=True, kw_only=True)
class Hazard(Map[Text, Text]):
    """An ingest step that strikes."""

    armed: str
    on: str = "text"

    def map(self, value: Text) -> Text:
        strike(value.text, self.armed)
        return value


@dataclass(frozen=True, kw_only=True)
class HazardLength(Extract[Text]):
    """A feature that strikes."""

    armed: str
    on: str = "text"
    into: str = "text.hazard"

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=(), sizes={})

    def extract(self, value: Text) -> np.ndarray:
        strike(value.text, self.armed)
        return np.array(len(value.text), np.float32)


@dataclass(frozen=True, kw_only=True)
class HazardModel(BatchExtract[Text]):
    """A feature with a model, which strikes in the middle of a group."""

    armed: str
    on: str = "text"
    into: str = "text.hazard"

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=(), sizes={})

    def load(self, device: str) -> str:
        return self.armed

    def cost(self, prepared: Text) -> int:
        return len(prepared.text)

    def extract(self, model: str, prepared: Sequence[Text]) -> Sequence[np.ndarray]:
        for value in prepared:
            strike(value.text, model)
        return [np.array(len(value.text), np.float32) for value in prepared]


@dataclass(frozen=True, kw_only=True)
class HazardSource:
    """A source that strikes when it is asked for samples, or when bytes that no step looked at are stored."""

    inner: Files
    key: str
    armed: str
    late: bool

    @property
    def name(self) -> str:
        return self.inner.name

    def scan(self) -> Scan:
        return self.inner.scan()

    def read(self, entries: Sequence[Entry]) -> Iterator[Sample]:
        if not self.late and (not self.key or any(entry.key == self.key for entry in entries)):
            strike("!kill", self.armed)  # at once: before anything is noted
        return map(self._with_a_trap, self.inner.read(entries))

    def _with_a_trap(self, sample: Sample) -> Sample:
        if sample.key != self.key or not self.late or not Path(self.armed).exists():
            return sample
        parts = {name: replace(part, load=_strike) for name, part in sample.parts.items() if isinstance(part, Blob)}
        return replace(sample, parts=parts)


def _strike() -> bytes:
    os.kill(os.getpid(), signal.SIGKILL)
    return b""
