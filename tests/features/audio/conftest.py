from __future__ import annotations

import pytest

from mmdata.features.audio import framing


@pytest.fixture(autouse=True)
def nothing_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept of a sound hangs on what was asked for before, by other tests too."""
    monkeypatch.setattr(framing, "_SHARED", framing.Shared(framing.KEPT_BYTES))
