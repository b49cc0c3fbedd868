"""Trying a pipeline on a few files: every step's before and after, and nothing written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from mmdata.core.pipeline import Compiled, Pipeline, compile_pipeline
from mmdata.core.ports import Entry, Source
from mmdata.core.sample import Array, Audio, Blob, Captions, Frames, Image, Part, Sample, Text
from mmdata.engine.carry import Carrier, rejection
from mmdata.engine.check import CODECS
from mmdata.engine.counts import Counts
from mmdata.engine.models import compute
from mmdata.engine.notes import Notes
from mmdata.engine.shard import encoded_as_read
from mmdata.engine.watching import decoded_for
from mmdata.errors import ConfigError
from mmdata.source.files import Files
from mmdata.source.names import quoted


@dataclass(frozen=True)
class Tried:
    """One step on one sample.

    Args:
        step: its name. on: the part, or "sample". before, after: the part; None where there is none.
        outcome: "" when it went on, else what became of the sample: "dropped: REASON", "rejected: ERROR".
        arrays: of a feature, by column.
    """

    key: str
    step: str
    on: str
    before: Part | None
    after: Part | None
    seconds: float
    outcome: str = ""
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """Whether what the part holds is another than before: its bytes, text, pixels, samples or values."""
        return self.before is not self.after and not _same(_contents(self.before), _contents(self.after))


def _contents(part: Part | None) -> tuple[Any, ...]:
    """What a part holds, without where it came from."""
    if isinstance(part, Blob):
        return (part.data(),)
    if isinstance(part, Text):
        return (part.text,)
    if isinstance(part, Captions):
        return (tuple((cue.start_ms, cue.end_ms, cue.text) for cue in part.cues),)
    if isinstance(part, Image):
        return part.pixels, part.orientation
    if isinstance(part, Audio):
        return part.samples, part.rate_hz
    if isinstance(part, Frames):
        return part.pixels, part.times_s
    return (part.values,) if isinstance(part, Array) else (part,)


def _same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return len(one) == len(other) and all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


class _Told:
    """A ledger that remembers the last word."""

    said = ""

    def drop(self, key: str, step: str, reason: str, pointer: str) -> None:  # noqa: ARG002  the ledger's form
        self.said = f"dropped: {reason}"

    def reject(self, key: str, step: str, kind: str, error: str, traceback: str, pointer: str) -> None:  # noqa: ARG002
        self.said = f"rejected as {kind}: {error}"


def try_file(pipeline: Pipeline, path: Path, *, where: str = "pipeline") -> Iterator[Tried]:
    """Carry the sample that a file belongs to through a pipeline, step by step.

    Args:
        pipeline: what to try.
        path: a media file. The pipeline's own source says which files beside it are parts of the same sample, and what
            its key is where the file is in the source's folder.
        where: what messages call the pipeline.

    Raises:
        ConfigError: the pipeline is wrong, or the file is no sample's.
    """
    source, entry, parts = _entry(pipeline, path)
    compiled = compile_pipeline(pipeline, CODECS, parts=parts, where=where)
    for sample in source.read([entry]):
        yield from carried(compiled, entry, sample)


def _entry(pipeline: Pipeline, path: Path) -> tuple[Source, Entry, set[str]]:
    """The source, the entry that the file belongs to, and the parts that there are in the source as a whole."""
    if not path.exists():
        raise ConfigError(str(path), ["there is no such file"])
    known = pipeline.source if isinstance(pipeline.source, Files) else None
    path = Path(os.path.abspath(path))
    own = Path(os.path.abspath(known.root)) if known is not None else None
    root = str(own) if own in path.parents else str(path.parent)
    source = replace(known, root=root) if known is not None else Files(root)
    relative = path.relative_to(root).as_posix()
    pointer = quoted(relative)
    scan = source.scan()
    for entry in scan.entries:
        if any(member.pointer == pointer for member in entry.members):
            found = {member.part for each in scan.entries for member in each.members}
            return source, entry, found | set(source.parts or ())
    for fault in scan.faults:
        if fault.pointer == pointer or repr(relative) in fault.error:  # a collision names all of its files
            raise ConfigError(str(path), [f"it can't become a sample: {fault.error}"])
    raise ConfigError(str(path), ["the pipeline's source makes no sample of this file; see its parts"])


def carried(compiled: Compiled, entry: Entry, sample: Sample) -> Iterator[Tried]:
    """What each step makes of a sample, one by one: those of ingest, then the features."""
    samples = [sample]
    for placed in compiled.steps:
        alone = replace(compiled, steps=(placed,))
        following = []
        for before in samples:
            told = _Told()
            started = perf_counter()
            results = list(Carrier(alone, told, Counts(), Notes(None)).carry(entry, before))
            seconds = perf_counter() - started
            on = placed.reads or "sample"
            shown = before.parts.get(placed.reads or "")
            if not results:
                yield Tried(before.key, placed.label, on, shown, None, seconds, told.said)
            for result in results:
                after = result.parts.get(placed.writes or placed.reads or "")
                yield Tried(result.key, placed.label, on, shown, after, seconds)
            following += results
        samples = following
    for sample in samples:
        yield from _features(compiled, sample)


def _features(compiled: Compiled, sample: Sample) -> Iterator[Tried]:
    for family in compiled.families:
        step, on = family.step, family.step.on
        value: Any = sample if on is None else sample.parts.get(on)
        if value is None:
            continue
        started = perf_counter()
        try:
            if on is not None:
                value = encoded_as_read(compiled, on, value)
                value = decoded_for(step, value) if isinstance(value, Blob) else value
            arrays = step.named(compute(step, value))
        except Exception as error:  # noqa: BLE001  what a run would record is shown instead
            why = rejection(step.name, error)
            yield Tried(sample.key, step.name, on or "sample", None, None, 0.0, f"missing: {why.kind}: {why.error}")
            continue
        shown = value if on is not None else None
        yield Tried(sample.key, step.name, on or "sample", shown, None, perf_counter() - started, "", dict(arrays))
