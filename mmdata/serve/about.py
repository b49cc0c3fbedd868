"""What one sample's page tells of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow.compute as pc

from mmdata.core.arrays import ArraySpec
from mmdata.core.ports import Member
from mmdata.engine.trace import planned
from mmdata.report.words import form
from mmdata.serve import captions
from mmdata.serve.catalog import UNKNOWN, Catalog, Lost, Row
from mmdata.serve.pictures import is_picture
from mmdata.store.tables import is_scalar

MOST_CUES = 1_000
LINE_POINTS = 240
MOST_HEX = 512  # characters
MOST_DRAWN = 1e300  # sums and differences of larger numbers are infinite
WIDTH, HEIGHT = 240, 48


@dataclass(frozen=True)
class Shown:
    """A feature of one sample, as it is drawn.

    Args:
        name, form: of the column. kind: "number", "line", "bits", "map", "picture" or "none".
        text: the number, the bits, or the extent in words. points: of a line, for SVG's `polyline`.
        share: of a number, which share of all samples has a smaller one, 0 to 1. error: why there is none.
    """

    name: str
    form: str
    kind: str
    text: str = ""
    points: str = ""
    share: float | None = None
    error: str = ""


@dataclass(frozen=True)
class Choice:
    """What a selection did with a sample: its split, or the reason why it was left out, and what it is like."""

    name: str
    split: str
    reason: str
    weight: float
    alike: Sequence[str] = ()


@dataclass(frozen=True)
class Sample:
    """All that is known of a key.

    Args:
        outcome: "stored", "dropped", "rejected", "split", "not yet run" or "unknown".
        row: where it is stored. lost: what was decided against it. members: its files in the source, as planned.
        fault: what was wrong with it as the source was listed.
        captions: by part, the first (time, text) of them.
    """

    key: str
    outcome: str
    row: Row | None = None
    lost: Sequence[Lost] = ()
    members: Sequence[Member] = ()
    fault: str = ""
    children: Sequence[str] = ()
    features: Sequence[Shown] = ()
    choices: Sequence[Choice] = ()
    near: Sequence[str] = field(default_factory=list)
    captions: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)


def about(catalog: Catalog, key: str) -> Sample:
    """What is known of a key, whether or not it is stored."""
    number = catalog.number(key)
    lost = [each for each in catalog.lost if each.key == key]
    with catalog.lock:
        entry, shard = planned(catalog.store, key)
    members = entry.members if entry is not None else ()
    fault = entry.fault.error if entry is not None and entry.fault is not None else ""
    children = _children(catalog, key)
    if number is not None:
        row = catalog.read([number])[0]
        features = list(_features(catalog, number))
        choices, said = list(_choices(catalog, key)), dict(_captions(catalog, row))
        row = replace(row, texts={**row.texts, **dict(_texts(catalog, row))})
        return Sample(key, "stored", row, lost, members, fault, children, features, choices, captions=said)
    if lost:
        outcome = lost[0].outcome
    elif children:
        outcome = "split"
    elif entry is not None:
        outcome = "unknown" if any(view.shard == shard for view in catalog.known.shards) else "not yet run"
    else:
        outcome = "unknown"
    near = _near(catalog, key) if outcome == "unknown" else []
    return Sample(key, outcome, None, lost, members, fault, children, near=near)


def _captions(catalog: Catalog, row: Row) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    for part in row.parts:
        blob = catalog.blob(row.row, part.name) if part.kind == "captions" and part.encoding != "reference" else None
        if blob is not None:
            shown = captions.cues(blob)[:MOST_CUES]
            yield part.name, [(captions.clock(cue.start_ms), cue.text) for cue in shown]


def _texts(catalog: Catalog, row: Row) -> Iterator[tuple[str, str]]:
    """The texts that no step decoded."""
    for part in row.parts:
        blank = part.kind == "text" and part.name not in row.texts and part.encoding != "reference"
        if blank and (blob := catalog.blob(row.row, part.name)) is not None:
            yield part.name, captions.text(blob)


def _children(catalog: Catalog, key: str) -> list[str]:
    known = catalog.known.samples
    stored = known.filter(pc.fill_null(pc.equal(known["parent"], key), False))["key"].to_pylist()
    return [*stored, *(each.key for each in catalog.lost if each.key.rpartition("@")[0] == key)]


def _near(catalog: Catalog, key: str) -> list[str]:
    last = key.rstrip("/").rpartition("/")[2]
    keys = catalog.known.keys
    return list(keys.filter(pc.match_substring(keys, last, ignore_case=True)).slice(0, 8).to_pylist()) if last else []


def _features(catalog: Catalog, number: int) -> Iterator[Shown]:
    for name, spec, array, error in catalog.arrays(number):
        if array is None:
            yield Shown(
                name, "" if spec is UNKNOWN else form(spec), "none", error=error or "none: the sample has no such part"
            )
        elif is_scalar(spec):
            yield _number(catalog, name, spec, array)
        else:
            yield _drawn(name, spec, array)


def _number(catalog: Catalog, name: str, spec: ArraySpec, array: np.ndarray) -> Shown:
    value = array.item()
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    known = catalog.known.scalars.get(name)
    share = None
    if known is not None and isinstance(value, int | float) and not isinstance(value, bool):
        there = known[~np.isnan(known)]
        share = float((there < value).mean()) if len(there) > 1 else None
    return Shown(name, form(spec), "number", text, share=share)


def _drawn(name: str, spec: ArraySpec, array: np.ndarray) -> Shown:
    extent = " x ".join(f"{dim} {size}" for dim, size in zip(spec.dims, array.shape, strict=True))
    if not array.size:
        return Shown(name, form(spec), "bits", f"empty: {extent}")
    if spec.dims[-1] == "byte" and array.ndim == 1:
        bits = array[: MOST_HEX // 2].tobytes().hex()
        return Shown(name, form(spec), "bits", bits + (f"… ({extent})" if array.size > MOST_HEX // 2 else ""))
    if is_picture(array):
        return Shown(name, form(spec), "picture", extent)
    with np.errstate(all="ignore"):
        finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
        bounds = f"{float(finite.min()):.4g} to {float(finite.max()):.4g}" if finite.size else "no finite number"
    if array.ndim == 1:
        return Shown(name, form(spec), "line", f"{extent}, {bounds}", polyline(array))
    return Shown(name, form(spec), "map", f"{extent}, {bounds}")


def polyline(values: np.ndarray) -> str:
    """The points of a line through values [x], from left to right, the least at the bottom: "x,y x,y ...".

    >>> polyline(np.array([0.0, 1.0]))
    '0.0,47.0 240.0,1.0'
    """
    line = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0).clip(-MOST_DRAWN, MOST_DRAWN)
    if len(line) > LINE_POINTS:
        bounds = np.linspace(0, len(line), LINE_POINTS + 1).astype(np.int64)
        line = np.add.reduceat(line, bounds[:-1]) / np.diff(bounds)
    low, high = float(line.min()), float(line.max())
    level = (line - low) / (high - low) if high > low else np.full(len(line), 0.5)
    x = np.linspace(0, WIDTH, len(line)) if len(line) > 1 else np.array([WIDTH / 2])
    y = HEIGHT - 1 - level * (HEIGHT - 2)
    return " ".join(f"{one:.1f},{other:.1f}" for one, other in zip(x, y, strict=True))


def _choices(catalog: Catalog, key: str) -> Iterator[Choice]:
    for name, rows in catalog.selections.items():
        at = rows["key"].index(key).as_py()
        if at < 0:
            continue
        row = rows.slice(at, 1).to_pylist()[0]
        alike: list[str] = []
        if row["cluster"] is not None:
            of_cluster = rows.filter(pc.fill_null(pc.equal(rows["cluster"], row["cluster"]), False))
            alike = [other for other in of_cluster["key"].slice(0, 9).to_pylist() if other != key]
        yield Choice(name, row["split"] or "", row["reason"] or "", row["weight"], alike)
