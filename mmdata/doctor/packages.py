"""Which extras are whole, and what the others lack."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from importlib import metadata

from mmdata.core.packages import EXTRAS
from mmdata.doctor.finding import GOOD, NOTE, Finding

_ALWAYS = ("numpy", "pyarrow", "deltalake", "fsspec", "pydantic")


def packages() -> Iterator[Finding]:
    """What mmdata itself stands on, then a finding an extra."""
    yield Finding("mmdata", GOOD, ", ".join(f"{name} {_version(name)}" for name in ("mmdata", *_ALWAYS)))
    by_module = metadata.packages_distributions()
    for extra, modules in EXTRAS.items():
        lacking = [module for module in modules if importlib.util.find_spec(module) is None]
        if lacking:
            yield Finding(extra, NOTE, f"without {', '.join(lacking)}", f"pip install 'mmdata[{extra}]'")
            continue
        found = dict.fromkeys((by_module.get(module) or [module])[0] for module in modules)
        yield Finding(extra, GOOD, ", ".join(f"{name} {_version(name)}" for name in found))


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "of unknown version"
