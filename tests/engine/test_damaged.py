"""A folder of good files with one of every kind of bad one among them: nothing is lost, each bad one is explained."""

from __future__ import annotations

import shutil
from pathlib import Path

import mmdata
from mmdata.config.choose import choose
from mmdata.config.load import parse
from mmdata.engine.executors.pool import Pool
from mmdata.engine.options import RunOptions
from mmdata.engine.runner import run
from mmdata.store.verify import verify
from mmdata.testing.damage import damaged_corpus

GOOD = 1000


def test_every_bad_file_is_rejected_with_its_reason_and_a_repaired_one_is_picked_up(tmp_path: Path) -> None:
    folder, store = tmp_path / "corpus", str(tmp_path / "store")
    damage = damaged_corpus(folder, n_good=GOOD)
    bad = {f"corpus/{each.stem}".rstrip("/"): each.kind for each in damage if each.kind}
    file = parse(choose(str(folder)), source=str(folder))
    report = run(file.pipeline, store, RunOptions(executor=Pool(2)))
    assert report.state == "done"
    assert not report.above_limit
    assert report.counts.balances
    assert report.counts.read == GOOD + len(damage)
    assert report.counts.stored == GOOD + len(damage) - len(bad)
    rejects = {row["key"].rstrip("/"): row for row in mmdata.open(store).rejects().to_pylist()}
    assert {key: row["kind"] for key, row in rejects.items()} == bad
    assert all(len(row["error"]) > 10 and row["pointer"] for row in rejects.values() if row["error"] != "it is empty")
    assert "holds text" in rejects["corpus/words"]["error"]
    assert "900,000,000 pixels" in rejects["corpus/bomb"]["error"]

    shutil.copy(folder / "good_0000.png", folder / "words.jpg")
    (folder / "twin.jpg").unlink()
    (folder / "loop").unlink()
    replayed = run(file.pipeline, store, RunOptions(executor=Pool(2), replay=True))
    assert replayed.counts.balances
    opened = mmdata.open(store)
    left = {row["key"].rstrip("/") for row in opened.rejects().to_pylist()}
    assert left == set(bad) - {"corpus/words", "corpus/twin", "corpus/loop"}
    assert len(opened) == GOOD + 3
    assert replayed.counts.computed["image.phash"] == 2  # the others are taken over
    assert verify(opened).is_sound
