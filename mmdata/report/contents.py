"""All that a report says, gathered section by section; a section whose files are damaged is left out, and told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmdata import __version__
from mmdata.errors import StoreError
from mmdata.report.facts import groups, parts
from mmdata.report.facts.choosing import extremes, is_flat, spread
from mmdata.report.facts.funnel import Funnel, counted, funnel
from mmdata.report.facts.lanes import Timeline, timeline
from mmdata.report.facts.projection import Projection, embeddings, project
from mmdata.report.facts.rows import Column, Fault, StoreRows, drops, read_rows, rejects, tried
from mmdata.report.facts.runs import RunFacts, longest, newest_pipeline, runs
from mmdata.report.facts.scalars import Distribution, distributions
from mmdata.report.facts.training import Training, read_training
from mmdata.report.previews import Preview, Size
from mmdata.report.samples import Showing, Shown
from mmdata.store import selections
from mmdata.store.files import Files
from mmdata.store.store import Store

BRIEF = Size(px=112, still_px=96, n_stills=3, sound_s=2.0, rate_hz=8000, characters=140)
POINT = Size(px=72, quality=50, still_px=72, n_stills=1, sound_s=0.0, characters=80)
LANES = Size(px=96, still_px=96, n_stills=8, sound_s=8.0, characters=200)
MOST_LISTED = 60
LICENCES = ("license", "licence", "rights", "copyright")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a report shows.

    Args:
        title: its heading; the store's name unless given.
        selection: whose splits and reasons; None is the last by name.
        models: folders of `mmdata train`, or reports of it, such as what `--ablate --json` prints.
        licences: what is said of the sources' licences, in one's own words.
        groups: columns whose equal values must not be in two splits, such as the selection's own.
        samples, extremes, clusters, timelines, points: how many of the gallery, of each end of a feature, of clusters,
            of samples over time, and of a map.
        features: how many features have worst and best shown. errors: how many rejects and drops are shown of a kind.
    """

    title: str | None = None
    selection: str | None = None
    models: Sequence[str | Path] = ()
    licences: Sequence[str] = ()
    groups: Sequence[str] = ()
    samples: int = 24
    extremes: int = 5
    clusters: int = 12
    timelines: int = 4
    points: int = 600
    features: int = 24
    errors: int = 4


@dataclass(frozen=True)
class Extremes:
    """One feature's farthest samples."""

    name: str
    least: Sequence[Shown]
    greatest: Sequence[Shown]


@dataclass(frozen=True)
class Lost:
    """Samples that were dropped or rejected alike.

    Args:
        kind: "dropped" or "rejected". step: where. reason: the drop's, or the reject's kind. n: how many.
        examples: key, pointer and error of a few.
    """

    kind: str
    step: str
    reason: str
    n: int
    examples: Sequence[tuple[str, str, str]] = ()


@dataclass(frozen=True)
class Map:
    """An embedding's map: where each point lies, and what is shown of it."""

    projection: Projection
    labels: Sequence[str]
    points: Sequence[Shown]


@dataclass(frozen=True)
class TimedSample:
    """A sample over time, and what can be heard of it."""

    shown: Shown
    timeline: Timeline


@dataclass
class Contents:
    """All of it; what is empty has no section."""

    title: str
    place: str
    snapshot: str | None
    made: datetime
    rows: StoreRows
    settings: Settings
    version: str = __version__
    faults: list[Fault] = field(default_factory=list)
    funnel: Funnel | None = None
    distributions: Sequence[Distribution] = ()
    columns: Mapping[str, Column] = field(default_factory=dict)
    parts: Sequence[parts.PartFacts] = ()
    gallery: Sequence[Shown] = ()
    extremes: Sequence[Extremes] = ()
    n_clusters: int = 0
    clusters: Sequence[tuple[groups.Cluster, Sequence[Shown]]] = ()
    timelines: Sequence[TimedSample] = ()
    selection: str | None = None
    selections: Sequence[str] = ()
    balance: groups.Balance | None = None
    leaks: Sequence[groups.Leak] = ()
    maps: Sequence[Map] = ()
    lost: Sequence[Lost] = ()
    runs: Sequence[RunFacts] = ()
    main_run: RunFacts | None = None
    models: Sequence[Training] = ()
    sources: Sequence[tuple[str, int]] = ()
    licences: Sequence[tuple[str, int]] = ()
    snapshots: Sequence[str] = ()


def gather(store: Store, settings: Settings) -> Contents:
    """Read a store for a report. What can't be read becomes a fault of the report.

    Raises:
        StoreError: the selection or the model's report that was asked for is not there.
    """
    rows = read_rows(store)
    name = store.url.rstrip("/").rpartition("/")[2]
    made = Contents(settings.title or name, store.url, store.pinned, datetime.now(UTC), rows, settings)
    made.faults += rows.faults
    made.columns, made.parts = rows.columns, tried(made.faults, "parts", partial(parts.parts, rows.samples)) or ()
    made.distributions = list(distributions(rows.scalars))
    made.runs = tried(made.faults, "runs", lambda: runs(store.runs())) or ()
    made.main_run = longest(made.runs)
    made.selections = tried(made.faults, "selections", partial(selections.names, _files(store))) or ()
    made.selection, chosen = selected(store, rows, settings.selection, made.faults)
    splits = None if chosen is None else groups.dealt(chosen)
    gone = drops(store, made.faults), rejects(store, made.faults)
    _count(made, store, chosen, *gone)
    made.lost = _lost(settings, *gone)
    showing = Showing(store, rows, splits, made.faults)
    _group(made, store, chosen, splits, showing)
    _show(made, showing)
    made.timelines = list(_timelines(made, showing))
    made.maps = list(_maps(made, showing))
    made.models = [read_training(place) for place in settings.models]
    _card(made, store, showing)
    made.faults = list(dict.fromkeys(made.faults))
    return made


def selected(
    store: Store, rows: StoreRows, wanted: str | None, faults: list[Fault]
) -> tuple[str | None, pa.Table | None]:
    """A selection's name and rows, one for each of the store's, in their order.

    Args:
        store: whose.
        rows: of it.
        wanted: its name; None is the last by name.
        faults: gathers what can't be read.

    Returns:
        None twice without a selection. A sample that it does not know is left out as "came later".

    Raises:
        StoreError: there is none of that name.
    """
    names = tried(faults, "selections", partial(selections.names, _files(store))) or []
    if wanted is not None and wanted not in names:
        raise StoreError(f"no selection {wanted!r} in {store.url!r}; there are: {', '.join(names) or 'none'}")
    name = wanted or (names[-1] if names else None)
    table = None if name is None else tried(faults, f"selection {name}", partial(store.selection, name))
    if table is None:
        return None, None
    at = pc.index_in(rows.keys, value_set=table["key"].combine_chunks())
    found = table.take(at).set_column(0, "key", rows.keys)
    reason = pc.if_else(pc.is_null(at), "came later", found["reason"])
    return name, found.set_column(found.column_names.index("reason"), "reason", reason)


def _files(store: Store) -> Files:
    return Files.at(store.url, store.storage_options)


def _count(made: Contents, store: Store, chosen: pa.Table | None, dropped: pa.Table, rejected: pa.Table) -> None:
    """The funnel. What is planned and not in the store is waiting."""
    there = {shard.shard for shard in made.rows.shards}
    sources = sorted({shard.source for shard in store.view().shards} | _named(dropped) | _named(rejected))
    read = waiting = 0
    for source in sources:
        plan = tried(made.faults, f"plan of {source}", partial(store.plan, source))
        for shard, entries in ({} if plan is None else plan.shards).items():
            done = shard in there or shard in store.view().by_id
            read, waiting = read + done * len(entries), waiting + (not done) * len(entries)
    stored, gone = len(made.rows), dropped.num_rows + rejected.num_rows
    read = read or stored + gone  # a store whose plan is lost
    order = newest_pipeline(made.runs)
    made.funnel = funnel(
        read=read,
        stored=stored,
        drops=dropped,
        rejects=rejected,
        selection=chosen,
        order=order,
        waiting=waiting,
    )


def _named(table: pa.Table) -> set[str]:
    return set(pc.unique(table["source"]).drop_null().to_pylist())


def _lost(settings: Settings, dropped: pa.Table, rejected: pa.Table) -> list[Lost]:
    """Drops and rejects by step and reason, the most frequent first, each with a few examples."""
    found = []
    for kind, table, reason in (("rejected", rejected, "kind"), ("dropped", dropped, "reason")):
        for at, ((step, why), n) in enumerate(counted(table, ["step", reason]).most_common()):
            if at >= MOST_LISTED:  # examples of what is not shown take long to find
                found.append(Lost(kind, step, why, n))
                continue
            same = pc.and_(pc.equal(table["step"], step), pc.equal(table[reason], why))
            some = table.filter(same)[: settings.errors].to_pylist()
            examples = [(row["key"], row["pointer"] or "", (row.get("error") or "")[:500]) for row in some]
            found.append(Lost(kind, step, why, n, examples))
    return found


def _group(made: Contents, store: Store, chosen: pa.Table | None, splits: pa.Array | None, showing: Showing) -> None:
    """Classes, leaks between splits, and clusters."""
    rows = made.rows
    made.balance = groups.balance(rows.samples["label"], splits) if len(rows) else None
    if chosen is None:
        return
    if chosen["split"].null_count != len(chosen):
        digests = tried(made.faults, "digests", partial(parts.digests, rows.samples)) or {}
        columns: dict[str, Any] = {"same cluster": chosen["cluster"], "same parent": rows.samples["parent"]}
        columns |= {f"same bytes of {part}": values for part, values in digests.items()}
        for name in made.settings.groups:
            table = tried(made.faults, f"column {name}", partial(store.table, [name], incomplete=True))
            if table is not None and len(table) == len(rows):
                columns[f"same {name}"] = table.column(0)
        made.leaks = list(groups.leaks(columns, chosen))
    made.n_clusters, found = groups.clusters(chosen, most=made.settings.clusters)
    made.clusters = [(cluster, _members(cluster, showing)) for cluster in found]


def _members(cluster: groups.Cluster, showing: Showing) -> list[Shown]:
    rows = showing.rows.rows_of(cluster.keys).tolist()
    notes = {row: reason or "kept" for row, reason in zip(rows, cluster.reasons, strict=True)}
    return showing.shown([row for row in rows if row >= 0], BRIEF, notes)


def _show(made: Contents, showing: Showing) -> None:
    """The gallery, and each feature's worst and best."""
    rows, settings = made.rows, made.settings
    if not len(rows):
        return
    made.gallery = showing.shown(spread(rows.samples["label"], settings.samples), Size())
    found = []
    for name in [name for name, values in sorted(rows.scalars.items()) if not is_flat(values)][: settings.features]:
        values = rows.scalars[name]
        least, greatest = extremes(values, settings.extremes)
        notes = {row: f"{values[row]:.5g}" for row in [*least, *greatest]}
        showing.stored([*least, *greatest])
        found.append(Extremes(name, showing.shown(least, BRIEF, notes), showing.shown(greatest, BRIEF, notes)))
    made.extremes = found


def _timelines(made: Contents, showing: Showing) -> list[TimedSample]:
    """Samples that have the most to show over time: those with captions or films first, then those with sound."""
    rows = made.rows
    have = {kind: parts.holding(rows.samples, kind) for kind in ("captions", "video", "frames", "audio")}
    among = next((found for found in have.values() if len(found)), np.zeros(0, np.int64))
    chosen = spread(rows.samples["label"], made.settings.timelines, among) if len(among) else []
    found = []
    for stored in showing.stored(chosen).values():
        shown = showing.shown([stored.row], LANES)[0]
        maps = {name: blob.time_map for name, blob in stored.parts.items() if blob.time_map is not None}
        drawn = timeline(stored.key, shown.parts, stored.meta, _arrays(made, showing, stored.row, shown.parts), maps)
        if drawn is not None:
            found.append(TimedSample(shown, drawn))
    return found


def _arrays(made: Contents, showing: Showing, row: int, shown: Sequence[Preview]) -> dict[str, Any]:
    """A sample's features that may have times."""
    if not any(part.duration_s for part in shown):
        return {}
    found = {}
    shard, place = made.rows.place(row)
    for name, column in made.columns.items():
        if column.spec.varying:
            arrays = tried(made.faults, f"{name} of {shard.shard}", partial(showing.store.shard_arrays, shard, name))
            found[name] = column.spec, arrays[place] if arrays else None
    return found


def _maps(made: Contents, showing: Showing, most: int = 2) -> list[Map]:
    """Maps of the likeliest embeddings, with pictures where there are any."""
    found = []
    for column in embeddings(made.columns)[:most]:
        get = partial(project, showing.store, made.rows, column, made.faults, most=made.settings.points)
        projection = tried(made.faults, column, get)
        if projection is not None:
            shown = showing.shown(projection.rows.tolist(), POINT)
            there = {one.key for one in shown}
            keys = made.rows.keys.take(pa.array(projection.rows)).to_pylist()
            kept = np.array([key in there for key in keys])
            projection = replace(projection, rows=projection.rows[kept], points=projection.points[kept])
            found.append(Map(projection, [one.label for one in shown], shown))
    return found


def _card(made: Contents, store: Store, showing: Showing) -> None:
    """Sources, licences and snapshots."""
    made.sources = [(source, n) for (source,), n in counted(made.rows.samples, ["source"]).most_common()]
    made.snapshots = tried(made.faults, "snapshots", store.snapshots) or ()
    given = [(text, len(made.rows)) for text in made.settings.licences]
    seen = {name for one in showing.stored(showing.known).values() for name in one.meta}
    for name in [name for name in LICENCES if name in seen]:  # looking through all metadata takes long
        table = tried([], "meta", partial(store.table, [f"meta.{name}"], incomplete=True))
        if table is not None and pa.types.is_string(table.column(0).type):
            known = table.rename_columns(["value"]).filter(pc.is_valid(table.column(0)))
            given += [(f"{name}: {value}", n) for (value,), n in counted(known, ["value"]).most_common(20)]
    made.licences = given
