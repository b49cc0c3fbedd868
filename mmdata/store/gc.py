"""Sweeping: deletes files that neither the log nor a snapshot speaks of any more, and commits that are summed up."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator

from mmdata.store import pulse, snapshots
from mmdata.store.files import Files, Listed
from mmdata.store.layout import LOG, MEDIA, MEDIA_INDEX, SCRATCH, folder
from mmdata.store.store import Store
from mmdata.store.tidy import families, live_paths, outdated

DAY_S = 86_400.0
CLOCKS_S = 2.0  # by how much clocks and file systems' times may differ


def gc(store: Store, *, grace_s: float = DAY_S, dry_run: bool = False) -> list[Listed]:
    """Delete what is neither live nor pinned; returns it.

    Args:
        store: not a snapshot.
        grace_s: what was written or taken out of the log less than this long ago stays, as readers may still hold a
            picture of before. Whatever it is, what was written since a run began that has not ended stays, too: its
            workers have not committed theirs yet. `pulse.going_on` says which runs count as dead.
        dry_run: delete nothing.
    """
    files = Files.at(store.url, store.storage_options)
    began = min((began.timestamp() for began in pulse.going_on(files)), default=math.inf)
    before_s = min(time.time() - grace_s, began - CLOCKS_S)
    tables = families(files)
    # what lies there is listed first: what is written meanwhile is not looked at
    there = [listed for place in [*(folder(f) for f in tables), MEDIA, SCRATCH] for listed in files.listing(place)]
    kept = {MEDIA_INDEX}
    for family in tables:
        kept |= live_paths(files, family)
        kept |= set(_just_removed(files, family, before_s))
    kept |= set(snapshots.pinned_paths(files))
    swept = [listed for listed in there if listed.path not in kept and listed.changed_s <= before_s]
    for family in tables:
        swept += outdated(files, family, before_s)
    if not dry_run:
        for listed in swept:
            files.delete(listed.path)
        store.write_index()
    return swept


def _just_removed(files: Files, family: str, after_s: float) -> Iterator[str]:
    """The files that commits since then took out of the log, and their tars."""
    for listed in files.listing(f"{folder(family)}/{LOG}"):
        if not listed.path.endswith(".json") or listed.changed_s <= after_s:
            continue
        for line in files.read(listed.path).splitlines():
            removed = json.loads(line).get("remove")
            if removed:
                yield f"{folder(family)}/{removed['path']}"
                if media := (removed.get("partitionValues") or {}).get("media"):
                    yield f"{MEDIA}/{media}"
