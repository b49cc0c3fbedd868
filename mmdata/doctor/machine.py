"""Processor, memory, files, temporary room and GPUs."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator

from mmdata.doctor.finding import FAULT, GOOD, NOTE, Finding
from mmdata.engine.cores import n_cores
from mmdata.engine.devices import cuda_fault, gpus, host_memory

_OLDEST_PYTHON = (3, 11)
_MEMORY_BYTES = 1_500_000_000  # what a worker with films may take
_ROOM_BYTES = 2_000_000_000
_FILES = 1024
_THREADS = "OMP_NUM_THREADS"


def machine() -> Iterator[Finding]:
    """What this process may use of its machine, or of its container."""
    version = platform.python_version()
    if sys.version_info < _OLDEST_PYTHON:
        yield Finding("python", FAULT, version, "mmdata needs Python 3.11 or newer")
    else:
        yield Finding("python", GOOD, f"{version}, {platform.system()} {platform.machine()}")
    here, there = n_cores(), os.cpu_count() or 1
    yield Finding("cores", GOOD, f"{here} of the machine's {there} may be used" if here < there else str(here))
    yield _memory(here)
    yield _open_files()
    yield _temporary()
    yield from _gpus()
    if threads := os.environ.get(_THREADS):
        yield Finding("threads", GOOD, f"{_THREADS}={threads}")


def _memory(n_workers: int) -> Finding:
    free, whole = host_memory()
    found = f"{whole / 1e9:.1f} GB, {free / 1e9:.1f} GB of it free"
    if free < n_workers * _MEMORY_BYTES:
        fit = max(1, int(free / _MEMORY_BYTES))
        mend = f"a worker that watches films may take 1.5 GB: --workers {fit} is safe, or set --memory-limit"
        return Finding("memory", NOTE, found, mend)
    return Finding("memory", GOOD, found)


def _open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _FILES:
        limit = "more" if hard == resource.RLIM_INFINITY else str(min(hard, 65_536))
        return Finding("open files", NOTE, f"at most {soft}", f"ulimit -n {limit}")
    return Finding("open files", GOOD, "no limit" if soft == resource.RLIM_INFINITY else f"at most {soft}")


def _temporary() -> Finding:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    found = f"{folder}, {free / 1e9:.1f} GB free"
    if free < _ROOM_BYTES:
        return Finding("temporary files", NOTE, found, "shards for buckets are written here first: set TMPDIR")
    return Finding("temporary files", GOOD, found)


def _gpus() -> Iterator[Finding]:
    names = gpus()
    if not names:
        yield Finding("GPUs", GOOD, "none that NVIDIA's driver shows; models run on the processor")
    elif fault := cuda_fault():
        yield Finding("GPUs", FAULT, f"{len(names)}, which torch can't use: {fault}", _CUDA)
    else:
        yield Finding("GPUs", GOOD, f"{len(names)}, and torch computes on it")


_CUDA = "install a build of torch for this driver (see https://pytorch.org/get-started/locally)"
