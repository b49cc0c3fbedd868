"""`mmdata try`: a pipeline on a file or a few, step by step; nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmdata.cli.options import Json, PipelineArg, SourceOption

if TYPE_CHECKING:
    from mmdata.engine.trial import Tried


def trial(
    pipeline: PipelineArg,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Media files; parts beside them are found.")],
    source: SourceOption = None,
    as_json: Json = False,
) -> None:
    """Show what every step of PIPELINE does to the sample that FILE belongs to. Writes nothing."""
    from mmdata.api.packages import check_packages
    from mmdata.cli.screen import print_json, print_table, say
    from mmdata.config.load import load
    from mmdata.engine.trial import try_file

    rows: list[dict[str, Any]] = []
    for path in files:
        file = load(pipeline, source=source, otherwise=str(path.absolute().parent))
        check_packages(file)
        rows += [_row(tried) for tried in try_file(file.pipeline, path.absolute(), where=file.where)]
    if as_json:
        print_json({"pipeline": str(pipeline), "steps": rows})
        return
    for key in dict.fromkeys(row["key"] for row in rows):
        say(key)
        print_table([_cells(row) for row in rows if row["key"] == key], ["step", "on", "before", "after", "time"])


def _cells(row: dict[str, Any]) -> list[str]:
    return [row["step"], row["on"], row["before"], row["after"], f"{row['seconds'] * 1000:.1f} ms"]


def _row(tried: Tried) -> dict[str, Any]:
    from mmdata.report.words import described

    after = tried.outcome or ("" if tried.after is None else described(tried.after))
    if tried.arrays:
        after = "; ".join(f"{name}: {_array(array)}" for name, array in tried.arrays.items())
    elif not after:
        after = "kept"
    before = "" if tried.before is None else described(tried.before)
    return {
        "key": tried.key,
        "step": tried.step,
        "on": tried.on,
        "before": before,
        "after": _compared(tried, before, after),
        "seconds": tried.seconds,
    }


def _compared(tried: Tried, before: str, after: str) -> str:
    """What came of a part, where in a few words it looks as before."""
    if after != before or tried.outcome or tried.after is None:
        return after
    return f"changed: {after}" if tried.changed else "unchanged"


def _array(array: Any) -> str:
    if array.ndim == 0:
        return f"{array.item():.6g}" if array.dtype.kind == "f" else str(array.item())
    return f"{array.dtype} {list(array.shape)}"
