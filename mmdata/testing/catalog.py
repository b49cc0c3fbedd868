"""Large catalogs: stores with the commits of many shards and none of their files, for what reads only the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from mmdata.clean.text import NormalizeText
from mmdata.core.fingerprint import fingerprint
from mmdata.core.pipeline import Compiled, Pipeline
from mmdata.core.ports import Entry, Member, Scan
from mmdata.core.sample import Sample
from mmdata.engine.check import compile_for
from mmdata.features.image import PerceptualHash, Sharpness
from mmdata.features.text import TextLength
from mmdata.store import plans
from mmdata.store.entries import SHARDS
from mmdata.store.files import Files
from mmdata.store.layout import DROPS, PLANS, SAMPLES, DataFile, Media, folder, stem
from mmdata.store.log import Log
from mmdata.store.runs import Recipe
from mmdata.store.store import Change, Store

SOURCE = "made"
SAMPLES_A_SHARD = 10_000
PICTURE_BYTES, TEXT_BYTES = 100_000, 200


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A source of pictures with captions that can only be listed.

    Args:
        n: how many samples. changed: the numbers of those that changed since.
    """

    n: int = 0
    changed: frozenset[int] = frozenset()
    name: str = SOURCE

    @property
    def parts(self) -> tuple[str, ...]:
        return "image", "text"

    def scan(self) -> Scan:
        return Scan([self.entry(number) for number in range(self.n)])

    def entry(self, number: int) -> Entry:
        path, signature = f"{number // 1000:06}/{number:010}", "later" if number in self.changed else "2026-11-22"
        image = Member("image", f"{path}.jpg", PICTURE_BYTES, f"mtime={signature}")
        return Entry(f"{self.name}/{path}", (image, Member("text", f"{path}.txt", TEXT_BYTES, f"mtime={signature}")))

    def read(self, entries: Sequence[Entry]) -> Iterator[Sample]:
        raise NotImplementedError(f"the bytes of {len(entries)} samples of a made-up catalog")


PIPELINE = Pipeline(source=Listed(), ingest=(NormalizeText(),), features=(PerceptualHash(), Sharpness(), TextLength()))


def make(url: str, *, shards: int, samples: int = SAMPLES_A_SHARD, a_commit: int = 1000) -> Store:
    """A store that looks finished: a plan, samples, drops and three features of so many shards.

    Args:
        url: where it is to be.
        shards: how many.
        samples: of each shard.
        a_commit: how many shards a commit takes.
    """
    store = Store.create(url)
    _plan(Files.at(url), shards, samples)
    compiled = compile_for(PIPELINE, ["image", "text"])
    run = store.start_run(command="run", recipe=Recipe(compiled.samples_fp, compiled.recipe))
    for first in range(0, shards, a_commit):
        store.commit(changes(compiled, range(first, min(first + a_commit, shards)), samples=samples))
    store.finish_run(run, counts={}, seconds=1.0)
    return store


def changes(compiled: Compiled, shards: range, *, samples: int = SAMPLES_A_SHARD) -> list[Change]:
    """What a commit of shards' files is."""
    families = {SAMPLES: compiled.samples_fp, DROPS: compiled.samples_fp, **compiled.recipe}
    columns = {family.name: family.step.columns() for family in compiled.families}
    return [
        Change(family, columns.get(family, {}), [_file(family, fp, number, samples) for number in shards])
        for family, fp in families.items()
    ]


def shard_name(number: int) -> str:
    return fingerprint("made", number)


def _file(family: str, fp: str, number: int, rows: int) -> DataFile:
    shard, keys = shard_name(number), fingerprint("keys", number, chars=12)
    name, digest = stem(shard, fp, keys), fingerprint("digest", family, number, chars=32)
    media = Media(f"media/{name}.tar", rows * (PICTURE_BYTES + TEXT_BYTES), digest) if family == SAMPLES else None
    source = SOURCE if family in (SAMPLES, DROPS) else ""
    rows = rows // 100 if family == DROPS else rows
    path = f"{folder(family)}/{name}.parquet"
    return DataFile(family, path, shard, fp, keys, rows, rows * 64, digest, source, media)


def _plan(files: Files, shards: int, samples: int) -> None:
    """Record a division whose entries are nowhere."""
    listed = Listed()
    count, size = [samples] * shards, [samples * (PICTURE_BYTES + TEXT_BYTES)] * shards
    parts = f'{{"image": [{samples}, {samples * PICTURE_BYTES}], "text": [{samples}, {samples * TEXT_BYTES}]}}'
    columns = {
        "op": ["add"] * shards,
        "shard": [shard_name(number) for number in range(shards)],
        "entries": count,
        "size_bytes": size,
        "parts": [parts] * shards,
        "first_key": [listed.entry(number * samples).key for number in range(shards)],
        "last_key": [listed.entry((number + 1) * samples - 1).key for number in range(shards)],
        "file": [f"0-{number // 100:05d}.parquet" for number in range(shards)],
        "row_group": [number % 100 for number in range(shards)],
        "heir": [None] * shards,
    }
    table = pa.Table.from_pydict(columns, schema=SHARDS)
    log = Log(files, PLANS)
    log.refresh()
    plans.record(files, log, SOURCE, 0, table, ())
