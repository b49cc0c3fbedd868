"""What each step of ingest did to a stored, dropped or rejected sample, by doing it once more. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mmdata.core.pipeline import Pipeline, compile_pipeline
from mmdata.core.ports import Entry
from mmdata.core.sample import Sample
from mmdata.engine.check import CODECS
from mmdata.engine.trace import planned
from mmdata.engine.trial import Tried, carried
from mmdata.errors import StoreError
from mmdata.store.store import Store


def source_sample(store: Store, key: str, pipeline: Pipeline) -> tuple[Entry, Sample]:
    """The entry that a key comes from, and its sample as the source gives it, before any step.

    Args:
        store: where it is recorded what the source held.
        key: of a sample, or of what a split made of one.
        pipeline: whose source is read.

    Raises:
        StoreError: no plan of the store has such a key, or the pipeline's source is another than the key's.
        Unreadable: a file is gone, or is not the one that was planned.
    """
    entry, _ = planned(store, key)
    if entry is None:
        raise StoreError(f"no plan of {store.url!r} has {key!r}")
    source = pipeline.source
    if source is None or source.name != key.partition("/")[0]:
        told = "none" if source is None else repr(source.name)
        raise StoreError(f"{key!r} is of another source than the pipeline's, which is {told}")
    if entry.fault is not None:
        raise StoreError(f"{key!r} never became a sample: {entry.fault.error}")
    return entry, next(iter(source.read([entry])))


def retrace(store: Store, key: str, pipeline: Pipeline) -> Iterator[Tried]:
    """Carry the sample of a key through the steps of ingest again, and tell of each; of a split, the key's line only.

    Raises:
        As `source_sample`. ConfigError: the pipeline is wrong.
    """
    entry, sample = source_sample(store, key, pipeline)
    yield from retraced(key, entry, sample, pipeline)


def retraced(key: str, entry: Entry, sample: Sample, pipeline: Pipeline) -> Iterator[Tried]:
    """The same of what `source_sample` gave, whose bytes are read once."""
    compiled = compile_pipeline(pipeline, CODECS, where="the recorded pipeline")
    for tried in carried(replace(compiled, families=()), entry, sample):
        if tried.key == key or key.startswith(f"{tried.key}@"):
            yield tried
