"""A sample on one time axis: a row for each of its lanes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mmdata.report.draw.svg import Svg, picture, tag
from mmdata.report.draw.wording import number, shortened
from mmdata.report.facts.lanes import Lane, Timeline
from mmdata.report.words import duration

WIDTH, LEFT, RIGHT = 960.0, 150.0, 950.0
GAP = 10.0
_CHARACTER = 6.4  # a letter's width, about


def timeline(found: Timeline) -> Svg:
    """All lanes below each other over an axis of seconds."""
    made: list[Svg] = []
    y = 4.0

    def at(second: float) -> float:
        return LEFT + min(max(second / found.duration_s, 0.0), 1.0) * (RIGHT - LEFT)

    for lane in found.lanes:
        height = _height(lane)
        made.append(
            tag("text", shortened(lane.name, 22), x=LEFT - 10, y=y + height / 2 + 4, text_anchor="end", class_="lane")
        )
        made += _drawn(lane, y, height, at)
        y += height + GAP
    made.append(tag("line", x1=LEFT, x2=RIGHT, y1=y, y2=y, class_="axis"))
    behind = []
    for second in ticks(found.duration_s):
        x = at(second)
        behind.append(tag("line", x1=x, x2=x, y1=4, y2=y, class_="grid"))
        made.append(tag("text", f"{number(second)} s", x=x, y=y + 14, text_anchor="middle", class_="tick"))
    said = ", ".join(lane.name for lane in found.lanes)
    return picture(
        *behind, *made, width=WIDTH, height=y + 20, class_="timeline",
        label=f"{duration(found.duration_s)} on one time axis: {said}. What is said and shown is listed below.",
    )  # fmt: skip


def ticks(duration_s: float, most: int = 10) -> list[float]:
    """Round times from 0 on, at most so many and the first.

    >>> ticks(7.3), ticks(0.05)[-1]
    ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 0.05)
    """
    rough = duration_s / most
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return [round(float(at * step), 9) for at in range(int(duration_s / step + 1e-9) + 1)]


def _height(lane: Lane) -> float:
    if lane.stills:
        return 56.0
    if lane.envelope is not None:
        return 52.0
    return 34.0 if lane.series is not None else 20.0


def _drawn(lane: Lane, y: float, height: float, at: Callable[[float], float]) -> list[Svg]:
    if lane.envelope is not None:
        return [_wave(lane, lane.envelope, y, height, at)]
    if lane.series is not None:
        return _series(lane.series, y, height, at)
    if lane.stills:
        return _stills(lane, y, height, at)
    if lane.marks:
        return [tag("line", x1=at(t), x2=at(t), y1=y + 2, y2=y + height - 2, class_="mark") for t in lane.marks]
    return [piece for span in lane.spans for piece in _span(*span, y, height, at)]


def _wave(lane: Lane, envelope: np.ndarray, y: float, height: float, at: Callable[[float], float]) -> Svg:
    loudest = float(np.abs(envelope).max()) or 1.0
    x = np.linspace(at(0), at(lane.until_s), len(envelope))
    middle = y + height / 2
    upper = middle - envelope[:, 1] / loudest * height / 2
    lower = middle - envelope[:, 0] / loudest * height / 2
    line = [*zip(x, upper, strict=True), *zip(x[::-1], lower[::-1], strict=True)]
    return tag("polygon", points=" ".join(f"{a:.1f},{b:.1f}" for a, b in line), class_="wave")


def _series(series: tuple[np.ndarray, np.ndarray], y: float, height: float, at: Callable[[float], float]) -> list[Svg]:
    times, values = series
    if not len(times):
        return []
    low, span = float(values.min()), float(np.ptp(values)) or 1.0
    line = " ".join(
        f"{at(t):.1f},{y + height - (v - low) / span * height:.1f}" for t, v in zip(times, values, strict=True)
    )
    most = tag("text", number(low + float(np.ptp(values))), x=RIGHT, y=y + 8, text_anchor="end", class_="most")
    return [tag("polyline", points=line, class_="line s0"), most]


def _stills(lane: Lane, y: float, height: float, at: Callable[[float], float]) -> list[Svg]:
    made = []
    for still in lane.stills:
        wide = height * still.width / max(1, still.height)
        x = min(at(still.time_s or 0.0), RIGHT - wide)
        made.append(tag("image", href=still.uri, x=x, y=y, width=wide, height=height))
    return made


def _span(start: float, end: float, text: str, y: float, height: float, at: Callable[[float], float]) -> list[Svg]:
    x, wide = at(start), max(1.0, at(end) - at(start))
    told = tag("title", f"{number(start)} to {number(end)} s{': ' + text if text else ''}")
    made = [tag("rect", told, x=x, y=y, width=wide, height=height, rx=2, class_="span")]
    fits = int((wide - 6) / _CHARACTER)
    if text and fits >= 2:
        made.append(tag("text", shortened(" ".join(text.split()), fits), x=x + 4, y=y + height / 2 + 4, class_="said"))
    return made
