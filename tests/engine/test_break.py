"""Runs that are disturbed: by deaths, by each other, by a sweep, by a source that changes under them."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmdata.codec.image import DecodeImage
from mmdata.core.arrays import ArraySpec
from mmdata.core.pipeline import Pipeline, RunSettings
from mmdata.core.ports import Scan
from mmdata.core.sample import Image
from mmdata.core.step import Extract, Map
from mmdata.engine.executors.pool import Pool
from mmdata.engine.options import RunOptions
from mmdata.engine.runner import plan, run
from mmdata.engine.trace import trace
from mmdata.errors import ConfigError, StoreError
from mmdata.features.image import Sharpness
from mmdata.features.text import TextLength
from mmdata.source.files import Files
from mmdata.store.gc import gc
from mmdata.store.store import Store
from mmdata.store.verify import verify
from mmdata.testing.build import caption, picture, png_bytes

OPTIONS = RunOptions(settings=RunSettings(shard_samples=5))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """12 samples: a picture and a caption each."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for number in range(12):
        add(folder, f"{number:03d}", seed=number)
    return folder


@pytest.fixture
def at(tmp_path: Path) -> str:
    return str(tmp_path / "store")


def add(folder: Path, stem: str, *, seed: int) -> None:
    (folder / f"{stem}.png").write_bytes(png_bytes(picture(40, 30, seed=seed)))
    (folder / f"{stem}.txt").write_text(caption(seed).text)


def pipeline(folder: Path, **changes: Any) -> Pipeline:
    return replace(Pipeline(source=Files(str(folder)), features=(Sharpness(), TextLength())), **changes)


def duplicates(store: Store) -> list[str]:
    return [key for key, count in Counter(store.keys()).items() if count > 1]


# ---- keys that look like those of children


def test_a_changed_file_whose_name_has_an_at_sign_is_computed_anew(source: Path, at: str) -> None:
    add(source, "icon", seed=100)
    add(source, "icon@2x", seed=101)
    run(pipeline(source), at, OPTIONS)
    add(source, "icon@2x", seed=102)
    run(pipeline(source), at, OPTIONS)
    (value,) = Store.open(at).arrays("image.sharpness", ["corpus/icon@2x"])
    assert value is not None
    assert np.allclose(value, Sharpness().extract(picture(40, 30, seed=102)))
    assert [member.pointer for member in trace(Store.open(at), "corpus/icon@2x").members] == [
        "icon@2x.png",
        "icon@2x.txt",
    ]


# ---- workers that die


@dataclass(frozen=True, kw_only=True)
class Deadly(Extract[Image]):
    """Kills its process on the picture of one seed; batched, the whole batch dies with it."""

    on: str = "image"
    into: str = "image.deadly"
    seed: int = 3
    batched: bool = False

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=(), sizes={})

    def extract(self, image: Image) -> np.ndarray:
        if np.array_equal(image.pixels, picture(40, 30, seed=self.seed).pixels):
            os._exit(9)
        return np.array(1, np.float32)


@dataclass(frozen=True, kw_only=True)
class DeadlyBatch(Deadly):
    def extract_many(self, values: Sequence[Image]) -> Sequence[np.ndarray]:
        return [self.extract(value) for value in values]


@pytest.mark.long
@pytest.mark.parametrize(("step", "stored"), [(Deadly(), True), (DeadlyBatch(), False)])
def test_a_feature_added_later_that_kills_its_worker_leaves_one_null_row(
    source: Path, at: str, step: Deadly, stored: bool
) -> None:
    bare = pipeline(source, features=(), store=None if stored else {})
    run(bare, at, OPTIONS)
    report = run(replace(bare, features=(step,)), at, replace(OPTIONS, executor=Pool(1)))
    store = Store.open(at)
    assert [row["key"] for row in store.missing().to_pylist()] == ["corpus/003"]
    assert report.counts.missing == {"image.deadly": 1}
    assert "worker_died" in store.missing().to_pylist()[0]["error"]
    assert len(store) == 12


@pytest.mark.long
def test_a_batch_that_kills_its_worker_costs_the_guilty_row_alone(source: Path, at: str) -> None:
    report = run(pipeline(source, features=(DeadlyBatch(), Sharpness())), at, replace(OPTIONS, executor=Pool(1)))
    assert (report.counts.stored, report.counts.n_rejected) == (12, 0)
    assert report.counts.missing == {"image.deadly": 1}
    assert [(row["key"], row["family"]) for row in Store.open(at).missing().to_pylist()] == [
        ("corpus/003", "image.deadly")
    ]


class ClumsyError(Exception):
    """Can't be made again from what it says of itself, as pickle would."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


@dataclass(frozen=True)
class ClumsySource:
    """Fails while it is read, with an error that can't be sent to another process."""

    inner: Files
    local: bool

    @property
    def name(self) -> str:
        return self.inner.name

    def scan(self) -> Scan:
        return self.inner.scan()

    def read(self, entries: Sequence[Any]) -> Any:
        class LocalError(Exception):
            pass

        raise LocalError("no such luck") if self.local else ClumsyError(1, 2)


@pytest.mark.parametrize("local", [True, False])
def test_an_error_that_cannot_be_sent_is_told_all_the_same(source: Path, at: str, local: bool) -> None:
    what = pipeline(source, source=ClumsySource(Files(str(source)), local))
    with pytest.raises(Exception, match=r"no such luck|1 and 2"):
        run(what, at, replace(OPTIONS, executor=Pool(1)))


# ---- runs that meet, or that were killed halfway


@dataclass
class Interrupting:
    """An executor that does something before the shards of given places, in this process."""

    before: Callable[[int], None]

    def map(self, work: Callable[[Any], Any], items: Iterable[Any]) -> Generator[Any, None, None]:
        for place, item in enumerate(items):
            self.before(place)
            yield work(item)


class Killed(BaseException):
    """Stands for kill -9."""


def test_a_run_killed_while_it_replaces_shards_is_gone_on_with_and_shows_no_sample_twice(
    source: Path, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(pipeline(source), at, OPTIONS)
    for stem in ("001", "006", "011"):
        add(source, stem, seed=77)
    seen: list[tuple[int, list[str]]] = []

    def look(place: int) -> None:
        store = Store.open(at)
        seen.append((len(store), duplicates(store)))

    def die(place: int) -> None:
        raise Killed

    monkeypatch.setattr("mmdata.engine.committing.COMMIT_EVERY_S", 0.0)
    with pytest.raises(Killed):
        run(pipeline(source), at, replace(OPTIONS, executor=Interrupting(die)))
    todo = plan(pipeline(source), at, OPTIONS)
    assert {name: (each.rows, each.gathered) for name, each in todo.families.items()} == {
        "image.sharpness": (3, 9),
        "text.length": (3, 9),
    }
    report = run(pipeline(source), at, replace(OPTIONS, executor=Interrupting(look)))
    assert seen == [(12, [])] * 3
    assert report.counts.gathered["image.sharpness"] == 9
    assert duplicates(Store.open(at)) == []
    assert verify(Store.open(at)).is_sound
    assert plan(pipeline(source), at, OPTIONS).is_empty


def test_files_of_a_feature_that_is_no_longer_asked_for_leave_with_their_shard(source: Path, at: str) -> None:
    run(pipeline(source), at, OPTIONS)
    add(source, "001", seed=77)
    run(pipeline(source, features=(TextLength(),)), at, OPTIONS)
    store = Store.open(at)
    shards = {view.shard for view in store.view().shards}
    assert {file.shard for file in store.files("image.sharpness")} <= shards


@pytest.mark.parametrize("same", [True, False])
def test_two_runs_at_once_leave_a_whole_store_and_count_what_is_there(source: Path, at: str, same: bool) -> None:
    mine = pipeline(source)
    other = mine if same else pipeline(source, ingest=(DecodeImage(max_px=16),))

    def meet(place: int) -> None:
        if place == 1:
            run(other, at, OPTIONS)

    report = run(mine, at, replace(OPTIONS, executor=Interrupting(meet)))
    store = Store.open(at)
    assert report.counts.balances
    assert report.counts.stored + report.kept >= 12
    assert verify(store).is_sound
    assert len(store) == 12
    assert plan(mine, at, OPTIONS).is_empty
    assert all(len(view.features) == 2 for view in store.view().shards)


@dataclass(frozen=True)
class Slow:
    """A source that tells what it saw before something happened."""

    inner: Files
    then: Callable[[], None]

    @property
    def name(self) -> str:
        return self.inner.name

    def scan(self) -> Scan:
        found = self.inner.scan()
        self.then()
        return found

    def read(self, entries: Sequence[Any]) -> Any:
        return self.inner.read(entries)


def test_a_run_with_an_older_look_at_the_source_does_not_undo_a_newer_one(source: Path, at: str) -> None:
    run(pipeline(source), at, OPTIONS)
    done: list[int] = []

    def grow() -> None:
        if not done:
            done.append(1)
            add(source, "new", seed=50)
            run(pipeline(source), at, OPTIONS)

    run(pipeline(source, source=Slow(Files(str(source)), grow)), at, OPTIONS)
    assert len(Store.open(at)) == 13


def test_a_sweep_without_grace_leaves_alone_what_a_run_is_writing(source: Path, at: str) -> None:
    def sweep(place: int) -> None:
        gc(Store.open(at), grace_s=0)

    report = run(pipeline(source), at, replace(OPTIONS, executor=Interrupting(sweep)))
    assert report.counts.stored == 12
    assert verify(Store.open(at)).is_sound


def test_a_sweep_takes_what_a_killed_run_left(source: Path, at: str) -> None:
    run(pipeline(source), at, OPTIONS)
    leftover = Path(at) / "samples" / "x-y-z.parquet"
    leftover.write_bytes(b"x")
    os.utime(leftover, (1e9, 1e9))
    assert "samples/x-y-z.parquet" in {each.path for each in gc(Store.open(at), grace_s=0)}


def test_a_file_of_a_killed_run_that_is_taken_up_again_counts_as_new(source: Path, at: str) -> None:
    run(pipeline(source), at, OPTIONS)
    other = pipeline(source, features=(Sharpness(working_px=64), TextLength()))
    run(other, at, OPTIONS)
    for path in Path(at).rglob("image.sharpness/*.parquet"):
        os.utime(path, (0, 0))
    run(pipeline(source), at, OPTIONS)
    live = [Path(at) / file.path for file in Store.open(at).files("image.sharpness")]
    assert all(path.stat().st_mtime > 1e9 for path in live)


# ---- what is refused before anything is written


def test_a_wrong_part_leaves_no_store_behind(source: Path, at: str) -> None:
    with pytest.raises(ConfigError, match="no part 'picture'"):
        run(pipeline(source, ingest=(DecodeImage(on="picture"),)), at, OPTIONS)
    assert not os.path.exists(at)


# ---- steps that write into what they are given


@dataclass(frozen=True, kw_only=True)
class Scribble(Map[Image, Image]):
    on: str = "image"

    def map(self, image: Image) -> Image:
        image.pixels[:] = 0
        return image


@dataclass(frozen=True, kw_only=True)
class ScribbleFeature(Deadly):
    into: str = "image.scribble"

    def extract(self, image: Image) -> np.ndarray:
        image.pixels[:] = 0
        return np.array(1, np.float32)


def test_a_step_that_writes_into_its_input_is_told_so(source: Path, at: str) -> None:
    lenient = replace(OPTIONS, settings=RunSettings(shard_samples=5, max_rejects=1.0))
    report = run(pipeline(source, ingest=(Scribble(),)), at, lenient)
    assert report.counts.rejected == {"bug": 12}
    assert "read-only" in Store.open(at).rejects().to_pylist()[0]["error"]


def test_a_feature_that_writes_into_its_input_harms_no_other(source: Path, at: str) -> None:
    run(pipeline(source, features=(ScribbleFeature(), Sharpness())), at, OPTIONS)
    (value,) = Store.open(at).arrays("image.sharpness", ["corpus/004"])
    assert value is not None
    assert np.allclose(value, Sharpness().extract(picture(40, 30, seed=4)))


# ---- disks


def test_a_full_disk_ends_a_run_with_words_and_leaves_a_whole_store(
    source: Path, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("mmdata.store.files.HashedFile.write", full)
        with pytest.raises(StoreError, match=r"(a disk was|is) full.*what is committed stays"):
            run(pipeline(source), at, OPTIONS)
    assert verify(Store.open(at)).is_sound
    assert run(pipeline(source), at, OPTIONS).counts.stored == 12


# ---- foretelling


def test_plan_counts_neither_samples_that_lack_the_part_nor_those_taken_over(source: Path, at: str) -> None:
    for number in (1, 2, 6):
        (source / f"{number:03d}.txt").unlink()

    def foretold_and_done(what: Pipeline, options: RunOptions) -> list[dict[str, tuple[int, int]]]:
        families = plan(what, at, options).families
        counts = run(what, at, options).counts
        told = {name: (each.rows, each.gathered) for name, each in families.items() if each.shards}
        return [told, {name: (counts.computed[name], counts.gathered[name]) for name in told}]

    told, done = foretold_and_done(pipeline(source), OPTIONS)
    assert told == done == {"image.sharpness": (12, 0), "text.length": (9, 0)}
    (source / "001.txt").write_text("a caption at last")
    (source / "011.png").write_bytes(b"no picture")
    told, done = foretold_and_done(pipeline(source), OPTIONS)
    assert told["text.length"] == done["text.length"] == (2, 5)
    (source / "012.png").write_bytes(b"no picture either")
    strict = pipeline(source, ingest=(DecodeImage(),))
    run(strict, at, replace(OPTIONS, settings=RunSettings(shard_samples=5, max_rejects=1.0)))
    todo = plan(strict, at, replace(OPTIONS, replay=True))
    assert todo.families["image.sharpness"].shards == len(todo.jobs) == 2
