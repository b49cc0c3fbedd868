"""Large buffers that are used again: a process that decodes pictures, or makes batches, should not give each one's
memory back.

glibc hands what is larger than a threshold back to the system at once, and every page of the next picture is then
mapped and zeroed anew. Both thresholds follow what a process does, but not far enough for pictures of some megapixels;
and not at all where one of them is set by the environment, as Dask does for its workers. Decoding and shrinking a
photograph of 3 megapixels takes 0.6 to 0.8 of the time without that (benchmarks/LOG.md).
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
MMAP_ABOVE_BYTES = 32 << 20  # the most that glibc takes
KEPT_BYTES = 128 << 20  # free memory at the heap's end, before it is given back


@cache
def keep_large_buffers() -> bool:
    """Let this process keep what it frees, up to `KEPT_BYTES`; whether its C library can."""
    with suppress(OSError, AttributeError, TypeError):  # other libraries have no such thing, and most no need of it
        mallopt = ctypes.CDLL(None).mallopt
        return bool(mallopt(M_MMAP_THRESHOLD, MMAP_ABOVE_BYTES) and mallopt(M_TRIM_THRESHOLD, KEPT_BYTES))
    return False
