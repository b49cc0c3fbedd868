"""Contracts: what holds for every step, source, executor, stream and store, as tests.

A subclass with one fixture gets them all, so that a step or a source of your own keeps what mmdata counts on:

    from mmdata.testing.contracts.sources import SourceCase, SourceContract

    class TestMySource(SourceContract):
        @pytest.fixture
        def case(self, tmp_path: Path) -> SourceCase: ...

They need pytest, and the one of streams needs hypothesis: `pip install 'mmdata[dev]'`.
"""

import pytest

pytest.register_assert_rewrite(
    *(f"{__name__}.{each}" for each in ("steps", "sources", "executors", "streams", "stores"))
)
