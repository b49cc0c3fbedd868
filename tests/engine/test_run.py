"""Runs on real files in real stores: what is promised of them as a whole."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mmdata
from mmdata.clean.image import DropBlurred
from mmdata.clean.text import KeepLength, NormalizeText
from mmdata.codec.image import DecodeImage
from mmdata.core.arrays import ArraySpec
from mmdata.core.pipeline import Pipeline, RunSettings
from mmdata.core.sample import Audio, Image, Sample, Text
from mmdata.core.step import Extract, Map, Split
from mmdata.engine.executors.pool import Pool
from mmdata.engine.options import RunOptions
from mmdata.engine.report import RunReport
from mmdata.engine.runner import plan, run
from mmdata.errors import ConfigError, StepError
from mmdata.features.audio import AudioDuration
from mmdata.features.image import PerceptualHash, Sharpness
from mmdata.features.text import TextLength
from mmdata.source.files import Files
from mmdata.store.store import Store
from mmdata.store.verify import verify
from mmdata.testing.build import caption, picture, png_bytes, tone, wav_bytes

OPTIONS = RunOptions(settings=RunSettings(shard_samples=5))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """12 samples: a picture, a caption and a sound each."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for number in range(12):
        add(folder, number)
    return folder


def add(folder: Path, number: int, *, hz: float = 440.0) -> None:
    (folder / f"{number:03d}.png").write_bytes(png_bytes(picture(40, 30, seed=number)))
    (folder / f"{number:03d}.txt").write_text(caption(number).text)
    (folder / f"{number:03d}.wav").write_bytes(wav_bytes(tone(seconds=0.2, hz=hz + number)))


def pipeline(folder: Path, **changes: Any) -> Pipeline:
    usual = Pipeline(
        source=Files(str(folder)),
        ingest=(NormalizeText(),),
        features=(PerceptualHash(), Sharpness(), TextLength(), AudioDuration()),
    )
    return replace(usual, **changes)


def families(store: Path) -> dict[str, bytes]:
    """Every data file by name, but for the records of runs and plans."""
    kinds = ("samples/*.parquet", "media/*.tar", "features/*/*.parquet", "drops/*.parquet", "rejects/*.parquet")
    return {str(path.relative_to(store)): path.read_bytes() for kind in kinds for path in sorted(store.glob(kind))}


def live(store: Path) -> dict[str, str]:
    """Digest by path of every file that readers see."""
    return {file.path: file.digest for file in Store.open(store).view().files()}


def do(what: Pipeline, store: Path, options: RunOptions = OPTIONS) -> RunReport:
    report = run(what, str(store), options)
    assert report.counts.balances
    assert verify(Store.open(store)).is_sound
    return report


def test_every_sample_is_stored_with_every_feature(source: Path, tmp_path: Path) -> None:
    report = do(pipeline(source), tmp_path / "store")
    assert (report.counts.read, report.counts.stored, report.shards) == (12, 12, 3)
    store = mmdata.open(tmp_path / "store")
    assert len(store) == 12
    sample = store.sample("corpus/003")
    image = sample.parts["image"]
    assert isinstance(image, Image)
    assert image.origin is not None
    assert image.origin.data() == (source / "003.png").read_bytes()
    values = store.arrays("image.sharpness", ["corpus/003"])
    assert values[0] is not None
    assert np.allclose(values[0], Sharpness().extract(picture(40, 30, seed=3)))
    assert store.table(["key", "audio.duration_s"])["audio.duration_s"].to_pylist() == pytest.approx([0.2] * 12)


def test_a_second_run_of_a_finished_store_does_nothing(source: Path, tmp_path: Path) -> None:
    do(pipeline(source), tmp_path / "store")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*")}
    report = do(pipeline(source), tmp_path / "store")
    assert (report.counts.read, report.kept, report.shards) == (0, 12, 0)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*")} == before


def test_inline_and_pool_write_the_same_bytes(source: Path, tmp_path: Path) -> None:
    do(pipeline(source), tmp_path / "inline")
    do(pipeline(source), tmp_path / "pool", replace(OPTIONS, executor=Pool(2)))
    assert families(tmp_path / "inline") == families(tmp_path / "pool") != {}


@pytest.mark.parametrize(
    ("changes", "recomputed"),
    [
        (
            {"features": (PerceptualHash(), Sharpness(working_px=64), TextLength(), AudioDuration())},
            {"image.sharpness"},
        ),
        ({"ingest": (NormalizeText(form="NFKC"),)}, {"text.length"}),
        ({"ingest": (NormalizeText(), DecodeImage(max_px=16))}, {"image.phash", "image.sharpness"}),
    ],
)
def test_a_change_recomputes_what_hears_it_and_plan_foretells_it(
    source: Path, tmp_path: Path, changes: Mapping[str, Any], recomputed: set[str]
) -> None:
    do(pipeline(source), tmp_path / "store")
    before = live(tmp_path / "store")
    changed = pipeline(source, **changes)
    todo = plan(changed, str(tmp_path / "store"), OPTIONS)
    assert {name for name, family in todo.families.items() if family.rows} == recomputed
    assert live(tmp_path / "store") == before
    report = do(changed, tmp_path / "store")
    assert dict(report.counts.computed) == dict.fromkeys(recomputed, 12)
    untouched = {path for path in before if path.startswith("features/") and path.split("/")[1] not in recomputed}
    assert untouched <= live(tmp_path / "store").keys()


def test_a_stricter_filter_takes_rows_over_instead_of_computing_them(source: Path, tmp_path: Path) -> None:
    do(pipeline(source), tmp_path / "store")
    shortest = min(len(caption(number).text) for number in range(12))
    stricter = pipeline(source, ingest=(NormalizeText(), KeepLength(min_chars=shortest + 1)))
    report = do(stricter, tmp_path / "store")
    assert report.counts.n_dropped > 0
    assert not +report.counts.computed
    assert report.counts.gathered["image.phash"] == 12 - report.counts.n_dropped
    fresh = tmp_path / "fresh"
    do(stricter, fresh)
    assert live(fresh) == live(tmp_path / "store")


def test_samples_of_which_features_alone_are_computed_are_kept(source: Path, tmp_path: Path) -> None:
    do(pipeline(source, features=(TextLength(),)), tmp_path / "store")
    report = do(pipeline(source), tmp_path / "store")
    assert (report.counts.read, report.kept, report.counts.computed["image.sharpness"]) == (0, 12, 12)


def test_one_more_file_makes_one_more_shard_and_plan_foretells_it(source: Path, tmp_path: Path) -> None:
    do(pipeline(source), tmp_path / "store")
    before = live(tmp_path / "store")
    add(source, 12)
    todo = plan(pipeline(source), str(tmp_path / "store"), OPTIONS)
    assert (len(todo.jobs), todo.new, todo.changed, todo.entries_todo) == (1, 1, 0, 1)
    report = do(pipeline(source), tmp_path / "store")
    assert (report.counts.read, report.shards, report.kept) == (1, 1, 12)
    after = live(tmp_path / "store")
    assert before.items() <= after.items()
    assert len(mmdata.open(tmp_path / "store")) == 13


def test_a_changed_file_replaces_its_shard_and_computes_its_own_rows_alone(source: Path, tmp_path: Path) -> None:
    do(pipeline(source), tmp_path / "store")
    add(source, 5, hz=880.0)
    (source / "005.wav").write_bytes(wav_bytes(tone(seconds=0.5)))
    report = do(pipeline(source), tmp_path / "store")
    assert report.shards == 1
    assert report.counts.computed["audio.duration_s"] == 1
    assert report.counts.gathered["audio.duration_s"] == report.counts.read - 1
    store = mmdata.open(tmp_path / "store")
    assert len(store) == 12
    assert float(store.arrays("audio.duration_s", ["corpus/005"])[0] or 0) == pytest.approx(0.5)


def test_a_deleted_file_leaves_and_the_last_one_of_a_shard_takes_it_along(source: Path, tmp_path: Path) -> None:
    do(pipeline(source), tmp_path / "store")
    for number in (0, 1, 2, 3):
        for suffix in ("png", "txt", "wav"):
            (source / f"{number:03d}.{suffix}").unlink()
    do(pipeline(source), tmp_path / "store")
    assert (
        mmdata.open(tmp_path / "store").keys() == [f"corpus/{number:03d}" for number in range(4, 12)]
        or len(mmdata.open(tmp_path / "store")) == 8
    )
    assert sorted(mmdata.open(tmp_path / "store").keys()) == [f"corpus/{number:03d}" for number in range(4, 12)]


def test_moving_a_corpus_changes_no_key_and_computes_nothing(source: Path, tmp_path: Path) -> None:
    do(pipeline(source), tmp_path / "store")
    moved = tmp_path / "elsewhere" / "corpus"
    moved.parent.mkdir()
    source.rename(moved)
    assert do(pipeline(moved), tmp_path / "store").shards == 0


def test_a_corpus_of_another_name_stands_beside(source: Path, tmp_path: Path) -> None:
    do(pipeline(source), tmp_path / "store")
    other = pipeline(source, source=Files(str(source), name="other"))
    do(other, tmp_path / "store")
    store = mmdata.open(tmp_path / "store")
    assert len(store) == 24
    assert set(store.table(["source"])["source"].to_pylist()) == {"corpus", "other"}
    assert do(pipeline(source), tmp_path / "store").shards == 0


def test_drops_and_rejects_are_in_the_store_with_their_reasons(source: Path, tmp_path: Path) -> None:
    (source / "003.png").write_bytes(b"no picture at all")
    (source / "004.png").write_bytes(png_bytes(Image(np.full((30, 40, 3), 90, np.uint8))))
    report = do(pipeline(source, ingest=(DropBlurred(min_sharpness=1.0),)), tmp_path / "store")
    store = mmdata.open(tmp_path / "store")
    (reject,) = store.rejects().to_pylist()
    assert (reject["key"], reject["kind"], reject["step"]) == ("corpus/003", "decode", "codec.image.DecodeImage")
    assert reject["pointer"] == "003.png"
    (drop,) = store.drops().to_pylist()
    assert (drop["key"], drop["reason"], drop["pointer"]) == ("corpus/004", "blurred", "004.png")
    assert report.counts.stored == len(store)


def test_a_repaired_file_is_picked_up_by_a_replay_and_a_sound_one_is_taken_over(source: Path, tmp_path: Path) -> None:
    good = (source / "003.png").read_bytes()
    (source / "003.png").write_bytes(good[:-30])
    what = pipeline(source, ingest=(DecodeImage(),))
    assert do(what, tmp_path / "store").counts.n_rejected == 1
    (source / "003.png").write_bytes(good)
    report = do(what, tmp_path / "store", replace(OPTIONS, replay=True))
    assert (report.shards, report.counts.n_rejected, report.counts.computed["image.phash"]) == (1, 0, 1)
    assert len(mmdata.open(tmp_path / "store")) == 12


def test_a_replay_without_repair_changes_nothing_that_readers_see(source: Path, tmp_path: Path) -> None:
    (source / "003.png").write_bytes(b"no picture")
    what = pipeline(source, ingest=(DecodeImage(),))
    do(what, tmp_path / "store")
    before = live(tmp_path / "store")
    assert do(what, tmp_path / "store").rejected_before == 1
    again = do(what, tmp_path / "store", replace(OPTIONS, replay=True))
    assert (again.counts.n_rejected, again.rejected_before) == (1, 0)
    assert live(tmp_path / "store") == before


def test_rejects_above_the_limit_stop_the_run_and_keep_what_is_done(source: Path, tmp_path: Path) -> None:
    for number in range(0, 12, 2):
        (source / f"{number:03d}.png").write_bytes(b"no picture")
    settings = RunSettings(shard_samples=2, max_rejects=0.2)
    report = do(pipeline(source, ingest=(DecodeImage(),)), tmp_path / "store", RunOptions(settings=settings))
    assert report.state == "stopped"
    assert report.above_limit
    assert 0 < report.counts.read < 12
    lenient = RunOptions(settings=replace(settings, max_rejects=1.0))
    report = do(pipeline(source, ingest=(DecodeImage(),)), tmp_path / "store", lenient)
    assert report.state == "done"
    assert len(mmdata.open(tmp_path / "store")) == 6


def test_a_sample_of_a_source_is_grown_to_the_whole(source: Path, tmp_path: Path) -> None:
    report = do(pipeline(source), tmp_path / "store", replace(OPTIONS, limit=4))
    assert report.counts.read == 4
    assert do(pipeline(source), tmp_path / "store", replace(OPTIONS, limit=4)).counts.read == 0
    assert do(pipeline(source), tmp_path / "store").counts.read == 8
    assert sorted(mmdata.open(tmp_path / "store").keys()) == [f"corpus/{number:03d}" for number in range(12)]


# ---- features


@dataclass(frozen=True, kw_only=True)
class Fussy(Extract[Image]):
    """Fails on pictures of one seed, in one way or another."""

    on: str = "image"
    into: str = "image.fussy"
    how: str = "raise"

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("row",), sizes={"row": 30})

    def extract(self, image: Image) -> np.ndarray:
        if np.array_equal(image.pixels, picture(40, 30, seed=3).pixels):
            if self.how == "raise":
                raise ValueError("I don't like it")
            return np.zeros(29, np.float32)
        return image.pixels[:, 0, 0].astype(np.float32)


@pytest.mark.parametrize(("how", "error"), [("raise", "I don't like it"), ("shape", "broke its promise")])
def test_a_feature_that_fails_leaves_a_null_row_with_its_error(
    source: Path, tmp_path: Path, how: str, error: str
) -> None:
    report = do(pipeline(source, features=(Fussy(how=how), Sharpness())), tmp_path / "store")
    assert report.counts.missing == {"image.fussy": 1}
    assert report.counts.n_rejected == 0
    store = mmdata.open(tmp_path / "store")
    (row,) = store.missing().to_pylist()
    assert (row["key"], row["family"]) == ("corpus/003", "image.fussy")
    assert error in row["error"]
    assert store.arrays("image.fussy", ["corpus/003"]) == [None]
    assert store.arrays("image.fussy", ["corpus/004"])[0] is not None


def test_a_failed_feature_is_tried_again_by_a_replay_and_its_neighbours_are_taken_over(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = pipeline(source, features=(Fussy(), Sharpness()))
    do(what, tmp_path / "store")
    monkeypatch.setattr(Fussy, "extract", lambda _, image: image.pixels[:, 0, 0].astype(np.float32))  # it is mended
    assert do(what, tmp_path / "store").shards == 0
    report = do(what, tmp_path / "store", replace(OPTIONS, replay=True))
    assert (report.shards, report.counts.read) == (1, 0)
    assert (dict(report.counts.computed), dict(report.counts.gathered)) == ({"image.fussy": 1}, {"image.fussy": 3})
    store = mmdata.open(tmp_path / "store")
    assert store.missing().num_rows == 0
    assert all(array is not None for array in store.arrays("image.fussy"))


def test_a_copy_of_a_corpus_under_another_name_is_pointed_out(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    do(pipeline(source), tmp_path / "store")
    assert not caplog.records
    source.rename(tmp_path / "moved")
    do(pipeline(tmp_path / "moved"), tmp_path / "store")
    assert "give the source the setting name: corpus" in caplog.text


def test_a_feature_that_never_works_stops_the_run(source: Path, tmp_path: Path) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Broken(Fussy):
        def extract(self, image: Image) -> np.ndarray:
            raise KeyError("always")

    for number in range(12, 24):
        add(source, number)
    with pytest.raises(StepError, match="failed on each of its first 20 samples"):
        run(pipeline(source, features=(Broken(),)), str(tmp_path / "store"), RunOptions())


@dataclass(frozen=True, kw_only=True)
class CountingBatch(Fussy):
    """Fails as a batch, but not alone."""

    def extract_many(self, values: Sequence[Image]) -> Sequence[np.ndarray]:
        raise RuntimeError("no batches today")


def test_a_batch_that_fails_is_computed_one_by_one(source: Path, tmp_path: Path) -> None:
    report = do(pipeline(source, features=(CountingBatch(how="raise"),)), tmp_path / "store")
    assert report.counts.computed["image.fussy"] == 11
    assert report.counts.missing["image.fussy"] == 1


def test_a_feature_added_later_equals_one_made_at_once_where_storage_is_lossy(source: Path, tmp_path: Path) -> None:
    lossy = {"image": "jpeg:40", "audio": "flac"}
    now = pipeline(source, store=lossy, features=(Sharpness(), PerceptualHash(), TextLength()))
    do(now, tmp_path / "now")
    do(replace(now, features=()), tmp_path / "later")
    report = do(now, tmp_path / "later", replace(OPTIONS, look_at_source=False))
    assert report.counts.read == 0
    assert live(tmp_path / "later") == live(tmp_path / "now")
    plain = pipeline(source, features=(Sharpness(),))
    do(plain, tmp_path / "plain")
    sharp = [mmdata.open(tmp_path / name).arrays("image.sharpness")[0] for name in ("now", "plain")]
    assert sharp[0] != sharp[1]


def test_features_come_from_the_store_alone_when_the_source_is_gone(source: Path, tmp_path: Path) -> None:
    do(pipeline(source, features=()), tmp_path / "store")
    for path in source.iterdir():
        path.unlink()
    report = do(pipeline(source), tmp_path / "store", replace(OPTIONS, look_at_source=False))
    assert report.counts.computed["image.phash"] == 12


def test_a_part_that_is_not_stored_is_made_again_from_the_source_and_plan_says_so(source: Path, tmp_path: Path) -> None:
    bare = pipeline(source, store={"audio": "copy"}, features=())
    do(bare, tmp_path / "store")
    more = replace(bare, features=(Sharpness(),))
    assert plan(more, str(tmp_path / "store"), OPTIONS).from_source == ["image"]
    assert do(more, tmp_path / "store").counts.computed["image.sharpness"] == 12
    do(more, tmp_path / "fresh")
    assert live(tmp_path / "store") == live(tmp_path / "fresh")


def test_features_alone_refuse_samples_of_other_steps(source: Path, tmp_path: Path) -> None:
    do(pipeline(source), tmp_path / "store")
    other = pipeline(source, ingest=(NormalizeText(), KeepLength(min_chars=1)))
    with pytest.raises(ConfigError, match="other ingest steps"):
        run(other, str(tmp_path / "store"), replace(OPTIONS, look_at_source=False))


# ---- splits


@dataclass(frozen=True, kw_only=True)
class Words(Split[Sample]):
    def split(self, sample: Sample) -> list[Sample]:
        text = sample.parts["text"]
        if not isinstance(text, Text):
            raise TypeError("text comes first")
        return [sample.child(str(at), text=Text(word)) for at, word in enumerate(text.text.split()[:3])]


def test_split_samples_are_stored_with_their_parents_and_balance(source: Path, tmp_path: Path) -> None:
    report = do(pipeline(source, ingest=(NormalizeText(), Words())), tmp_path / "store")
    assert report.counts.made == report.counts.stored - 12 > 0
    parents = mmdata.open(tmp_path / "store").table(["key", "parent"]).to_pylist()
    assert all(row["key"].startswith(f"{row['parent']}@") for row in parents)


# ---- workers that die


@dataclass(frozen=True, kw_only=True)
class Deadly(Map[Audio, Audio]):
    """Kills its process on long sounds."""

    on: str = "audio"

    def map(self, audio: Audio) -> Audio:
        if audio.duration_s > 0.3:
            os._exit(9)
        return audio


@pytest.mark.long
def test_a_sample_that_kills_its_worker_is_rejected_and_the_run_goes_on(source: Path, tmp_path: Path) -> None:
    (source / "003.wav").write_bytes(wav_bytes(tone(seconds=0.5)))
    what = pipeline(source, ingest=(Deadly(),))
    report = do(what, tmp_path / "store", replace(OPTIONS, executor=Pool(2)))
    assert report.counts.rejected == {"worker_died": 1}
    assert report.counts.stored == 11
    (reject,) = mmdata.open(tmp_path / "store").rejects().to_pylist()
    assert reject["key"] == "corpus/003"
    assert "Deadly" in reject["error"]


# ---- the record


def test_a_run_is_recorded_with_its_pipeline_and_counts(source: Path, tmp_path: Path) -> None:
    do(pipeline(source), tmp_path / "store", replace(OPTIONS, text="seed: 0", location=str(source)))
    (row,) = mmdata.open(tmp_path / "store").runs().to_pylist()
    assert json.loads(row["pipeline"]) == {"file": "seed: 0", "source": str(source)}
    assert json.loads(row["counts"])["stored"] == 12


def test_what_is_wrong_is_said_before_anything_is_written(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no part 'picture'"):
        run(pipeline(source, ingest=(DecodeImage(on="picture"),)), str(tmp_path / "store"), OPTIONS)
    with pytest.raises(ConfigError, match="say where samples come from"):
        run(pipeline(source, source=None), str(tmp_path / "store"), OPTIONS)
    assert not (tmp_path / "store" / "samples").exists()


def test_planning_writes_nothing_and_needs_no_store(source: Path, tmp_path: Path) -> None:
    todo = plan(pipeline(source), str(tmp_path / "store"), OPTIONS)
    assert (todo.entries, len(todo.jobs)) == (12, 3)
    assert not (tmp_path / "store").exists()
