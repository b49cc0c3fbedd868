"""Steps within steps: a setting that names a step on pictures, and what is done with each frame of a film is that."""

from __future__ import annotations

import dataclasses
import importlib
import sys
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Frames, Image
from mmdata.core.step import Drop, Step
from mmdata.errors import DataError

_OURS = ("clean", "augment")


def nested(spec: Mapping[str, Any], *, kind: type[Step], takes: type) -> Any:
    """The step that a mapping says, as an entry of a pipeline file's list does: its name under `use`, and settings.

    Args:
        spec: {"use": "clean.image.SharpenImage", "amount": 2.0}. A step of your own needs its module to be loaded, as
            it is when its package stands under `plugins`.
        kind: what it must be.
        takes: on what it must work.

    Raises:
        ValueError: there is no such step, it is of another kind, or a setting is wrong.
    """
    if not isinstance(spec, Mapping) or not isinstance(spec.get("use"), str):
        raise ValueError(f"the step needs a name: {{'use': 'clean.image.SharpenImage', ...}}, not {spec!r}")
    cls = _class_of(spec["use"])
    if cls is None or not issubclass(cls, kind) or cls.takes is not takes:
        raise ValueError(f"{spec['use']!r} is no {kind.__name__} on {takes.__name__}")
    fields = {field.name for field in dataclasses.fields(cls)} - {"on", "into"}
    given = {name: value for name, value in spec.items() if name != "use"}
    if unknown := sorted(set(given) - fields):
        raise ValueError(f"{spec['use']} has no setting {unknown[0]!r}; it has {', '.join(sorted(fields)) or 'none'}")
    missing = dataclasses.MISSING
    for field in dataclasses.fields(cls):
        if field.default is missing and field.default_factory is missing and field.name not in given:
            raise ValueError(f"{spec['use']} needs {field.name!r}")
    hints = typing.get_type_hints(cls, include_extras=True)
    return cls(**{name: _fitted(f"{spec['use']}.{name}", value, hints[name]) for name, value in given.items()})


def over(frames: Frames, change: Callable[[Image], Image | Drop], step: str) -> Frames | Drop:
    """Frames, each changed as a picture; themselves where no picture was changed, and a drop where one was dropped.

    Raises:
        DataError: pictures of one film came out in different sizes, or show different parts.
    """
    given = [Image(frame, space_map=frames.space_map) for frame in frames.pixels]
    made: list[Image] = []
    for image in given:
        changed = change(image)
        if isinstance(changed, Drop):
            return changed
        made.append(changed)
    if all(new is old for new, old in zip(made, given, strict=True)):
        return frames
    if len({(image.pixels.shape, image.space_map) for image in made}) > 1:
        raise DataError(f"{step} gives frames of one film different sizes or parts; all must have the same")
    return frames.changed(np.stack([image.pixels for image in made]), space_map=made[0].space_map)


def spec_over(spec: ArraySpec, step: Step) -> ArraySpec:
    """The promise of frames, [time, height, width, channel], after a step on pictures on each of them."""
    if step.keeps_form:
        return spec
    of_each = {dim: size for dim, size in spec.sizes.items() if dim != "time"}
    each = ArraySpec(dims=spec.dims[1:], sizes=of_each, dtype=spec.dtype)
    says = getattr(step, "spec_given", None)
    known = says(each).sizes if says else {dim: size for dim, size in of_each.items() if dim == "channel"}
    time = {dim: size for dim, size in spec.sizes.items() if dim == "time"}
    return ArraySpec(dims=spec.dims, sizes={**time, **known}, dtype=spec.dtype)


def _class_of(name: str) -> type[Step] | None:
    module_name, _, class_name = name.rpartition(".")
    if name.partition(".")[0] in _OURS:
        try:
            module: Any = importlib.import_module(f"mmdata.{module_name}")
        except ModuleNotFoundError:
            return None
    else:
        module = sys.modules.get(module_name)
    found = getattr(module, class_name, None)
    return found if isinstance(found, type) and issubclass(found, Step) else None


def _fitted(place: str, value: Any, hint: Any) -> Any:
    """A value as its field's type has it: a list as a tuple.

    Raises:
        ValueError: it is none of that type, or out of its bounds.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        fitted = _fitted(place, value, arguments[0])
        for bound in arguments[1:]:
            _within(place, fitted, bound)
        return fitted
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{place}: {value!r} is none of {', '.join(map(repr, arguments))}")
        return value
    if origin is tuple and isinstance(value, list | tuple):
        types = arguments[:1] * len(value) if arguments[1:] == (Ellipsis,) else arguments
        if len(types) != len(value):
            raise ValueError(f"{place}: expected {len(types)} values, not {value!r}")
        return tuple(_fitted(place, each, kind) for each, kind in zip(value, types, strict=True))
    if origin is not None:  # a union
        return _any_of(place, value, arguments)
    is_right = isinstance(value, hint) and not (isinstance(value, bool) and hint is not bool)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not is_right:
        raise ValueError(f"{place}: expected {hint.__name__}, not {value!r}")
    return value


def _any_of(place: str, value: Any, hints: tuple[Any, ...]) -> Any:
    faults = []
    for hint in hints:
        try:
            return _fitted(place, value, hint)
        except ValueError as error:
            faults.append(error)
    raise faults[0]


def _within(place: str, value: Any, bound: Any) -> None:
    checks = {"ge": "__ge__", "gt": "__gt__", "le": "__le__", "lt": "__lt__"}
    for name, check in checks.items():
        limit = getattr(bound, name, None)
        if limit is not None and value is not None and not getattr(float(value), check)(float(limit)):
            raise ValueError(f"{place}: {value!r} is out of bounds: {name} {limit}")
