"""The jobs of a run: what each shard lacks, of which a job is made when it is handed out.

A job holds a shard's view and files, 5 kB; what a shard lacks is a few words. So a plan of 100,000 jobs stays small.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload

from mmdata.engine.division import Division
from mmdata.engine.shard import ShardJob
from mmdata.store.layout import DataFile
from mmdata.store.view import ShardsById, ShardView


@dataclass(frozen=True, slots=True)
class Lack:
    """What a shard lacks.

    Args:
        entries: how many it has. rows: how many samples are stored; as many as entries where they are to be made.
        samples, families, gather: as a `ShardJob` has them.
    """

    shard: str
    entries: int
    rows: int
    samples: bool
    families: tuple[str, ...]
    gather: Mapping[str, DataFile]


@dataclass(frozen=True, eq=False)
class Jobs(Sequence[ShardJob]):
    """What shards lack, as jobs, each made when it is looked at.

    Args:
        lacks: one a job. division, source_name: the source's shards. views: joined shards, where samples are there.
    """

    division: Division = field(default_factory=Division)
    source_name: str = ""
    views: Mapping[str, ShardView] = field(default_factory=dict)
    lacks: list[Lack] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.lacks)

    def __iter__(self) -> Iterator[ShardJob]:
        return map(self.job, self.lacks)

    @overload
    def __getitem__(self, index: int) -> ShardJob: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[ShardJob]: ...

    def __getitem__(self, index: int | slice) -> ShardJob | Sequence[ShardJob]:
        if isinstance(index, slice):
            return Jobs(self.division, self.source_name, self.views, self.lacks[index])
        return self.job(self.lacks[index])

    def shuffled(self) -> Jobs:
        """The same in another order each time."""
        return Jobs(self.division, self.source_name, self.views, random.sample(self.lacks, len(self.lacks)))

    def job(self, lack: Lack) -> ShardJob:
        entries = self.division.entries(lack.shard)
        unchanged = self.division.unchanged(lack.shard)
        view = self.views.get(lack.shard)
        return ShardJob(
            lack.shard, self.source_name, entries, lack.samples, lack.families, view, lack.gather, unchanged
        )


def stored_rows(views: Mapping[str, ShardView], shard: str) -> int | None:
    """How many samples of a shard are stored; None where it is not."""
    if isinstance(views, ShardsById):
        return views.rows(shard)
    view = views.get(shard)
    return None if view is None else view.rows
