"""From a stored part's bytes to an array of a batch: decoded, then changed by steps, at random by their own rng."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

import numpy as np

from mmdata.codec.decoders import DECODERS
from mmdata.core.arrays import ArraySpec
from mmdata.core.rng import rng_for
from mmdata.core.sample import Audio, Blob, Image
from mmdata.core.step import Drop, Extract, Filter, Map, RandomMap, Step
from mmdata.errors import DataError, StepError, blame

SPECS: Mapping[type, ArraySpec] = MappingProxyType(
    {
        Image: ArraySpec(dims=("height", "width", "channel"), sizes={"channel": 3}, dtype="uint8"),
        Audio: ArraySpec(dims=("channel", "time"), dtype="float32"),
    }
)


class Unfit(DataError):
    """A step of the stream decided against a sample."""

    kind = "dropped"


@dataclass(frozen=True)
class Decoded:
    """A row's array.

    Args:
        array: as the column's spec says. rate_hz: samples a second of sound; 0 for all else.
    """

    array: np.ndarray
    rate_hz: int = 0


@dataclass(frozen=True)
class Decoding:
    """What is done with the bytes of one part.

    Args:
        part: its name. kind: what it is decoded to, `Image` or `Audio`.
        decoder: the step that does so. steps: what follows.
        spec: of the array at the end.
        seed: of the random steps, with the epoch and the sample's key.
    """

    part: str
    kind: type
    decoder: Map[Blob, Any]
    steps: tuple[Step, ...]
    spec: ArraySpec
    seed: int = 0

    def __call__(self, data: bytes, *, key: str, epoch: int) -> Decoded:
        """The array of a sample.

        Raises:
            DataError: the bytes are not sound media, or a step decided against them.
            StepError: a step failed in another way, or broke its promise.
        """
        blob = Blob.of(data, name=f"{key}.{self.part}")
        with blame(self.decoder.name, key):
            value: Any = self.decoder.map(blob)
        seen: Counter[str] = Counter()
        for step in self.steps:
            with blame(step.name, key):
                value = self._after(step, value, key, epoch, seen[step.name])
            seen[step.name] += 1
        found = _array(value)
        if fault := self.spec.fault(found.array):
            last = self.steps[-1].name if self.steps else self.decoder.name
            raise StepError(f"{last} gave another array of {self.part!r} than promised, for {key!r}: {fault}")
        return found

    def _after(self, step: Step, value: Any, key: str, epoch: int, occurrence: int) -> Any:
        if isinstance(step, Filter):
            result: Any = step.keep(value)
            result = value if result is True else result
        elif isinstance(step, RandomMap):
            result = step.map(value, rng_for(self.seed, epoch, step.name, self.part, occurrence, key))
        elif isinstance(step, Extract):
            return step.extract(value)
        else:
            result = cast(Map[Any, Any], step).map(value)
        if isinstance(result, Drop):
            raise Unfit(f"{step.name}: {result.reason}")
        return result


def _array(value: object) -> Decoded:
    if isinstance(value, Image):
        return Decoded(value.pixels)
    if isinstance(value, Audio):
        return Decoded(value.samples, value.rate_hz)
    return Decoded(np.asarray(value))


def decoding(part: str, kind: type, steps: Sequence[Step], *, seed: int) -> Decoding:
    """How a part becomes an array.

    Args:
        part: its name.
        kind: what it is stored as, `Image` or `Audio`.
        steps: what is done, in order. The first may be a decoder with settings of its own, the last an `Extract`.
        seed: of the random steps.

    Raises:
        ValueError: a step does not fit; says which and why.
    """
    given = _listed(steps)
    decoder = given.pop(0) if given and given[0].takes is Blob else DECODERS[kind]()
    if not isinstance(decoder, Map) or decoder.gives is not kind:
        raise ValueError(f"{decoder.name} gives no {kind.__name__}, which {part!r} is")
    spec = SPECS[kind].fixed(channel=1) if getattr(decoder, "grey", False) else SPECS[kind]
    for number, step in enumerate(given):
        spec = _spec_after(spec, step, kind, is_last=number == len(given) - 1)
    return Decoding(part, kind, decoder, tuple(given), spec, seed)


def _listed(steps: object) -> list[Step]:
    """Steps as a list that may be taken from; refuses what is no list of steps."""
    if not isinstance(steps, Sequence) or isinstance(steps, str):
        given = steps.name if isinstance(steps, Step) else repr(steps)
        raise ValueError(f"expected a list of steps, not {given}")
    for step in steps:
        if isinstance(step, type) and issubclass(step, Step):
            raise ValueError(f"{step.__name__} is a class: write {step.__name__}(), with its settings")
        if not isinstance(step, Step):
            raise ValueError(f"{step!r} is no step")
    return list(steps)


def _spec_after(spec: ArraySpec, step: Step, kind: type, *, is_last: bool) -> ArraySpec:
    """The promise after a step."""
    if step.takes is not kind:
        raise ValueError(f"{step.name} works on {step.takes.__name__}, here it is given one {kind.__name__} at a time")
    if isinstance(step, Extract):
        promise = step.spec()
        if not is_last or not isinstance(promise, ArraySpec):
            raise ValueError(f"{step.name} makes a feature: one of a single column may stand last")
        return promise
    if isinstance(step, Filter):
        return spec
    if not isinstance(step, Map | RandomMap) or step.gives is not kind:
        raise ValueError(f"{step.name} does not give one {kind.__name__} for another")
    return spec_given(step, spec)


def spec_given(step: Step, spec: ArraySpec) -> ArraySpec:
    """The promise of a part after a step that changes it: as its `keeps_form` or its method `spec_given` says.

    What a step does not say is taken as unknown, but for the channels of pictures, which most steps keep.
    """
    if step.keeps_form:
        return spec
    says = getattr(step, "spec_given", None)
    if says is not None:
        return cast(ArraySpec, says(spec))
    kept = {"channel": spec.sizes["channel"]} if "height" in spec.dims else {}
    return ArraySpec(dims=spec.dims, sizes=kept, dtype=spec.dtype)
