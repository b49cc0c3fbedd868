"""A frozen picture of a store: which files of which families belong together, shard by shard.

A samples file (shard, S, K) goes with the feature file of the same shard and the same keys K whose fingerprint some
run's recipe names beside S; where several do, the newest run's. So a store is whole at each moment of a replacement.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mmdata.store.layout import DataFile
from mmdata.store.runs import Recipe


@dataclass(frozen=True)
class ShardView:
    """One shard: its samples, and the files that go with them.

    Args:
        shard: its id. source: its source's name. rows: how many samples.
        features: by family; a family without a file for this shard is not in it.
        drops, rejects: None where there are none.
    """

    shard: str
    source: str
    rows: int
    samples: DataFile
    features: Mapping[str, DataFile] = field(default_factory=dict)
    drops: DataFile | None = None
    rejects: DataFile | None = None


@dataclass(frozen=True)
class StoreView:
    """All shards, in order of source and shard id."""

    shards: tuple[ShardView, ...] = ()

    def __len__(self) -> int:
        return sum(shard.rows for shard in self.shards)

    @property
    def families(self) -> list[str]:
        """The feature families that at least one shard has, by name."""
        return sorted({family for shard in self.shards for family in shard.features})

    def lacking(self, family: str) -> list[ShardView]:
        """The shards without a file of a family; one without rows needs none."""
        return [shard for shard in self.shards if shard.rows and family not in shard.features]

    def files(self) -> list[DataFile]:
        """Every file that the picture shows."""
        found = []
        for shard in self.shards:
            beside = [file for file in (shard.drops, shard.rejects) if file is not None]
            found += [shard.samples, *shard.features.values(), *beside]
        return found


def join(
    samples: Iterable[DataFile],
    features: Mapping[str, Iterable[DataFile]],
    recipes: Sequence[Recipe],
    *,
    drops: Iterable[DataFile] = (),
    rejects: Iterable[DataFile] = (),
) -> StoreView:
    """Put files together.

    Args:
        samples: live samples files.
        features: live files by family.
        recipes: the newest first.
        drops: live files; the one of a samples file has its fingerprint and keys.
        rejects: as drops.
    """
    ranks = _ranks(recipes)
    chosen: dict[tuple[str, str], dict[str, list[DataFile]]] = defaultdict(lambda: defaultdict(list))
    for family, live in features.items():
        for file in live:
            chosen[file.shard, file.keys][family].append(file)
    dropped = {file.stands_for: file for file in drops}
    rejected = {file.stands_for: file for file in rejects}
    shards = []
    for file in sorted(samples, key=lambda file: (file.source, file.shard)):
        beside = {}
        for family, found in chosen.get((file.shard, file.keys), {}).items():
            ranked = {ranks[file.fp, family, each.fp]: each for each in found if (file.fp, family, each.fp) in ranks}
            if ranked:
                beside[family] = ranked[min(ranked)]
        own = file.stands_for
        shards.append(ShardView(file.shard, file.source, file.rows, file, beside, dropped.get(own), rejected.get(own)))
    return StoreView(tuple(shards))


def _ranks(recipes: Sequence[Recipe]) -> dict[tuple[str, str, str], int]:
    """How old the newest recipe is that names a feature's fingerprint beside the samples'; 0 is the newest."""
    ranks: dict[tuple[str, str, str], int] = {}
    for age, recipe in enumerate(recipes):
        for family, fp in recipe.features.items():
            ranks.setdefault((recipe.samples, family, fp), age)
    return ranks
