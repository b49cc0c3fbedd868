"""What the selection of a name said before, so that the next one moves nobody."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmdata.errors import StoreError
from mmdata.select.grouping import History

if TYPE_CHECKING:
    from mmdata.store import Store

MOVED = "split.moved"


def history_of(store: Store, name: str, keys: Sequence[str], splits: Sequence[str], settings: str) -> History:
    """What the selection of a name says of some samples; nothing where it was dealt by other settings.

    Args:
        store: whose selection.
        name: its name.
        keys: the samples that there are now.
        splits: the splits by number.
        settings: the fingerprint of how it must have been dealt.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from mmdata.store import selections
    from mmdata.store.files import Files

    try:
        before = selections.read(Files.at(store.url, store.storage_options), name)
    except StoreError:
        return History.none(len(keys))
    if json.loads((before.schema.metadata or {}).get(selections.DEALT, b'""')) != settings:
        return History.none(len(keys))
    at = pc.index_in(pa.array(keys, pa.string()), value_set=before["key"].combine_chunks())
    here = np.asarray(pc.is_valid(at).to_numpy(zero_copy_only=False))
    rows = np.asarray(pc.fill_null(at, 0).to_numpy(zero_copy_only=False), np.int64)
    used = pc.or_(pc.is_null(before["reason"]), pc.fill_null(pc.equal(before["reason"], MOVED), False))
    numbers = pc.fill_null(pc.index_in(before["split"], value_set=pa.array(splits, pa.string())), -1)
    known = np.where(np.asarray(used.to_numpy()), np.asarray(numbers.to_numpy(), np.int64), -1)
    since = np.asarray(pc.fill_null(before["since"], 0).to_numpy(), np.int64)
    if not len(since):
        return History.none(len(keys))
    return History(np.where(here, known[rows], -1), np.where(here, since[rows], -1), int(since.max()) + 1)
