"""Signs of life of runs: a small file beside a run's record, written anew every minute while its process lives.

`gc` keeps what a living run may have written and not committed; `compact` and `forget` give way to it.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from mmdata.errors import StoreError
from mmdata.store import runs
from mmdata.store.files import Files
from mmdata.store.layout import RUNS
from mmdata.store.log import Log

log = logging.getLogger(__name__)

BEAT_S = 60.0
DAY_S = 86_400.0
DEAD_S = 900.0  # without a sign: clocks differ, and a store may be out of reach for a while
_ENDING = ".alive"


@contextmanager
def beating(files: Files, run: str) -> Iterator[None]:
    """Give signs of life of a run for as long as this lasts."""
    over = threading.Event()
    path = _path(run)
    _beat(files, path)
    thread = threading.Thread(target=_beats, args=(files, path, over), name="mmdata-pulse", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        try:
            files.delete(path)
        except (OSError, StoreError) as error:
            log.info("run=%s its sign of life stays: %s", run, error)


def _beats(files: Files, path: str, over: threading.Event) -> None:
    while not over.wait(BEAT_S):
        _beat(files, path)


def _beat(files: Files, path: str) -> None:
    try:
        files.replace(path, datetime.now(UTC).isoformat().encode())
    except (OSError, StoreError) as error:  # a run must not fail of it
        log.info("path=%s no sign of life could be given: %s", path, error)


def _path(run: str) -> str:
    return f"{RUNS}/{run}{_ENDING}"


def last_beats(files: Files) -> dict[str, float]:
    """When each run gave its last sign of life, in seconds since 1970, by run."""
    found = (listed for listed in files.listing(RUNS) if listed.path.endswith(_ENDING))
    return {listed.path.rpartition("/")[2].removesuffix(_ENDING): listed.changed_s for listed in found}


def going_on(files: Files) -> list[datetime]:
    """When each run began that may still be going on, the oldest first.

    One that gave no sign of life for `DEAD_S` was killed, and so was one of this machine whose process is gone. Of
    those that never gave any, another machine's counts as dead after a day.
    """
    records = Log(files, RUNS)
    records.refresh()
    beats, now = last_beats(files), time.time()
    found = []
    for run, is_here, began in runs.going_on(files, records):
        never = math.inf if is_here else DAY_S
        last, patience = (beats[run], DEAD_S) if run in beats else (began.timestamp(), never)
        if now - last < patience:
            found.append(began)
    return sorted(found)


def give_way(files: Files, *, to: str) -> None:
    """Raise StoreError when a run is going on: `to` is the command that waits for its end."""
    if began := going_on(files):
        since = f"{began[0]:%Y-%m-%d %H:%M:%S} UTC"
        raise StoreError(
            f"a run is going on in {files.url!r} since {since}: {to} gives way to it, and nothing more was changed; "
            f"`mmdata {to}` again when it is done"
        )
