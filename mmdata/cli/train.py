"""`mmdata train`: a fusion model from a store's features."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmdata.cli.options import Json, PipelineArg, StoreOption

if TYPE_CHECKING:
    from mmdata.config.load import PipelineFile
    from mmdata.train.distributed import World
    from mmdata.train.folds import Compare
    from mmdata.train.report import FoldScore


def train(
    pipeline: PipelineArg,
    store: StoreOption,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Checkpoint and report; resumed where there is one.")
    ] = None,
    ablate: Annotated[
        bool, typer.Option("--ablate", help="Compare every choice of inputs on the test split; keep no model.")
    ] = False,
    fusions: Annotated[
        str | None, typer.Option("--fusions", metavar="A,B", help="Compare these ways of fusing; keep no model.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="Train so often, from other seeds; keep no model.")
    ] = None,
    importance: Annotated[
        int, typer.Option("--importance", min=0, metavar="N", help="Shuffle each input N times: what is it worth?")
    ] = 0,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write for TensorBoard, too, into FOLDER/tensorboard.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make the file's selection, then train on STORE as its train section says. Run again, it goes on where it was.

    With --ablate, --fusions or --seeds models are compared: a line each, mean and deviation over seeds and folds. Under
    `torchrun -m mmdata train ...` several processes train one model.
    """
    from mmdata import api
    from mmdata.api.training import check_training
    from mmdata.cli.screen import print_json
    from mmdata.config.load import load
    from mmdata.errors import ConfigError

    file = load(pipeline, only=("plugins", "select", "train"))  # what made the store need not be installed
    if not file.train:
        raise ConfigError(file.where, ["there is no train section"])
    check_training(file, store)
    asked = Asked(ablate=ablate, fusions=fusions, seeds=seeds, importance=importance, tensorboard=tensorboard)
    if out is not None and asked.is_comparison:
        raise ConfigError("--out", ["a comparison keeps no model; train the best one without --ablate and the like"])
    if importance and asked.is_comparison:
        raise ConfigError("--importance", ["is of one model; leave out --ablate and the like"])
    if tensorboard and out is None:
        raise ConfigError("--tensorboard", ["goes into a folder: name one with --out"])
    from mmdata.train.distributed import launched

    with launched() as world:
        if file.select and world.is_first:
            api.make_selection(file, store)
        world.wait()
        report = train_from(file, store, out=out, quiet=as_json or not world.is_first, asked=asked, world=world)
    if as_json and world.is_first:
        print_json({"store": store, "training": report})


@dataclass(frozen=True)
class Asked:
    """Which models to compare, and what else to make of one."""

    ablate: bool = False
    fusions: str | None = None
    seeds: int | None = None
    importance: int = 0
    tensorboard: bool = False

    @property
    def is_comparison(self) -> bool:
        return self.ablate or self.fusions is not None or self.seeds is not None

    @property
    def compare(self) -> Compare | None:
        from mmdata.errors import ConfigError
        from mmdata.train.folds import Compare

        fusions = tuple(name.strip() for name in (self.fusions or "").split(",") if name.strip())
        if self.fusions is not None and not fusions:
            raise ConfigError("--fusions", [f"no way of fusing is named: {self.fusions!r}"])
        return Compare(subsets=self.ablate, single=self.ablate, fusions=fusions) if self.is_comparison else None


def train_from(
    file: PipelineFile,
    store: str,
    *,
    out: Path | None = None,
    quiet: bool = False,
    asked: Asked | None = None,
    world: World | None = None,
) -> dict[str, Any]:
    """Train as a pipeline file says: on its splits, or on its folds in turns; prints the scores unless quiet."""
    from mmdata import api

    asked = asked or Asked()

    def told(score: FoldScore) -> None:
        name, value = next(iter(score.metrics.scores.items()))
        print(f"  {score.fold} {score.model}: {name} {value:.3f}", file=sys.stderr, flush=True)

    report = api.train(
        file,
        store,
        out=out,
        seeds=asked.seeds,
        compare=asked.compare,
        watch=None if quiet else told,
        world=world,
        tensorboard=asked.tensorboard,
        importance=asked.importance,
    )
    if not quiet:
        print(report)
    return report.to_json()
