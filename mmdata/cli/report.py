"""`mmdata report`: a store as one page to look at."""

from __future__ import annotations

import os
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from mmdata.cli.options import Json, Snapshot, StoreArg


def report(
    store: StoreArg,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The page.")] = Path("report.html"),
    selection: Annotated[
        str | None, typer.Option("--selection", metavar="NAME", help="Whose splits to show; the last by name.")
    ] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option("--model", metavar="PLACE", help="A folder of `mmdata train --out`, or what its --json printed."),
    ] = None,
    licence: Annotated[
        list[str] | None, typer.Option("--licence", metavar="TEXT", help="What is known of the sources' licences.")
    ] = None,
    title: Annotated[str | None, typer.Option("--title", metavar="TEXT", help="The heading; the store's name.")] = None,
    samples: Annotated[int, typer.Option("--samples", min=0, metavar="N", help="How many are in the gallery.")] = 24,
    snapshot: Snapshot = None,
    as_json: Json = False,
) -> None:
    """Write a page about STORE: what it holds, where samples went and why, what is odd."""
    from mmdata import api
    from mmdata.cli.screen import print_json, say
    from mmdata.core.packages import missing_packages
    from mmdata.errors import ConfigError
    from mmdata.report.contents import Settings, gather
    from mmdata.report.page import page
    from mmdata.report.words import duration, n_bytes

    if lacking := missing_packages("report"):
        raise ConfigError("report", [lacking])
    began = perf_counter()
    settings = Settings(
        title=title,
        selection=selection,
        models=tuple(model or ()),
        licences=tuple(licence or ()),
        groups=_groups(store),
        samples=samples,
    )
    found = gather(api.open(store, snapshot=snapshot), settings)
    data = page(found).encode("utf-8", "backslashreplace")
    _put(out, data)
    if as_json:
        faults = [f"{fault.where}: {fault.what}" for fault in found.faults]
        print_json({"store": store, "report": str(out), "bytes": len(data), "faults": faults})
        return
    say(f"{out}: {n_bytes(len(data))}, {len(found.rows)} samples, in {duration(perf_counter() - began)}")
    for fault in found.faults[:5]:
        say(f"  could not be read: {fault.where}: {fault.what}")


def _put(out: Path, data: bytes) -> None:
    """Write a file whole or not at all; what is no plain file, such as /dev/stdout, as it is."""
    if out.exists() and not out.is_file():
        out.write_bytes(data)
        return
    making = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        making.write_bytes(data)
        making.replace(out)
    finally:
        making.unlink(missing_ok=True)


def _groups(store: str) -> tuple[str, ...]:
    """The columns by which the store's last pipeline file keeps samples on one side of a split."""
    from mmdata import api
    from mmdata.errors import MMDataError

    try:
        split = api.recorded(store)[0].select.get("split")
    except (MMDataError, OSError, ValueError):  # the report itself tells of a damaged record
        return ()
    group = split.get("group") if isinstance(split, dict) else None
    names = group if isinstance(group, list) else [group]
    return tuple(str(name) for name in names if name and name not in ("cluster", "key"))
