"""Keeping the logs of the tables short: checkpoints sum them up, and what lies before one can go.

Nothing of mmdata reads old versions: snapshots name their files themselves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from deltalake import DeltaTable

from mmdata.store.files import Files, Listed
from mmdata.store.layout import DROPS, FEATURES, LOG, MEDIA, PLANS, REJECTS, RUNS, SAMPLES, SELECTIONS, folder
from mmdata.store.log import Log

_COMMIT = re.compile(r"(\d{20})\.(json|crc|checkpoint.*\.parquet)")
_LAST = "_last_checkpoint"


def families(files: Files) -> list[str]:
    """Every family with a table."""
    found = [SAMPLES, DROPS, REJECTS, PLANS, RUNS, *files.folders(FEATURES)]
    found += [f"{SELECTIONS}/{name}" for name in files.folders(SELECTIONS)]
    return [family for family in found if files.exists(f"{folder(family)}/{LOG}")]


def data_families(files: Files) -> list[str]:
    """The families that hold shards' rows: samples, drops, rejects and features."""
    return [each for each in families(files) if each not in (PLANS, RUNS) and not each.startswith(f"{SELECTIONS}/")]


def live_paths(files: Files, family: str) -> set[str]:
    """The live files of a table, and their tars, relative to the store."""
    log = Log(files, family)
    log.refresh()
    media = {f"{MEDIA}/{entry.values['media']}" for entry in log.live().values() if entry.values.get("media")}
    return media | {f"{folder(family)}/{name}" for name in log.live()}


def checkpoint(files: Files, *, after: int = 1) -> list[str]:
    """Sum up the logs that have grown by at least `after` commits since they last were; returns their families."""
    done = []
    for family in families(files):
        table = DeltaTable(files.uri(folder(family)), storage_options=files.delta_options)
        if table.version() - _checkpointed(files, family) >= after:
            table.create_checkpoint()
            done.append(family)
    return done


def _checkpointed(files: Files, family: str) -> int:
    """The version of the newest checkpoint; -1 where there is none."""
    try:
        value = json.loads(files.read(f"{folder(family)}/{LOG}/{_LAST}"))
    except FileNotFoundError:
        return -1
    return int(value["version"])


def outdated(files: Files, family: str, before_s: float) -> Iterator[Listed]:
    """The commits and checkpoints of a table that its newest checkpoint sums up and that were written before then."""
    newest = _checkpointed(files, family)
    for listed in files.listing(f"{folder(family)}/{LOG}"):
        found = _COMMIT.fullmatch(listed.path.rpartition("/")[2])
        if found and int(found[1]) < newest and listed.changed_s <= before_s:
            yield listed
