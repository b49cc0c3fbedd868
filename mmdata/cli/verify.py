"""`mmdata verify`: whether every byte of a store is what it was."""

from __future__ import annotations

import typer

from mmdata.cli.options import Json, StoreArg


def verify(store: StoreArg, as_json: Json = False) -> None:
    """Check every file of STORE against its size and digest, and that everything in it fits together."""
    from mmdata import api
    from mmdata.cli.screen import FAILED, print_json, say
    from mmdata.store.verify import verify as verify_

    report = verify_(api.open(store))
    if as_json:
        faults = [{"path": fault.path, "error": fault.error} for fault in report.faults]
        print_json({"store": store, "files": report.n_files, "bytes": report.n_bytes, "faults": faults})
    else:
        for fault in report.faults:
            say(f"{fault.path}: {fault.error}")
        say(f"{report.n_files} files, {report.n_bytes:,} bytes, {len(report.faults)} faults")
    if report.faults:
        raise typer.Exit(FAILED)
