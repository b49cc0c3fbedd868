"""Cross-validation and ablation: what fusing is worth, beside each input alone, over folds and seeds."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

from mmdata.errors import ConfigError
from mmdata.train.checks import check_form
from mmdata.train.config import TrainConfig, arrangement
from mmdata.train.distributed import ALONE, World
from mmdata.train.fit import train
from mmdata.train.fusion import fusion_class
from mmdata.train.inputs import inputs_of
from mmdata.train.model import check_encoders
from mmdata.train.report import FoldScore, FoldsReport, shown

if TYPE_CHECKING:
    from mmdata.store import Store

FUSED = "fused"
Turn = tuple[str, TrainConfig]  # its name and its settings


def evaluate_folds(
    store: Store,
    config: TrainConfig,
    *,
    folds: int = 5,
    seeds: int = 1,
    compare: Compare | None = None,
    device: str = "cpu",
    watch: Callable[[FoldScore], None] | None = None,
    world: World = ALONE,
) -> FoldsReport:
    """Train on all folds but one, judge on that one, in turns; with all inputs, and with each alone.

    The folds are the splits fold0, fold1, ... of the configuration's selection, as `select` deals them; deal them by a
    group where samples resemble each other. While a fold is judged, the next one decides when to stop, so the
    rest is learned from; with `val_split=None` all others are learned from, for as many epochs as there are.

    Args:
        store: what the inputs are read from.
        config: of each training; its splits are replaced, but for whether there is a `val_split`.
        folds: how many.
        seeds: how often each is trained, from another seed.
        compare: what else to train, besides all inputs together; each alone, unless said.
        device: "cpu", "cuda" or "cuda:N".
        watch: told of each score as it is there.
        world: the processes that train together.

    Raises:
        ConfigError: fewer folds than can be told apart; and whatever `train` raises.
    """
    fewest = 2 if config.val_split is None else 3
    if folds < fewest:
        raise ConfigError("train", [f"folds: {folds} are too few: one to judge, one to stop by, one to learn from"])
    turns = [
        (f"fold{fold}{f' {name}' if seeds > 1 else ''}", of_fold(seeded, fold, folds))
        for fold in range(folds)
        for name, seeded in _seeds(config, seeds)
    ]
    return _evaluate(store, config, turns, compare or Compare(), device, watch, world)


def evaluate_seeds(
    store: Store,
    config: TrainConfig,
    *,
    seeds: int = 5,
    compare: Compare | None = None,
    device: str = "cpu",
    watch: Callable[[FoldScore], None] | None = None,
    world: World = ALONE,
) -> FoldsReport:
    """Train several times on the same splits, from other seeds, and judge on the test split: `evaluate_folds` says how.

    Raises:
        ConfigError: there is no test split; and whatever `train` raises.
    """
    if config.test_split is None:
        raise ConfigError("train", ["test_split: models are compared on it, and there is none"])
    return _evaluate(store, config, list(_seeds(config, seeds)), compare or Compare(), device, watch, world)


def _seeds(config: TrainConfig, seeds: int) -> Iterator[Turn]:
    """A turn a seed."""
    if seeds < 1:
        raise ConfigError("train", [f"seeds: at least one, not {seeds}"])
    for number in range(seeds):
        yield f"seed{number}", replace(config, seed=config.seed + number)


def _evaluate(
    store: Store,
    config: TrainConfig,
    turns: Sequence[Turn],
    compare: Compare,
    device: str,
    watch: Callable[[FoldScore], None] | None,
    world: World,
) -> FoldsReport:
    began_s, scores = time.perf_counter(), []
    if compare.fusions and len(config.inputs) == 1:
        raise ConfigError("train", [f"fusions: there is but one input to fuse, {next(iter(config.inputs))!r}"])
    for _, variant in compare.models(config):  # what can't be is told before the first is trained
        fusion_class(variant.fusion)
        inputs = inputs_of(store, variant)
        check_encoders(inputs, variant)
        check_form(inputs, variant, store.families)
    for name, settings in turns:
        for model, variant in compare.models(settings):
            found = train(store, variant, out=None, device=device, world=world)
            if found.test is None:
                continue
            scores.append(FoldScore(model=model, fold=name, metrics=found.test))
            if watch:
                watch(scores[-1])
    return FoldsReport(scores=tuple(scores), seconds=time.perf_counter() - began_s, shown=shown(config))


@dataclass(frozen=True, kw_only=True)
class Compare:
    """What is trained besides all inputs together.

    Args:
        single: each input alone, where there are several; of "contrastive" nothing that has but one side.
        subsets: every other choice of inputs, too.
        fusions: other ways of fusing all inputs.
    """

    single: bool = True
    subsets: bool = False
    fusions: tuple[str, ...] = ()

    def models(self, config: TrainConfig) -> Iterator[tuple[str, TrainConfig]]:
        """Names and settings: the fused model, other fusions, smaller choices of inputs, then each alone.

        Beside other fusions the first has its fusion's name.
        """
        n_inputs = len(config.inputs)
        if n_inputs > 1:
            if not self.fusions:
                yield FUSED, config
            for fusion in dict.fromkeys((config.fusion, *self.fusions) if self.fusions else ()):
                yield fusion, replace(config, fusion=fusion)
        for size in range(n_inputs - 1, 0, -1):
            if self.subsets or (size == 1 and self.single):
                for names in combinations(config.inputs, size):
                    if config.objective != "contrastive" or all(set(side) & set(names) for side in config.pair):
                        yield "+".join(names), only(config, names)
        if n_inputs == 1:
            yield next(iter(config.inputs)), config


def only(config: TrainConfig, names: Collection[str]) -> TrainConfig:
    """The settings with fewer inputs. An encoder that was given one that is gone does without."""
    inputs = {name: column for name, column in config.inputs.items() if name in names}
    encoders = {name: kind for name, kind in config.encoders.items() if name in names}
    for name, kind in encoders.items():
        own, given = arrangement(kind)
        encoders[name] = own if given not in names else kind
    first, second = (tuple(name for name in side if name in names) for side in config.pair)
    return replace(config, inputs=inputs, encoders=encoders, sides=config.sides and (first, second))


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
