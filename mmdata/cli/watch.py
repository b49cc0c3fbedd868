"""What `mmdata ingest --watch` says while it follows a source."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from mmdata.cli.options import storage_options
from mmdata.cli.screen import print_json, say

if TYPE_CHECKING:
    from mmdata.config.load import PipelineFile
    from mmdata.engine.compact import Compacted
    from mmdata.engine.follow import Round
    from mmdata.engine.options import Sieve
    from mmdata.engine.report import RunReport

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def watch_source(
    file: PipelineFile,
    store: str,
    take_up: Callable[[Sieve], RunReport],
    times: tuple[str, str, int | None],
    *,
    as_json: bool,
) -> RunReport:
    """Follow a source until it is stopped; a line a round in which something happened.

    Args:
        file: the pipeline.
        store: where to.
        take_up: a round's run.
        times: how often, how long a file must rest, and after how many changes shards are merged.
        as_json: print a JSON object a round instead.
    """
    from mmdata import api
    from mmdata.engine.compact import compact
    from mmdata.engine.follow import Following, follow

    every, settle, compact_every = times
    settings = Following(seconds(every, "--every"), seconds(settle, "--settle"), compact_every)
    api.check(file, store=store, storage_options=storage_options())

    def merge() -> Compacted:
        return compact(api.open(store, storage_options=storage_options()), file.run)

    lines = _Lines(as_json=as_json)
    say(f"following the source, every {settings.every_s:g} s; Ctrl-C ends it", to=sys.stderr)
    return follow(take_up, settings, tell=lines.tell, compact=merge)


def seconds(text: str, option: str) -> float:
    """A time as people write it, in seconds.

    >>> seconds("5m", "--every"), seconds("0.5", "--every")
    (300.0, 0.5)

    Raises:
        ConfigError: it is none, or below zero.
    """
    from mmdata.errors import ConfigError

    unit = next((unit for unit in ("ms", "s", "m", "h") if text.endswith(unit)), "")
    try:
        value = float(text.removesuffix(unit)) * _UNITS.get(unit, 1.0)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ConfigError(option, [f"{text!r} is no time; write 30, 10s, 500ms, 5m or 1h"])
    return value


class _Lines:
    """Says what a round came to; that nothing happens is said once."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json, self._was_quiet = as_json, False

    def tell(self, done: Round) -> None:
        text = _text(done)
        is_news = not done.is_quiet or done.error is not None or (not self._was_quiet and not done.waiting)
        self._was_quiet = done.is_quiet and not done.waiting
        if not is_news:
            return
        if self._as_json:
            report = done.report.to_json() if done.report is not None else None
            error = None if done.error is None else str(done.error)
            merged = len(done.compacted.merges) if done.compacted is not None else None
            print_json({"round": done.number, "error": error, "waiting": done.waiting, "merged": merged, "run": report})
            sys.stdout.flush()
        else:
            say(f"{datetime.now():%H:%M:%S} round {done.number}: {text}", to=sys.stderr)


def _text(done: Round) -> str:
    waiting = f"; {done.waiting} files still change" if done.waiting else ""
    report = done.report
    if report is None:
        return f"{type(done.error).__name__}: {done.error}; trying again in {done.again_s:.0f} s"
    if done.is_quiet:
        return f"up to date{waiting}"
    counts = report.counts
    merged = f"; {len(done.compacted.merges)} shards made of small ones" if done.compacted is not None else ""
    gone = f", {report.removed} shards removed" if report.removed else ""
    return (
        f"{counts.stored} stored, {counts.n_dropped} dropped, {counts.n_rejected} rejected{gone} "
        f"in {report.seconds:.1f} s{merged}{waiting}"
    )
