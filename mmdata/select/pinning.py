"""Snapshots that keep a selection as it was when it was made."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mmdata.errors import StoreError

if TYPE_CHECKING:
    from mmdata.store import Store


def pin(store: Store, name: str) -> str:
    """Pin the store with its selections as NAME.1, NAME.2 and so on; returns which.

    Where the newest of them pins just these files, it is taken, and no other made. Of a store that was opened at a
    snapshot that one's name is returned.
    """
    if store.pinned is not None:
        return store.pinned
    from mmdata.store import selections, snapshots
    from mmdata.store.files import Files

    files = Files.at(store.url, store.storage_options)
    while True:
        numbers = (re.fullmatch(f"{re.escape(name)}\\.([0-9]+)", each) for each in store.snapshots())
        newest = max((int(found[1]) for found in numbers if found), default=0)
        frozen = store.frozen(f"{name}.{newest + 1}")
        if newest and set(snapshots.read(files, f"{name}.{newest}").files()) == {
            *frozen.view().files(),
            *selections.pins(files),
        }:
            return f"{name}.{newest}"
        try:
            frozen.keep()
        except StoreError:
            if f"{name}.{newest + 1}" not in store.snapshots():
                raise
        else:
            return f"{name}.{newest + 1}"
