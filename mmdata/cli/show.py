"""`mmdata show`: what a store holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmdata.cli.options import Json, Snapshot, StoreArg

if TYPE_CHECKING:
    from mmdata.store.store import Store


def show(store: StoreArg, snapshot: Snapshot = None, as_json: Json = False) -> None:
    """Show what STORE holds: samples by source and label, features, drops, rejects, snapshots, runs."""
    from mmdata import api
    from mmdata.cli.screen import print_json, print_table, say

    found = _overview(api.open(store, snapshot=snapshot))
    if as_json:
        print_json({"store": store, **found})
        return
    say(f"{found['samples']} samples in {found['shards']} shards")
    say(f"{found['dropped']} dropped, {found['rejected']} rejected")
    for name, n in found["sources"].items():
        say(f"  source {name}: {n}")
    labels = found["labels"]
    if labels:
        say("  labels: " + ", ".join(f"{label} {n}" for label, n in list(labels.items())[:20]))
    rows = [[name, form["form"], form["shards"], form["missing"]] for name, form in found["features"].items()]
    if rows:
        print_table(rows, ["feature", "form", "shards", "missing rows"])
    if found["snapshots"]:
        say("snapshots: " + ", ".join(found["snapshots"]))
    say(f"{found['runs']} runs")


def _overview(store: Store) -> dict[str, Any]:
    from collections import Counter

    from mmdata.report.words import form

    view = store.view()
    table = store.table(["label"], incomplete=True)
    labels = Counter(label for label in table["label"].to_pylist() if label is not None)
    sources: Counter[str] = Counter()
    for shard in view.shards:
        sources[shard.source] += shard.rows
    missing = Counter(store.missing()["family"].to_pylist())
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
        "dropped": store.drops().num_rows,
        "rejected": store.rejects().num_rows,
        "snapshots": store.snapshots(),
        "runs": store.runs().num_rows,
    }
