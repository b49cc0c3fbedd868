"""`mmdata plan`: what a run would do, and why; nothing is written."""

from __future__ import annotations

from typing import Annotated

import typer

from mmdata.cli.options import Json, Limit, PipelineArg, SourceOption, StoreOption


def plan(
    pipeline: PipelineArg,
    store: StoreOption,
    source: SourceOption = None,
    limit: Limit = None,
    unmatched: Annotated[bool, typer.Option("--unmatched", help="Name every file that belongs to no sample.")] = False,
    as_json: Json = False,
) -> None:
    """Say what `mmdata run` would do with this file, store and source, and why. Writes nothing."""
    from mmdata import api
    from mmdata.cli.screen import print_json, print_table, say
    from mmdata.config.load import load
    from mmdata.engine.options import RunOptions
    from mmdata.engine.runner import plan as plan_

    file = load(pipeline, source=source)
    api.check(file)
    todo = plan_(file.pipeline, store, RunOptions(settings=file.run, limit=limit, where=file.where))
    if as_json:
        names = {"unmatched_files": todo.unmatched} if unmatched else {}
        print_json({"store": store, **todo.to_json(), **names})
        return
    say(f"{todo.entries} samples in {len(todo.jobs) + todo.done} shards; {len(todo.jobs)} shards have work to do")
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
