"""What is refused before it costs memory."""

from __future__ import annotations

from io import SEEK_END
from typing import BinaryIO

from mmdata.core.sample import Blob
from mmdata.errors import DecodeError

MIB = 1 << 20
MAX_EXPANSION = 10_000.0
HARMLESS_BYTES = 64 * MIB  # of decoded media: a blank page may well be tiny


def read_within(blob: Blob, max_bytes: int) -> bytes:
    """A blob's bytes, refused by their promised size before they are read.

    Raises:
        DecodeError: it is empty, or larger than `max_bytes`.
        Unreadable: from the blob's own `load`.
    """
    if blob.size > max_bytes:
        raise DecodeError(f"it has {blob.size:,} bytes, and max_bytes is {max_bytes:,}")
    data = blob.data()
    if len(data) > max_bytes:
        raise DecodeError(f"it has {len(data):,} bytes, and max_bytes is {max_bytes:,}")
    if not data:
        raise DecodeError("it is empty")
    return data


def opened_within(blob: Blob, max_bytes: int) -> BinaryIO:
    """A blob as a file, refused as `read_within` does."""
    if blob.size > max_bytes:
        raise DecodeError(f"it has {blob.size:,} bytes, and max_bytes is {max_bytes:,}")
    file = blob.opened()
    n_bytes = file.seek(0, SEEK_END)
    if 0 < n_bytes <= max_bytes:
        return file
    file.close()
    raise DecodeError(f"it has {n_bytes:,} bytes, and max_bytes is {max_bytes:,}" if n_bytes else "it is empty")


def within(what: str, value: float, setting: str, limit: float) -> None:
    """Raise `DecodeError` when a header promises more than a setting allows."""
    if value > limit:
        raise DecodeError(f"it has {value:,.10g} {what}, and {setting} is {limit:,.10g}")


def expands_within(decoded_bytes: int, data: bytes, limit: float) -> None:
    """Raise `DecodeError` when a header promises more than `limit` times the bytes there are, and that is much."""
    if decoded_bytes > HARMLESS_BYTES and decoded_bytes > limit * len(data):
        times = decoded_bytes / len(data)
        raise DecodeError(
            f"its {len(data):,} bytes would become {decoded_bytes:,}, {times:,.0f} times as many, "
            f"and max_expansion is {limit:,.10g}"
        )
