"""`mmdata forget`: samples that must go, and must not come back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmdata.cli.options import Json, StoreArg


def forget(
    store: StoreArg,
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="KEY...", help="Samples' keys, as `mmdata ls` shows them.")
    ] = None,
    listed: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="A file of keys, one a line, beside those given.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: Json = False,
) -> None:
    """Remove samples from STORE for good, in snapshots too, and keep runs from taking them up again."""
    from mmdata import api
    from mmdata.cli.screen import print_json, say

    wanted = [*(keys or ()), *(_lines(listed) if listed is not None else ())]
    done = api.open(store).forget(*wanted, dry_run=dry_run)
    if as_json:
        told = {**done.counts, "snapshots": done.snapshots, "selections": done.selections, "files": done.files}
        print_json({"store": store, "dry_run": dry_run, "keys": list(done.keys), **told})
        return
    verb = "would go" if dry_run else "are gone"
    say(f"{done.samples} samples, {done.drops} drops and {done.rejects} rejects of {len(done.keys)} keys {verb}")
    for what, names in (("snapshots", done.snapshots), ("selections", done.selections)):
        if names:
            say(f"  in {what}, too: {', '.join(names)}")
    anew = "live files hold them and would be written anew; old ones that do would be deleted, too"
    say(f"  {len(done.files)} {anew if dry_run else 'files that held them were deleted, old ones among them'}")


def _lines(path: Path) -> list[str]:
    from mmdata.errors import ConfigError

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("--from", [f"{path} can't be read: {error}"]) from None
    return [line for line in text.splitlines() if line.strip()]
