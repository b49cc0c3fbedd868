"""From the name in a pipeline file to the class: an import path, nothing is registered anywhere."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from functools import partial
from types import ModuleType
from typing import Any

from mmdata.core.packages import missing_packages
from mmdata.core.pipeline import guess
from mmdata.core.ports import Source
from mmdata.core.step import Step, address

STAGES = ("codec", "clean", "augment", "align", "features")


class UnknownName(LookupError):
    """A name that leads to no step or source; the text says what was expected."""


def resolve(name: str, plugins: tuple[str, ...] = ()) -> type[Any]:
    """The class of a name: `clean.audio.TrimSilence`, or a full import path of a package listed under `plugins`.

    Raises:
        UnknownName: with a guess.
    """
    module_name, _, class_name = name.rpartition(".")
    package = name.partition(".")[0]
    if package in (*STAGES, "source"):
        module_name = f"mmdata.{module_name}"
    elif package not in plugins:
        hint = f"; to use a step of your own, list {package!r} under plugins" if module_name else ""
        raise UnknownName(f"no step {name!r}{guess(name, known_names())}{hint}")
    known = partial(plugin_names, package) if package in plugins else known_names
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise UnknownName(f"no step {name!r}{guess(name, known())}") from error
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and is_dataclass(found)):
        raise UnknownName(f"no step {name!r}{guess(name, known())}")
    return found


def missing_plugin(package: str) -> str | None:
    """Why a package listed under `plugins` can't be used, as a fault; None when it can be found. Imports nothing."""
    top, dot, _ = package.partition(".")
    if dot and top:
        return f"name the package alone: {top!r}, not {package!r}"
    if package in sys.modules or (package.isidentifier() and importlib.util.find_spec(package) is not None):
        return None
    return f"there is no package {package!r} on Python's path; run as `PYTHONPATH=. mmdata ...`, or install it"


def plugin_names(package: str) -> list[str]:
    """The steps and sources that a plugin's modules define, by full import path; modules that fail are passed over."""
    found = set()
    for module in _modules(package):
        for _, cls in inspect.getmembers(module, inspect.isclass):
            usable = is_dataclass(cls) and not inspect.isabstract(cls) and (issubclass(cls, Step) or is_source(cls))
            if usable and cls.__module__.partition(".")[0] == package:
                found.add(f"{cls.__module__}.{cls.__qualname__}")
    return sorted(found)


def known_names() -> list[str]:
    """Every step and source that mmdata brings, by its name in a pipeline file."""
    return sorted(address(cls) for cls in [*steps(), *sources()])


def steps() -> Iterator[type[Step]]:
    """The concrete steps of every stage."""
    for stage in STAGES:
        for cls in _classes(stage):
            if issubclass(cls, Step) and not inspect.isabstract(cls):
                yield cls


def sources() -> Iterator[type]:
    """The sources: dataclasses that can list and read."""
    for cls in _classes("source"):
        if is_dataclass(cls) and is_source(cls):
            yield cls


def is_source(cls: type) -> bool:
    """Whether a class can list and read samples."""
    return all(callable(getattr(cls, verb, None)) for verb in ("scan", "read"))


def missing_extra(step: type[Step] | Step | Source) -> str | None:
    """What to install before a step can work, as a fault; None when all is there."""
    return missing_packages(getattr(step, "extra", None) or "")


def _modules(package: str) -> Iterator[ModuleType]:
    """A package's modules that can be imported."""
    waiting = [package]
    while waiting:
        name = waiting.pop()
        try:
            module = importlib.import_module(name)
        except Exception:  # noqa: BLE001, S112  code of a user's: what fails to load has no step to suggest
            continue
        yield module
        waiting += [f"{name}.{found.name}" for found in pkgutil.iter_modules(getattr(module, "__path__", ()))]


def _classes(stage: str) -> Iterator[type]:
    if importlib.util.find_spec(f"mmdata.{stage}") is None:
        return
    package = importlib.import_module(f"mmdata.{stage}")
    seen: set[type] = set()
    for found in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        module = importlib.import_module(f"mmdata.{stage}.{found.name}")
        for _, cls in sorted(inspect.getmembers(module, inspect.isclass)):
            own = cls.__module__ == module.__name__ or cls.__module__.startswith(f"{module.__name__}.")
            if own and not cls.__name__.startswith("_") and cls not in seen:
                seen.add(cls)
                yield cls
