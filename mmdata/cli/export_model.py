"""`mmdata export-model`: a trained model as ONNX, whole and in int8, beside what torch says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mmdata.cli.options import Json, StoreOption


def export_model(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A checkpoint, or the folder of `mmdata train --out`.")
    ],
    store: StoreOption,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Where the files go; beside the checkpoint.")
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", metavar="NAME", help="Compare on this; the test split, or else val.")
    ] = None,
    int8: Annotated[bool, typer.Option("--int8/--no-int8", help="Quantise weights of matrix products, too.")] = True,
    as_json: Json = False,
) -> None:
    """Write MODEL as ONNX, and check it on a split of STORE that it was not trained on: numbers, size, speed, score.

    Numbers that are off by more than 1e-4 are refused. The int8 form gives other numbers; its score is told.
    """
    from mmdata import api
    from mmdata.cli.screen import print_json
    from mmdata.core.packages import missing_packages
    from mmdata.errors import ConfigError, MissingExtra

    if (lacking := missing_packages("export")) is not None:
        raise MissingExtra("export-model", [lacking])
    from mmdata.train.checkpoint import load_model
    from mmdata.train.export import export
    from mmdata.train.fit import CHECKPOINT, open_splits
    from mmdata.train.judge import evaluate

    path = model / CHECKPOINT if model.is_dir() else model
    net = load_model(path)
    config = replace(net.plan.config, follow=None, weighted=False, test_split=split or net.plan.config.test_split)
    splits = open_splits(api.open(store), config)
    judge = splits.val if splits.test is None else splits.test
    if judge is None:
        raise ConfigError("export-model", ["the model was trained without a split to judge on: name one with --split"])
    score = config.judged_by
    report = export(
        net, judge, out or path.parent, judge=lambda form: evaluate(form, judge)[score], scored_by=score, int8=int8
    )
    if as_json:
        print_json({"model": str(model), **report.to_json()})
        return
    print(f"compared on {report.n_compared} batch rows, as they are and with inputs taken away")
    print(report)
