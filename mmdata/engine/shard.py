"""The work on one shard: source, ingest steps, a tee to samples and media, then every feature, all in one pass.

It runs in a worker and writes whole files under final names; nothing that it does is seen by readers until the
coordinator commits. Running it again writes the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from time import perf_counter
from typing import Any, cast

from mmdata.codec.encode import encode
from mmdata.codec.video import tally
from mmdata.core.fingerprint import keys_digest
from mmdata.core.pipeline import REFERENCE, Compiled, Family, Kept, RunSettings
from mmdata.core.ports import Encoded, Entry, Source
from mmdata.core.sample import Audio, Blob, Frames, Part, Sample
from mmdata.core.step import BatchExtract, Map
from mmdata.core.watch import Watch
from mmdata.engine.carry import Carrier, Rejection, rejection
from mmdata.engine.counts import Counts
from mmdata.engine.division import entry_of
from mmdata.engine.extract import Extraction, FamilyWork, Row
from mmdata.engine.films import Early, Films
from mmdata.engine.notes import FEATURES, Notes
from mmdata.engine.reading import SOURCE, seconds_read, watched
from mmdata.engine.visible import absolute, check_visible, located
from mmdata.errors import StoreError
from mmdata.store.layout import DataFile
from mmdata.store.store import Store
from mmdata.store.view import ShardView
from mmdata.store.write import ShardWriter
from mmdata.store.write_features import FeatureWriter

STORING = "store"  # the name under which encoding and writing are timed
READING, CLOSING = "source", "closing"  # what notes call the time before an entry's first step, and after the last's


@dataclass(frozen=True)
class Portion:
    """Some of a shard's entries, to be done by themselves.

    Args:
        entries: their keys.
        name: in place of the shard's in the names of files; None keeps no files: it is only seen whether it goes well.
    """

    entries: frozenset[str]
    name: str | None = None


@dataclass(frozen=True)
class ShardJob:
    """What is to be done for a shard.

    Args:
        shard, source_name, entries: which samples.
        samples: whether to make samples and media; otherwise `view` says where they are.
        families: names of the families to make.
        gather: files of older rows by family, to be taken over: all of them where they are this shard's, and those of
            `unchanged` entries where they are those of a shard that this one replaces.
        condemned: entries on which a process ended, by key, with the reason: they are rejected unseen; where their
            samples are stored already, the features that are to be made are null.
        refused: of entries, steps that must not be called for their features, with the reason: those rows are null.
        careful: whether a worker died on it before: it is done in processes of its own, and features are made one by
            one, so that notes tell the sample.
        portion: only some of the entries; None is all.
        pieces: by family, files of portions that hold all rows between them, and are put together untouched.
        resources: what a worker must have for it, where workers differ: {"GPU": 1}.
    """

    shard: str
    source_name: str
    entries: Sequence[Entry]
    samples: bool
    families: Sequence[str]
    view: ShardView | None = None
    gather: Mapping[str, DataFile] = field(default_factory=dict)
    unchanged: frozenset[str] = frozenset()
    condemned: Mapping[str, Rejection] = field(default_factory=dict)
    refused: Mapping[str, Mapping[str, Rejection]] = field(default_factory=dict)
    careful: bool = False
    portion: Portion | None = None
    pieces: Mapping[str, Sequence[DataFile]] = field(default_factory=dict)
    resources: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What files are named after."""
        return (self.portion and self.portion.name) or self.shard


@dataclass
class ShardResult:
    """What came of a job: files that wait to be committed, the counts, and a line for each process that it ended."""

    job: ShardJob
    files: list[DataFile]
    counts: Counts
    deaths: Sequence[str] = ()


@dataclass(frozen=True)
class ShardWork:
    """Does jobs. It is sent to workers once: where the store is, what the pipeline says, and how to read the source."""

    store_url: str
    storage_options: Mapping[str, str] = field(repr=False)
    source: Source | None
    compiled: Compiled
    settings: RunSettings = field(default_factory=RunSettings)

    def __post_init__(self) -> None:
        object.__setattr__(self, "store_url", absolute(self.store_url))
        object.__setattr__(self, "source", located(self.source))

    def ready(self) -> None:
        """See whether a worker can do it: an executor calls this where work has come from another machine."""
        check_visible(self.store_url, self.source)

    def resources(self, families: Sequence[str]) -> Mapping[str, float]:
        """What a worker must have to make these families: a GPU, where models are to run on one and nowhere else."""
        models = any(isinstance(each.step, BatchExtract) for each in self.compiled.families if each.name in families)
        return {"GPU": 1} if models and self.settings.device.startswith("cuda") else {}

    def __call__(self, job: ShardJob, notes: Notes | None = None) -> ShardResult:
        started = perf_counter()
        tally.take()
        with _Desk(self, job, notes or Notes(None)) as desk:
            files = desk.ingest() if job.samples else desk.features_alone()
        desk.counts.decoded.update(tally.take().to_json())
        desk.counts.times("shard").n += 1
        desk.counts.times("shard").seconds += perf_counter() - started
        return ShardResult(job, files, desk.counts)


class _Desk:
    """One job's open files and counts."""

    def __init__(self, work: ShardWork, job: ShardJob, notes: Notes) -> None:
        self._work, self._job, self._notes, self.counts = work, job, notes, Counts()
        self._exits = ExitStack()
        self._families: list[FamilyWork] = []
        self._films = Films(self.counts, notes)

    def __enter__(self) -> _Desk:
        return self

    def __exit__(self, *error: object) -> None:
        self._exits.close()  # whatever was not closed by then is aborted

    @cached_property
    def _entries(self) -> frozenset[str]:
        return frozenset(entry.key for entry in self._job.entries)

    @cached_property
    def _store(self) -> Store:
        return Store.open(self._work.store_url, storage_options=self._work.storage_options)

    def ingest(self) -> list[DataFile]:
        """Make samples, media and features in one pass."""
        job, work = self._job, self._work
        writer = ShardWriter(
            work.store_url,
            shard=job.name,
            fp=work.compiled.samples_fp,
            source=job.source_name,
            storage_options=work.storage_options,
        )
        self._exits.callback(writer.abort)
        extraction = self._extraction()
        keys: list[str] = []
        for entry, sample in self._carried(writer):
            stored = self._store_sample(writer, entry, sample)
            if stored is not None:
                keys.append(sample.key)
                extraction.add(entry.key, stored, self._refused(entry.key))
        extraction.flush()
        self.counts.stored = len(keys)
        self._notes.write("", CLOSING)
        if self._is_trial:
            return []
        with self.counts.times(STORING).spending():
            return [*writer.close(), *self._close_families(keys)]

    def features_alone(self) -> list[DataFile]:
        """Make features of a shard whose samples are stored; from the source where their parts are not."""
        view = self._job.view
        if view is None:
            raise StoreError(f"shard {self._job.shard} has no samples to make features of")
        extraction = self._extraction()
        wanted = self._wanted(view)
        found = self._stored_or_remade(view, frozenset(wanted))
        for key in wanted:
            if self._job.pieces:
                extraction.add(key, Sample(key, {}), self._refused(key))
                continue
            if why := self._condemned(key):
                extraction.refuse(key, why.text)
                continue
            entry_key, sample = next(found, (key, None))
            if sample is None or sample.key != key:
                raise StoreError(
                    f"shard {view.shard}: its source now gives other samples than the {len(wanted)} that are stored, "
                    f"from {key!r} on; `mmdata run` looks at the source again, and brings the store up to date"
                )
            extraction.add(entry_key, sample, self._refused(entry_key))
        extraction.flush()
        self._notes.write("", CLOSING)
        with self.counts.times(STORING).spending():
            return [] if self._is_trial else self._close_families(wanted)

    @property
    def _is_trial(self) -> bool:
        return self._job.portion is not None and self._job.portion.name is None

    def _wanted(self, view: ShardView) -> list[str]:
        """Keys of the stored samples that are to get features."""
        keys, portion = self._store.keys_of(view), self._job.portion
        if portion is None:
            return keys
        return [key for key in keys if (entry_of(key, self._entries) or key) in portion.entries]

    def _condemned(self, key: str) -> Rejection | None:
        """Why a stored sample is not to be touched; None when it may be."""
        condemned = self._job.condemned
        return condemned.get(key) or condemned.get(entry_of(key, self._entries) or key)

    def _refused(self, key: str) -> dict[str, str]:
        """Steps that may not be called for the features of an entry's or a stored sample's, with the reason."""
        refused = self._job.refused
        if not refused:
            return {}
        found = refused.get(key) or refused.get(entry_of(key, self._entries) or key) or {}
        return {step: why.text for step, why in found.items()}

    def _stored_or_remade(self, view: ShardView, wanted: frozenset[str]) -> Iterator[tuple[str, Sample]]:
        reads = {family.step.on for family in self._todo()}
        if not reads & self._work.compiled.remade:
            for sample in self._store.read_samples(view):
                if sample.key in wanted and not self._condemned(sample.key):
                    yield sample.key, watched(sample)
            return
        quiet = Counts(steps=self.counts.steps)
        for entry, sample in self._carried(_Nowhere(), quiet):
            if sample.key in wanted and not self._condemned(sample.key):
                parts = {
                    name: encoded_as_read(self._work.compiled, name, part) if name in reads else part
                    for name, part in sample.parts.items()
                }
                yield entry.key, Sample(sample.key, parts, sample.meta, sample.parent)

    def _todo(self) -> list[Family]:
        return [family for family in self._work.compiled.families if family.name in self._job.families]

    def _extraction(self) -> Extraction:
        for family in self._todo():
            columns = family.step.columns()
            writer = FeatureWriter(
                self._work.store_url,
                family.name,
                columns,
                shard=self._job.name,
                fp=family.fp,
                storage_options=self._work.storage_options,
            )
            self._exits.callback(writer.abort)
            self._families.append(FamilyWork(family, writer, self._gathered(family.name)))
        works = [(each.family.name, each.family.step, each.gather) for each in self._families]
        early = [Early(name, step, rows) for name, step, rows in works if isinstance(step, Watch)]
        self._films = Films(self.counts, self._notes, early, self._refused)
        notes = self._notes.of(FEATURES)
        settings, careful = self._work.settings, self._job.careful
        extraction = Extraction(self._families, self.counts, notes, settings, one_by_one=careful, films=self._films)
        self._exits.callback(extraction.close)
        return extraction

    def _gathered(self, family: str) -> dict[str, Row]:
        if pieces := self._job.pieces.get(family):
            return {key: row for file in pieces for key, row in self._store.read_rows(file)}
        file = self._job.gather.get(family)
        if file is None:
            return {}
        rows = self._store.read_rows(file)
        if file.shard == self._job.shard:
            return dict(rows)
        return {key: row for key, row in rows if entry_of(key, self._entries) in self._job.unchanged}

    def _close_families(self, keys: Sequence[str]) -> list[DataFile]:
        digest = keys_digest(keys)
        return [work.writer.close(digest) for work in self._families]

    def _carried(self, ledger: Any, counts: Counts | None = None) -> Iterator[tuple[Entry, Sample]]:
        """The entries' samples, carried through the ingest steps."""
        if self._work.source is None:
            raise StoreError("the samples must be made from their source, and the pipeline names none")
        counts = counts or self.counts
        carrier = Carrier(self._work.compiled, ledger, counts, self._notes, self._films)
        portion, condemned = self._job.portion, self._job.condemned
        todo = [entry for entry in self._job.entries if portion is None or entry.key in portion.entries]
        counts.read += len(todo)
        for entry in todo:
            if entry.fault is not None:
                why = Rejection("source", entry.fault.kind, entry.fault.error, "")
                carrier.reject(entry.key, why, entry.fault.pointer)
        todo = [entry for entry in todo if entry.fault is None]
        samples = iter(self._work.source.read([entry for entry in todo if entry.key not in condemned]))
        for entry in todo:
            if entry.key in condemned:
                carrier.reject(entry.key, condemned[entry.key], entry.members[0].pointer if entry.members else "")
                continue
            self._notes.write(entry.key, READING)
            for result in carrier.carry(entry, self._next(samples)):
                yield entry, result

    def _next(self, samples: Iterator[Sample]) -> Sample:
        with self.counts.times(SOURCE).spending(n=1):
            sample = next(samples, None)
        if sample is None:
            raise StoreError(f"source {self._job.source_name!r} gave fewer samples than it was asked for")
        return watched(sample)

    def _store_sample(self, writer: ShardWriter, entry: Entry, sample: Sample) -> Sample | None:
        """Write a sample, and return it as the store would; None when it was rejected."""
        times = self.counts.times(STORING)
        pointers = {member.part: member.pointer for member in entry.members}
        self._notes.write(entry.key, STORING)
        started = perf_counter()
        try:
            stored, references = self._encoded(sample)
            writer.add(sample, stored, pointers=pointers, references=references)
        except Exception as error:
            why = rejection(STORING, error)
            if why.kind == "bug":
                raise
            self.counts.rejected[why.kind] += 1
            writer.reject(sample.key, why.step, why.kind, why.error, why.traceback, next(iter(pointers.values()), ""))
            return None
        finally:
            read = seconds_read()
            times.spent("", perf_counter() - started - read, n=1)
            self.counts.times(SOURCE).seconds += read
        return _as_read(sample, stored)

    def _encoded(self, sample: Sample) -> tuple[dict[str, Encoded], list[str]]:
        """The kept parts as they are stored, and the names of those kept as references."""
        stored, references = {}, []
        for name, part in sample.parts.items():
            how = _how(self._work.compiled, name, part)
            if how is None:
                continue
            if how.encoding == REFERENCE:
                references.append(name)
                continue
            stored[name] = _encode(part, how)
        return stored, references


def encoded_as_read(compiled: Compiled, name: str, part: Part) -> Part:
    """A part as a reader of the store gets it: through its encoding, where it is stored at all."""
    how = _how(compiled, name, part)
    return part if how is None or how.encoding == REFERENCE else _encode(part, how).as_read


def _how(compiled: Compiled, name: str, part: Part) -> Kept | None:
    if name in compiled.kept or isinstance(part, Frames) or not compiled.keeps_all:
        return compiled.kept.get(name)
    return Kept("auto")


def _encode(part: Part, how: Kept) -> Encoded:
    if how.decoder is not None and isinstance(part, Blob):
        part = cast(Map[Any, Part], how.decoder).map(part)  # type: ignore[assignment]  # decoders never drop
    return encode(part, how.encoding)


def _as_read(sample: Sample, stored: Mapping[str, Encoded]) -> Sample:
    """The sample with its stored parts as a reader of the store gets them, with the maps that its rows have."""
    parts = {name: _mapped_as(sample.parts.get(name), encoded.as_read) for name, encoded in stored.items()}
    return Sample(sample.key, {**sample.parts, **parts}, sample.meta, sample.parent)


def _mapped_as(before: Part | None, part: Part) -> Part:
    if isinstance(before, Audio) and isinstance(part, Audio) and before.time_map is not None:
        return replace(part, time_map=before.time_map)
    return part


class _Nowhere:
    """A ledger for a second pass over samples whose fate is written already."""

    def drop(self, *_: object) -> None: ...

    def reject(self, *_: object) -> None: ...
