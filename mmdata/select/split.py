"""Which samples are trained on and which are judged by: by a hash, so that no sample ever changes sides."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Self

from mmdata.core.fingerprint import canonical
from mmdata.errors import ConfigError

SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}
_SETTINGS = ("group", "folds", "seed")


@dataclass(frozen=True, kw_only=True)
class Split:
    """How samples are dealt to splits.

    A sample's split hangs on its group (or its key, without one) and the seed alone: new samples change nobody's
    split, and samples of one group are never apart. Shares are met on average over groups, not exactly.

    Args:
        shares: the share of groups that each split gets; they add up to 1.
        folds: instead of shares, deal to fold0, fold1, ... equally.
        group: a column; samples with the same value stay together. Where it is null, a sample stands alone.
        seed: another one deals anew.

    Raises:
        ConfigError: a number is out of range; all faults at once.
    """

    shares: Mapping[str, float] = field(default_factory=lambda: dict(SHARES))
    folds: int | None = None
    group: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        faults = [f"{name}: a share can't be {share}" for name, share in self.shares.items() if not 0 <= share <= 1]
        total = sum(self.shares.values())
        if not faults and abs(total - 1) > 1e-6:
            faults.append(f"shares add up to {total:g}, not to 1: {dict(self.shares)}")
        if self.folds is not None and self.folds < 2:
            faults.append(f"folds: must be at least 2, not {self.folds}")
        if faults:
            raise ConfigError("split", faults)

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> Self:
        """The split of a pipeline file: {"train": 0.8, "test": 0.2, "group": "caption"}, or {"folds": 5}.

        Raises:
            ConfigError: a share is no number, or there are both shares and folds.
        """
        shares = {name: value for name, value in settings.items() if name not in _SETTINGS}
        others = {name: value for name, value in settings.items() if name in _SETTINGS}
        faults = [
            f"{name}: a share must be a number, not {value!r}"
            for name, value in shares.items()
            if isinstance(value, bool) or not isinstance(value, int | float)
        ]
        faults += _wrong(others, "group", str) + _wrong(others, "folds", int) + _wrong(others, "seed", int)
        if shares and "folds" in others:
            faults.append(f"folds: deals to fold0, fold1, ...; leave out the shares {', '.join(shares)}, or it")
        if faults:
            raise ConfigError("split", faults)
        given: dict[str, Any] = {"shares": shares, **others} if shares else others
        return cls(**given)

    @property
    def names(self) -> tuple[str, ...]:
        """The splits, in order."""
        return tuple(self.shares) if self.folds is None else tuple(f"fold{number}" for number in range(self.folds))

    def assign(self, keys: Sequence[str], groups: Sequence[object] | None = None) -> list[str]:
        """The split of each sample. `groups` are its values in the group column; None stands alone.

        >>> Split(folds=3).assign(["a", "b", "c"], ["x", "x", None])
        ['fold2', 'fold2', 'fold0']
        """
        names, bounds = self.names, self._bounds()
        dealt: dict[str, str] = {}
        chosen = []
        for row, key in enumerate(keys):
            group = None if groups is None else groups[row]
            token = canonical(["key", key] if group is None else ["group", group])
            if token not in dealt:
                place = _place(token, self.seed)
                dealt[token] = next(name for name, bound in zip(names, bounds, strict=True) if place < bound)
            chosen.append(dealt[token])
        return chosen

    def _bounds(self) -> list[int]:
        """Where each split ends, of 2**64; what rounding leaves goes to the last that has a share."""
        shares = list(self.shares.values()) if self.folds is None else [1 / self.folds] * self.folds
        bounds = [round(total * 2**64) for total in accumulate(shares)]
        last = max(place for place, share in enumerate(shares) if share > 0)
        return bounds[:last] + [2**64] * (len(bounds) - last)


def _wrong(settings: Mapping[str, Any], name: str, kind: type) -> list[str]:
    value = settings.get(name)
    if value is None or (isinstance(value, kind) and not isinstance(value, bool)):
        return []
    return [f"{name}: must be {kind.__name__}, not {value!r}"]


def _place(token: str, seed: int) -> int:
    """A number in [0, 2**64), uniform over tokens."""
    data = f"{seed}\x00{token}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")
