"""`mmdata export`: a store in the format of another tool."""

from __future__ import annotations

import sys
from enum import StrEnum
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from mmdata.cli.options import Json, Snapshot, SourceOption, StoreArg, n_bytes, storage_options

if TYPE_CHECKING:
    from mmdata.core.ports import Source

LINE_EVERY_S = 10.0


class Format(StrEnum):
    """Whose format."""

    webdataset = "webdataset"
    huggingface = "huggingface"
    parquet = "parquet"
    files = "files"


def export(
    store: StoreArg,
    dest: Annotated[str, typer.Argument(metavar="DEST", help="A folder that is not there yet, or a URL.")],
    form: Annotated[Format, typer.Option("--format", help="What is to read it.")],
    selection: Annotated[str | None, typer.Option("--selection", metavar="NAME", help="Only its samples.")] = None,
    split: Annotated[
        list[str] | None, typer.Option("--split", metavar="NAME", help="Only this split of it; may be repeated.")
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--columns", metavar="NAME[,NAME]", help="Only these parts and features; all of them unless said."
        ),
    ] = None,
    shard_bytes: Annotated[
        int | None,
        typer.Option(
            "--shard-bytes",
            metavar="SIZE",
            parser=n_bytes,
            help="How large a tar or table is to be; 500MB unless said.",
        ),
    ] = None,
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Leave features empty where shards lack them, instead of failing.")
    ] = False,
    source: SourceOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be written.")] = False,
    snapshot: Snapshot = None,
    as_json: Json = False,
) -> None:
    """Write STORE to DEST for another tool, losing nothing; DEST is seen only when it is whole."""
    from mmdata import api
    from mmdata.cli.screen import print_json, say
    from mmdata.report.words import counted
    from mmdata.sink.export import SHARD_BYTES
    from mmdata.sink.export import export as export_

    done = export_(
        api.open(store, snapshot=snapshot),
        dest,
        format=form.value,
        selection=selection,
        split=split or None,
        columns=[name.strip() for each in columns for name in each.split(",")] if columns else None,
        shard_bytes=SHARD_BYTES if shard_bytes is None else shard_bytes,
        incomplete=incomplete,
        source=_source(store, source),
        dry_run=dry_run,
        watch=None if as_json else _Lines(),
        storage_options=storage_options(),
    )
    if as_json:
        print_json({"store": store, **vars(done)})
        return
    splits = ", ".join(f"{n} {split}" for split, n in done.splits.items() if split)
    what = f"{counted(done.samples, 'sample')}{f' ({splits})' if splits else ''}"
    if done.state == "planned":
        say(f"{what} would be about {done.n_bytes:,} bytes in {done.n_files} tars or tables: {', '.join(done.columns)}")
    elif done.state == "there":
        say(f"{what}: {dest} is this very export already")
    else:
        say(f"{what} in {counted(done.n_files, 'file')}, {done.n_bytes:,} bytes: {dest}")


def _source(store: str, location: str | None) -> Source | None:
    """Where parts lie that the store only points to, as its last run says; None where that is not known."""
    from mmdata import api
    from mmdata.errors import MMDataError

    try:
        file, _ = api.recorded(store, source=location)
    except MMDataError:  # it was run from Python, or with steps that are not here: then nothing may be a mere pointer
        if location is not None:
            raise
        return None
    return api.reaching(file.pipeline, storage_options()).source


class _Lines:
    """A line on standard error now and then."""

    def __init__(self) -> None:
        self._next = monotonic() + LINE_EVERY_S

    def __call__(self, done: int, total: int) -> None:
        if monotonic() >= self._next:
            self._next = monotonic() + LINE_EVERY_S
            print(f"{done:,} of {total:,} samples", file=sys.stderr, flush=True)
