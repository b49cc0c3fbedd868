"""The `train` section of a pipeline file: checked alone, and against the columns of a store that is there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mmdata.api.reading import open  # noqa: A004  as users call it
from mmdata.api.selecting import select_faults

if TYPE_CHECKING:
    from mmdata.config.load import PipelineFile
    from mmdata.train.config import TrainConfig


def settings_of(file: PipelineFile) -> tuple[TrainConfig | None, list[str]]:
    """The settings of a `train` section, None where they can't be read; and its faults, as far as it alone tells."""
    from mmdata.core.packages import missing_packages
    from mmdata.errors import ConfigError
    from mmdata.train.config import TrainConfig

    lacking = missing_packages("train")
    faults = [f"train: {lacking}"] if lacking else []
    try:
        config = TrainConfig.of({str(name): value for name, value in file.train.items()})
    except ConfigError as error:
        return None, [*faults, *(f"train: {fault}" for fault in error.faults)]
    if config.selection is None and not file.select:
        faults.append("train: there is no select section that deals samples to splits; add it, or name a selection")
    return config, faults


def check_training(file: PipelineFile, store: str | os.PathLike[str]) -> None:
    """Check that a file's `train` section, and its `select` section, can be had of a store; nothing else of the file.

    Raises:
        ConfigError: with every fault.
        StoreError: there is no store.
    """
    from mmdata.errors import ConfigError

    config, faults = settings_of(file)
    faults = [*select_faults(file.select), *faults]
    if faults or config is None:
        raise ConfigError(file.where, faults)
    from mmdata.train.inputs import inputs_of

    try:
        inputs_of(open(store), config)
    except ConfigError as error:
        raise ConfigError(file.where, [f"train.{fault}" for fault in error.faults]) from None
