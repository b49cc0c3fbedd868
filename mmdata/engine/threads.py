"""One thread for linear algebra while samples are made, whoever makes them.

A matrix product has other last bits with two threads than with one. Workers of a pool have one, as their environment
says; so everyone has who makes samples.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold the BLAS libraries of this process to one thread for a while: the process is somebody's own."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        yield


def one_blas_thread_for_good() -> None:
    """Hold them to one thread from now on: for processes that do nothing else, from many threads perhaps.

    Libraries that are loaded later, as SciPy's, read the environment.
    """
    from threadpoolctl import threadpool_limits

    os.environ.update(dict.fromkeys(BLAS_THREADS, "1"))
    threadpool_limits(limits=1, user_api="blas")
