"""A rule's answer for one store, and for samples of other selections beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmdata.errors import ConfigError
from mmdata.select.clusters import Clusters
from mmdata.select.dedup.rule import Against, Asked, Rule

if TYPE_CHECKING:
    from mmdata.store import Store


def left_alone(store: Store, rule: Rule, against: Sequence[Against], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Clusters among some samples of a store.

    Args:
        store: whose samples.
        rule: what counts as alike.
        against: other selections.
        rows: bool [sample], which samples.

    Returns:
        The least row of each sample's cluster, int64 [sample], and whether the cluster has a sample of the other
        selections, bool [sample].

    Raises:
        ConfigError: of the other selection nothing is selected. StoreError: there is none.
    """
    n = len(rows)
    asked, first = [Asked(store, rows)], n
    for each in against:
        other = _opened(store, each)
        chosen = _chosen(other, each)
        if each.store is None and not (chosen & ~rows).any() and not (~chosen & rows).any():
            raise ConfigError("select", [f"against: {each.selection!r} holds the very samples that are selected"])
        asked.append(Asked(other, chosen, first))
        first += len(chosen)
    clusters = Clusters(first)
    rule.link(asked, clusters)
    labels = clusters.labels()
    reference = np.zeros(first, bool)
    for part in asked[1:]:
        reference[labels[part.first + np.flatnonzero(part.rows)]] = True
    return labels[:n], rows & reference[labels[:n]]


def _opened(store: Store, against: Against) -> Store:
    from mmdata.store import Store as Opened

    return store if against.store is None else Opened.open(against.store, storage_options=store.storage_options)


def _chosen(store: Store, against: Against) -> np.ndarray:
    """The samples of a selection: bool [sample]."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = store.selection(against.selection)
    wanted = pc.is_null(table["reason"])
    if against.split is not None:
        wanted = pc.and_(wanted, pc.fill_null(pc.equal(table["split"], against.split), False))
    keys = table["key"].filter(wanted)
    if not len(keys):
        what = f"split {against.split!r} of " if against.split else ""
        raise ConfigError("select", [f"against: {what}selection {against.selection!r} of {store.url} has no samples"])
    found = pc.is_in(pa.array(store.keys(), pa.string()), value_set=keys.combine_chunks())
    return np.asarray(found.to_numpy(zero_copy_only=False))
