"""Carrying samples through the ingest steps: the one place that catches, counts and times what steps do."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol, cast

from mmdata.core.pipeline import Compiled, Placed
from mmdata.core.ports import Entry
from mmdata.core.rng import rng_for
from mmdata.core.sample import Sample
from mmdata.core.step import Drop, Filter, Map, RandomMap, Split, decision
from mmdata.engine.counts import Counts, StepTimes
from mmdata.engine.films import Company, Films, companies
from mmdata.engine.locked import read_only
from mmdata.engine.notes import Notes
from mmdata.engine.reading import SOURCE, seconds_read
from mmdata.errors import DataError, MissingExtra, StepError, Unreachable

Outcome = Sample | Drop | Sequence[Sample]
Work = Callable[[Any, Sample], Any]
ALWAYS_FAILS = 20  # a step that fails on its first so many samples is wrong, not they
_DECISIONS = (Sample, Drop)  # a tuple, as a union is made anew at every look
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")


@dataclass(frozen=True)
class Rejection:
    """Why a sample failed: the row that goes to `rejects`."""

    step: str
    kind: str
    error: str
    traceback: str

    @property
    def text(self) -> str:
        """In one line, for a feature's row."""
        return f"{self.kind}: {self.error}"


class Ledger(Protocol):
    """Where decisions against samples are written."""

    def drop(self, key: str, step: str, reason: str, pointer: str) -> None: ...

    def reject(self, key: str, step: str, kind: str, error: str, traceback: str, pointer: str) -> None: ...


def rejection(step: str, error: Exception) -> Rejection:
    """An exception as a row. Addresses of objects are masked, so that two runs write the same bytes.

    Raises:
        Unreachable: it is one, and no sample is to blame: the run ends, and goes on later.
    """
    if isinstance(error, Unreachable):
        raise error
    lines = "".join(traceback.format_exception(error))
    if isinstance(error, DataError | StepError):
        kind, text = error.kind, str(error)
    elif isinstance(error, MissingExtra):
        kind, text = error.kind, "; ".join(error.faults)
    elif isinstance(error, MemoryError):
        kind, text = "out_of_memory", f"there was not enough memory: {error}".rstrip(": ")
    else:
        kind, text = StepError.kind, f"{type(error).__name__}: {error}"
    return Rejection(step, kind, masked(text), masked(lines))


def masked(text: str) -> str:
    """The same without addresses of objects and threads."""
    return _ADDRESS.sub("0x…", text)


class Carrier:
    """Carries one shard's samples through a pipeline's ingest steps.

    Args:
        compiled: the pipeline. ledger: where drops and rejects go. counts: where all is counted.
        notes: told before each call of a step. films: what was seen of films; None shares it with nobody else.
    """

    def __init__(
        self, compiled: Compiled, ledger: Ledger, counts: Counts, notes: Notes, films: Films | None = None
    ) -> None:
        self._ledger, self._counts, self._notes = ledger, counts, notes
        self._films, self._entry_key = films or Films(counts, notes), ""
        shown = companies(compiled.steps)
        self._stages = [
            (
                each,
                each.label,
                counts.times(each.label),
                _call(each, compiled.seed, self._first(each, shown.get(index))),
            )
            for index, each in enumerate(compiled.steps)
        ]
        self._reading = counts.times(SOURCE)
        self._keys: set[str] = set()

    def carry(self, entry: Entry, sample: Sample) -> Iterator[Sample]:
        """The samples that an entry becomes: one, several after a split, or none; the others are in the ledger."""
        pointers = {member.part: member.pointer for member in entry.members}
        waiting, self._entry_key = [(sample, 0)], entry.key
        while waiting:
            sample, index = waiting.pop()
            outcome = self._through(entry.key, sample, index, pointers)
            if isinstance(outcome, Sample):
                if outcome.key in self._keys:
                    text = f"another sample of this shard has the key {outcome.key!r} already"
                    self.reject(
                        outcome.key, Rejection("engine", "collision", text, ""), next(iter(pointers.values()), "")
                    )
                    continue
                self._keys.add(outcome.key)
                yield outcome
            elif outcome is not None:
                children, then = outcome
                self._counts.made += len(children) - 1
                waiting += [(child, then) for child in reversed(children)]
        self._films.forget()

    def _first(self, placed: Placed, company: Company | None) -> Work:
        """A step as a function of what it takes and the sample; one that watches a film has been shown it then."""
        step: Any = placed.step
        plain = _work(step)
        if company is None:
            return plain

        def watched(value: Any, sample: Sample) -> Any:
            video = step.film_of(sample)
            if video is None:
                return plain(value, sample)
            return step.after(value, self._films.found(step, video, company, entry_key=self._entry_key, key=sample.key))

        return watched

    def reject(self, key: str, why: Rejection, pointer: str) -> None:
        """Write a rejection, and count it."""
        self._counts.rejected[why.kind] += 1
        self._ledger.reject(key, why.step, why.kind, why.error, why.traceback, pointer)

    def _through(
        self, entry_key: str, sample: Sample, first: int, pointers: dict[str, str]
    ) -> Sample | tuple[Sequence[Sample], int] | None:
        """One sample through the steps from `first` on; stops at a split, and at a decision against it."""
        note, started = self._notes.write, perf_counter()
        for index in range(first, len(self._stages)):
            placed, label, times, call = self._stages[index]
            note(entry_key, label)
            try:
                outcome = call(sample)
            except Exception as error:  # noqa: BLE001  whatever a step raises costs its sample, nothing more
                self._spent(times, perf_counter() - started)
                self._failed(placed, times, sample, error, pointers)
                return None
            now = perf_counter()
            self._spent(times, now - started)
            started = now
            if isinstance(outcome, Sample):
                sample = outcome
            elif isinstance(outcome, Drop):
                self._counts.dropped[f"{placed.label}:{outcome.reason}"] += 1
                pointer = _pointer(placed, pointers)
                self._ledger.drop(sample.key, placed.label, outcome.reason, pointer)
                return None
            else:
                return outcome, index + 1
        return sample

    def _spent(self, times: StepTimes, seconds: float) -> None:
        """Count a call, and apart from it the reading of what it asked for."""
        read = seconds_read()
        times.n += 1
        times.seconds += seconds - read - self._films.seconds_elsewhere()
        self._reading.seconds += read

    def _failed(
        self, placed: Placed, times: StepTimes, sample: Sample, error: Exception, pointers: dict[str, str]
    ) -> None:
        why = rejection(placed.label, error)
        self.reject(sample.key, why, _pointer(placed, pointers))
        if why.kind == StepError.kind:
            times.bugs += 1
            if times.bugs == times.n == ALWAYS_FAILS:
                raise StepError(always_fails(placed.label, times.n, why.error)) from error


def always_fails(step: str, n: int, error: str) -> str:
    """The message for a step that never once worked."""
    return f"{step} failed on each of its first {n} samples, so the step is wrong, not they. The last error: {error}"


def _pointer(placed: Placed, pointers: dict[str, str]) -> str:
    if placed.reads in pointers:
        return pointers[placed.reads]
    return next(iter(pointers.values()), "")


def _work(step: Any) -> Work:
    """A step as a function of what it takes; one that draws is told apart by its place."""
    if isinstance(step, Split):
        return lambda sample, _: step.split(sample)
    if isinstance(step, Filter):
        return lambda value, _: step.keep(value)
    return lambda value, _: cast(Map[Any, Any], step).map(value)


def _call(placed: Placed, seed: int, work: Work) -> Callable[[Sample], Outcome]:
    """A step as a function of a sample. Built once a shard, so that a sample costs no look-ups."""
    step, reads, writes, gives = placed.step, placed.reads, placed.writes, placed.step.gives
    if isinstance(step, Split):
        return lambda sample: _children(work(sample, sample))
    apply = work
    if isinstance(step, RandomMap):
        names = (placed.label, reads or "", placed.occurrence)
        apply = lambda value, sample: step.map(value, rng_for(seed, *names, sample.key))  # noqa: E731
    elif isinstance(step, Filter):  # around what watches a film, too
        apply = lambda value, sample: decision(work(value, sample))  # noqa: E731
    if reads is None:
        return lambda sample: _decided(apply(sample, sample), sample)

    def on_part(sample: Sample) -> Outcome:
        value = sample.parts.get(reads)
        if value is None:
            return sample
        result = apply(value, sample)
        if result is True or (result is value and writes == reads):
            return sample
        if isinstance(result, Drop):
            return result
        if result is None:
            raise TypeError("the step returned None; it must return a value or a Drop")
        if gives is not Any and not isinstance(result, gives):
            raise TypeError(f"the step returned {type(result).__name__}; it must return {gives.__name__} or a Drop")
        return sample.with_part(cast(str, writes), read_only(result))

    return on_part


def _decided(result: Any, sample: Sample) -> Outcome:
    if result is True:
        return sample
    if not isinstance(result, _DECISIONS):
        raise TypeError(f"the step returned {type(result).__name__}; it must return a Sample or a Drop")
    return result


def _children(children: Any) -> Outcome:
    if isinstance(children, Drop):
        return children
    if not children:
        raise ValueError("split returned nothing; return the sample itself, or a Drop")
    return cast(Outcome, children)
