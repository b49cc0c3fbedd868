"""The Dask executor, on clusters of real processes."""

from __future__ import annotations

import pytest

from mmdata.core.ports import Executor
from mmdata.engine.executors.dask import Dask
from mmdata.testing.contracts.executors import ExecutorContract

pytestmark = [pytest.mark.dask]


class TestLocalCluster(ExecutorContract):
    @pytest.fixture
    def executor(self) -> Executor:
        return Dask(workers=2)
