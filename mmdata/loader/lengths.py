"""Lengths of the rows that a stream reads, from the columns that hold them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from mmdata.errors import ConfigError, Incomplete
from mmdata.loader.contents import Contents
from mmdata.loader.reader import Chunk, ShardReader

if TYPE_CHECKING:
    from mmdata.store import Store


def lengths_of(store: Store, contents: Contents, name: str, *, threads: int) -> np.ndarray:
    """The length of each row, in stored order.

    Args:
        store: what is streamed.
        contents: its rows.
        name: a feature that varies along one axis; NAME#AXIS, one of several; or a feature of one number, in its unit.
        threads: how many read.

    Returns:
        float64 [row]; 0 where a sample has no such feature.

    Raises:
        ConfigError: there is no such feature, it has no length, or lengths are below 0 or no numbers.
        Incomplete: a shard lacks it.
    """
    family, column = _place_of(store, name)
    lacking = {chunk.files["samples"].shard for chunk in contents.chunks if family not in chunk.files}
    if lacking:
        raise Incomplete(
            f"{family!r}, which `length` reads, lacks {len(lacking)} shards of {store.url!r}: `mmdata features` (or "
            "`mmdata run`) on this store makes them"
        )
    reader = ShardReader(contents.files, ())

    def read(chunks: Sequence[Chunk]) -> np.ndarray:
        rows = np.concatenate([chunk.rows for chunk in chunks])
        values = reader.read(chunks[0].files[family], [column], rows).column(column)
        return np.asarray(values.fill_null(0).to_numpy()).astype(np.float64)

    shards = [list(chunks) for _, chunks in groupby(contents.chunks, key=lambda chunk: chunk.files[family].path)]
    try:
        with ThreadPoolExecutor(threads, thread_name_prefix="mmdata-read") as pool:
            found = np.concatenate(list(pool.map(read, shards)))
    finally:
        reader.close()
    bad = ~(np.isfinite(found) & (found >= 0))
    if bad.any():
        raise ConfigError(
            "stream",
            [f"length: {name!r} of {int(bad.sum())} samples is below 0 or no number, such as {found[bad][0]}"],
        )
    return found


def _place_of(store: Store, name: str) -> tuple[str, str]:
    """The family and the column of files that hold a length."""
    specs = store.families
    feature, _, axis = name.partition("#")
    if feature not in specs:
        near = difflib.get_close_matches(feature, list(specs), n=1)
        guess = f", did you mean {near[0]!r}?" if near else f"; there are {', '.join(specs) or 'none'}"
        raise ConfigError("stream", [f"length: {store.url} has no feature {feature!r}{guess}"])
    spec = specs[feature]
    axes = ", ".join(f"{feature}#{dim}" for dim in spec.varying)
    if axis and axis not in spec.varying:
        raise ConfigError("stream", [f"length: {name!r} does not vary; there is {axes or 'no axis that does'}"])
    if not axis and len(spec.varying) > 1:
        raise ConfigError("stream", [f"length: {name!r} varies along several axes: say which, {axes}"])
    if not axis and not spec.varying and spec.dims:
        raise ConfigError("stream", [f"length: all arrays of {name!r} are of one length, {spec}: use batch_size"])
    return store.family_of(feature), f"{feature}#{axis or spec.varying[0]}" if spec.varying else feature
