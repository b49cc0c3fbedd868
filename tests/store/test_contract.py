"""Stores keep the contract wherever they lie."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest

from mmdata.core.storage import open_place
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


@pytest.mark.slow
@pytest.mark.skipif(
    "MMDATA_TEST_AZ" not in os.environ, reason="set MMDATA_TEST_AZ to the URL of an Azurite: npm i azurite"
)
class TestOnAzure(StoreContract):
    @pytest.fixture
    def url(self, storage_options: Mapping[str, str]) -> str:
        name = uuid.uuid4().hex
        open_place("az://", storage_options)[0].mkdir(name)
        return f"az://{name}/é store"

    @pytest.fixture
    def storage_options(self) -> Mapping[str, str]:
        account = "devstoreaccount1"  # Azurite's own, and its key, which it publishes
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": account,
            "AZURE_STORAGE_ACCOUNT_KEY": "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/"
            "KBHBeksoGMGw==",
            "AZURE_STORAGE_ENDPOINT": f"{os.environ['MMDATA_TEST_AZ']}/{account}",
        }
