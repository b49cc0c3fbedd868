"""The page: one file that holds all it shows, and that a browser lets reach nothing else."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from mmdata.report.contents import Contents, Settings, gather
from mmdata.report.draw import charts
from mmdata.report.draw.lanes import timeline
from mmdata.report.draw.svg import Svg, picture, tag
from mmdata.report.draw.wording import count, name, number, prose, share, shortened
from mmdata.report.facts.groups import split_order
from mmdata.report.previews import Preview
from mmdata.report.tables import said, sections, tables
from mmdata.report.words import duration, form, n_bytes, plural
from mmdata.store.store import Store

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).with_name("templates")


def report(store: Store, settings: Settings | None = None) -> str:
    """A store's report as HTML.

    Raises:
        StoreError: the selection or the model's report that was asked for is not there.
    """
    return page(gather(store, settings or Settings()))


def page(it: Contents) -> str:
    """The page of what was gathered."""
    style, script = ((TEMPLATES / part).read_text("utf-8") for part in ("report.css", "report.js"))
    html: str = (
        environment()
        .get_template("report.html")
        .render(
            it=it,
            sections=list(sections(it)),
            style=Svg(style),
            script=Svg(script),
            policy=policy(style, script),
            **tables(it),
        )
    )
    return html


def policy(style: str, script: str) -> str:
    """What the page may do, as a Content-Security-Policy: its own style and script by digest, data in itself, no more.

    Whatever hostile text might become markup, no script of it runs and nothing of it reaches a network.
    """
    digests = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (style, script)]
    allowed = f"img-src data:; media-src data:; style-src 'sha256-{digests[0]}'; script-src 'sha256-{digests[1]}'"
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


@cache
def environment() -> Environment:
    """Templates, which escape all that is put in."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "brief": lambda value: f"{value:.0f}" if value >= 100 else f"{value:.2g}",
        "count": count,
        "form": form,
        "histogram": charts.histogram,
        "mini": mini,
        "name": name,
        "number": number,
        "per_cent": lambda part: share(part, 1),
        "plural": plural,
        "prose": prose,
        "said": said,
        "seconds": duration,
        "short": shortened,
        "size": n_bytes,
        "sort_splits": lambda splits: sorted(splits, key=split_order),
        "strip": charts.bar,
        "timeline": timeline,
    }
    return made


def mini(shown: Preview) -> Svg | str:
    """A sound's wave, small; it stands beside a player and is not read out."""
    if shown.envelope is None or not len(shown.envelope):
        return ""
    step = max(1, len(shown.envelope) // 120)
    found = shown.envelope[: len(shown.envelope) // step * step].reshape(-1, step, 2)
    low, high = found[:, :, 0].min(axis=1), found[:, :, 1].max(axis=1)
    loudest = float(max(high.max(), -low.min())) or 1.0
    line = [(x, 20 - 19 * y / loudest) for x, y in enumerate(high)]
    line += [(x, 20 - 19 * y / loudest) for x, y in reversed(list(enumerate(low)))]
    wave = tag("polygon", points=" ".join(f"{x},{y:.1f}" for x, y in line), class_="wave")
    return picture(wave, width=max(1, len(low) - 1), height=40, label=f"wave of {shown.name}", fit=False, class_="mini")
