"""What commands print: progress to standard error, results to standard output, one JSON object with --json."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, TextIO

import typer

from mmdata.errors import ConfigError

if TYPE_CHECKING:
    from mmdata.engine.report import Progress, RunReport, Watcher

DONE, FAILED, CONFIGURATION, TOO_MANY_REJECTS, INTERRUPTED = 0, 1, 2, 3, 130
LINE_EVERY_S = 10.0


def complain(error: Exception) -> None:
    """An error as a person is told: its text, no traceback."""
    kind = "" if isinstance(error, ConfigError) else f"{type(error).__name__}: "
    say(f"{kind}{error}", to=sys.stderr)


def say(text: str = "", *, to: TextIO | None = None) -> None:
    """Print text that may hold names of files: what would steer the terminal is shown as an escape."""
    print("\n".join(_printable(line) for line in text.split("\n")), file=to)


def print_json(value: object) -> None:
    print(json.dumps(value, ensure_ascii=False, default=str))


def print_table(rows: Sequence[Sequence[object]], head: Sequence[str]) -> None:
    """Rows under a head, in columns as wide as they need; tabs where the output is no terminal."""
    cells = [[_one_line(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in [list(head), *cells]:
            print("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*head, box=None, pad_edge=False, header_style="bold")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def _one_line(cell: object) -> str:
    return _printable("" if cell is None else f"{cell:.4g}" if isinstance(cell, float) else str(cell))


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def duration(seconds: float) -> str:
    """Seconds as a person says them: 0.8 s, 42 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Watcher]:
    """Something that shows a run's progress: a live bar on a terminal, a line now and then elsewhere."""
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        with _bar() as watch:
            yield watch
    else:
        yield _Lines()


def _said(progress: Progress) -> str:
    counts = progress.counts
    left = "" if progress.left_s is None else f", {duration(progress.left_s)} left"
    return (
        f"{progress.shards}/{progress.shards_total} shards, {progress.samples_a_second:.0f} samples/s, "
        f"{counts.n_dropped} dropped, {counts.n_rejected} rejected{left}"
    )


class _Lines:
    def __init__(self) -> None:
        self._next = monotonic() + LINE_EVERY_S

    def __call__(self, progress: Progress) -> None:
        if monotonic() >= self._next:
            self._next = monotonic() + LINE_EVERY_S
            print(_said(progress), file=sys.stderr, flush=True)


@contextmanager
def _bar() -> Iterator[Watcher]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    with Bar(BarColumn(), TextColumn("{task.description}"), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("looking at the source", total=None)

        def watch(progress: Progress) -> None:
            bar.update(task, total=progress.samples_total, completed=progress.samples, description=_said(progress))

        yield watch


def finish(report: RunReport, *, as_json: bool) -> None:
    """Print what a run came to, and end with its exit code."""
    if as_json:
        print_json(report.to_json())
    else:
        summary(report)
    if report.state == "interrupted":
        raise typer.Exit(INTERRUPTED)
    if report.state == "stopped" or report.above_limit:
        raise typer.Exit(TOO_MANY_REJECTS)


def summary(report: RunReport) -> None:
    """The balance of a run, for a person."""
    counts = report.counts
    made = f" + {counts.made} made" if counts.made else ""
    say(
        f"{counts.read} read{made} = {counts.stored} stored + {counts.n_dropped} dropped + {counts.n_rejected} rejected"
        f"   ({duration(report.seconds)}; {report.kept} samples were up to date)"
    )
    _listed("dropped", counts.dropped)
    _listed("rejected", counts.rejected)
    _listed("features missing", counts.missing)
    _listed("features computed", counts.computed)
    _listed("features taken over", counts.gathered)
    if report.unmatched:
        kinds = Counter(Path(name).suffix or "without extension" for name in report.unmatched)
        shown = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common(4)) + (", ..." if len(kinds) > 4 else "")
        say(f"  files that belong to no sample: {len(report.unmatched)} ({shown}); mmdata plan --unmatched names them")
    if report.removed:
        say(f"  {report.removed} shards were removed: their files are gone from the source, or changed")
    if most := counts.bottleneck:
        say(f"  bottleneck: {most.stage} ({most.step}, {100 * most.share:.0f} % of worker time)")
    if report.selection:
        splits = ", ".join(f"{n} {split or 'samples'}" for split, n in report.selection["splits"].items())
        say(f"  selection {report.selection['name']!r}: {splits}")
    say(f"store: {report.store}")
    if counts.n_rejected:
        say(f"see why: mmdata rejects {report.store}")
    if counts.n_dropped:
        say(f"see which were dropped: mmdata rejects {report.store} --dropped")
    if counts.missing.total():
        say(f"see why features are missing: mmdata rejects {report.store} --missing; try them again: --replay")
    if report.state == "interrupted":
        print("interrupted; what was done is stored, and the same command goes on from there")
    if report.state == "stopped":
        above = f"more than {report.rejects_limit:.1%} of {report.samples_todo} samples were rejected"
        say(f"stopped: {above}; --max-rejects allows more")


def _listed(what: str, counter: Mapping[str, int]) -> None:
    found = {name: n for name, n in sorted(counter.items(), key=lambda item: -item[1]) if n}
    if found:
        say(f"  {what}: " + ", ".join(f"{n} {name}" for name, n in found.items()))
