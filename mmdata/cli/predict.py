"""`mmdata predict`: what a trained model says of raw files, by the pipeline's own steps; nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmdata.cli.options import Json, PipelineArg, SourceOption

if TYPE_CHECKING:
    import numpy as np

    from mmdata.config.load import PipelineFile
    from mmdata.train.model import FusionModel


def predict(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A checkpoint, or the folder of `mmdata train --out`.")
    ],
    pipeline: PipelineArg,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Media files; parts beside them are found.")],
    source: SourceOption = None,
    as_json: Json = False,
) -> None:
    """Say of each FILE's sample what MODEL learned: its class, a number, an embedding, what it lacks. Writes nothing.

    PIPELINE's steps and features come first. A file that can't be read is told, others go on, and the exit code is 1.
    """
    from mmdata.cli.screen import print_json, print_table
    from mmdata.config.load import load
    from mmdata.train.checkpoint import load_model
    from mmdata.train.fit import CHECKPOINT

    if folders := [path for path in files if path.is_dir()]:
        raise typer.BadParameter(f"{folders[0]} is a folder; name files of it, such as {folders[0]}/*")
    net = load_model(model / CHECKPOINT if model.is_dir() else model)
    columns = {item.column for item in net.plan.inputs}
    found: dict[str, _Found] = {}
    for path in files:
        file = _taking(columns, load(pipeline, source=source, otherwise=str(path.absolute().parent)))
        found |= _tried(file, path, columns)
    _answer(net, [one for one in found.values() if columns & one.arrays.keys()])
    nothing = {"class": None, "probability": None} if net.plan.classes and not net.plan.config.tasks else {}
    rows = [one.row(nothing) for one in found.values()]
    if as_json:
        print_json({"model": str(model), "samples": rows})
    else:
        cells = [_cells(one.answer or {}) for one in found.values()]
        names = list(dict.fromkeys(name for each in cells for name in each))
        lines = [
            [row["key"], *(each.get(name, "") for name in names), row["note"]]
            for row, each in zip(rows, cells, strict=True)
        ]
        print_table(lines, ["key", *names, "note"])
    if any(one.answer is None for one in found.values()):
        raise typer.Exit(1)


@dataclass
class _Found:
    """What a file's sample came to: its features by column and what the model says, or why there are none."""

    key: str
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    answer: dict[str, Any] | None = None
    note: str = ""

    def row(self, nothing: Mapping[str, None]) -> dict[str, Any]:
        if self.answer is None:
            return {"key": self.key, **nothing, "note": self.note or "no feature of the model's"}
        return {"key": self.key, **self.answer, "note": self.note}


def _taking(columns: set[str], file: PipelineFile) -> PipelineFile:
    """The pipeline with the features that the model takes, and no others."""
    from dataclasses import replace

    from mmdata.core.step import Feature
    from mmdata.errors import ConfigError

    families = [step for step in file.pipeline.features if isinstance(step, Feature)]
    features = [step for step in families if columns & step.columns().keys()]
    if not features:
        raise ConfigError(file.where, [f"no feature makes what the model takes: {', '.join(sorted(columns))}"])
    return replace(file, pipeline=replace(file.pipeline, features=tuple(features)))


def _tried(file: PipelineFile, path: Path, columns: set[str]) -> dict[str, _Found]:
    """The samples of a file, by key; the file itself where it can't be read."""
    from mmdata.engine.trial import try_file
    from mmdata.errors import ConfigError, DataError

    found: dict[str, _Found] = {}
    if not path.exists():
        return {str(path): _Found(str(path), note="failed: there is no such file")}
    try:
        for tried in try_file(file.pipeline, path.absolute(), where=file.where):
            one = found.setdefault(tried.key, _Found(tried.key))
            one.arrays |= {name: array for name, array in tried.arrays.items() if name in columns}
            one.note = tried.outcome or one.note
    except (ConfigError, DataError, OSError) as error:
        if isinstance(error, ConfigError) and error.where == file.where:
            raise  # which is the pipeline's fault, not this file's
        told = "; ".join(error.faults) if isinstance(error, ConfigError) else error
        found.setdefault(str(path), _Found(str(path))).note = f"failed: {told}"
    parents = {key for key in found for other in found if other.startswith(f"{key}@") and not found[key].arrays}
    return {key: one for key, one in found.items() if key not in parents}


def _answer(net: FusionModel, found: list[_Found]) -> None:
    """Let the model answer all at once, or where one can't be answered, each by itself."""
    from mmdata.errors import DataError
    from mmdata.train.predict import said

    try:
        answers = said(net, [one.arrays for one in found], keys=[one.key for one in found])
    except DataError as error:
        if len(found) == 1:
            found[0].note = f"failed: {error}"
            return
        for one in found:
            _answer(net, [one])
        return
    for one, answer in zip(found, answers, strict=True):
        one.answer = answer


def _cells(answer: Mapping[str, Any]) -> dict[str, str]:
    """An answer in a line of a table."""
    cells: dict[str, str] = {}
    for name, value in answer.items():
        if name == "probabilities":
            continue
        if name in {"embedding", "reconstruction"}:
            cells |= {of: _short(numbers) for of, numbers in value.items()}
        elif isinstance(value, dict):
            cells[name] = " ".join(_cells(value).values())
        elif name == "filled":
            cells[name] = ", ".join(value)
        else:
            cells[name] = _short(value)
    return cells


def _short(value: Any) -> str:
    """A text or a number as it is, the first of many numbers."""
    if isinstance(value, float):
        return f"{value:.3f}"
    if not isinstance(value, list):
        return str(value)
    numbers: list[Any] = value
    while numbers and isinstance(numbers[0], list):
        numbers = numbers[0]
    return f"{' '.join(f'{number:.3g}' for number in numbers[:3])}{' ...' if len(numbers) > 3 else ''}"
