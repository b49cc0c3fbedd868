"""One thread for linear algebra while samples are made, whoever makes them.

A matrix product has other last bits with two threads than with one. Workers of a pool have one, as their environment
says; so everyone has who makes samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold the BLAS libraries of this process to one thread for a while: the process is somebody's own."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        yield


def one_blas_thread_for_good() -> None:
    """Hold them to one thread from now on: for processes that do nothing else, from many threads perhaps."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1, user_api="blas")
