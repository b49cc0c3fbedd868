"""How a pipeline is run, beside what it says itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mmdata.core.pipeline import RunSettings
from mmdata.core.ports import Entry, Executor
from mmdata.engine.executors.inline import Inline
from mmdata.engine.progress import Watcher

Sieve = Callable[[Sequence[Entry], Mapping[str, Sequence[Entry]]], Sequence[Entry]]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a pipeline is run.

    Args:
        settings: shards, and the limit on rejects. executor: who works.
        limit: only a sample of so many entries, chosen by a hash of the key.
        families: only these features; None is all. watch: told of progress.
        look_at_source: whether to scan it; without, the recorded division stands, and only features are made.
        replay: shards with rejects are made again, in the hope that the cause is gone.
        command, text, location: for the store's records: what was called, the pipeline file, and where the source is.
        where: what messages call the pipeline.
        sieve: given the entries that the source holds and the recorded division, those that are to be taken for it.
        storage_options: for the store and the source; they are sent to workers, and never shown or recorded.
    """

    settings: RunSettings = field(default_factory=RunSettings)
    executor: Executor = field(default_factory=Inline)
    limit: int | None = None
    families: Sequence[str] | None = None
    watch: Watcher | None = None
    look_at_source: bool = True
    replay: bool = False
    command: str = "run"
    text: str = ""
    location: str | None = None
    where: str = "pipeline"
    sieve: Sieve | None = None
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)
