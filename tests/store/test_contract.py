"""Stores keep the contract wherever they lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from mmdata.testing.contracts.stores import StoreContract
from mmdata.testing.servers import S3Server


class TestInAFolder(StoreContract):
    @pytest.fixture(params=["store", "é store#1"])
    def url(self, tmp_path: Path, request: pytest.FixtureRequest) -> str:
        return str(tmp_path / request.param)


@pytest.mark.s3
@pytest.mark.slow
class TestOnS3(StoreContract):
    @pytest.fixture
    def url(self, s3: S3Server) -> str:
        return f"{s3.bucket()}/é store"

    @pytest.fixture
    def storage_options(self, s3: S3Server) -> Mapping[str, str]:
        return s3.options
