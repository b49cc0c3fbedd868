"""The verbs: kinds of step, each with one method. A step is a frozen dataclass; its fields are its configuration.

A step counts nothing, catches nothing, reads and writes nothing and holds no state: the engine does all of that. What
it takes and gives is read off its type arguments, so that a pipeline is checked before anything is read:

    class DropBlurred(Filter[Image])            on "image": keep(image) -> True | Drop
    class FixOrientation(Map[Image, Image])     on "image": map(image) -> Image | Drop
    class KeepPaired(Filter[Sample])            on None: the whole sample
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Generic, Literal, TypeVar, cast, get_args, get_origin

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.core.fingerprint import fingerprint
from mmdata.core.sample import Sample
from mmdata.errors import StepError

Takes = TypeVar("Takes")
Gives = TypeVar("Gives")
Promise = ArraySpec | Mapping[str, ArraySpec]
Array = np.ndarray | float
Arrays = Array | Mapping[str, Array]
_REASON = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Drop:
    """A step's decision against a sample.

    Args:
        reason: a constant in snake_case, as it becomes a column. Anything else raises ValueError.
    """

    reason: str

    def __post_init__(self) -> None:
        if not (isinstance(self.reason, str) and _REASON.fullmatch(self.reason)):
            raise ValueError(f"a reason is a constant in snake_case, such as 'too_short', not {self.reason!r}")


def address(cls: type) -> str:
    """The name of a step in a pipeline file: its import path, for our own without `mmdata.`.

    A module that has become a folder keeps the address of its steps: `clean.audio.TrimSilence` wherever in
    `clean/audio/` the class stands.
    """
    return _address(cls.__module__, cls.__qualname__)


@cache
def _address(module: str, name: str) -> str:
    if module.startswith("mmdata."):
        module = ".".join(module.split(".")[1:3])
    return f"{module}.{name}"


@dataclass(frozen=True, kw_only=True)
class Step(ABC):  # noqa: B024  the kinds below have the abstract methods
    """What every kind of step has.

    Args:
        on: the part that the step works on; None is the whole sample. A sample without the part passes untouched.
    """

    version: ClassVar[int] = 1  # raise it when the same settings come to give other results
    extra: ClassVar[str | None] = None  # of mmdata that it needs: "audio" for mmdata[audio], "audio,video" for both
    keeps_form: ClassVar[bool] = False  # whether a part that it changes keeps the sizes of all its axes
    takes: ClassVar[type] = object
    gives: ClassVar[type] = object

    on: str | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in getattr(cls, "__orig_bases__", ()):
            if isinstance(get_origin(base), type) and issubclass(cast(type, get_origin(base)), Step):
                types = [argument for argument in get_args(base) if isinstance(argument, type)]
                if types:
                    cls.takes, cls.gives = types[0], types[-1]

    @property
    def name(self) -> str:
        return address(type(self))

    def needs(self, parts: Collection[str] | None) -> Mapping[str, type]:  # noqa: ARG002  most need none
        """The parts that a step on whole samples must find decoded, by name, and as what: decoders are put before it.

        Args:
            parts: those there are; None where they are not known yet. One that is needed and not there is a fault.
        """
        return {}

    def settings(self) -> dict[str, Any]:
        """The fields that decide what it computes: all but the names of the parts it reads and writes."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in fields.items() if name not in ("on", "into")}

    def fingerprint(self) -> str:
        """A hash of name, version and settings. A step whose result hangs on more (weights) overrides `settings`."""
        return fingerprint(self.name, self.version, _plain(self.settings()))


def _plain(value: Any) -> Any:
    """A setting as JSON can say it: tuples as lists, nested dataclasses as objects, 2.0 as the 2 that it equals."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass(frozen=True, kw_only=True)
class Map(Step, Generic[Takes, Gives]):
    """One value in, one out, or a reason to drop the sample. `into` names the part written; None is the one read."""

    into: str | None = None

    @abstractmethod
    def map(self, value: Takes, /) -> Gives | Drop:
        """Return the changed value; the very same object when there was nothing to change."""


@dataclass(frozen=True, kw_only=True)
class RandomMap(Step, Generic[Takes, Gives]):
    """A map that is given its randomness, fixed by seed, step and sample key."""

    into: str | None = None

    @abstractmethod
    def map(self, value: Takes, rng: np.random.Generator, /) -> Gives | Drop:
        """Return the changed value. All randomness comes from `rng`."""


@dataclass(frozen=True, kw_only=True)
class Filter(Step, Generic[Takes]):
    """Keeps a sample or drops it."""

    @abstractmethod
    def keep(self, value: Takes, /) -> Literal[True] | Drop:
        """True, or why not."""


@dataclass(frozen=True, kw_only=True)
class Split(Step, Generic[Takes]):
    """Cuts one sample into several. Children come from `sample.child(suffix, ...)`, so that keys stay unique."""

    takes = Sample
    gives = Sample

    @abstractmethod
    def split(self, sample: Sample, /) -> Sequence[Sample] | Drop:
        """The children, at least one; or the sample itself, alone, where there is nothing to cut."""


@dataclass(frozen=True, kw_only=True)
class Feature(Step, Generic[Takes]):
    """What both kinds of step that make a family of features promise.

    Args:
        into: the family's name, `PART.FEATURE`. When `on` is given and `into` is not, it follows: Mfcc(on="speech")
            writes "speech.mfcc".
    """

    into: str = ""

    def __post_init__(self) -> None:
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        usual, given = defaults["into"], self.on
        if self.into == usual and isinstance(given, str) and given != defaults["on"]:
            object.__setattr__(self, "into", f"{given}.{str(usual).partition('.')[2]}")

    @abstractmethod
    def spec(self) -> Promise:
        """The form of the array; or of several arrays by name, where one computation gives more than one.

        The name "" is the family itself, any other is appended to it: {"": flow, "motion": score} of "frames.flow" are
        the columns "frames.flow" and "frames.flow.motion".
        """

    def fitted(self) -> Mapping[str, str]:
        """Files that its arrays can't be understood without, such as a vocabulary, by the setting that names them.

        The store keeps a copy.
        """
        return {}

    def columns(self) -> dict[str, ArraySpec]:
        """The promised arrays by column name."""
        promise = self.spec()
        if isinstance(promise, ArraySpec):
            return {self.into: promise}
        return {f"{self.into}.{name}" if name else self.into: spec for name, spec in promise.items()}

    def named(self, arrays: Arrays) -> dict[str, np.ndarray]:
        """What a feature returned for a value, by column name; Python's own numbers of the promised dtype.

        Raises:
            StepError: a number is none of that dtype.
        """
        every = arrays if isinstance(arrays, Mapping) else {"": arrays}
        columns = {f"{self.into}.{name}" if name else self.into: array for name, array in every.items()}
        return {column: self._array(column, array) for column, array in columns.items()}

    def _array(self, column: str, array: Any) -> Any:
        """Numbers of Python as scalars; all else as it is."""
        if type(array) not in (bool, int, float):
            return array
        spec = self.columns().get(column)
        if spec is None or spec.dims:
            return array
        try:
            return spec.number(array)
        except ValueError as error:
            raise StepError(f"{self.name} broke its promise for {column!r}: {error}") from None


@dataclass(frozen=True, kw_only=True)
class Extract(Feature[Takes], Generic[Takes]):
    """Computes arrays of a promised form, one value at a time."""

    @abstractmethod
    def extract(self, value: Takes, /) -> Arrays:
        """The array, or the arrays by the names that `spec` promised; for a scalar a number will do."""

    def extract_many(self, values: Sequence[Takes], /) -> Sequence[Arrays]:
        """The same for many values at once, in order. Override it where a batch is cheaper: the engine groups."""
        return [self.extract(value) for value in values]


@dataclass(frozen=True, kw_only=True)
class BatchExtract(Feature[Takes], Generic[Takes]):
    """Computes arrays with a model, for many values at once, on a GPU where there is one.

    The engine calls `load` once a process and device, `prepare` in threads, and `extract` on groups that it makes of
    prepared values of like cost: a group costs its largest value times their number, as padding makes them equal. How
    much a group may cost it finds out by itself; where memory runs out it makes smaller ones.
    Numbers may depend on who else is in a group by no more than 1e-5 in float32: padding must be masked.

    Args:
        precision: "bfloat16" lets torch compute matrix products in it, where the device can; a CPU stays at float32.
    """

    precision: Literal["float32", "bfloat16"] = "float32"

    @abstractmethod
    def load(self, device: str, /) -> Any:
        """The model, ready on a device of torch's naming: "cpu", "cuda:0". Slow things are done here, once.

        Torch keeps to the threads that a worker has. Another runtime must be told here: as many as the environment's
        OMP_NUM_THREADS says, which is 1 in a worker of many, or one a core where it is not set.
        """

    def prepare(self, value: Takes, /) -> Any:
        """What goes into a group in place of the value: tokens, resized pixels. Threads do it, beside the model."""
        return value

    @abstractmethod
    def cost(self, prepared: Any, /) -> int:
        """How much a prepared value takes of a device, at least 1: tokens, pixels, samples of sound."""

    @abstractmethod
    def extract(self, model: Any, prepared: Sequence[Any], /) -> Sequence[Arrays]:
        """The arrays of each prepared value, in order, on the CPU. It is called without gradients (torch)."""


def decision(result: object) -> Literal[True] | Drop:
    """What a filter returned, as it must be.

    Raises:
        TypeError: it is neither True nor a `Drop`: False, for one, gives no reason.
    """
    if isinstance(result, Drop):
        return result
    if isinstance(result, bool | np.bool_) and result:
        return True
    said = result if result is None or isinstance(result, bool | np.bool_) else type(result).__name__
    raise TypeError(f"the filter returned {said}; it must return True or a Drop with a reason")


def is_abstract(cls: type) -> bool:
    """Whether a class is a kind of step rather than a step."""
    return inspect.isabstract(cls)
