"""`mmdata plan`: what a run would do, and why; nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mmdata.cli.options import Json, Limit, PipelineArg, SourceOption, StoreOption, Workers, storage_options

if TYPE_CHECKING:
    from mmdata.engine.estimate import Estimate


def plan(
    pipeline: PipelineArg,
    store: StoreOption,
    source: SourceOption = None,
    limit: Limit = None,
    workers: Workers = None,
    measure: Annotated[
        int | None,
        typer.Option("--measure", metavar="N", min=0, help="Try N samples to estimate by; 20 where runs tell nothing."),
    ] = None,
    recorded: Annotated[
        bool, typer.Option("--recorded", help="Take the source as the last run found it, without looking at it.")
    ] = False,
    unmatched: Annotated[bool, typer.Option("--unmatched", help="Name every file that belongs to no sample.")] = False,
    as_json: Json = False,
) -> None:
    """Say what `mmdata run` would do with this file, store and source, and why. Writes nothing."""
    from mmdata import api
    from mmdata.cli.screen import print_json, print_table, say, warn_of_gone
    from mmdata.config.load import load
    from mmdata.engine.estimate import planned
    from mmdata.engine.options import RunOptions
    from mmdata.report.words import counted

    if recorded and source is None:
        source = api.recorded_location(store)
    file = load(pipeline, source=source)
    api.check(file)
    options = RunOptions(
        settings=file.run,
        limit=limit,
        look_at_source=not recorded,
        where=file.where,
        storage_options=storage_options(),
    )
    todo, estimate = planned(file.pipeline, store, options, workers=workers, n=measure)
    warn_of_gone(store)
    if as_json:
        names = {"unmatched_files": todo.unmatched} if unmatched else {}
        print_json({"store": store, **todo.to_json(), **names, "estimate": estimate.to_json() if estimate else None})
        return
    shards = counted(len(todo.jobs) + todo.done, "shard")
    has = "has" if len(todo.jobs) == 1 else "have"
    say(f"{counted(todo.entries, 'sample')} in {shards}; {counted(len(todo.jobs), 'shard')} {has} work to do")
    say(f"  since the last run: {todo.new} new, {todo.changed} changed, {todo.gone} gone")
    say(f"  read, cleaned and stored: {todo.entries_made}; kept as they are: {todo.entries - todo.entries_made}")
    for step in todo.steps if todo.entries_made else ():
        say(f"  step {step}")
    rows = [[name, plan.shards, plan.rows, plan.gathered, plan.why] for name, plan in todo.families.items()]
    if rows:
        print_table(rows, ["feature", "shards", "rows to compute", "rows taken over", "why"])
    if todo.from_source:
        parts = ", ".join(todo.from_source)
        say(f"not stored, so made again from the source for features: {parts}")
    if todo.forgotten:
        say(f"forgotten, so left out: {todo.forgotten}")
    if todo.unmatched:
        say(f"files that belong to no sample: {len(todo.unmatched)}, such as {todo.unmatched[0]}")
    for name in todo.unmatched if unmatched else ():
        say(f"  {name}")
    if estimate is not None:
        _say(estimate)


def _say(estimate: Estimate) -> None:
    from mmdata.cli.screen import print_table, say
    from mmdata.report.words import duration, n_bytes

    say(f"estimate, from {estimate.basis}:")
    if estimate.families:
        rows = [
            [name, duration(cost.seconds) if cost.seconds else "", n_bytes(cost.bytes) if cost.bytes else ""]
            for name, cost in estimate.families.items()
        ]
        print_table(rows, ["family", "work", "bytes"])
        cpu = "" if estimate.cpu_s is None else f" ({duration(estimate.cpu_s)} of it on the processor)"
        say(f"  in all: {duration(estimate.worker_s)} of one worker's time{cpu}, {n_bytes(estimate.bytes)}")
        say(f"  with {estimate.workers} workers: {duration(estimate.wall_s)}, start and look included")
    if estimate.lacking:
        say(f"  left out, as nobody knows how long they take: {', '.join(estimate.lacking)}; see --measure")
