"""What commands print: progress to standard error, results to standard output, one JSON object with --json."""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import typer

from mmdata.cli.logs import is_json
from mmdata.cli.options import storage_options
from mmdata.errors import ConfigError, MMDataError
from mmdata.report.words import duration

if TYPE_CHECKING:
    from mmdata.engine.report import RunReport

log = logging.getLogger(__name__)

DONE, FAILED, CONFIGURATION, TOO_MANY_REJECTS, INTERRUPTED = 0, 1, 2, 3, 130


def complain(error: Exception) -> None:
    """An error as a person is told: its text, no traceback."""
    kind = "" if isinstance(error, ConfigError) else f"{type(error).__name__}: "
    if is_json():
        log.error("%s%s", kind, error)
    else:
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


def finish(report: RunReport, *, as_json: bool) -> None:
    """Print what a run came to, and end with its exit code."""
    warn_of_gone(report.store)
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
    if tracks := _decoded(counts.decoded):
        say(f"  decoded: {tracks}")
    if report.unmatched:
        kinds = Counter(Path(name).suffix or "without extension" for name in report.unmatched)
        shown = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common(4)) + (", ..." if len(kinds) > 4 else "")
        command = f"mmdata plan PIPELINE --store {report.store} --unmatched"
        say(f"  files that belong to no sample: {len(report.unmatched)} ({shown}); {command} names them")
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
    if report.rejected_before:
        say(
            f"of those up to date, {report.rejected_before} rejected before; see why: mmdata rejects {report.store}; "
            f"try them again: mmdata rejects {report.store} --replay"
        )
    if counts.n_dropped:
        say(f"see which were dropped: mmdata rejects {report.store} --dropped")
    if counts.missing.total():
        say(f"see why features are missing: mmdata rejects {report.store} --missing; try them again: --replay")
    if report.state == "interrupted":
        print("interrupted; what was done is stored, and the same command goes on from there")
    if report.state == "stopped":
        above = f"more than {report.rejects_limit:.1%} of {report.samples_todo} samples were rejected"
        say(f"stopped: {above}; --max-rejects allows more")


def warn_of_damage(store: str, look: Callable[[], Mapping[str, str]]) -> None:
    """Say on stderr what is damaged, once a command; nothing where that can't be told."""
    from mmdata.store.damage import mending

    with suppress(MMDataError, OSError):  # the command itself says what it can't read
        if damaged := look():
            first, fault = next(iter(damaged.items()))
            more = f" (and {len(damaged) - 1} more)" if len(damaged) > 1 else ""
            say(f"damaged: {first}: {fault}{more}; {mending(store)}", to=sys.stderr)


def warn_of_gone(store: str) -> None:
    """Say on stderr which files are gone or of another size: a run counts what the log lists as done."""
    from mmdata.api import open as open_store
    from mmdata.store.damage import damage
    from mmdata.store.files import Files

    def look() -> Mapping[str, str]:
        opened = open_store(store, storage_options=storage_options())
        return damage(Files.at(opened.url, opened.storage_options), opened.view(), footers=False)

    warn_of_damage(store, look)


def _decoded(counts: Mapping[str, int]) -> str:
    """How much of films was decoded, in words; empty where nothing was."""
    told = []
    if passes := counts.get("passes", 0):
        told.append(f"picture tracks {counts['streams']}, passes {passes}, frames {counts['frames']}")
    if passes := counts.get("sound_passes", 0):
        told.append(f"sound tracks {counts['sounds']}, passes {passes}")
    return "; ".join(told)


def _listed(what: str, counter: Mapping[str, int]) -> None:
    found = {name: n for name, n in sorted(counter.items(), key=lambda item: -item[1]) if n}
    if found:
        say(f"  {what}: " + ", ".join(f"{n} {name}" for name, n in found.items()))
