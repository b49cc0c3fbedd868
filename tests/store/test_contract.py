"""Stores keep the contract wherever they lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmdata.testing.contracts.stores import StoreContract


class TestInAFolder(StoreContract):
    @pytest.fixture(params=["store", "é store#1"])
    def url(self, tmp_path: Path, request: pytest.FixtureRequest) -> str:
        return str(tmp_path / request.param)
