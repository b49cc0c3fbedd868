"""The table of all steps, made from their classes: what each does, takes and gives, its settings, source and cost."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmdata.config.names import STAGES, steps
from mmdata.core.arrays import ArraySpec
from mmdata.core.step import BatchExtract, Feature, Filter, Map, RandomMap, Split, Step, address

KINDS = ((RandomMap, "random"), (Map, "map"), (Filter, "filter"), (Split, "split"), (BatchExtract, "model"))
COLUMNS = ("step", "kind", "what it does", "takes", "gives", "settings", "reference", "ms")
HEAD = """# Steps

All steps that mmdata brings, by stage. Made from the classes by `mmdata schema --out schemas`; do not edit.

A kind is `map` (one value in, one out), `random` (the same, by seed), `filter` (keeps or drops), `split` (several out),
`feature` (arrays of a promised form), or `model` (a feature that runs in groups). Settings stand with their defaults;
one without has to be given. What they mean stands in the docstring.

What is taken and given: Text is Unicode; Image is uint8 [height, width, channel], Audio float32 [channel, time], Frames
uint8 [time, height, width, channel]; Video is a film in its container, Blob undecoded bytes, Sample all of a sample.
Features give arrays, whose axes stand with their sizes where these are fixed.
"""
COST = """The last column is what one sample takes of one core, in milliseconds: of {values}. Measured by
`{command}` on {machine}, {day}; empty where a step needs a file or a model of yours. Compare them with each other, and
not with another machine."""
FORM = re.compile(r"\b(?:bool|u?int\d+|float\d+)(?: scalar|(?: ids)? \[(?!batch)[^\]]*\])")
# sources in running text: authors, perhaps a title, a year; a standard; another tool, or its function in backquotes
_AUTHORS, _YEAR = r"[A-Z][\w’'-]+(?:(?:,| and) [A-Z][\w’'-]+)*(?: et al\.)?", r"(?:19|20)\d\d\b"
_TOOLS = "librosa|scikit-image|scikit-learn|OpenCV|ImageHash|imagehash|noisereduce|ftfy|soxr|spaCy|SoX|Kaldi"
SOURCE = re.compile(
    rf"{_AUTHORS},? (?:\"[^\"]+\",? )?(?:\((?:[A-Z][\w&-]+ )*{_YEAR}[^)]*\)|(?:[A-Z][\w&-]+ ){{0,4}}{_YEAR})"
    r"|\b(?:ITU-R )?BS\.\d+(?:-\d+)?|\bITU-R BT\.\d+|\bRFC \d+|\bISO/IEC [\d-]+|\bEBU \w+ \d+|\bUAX #\d+|\bCommonMark\b"
    rf"|`(?:librosa|skimage|scipy|sklearn|cv2|torch|torchaudio|imagehash|numpy)\.[\w.]+`|\b(?:{_TOOLS})\b"
)
BAR = "\\|"  # in a cell
KERNEL = re.compile(r"`(kernels\.[\w.]+)`")


def operators() -> str:
    """The table as Markdown, a section a stage."""
    costs = measured()
    lines = [HEAD, textwrap.fill(COST.format(**costs["about"]), 120), ""]
    known = list(steps())
    for stage in STAGES:
        rows = sorted((address(cls), cls) for cls in known if address(cls).startswith(f"{stage}."))
        if rows:
            lines += [f"## {stage}", "", f"| {' | '.join(COLUMNS)} |", f"|{'---|' * (len(COLUMNS) - 1)}---:|"]
            lines += [_row(name, cls, costs["ms"]) for name, cls in rows]
            lines.append("")
    return "\n".join(lines)


def measured() -> dict[str, Any]:
    """What `benchmarks/operators.py` wrote: milliseconds by step, and about what they were measured on."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name("costs.json").read_text("utf-8"))
    return found


def _row(name: str, cls: type[Step], costs: Mapping[str, float]) -> str:
    kind = next((word for base, word in KINDS if issubclass(cls, base)), "feature")
    summary = (inspect.getdoc(cls) or "").partition("\n\n")[0]
    settings = ", ".join(f"`{setting}`" for setting in _settings(cls))
    cost = f"{costs[name]:.2g}" if name in costs else ""
    cells = (
        f"`{name.partition('.')[2]}`",
        kind,
        summary,
        cls.takes.__name__,
        _gives(cls),
        settings,
        reference(cls),
        cost,
    )
    return f"| {' | '.join(cell.replace(chr(10), ' ').replace('|', chr(92) + '|') for cell in cells)} |"


def _settings(cls: type[Step]) -> Iterator[str]:
    for field in dataclasses.fields(cls):
        if field.name in ("on", "into"):
            continue
        if field.default is not dataclasses.MISSING:
            yield f"{field.name}={field.default!r}"
        else:
            yield field.name


def _gives(cls: type[Step]) -> str:
    """The type, or the form of the arrays."""
    if not issubclass(cls, Feature):
        return "" if issubclass(cls, Filter) else cls.gives.__name__
    said = FORM.search((inspect.getdoc(cls) or "").partition("\n\n")[0])
    return "; ".join(_arrays(cls)) or (said[0] if said else "by its model or file")


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


def reference(cls: type[Step]) -> str:
    """Where a step's method is from: the section `Reference:` of its docstring, or what sources its text names.

    Where the docstring names none, that of the kernel to which it points is read, and then that of its module.
    """
    about = inspect.getdoc(cls) or ""
    if given := section(about, "Reference"):
        return given
    kernels = [text for name in KERNEL.findall(about) if (text := _kernel(name))]
    module = inspect.getdoc(inspect.getmodule(cls)) or ""
    for text in (about, *kernels, module):
        found = [source[0] for source in SOURCE.finditer(" ".join(text.split()))]
        if found:
            return "; ".join(dict.fromkeys(found))
    return ""


def section(docstring: str, name: str) -> str:
    r"""The text of a section of a docstring, in one line; empty where there is none.

    >>> section("What it is.\n\nReference:\n    A book,\n    page 1.\n\nRaises:\n    Never.", "Reference")
    'A book, page 1.'
    """
    found = re.search(rf"^{name}:\n((?:[ ]+\S.*\n?|\n(?=[ ]))+)", docstring, re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def _kernel(name: str) -> str:
    """The docstring of a kernel by its path below the package; empty where there is none such."""
    path, last = f"mmdata.{name}", ""
    for _ in range(2):
        try:
            module = importlib.import_module(path)
        except ImportError:
            path, _, last = path.rpartition(".")
        else:
            return inspect.getdoc(getattr(module, last, None) if last else module) or ""
    return ""
