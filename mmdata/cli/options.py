"""The options that several commands share, so that they are called and explained alike."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class ExecutorName(StrEnum):
    """Who does the work."""

    inline = "inline"
    pool = "pool"
    dask = "dask"


_UNITS = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def n_bytes(text: str) -> int:
    """A size as people write it, in bytes. Raises BadParameter for what is none.

    >>> n_bytes("4GB"), n_bytes("1.5 GiB"), n_bytes("1000")
    (4000000000, 1610612736, 1000)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    units = {name.lower(): factor for name, factor in _UNITS.items()}
    if found is None or found[2].lower() not in units:
        raise typer.BadParameter(f"expected a size like 4GB or 512MiB, not {text!r}")
    return int(float(found[1]) * units[found[2].lower()])


PipelineArg = Annotated[Path, typer.Argument(metavar="PIPELINE", help="A pipeline file (YAML).")]
StoreArg = Annotated[str, typer.Argument(metavar="STORE", help="A store: a folder, or a URL.")]
StoreOption = Annotated[str, typer.Option("--store", metavar="STORE", help="The store: a folder, or a URL.")]
SourceOption = Annotated[
    str | None, typer.Option("--source", metavar="SOURCE", help="Where samples come from, in place of the file's own.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Take only a sample of so many entries.")]
Executor = Annotated[
    ExecutorName, typer.Option("--executor", help="Who works: this process, a pool of processes, or a Dask cluster.")
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Processes of the pool, or of a Dask cluster here; one a core unless said."),
]
Scheduler = Annotated[
    str | None,
    typer.Option("--scheduler", metavar="ADDRESS", help="Dask's scheduler: tcp://HOST:PORT, or its .json file."),
]
Wait = Annotated[
    float | None, typer.Option("--wait", min=0, metavar="SECONDS", help="How long Dask may have no worker; 300.")
]
MaxRejects = Annotated[
    float | None,
    typer.Option("--max-rejects", metavar="SHARE", help="Stop when more than this share (0 to 1) is rejected."),
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", help="Reject a sample on which one call of a step takes longer."),
]
MemoryLimit = Annotated[
    int | None,
    typer.Option(
        "--memory-limit", metavar="SIZE", parser=n_bytes,
        help="Reject a sample that takes a worker past so much memory: 4GB, 512MiB.",
    ),
]  # fmt: skip
Device = Annotated[
    str | None, typer.Option("--device", help="Where models run: auto (a GPU if there is one), cpu, cuda, cuda:N, mps.")
]
StorageOption = Annotated[
    list[str] | None,
    typer.Option(
        "--storage-option",
        metavar="NAME=VALUE",
        help="A setting of object storage, as AWS_REGION=eu-west-1; repeatable.",
    ),
]
_given: dict[str, str] = {}


def storage_options() -> dict[str, str]:
    """The storage options of this command."""
    return dict(_given)


@contextmanager
def given(options: Mapping[str, str]) -> Iterator[None]:
    """Let storage options stand for the environment variables of their names, while a command runs."""
    before = {name: os.environ.get(name) for name in options}
    os.environ.update(options)
    _given.update(options)
    try:
        yield
    finally:
        _given.clear()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


Snapshot = Annotated[str | None, typer.Option("--snapshot", metavar="NAME", help="The store as a snapshot pinned it.")]
