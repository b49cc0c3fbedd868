from __future__ import annotations

import resource
import sys

import numpy as np
import pytest

from mmdata.core.allocation import keep_large_buffers
from mmdata.engine.executors.pool import Pool


def faults_of_buffers(n: int) -> int:
    """Pages that the system had to map for n buffers of 8 MB, one after the other."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(n):
        np.ones(8 << 20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's own setting")
def test_workers_map_a_large_buffer_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "65536")  # as Dask sets it: then every buffer is mapped anew
    (faults,) = Pool(1).map(faults_of_buffers, [50])
    assert isinstance(faults, int)
    assert faults < 10 * (8 << 20) / resource.getpagesize()


def test_it_says_whether_it_could() -> None:
    assert keep_large_buffers() == (sys.platform == "linux")
