"""`mmdata schema`: the schemas that editors and other tools read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def schema(
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Write all schemas to this folder.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Fail when the folder's schemas are not current.")] = False,
) -> None:
    """Print the JSON schema of pipeline files, or write it and the store's table schemas to a folder."""
    from mmdata.cli.screen import FAILED
    from mmdata.config.schema import schema_files
    from mmdata.errors import ConfigError
    from mmdata.train.config import TrainConfig

    files = schema_files(TrainConfig)
    if out is None:
        if check:
            raise ConfigError("--check", ["needs --out, the folder to compare with"])
        print(files["pipeline.schema.json"], end="")
        return
    stale = [name for name, text in files.items() if not (out / name).exists() or (out / name).read_text() != text]
    if check:
        for name in stale:
            print(f"{out / name} is not current; run: mmdata schema --out {out}")
        raise typer.Exit(FAILED if stale else 0)
    out.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (out / name).write_text(text, encoding="utf-8")
        print(out / name)
