"""`mmdata asof`: the samples of a store with what a table of features knew of them at their times."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmdata.cli.options import Json, Snapshot, StoreArg
from mmdata.errors import ConfigError


def asof(
    store: StoreArg,
    features: Annotated[
        str, typer.Argument(metavar="FEATURES", help="Rows with their times: Parquet, a folder of it, or CSV.")
    ],
    entity: Annotated[
        list[str],
        typer.Option("--entity", metavar="COLUMN=COLUMN", help="What is the same in samples and rows; repeatable."),
    ],
    time: Annotated[str, typer.Option("--time", metavar="COLUMN", help="When a sample is from, such as meta.taken.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The Parquet file to write.")],
    event_time: Annotated[str, typer.Option("--event-time", help="From when on a row holds.")] = "event_time",
    created_time: Annotated[
        str, typer.Option("--created-time", help="When a row was written; '' where no column says.")
    ] = "created_time",
    max_age_s: Annotated[float | None, typer.Option("--max-age-s", help="Seconds that a row is seen.")] = None,
    columns: Annotated[
        list[str] | None, typer.Option("--column", help="Only these of FEATURES; can be repeated.")
    ] = None,
    memory_bytes: Annotated[int, typer.Option("--memory-bytes", help="What may be held in memory.")] = 512_000_000,
    snapshot: Snapshot = None,
    as_json: Json = False,
) -> None:
    """Write the samples of STORE, each with the newest row of FEATURES that was known at its time (point in time)."""
    from mmdata import api
    from mmdata.cli.screen import print_json, say
    from mmdata.select.asof import AsOf, as_of, write_as_of

    asked = AsOf(
        entity=_entity(entity),
        time=time,
        event_time=event_time,
        created_time=created_time or None,
        max_age_s=max_age_s,
        columns=columns,
        memory_bytes=memory_bytes,
    )
    rows, known = write_as_of(as_of(api.open(store, snapshot=snapshot), features, asked), out)
    if as_json:
        print_json({"store": store, "out": str(out), "samples": rows, "known": known})
    else:
        say(f"{rows:,} samples in {out}, of {known:,} something was known at their times")


def _entity(given: list[str]) -> dict[str, str]:
    """The samples' columns, with the features' column for each."""
    faults = [f"--entity: {text!r} must be COLUMN=COLUMN, such as meta.user=user" for text in given if "=" not in text]
    if faults:
        raise ConfigError("as_of", faults)
    return {mine: theirs for mine, _, theirs in (text.partition("=") for text in given)}
