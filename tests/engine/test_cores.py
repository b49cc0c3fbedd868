"""How many cores a process may use, whatever the system can tell."""

from __future__ import annotations

import os

import pytest

from mmdata.engine.cores import n_cores


def test_cores_are_those_that_this_process_may_use_or_else_the_machine_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 3, raising=False)
    assert n_cores() == 3
    monkeypatch.delattr(os, "process_cpu_count")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)), raising=False)
    assert n_cores() == 12
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS
    assert n_cores() == 64
