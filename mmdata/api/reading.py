"""Reading a store in Python: `mmdata.open`, `mmdata.stream` and `mmdata.rows`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from mmdata.loader.follow import FollowingStream
    from mmdata.loader.parts import Part
    from mmdata.loader.rows import Rows
    from mmdata.loader.stream import Stream
    from mmdata.store.store import Store


def open(  # noqa: A001  the name that users look for: mmdata.open
    url: str | os.PathLike[str], *, snapshot: str | None = None, storage_options: Mapping[str, str] | None = None
) -> Store:
    """Open a store, to read it.

    Args:
        url: a folder, or any URL that fsspec and deltalake both reach.
        snapshot: the name of a snapshot: the store is then as it was when that was made.
        storage_options: credentials and endpoint of object storage, by the names of environment variables, which they
            take the place of: see docs/storage.md.

    Raises:
        StoreError: there is no store, or no such snapshot.
        SchemaMismatch: a newer mmdata made it.
        OSError: the place can't be reached, or refuses; `Unreachable` and PermissionError are.
        ConfigError: a storage option is unknown, or a package for such URLs is missing.
    """
    from mmdata.store.store import Store

    return Store.open(url, snapshot=snapshot, storage_options=storage_options)


@overload
def stream(
    store: Store | str | os.PathLike[str] | Sequence[Part],
    columns: Sequence[str],
    *,
    storage_options: Mapping[str, str] | None = None,
    follow: None = None,
    **settings: Any,
) -> Stream: ...


@overload
def stream(
    store: Store | str | os.PathLike[str],
    columns: Sequence[str],
    *,
    storage_options: Mapping[str, str] | None = None,
    follow: str,
    **settings: Any,
) -> FollowingStream: ...


def stream(
    store: Store | str | os.PathLike[str] | Sequence[Part],
    columns: Sequence[str],
    *,
    storage_options: Mapping[str, str] | None = None,
    follow: str | None = None,
    **settings: Any,
) -> Stream | FollowingStream:
    """Stream columns of a store, batch by batch; iterating gives what is left of one epoch. See docs/streaming.md.

    A batch is a dict. A feature of one shape is NAME: [batch, *shape]; one that varies is padded with zeros and has
    NAME.length: int64 [batch] beside it. Each feature has NAME.mask: bool [batch], False (and zeros) where a sample
    has none. Texts are lists of str or None; `key` is always there. The stream's `state_dict` and `load_state_dict`
    take it up anywhere, with the same global batch.

    Args:
        store: an open store, or where it is. Or several parts to be mixed, `mmdata.Part(store, weight=0.7)` each; a
            batch then has `part`, int64 [batch], which says where each row is from.
        columns: features, pictures and sounds by their part's name, PART.bytes, and the texts key, label, source,
            parent, text.PART and meta.NAME: ["image", "speech.mfcc", "label"].
        storage_options: as `open` takes them, where `store` is a place.
        follow: a name, for a store that still grows: each epoch reads a snapshot of its own, NAME.EPOCH, of what there
            is as it begins. keep_epochs (int), a setting beside it: how many of them to keep; all unless said.
        settings: any of these, by name.
            selection (str): only samples of that selection.
            split (str or several): only samples of those splits of the selection.
            weighted (bool = False): draw rows by the selection's weights: those of weight 2 come twice as often as
                those of 1, those of 0 never. Epochs are of the same length; for training, not for judging.
            batch_size (int = 256): rows of a rank's batch.
            global_batch_size (int): rows of a step over all ranks, instead of `batch_size`.
            seed (int = 0): fixes the order, with the epoch. epoch (int = 0): the first one.
            rank, world (int = 0, 1): which part of each global batch this stream gives, of how many equal parts.
            shuffle (bool = True): without it, the stored order, which costs every rank the reading of all.
            tail (str = "drop"): what becomes of rows that don't fill a last batch: "drop" leaves them out, "short"
                gives a shorter batch, "repeat" fills up with other rows, "mask" does so and has a bool array `real`
                [batch] that tells them apart.
            lanes (int = 8): how many windows a batch is drawn from. Part of the order.
            window_rows (int = 4096): about how many rows are shuffled among each other. Part of the order.
            until (str = "first"): a mixture's epochs are as long as it takes the "first" of its parts to be gone
                through, or "all" of them.
            batches (str = "mixed"): a mixture's steps are "mixed" of its parts, or each of a "single" one.
            length (str), budget (float): batches of similar length, with at most `budget` rows x longest; `length` is
                a feature that varies, NAME#AXIS, or a feature of one number.
            shares (int = world): with a budget, how many equal shares a step has, each within the budget.
            threads (int = 2): how many read and decode.
            max_bytes (int = 2 GiB): bound of what is held, read and decoded ahead.
            output (str = "numpy"): arrays of numpy, or tensors of "torch".
            steps (dict): by column of media, the steps that follow decoding; a decoder may stand first, an `Extract`
                last.
            max_consecutive_bad (int = 16): most samples in a row that may be bad: one, and those to take its place.
            check_digests (bool = False): compare each file of a local store with the log before its first use.
            fetch (function): reads parts that the store only points to, from a `Pointer` to bytes.
            cache (path or Cache): a folder on a disk of this machine for copies of the store's files.
            pin (bool = False): put tensors where a GPU can fetch them by itself.
            mix (MixUp, CutMix or several): rows mixed with each other.

    Raises:
        ConfigError: a setting is out of range or an unknown name; there are no rows, or none after "drop".
        Incomplete: a shard with selected samples lacks a feature that is asked for.
        SchemaMismatch: shards hold different forms of a column.
    """
    from mmdata.loader.stream import stream as stream_

    def opened(place: Store | str | os.PathLike[str]) -> Store:
        return open(place, storage_options=storage_options) if isinstance(place, str | os.PathLike) else place

    if follow is not None:
        from mmdata.loader.follow import FollowingStream

        return FollowingStream(
            opened(store) if isinstance(store, str | os.PathLike) else store, columns, name=follow, **settings
        )
    if isinstance(store, Sequence) and not isinstance(store, str):
        parts = [replace(part, store=opened(part.store)) if hasattr(part, "store") else part for part in store]
        return stream_(parts, columns, **settings)
    return stream_(opened(store), columns, **settings)


def rows(
    store: Store | str | os.PathLike[str],
    columns: Sequence[str],
    *,
    storage_options: Mapping[str, str] | None = None,
    **settings: Any,
) -> Rows:
    """A store's samples by number, in stored order, as a map-style dataset of torch. See docs/streaming.md.

    `data[3]` is one sample, `data[[3, 1]]` a batch, in the form that `stream` gives. A `DataLoader` gathers batches
    with `collate_fn=data.collate`.

    Args:
        store: an open store, or where it is.
        columns: as `stream` takes them.
        storage_options: as `open` takes them, where `store` is a place.
        settings: by name, as `stream` takes them: selection, split, threads, output, cache, and of media steps,
            seed, check_digests and fetch. max_bytes (int = 2 GiB) bounds what each process keeps.

    Raises:
        ConfigError: a setting is out of range or an unknown name, or there are no rows.
        Incomplete: a shard with selected samples lacks a feature that is asked for.
    """
    from mmdata.loader.rows import rows as rows_

    opened = open(store, storage_options=storage_options) if isinstance(store, str | os.PathLike) else store
    return rows_(opened, columns, **settings)
