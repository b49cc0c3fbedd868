"""Cross-validation: what fusing is worth, beside each input alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from mmdata.errors import ConfigError
from mmdata.train.config import TrainConfig
from mmdata.train.fit import train
from mmdata.train.report import FoldScore, FoldsReport

if TYPE_CHECKING:
    from mmdata.store import Store

FUSED = "fused"


def evaluate_folds(
    store: Store,
    config: TrainConfig,
    *,
    folds: int = 5,
    single: bool = True,
    device: str = "cpu",
    watch: Callable[[FoldScore], None] | None = None,
) -> FoldsReport:
    """Train on all folds but one, judge on that one, in turns; with all inputs, and with each alone.

    The folds are the splits fold0, fold1, ... of the configuration's selection, as `select` deals them; deal them by a
    group where samples resemble each other. While a fold is judged, the next one decides when to stop, so the
    rest is learned from; with `val_split=None` all others are learned from, for as many epochs as there are.

    Args:
        store: what the inputs are read from.
        config: of each training; its splits are replaced, but for whether there is a `val_split`.
        folds: how many.
        single: also train on each input alone, where there are several.
        device: "cpu", "cuda" or "cuda:N".
        watch: told of each score as it is there.

    Raises:
        ConfigError: fewer folds than can be told apart; and whatever `train` raises.
    """
    fewest = 2 if config.val_split is None else 3
    if folds < fewest:
        raise ConfigError("train", [f"folds: {folds} are too few: one to judge, one to stop by, one to learn from"])
    began_s = time.perf_counter()
    scores = []
    for number in range(folds):
        for model, variant in models(config, single=single):
            found = train(store, of_fold(variant, number, folds), out=None, device=device)
            if found.test is None:
                continue
            scores.append(FoldScore(model=model, fold=f"fold{number}", metrics=found.test))
            if watch:
                watch(scores[-1])
    return FoldsReport(scores=tuple(scores), seconds=time.perf_counter() - began_s)


def models(config: TrainConfig, *, single: bool) -> Iterator[tuple[str, TrainConfig]]:
    """The settings of the fused model, then of each input alone; a lone input has nothing to be fused with."""
    if len(config.inputs) > 1:
        yield FUSED, config
    if single or len(config.inputs) == 1:
        for name, column in config.inputs.items():
            yield name, replace(config, inputs={name: column})


def of_fold(config: TrainConfig, number: int, folds: int) -> TrainConfig:
    """The settings for one fold: it is the test split, the next one validates, the others train."""
    names = [f"fold{(number + turn) % folds}" for turn in range(folds)]
    n_judges = 1 if config.val_split is None else 2
    return replace(
        config,
        train_split=tuple(names[n_judges:]),
        val_split=None if config.val_split is None else names[1],
        test_split=names[0],
    )
