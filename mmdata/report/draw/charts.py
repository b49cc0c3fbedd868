"""Histograms, bars, curves and maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from mmdata.report.draw.svg import Svg, picture, tag
from mmdata.report.draw.wording import count, number, share
from mmdata.report.facts.scalars import Distribution
from mmdata.report.facts.training import Curve

N_COLORS = 8  # of the style sheet, c0 to c7; what comes after is "other"


def histogram(found: Distribution, *, width: float = 240, height: float = 72) -> Svg:
    """Bars, with a line at the median and least and greatest edge below."""
    label = described(found)
    if not found.counts:
        return picture(tag("text", "no numbers", x=4, y=height / 2), width=width, height=height + 14, label=label)
    edges = np.array(found.edges)
    shares = edges / 4 - edges[0] / 4  # differences of the largest numbers there are would be infinite
    span = float(shares[-1]) or 1.0
    at = shares / span * width
    most = max(found.counts)
    by_value = edges[0] == found.low - 0.5 and edges[-1] == found.high + 0.5  # a bar a whole number
    ends = (found.low, found.high) if by_value else (float(edges[0]), float(edges[-1]))
    bars = []
    for left, right, n, low, high in zip(at, at[1:], found.counts, edges, edges[1:], strict=False):
        if n:
            tall = max(1.0, n / most * (height - 4))
            told = tag("title", f"{number(float(low))} to {number(float(high))}: {count(n)}")
            wide = max(0.5, float(right - left) - 0.8)
            bars.append(tag("rect", told, x=float(left), y=height - tall, width=wide, height=tall, class_="bar"))
    middle = float(np.clip((found.median / 4 - edges[0] / 4) / span, 0, 1)) * width
    axis = [
        tag("line", x1=0, x2=width, y1=height, y2=height, class_="axis"),
        tag("line", x1=middle, x2=middle, y1=0, y2=height, class_="median"),
        tag("text", number(ends[0]), x=0, y=height + 12, class_="tick"),
        tag("text", number(ends[1]), x=width, y=height + 12, class_="tick", text_anchor="end"),
    ]
    return picture(*bars, *axis, width=width, height=height + 16, label=label, class_="histogram")


def described(found: Distribution) -> str:
    """A distribution in a sentence."""
    if not found.n:
        return f"{found.name}: no sample has a number"
    low, high = number(found.low), number(found.high)
    return (
        f"{found.name}: {count(found.n)} samples from {low} to {high}, median {number(found.median)}, "
        f"half of them between {number(found.quantiles[1])} and {number(found.quantiles[3])}"
    )


def bar(parts: Sequence[tuple[float, str]], whole: float) -> Svg:
    """One bar of several pieces, each a number and a class; it stands beside its numbers and is not read out."""
    at, made = 0.0, []
    for value, kind in parts:
        wide = 100 * value / whole if whole else 0.0
        if wide > 0:
            made.append(tag("rect", x=at, y=0, width=max(wide, 0.25), height=8, class_=kind))
        at += wide
    ground = tag("rect", x=0, y=0, width=100, height=8, class_="ground")
    return tag(
        "svg", ground, *made, viewBox="0 0 100 8", preserveAspectRatio="none", class_="strip", aria_hidden="true"
    )


def curves(found: Sequence[Curve], *, best: int | None, label: str, width: float = 420, height: float = 160) -> Svg:
    """Numbers by epoch, each a line with its name at the end; the epoch that was kept is marked."""
    known = [(curve, _known(curve)) for curve in found]
    known = [(curve, points) for curve, points in known if len(points)]
    if not known:
        return picture(width=width, height=10, label=f"{label}: nothing was recorded")
    every = np.concatenate([points for _, points in known])
    last, low, high = max(1.0, every[:, 0].max()), float(every[:, 1].min()), float(every[:, 1].max())
    span = (high - low) or 1.0
    left, right, top, bottom = 44.0, width - 96, 8.0, height - 22

    def place(points: np.ndarray) -> np.ndarray:
        x = left + points[:, 0] / last * (right - left)
        return np.stack([x, bottom - (points[:, 1] - low) / span * (bottom - top)], axis=1)

    made = [tag("line", x1=left, x2=right, y1=bottom, y2=bottom, class_="axis")]
    for value, y in ((low, bottom), (high, top)):
        made.append(tag("text", number(value), x=left - 6, y=y + 4, text_anchor="end", class_="tick"))
    for value, x in ((0, left), (int(last), right)):
        made.append(tag("text", value, x=x, y=height - 6, text_anchor="middle", class_="tick"))
    made.append(tag("text", "epoch", x=(left + right) / 2, y=height - 6, text_anchor="middle", class_="tick"))
    if best is not None and 0 <= best <= last:
        x = left + best / last * (right - left)
        made.append(tag("line", x1=x, x2=x, y1=top, y2=bottom, class_="median"))
    ends = _apart([float(place(points)[-1, 1]) for _, points in known], least=12.0)
    for at, ((curve, points), y) in enumerate(zip(known, ends, strict=True)):
        line = " ".join(f"{x:.1f},{each:.1f}" for x, each in place(points))
        made.append(tag("polyline", points=line, class_=f"line s{at}"))
        made.append(tag("text", curve.name, x=right + 6, y=y + 4, class_=f"tick f{at}"))
    return picture(*made, width=width, height=height, label=label, class_="curves")


def _known(curve: Curve) -> np.ndarray:
    points = [(epoch, value) for epoch, value in enumerate(curve.values) if value is not None and np.isfinite(value)]
    return np.array(points, np.float64).reshape(-1, 2)


def _apart(places: Sequence[float], least: float) -> list[float]:
    """Places moved down until none is nearer than `least` to another."""
    moved = list(places)
    order = np.argsort(places, kind="stable").tolist()
    for before, after in pairwise(order):
        moved[after] = max(moved[after], moved[before] + least)
    return moved


def classes_of(labels: Sequence[str]) -> dict[str, int]:
    """A colour for each of the most frequent labels; the rest, and what has none, are "other"."""
    counts: dict[str, int] = {}
    for label in labels:
        counts[label] = counts.get(label, 0) + 1
    order = sorted((label for label in counts if label), key=lambda label: (-counts[label], label))
    return {label: at for at, label in enumerate(order[:N_COLORS])}


def points(
    places: np.ndarray, labels: Sequence[str], names: Sequence[str], colors: Mapping[str, int], *, label: str
) -> Svg:
    """A map: float64 [point, 2] from 0 to 1, each point with its name; the script shows its picture when it is met."""
    side, rim = 560.0, 12.0
    made = []
    for at, ((x, y), one, named) in enumerate(zip(places, labels, names, strict=True)):
        kind = colors.get(one)
        where = {"cx": rim + x * (side - 2 * rim), "cy": rim + (1 - y) * (side - 2 * rim)}
        told = tag("title", f"{named}{f' ({one})' if one else ''}")
        made.append(tag("circle", told, **where, r=4, class_="p" + ("other" if kind is None else str(kind)), data_i=at))
    return picture(*made, width=side, height=side, label=label, class_="map")


def heat(value: float, most: float) -> str:
    """The class of a cell of a matrix: h0 (nothing) to h9 (the most)."""
    return f"h{min(9, int(np.ceil(9 * value / most))) if most else 0}"


def portion(n: float, whole: float) -> str:
    """A number and its share."""
    return f"{count(int(n))} ({share(n, whole)})"
