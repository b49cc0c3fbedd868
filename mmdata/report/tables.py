"""The rows of a page's tables, as text, and what its figures need beside the facts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from mmdata.report.contents import Contents, Map
from mmdata.report.draw import charts
from mmdata.report.draw.svg import Svg
from mmdata.report.draw.wording import count, name, number, share, shortened
from mmdata.report.facts.groups import LEFT_OUT, Balance
from mmdata.report.facts.lanes import Timeline
from mmdata.report.facts.runs import newest_pipeline
from mmdata.report.facts.training import Confused, Curve, Training

MOST_CLASSES = 60
MOST_CONFUSED = 40
MOST_FIGURES, MOST_ROWS, MOST_LOST, MOST_REASONS = 240, 2000, 60, 12
Row = Sequence[str]


@dataclass(frozen=True)
class ClassRow:
    """A class in the table: its samples by split, and the pieces of its bar."""

    name: str
    counts: Sequence[int]
    parts: Sequence[tuple[float, str]]


@dataclass(frozen=True)
class DrawnMap:
    """A map, ready for the page; `told` is JSON for the script, safe within an element."""

    column: str
    n: int
    explained: str
    svg: Svg
    legend: Sequence[tuple[str, str, int]]
    told: Svg


@dataclass(frozen=True)
class Confusion:
    """A matrix of counts: its head, rows of (number, class of the cell, whether it is right), and rates by class."""

    task: str
    head: Sequence[str]
    rows: Sequence[tuple[str, Sequence[tuple[int, str, bool]]]]
    rate_head: Row
    rate_rows: Sequence[Row]


def tables(it: Contents) -> dict[str, Any]:
    """Everything that templates put in beside the contents themselves."""
    found = {
        "n_dropped": sum(lost.n for lost in it.lost if lost.kind == "dropped"),
        "n_rejected": sum(lost.n for lost in it.lost if lost.kind == "rejected"),
        "n_bytes": sum(part.n_bytes for part in it.parts),
        "widest": max((stage.n + stage.n_lost for stage in it.funnel.stages), default=1) if it.funnel else 1,
        "most_figures": MOST_FIGURES,
        "most_lost": MOST_LOST,
        "most_reasons": MOST_REASONS,
        "number_rows": [_number_row(one) for one in it.distributions[:MOST_ROWS]],
        "maps": [_map(one) for one in it.maps],
        "versions": sorted({run.version for run in it.runs if run.version}),
        "locations": sorted({run.location for run in it.runs if run.location}),
        "fingerprints": dict(it.runs[-1].recipe) if it.runs else {},
        "pipeline": newest_pipeline(it.runs),
        "models": [(model, model_of(model)) for model in it.models],
    }
    return found | _classes(it.balance)


def said(found: Timeline) -> list[tuple[str, float, float, str]]:
    """Words and captions of a time axis, in order: lane, start, end, text."""
    spans = [(lane.name, *span) for lane in found.lanes for span in lane.spans if span[2]]
    return sorted(spans, key=lambda span: (span[1], span[2]))[:300]


def _number_row(one: Any) -> Row:
    if not one.n:
        return [name(one.name), "0", count(one.n_missing), *[""] * 9]
    values = (one.low, *one.quantiles, one.high, one.mean, one.std)
    return [name(one.name), count(one.n), count(one.n_missing), *(number(value) for value in values)]


def _classes(balance: Balance | None) -> dict[str, Any]:
    if balance is None:
        return {}
    kinds, at = {}, 0
    for split in balance.splits:
        kinds[split] = "kout" if split == LEFT_OUT else f"k{at % charts.N_COLORS}"
        at += split != LEFT_OUT
    pieces = [kinds[split] for split in balance.splits]
    rows = [
        ClassRow(label, counts, [(float(n), kind) for n, kind in zip(counts, pieces, strict=True)])
        for label, counts in zip(balance.classes, balance.counts.tolist(), strict=True)
    ]
    return {
        "class_rows": rows,
        "most_classes": MOST_CLASSES,
        "most_in_class": max(balance.totals, default=1),
        "split_kinds": kinds,
        "split_totals": balance.counts.sum(axis=0).tolist(),
    }


def _map(one: Map) -> DrawnMap:
    colors = charts.classes_of(one.labels)
    names = [shortened(name(shown.key), 90) for shown in one.points]
    counts = {label: sum(each == label for each in one.labels) for label in colors}
    rest = len(one.labels) - sum(counts.values())
    legend = [(label, f"p{at}", counts[label]) for label, at in colors.items()]
    legend += [("others" if colors else "samples", "pother", rest)] if rest else []
    column = one.projection.column
    said = f"Map of {len(names)} samples by {column}; the list beside it counts the classes"
    labels = [name(label) for label in one.labels]
    return DrawnMap(
        column=column,
        n=len(names),
        explained=" and ".join(share(part, 1) for part in one.projection.explained),
        svg=charts.points(one.projection.points, labels, names, _named(colors), label=said),
        legend=legend,
        told=json_within([_told(shown) for shown in one.points]),
    )


def _named(colors: Mapping[str, int]) -> dict[str, int]:
    return {name(label): at for label, at in colors.items()}


def _told(shown: Any) -> dict[str, str]:
    image = next((part.stills[0].uri for part in shown.parts if part.stills), "")
    text = next((part.text for part in shown.parts if part.text), "")
    about = " · ".join(name(each) for each in (shown.label, shown.split) if each)
    return {"key": shortened(name(shown.key), 120), "label": about, "text": name(text), "image": image}


def json_within(value: object) -> Svg:
    r"""JSON that may stand in a script element: no text in it can end that, or begin a comment.

    >>> json_within("</script><!--")
    '"\\u003c/script\\u003e\\u003c!--"'
    """
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return Svg(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def model_of(model: Training) -> dict[str, Any]:
    """What a template shows of one model."""
    names = list(dict.fromkeys(each for scores in model.scores.values() for each in scores))
    names = [each for each in names if any(scores.get(each) for scores in model.scores.values())]
    return {
        "score_head": ["split", *(each.replace("_", " ") for each in names)],
        "score_rows": [[split, *(_cell(scores.get(each)) for each in names)] for split, scores in model.scores.items()],
        "confusions": [_confusion(one) for one in model.confusions if len(one.matrix) <= MOST_CONFUSED],
        "importance_rows": [
            [name(key), number(mean(drops)), f"{number(min(drops))} to {number(max(drops))}"]
            for key, drops in sorted(model.importance.items(), key=lambda item: -mean(item[1]))
        ],
        "attention_rows": [
            [name(by), name(of), share(value, 1)]
            for by, found in model.attention.items()
            for of, value in sorted(found.items(), key=lambda item: -item[1])
        ],
        **_curves(model),
        **_comparison(model.comparison),
    }


def _cell(value: float | None) -> str:
    return "" if value is None else number(value)


def _curves(model: Training) -> dict[str, Any]:
    drawn = []
    for heading, found in (("Loss", model.loss), ("Score on the validation split", model.score)):
        if any(value is not None for curve in found for value in curve.values):
            drawn.append((heading, charts.curves(found, best=model.best_epoch, label=f"{heading} by epoch")))
    every: list[Curve] = [*model.loss, *model.score]
    length = max((len(curve.values) for curve in every), default=0)
    rows = [[str(epoch), *(_cell(curve.values[epoch]) for curve in every)] for epoch in range(length)]
    return {"curves": drawn, "curve_head": ["epoch", *(curve.name for curve in every)], "curve_rows": rows}


def _comparison(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A column a mean; its deviation, `NAME_spread`, stands beside it."""
    keys = [key for key in dict.fromkeys(key for row in rows for key in row) if key != "model"]
    head = [key for key in keys if not key.endswith(("_spread", "_low", "_high"))]
    made = [[name(row.get("model", "")), *(_mean(row, key) for key in head)] for row in rows]
    return {"comparison_head": ["model", *(key.replace("_", " ") for key in head)], "comparison_rows": made}


def _mean(row: Mapping[str, Any], key: str) -> str:
    value, spread = row.get(key), row.get(f"{key}_spread")
    if not isinstance(value, int | float):
        return "" if value is None else name(value)
    if not isinstance(spread, int | float):
        return number(value)
    return f"{value:.3g} ± {spread:.2g}"


def _confusion(found: Confused) -> Confusion:
    most = max(max(row) for row in found.matrix)
    rows = [
        (label, [(n, charts.heat(n, most), at == column) for column, n in enumerate(row)])
        for at, (label, row) in enumerate(zip(found.classes, found.matrix, strict=True))
    ]
    head = list(dict.fromkeys(key for rates in found.rates for key in rates))
    rates = [
        [name(label), *(_cell(one.get(key)) for key in head)]
        for label, one in zip(found.classes, found.rates, strict=False)
    ]
    return Confusion(found.task, found.classes, rows, ["class", *head], rates)


def sections(it: Contents) -> Iterator[tuple[str, str]]:
    """The sections that have something to say: name of the template, and heading."""
    every: Sequence[tuple[str, str, object]] = (
        ("funnel", "From read to selected", it.funnel),
        ("numbers", "Numbers", it.distributions),
        ("samples", "Samples", it.gallery),
        ("extremes", "Least and greatest", it.extremes),
        ("duplicates", "Near duplicates", it.clusters),
        ("time", "In time", it.timelines),
        ("classes", "Classes and splits", it.balance),
        ("map", "Maps", it.maps),
        ("losses", "Rejects and drops", it.lost),
        ("runs", "Where time went", it.main_run),
        ("model", "Models" if len(it.models) > 1 else "Model", it.models),
        ("card", "Data card", True),
    )
    yield from ((anchor, heading) for anchor, heading, there in every if there)
