"""How often each sample counts: caps on classes, and weights by class or by expression."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from mmdata.core.pipeline import guess
from mmdata.errors import ConfigError

MOST_TOLD = 500  # characters about classes in a message
INVERSE, ROOT = "inverse", "inverse_root"
_SETTINGS = ("by", "cap", "weight", "splits")


@dataclass(frozen=True, kw_only=True)
class Balance:
    """What is done about classes of different size, in each split by itself.

    Args:
        by: a column or an expression in SQL: the class of a sample. Null is a class like any other.
        cap: the most samples of a class, or of each class by its name; the rest is left out as "balance.cap". Which
            stay hangs on their keys alone.
        weight: "inverse" gives each class the same sum of weights, "inverse_root" goes half the way; or weights by
            class, 1 where none is given; or an expression in SQL that gives a number of at least 0. The first two
            come to 1 on average. A sample of weight 0 stays.
        splits: where caps and weights apply; None is everywhere.

    Raises:
        ConfigError: settings that can't work; all faults at once.
    """

    by: str | None = None
    cap: int | Mapping[str, int] | None = None
    weight: str | Mapping[str, float] | None = None
    splits: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        faults = []
        caps = self.cap.values() if isinstance(self.cap, Mapping) else [] if self.cap is None else [self.cap]
        faults += [f"cap: must be a whole number of at least 1, not {cap!r}" for cap in caps if not _is_count(cap)]
        weights = self.weight.values() if isinstance(self.weight, Mapping) else []
        faults += [f"weight: must be a number of at least 0, not {each!r}" for each in weights if not _is_weight(each)]
        if self.by is None and (self.cap is not None or self._is_by_class):
            faults.append("by: is missing: caps and weights are by what column or expression?")
        if self.cap is None and self.weight is None:
            faults.append("nothing is to be done: give a cap or a weight")
        if faults:
            raise ConfigError("balance", faults)

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> Self:
        """The balance of a pipeline file: {"by": "label", "cap": 500}, or {"by": "label", "weight": "inverse"}.

        Raises:
            ConfigError: a setting is unknown or of another type.
        """
        faults = [
            f"no setting {name!r}; there are {', '.join(_SETTINGS)}" for name in settings if name not in _SETTINGS
        ]
        by, weight, splits = settings.get("by"), settings.get("weight"), settings.get("splits")
        if by is not None and not isinstance(by, str):
            faults.append(f"by: expected a column or an expression, not {by!r}")
        if isinstance(weight, int | float):
            faults.append(f"weight: expected {INVERSE}, {ROOT}, weights by class or an expression, not {weight!r}")
        if isinstance(splits, str):
            splits = [splits]
        is_list = isinstance(splits, list | tuple) and all(isinstance(split, str) for split in splits)
        if splits is not None and not is_list:
            faults.append(f"splits: expected names of splits, not {splits!r}")
        if faults:
            raise ConfigError("balance", faults)
        return cls(by=by, cap=settings.get("cap"), weight=weight, splits=None if splits is None else tuple(splits))

    @property
    def _is_by_class(self) -> bool:
        return isinstance(self.weight, Mapping) or self.weight in (INVERSE, ROOT)

    def told(self) -> dict[str, Any]:
        """Its settings as JSON can say them, in one order."""
        return {name: _by_text(value) if isinstance(value, Mapping) else value for name, value in vars(self).items()}

    @property
    def expression(self) -> str | None:
        """The expression that gives weights, if one does."""
        return None if self._is_by_class or not isinstance(self.weight, str) else self.weight

    def unknown(self, names: Sequence[object]) -> Iterator[str]:
        """What caps and weights say of classes that no sample has; they may be misspelt, or yet to come."""
        there = ["null" if name is None else str(name) for name in names]
        for setting, value in (("cap", self.cap), ("weight", self.weight)):
            for each in value if isinstance(value, Mapping) else ():
                called = "null" if each is None else str(each)
                if called not in there:
                    known = guess(called, there)
                    known = known if len(known) <= MOST_TOLD else f"; there are {len(there)} others"
                    yield f"balance.{setting}: no sample is of class {called!r}{known}"

    def over(self, classes: np.ndarray, names: Sequence[object], splits: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Which samples are beyond their class's cap: bool [sample].

        Args:
            classes: int64 [sample], places in `names`.
            names: the classes.
            splits: int64 [sample]; below 0, caps don't apply.
            places: uint64 [sample]; the lowest stay.
        """
        if self.cap is None:
            return np.zeros(len(classes), bool)
        cap = self.cap
        most = np.array([_of_class(cap, name, math.inf) if isinstance(cap, Mapping) else cap for name in names])
        order = np.lexsort((places, classes, splits))
        new = (np.diff(classes[order], prepend=-1) != 0) | (np.diff(splits[order], prepend=-2) != 0)
        rank = np.empty(len(order), np.int64)
        at = np.arange(len(order))
        rank[order] = at - np.maximum.accumulate(np.where(new, at, 0))
        return (splits >= 0) & (rank >= most[classes]) if len(order) else np.zeros(0, bool)

    def weights(self, classes: np.ndarray, names: Sequence[object], splits: np.ndarray) -> np.ndarray:
        """The weight of each sample by its class: float64 [sample]; arguments as of `over`."""
        made = np.ones(len(classes))
        if isinstance(self.weight, Mapping):
            by_class = np.array([_of_class(self.weight, name, 1.0) for name in names], np.float64)
            return np.where(splits >= 0, by_class[classes], 1.0) if len(names) else made
        if self.weight not in (INVERSE, ROOT):
            return made
        for split in np.unique(splits[splits >= 0]):
            here = splits == split
            counts = np.bincount(classes[here], minlength=len(names)).astype(np.float64)
            each = 1 / counts[classes[here]]
            made[here] = each / each.mean() if self.weight == INVERSE else np.sqrt(each) / np.sqrt(each).mean()
        return made


def _of_class(given: Mapping[str, Any], name: object, otherwise: float) -> Any:
    """What is given for a class; numbers and truth values are named as they are written."""
    if name in given:
        return given[name]  # type: ignore[index]  # a YAML key may be a number
    return given.get("null" if name is None else str(name), otherwise)


def _by_text(given: Mapping[Any, Any]) -> list[Any]:
    """Names, which may be numbers in a pipeline file, and what is given for each."""
    return sorted(([type(name).__name__, str(name), value] for name, value in given.items()), key=lambda each: each[:2])


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_weight(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
