"""`mmdata compact`: few full shards in place of many small ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from mmdata.cli.options import Json, StoreArg

if TYPE_CHECKING:
    from mmdata.core.pipeline import RunSettings


def compact(
    store: StoreArg,
    source: Annotated[
        str | None, typer.Option("--source", metavar="NAME", help="Only shards of this source, by its name in keys.")
    ] = None,
    shard_samples: Annotated[
        int | None,
        typer.Option("--shard-samples", min=1, help="Samples of a full shard; what the last run said unless given."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be merged.")] = False,
    as_json: Json = False,
) -> None:
    """Merge the small shards of STORE into full ones, without their source, and sum up the logs of its tables."""
    from mmdata import api
    from mmdata.cli.screen import print_json, print_table, say
    from mmdata.engine.compact import compact as compact_

    opened = api.open(store)
    done = compact_(opened, settings_of(store, shard_samples), source=source, dry_run=dry_run)
    if as_json:
        merges = [{"source": m.source, "shards": list(m.shards), "samples": m.samples} for m in done.merges]
        told = {"shards": done.shards, "finished": done.finished, "skipped": done.skipped}
        print_json({"store": store, "dry_run": dry_run, "merges": merges, "checkpoints": done.checkpoints, **told})
        return
    if done.merges:
        rows = [[merge.source, len(merge.shards), merge.samples] for merge in done.merges]
        print_table(rows, ["source", "shards", "samples"])
    for shard, why in done.skipped.items():
        say(f"shard {shard} and its neighbours stay as they are: {why}")
    n_small = sum(len(merge.shards) for merge in done.merges)
    verb = "would become" if dry_run else "became"
    say(f"{n_small} of {done.shards} shards {verb} {len(done.merges)}; `mmdata gc` deletes the old files after a while")
    if done.finished:
        say(f"{done.finished} merges that had been interrupted were finished")


def settings_of(store: str, shard_samples: int | None) -> RunSettings:
    """How the store's last run divided its source; as usual where that is not known."""
    from mmdata import api
    from mmdata.core.pipeline import RunSettings
    from mmdata.errors import MMDataError

    try:
        settings = api.recorded(store)[0].run
    except MMDataError:  # it was run from Python, or with steps that are not here
        settings = RunSettings()
    return settings if shard_samples is None else replace(settings, shard_samples=shard_samples)
