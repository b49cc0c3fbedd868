"""A sample's source and its steps, done once more: only where the server may read the source."""

from __future__ import annotations

import json
import os
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from threading import Lock
from typing import TYPE_CHECKING

from mmdata.codec.image.encode import jpeg_bytes
from mmdata.core.pipeline import Pipeline
from mmdata.core.ports import Entry
from mmdata.core.sample import Audio, Blob, Captions, Part, Text
from mmdata.engine.retrace import retraced, source_sample
from mmdata.engine.trace import planned
from mmdata.errors import DataError, StoreError
from mmdata.report.words import described
from mmdata.serve.media import Held
from mmdata.serve.pictures import QUALITY, heard, still
from mmdata.source.table import Table
from mmdata.store.store import Store

if TYPE_CHECKING:
    from mmdata.engine.trial import Tried

KEPT = 4  # samples
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


@dataclass(frozen=True)
class Told:
    """What steps did to a sample.

    Args:
        record: the run and the entry of the plan. version: equal for as long as the same bytes go through the same
            steps. steps: of ingest, in order.
    """

    record: tuple[str, str]
    version: str
    steps: Sequence[StepShown]


class Replay:
    """Does the steps of samples again, one sample at a time, and remembers the last few.

    Args:
        store: of the samples; one of its own, used under a lock.
        recorded: gives the pipeline; None where the source may not be read.
    """

    def __init__(self, store: Store, recorded: Recorded | None) -> None:
        self._store, self._recorded = store, recorded
        self._lock = Lock()
        self._told: OrderedDict[str, Told] = OrderedDict()
        self._pipeline: Pipeline | None = None
        self._run = ""

    @property
    def is_there(self) -> bool:
        """Whether the source may be read at all."""
        return self._recorded is not None

    def steps(self, key: str) -> Told:
        """What each step of ingest does to a key's sample. Its source is read, once.

        Raises:
            StoreError: the source may not be read, or nothing is recorded of how the store was made.
            DataError: the files are gone, or others than they were.
        """
        with self._lock:
            known = self._told.pop(key, None)  # what was forgotten since is not kept either
            pipeline = self._of_record()
            entry, sample = source_sample(self._store, key, pipeline)
            record = self._run, _as_text(entry)
            version = _digest([*record, *map(_content, sample.parts.values())])
            if known is None or known.version != version:
                known = Told(record, version, [_shown(tried) for tried in retraced(key, entry, sample, pipeline)])
            self._told[key] = known
            while len(self._told) > KEPT:
                self._told.popitem(last=False)
            return known

    def as_told(self, key: str, version: str) -> Told:
        """The same as it was told before, which takes no reading of the source; anew where that is another by now.

        Raises:
            As `steps`.
        """
        with self._lock:
            known = self._told.get(key)
            if known is not None and known.version == version:
                self._of_record()
                entry, _ = planned(self._store, key)
                if entry is not None and known.record == (self._run, _as_text(entry)):
                    return known
        return self.steps(key)

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
            pipeline = self._recorded()
            _check_there(pipeline)
            self._pipeline = pipeline
        return self._pipeline


def _check_there(pipeline: Pipeline) -> None:
    """Raise StoreError where the source is a folder by a relative path that leads nowhere from here."""
    place = getattr(pipeline.source, "root", None)
    if isinstance(pipeline.source, Table) or not isinstance(place, str) or "://" in place or os.path.isabs(place):
        return
    plain = re.split(r"[*?\[{]", place)[0]
    folder = place if plain == place else os.path.dirname(plain)
    if not os.path.exists(os.path.expanduser(folder or ".")):
        raise StoreError(
            f"the source {place!r} is not here: it was recorded relative to the folder of the run; "
            "serve from there, or say where it is by --source"
        )


def _as_text(entry: Entry) -> str:
    return json.dumps(entry.to_json(), sort_keys=True)


def _digest(texts: Sequence[str]) -> str:
    return blake2b(json.dumps(texts).encode(), digest_size=12).hexdigest()


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
