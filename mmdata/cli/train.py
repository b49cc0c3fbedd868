"""`mmdata train`: a fusion model from a store's features."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmdata.cli.options import Json, PipelineArg, StoreOption

if TYPE_CHECKING:
    from mmdata.config.load import PipelineFile
    from mmdata.train.report import FoldScore


def train(
    pipeline: PipelineArg,
    store: StoreOption,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Checkpoint and report; resumed where there is one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make the file's selection, then train on STORE as its train section says. Run again, it goes on where it was."""
    from mmdata import api
    from mmdata.cli.screen import print_json
    from mmdata.config.load import load
    from mmdata.errors import ConfigError

    file = load(pipeline, otherwise=api.recorded_location(store) or "SOURCE")
    if not file.train:
        raise ConfigError(file.where, ["there is no train section"])
    api.check(file)
    if file.select:
        api.make_selection(file, store)
    report = train_from(file, store, out=out, quiet=as_json)
    if as_json:
        print_json({"store": store, "training": report})


def train_from(file: PipelineFile, store: str, *, out: Path | None = None, quiet: bool = False) -> dict[str, Any]:
    """Train as a pipeline file says: on its splits, or on its folds in turns; prints the scores unless quiet."""
    from mmdata import api

    def told(score: FoldScore) -> None:
        print(f"  {score.fold} {score.model}: accuracy {score.metrics.accuracy:.3f}", file=sys.stderr, flush=True)

    report = api.train(file, store, out=out, watch=None if quiet else told)
    if not quiet:
        print(report)
    return report.to_json()
