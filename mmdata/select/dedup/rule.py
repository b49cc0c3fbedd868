"""What a rule of duplicates is, and what it is asked about."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mmdata.select.clusters import Clusters

if TYPE_CHECKING:
    from mmdata.store import Store


@dataclass(frozen=True, kw_only=True)
class Against:
    """Samples of another selection, of which none is to be like one that is selected: a test set, for instance.

    Args:
        selection: its name.
        split: only samples of this split of it.
        store: where it is; None is the same store.
    """

    selection: str
    split: str | None = None
    store: str | None = None


@dataclass(frozen=True)
class Asked:
    """Samples of one store that a rule is asked about.

    Args:
        store: whose.
        rows: bool [sample], which of them.
        first: the number of the store's first sample, among all that the rule is asked about.
    """

    store: Store
    rows: np.ndarray
    first: int = 0


@dataclass(frozen=True, kw_only=True)
class Rule(ABC):
    """When samples count as alike. A step's fields, and what is kept of each cluster.

    Args:
        on: the column that is compared.
        keep: an expression in SQL: of each cluster the sample stays for which it is greatest; null and what is no
            number come last. Without it, and where several are equal, the first in the store's order stays.
    """

    name: ClassVar[str]

    on: str
    keep: str | None = None

    @property
    def reason(self) -> str:
        """What samples are left out for."""
        return f"dedup.{self.name}"

    @property
    def features(self) -> tuple[str, ...]:
        """The feature columns that it reads."""
        return (self.on,)

    def told(self) -> dict[str, Any]:
        """Its name and settings, as fingerprints have them."""
        return {"use": self.name, **asdict(self)}

    @abstractmethod
    def link(self, asked: Sequence[Asked], clusters: Clusters) -> None:
        """Join the samples that are alike; a sample is known by its number.

        Raises:
            ConfigError: the column holds something else than the rule compares.
            Incomplete: shards lack the feature. StoreError: there is no such feature.
        """
