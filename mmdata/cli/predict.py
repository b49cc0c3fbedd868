"""`mmdata predict`: what a trained model says of raw files, by the pipeline's own steps; nothing is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmdata.cli.options import Json, PipelineArg, SourceOption

if TYPE_CHECKING:
    import numpy as np

    from mmdata.config.load import PipelineFile


def predict(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A checkpoint, or the folder of `mmdata train --out`.")
    ],
    pipeline: PipelineArg,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Media files; parts beside them are found.")],
    source: SourceOption = None,
    as_json: Json = False,
) -> None:
    """Say the class of each FILE's sample: PIPELINE's steps and features, then MODEL. Writes nothing."""
    from mmdata.cli.screen import print_json, print_table
    from mmdata.config.load import load
    from mmdata.train.checkpoint import load_model
    from mmdata.train.fit import CHECKPOINT
    from mmdata.train.predict import predict as probabilities_of

    if folders := [path for path in files if path.is_dir()]:
        raise typer.BadParameter(f"{folders[0]} is a folder; name files of it, such as {folders[0]}/*")
    net = load_model(model / CHECKPOINT if model.is_dir() else model)
    columns = {item.column for item in net.plan.inputs}
    found: dict[str, _Found] = {}
    for path in files:
        file = load(pipeline, source=source, otherwise=str(path.absolute().parent))
        found |= _tried(file, path, columns)
    answered = [one for one in found.values() if columns & one.arrays.keys()]
    given = probabilities_of(net, [one.arrays for one in answered], keys=[one.key for one in answered])
    by_key = {one.key: row for one, row in zip(answered, given, strict=True)}
    rows = [_row(one, by_key.get(one.key), net.plan.classes) for one in found.values()]
    if as_json:
        print_json({"model": str(model), "samples": rows})
        return
    print_table(
        [
            [row["key"], row["class"] or "", f"{row['probability']:.3f}" if row["class"] else "", row["note"]]
            for row in rows
        ],
        ["key", "class", "probability", "note"],
    )


@dataclass
class _Found:
    """What a file's sample came to: its features by column, or why there are none."""

    key: str
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    note: str = ""


def _tried(file: PipelineFile, path: Path, columns: set[str]) -> dict[str, _Found]:
    """The samples of a file, by key: with the features that the model takes, and no others."""
    from dataclasses import replace

    from mmdata.core.step import Feature
    from mmdata.engine.trial import try_file
    from mmdata.errors import ConfigError

    families = [step for step in file.pipeline.features if isinstance(step, Feature)]
    features = [step for step in families if columns & step.columns().keys()]
    if not features:
        raise ConfigError(file.where, [f"no feature makes what the model takes: {', '.join(sorted(columns))}"])
    pipeline = replace(file.pipeline, features=tuple(features))
    found: dict[str, _Found] = {}
    for tried in try_file(pipeline, path.absolute(), where=file.where):
        one = found.setdefault(tried.key, _Found(tried.key))
        one.arrays |= {name: array for name, array in tried.arrays.items() if name in columns}
        one.note = tried.outcome or one.note
    parents = {key for key in found for other in found if other.startswith(f"{key}@") and not found[key].arrays}
    return {key: one for key, one in found.items() if key not in parents}


def _row(found: _Found, probabilities: np.ndarray | None, classes: tuple[str, ...]) -> dict[str, Any]:
    if probabilities is None:
        return {"key": found.key, "class": None, "probability": None, "note": found.note or "no feature of the model's"}
    best = int(probabilities.argmax())
    return {
        "key": found.key,
        "class": classes[best],
        "probability": float(probabilities[best]),
        "probabilities": {name: float(value) for name, value in zip(classes, probabilities, strict=True)},
        "note": found.note,
    }
