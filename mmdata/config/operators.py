"""The table of all steps, made from their classes: what each does, takes and gives, and its settings."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any

from mmdata.config.names import STAGES, steps
from mmdata.core.arrays import ArraySpec
from mmdata.core.step import BatchExtract, Feature, Filter, Map, RandomMap, Split, Step, address

KINDS = ((RandomMap, "random"), (Map, "map"), (Filter, "filter"), (Split, "split"), (BatchExtract, "model"))
HEAD = """# Steps

All steps that mmdata brings, by stage. Made from the classes by `mmdata schema --out schemas`; do not edit.

A kind is `map` (one value in, one out), `random` (the same, by seed), `filter` (keeps or drops), `split` (several out),
`feature` (arrays of a promised form), or `model` (a feature that runs in groups). Settings stand with their defaults;
one without has to be given. What they mean, and where the method is from, stands in the docstring.
"""


def operators() -> str:
    """The table as Markdown, a section a stage."""
    lines = [HEAD]
    known = list(steps())
    for stage in STAGES:
        rows = sorted((address(cls), cls) for cls in known if address(cls).startswith(f"{stage}."))
        if rows:
            lines += [
                f"## {stage}",
                "",
                "| step | kind | what it does | takes, gives | settings |",
                "|---|---|---|---|---|",
            ]
            lines += [_row(name, cls) for name, cls in rows]
            lines.append("")
    return "\n".join(lines)


def _row(name: str, cls: type[Step]) -> str:
    kind = next((word for base, word in KINDS if issubclass(cls, base)), "feature")
    summary = (inspect.getdoc(cls) or "").partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")
    settings = ", ".join(f"`{setting}`".replace("|", "\\|") for setting in _settings(cls))
    return f"| `{name.partition('.')[2]}` | {kind} | {summary} | {_form(cls)} | {settings} |"


def _settings(cls: type[Step]) -> Iterator[str]:
    for field in dataclasses.fields(cls):
        if field.name in ("on", "into"):
            continue
        if field.default is not dataclasses.MISSING:
            yield f"{field.name}={field.default!r}"
        else:
            yield field.name


def _form(cls: type[Step]) -> str:
    """What the step takes, and the form of what it gives."""
    takes = cls.takes.__name__
    if issubclass(cls, Filter):
        return takes
    if not issubclass(cls, Feature):
        return f"{takes}, {cls.gives.__name__}"
    return f"{takes}, {'; '.join(_arrays(cls)) or 'by its model or file'}"


def _arrays(cls: type[Feature[Any]]) -> list[str]:
    """The promised arrays with all settings at their defaults; none where these leave something out."""
    try:
        promise = cls().spec()
    except Exception:  # noqa: BLE001  a model or a file has to be named: what it promises hangs on that
        return []
    specs = {"": promise} if isinstance(promise, ArraySpec) else dict(promise)
    return [f"{name} {_array(spec)}".strip() for name, spec in specs.items()]


def _array(spec: ArraySpec) -> str:
    dims = ", ".join(f"{dim} {spec.sizes[dim]}" if dim in spec.sizes else dim for dim in spec.dims)
    return f"{spec.dtype} [{dims}]" if dims else spec.dtype
