"""Locations as workers on other machines see them: absolute, and there or not."""

from __future__ import annotations

import dataclasses
import os
import platform
from typing import Any, cast

from mmdata.core.ports import Source
from mmdata.errors import ConfigError

LOCATIONS = ("root", "path")  # fields of sources that say where they are
WILD = frozenset("*?[")


def absolute(location: str) -> str:
    """A path that means the same to every process of this machine; a URL is one already."""
    return location if _is_url(location) or not location else os.path.abspath(location)


def located(source: Source | None) -> Source | None:
    """A source whose paths are absolute; its name, and so its keys, stay."""
    known: Any = source
    if not dataclasses.is_dataclass(known) or isinstance(known, type):
        return source
    changes = {name: absolute(value) for name, value in _locations(known).items()}
    return cast(Source, dataclasses.replace(known, **changes))


def check_visible(store_url: str, source: Source | None) -> None:
    """See whether this machine sees the store and the source, as far as they are local paths.

    Raises:
        ConfigError: what is not there, by machine and path.
    """
    places = {"store": [store_url], "source": list(_locations(source).values())}
    faults = [
        f"there is no {what} {path!r}"
        for what, paths in places.items()
        for path in paths
        if not _is_url(path) and not os.path.exists(_fixed(path))
    ]
    if faults:
        advice = "a path must lead to the same files on every worker; share the folder, or give a URL"
        raise ConfigError(f"worker {os.getpid()} on {platform.node()}", [f"{fault}: {advice}" for fault in faults])


def _locations(source: Any) -> dict[str, str]:
    named = {name: getattr(source, name, None) for name in LOCATIONS}
    return {name: value for name, value in named.items() if isinstance(value, str) and value}


def _is_url(location: str) -> bool:
    return "://" in location or "::" in location


def _fixed(path: str) -> str:
    """What stands before the first pattern of a glob."""
    parts = path.split("/")
    fixed = next((index for index, part in enumerate(parts) if WILD & set(part)), len(parts))
    return "/".join(parts[:fixed]) or "/"
