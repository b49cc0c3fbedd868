"""Which samples are trained on and which are judged by: by a hash, so that no sample ever changes sides."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from json.encoder import encode_basestring
from typing import Any, Self

import numpy as np

from mmdata.core.fingerprint import canonical
from mmdata.errors import ConfigError

SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}
CLUSTER = "cluster"  # as a group: the samples that dedup found to be alike
_SETTINGS = ("group", "folds", "seed", "stratified")


@dataclass(frozen=True, kw_only=True)
class Split:
    """How samples are dealt to splits.

    A sample's split hangs on its group (or its key, without one) and the seed alone: new samples change nobody's
    split, and samples of one group are never apart. Shares are met on average over groups, not exactly: of n groups a
    share p is met within 3 * sqrt(p (1 - p) / n), but once in some hundred times.

    Args:
        shares: the share of groups that each split gets; they add up to 1.
        folds: instead of shares, deal to fold0, fold1, ... equally.
        group: a column, or several; samples with the same value in any of them stay together. Where it is null, a
            sample stands alone. "cluster" is the samples that dedup found to be alike.
        seed: another one deals anew.
        stratified: a column; each of its values is dealt by the shares, to within two groups. It promises balance
            instead of stability: new samples may move old ones.

    Raises:
        ConfigError: a number is out of range; all faults at once.
    """

    shares: Mapping[str, float] = field(default_factory=lambda: dict(SHARES))
    folds: int | None = None
    group: str | tuple[str, ...] | None = None
    seed: int = 0
    stratified: str | None = None

    def __post_init__(self) -> None:
        faults = [f"{name!r} can't name a split" for name in self.shares if not isinstance(name, str) or not name]
        faults += [f"{name}: a share can't be {share}" for name, share in self.shares.items() if not 0 <= share <= 1]
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
        group = others.get("group")
        if isinstance(group, list | tuple):
            others["group"] = tuple(group)
            faults += [f"group: must be str, not {each!r}" for each in group if not isinstance(each, str)]
        else:
            faults += _wrong(others, "group", str)
        faults += _wrong(others, "folds", int) + _wrong(others, "seed", int) + _wrong(others, "stratified", str)
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

    @property
    def parts(self) -> list[float]:
        """The share of each of `names`."""
        return list(self.shares.values()) if self.folds is None else [1 / self.folds] * self.folds

    @property
    def groups(self) -> tuple[str, ...]:
        """The columns that keep samples together."""
        return () if self.group is None else (self.group,) if isinstance(self.group, str) else self.group

    def assign(self, keys: Sequence[str], groups: Sequence[object] | None = None) -> list[str]:
        """The split of each sample. `groups` are its values in the group column; None stands alone.

        >>> Split(folds=3).assign(["a", "b", "c"], ["x", "x", None])
        ['fold2', 'fold2', 'fold0']
        """
        names = np.array(self.names, object)
        chosen: list[str] = names[self.deal(self.places(keys, groups))].tolist()
        return chosen

    def places(self, keys: Sequence[str], groups: Sequence[object] | None = None) -> np.ndarray:
        """Where samples stand in [0, 2**64): uint64 [sample], uniform over keys, or over groups."""
        if groups is None:
            return self._placed([f'["key",{encode_basestring(key)}]' for key in keys])
        known: dict[tuple[type, object], int] = {}
        codes = np.array(
            [-1 if group is None else known.setdefault((type(group), group), len(known)) for group in groups], np.int64
        )
        alone = np.flatnonzero(codes < 0)
        placed = np.empty(len(keys), np.uint64)
        placed[codes >= 0] = self._placed([canonical(["group", group]) for _, group in known])[codes[codes >= 0]]
        placed[alone] = self.places([keys[row] for row in alone.tolist()])
        return placed

    def _placed(self, tokens: Sequence[str]) -> np.ndarray:
        seed = f"{self.seed}\x00"
        return np.frombuffer(
            b"".join(
                [
                    hashlib.blake2b((seed + token).encode("utf-8", "surrogateescape"), digest_size=8).digest()
                    for token in tokens
                ]
            ),
            ">u8",
        ).astype(np.uint64)

    def deal(self, places: np.ndarray) -> np.ndarray:
        """The split that each place falls to, by its number among `names`: int64 [sample]."""
        inner = [bound for bound in self._bounds() if bound < 2**64]
        return np.searchsorted(np.array(inner, np.uint64), places, side="right")

    def _bounds(self) -> list[int]:
        """Where each split ends, of 2**64; what rounding leaves goes to the last that has a share."""
        bounds = [round(total * 2**64) for total in accumulate(self.parts)]
        last = max(place for place, share in enumerate(self.parts) if share > 0)
        return bounds[:last] + [2**64] * (len(bounds) - last)


def _wrong(settings: Mapping[str, Any], name: str, kind: type) -> list[str]:
    value = settings.get(name)
    if value is None or (isinstance(value, kind) and not isinstance(value, bool)):
        return []
    return [f"{name}: must be {kind.__name__}, not {value!r}"]
