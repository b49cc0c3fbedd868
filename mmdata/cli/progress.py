"""A run's progress on standard error: live on a terminal, a line now and then elsewhere, JSON with --log-json."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

from mmdata.cli.logs import PROGRESS, is_json
from mmdata.report.words import duration

if TYPE_CHECKING:
    from mmdata.engine.progress import Progress, Watcher

log = logging.getLogger(__name__)

LINE_EVERY_S = 10.0
_MOST_STEPS, _MOST_WORKERS = 8, 8  # lines of the live view
_WHOLE = "shard"  # the name under which all that a worker does is timed


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Watcher]:
    """Something that shows a run's progress; with --log-json also where all else is quiet."""
    if is_json():
        yield _Records()
    elif quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        with _live() as watch:
            yield watch
    else:
        yield _Lines()


def said(progress: Progress) -> str:
    """A moment in a line."""
    counts = progress.counts
    left = "" if progress.left_s is None else f", {duration(progress.left_s)} left"
    return (
        f"{progress.shards}/{progress.shards_total} shards, {progress.samples_a_second:.0f} samples/s, "
        f"{counts.n_dropped} dropped, {counts.n_rejected} rejected{left}"
    )


def step_rows(progress: Progress) -> list[tuple[str, str, str, str]]:
    """The steps that take most of the workers' time: name, calls, samples a second of one worker, share of its time."""
    whole = sum(times.seconds for name, times in progress.counts.steps.items() if name == _WHOLE)
    named = [(name, times) for name, times in progress.counts.steps.items() if name != _WHOLE and times.seconds > 0]
    named.sort(key=lambda item: -item[1].seconds)
    return [
        (
            name,
            str(times.n),
            f"{times.n / times.seconds:,.0f}/s",
            f"{100 * times.seconds / whole:.0f} %" if whole else "",
        )
        for name, times in named[:_MOST_STEPS]
    ]


@dataclass
class _Now:
    """Says when it is time again: at once at first if asked for, then every so many seconds."""

    next_s: float = field(default_factory=monotonic)

    def is_due(self) -> bool:
        if monotonic() < self.next_s:
            return False
        self.next_s = monotonic() + LINE_EVERY_S
        return True


class _Lines:
    def __init__(self) -> None:
        self._now = _Now(monotonic() + LINE_EVERY_S)

    def __call__(self, progress: Progress) -> None:
        if self._now.is_due():
            print(said(progress), file=sys.stderr, flush=True)


class _Records:
    """Progress as records of the log, whatever its level is: the first, one now and then, and the last."""

    def __init__(self) -> None:
        self._now = _Now()

    def __call__(self, progress: Progress) -> None:
        is_last = progress.shards == progress.shards_total and not progress.working
        if self._now.is_due() or is_last:
            record = log.makeRecord(log.name, logging.INFO, __file__, 0, said(progress), (), None)
            setattr(record, PROGRESS, {"progress": progress.to_json()})
            for handler in logging.getLogger().handlers:
                handler.handle(record)


@contextmanager
def _live() -> Iterator[Watcher]:
    """A bar, what each worker has in hand, and how fast the steps are; times go on between two results."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    bar = Bar(BarColumn(), TextColumn("{task.description}"), console=console, auto_refresh=False)
    task = bar.add_task("looking at the source", total=None)
    latest: list[Progress] = []

    def drawn() -> Group:
        return Group(bar, *(_tables(latest[0]) if latest else []))

    with Live(get_renderable=drawn, console=console, transient=True, refresh_per_second=4):

        def watch(progress: Progress) -> None:
            latest[:] = [progress]
            bar.update(task, total=progress.samples_total, completed=progress.samples, description=said(progress))

        yield watch


def _tables(progress: Progress) -> list[Any]:
    from rich.table import Table
    from rich.text import Text

    working, steps = Table.grid(padding=(0, 2)), Table.grid(padding=(0, 2))
    for one in progress.working[:_MOST_WORKERS]:
        working.add_row(Text("in work"), Text(one.shard), f"{one.samples} samples", duration(one.seconds()))
    if len(progress.working) > _MOST_WORKERS:
        working.add_row("", f"and {len(progress.working) - _MOST_WORKERS} more")
    for name, calls, rate, share in step_rows(progress):
        steps.add_row(Text(name), calls, rate, share)
    return [working, steps]
