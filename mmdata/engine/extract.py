"""Computing features of a shard: each part decoded once for all that reads it, in chunks of bounded size.

What a step computes from one value is computed here, chunk by chunk; what needs a model goes on to `batching`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any

from mmdata.codec.decoders import decoder_name
from mmdata.core.pipeline import RunSettings
from mmdata.core.sample import Blob, Sample, Video
from mmdata.core.step import BatchExtract, Extract, Feature
from mmdata.core.watch import Watch, Watches
from mmdata.engine.batching import Batches
from mmdata.engine.carry import ALWAYS_FAILS, always_fails, rejection
from mmdata.engine.counts import Counts
from mmdata.engine.films import Films
from mmdata.engine.lanes import Value
from mmdata.engine.locked import read_only
from mmdata.engine.models import compute
from mmdata.engine.notes import Notes
from mmdata.engine.reading import SOURCE, seconds_read
from mmdata.engine.rows import FamilyWork, Outcome, Row, held_bytes, said
from mmdata.engine.watching import HEARING, SHOWING, Watcher, decoded_for, watch
from mmdata.errors import DataError, StepError

__all__ = ["Extraction", "FamilyWork", "Row"]

CHUNK_SAMPLES = 64
CHUNK_BYTES = 64_000_000  # of decoded parts held at once


@dataclass
class _Held:
    """A sample of the chunk, with what was decoded of it for features; text in place of a part says why it can't be.

    Args:
        refused: steps that may not be called for it, with the reason; "" is every step.
        watched: what came of the features that watch its films, by family.
    """

    entry_key: str
    sample: Sample
    decoded: dict[tuple[str, type, bool], Any] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    watched: dict[str, Outcome] = field(default_factory=dict)

    def value(self, step: Feature[Any]) -> Any:
        """What a feature reads of the sample; None where it has no such part; text says why it may not be read."""
        if self.refused:  # of few samples; asking costs as much as a small feature
            if why := self.refused.get("") or self.refused.get(step.name):
                return why
            if isinstance(step, Watch) and (why := self._undecodable(step)):
                return why
        if step.on is None:
            return self.sample
        part = self.decoded.get(_reads(step), self.sample.parts.get(step.on))
        return self.refused.get(decoder_name(step.takes), part) if self.refused and isinstance(part, Blob) else part

    def _undecodable(self, step: Watch) -> str | None:
        """Why a film may not be decoded for a step; who never listens is not concerned by its sound."""
        listens = type(step).hears is not Watches.hears
        return self.refused.get(SHOWING) or (self.refused.get(HEARING) if listens else None)


class Extraction:
    """Takes a shard's samples as the store would return them, and writes each family's rows in the same order.

    Args:
        work: the families. counts: where all is counted. notes: told before each call.
        settings: the device of models. one_by_one: whether to make no batches, so that a note names the very sample.
        films: that steps of ingest watched, and features with them.
    """

    def __init__(
        self,
        work: Sequence[FamilyWork],
        counts: Counts,
        notes: Notes,
        settings: RunSettings | None = None,
        *,
        one_by_one: bool = False,
        films: Films | None = None,
    ) -> None:
        self._films = films or Films(counts, notes)
        self._work = [each for each in work if not isinstance(each.family.step, BatchExtract)]
        self._models = [each for each in work if isinstance(each.family.step, BatchExtract)]
        self._counts, self._notes, self._one_by_one = counts, notes, one_by_one
        self._batches = Batches(self._models, notes, settings or RunSettings(), one_by_one=one_by_one)
        self._reads = {each.family.step.on for each in work}
        self._chunk: list[_Held] = []
        self._bytes = 0

    def add(self, entry_key: str, sample: Sample, refused: Mapping[str, str] | None = None) -> None:
        """Add a sample; the steps that are `refused` are not called for it, and their rows say why."""
        if not self._reads:
            return
        held = _Held(entry_key, self._needed(sample), refused=refused or {})
        for work in self._work:
            step = work.family.step
            if (
                sample.key not in work.gather
                and isinstance(held.value(step), Blob)
                and step.takes not in (Blob, object)
            ):
                held.decoded[_reads(step)] = self._decode(held, step)
        self._watch(held)
        self._hold(held)

    def refuse(self, key: str, why: str) -> None:
        """Add a sample that may not be touched: its rows are those that are taken over, and null."""
        if self._reads:
            self._hold(_Held(key, Sample(key, {}), refused={"": why}))

    def _needed(self, sample: Sample) -> Sample:
        """The sample with the parts that features read, and no others: those may hold a film's bytes."""
        if None in self._reads:
            return sample
        parts = {name: read_only(part) for name, part in sample.parts.items() if name in self._reads}
        return Sample(sample.key, parts, sample.meta, sample.parent)

    def _hold(self, held: _Held) -> None:
        if self._models:
            self._to_models(held)
        if not self._work:
            return
        self._chunk.append(held)
        rows = [row for row, _ in held.watched.values() if row]
        values = (*held.sample.parts.values(), *held.decoded.values(), *rows)
        self._bytes += sum(held_bytes(value) for value in values)
        if len(self._chunk) >= CHUNK_SAMPLES or self._bytes >= CHUNK_BYTES:
            self._flush_chunk()

    def flush(self) -> None:
        """Compute and write what is held, and wait for all that models are to compute."""
        self._flush_chunk()
        if self._models:
            self._counts.add(self._batches.finish())

    def close(self) -> None:
        """End what threads are at; without `flush`, rows are lost."""
        self._batches.close()

    def _flush_chunk(self) -> None:
        if self._chunk:
            for work in self._work:
                self._extract(work)
        self._chunk, self._bytes = [], 0

    def _to_models(self, held: _Held) -> None:
        """What is known of a sample's rows, and what is to be computed; what is not decoded yet, threads decode."""
        values: dict[tuple[str | None, type], Value] = {}
        given: list[Outcome | Value] = []
        for work in self._models:
            step, name = work.family.step, work.family.name
            value = held.value(step)
            if (row := work.gather.get(held.sample.key)) is not None:
                self._counts.gathered[name] += 1
                given.append((row, None))
            elif value is None or isinstance(value, str):
                self._counts.missing[name] += value is not None
                given.append((None, value))
            else:
                reads = step.on, step.takes
                given.append(values.setdefault(reads, _value(value, step)))
        self._batches.add(held.sample.key, held.entry_key, given)

    def _decode(self, held: _Held, step: Feature[Any]) -> Any:
        """The part that a feature reads, by the default decoder: that is what the store returns."""
        name = decoder_name(step.takes)
        self._notes.write(held.entry_key, name)
        started = perf_counter()
        decoded = _decoded(held.value(step), step)
        seconds, read = perf_counter() - started, seconds_read()
        self._counts.times(name).spent("", seconds - read, n=1)
        self._counts.times(SOURCE).spent("", read)
        return decoded

    def _extract(self, work: FamilyWork) -> None:
        name = work.family.name
        outcomes: list[Outcome] = [(work.gather.get(held.sample.key), None) for held in self._chunk]
        self._counts.gathered[name] += sum(row is not None for row, _ in outcomes)
        todo = []
        for place, held in enumerate(self._chunk):
            value = held.value(work.family.step)
            if outcomes[place][0] is not None:
                continue
            if work.family.name in held.watched:
                outcomes[place] = held.watched[work.family.name]
            elif isinstance(value, str):
                outcomes[place] = None, value
            elif value is not None:
                todo.append((place, value))
        for (place, _), outcome in zip(todo, self._compute(work, todo), strict=True):
            outcomes[place] = outcome
        self._counts.missing[name] += sum(error is not None for _, error in outcomes)
        started = perf_counter()
        work.write([held.sample.key for held in self._chunk], outcomes)
        self._counts.times(work.family.step.name).spent("write", perf_counter() - started)

    def _compute(self, work: FamilyWork, todo: Sequence[tuple[int, Any]]) -> list[Outcome]:
        step = work.family.step
        times = self._counts.times(step.name)
        started = perf_counter()
        try:
            groups = isinstance(step, Extract) and type(step).extract_many is not Extract.extract_many
            if todo and groups and not self._one_by_one and isinstance(step, Extract):
                self._notes.write(self._chunk[todo[0][0]].entry_key, step.name)
                with suppress(Exception):  # one of them is at fault: each alone will say which
                    many = step.extract_many([value for _, value in todo])
                    rows = [(work.checked(arrays), None) for _, arrays in zip(todo, many, strict=True)]
                    self._counts.computed[work.family.name] += len(rows)
                    return list(rows)
            return [self._one(work, value, place) for place, value in todo]
        finally:
            read = seconds_read()
            times.spent("compute", perf_counter() - started - read, n=len(todo))
            self._counts.times(SOURCE).spent("", read)

    def _one(self, work: FamilyWork, value: Any, place: int) -> Outcome:
        step, name = work.family.step, work.family.name
        self._notes.write(self._chunk[place].entry_key, step.name)
        try:
            row = work.checked(compute(step, value))
        except Exception as error:  # noqa: BLE001  it costs this row, nothing more
            return self._failed(work, error)
        self._counts.computed[name] += 1
        return row, None

    def _failed(self, work: FamilyWork, error: Exception) -> Outcome:
        """The outcome of an error. Raises StepError where the step has never worked, and should have by now."""
        step = work.family.step
        why = rejection(step.name, error)
        if not isinstance(error, DataError):
            times = self._counts.times(step.name)
            times.bugs += 1
            if times.bugs == ALWAYS_FAILS and not self._counts.computed[work.family.name]:
                raise StepError(always_fails(step.name, times.bugs, why.error)) from error
        return None, said(why, error)

    def _watch(self, held: _Held) -> None:
        """Show each film of a sample to all features that watch it, and have not seen it yet."""
        films: dict[int, tuple[Video, list[Watcher]]] = {}
        outcomes: list[tuple[FamilyWork, Watcher]] = []
        for work in self._work:
            step = work.family.step
            if not isinstance(step, Watch) or held.sample.key in work.gather:
                continue
            video = held.value(step)
            if isinstance(video, Video):
                watcher = self._films.taken(step, video)
                if watcher is None:
                    watcher = Watcher(step)
                if watcher.watches:  # it has seen nothing yet, or not all that it waits for
                    films.setdefault(id(video.blob), (video, []))[1].append(watcher)
                outcomes.append((work, watcher))
        for video, watchers in films.values():
            self._show(held, video, watchers)
        for work, watcher in outcomes:
            held.watched[work.family.name] = self._said(work, watcher)

    def _show(self, held: _Held, video: Video, watchers: Sequence[Watcher]) -> None:
        watch(video, watchers, partial(self._notes.write, held.entry_key)).count(self._counts)

    def _said(self, work: FamilyWork, watcher: Watcher) -> Outcome:
        """The row of a feature that has watched a film; an error, or a promise it broke, says why there is none."""
        self._counts.times(work.family.step.name).spent("compute", watcher.seconds, n=1)
        try:
            if watcher.error is not None:
                raise watcher.error
            row = work.checked(watcher.found)
        except Exception as error:  # noqa: BLE001  it costs this row, nothing more
            return self._failed(work, error)
        self._counts.computed[work.family.name] += 1
        return row, None


def _value(value: Any, step: Feature[Any]) -> Value:
    if isinstance(value, Blob) and step.takes not in (Blob, object):
        return Value(partial(_decoded, value, step), value.size, decoder_name(step.takes))
    return Value(lambda: value, held_bytes(value))


def _reads(step: Feature[Any]) -> tuple[str, type, bool]:
    """What a feature reads of a sample: the part, as what it is decoded, and whether damage is refused."""
    return step.on or "", step.takes, not isinstance(step, Watch) or step.strict


def _decoded(blob: Blob, step: Feature[Any]) -> Any:
    """The part by the default decoder; text in its place says why it can't be had."""
    try:
        return read_only(decoded_for(step, blob))
    except Exception as error:  # noqa: BLE001  a part that can't be decoded costs its features, nothing more
        return said(rejection(decoder_name(step.takes), error), error)
