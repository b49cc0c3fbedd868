"""What each process of a training does in `test_distributed`: `torchrun -m tests.train.ranks JOBS`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from mmdata.errors import ConfigError
from mmdata.store import Store
from mmdata.train.checkpoint import Epoch
from mmdata.train.config import TrainConfig
from mmdata.train.distributed import World, launched
from mmdata.train.fit import train


class Stopped(Exception):
    """Stands for a kill of all ranks at once."""


class Curve:
    """Writes down what is lost at each step, and each epoch's validation loss; dies after step `stop`."""

    def __init__(self, stop: int | None = None) -> None:
        self.stop, self.losses = stop, dict[str, float]()

    def step(self, step: int, loss: float) -> None:
        self.losses[str(step)] = loss
        if step == self.stop:
            raise Stopped

    def epoch(self, epoch: Epoch) -> None:
        if epoch.val is not None:
            self.losses[f"val{epoch.epoch}"] = epoch.val.loss


def trained(store: Store, world: World, *, config: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """Train once; the losses by step, and the score at the end unless it was stopped."""
    curve = Curve(settings.pop("stop", None))
    if settings.pop("differs", False):
        config = {**config, "seed": world.rank}
    try:
        found = train(store, TrainConfig.of(config), watch=curve, world=world, **{"out": None, **settings})
    except (Stopped, ConfigError) as error:
        return {"losses": curve.losses, "error": str(error)}
    return {"losses": curve.losses, "test": None if found.test is None else found.test.loss}


def main(jobs: Path) -> None:
    """Do all jobs of a file; writes `RANK.json` beside it, with what each came to."""
    asked = json.loads(jobs.read_text())
    with launched() as world:
        store = Store.open(asked["store"])
        if asked.get("fails") == world.rank:
            raise ValueError("the disk of this rank is full")
        found = {name: trained(store, world, **job) for name, job in asked["jobs"].items()}
        jobs.with_name(f"{world.rank}.json").write_text(json.dumps({**found, "size": world.size}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
