"""`mmdata show`: what a store holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmdata.cli.options import Json, Snapshot, StoreArg

if TYPE_CHECKING:
    from mmdata.store.store import Store


def show(
    store: StoreArg,
    snapshot: Snapshot = None,
    pictures: Annotated[
        int, typer.Option("--pictures", metavar="N", min=0, help="Draw the parts of so many samples, in a terminal.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Show what STORE holds: samples by source and label, features, drops, rejects, snapshots, runs."""
    from mmdata import api
    from mmdata.cli.screen import print_json, print_table, say
    from mmdata.report.words import counted
    from mmdata.store.damage import mending

    opened = api.open(store, snapshot=snapshot)
    found = _overview(opened)
    if as_json:
        print_json({"store": store, **found})
        return
    say(f"{counted(found['samples'], 'sample')} in {counted(found['shards'], 'shard')}")
    say(f"{found['dropped']} dropped, {found['rejected']} rejected")
    for name, n in found["sources"].items():
        say(f"  source {name}: {n}")
    labels = found["labels"]
    if labels:
        say("  labels: " + ", ".join(f"{label} {n}" for label, n in list(labels.items())[:20]))
    rows = [[name, form["form"], form["shards"], form["missing"]] for name, form in found["features"].items()]
    if rows:
        print_table(rows, ["feature", "form", "shards", "missing rows"])
    for family, fault in found["damaged"].items():
        say(f"damaged: {family}: {fault}")
    if found["damaged"]:
        say(f"  {mending(store)}")
    if found["snapshots"]:
        say("snapshots: " + ", ".join(found["snapshots"]))
    say(counted(found["runs"], "run"))
    _draw_some(opened, pictures)


def _draw_some(store: Store, n: int) -> None:
    """Draw samples that lie evenly over the store; a part that can't be read is told."""
    from mmdata.cli.pictures import draw
    from mmdata.cli.screen import say
    from mmdata.errors import DataError

    keys = store.keys() if n else []
    for key in keys[:: max(1, len(keys) // max(n, 1))][:n]:
        say(key)
        parts = store.sample(key).parts
        for name in parts:
            try:
                draw(parts[name])
            except DataError as error:
                say(f"  part {name!r}: {error}")


def _overview(store: Store) -> dict[str, Any]:
    from collections import Counter

    from mmdata.errors import StoreError
    from mmdata.report.words import form

    view = store.view()
    table = store.table(["label"], incomplete=True)
    labels = Counter(label for label in table["label"].to_pylist() if label is not None)
    sources: Counter[str] = Counter()
    for shard in view.shards:
        sources[shard.source] += shard.rows
    missing: Counter[str] = Counter()
    damaged = dict(store.damaged)
    for shard in view.shards:
        for family in shard.features:
            try:
                missing[family] += store.missing([shard.only(family)]).num_rows
            except StoreError as error:
                missing[family] += shard.rows
                damaged.setdefault(family, str(error))
    features = {}
    for column, spec in store.families.items():
        family = store.family_of(column)
        shards = len(view.shards) - len(view.lacking(family))
        features[column] = {"form": form(spec), "shards": shards, "missing": missing[family]}
    return {
        "samples": len(view),
        "shards": len(view.shards),
        "sources": dict(sorted(sources.items())),
        "labels": dict(labels.most_common()),
        "features": features,
        "damaged": damaged,
        "dropped": store.drops().num_rows,
        "rejected": store.rejects().num_rows,
        "snapshots": store.snapshots(),
        "runs": store.runs().num_rows,
    }
