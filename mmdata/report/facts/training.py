"""What `mmdata train` wrote of a model: its `report.json`, whatever of it is there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmdata.errors import StoreError

REPORT = "report.json"
COUNTS = ("n", "loss", "n_unseen", "n_unlabelled")
MOST_CURVES = 3


@dataclass(frozen=True)
class Curve:
    """A number by epoch."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True)
class Confused:
    """What a model took for what.

    Args:
        task: its name; "" where there is but one. classes: in the order of the matrix.
        matrix: counts, [true][predicted]. rates: of each class f1, precision, recall and n.
    """

    task: str
    classes: Sequence[str]
    matrix: Sequence[Sequence[int]]
    rates: Sequence[Mapping[str, float]] = ()


@dataclass(frozen=True)
class Training:
    """One model, or several side by side.

    Args:
        place: the file. config: settings. classes: in the order of the model's outputs.
        loss, score: curves by epoch. best_epoch: whose weights were kept.
        scores: by split, then by name. facts: the rest that is one number or text.
        comparison: a row a model of a comparison: its name, folds, and scores, NAME_spread their deviation, NAME_low
            and NAME_high an interval.
        confusions: of the test split, one a task that has classes.
        importance: by input what a score loses without it, in each repeat. attention: what looks at what, how much.
    """

    place: str
    config: Mapping[str, Any] = field(default_factory=dict)
    classes: Sequence[str] = ()
    loss: Sequence[Curve] = ()
    score: Sequence[Curve] = ()
    best_epoch: int | None = None
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    comparison: Sequence[Mapping[str, Any]] = ()
    confusions: Sequence[Confused] = ()
    importance: Mapping[str, Sequence[float]] = field(default_factory=dict)
    attention: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def read_training(place: str | Path) -> Training:
    """Read a model's folder, or a report's file.

    Raises:
        StoreError: there is none, or it is no report of `mmdata train`.
    """
    path = Path(place) / REPORT if Path(place).is_dir() else Path(place)
    try:
        value = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise StoreError(f"no report of a model at {path}: `mmdata train ... --out FOLDER` writes one") from error
    except ValueError as error:
        raise StoreError(f"{path} is damaged: {error}") from error
    if isinstance(value, dict) and isinstance(value.get("training"), dict):
        value = value["training"]  # what `mmdata train --json` prints
    if not isinstance(value, dict) or not ({"history", "scores", "summaries"} & value.keys()):
        raise StoreError(f"{path} is no report of `mmdata train`")
    return training(value, str(path))


def training(value: Mapping[str, Any], place: str = "") -> Training:
    """The facts of a report as JSON has it; what is not there, or of another form, is left out."""
    history = [row for row in _list(value.get("history")) if isinstance(row, dict)]
    config = _dict(value.get("config"))
    judged = [_numbers(_split(row.get("val"))) for row in history]
    names = dict.fromkeys(name for row in judged for name in row)
    first = [config.get("score"), "accuracy", "macro_f1", *(name for name in names if name not in COUNTS)]
    shown = [name for name in dict.fromkeys(first) if name in names][:MOST_CURVES]
    return Training(
        place=place,
        config=config,
        classes=[str(name) for name in _list(value.get("classes"))],
        loss=[
            Curve("training loss", [_number(row.get("train_loss")) for row in history]),
            Curve("validation loss", [row.get("loss") for row in judged]),
        ],
        score=[Curve(name.replace("_", " "), [row.get(name) for row in judged]) for name in shown],
        best_epoch=value["best_epoch"] if isinstance(value.get("best_epoch"), int) else None,
        scores={split: _numbers(_split(value.get(split))) for split in ("val", "test") if value.get(split)},
        facts={
            name: value[name]
            for name in ("n_parameters", "n_train", "n_unlabelled", "stopped_early", "steps", "seconds", "checkpoint")
            if isinstance(value.get(name), int | float | str)
        },
        comparison=[row for row in _list(value.get("summaries")) if isinstance(row, dict)],
        confusions=list(_confusions(_dict(value.get("details")))),
        importance=_importance(value),
        attention={
            str(name): _numbers(found) if isinstance(found, dict) else _numbers({str(name): found})
            for name, found in _dict(value.get("attention")).items()
        },
    )


def _confusions(details: Mapping[str, Any]) -> Iterator[Confused]:
    for task, found in details.items():
        matrix = _matrix(_dict(found).get("confusion"))
        if matrix:
            classes = [str(name) for name in _list(found.get("classes"))]
            classes += [f"class {at}" for at in range(len(classes), len(matrix))]
            rates = [_numbers(row) for row in _list(found.get("per_class")) if isinstance(row, dict)]
            yield Confused(str(task), classes[: len(matrix)], matrix, rates if len(rates) == len(matrix) else ())


def _importance(value: Mapping[str, Any]) -> dict[str, list[float]]:
    """Every repeat's drop by input; the mean alone where there is no more."""
    means = _numbers(_dict(value.get("importance")))
    repeats = _dict(_dict(value.get("importance_details")).get("drops"))
    found = {name: [_number(drop) for drop in _list(repeats.get(name))] or [mean] for name, mean in means.items()}
    return {name: [drop for drop in drops if drop is not None] for name, drops in found.items()}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _split(value: object) -> dict[str, Any]:
    """The scores of a split, whether they stand beside its counts or in a dict of their own."""
    found = _dict(value)
    return {**found, **_dict(found.get("scores"))}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _numbers(value: Mapping[str, Any]) -> dict[str, float]:
    found = {name: _number(each) for name, each in value.items()}
    return {name: number for name, number in found.items() if number is not None}


def _matrix(value: object) -> list[list[int]]:
    rows = _list(value)
    square = all(isinstance(row, list) and len(row) == len(rows) for row in rows)
    return [[int(_number(n) or 0) for n in row] for row in rows] if square else []
