"""Ranges come as they are, in few requests, and never more at once than a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.errors import Unreadable
from mmdata.sink import ahead
from mmdata.sink.ahead import Ahead
from mmdata.store.files import Files

DATA = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("ahead")
    Path(folder, "x.tar").write_bytes(DATA)
    return Files.at(folder)


@given(
    ranges=st.lists(st.tuples(st.integers(0, len(DATA)), st.integers(0, 900)), max_size=30),
    gap=st.sampled_from([0, 100, 10_000]),
    run=st.sampled_from([1, 500, 10**6]),
)
def test_ranges_come_as_they_are(files: Files, ranges: list[tuple[int, int]], gap: int, run: int) -> None:
    cut = [(offset, min(length, len(DATA) - offset)) for offset, length in ranges]
    before = ahead.GAP_BYTES, ahead.RUN_BYTES
    ahead.GAP_BYTES, ahead.RUN_BYTES = gap, run
    try:
        reader = Ahead(files, "x.tar", cut)
        assert [reader.read(*each) for each in cut] == [DATA[offset : offset + length] for offset, length in cut]
    finally:
        ahead.GAP_BYTES, ahead.RUN_BYTES = before


def test_what_lies_close_together_takes_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    system = fsspec.filesystem("memory")
    system.pipe_file("/ahead/x.tar", bytes(30 << 20))
    asked = []
    original = type(system).cat_file

    def counted(self: Any, path: str, **given: Any) -> bytes:
        asked.append((given["start"], given["end"]))
        found: bytes = original(self, path, **given)
        return found

    monkeypatch.setattr(type(system), "cat_file", counted)
    ranges = [(number * 10_000 + 512, 9_000) for number in range(2_000)] + [(21 << 20, 9 << 20)]
    reader = Ahead(Files.at("memory://ahead"), "x.tar", ranges)
    for offset, length in ranges:
        assert len(reader.read(offset, length)) == length
    assert len(asked) == 4
    assert max(end - start for start, end in asked[:-1]) <= 8 << 20
    system.rm("/ahead", recursive=True)


def test_a_file_that_ends_too_soon_is_told_of(files: Files) -> None:
    with pytest.raises(Unreadable, match="it was cut"):
        Ahead(files, "x.tar", [(0, 10), (len(DATA) - 5, 10)]).read(0, 10)
