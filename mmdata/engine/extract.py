"""Computing features of a shard: each part decoded once for all that reads it, in chunks of bounded size."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from mmdata.codec.decoders import decode, decoder_name
from mmdata.core.arrays import ArraySpec
from mmdata.core.pipeline import Family
from mmdata.core.sample import Blob, Sample
from mmdata.core.step import Extract, Feature
from mmdata.engine.batching import compute
from mmdata.engine.carry import ALWAYS_FAILS, Rejection, always_fails, numbers_of, read_only, rejection
from mmdata.engine.counts import Counts
from mmdata.engine.notes import Notes
from mmdata.errors import DataError, StepError
from mmdata.store.write_features import FeatureWriter

CHUNK_SAMPLES = 64
CHUNK_BYTES = 64_000_000  # of decoded parts held at once
Row = Mapping[str, np.ndarray | None]


@dataclass
class FamilyWork:
    """One family of one shard: its step, its writer, and the rows that an older file already has.

    Args:
        gather: column arrays by sample key, taken over instead of computed.
    """

    family: Family
    writer: FeatureWriter
    gather: Mapping[str, Row] = field(default_factory=dict)
    columns: Mapping[str, ArraySpec] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.columns = self.family.step.columns()


@dataclass
class _Held:
    """A sample of the chunk, with what was decoded of it for features; text in place of a part says why it can't be.

    Args:
        refused: steps that may not be called for it, with the reason; "" is every step.
    """

    entry_key: str
    sample: Sample
    decoded: dict[tuple[str, type], Any] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)

    def value(self, step: Feature[Any]) -> Any:
        """What a feature reads of the sample; None where it has no such part; text says why it may not be read."""
        if why := self.refused.get("") or self.refused.get(step.name):
            return why
        if step.on is None:
            return self.sample
        part = self.decoded.get((step.on, step.takes), self.sample.parts.get(step.on))
        return self.refused.get(decoder_name(step.takes), part) if isinstance(part, Blob) else part


class Extraction:
    """Takes a shard's samples as the store would return them, and writes each family's rows in the same order.

    Args:
        work: the families. counts: where all is counted. notes: told before each call.
        one_by_one: whether to make no batches, so that a note names the very sample.
    """

    def __init__(self, work: Sequence[FamilyWork], counts: Counts, notes: Notes, *, one_by_one: bool = False) -> None:
        self._work, self._counts, self._notes, self._one_by_one = work, counts, notes, one_by_one
        self._reads = {each.family.step.on for each in work}
        self._chunk: list[_Held] = []
        self._bytes = 0

    def add(self, entry_key: str, sample: Sample, refused: Mapping[str, str] | None = None) -> None:
        """Add a sample; the steps that are `refused` are not called for it, and their rows say why."""
        if not self._work:
            return
        held = _Held(entry_key, self._needed(sample), refused=refused or {})
        for work in self._work:
            step = work.family.step
            if (
                sample.key not in work.gather
                and isinstance(held.value(step), Blob)
                and step.takes not in (Blob, object)
            ):
                held.decoded[step.on or "", step.takes] = self._decode(held, step)
        self._hold(held)

    def refuse(self, key: str, why: str) -> None:
        """Add a sample that may not be touched: its rows are those that are taken over, and null."""
        self._hold(_Held(key, Sample(key, {}), refused={"": why}))

    def _needed(self, sample: Sample) -> Sample:
        """The sample with the parts that features read, and no others: those may hold a film's bytes."""
        if None in self._reads:
            return sample
        parts = {name: read_only(part) for name, part in sample.parts.items() if name in self._reads}
        return Sample(sample.key, parts, sample.meta, sample.parent)

    def _hold(self, held: _Held) -> None:
        self._chunk.append(held)
        self._bytes += sum(_nbytes(value) for value in (*held.sample.parts.values(), *held.decoded.values()))
        if len(self._chunk) >= CHUNK_SAMPLES or self._bytes >= CHUNK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Compute and write what is held."""
        if self._chunk:
            for work in self._work:
                self._extract(work)
        self._chunk, self._bytes = [], 0

    def _decode(self, held: _Held, step: Feature[Any]) -> Any:
        """The part that a feature reads, by the default decoder: that is what the store returns."""
        name = decoder_name(step.takes)
        times = self._counts.times(name)
        self._notes.write(held.entry_key, name)
        started = perf_counter()
        try:
            return read_only(decode(held.value(step), step.takes))
        except Exception as error:  # noqa: BLE001  a part that can't be decoded costs its features, nothing more
            return _said(rejection(name, error), error)
        finally:
            times.n, times.seconds = times.n + 1, times.seconds + perf_counter() - started

    def _extract(self, work: FamilyWork) -> None:
        name = work.family.name
        rows: list[Row | None] = [work.gather.get(held.sample.key) for held in self._chunk]
        errors: list[str | None] = [None] * len(rows)
        self._counts.gathered[name] += sum(row is not None for row in rows)
        todo = []
        for place, held in enumerate(self._chunk):
            value = held.value(work.family.step)
            if isinstance(value, str):
                errors[place] = value if rows[place] is None else None
            elif rows[place] is None and value is not None:
                todo.append((place, value))
        for (place, _), (row, error) in zip(todo, self._compute(work, todo), strict=True):
            rows[place], errors[place] = row, error
        self._counts.missing[name] += sum(error is not None for error in errors)
        keys = [held.sample.key for held in self._chunk]
        arrays = {column: [None if row is None else row[column] for row in rows] for column in work.columns}
        work.writer.add(keys, arrays, errors)

    def _compute(self, work: FamilyWork, todo: Sequence[tuple[int, Any]]) -> list[tuple[Row | None, str | None]]:
        step = work.family.step
        times = self._counts.times(step.name)
        started = perf_counter()
        try:
            groups = isinstance(step, Extract) and type(step).extract_many is not Extract.extract_many
            if todo and groups and not self._one_by_one and isinstance(step, Extract):
                self._notes.write(self._chunk[todo[0][0]].entry_key, step.name)
                with suppress(Exception):  # one of them is at fault: each alone will say which
                    many = step.extract_many([value for _, value in todo])
                    rows = [(_checked(work, arrays), None) for _, arrays in zip(todo, many, strict=True)]
                    self._counts.computed[work.family.name] += len(rows)
                    return list(rows)
            return [self._one(work, value, place) for place, value in todo]
        finally:
            times.n, times.seconds = times.n + len(todo), times.seconds + perf_counter() - started

    def _one(self, work: FamilyWork, value: Any, place: int) -> tuple[Row | None, str | None]:
        step, name = work.family.step, work.family.name
        self._notes.write(self._chunk[place].entry_key, step.name)
        try:
            row = _checked(work, compute(step, value))
        except Exception as error:
            why = rejection(step.name, error)
            if not isinstance(error, DataError):
                times = self._counts.times(step.name)
                times.bugs += 1
                if times.bugs == ALWAYS_FAILS and not self._counts.computed[name]:
                    raise StepError(always_fails(step.name, times.bugs, why.error)) from error
            return None, _said(why, error)
        self._counts.computed[name] += 1
        return row, None


def _said(why: Rejection, error: Exception) -> str:
    """The error of a row; of a bug also where in the code it is, as that is what its author asks next."""
    frames = traceback.extract_tb(error.__traceback__) if why.kind == StepError.kind else []
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{why.kind}: {why.error}{where}"


def _checked(work: FamilyWork, arrays: Any) -> Row:
    """The arrays by column. Raises StepError when they are not what the step promised."""
    step = work.family.step
    named = step.named(arrays)
    for column, spec in work.columns.items():
        if column not in named:
            raise StepError(f"{step.name} promised {column!r} and did not return it")
        if fault := spec.fault(np.asarray(named[column])):
            raise StepError(f"{step.name} broke its promise for {column!r}: {fault}")
    return named


def _nbytes(part: object) -> int:
    """What a part holds in memory: its numbers, and the bytes that were read of it."""
    blob = part if isinstance(part, Blob) else getattr(part, "origin", None)
    held = blob.size if isinstance(blob, Blob) and blob.is_read else 0
    numbers = numbers_of(part)
    return held if numbers is None else held + numbers.nbytes
