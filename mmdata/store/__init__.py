"""Families of columns, tables, tar shards and snapshots. The only package that knows the disk layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmdata.store.store import Store

__all__ = ["Store"]


def __getattr__(name: str) -> object:
    """Load the store, and pyarrow and deltalake with it, when it is first asked for."""
    if name == "Store":
        from mmdata.store.store import Store

        return Store
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
