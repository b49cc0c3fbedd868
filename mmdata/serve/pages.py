"""The pages: each a function of what is known and what is asked for, to HTML."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from mmdata import __version__
from mmdata.errors import Incomplete, MMDataError, StoreError
from mmdata.report.draw.wording import number
from mmdata.report.facts.funnel import Funnel, funnel
from mmdata.report.facts.runs import newest_pipeline
from mmdata.report.words import form, n_bytes, plural
from mmdata.serve.about import about
from mmdata.serve.catalog import Catalog, Shelf
from mmdata.serve.finding import Asked, Busy, Finder
from mmdata.serve.losses import losses
from mmdata.serve.replay import Replay

HERE = Path(__file__).parent
PER_PAGE = 60
MOST_LABELS = 24
SNIPPET = 240


def environment() -> Environment:
    """Templates that escape whatever is put into them."""
    made = Environment(autoescape=True, undefined=StrictUndefined, loader=FileSystemLoader(HERE / "templates"),
                       trim_blocks=True, lstrip_blocks=True)  # fmt: skip
    made.filters |= {
        "n_bytes": n_bytes,
        "form": form,
        "query": urlencode,
        "short": _short,
        "number": number,
        "plural": plural,
    }
    made.globals["version"] = __version__
    return made


def _short(text: str, most: int = SNIPPET) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


class Pages:
    """All pages of a store.

    Args:
        shelf: the store's newest catalog. replay: its samples' steps.
    """

    def __init__(self, shelf: Shelf, replay: Replay) -> None:
        self._shelf, self._replay = shelf, replay
        self._finder, self._templates = Finder(), environment()
        name = shelf.url.rstrip("/").rpartition("/")[2] or shelf.url
        self._store = {"name": name, "url": shelf.url, "pinned": shelf.pinned}

    def _page(self, name: str, status: int = 200, **given: Any) -> Response:
        template = self._templates.get_template(name)
        return HTMLResponse(template.render(store=self._store, **given), status)

    def overview(self, request: Request) -> Response:
        """The whole at a glance."""
        catalog = self._shelf.now()
        chosen = request.query_params.get("selection", "") or next(reversed(catalog.selections), "")
        if chosen and chosen not in catalog.selections:
            raise StoreError(f"no selection {chosen!r}; there are: {', '.join(catalog.selections) or 'none'}")
        return self._page(
            "overview.html",
            catalog=catalog,
            funnel=_funnel(catalog, chosen),
            chosen=chosen,
            labels=_labels(catalog),
            selections=_splits(catalog),
        )

    def samples(self, request: Request) -> Response:
        """Samples as cards: all, or those that are asked for."""
        catalog, asked = self._shelf.now(), Asked.of(request.query_params)
        try:
            found = self._finder.find(catalog, asked)
        except Incomplete:  # a newer catalog may know better
            raise
        except MMDataError as error:
            status = 503 if isinstance(error, Busy) else 400
            return self._page("samples.html", status, catalog=catalog, asked=asked, error=str(error), cards=[], total=0)
        first = asked.page * PER_PAGE
        numbers = [int(number) for number in found.numbers[first : first + PER_PAGE]]
        sort = asked.sort.removeprefix("-")
        notes = {number: f"{catalog.known.scalars[sort][number]:.5g}" for number in numbers} if sort else {}
        notes |= {number: f"{found.scores[number]:.4g}" for number in numbers if number in found.scores}
        return self._page(
            "samples.html",
            catalog=catalog,
            asked=asked,
            error="",
            cards=[(row, notes.get(row.row, "")) for row in catalog.read(numbers)],
            total=len(found),
            first=first,
            measure=found.measure,
            lost=self._also_lost(catalog, asked),
            more=first + PER_PAGE < len(found),
        )

    def _also_lost(self, catalog: Catalog, asked: Asked) -> int:
        """How many lost samples have the words that are searched for in their key or file."""
        return losses(catalog, asked.q, "", "", "").total if asked.q and not asked.page else 0

    def sample(self, request: Request) -> Response:
        """One sample: all that is known of it."""
        catalog, key = self._shelf.now(), request.query_params.get("key", "")
        sample = about(catalog, key)
        there = {each.name for each in sample.features if each.kind != "none"}
        beside: list[str] = []
        if sample.row is not None:
            at = sample.row.row
            beside = [catalog.known.keys[n].as_py() if 0 <= n < len(catalog) else "" for n in (at - 1, at + 1)]
        return self._page(
            "sample.html",
            404 if sample.outcome == "unknown" else 200,
            catalog=catalog,
            sample=sample,
            meta=json.loads(sample.row.meta) if sample.row is not None else {},
            beside=beside,
            can_replay=self._replay.is_there,
            measures=[name for name in catalog.measures if name in there],
        )

    def steps(self, request: Request) -> Response:
        """One sample's steps, done again."""
        key = request.query_params.get("key", "")
        try:
            told = self._replay.steps(key)
        except (MMDataError, OSError) as problem:
            return self._page("steps.html", key=key, steps=[], told="", error=str(problem))
        return self._page("steps.html", key=key, steps=list(enumerate(told.steps)), told=told.version, error="")

    def lost(self, request: Request) -> Response:
        """What is not stored, and why."""
        catalog = self._shelf.now()
        given = {name: request.query_params.get(name, "").strip() for name in ("q", "outcome", "step", "reason")}
        return self._page("lost.html", given=given, found=losses(catalog, **given))

    def error(self, status: int, title: str, text: str) -> Response:
        """A page for what could not be answered."""
        return self._page("error.html", status, title=title, text=text)

    def on(self, path: str) -> Callable[[Request], Response]:
        """The page of a path."""
        known: Mapping[str, Callable[[Request], Response]] = {
            "/": self.overview,
            "/samples": self.samples,
            "/sample": self.sample,
            "/steps": self.steps,
            "/lost": self.lost,
        }
        return known[path]


def _funnel(catalog: Catalog, chosen: str) -> Funnel:
    """From the source to a selection, as the plans and the rows have it."""
    done = {shard.shard for shard in catalog.known.shards}
    read = waiting = 0
    with catalog.lock:
        for source in sorted({shard.source for shard in catalog.known.shards}):
            for shard, entries in catalog.store.plan(source).shards.items():
                if shard in done:
                    read += len(entries)
                else:
                    waiting += len(entries)
    return funnel(
        read=read,
        stored=len(catalog),
        drops=catalog.drops,
        rejects=catalog.rejects,
        selection=catalog.selections.get(chosen),
        order=newest_pipeline(catalog.runs),
        waiting=waiting,
    )


def _labels(catalog: Catalog) -> list[tuple[str, int]]:
    """The most frequent labels."""
    counts = catalog.known.samples["label"].drop_null().value_counts().to_pylist()
    return sorted(((each["values"], each["counts"]) for each in counts), key=lambda each: -each[1])[:MOST_LABELS]


def _splits(catalog: Catalog) -> dict[str, list[tuple[str, int]]]:
    """How many samples each selection has in each split."""
    found = {}
    for name, rows in catalog.selections.items():
        chosen = rows.filter(rows["reason"].is_null())
        counts = chosen["split"].value_counts().to_pylist()
        found[name] = sorted((each["values"] or "", each["counts"]) for each in counts)
    return found
