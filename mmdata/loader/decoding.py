"""From a stored part's bytes to an array of a batch: decoded, then changed by steps, at random by their own rng."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

import numpy as np

from mmdata.codec.decoders import DECODERS
from mmdata.codec.video import OpenVideo
from mmdata.core.arrays import ArraySpec
from mmdata.core.rng import rng_for
from mmdata.core.sample import Audio, Blob, Frames, Image, Video
from mmdata.core.step import Drop, Extract, Filter, Map, RandomMap, Step, decision
from mmdata.errors import DataError, StepError, blame
from mmdata.loader.films import Room, bounded, frames_bytes, on_each, with_frames

SPECS: Mapping[type, ArraySpec] = MappingProxyType(
    {
        Image: ArraySpec(dims=("height", "width", "channel"), sizes={"channel": 3}, dtype="uint8"),
        Audio: ArraySpec(dims=("channel", "time"), dtype="float32"),
        Frames: ArraySpec(dims=("time", "height", "width", "channel"), sizes={"channel": 3}, dtype="uint8"),
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
        times_s: float64 [time], when each frame of a film is shown; None for all else.
    """

    array: np.ndarray
    rate_hz: int = 0
    times_s: np.ndarray | None = None


@dataclass(frozen=True)
class Decoding:
    """What is done with the bytes of one part.

    Args:
        part: its name. kind: what it is decoded to: `Image`, `Audio` or, of films, `Frames`.
        decoder: the step that does so, or opens the film. steps: what follows.
        spec: of the array at the end.
        seed: of the random steps, with the epoch and the sample's key.
        is_track: whether it is the sound of a film, which need not have one.
    """

    part: str
    kind: type
    decoder: Map[Blob, Any]
    steps: tuple[Step, ...]
    spec: ArraySpec
    seed: int = 0
    is_track: bool = False

    @property
    def file_bytes(self) -> int | None:
        """The largest file that its decoder reads, where that can be told before."""
        return getattr(self.decoder, "max_bytes", None)

    def __call__(self, data: bytes, *, key: str, epoch: int, room: Room | None = None) -> Decoded | None:
        """The array of a sample; None of a film's sound where it has none.

        Args:
            data: what is stored.
            key: of the sample, for random steps.
            epoch: the same.
            room: memory for a film's frames; None where they may take any.

        Raises:
            DataError: the bytes are not sound media, or a step decided against them.
            StepError: a step failed in another way, or broke its promise.
            ConfigError: the film's frames don't fit into the room.
        """
        blob = Blob.of(data, name=f"{key}.{self.part}")
        try:
            with blame(self.decoder.name, key):
                value: Any = self.decoder.map(blob)
        except DataError:
            if self.is_track and not OpenVideo().map(blob).has_audio:
                return None
            raise
        seen: Counter[str] = Counter()
        with ExitStack() as held:
            for step in self.steps:
                done = step
                if isinstance(value, Video) and step.gives is Frames and room is not None:
                    # a step that changes frames makes others beside them
                    copies = 1 if step is self.steps[-1] else 2
                    held.enter_context(room.taken(copies * frames_bytes(step, value), key))
                    done = bounded(step, room.n_bytes // copies)
                with blame(step.name, key):
                    value = self._after(done, value, key, epoch, seen[step.name])
                seen[step.name] += 1
        found = _array(value)
        if fault := self.spec.fault(found.array):
            last = self.steps[-1].name if self.steps else self.decoder.name
            raise StepError(f"{last} gave another array of {self.part!r} than promised, for {key!r}: {fault}")
        return found

    def _after(self, step: Step, value: Any, key: str, epoch: int, occurrence: int) -> Any:
        def rng() -> np.random.Generator:
            return rng_for(self.seed, epoch, step.name, self.part, occurrence, key)

        if isinstance(step, Filter):
            result: Any = decision(step.keep(value))
            result = value if result is True else result
        elif isinstance(value, Frames) and step.takes is Image:
            result = on_each(step, value, rng)
        elif isinstance(step, RandomMap):
            result = step.map(value, rng())
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
    if isinstance(value, Frames):
        return Decoded(value.pixels, times_s=value.times_s)
    return Decoded(np.asarray(value))


def decoding(part: str, kind: type, steps: Sequence[Step], *, seed: int, is_track: bool = False) -> Decoding:
    """How a part becomes an array.

    Args:
        part: its name.
        kind: what it is decoded to: `Image`, `Audio`, or `Frames` where it is a film.
        steps: what is done, in order. The first may be a decoder with settings of its own, the last an `Extract`. Of a
            film, steps on it may follow (`clean.video`), then one that decodes its frames, then steps on those, or on
            pictures, which are done to each of them.
        seed: of the random steps.
        is_track: whether it is the sound of a film.

    Raises:
        ValueError: a step does not fit; says which and why.
    """
    given, first = _listed(steps), Video if kind is Frames else kind
    decoder = given.pop(0) if given and given[0].takes is Blob else DECODERS[first]()
    if not isinstance(decoder, Map) or decoder.gives is not first:
        raise ValueError(f"{decoder.name} gives no {first.__name__}, which {part!r} is")
    given = with_frames(given) if kind is Frames else given
    spec = SPECS[kind].fixed(channel=1) if getattr(decoder, "grey", False) else SPECS[kind]
    now = first
    for number, step in enumerate(given):
        spec = _spec_after(spec, step, now, is_last=number == len(given) - 1)
        now = Frames if step.gives is Frames else now
    return Decoding(part, kind, decoder, tuple(given), spec, seed, is_track)


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
    on_pictures = kind is Frames and step.takes is Image
    if step.takes is not kind and not on_pictures:
        raise ValueError(f"{step.name} works on {step.takes.__name__}, here it is given one {kind.__name__} at a time")
    if isinstance(step, Extract) and not on_pictures:
        promise = step.spec()
        if not is_last or not isinstance(promise, ArraySpec):
            raise ValueError(f"{step.name} makes a feature: one of a single column may stand last")
        return promise
    if isinstance(step, Filter) and not on_pictures:
        return spec
    gives = {kind, Frames} if kind is Video else {step.takes}
    if not isinstance(step, Map | RandomMap) or step.gives not in gives:
        raise ValueError(f"{step.name} does not give one {kind.__name__} for another")
    if not on_pictures:
        return spec_given(step, spec)
    each = spec_given(step, ArraySpec(dims=spec.dims[1:], sizes=_but_time(spec.sizes), dtype=spec.dtype))
    return ArraySpec(dims=spec.dims, sizes={**each.sizes, **_time(spec.sizes)}, dtype=each.dtype)


def _time(sizes: Mapping[str, int]) -> dict[str, int]:
    return {name: size for name, size in sizes.items() if name == "time"}


def _but_time(sizes: Mapping[str, int]) -> dict[str, int]:
    return {name: size for name, size in sizes.items() if name != "time"}


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
