"""A sample's source and its steps, done once more: only where the server may read the source."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from threading import Lock
from typing import TYPE_CHECKING

from mmdata.codec.image.encode import jpeg_bytes
from mmdata.core.pipeline import Pipeline
from mmdata.core.sample import Audio, Blob, Captions, Part, Text
from mmdata.engine.retrace import retrace, source_sample
from mmdata.errors import DataError, StoreError
from mmdata.report.words import described
from mmdata.serve.media import Held
from mmdata.serve.pictures import QUALITY, heard, still
from mmdata.store.store import Store

if TYPE_CHECKING:
    from mmdata.engine.trial import Tried

KEPT = 4  # samples
Stamp = tuple[str, ...]  # equal for as long as the same files go through the same steps
MOST_SOURCE_BYTES = 128 << 20
MOST_CHARACTERS = 2_000
Recorded = Callable[[], Pipeline]  # the pipeline of the store's last run, with its source


@dataclass(frozen=True)
class Side:
    """A part before or after a step.

    Args:
        words: the part in a few. text: of a text, its beginning. picture: JPEG. sound: WAV.
    """

    words: str
    text: str = ""
    picture: bytes = b""
    sound: bytes = b""


@dataclass(frozen=True)
class StepShown:
    """One step on one sample; `outcome` is "" where it went on, `changed` whether it changed what it was given."""

    key: str
    step: str
    on: str
    outcome: str
    changed: bool
    milliseconds: float
    before: Side | None
    after: Side | None


class Replay:
    """Does the steps of samples again, one sample at a time, and remembers the last few.

    Args:
        store: of the samples; one of its own, used under a lock.
        recorded: gives the pipeline; None where the source may not be read.
    """

    def __init__(self, store: Store, recorded: Recorded | None) -> None:
        self._store, self._recorded = store, recorded
        self._lock = Lock()
        self._told: OrderedDict[str, tuple[Stamp, list[StepShown]]] = OrderedDict()
        self._pipeline: Pipeline | None = None
        self._run = ""

    @property
    def is_there(self) -> bool:
        """Whether the source may be read at all."""
        return self._recorded is not None

    def steps(self, key: str) -> list[StepShown]:
        """What each step of ingest does to a key's sample.

        Raises:
            StoreError: the source may not be read, or nothing is recorded of how the store was made.
            DataError: the files are gone, or others than they were.
        """
        with self._lock:
            known = self._told.pop(key, None)  # what was forgotten since is not kept either
            pipeline = self._of_record()
            entry, sample = source_sample(self._store, key, pipeline)
            stamp = (self._run, json.dumps(entry.to_json(), sort_keys=True), *map(_content, sample.parts.values()))
            if known is None or known[0] != stamp:
                known = stamp, [_shown(tried) for tried in retrace(self._store, key, pipeline)]
            self._told[key] = known
            while len(self._told) > KEPT:
                self._told.popitem(last=False)
            return known[1]

    def member(self, key: str, part: str) -> Held:
        """A file of a key's, as the source has it now.

        Raises:
            As `steps`; and StoreError where there is no such part.
        """
        with self._lock:
            entry, sample = source_sample(self._store, key, self._of_record())
            blob = sample.parts.get(part)
            if not isinstance(blob, Blob):
                raise StoreError(f"{key!r} has no part {part!r} in its source")
            if blob.size > MOST_SOURCE_BYTES:
                raise StoreError(f"{blob.size:,} bytes are too many to be read from the source here")
            data = blob.data()
        pointer = next((member.pointer for member in entry.members if member.part == part), part)
        identity = f"source {key} {part} {pointer} {len(data)} {hash(data)}"
        return Held(lambda offset, n: data[offset : offset + n], len(data), identity, pointer.partition("#")[0])

    def _of_record(self) -> Pipeline:
        if self._recorded is None:
            raise StoreError("the source is read only where the server is told so: see --source")
        run = max(self._store.runs()["run"].to_pylist(), default="")
        if self._pipeline is None or run != self._run:
            self._pipeline, self._run = None, run
            self._pipeline = self._recorded()
        return self._pipeline


def _content(part: Part) -> str:
    """What is equal for equal parts of the source, or why they can't be had."""
    if not isinstance(part, Blob):
        return part.text if isinstance(part, Text) else ""  # the entry tells
    if part.size > MOST_SOURCE_BYTES and part.open is None:
        return str(part.size)
    try:
        with part.opened() as file:
            beginning = file.read(1)  # of a large file, which it compares with what was listed
        return blake2b(part.data() if part.is_read else beginning).hexdigest()
    except DataError as error:
        return str(error)


def _shown(tried: Tried) -> StepShown:
    changed = bool(tried.after is not None and tried.changed)
    before, after = _side(tried.before), _side(tried.after)
    return StepShown(tried.key, tried.step, tried.on, tried.outcome, changed, tried.seconds * 1000, before, after)


def _side(part: Part | None) -> Side | None:
    if part is None:
        return None
    try:
        words = described(part)
        if isinstance(part, Text | Captions):
            return Side(words, text=part.text[:MOST_CHARACTERS])
        if isinstance(part, Audio):
            return Side(words, sound=heard(part))
        if isinstance(part, Blob):
            return Side(words)
        return Side(words, picture=jpeg_bytes(still(part), QUALITY))
    except DataError as error:
        return Side(f"{type(part).__name__.lower()}: {error}")
