"""One sample on one time axis: its sound, words, captions, pictures and whatever changes over time.

All times are seconds of the sample as it is stored. What the store has on the clock of the source (words of
`AlignSpeech`, frames of a clip) is moved by the part's time map.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.core.spans import Span, TimeMap
from mmdata.report.previews import Preview, Still

MOST_POINTS = 400
MOST_SPANS = 200


@dataclass(frozen=True)
class Lane:
    """One row of a drawing over time; one of the four is there.

    Args:
        name: of the part or feature.
        envelope: float32 [bin, 2], evenly over `until_s`. until_s: when a sound ends.
        spans: start, end, text. marks: moments. stills: pictures with their times.
        series: times and values, float64 [point] each.
    """

    name: str
    envelope: np.ndarray | None = None
    until_s: float = 0.0
    spans: Sequence[tuple[float, float, str]] = ()
    marks: Sequence[float] = ()
    stills: Sequence[Still] = ()
    series: tuple[np.ndarray, np.ndarray] | None = None


@dataclass(frozen=True)
class Timeline:
    """A sample's lanes.

    Args:
        key: the sample's. duration_s: of the axis.
    """

    key: str
    duration_s: float
    lanes: Sequence[Lane]


def timeline(
    key: str,
    previews: Sequence[Preview],
    meta: Mapping[str, Any],
    arrays: Mapping[str, tuple[ArraySpec, np.ndarray | None]],
    maps: Mapping[str, TimeMap],
) -> Timeline | None:
    """Draw up a sample's lanes; None where nothing of it has a time.

    Args:
        key: its key.
        previews: of its parts.
        meta: its metadata; `words` lists text, start_s and end_s on the source's clock.
        arrays: its features by column.
        maps: time maps by part, of those that were moved.
    """
    durations = [shown.duration_s for shown in previews if shown.duration_s]
    duration_s = max(durations, default=0.0)
    moved = next(
        (maps[shown.name] for shown in previews if shown.kind in ("audio", "video") and shown.name in maps), None
    )
    lanes = [lane for shown in previews for lane in _of_part(shown)]
    words = list(_words(meta, moved))
    lanes += [Lane("words", spans=tuple(words[:MOST_SPANS]))] if words else []
    lanes += _of_features(arrays, duration_s, moved)
    ends = [end for lane in lanes for _, end, _ in lane.spans]
    duration_s = duration_s or max(ends, default=0.0)
    return Timeline(key, duration_s, tuple(lanes)) if duration_s > 0 and lanes else None


def _of_part(shown: Preview) -> Iterator[Lane]:
    if shown.stills and shown.kind in ("video", "frames") and shown.duration_s:
        yield Lane(shown.name, stills=shown.stills)
    if shown.envelope is not None and len(shown.envelope):
        yield Lane(shown.name, envelope=shown.envelope, until_s=shown.duration_s or 0.0)
    if shown.cues:
        yield Lane(shown.name, spans=tuple(shown.cues[:MOST_SPANS]))


def _words(meta: Mapping[str, Any], moved: TimeMap | None) -> Iterator[tuple[float, float, str]]:
    given = meta.get("words")
    for word in given if isinstance(given, list) else []:
        try:
            text, span = str(word["text"]), Span.of(float(word["start_s"]), float(word["end_s"]))
        except (KeyError, TypeError, ValueError, OverflowError):
            continue
        for piece in [span] if moved is None else moved.spans_from_source(span):
            yield float(piece.start_s), float(piece.end_s), text


def _of_features(
    arrays: Mapping[str, tuple[ArraySpec, np.ndarray | None]], duration_s: float, moved: TimeMap | None
) -> Iterator[Lane]:
    for name, (spec, array) in arrays.items():
        if array is None or not array.size or not spec.dims or name.endswith(".times_s"):
            continue
        beside = arrays.get(f"{name}.times_s")
        times = beside[1] if beside is not None and beside[0].dims == spec.dims[:1] else None
        if times is not None:
            times = _moved(np.asarray(times, np.float64), moved)
        lane = _lane(name, spec, array, times, duration_s)
        if lane is not None:
            yield lane


def _moved(times_s: np.ndarray, moved: TimeMap | None) -> np.ndarray:
    """Source times on the sample's clock, where that is another."""
    if moved is None or moved.is_identity:
        return times_s
    found = [moved.from_source(Fraction(round(1_000_000 * float(at)), 1_000_000)) for at in times_s]
    return np.array([np.nan if at is None else float(at) for at in found], np.float64)


def _lane(name: str, spec: ArraySpec, array: np.ndarray, times: np.ndarray | None, duration_s: float) -> Lane | None:
    """The lane of one feature, by its form; None where its form tells no times."""
    if len(spec.dims) == 2 and spec.dims[1] == "bound":
        return Lane(name, spans=tuple((float(low), float(high), "") for low, high in array[:MOST_SPANS]))
    if "channel" in spec.dims:
        known = [] if times is None else [float(at) for at in times if np.isfinite(at)]
        return Lane(name, marks=tuple(known[:MOST_SPANS])) if known else None
    values = _over_time(spec, array)
    if values is None:
        return None
    if times is not None:
        at = times
    elif spec.hop_s:
        at = np.arange(len(values)) * spec.hop_s
    elif spec.dims[0] in ("pair", "frame", "time") and duration_s > 0:
        at = (np.arange(len(values)) + 0.5) * duration_s / len(values)
    else:
        return None
    return Lane(name, series=_thinned(at, values))


def _over_time(spec: ArraySpec, array: np.ndarray) -> np.ndarray | None:
    """A number a moment: a series as it is, and of flow how fast things move on average."""
    if np.dtype(spec.dtype).kind not in "fiu":
        return None
    if len(spec.dims) == 1:
        return np.asarray(array, np.float64)
    if spec.dims[-1] == "xy" and len(spec.dims) == 4:
        return np.asarray(np.linalg.norm(array.astype(np.float64), axis=-1).mean(axis=(1, 2)))
    return None


def _thinned(times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    known = np.isfinite(times) & np.isfinite(values)
    times, values = times[known], values[known]
    step = max(1, len(times) // MOST_POINTS)
    return times[::step], values[::step]
