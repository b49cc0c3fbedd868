"""Doing the steps of one sample once more."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmdata import api
from mmdata.engine.retrace import retrace, source_sample
from mmdata.errors import StoreError, Unreadable
from mmdata.store.store import Store
from mmdata.testing.build import corpus

PIPELINE = """
source: {use: source.files.Files, parts: {image: "{stem}.png", text: "{stem}.txt"}}
ingest:
  - {use: clean.text.KeepLines, first: 1}
  - {use: clean.text.KeepLength, min_chars: 3}
  - {use: clean.image.FixOrientation}
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("retrace")
    corpus(folder / "media", n=4, seed=1)
    (folder / "media" / "short.png").write_bytes(next((folder / "media").glob("*/*.png")).read_bytes())
    (folder / "media" / "short.txt").write_text("x")
    (folder / "p.yaml").write_text(PIPELINE)
    api.run(folder / "p.yaml", store=folder / "store", source=folder / "media")
    return Store.open(folder / "store")


def test_each_step_is_told_with_its_before_and_after(store: Store) -> None:
    pipeline = api.recorded(store.url)[0].pipeline
    told = list(retrace(store, store.keys()[0], pipeline))
    by_step = {tried.step: tried for tried in told}
    assert by_step["clean.text.KeepLines"].changed
    assert not by_step["clean.image.FixOrientation"].changed
    assert not any(tried.outcome or tried.arrays for tried in told)


def test_one_that_was_dropped_ends_where_it_was(store: Store) -> None:
    pipeline = api.recorded(store.url)[0].pipeline
    told = list(retrace(store, "media/short", pipeline))
    assert told[-1].step == "clean.text.KeepLength"
    assert told[-1].outcome == "dropped: too_short"


def test_a_file_that_is_gone_or_another_is_told(store: Store, tmp_path: Path) -> None:
    pipeline = api.recorded(store.url)[0].pipeline
    root = Path(store.url).parent / "media"
    (root / "short.txt").write_text("another")
    entry, sample = source_sample(store, "media/short", pipeline)
    assert [member.part for member in entry.members] == ["image", "text"]
    with pytest.raises(Unreadable):
        sample.parts["text"].data()  # type: ignore[union-attr]  # a blob, as the source gives it
    with pytest.raises(StoreError, match="no plan"):
        source_sample(store, "media/nothing", pipeline)
    other = api.recorded(store.url, source=str(tmp_path))[0].pipeline
    with pytest.raises(StoreError, match="another source"):
        source_sample(store, "media/short", other)
