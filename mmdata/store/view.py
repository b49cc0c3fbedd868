"""A frozen picture of a store: which files of which families belong together, shard by shard.

A samples file (shard, S, K) goes with the feature file of the same shard and the same keys K whose fingerprint some
run's recipe names beside S; where several do, the newest run's. So a store is whole at each moment of a replacement.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmdata.store.layout import DROPS, REJECTS, SAMPLES, DataFile
from mmdata.store.live import Columns, Live, from_logged, logged_at
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

    def only(self, family: str) -> ShardView:
        """The shard with that family's file and no other's."""
        return replace(self, features={name: file for name, file in self.features.items() if name == family})


class FileTable:
    """Files of a family as columns, of which objects are made when they are looked at.

    Args:
        family: its name.
        columns: a row a file: at least shard, fp, keys, rows and source ("" for features).
        files: the objects, where they are there already.
    """

    def __init__(self, family: str, columns: pa.Table, files: Sequence[DataFile] | None = None) -> None:
        self.family, self.columns, self._files = family, columns, files

    @classmethod
    def of(cls, family: str, files: Iterable[DataFile]) -> FileTable:
        """Of objects."""
        there = list(files)
        names = ("source", "shard", "fp", "keys", "rows")
        columns = {name: pa.array([getattr(file, name) for file in there]) for name in names}
        kinds = pa.schema([(name, pa.int64() if name == "rows" else pa.string()) for name in names])
        return cls(family, pa.table(columns).cast(kinds) if there else kinds.empty_table(), there)

    @classmethod
    def live(cls, family: str, live: Live) -> FileTable:
        """Of a log's live files."""
        return cls(family, live.columns)

    def __len__(self) -> int:
        return int(self.columns.num_rows)

    def __getitem__(self, row: int) -> DataFile:
        return self._files[row] if self._files is not None else from_logged(self.family, logged_at(self._rows, row))

    @cached_property
    def _rows(self) -> Columns:
        return Columns(self.columns)

    def column(self, name: str) -> pa.Array:
        column = self.columns.column(name).combine_chunks()
        return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column

    def ids(self, *names: str) -> pa.Array:
        """A text a file that is equal where these columns are."""
        return pc.binary_join_element_wise(*(self.column(name) for name in names), "/")


class JoinedShards(Sequence[ShardView]):
    """The shards of a picture, each made when it is looked at.

    Args:
        samples: one file a shard, in order.
        beside: by family, the files, and int64 [shard]: which of them goes with a shard's samples; -1 is none.
    """

    def __init__(self, samples: FileTable, beside: Mapping[str, tuple[FileTable, np.ndarray]]) -> None:
        self.samples = samples
        self.rows: np.ndarray = np.asarray(samples.column("rows").to_numpy(zero_copy_only=False), np.int64)
        self._beside = beside

    def has(self, family: str) -> np.ndarray:
        """Which shards have a file of a family: bool [shard]."""
        return np.asarray(self._at(family) >= 0)

    def _at(self, family: str) -> np.ndarray:
        return self._beside[family][1] if family in self._beside else np.full(len(self), -1)

    def by_fingerprint(self, family: str) -> dict[str, DataFile]:
        """A file of each fingerprint that a family has here."""
        if family not in self._beside:
            return {}
        files, rows = self._beside[family][0], self._at(family)[self.has(family)]
        fps = files.column("fp").take(pa.array(rows))
        first = {fp: int(rows[pc.index(fps, fp).as_py()]) for fp in fps.unique().to_pylist()}
        return {fp: files[row] for fp, row in first.items()}

    def is_of(self, family: str, fp: str) -> np.ndarray:
        """Which shards have a file of a family with a fingerprint: bool [shard]."""
        if family == SAMPLES:
            return np.asarray(pc.equal(self.samples.column("fp"), fp).to_numpy(zero_copy_only=False))
        at = self._at(family)
        if not (at >= 0).any():
            return np.zeros(len(self), bool)
        files = self._beside[family][0]
        same = np.asarray(pc.equal(files.column("fp"), fp).to_numpy(zero_copy_only=False))
        return np.asarray((at >= 0) & same[at])

    @property
    def features(self) -> list[str]:
        """The feature families that were joined, by name."""
        return sorted(self._beside.keys() - {DROPS, REJECTS})

    @cached_property
    def by_id(self) -> ShardsById:
        """The shards by their ids."""
        return ShardsById(self)

    def _view(self, row: int) -> ShardView:
        samples = self.samples[row]
        beside = (self._file(DROPS, row), self._file(REJECTS, row))
        return ShardView(samples.shard, samples.source, samples.rows, samples, _FeaturesOf(self, row), *beside)

    def _file(self, family: str, row: int) -> DataFile | None:
        if family not in self._beside:
            return None
        files, at = self._beside[family]
        return files[int(at[row])] if at[row] >= 0 else None

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[ShardView]:
        return map(self._view, range(len(self)))

    @overload
    def __getitem__(self, index: int) -> ShardView: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[ShardView]: ...

    def __getitem__(self, index: int | slice) -> ShardView | Sequence[ShardView]:
        rows = range(len(self))[index]
        return self._view(rows) if isinstance(rows, int) else tuple(map(self._view, rows))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str) or not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # equal to tuples of views, which have none


class _FeaturesOf(Mapping[str, DataFile]):
    """A shard's feature files by family, each made when it is looked at; pickled, they are."""

    __slots__ = ("_row", "_shards")

    def __init__(self, shards: JoinedShards, row: int) -> None:
        self._shards, self._row = shards, row

    def __reduce__(self) -> tuple[type[dict[str, DataFile]], tuple[dict[str, DataFile]]]:
        return dict, (dict(self),)

    def __getitem__(self, family: str) -> DataFile:
        file = self._shards._file(family, self._row) if family not in (DROPS, REJECTS) else None
        if file is None:
            raise KeyError(family)
        return file

    def __iter__(self) -> Iterator[str]:
        return (family for family in self._shards.features if self._shards._at(family)[self._row] >= 0)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, family: object) -> bool:
        return any(family == each for each in self)

    def __repr__(self) -> str:
        return repr(dict(self))


class ShardsById(Mapping[str, ShardView]):
    """The same by id."""

    def __init__(self, shards: JoinedShards) -> None:
        self.shards = shards
        self._places = {shard: row for row, shard in enumerate(shards.samples.column("shard").to_pylist())}

    def __getitem__(self, shard: str) -> ShardView:
        return self.shards[self._places[shard]]

    def rows(self, shard: str) -> int | None:
        """How many samples a shard has; None where there is no such shard."""
        place = self._places.get(shard)
        return None if place is None else int(self.shards.rows[place])

    def having(self, fps: Mapping[str, str]) -> set[str]:
        """The ids of shards that have a file of each of some families with that fingerprint."""
        every = np.ones(len(self.shards), bool)
        for family, fp in fps.items():
            every &= self.shards.is_of(family, fp)
        return set(self.shards.samples.column("shard").filter(pa.array(every)).to_pylist())

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, shard: object) -> bool:
        return shard in self._places


@dataclass(frozen=True)
class StoreView:
    """All shards, in order of source and shard id."""

    shards: Sequence[ShardView] = ()

    def __len__(self) -> int:
        if isinstance(self.shards, JoinedShards):
            return int(self.shards.rows.sum())
        return sum(shard.rows for shard in self.shards)

    @property
    def families(self) -> list[str]:
        """The feature families that at least one shard has, by name."""
        if isinstance(self.shards, JoinedShards):
            return [family for family in self.shards.features if self.shards.has(family).any()]
        return sorted({family for shard in self.shards for family in shard.features})

    @property
    def by_id(self) -> Mapping[str, ShardView]:
        """The shards by their ids."""
        if isinstance(self.shards, JoinedShards):
            return self.shards.by_id
        return {shard.shard: shard for shard in self.shards}

    def n_lacking(self, family: str) -> int:
        """How many shards are without a file of a family; one without rows needs none."""
        if isinstance(self.shards, JoinedShards):
            return int(((self.shards.rows > 0) & ~self.shards.has(family)).sum())
        return len(self.lacking(family))

    def lacking(self, family: str) -> list[ShardView]:
        """The shards without a file of a family; one without rows needs none."""
        if isinstance(self.shards, JoinedShards):
            return [self.shards[int(row)] for row in np.flatnonzero((self.shards.rows > 0) & ~self.shards.has(family))]
        return [shard for shard in self.shards if shard.rows and family not in shard.features]

    def with_rejects(self) -> list[ShardView]:
        """The shards of which samples were rejected."""
        if isinstance(self.shards, JoinedShards):
            return [self.shards[int(row)] for row in np.flatnonzero(self.shards.has(REJECTS))]
        return [shard for shard in self.shards if shard.rejects is not None]

    @property
    def sources(self) -> list[str]:
        """The names of all sources, sorted."""
        if isinstance(self.shards, JoinedShards):
            return sorted(self.shards.samples.column("source").unique().to_pylist())
        return sorted({shard.source for shard in self.shards})

    def by_fingerprint(self, family: str) -> dict[str, DataFile]:
        """A file of each fingerprint that a feature family has."""
        if isinstance(self.shards, JoinedShards):
            return self.shards.by_fingerprint(family)
        return {shard.features[family].fp: shard.features[family] for shard in self.shards if family in shard.features}

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
    tables = {family: FileTable.of(family, files) for family, files in features.items()}
    beside = FileTable.of(DROPS, drops), FileTable.of(REJECTS, rejects)
    return join_tables(FileTable.of(SAMPLES, samples), tables, recipes, drops=beside[0], rejects=beside[1])


def join_tables(
    samples: FileTable,
    features: Mapping[str, FileTable],
    recipes: Sequence[Recipe],
    *,
    drops: FileTable,
    rejects: FileTable,
) -> StoreView:
    """As `join`, of files as columns."""
    order = pc.sort_indices(samples.columns, sort_keys=[("source", "ascending"), ("shard", "ascending")])
    samples = _Ordered(samples, order)
    ranks = _ranks(recipes)
    beside = {family: (files, _chosen(samples, family, files, ranks)) for family, files in sorted(features.items())}
    for files in (drops, rejects):
        beside[files.family] = files, _last_of(samples.ids("shard", "fp", "keys"), files.ids("shard", "fp", "keys"))
    return StoreView(JoinedShards(samples, beside))


class _Ordered(FileTable):
    """The same files in another order."""

    def __init__(self, files: FileTable, order: pa.Array) -> None:
        super().__init__(files.family, files.columns.take(order))
        self._before, self._order = files, order

    def __getitem__(self, row: int) -> DataFile:
        return self._before[self._order[row].as_py()]


def _last_of(wanted: pa.Array, there: pa.Array) -> np.ndarray:
    """Where the last of each of the wanted stands: int64 [wanted]; -1 where it is not there."""
    places = pc.index_in(wanted, value_set=there.take(pa.array(np.arange(len(there))[::-1])))
    found = np.asarray(pc.fill_null(places, -1).to_numpy(zero_copy_only=False), np.int64)
    return np.where(found >= 0, len(there) - 1 - found, -1)


def _chosen(samples: FileTable, family: str, files: FileTable, ranks: Mapping[tuple[str, str, str], int]) -> np.ndarray:
    """Which file of a family goes with each samples file, by the newest recipe that joins two that are there."""
    chosen = np.full(len(samples), -1, np.int64)
    best = np.full(len(samples), np.inf)
    fps, wanted, there = (
        samples.column("fp").dictionary_encode(),
        samples.ids("shard", "keys"),
        files.ids("shard", "keys"),
    )
    for fp in files.column("fp").unique().to_pylist():
        of_fp = np.flatnonzero(pc.equal(files.column("fp"), fp).to_numpy(zero_copy_only=False))
        of_rank = np.array([ranks.get((each, family, fp), np.inf) for each in fps.dictionary.to_pylist()])
        found = _last_of(wanted, there.take(pa.array(of_fp)))
        rank = np.where(found >= 0, of_rank[fps.indices.to_numpy()], np.inf) if len(of_rank) else best
        better = rank < best
        chosen[better], best[better] = of_fp[found[better]], rank[better]
    return chosen


def _ranks(recipes: Sequence[Recipe]) -> dict[tuple[str, str, str], int]:
    """How old the newest recipe is that names a feature's fingerprint beside the samples'; 0 is the newest."""
    ranks: dict[tuple[str, str, str], int] = {}
    for age, recipe in enumerate(recipes):
        for family, fp in recipe.features.items():
            ranks.setdefault((recipe.samples, family, fp), age)
    return ranks
