from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from mmdata.core.sample import Audio
from mmdata.engine.executors.inline import Inline
from mmdata.engine.executors.pool import Pool
from mmdata.engine.threads import one_blas_thread
from mmdata.features.audio import LogMel


def blas_threads() -> set[int]:
    """The numbers of threads of the BLAS libraries that are loaded."""
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def raise_inside() -> None:
    with one_blas_thread():
        assert blas_threads() == {1}
        raise KeyError


def test_there_is_one_thread_inside_and_what_there_was_outside_also_after_an_error() -> None:
    with threadpool_limits(limits=2, user_api="blas"):
        with pytest.raises(KeyError):
            raise_inside()
        assert blas_threads() == {2}


def spectrum(seed: int) -> tuple[set[int], bytes]:
    """The threads that a worker has, and a matrix product of the size on which threads change last bits."""
    wave = np.random.default_rng(seed).standard_normal((1, 160_000)).astype(np.float32)
    return blas_threads(), LogMel(on="audio").extract(Audio(wave, 16_000)).tobytes()


@pytest.mark.skipif(len(blas_threads()) != 1, reason="this numpy has another linear algebra, or several")
def test_inline_and_pool_give_the_same_bits_however_many_threads_there_are() -> None:
    with threadpool_limits(limits=2, user_api="blas"):
        inline = list(Inline().map(spectrum, [5]))
    assert inline == list(Pool(1).map(spectrum, [5]))
    assert inline[0][0] == {1}


def test_a_process_that_makes_samples_has_one_thread_for_good() -> None:
    code = (
        "import numpy, threading\n"
        "from mmdata.engine.threads import one_blas_thread_for_good as hold\n"
        "from tests.engine.test_threads import blas_threads\n"
        "threading.Thread(target=hold).start(); hold(); import scipy.linalg; print(blas_threads())"
    )
    root, env = Path(__file__).parents[2], {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    ended = subprocess.run([sys.executable, "-c", code], cwd=root, env=env, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "{1}"
