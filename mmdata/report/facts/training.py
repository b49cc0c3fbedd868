"""What `mmdata train` wrote of a model: its `report.json`, whatever of it is there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmdata.errors import StoreError

REPORT = "report.json"


@dataclass(frozen=True)
class Curve:
    """A number by epoch."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True)
class Training:
    """One model, or several side by side.

    Args:
        place: the file. config: settings. classes: in the order of the model's outputs.
        loss, score: curves by epoch. best_epoch: whose weights were kept.
        scores: by split, then by name. facts: the rest that is one number or text.
        comparison: a row a model of a comparison: name, folds, accuracy and its deviation, macro F1 and its deviation.
        confusion: counts, [true][predicted]; empty where the report has none. importance: by input.
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
    confusion: Sequence[Sequence[int]] = ()
    importance: Mapping[str, float] = field(default_factory=dict)


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
    test = _dict(value.get("test"))
    matrix = value.get("confusion") or test.get("confusion") or []
    matrix = matrix.get("counts") or matrix.get("matrix") or [] if isinstance(matrix, dict) else matrix
    importance = value.get("importance")
    return Training(
        place=place,
        config=_dict(value.get("config")),
        classes=[str(name) for name in _list(value.get("classes"))],
        loss=[
            Curve("training loss", [_number(row.get("train_loss")) for row in history]),
            Curve("validation loss", [_number(_split(row.get("val")).get("loss")) for row in history]),
        ],
        score=[
            Curve("accuracy", [_number(_split(row.get("val")).get("accuracy")) for row in history]),
            Curve("macro F1", [_number(_split(row.get("val")).get("macro_f1")) for row in history]),
        ],
        best_epoch=value["best_epoch"] if isinstance(value.get("best_epoch"), int) else None,
        scores={split: _numbers(_split(value.get(split))) for split in ("val", "test") if value.get(split)},
        facts={
            name: value[name]
            for name in ("n_parameters", "n_train", "n_unlabelled", "stopped_early", "steps", "seconds", "checkpoint")
            if isinstance(value.get(name), int | float | str)
        },
        comparison=[row for row in _list(value.get("summaries")) if isinstance(row, dict)],
        confusion=_matrix(matrix),
        importance=_numbers(_dict(importance)),
    )


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
    whole = all(isinstance(row, list) and len(row) == len(rows[0]) for row in rows)
    return [[int(n) for n in row] for row in rows] if rows and whole else []
