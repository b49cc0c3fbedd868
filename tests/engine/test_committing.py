from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
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


@dataclass
class Looking:
    """An executor that waits before the last shard, as for one that takes long, until the others can be read."""

    url: str
    n_others: int
    seen: int = 0

    def map(self, work: Callable[[Any], Any], items: Iterable[Any]) -> Generator[Any, None, None]:
        first, *others = list(items)
        yield from map(work, others)
        until = time.monotonic() + 120
        while self.seen < self.n_others and time.monotonic() < until:
            time.sleep(0.05)
            self.seen = len(Store.open(self.url)) if os.path.exists(self.url) else 0
        yield work(first)


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_done_is_committed_while_one_shard_takes_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    folder, at = tmp_path / "in", str(tmp_path / "store")
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.png").write_bytes(png_bytes(picture(20, 20, seed=number)))
    commit, failures = Store.commit, ["once"] if fails else []

    def failing(store: Store, *arguments: Any, **settings: Any) -> Any:
        if failures and threading.current_thread() is not threading.main_thread():
            failures.pop()
            raise OSError("the network is gone for a moment")
        return commit(store, *arguments, **settings)

    monkeypatch.setattr(Store, "commit", failing)
    monkeypatch.setattr("mmdata.engine.committing.COMMIT_EVERY_S", 1.0)
    monkeypatch.setattr("mmdata.engine.committing.AGAIN_S", 0.2)
    executor = Looking(at, n_others=4)
    what = Pipeline(source=Files(str(folder)), features=(Sharpness(),))
    report = run(what, at, RunOptions(settings=RunSettings(shard_samples=2), executor=executor))
    assert not failures
    assert executor.seen == 4
    assert (report.counts.stored, report.kept, report.shards) == (6, 0, 3)
    assert len(Store.open(at)) == 6
    assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
