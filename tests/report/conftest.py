from __future__ import annotations

import pytest

from mmdata.store import Store
from mmdata.testing.build import flac_bytes, jpeg_bytes, picture, tone
from tests.report.toys import HOSTILE, Row, add_shard, empty, select


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    return jpeg_bytes(picture(96, 64), quality=80)


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory, jpeg: bytes) -> Store:
    """Keys, labels, captions, words, reasons and errors that would all like to be markup, and one text of 10 MB."""
    store = empty(tmp_path_factory.mktemp("hostile") / "<b>store")
    speech = flac_bytes(tone(seconds=1))
    word = {"text": HOSTILE, "start_s": 0, "end_s": 1}
    rows = [
        Row(HOSTILE, HOSTILE, HOSTILE, {"words": [word], "license": HOSTILE}, 1, jpeg, speech),
        Row("\x01control\x7f", "\u2067rtl\x00", "red \x1b[31m and \u2066", {}, 2, jpeg),
        Row("long", "l" * 5000, "<b>" * 3_500_000, {}, 3, b"not a picture"),
        Row("k" * 4000, "", "NUL \x00", {}, None),
    ]
    lost = (f"toy/{HOSTILE}1", "clean.text.KeepLength", f"<i>{HOSTILE}")
    failed = (f"toy/{HOSTILE}2", "codec.image.DecodeImage", "decode", f"<img src=x onerror=alert(1)>{HOSTILE}")
    add_shard(store, "0" * 16, rows, drops=[lost], rejects=[failed])
    select(store, ["train", "test", HOSTILE, None], [None, None, None, f"dedup.{HOSTILE}"], [1, 1, 2, 2])
    return store
