"""`mmdata serve`: a store in a browser."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from mmdata.cli.options import Snapshot, StoreArg, storage_options

if TYPE_CHECKING:
    from mmdata.core.pipeline import Pipeline
    from mmdata.serve.replay import Recorded

PORT = 8642


def serve(
    store: StoreArg,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Where to listen; 0 is any that is free.")
    ] = PORT,
    host: Annotated[
        str, typer.Option("--host", help="The address to listen at; other machines reach it by any but this one's own.")
    ] = "127.0.0.1",
    source: Annotated[
        str | None,
        typer.Option("--source", metavar="SOURCE", help="Where the samples came from, if not where it is recorded."),
    ] = None,
    snapshot: Snapshot = None,
) -> None:
    """Show STORE in a browser: browse, search and filter samples, and trace each back to its source. Writes nothing."""
    from mmdata import api
    from mmdata.cli.screen import say
    from mmdata.core.packages import missing_packages
    from mmdata.errors import MissingExtra

    if lacking := missing_packages("serve"):
        raise MissingExtra("serve", [lacking])
    from mmdata.serve.app import application, listening, new_token, server, url_of
    from mmdata.serve.doors import is_loopback

    opened = api.open(store, snapshot=snapshot, storage_options=storage_options())
    token = None if is_loopback(host) else new_token()
    # who is elsewhere sees of this machine's other files only what this one's user names
    recorded = _recorded(store, source) if source is not None or token is None else None
    with listening(host, port) as taken:
        app = application(opened, recorded=recorded, token=token)
        say(f"{store} is at {url_of(taken, host, token)} (Ctrl-C ends)")
        sys.stdout.flush()  # who waits for the line may read a pipe
        with suppress(KeyboardInterrupt):
            server(app).run(sockets=[taken])


def _recorded(store: str, source: str | None) -> Recorded:
    from mmdata import api

    def pipeline() -> Pipeline:
        file, _ = api.recorded(store, source=source)
        return api.reaching(file.pipeline, storage_options())

    return pipeline
