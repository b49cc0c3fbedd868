from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mmdata.core.pipeline import Pipeline, RunSettings
from mmdata.engine.options import RunOptions
from mmdata.engine.runner import run
from mmdata.features.image import Sharpness
from mmdata.source.files import Files
from mmdata.store.store import Store
from mmdata.testing.build import picture, png_bytes


@pytest.mark.parametrize("when", ["before", "after"])
def test_ctrl_c_in_the_middle_of_a_commit_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.png").write_bytes(png_bytes(picture(20, 20, seed=number)))
    commit, presses = Store.commit, ["first"]

    def interrupted(store: Store, *arguments: Any, **settings: Any) -> None:
        if presses and when == "before":
            presses.pop()
            raise KeyboardInterrupt
        commit(store, *arguments, **settings)
        if presses:
            presses.pop()
            raise KeyboardInterrupt

    monkeypatch.setattr(Store, "commit", interrupted)
    what = Pipeline(source=Files(str(folder)), features=(Sharpness(),))
    report = run(what, str(tmp_path / "store"), RunOptions(settings=RunSettings(shard_samples=2)))
    assert not presses
    assert report.state == "interrupted"
    store = Store.open(tmp_path / "store")
    assert len(store) == report.counts.stored == 4
    assert store.arrays("image.sharpness")[3] is not None
