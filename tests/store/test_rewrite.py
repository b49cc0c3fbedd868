"""Files made out of files: the very bytes that a writer would have made of the same rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mmdata.core.arrays import ArraySpec
from mmdata.core.fingerprint import keys_digest
from mmdata.core.ports import Encoded
from mmdata.core.sample import Blob, Sample, Text
from mmdata.errors import Incomplete, SchemaMismatch, StoreError
from mmdata.store import parquet, rewrite
from mmdata.store.files import Files
from mmdata.store.layout import DataFile
from mmdata.store.rewrite import merged, shard_of
from mmdata.store.store import Store
from mmdata.store.view import ShardView
from mmdata.store.write import FeatureWriter, ShardWriter

Made = Any  # the fixtures' class; conftest can't be imported
FP, F1, F2 = "1" * 16, "a" * 16, "b" * 16
NEW = "e" * 16
SPECS = {
    "x": ArraySpec(dims=("byte",), sizes={"byte": 300}, dtype="uint8"),
    "x.score": ArraySpec(dtype="float32"),
    "x.frames": ArraySpec(dims=("time", "c"), sizes={"c": 3}),
}


def sample_of(number: int) -> Sample:
    """The sample of a number, with a key in order of the numbers; odd ones in many ways."""
    key = f"src/{number:05}" + ("ü" * (number % 70) if number % 3 else "")
    parts: dict[str, Any] = {}
    if number % 4:
        parts["image"] = Blob.of(bytes([number % 256]) * (number * 37 % 3000), name="x.png")
    if number % 5:
        parts["caption"] = Text(f"hé {number}")
    parent = key if number % 7 == 0 else None
    return Sample(key + ("@0-5" if parent else ""), parts, {"n": {2: number, 10: 1}, "label": number % 2}, parent)


def key_of(number: int) -> str:
    return sample_of(number).key


def write(url: str, shard: str, numbers: Sequence[int], *, beside: bool = True) -> list[DataFile]:
    """A shard in one go: samples, tar, two features, and a drop and rejects of every eleventh number."""
    writer = ShardWriter(url, shard=shard, fp=FP, source="src")
    for number in numbers if beside else ():  # the source's own faults come before all others
        if number % 22 == 0:
            writer.reject(f"src/{number:05}f", "source", "unpaired", f"no {number}", None, "p")
    for number in numbers:
        sample = sample_of(number)
        stored = {
            name: Encoded(part if isinstance(part, Blob) else Blob.of(part.text.encode()), "bin", part)  # type: ignore[union-attr]
            for name, part in sample.parts.items()
        }
        references = ["image"] if number % 13 == 0 and "image" in stored else []
        for name in references:
            del stored[name]
        writer.add(sample, stored, pointers={"image": f"{number}.png"}, references=references)
        if beside and number % 11 == 0:
            writer.drop(f"src/{number:05}d", "clean.image.DropBlurred", "blurred", "p")
            writer.reject(f"src/{number:05}r", "codec.image.DecodeImage", "decode", f"bad {number}", "Traceback", "p")
    files = writer.close()
    return [*files, feature(url, shard, numbers, "x", SPECS), feature(url, shard, numbers, "y", {"y": ArraySpec()})]


def feature(url: str, shard: str, numbers: Sequence[int], name: str, specs: dict[str, ArraySpec]) -> DataFile:
    writer = FeatureWriter(url, name, specs, shard=shard, fp=F1)
    keys = [key_of(number) for number in numbers]
    for key, number in zip(keys, numbers, strict=True):
        failed = number % 9 == 4
        made = {
            column: [None if failed else np.full([n or number % 8 for n in spec.shape], number % 100, spec.dtype)]
            for column, spec in specs.items()
        }
        writer.add([key], made, ["it failed"] if failed else None)
    return writer.close(keys_digest(keys))


def content(url: str, files: Sequence[DataFile]) -> dict[str, bytes]:
    paths = [file.path for file in files] + [file.media.path for file in files if file.media]
    return {path: (Path(url) / path).read_bytes() for path in paths}


def view(url: str, number: int, numbers: Sequence[int], **settings: Any) -> ShardView:
    return shard_of(write(url, f"{number:016x}", numbers, **settings))


def rank(key: str) -> int:
    return int(key[4:9])


def url_of(folder: Path) -> str:
    Store.create(str(folder))
    return str(folder)


@pytest.mark.parametrize(
    "division",
    [
        [range(50)],
        [range(20), range(20, 50)],
        [range(20, 50), range(20)],
        [range(0, 50, 3), range(1, 50, 3), range(2, 50, 3)],
        [range(0), range(50), range(0)],
        [[number] for number in range(50)],
    ],
)
def test_merged_shards_are_the_bytes_of_one_written_in_one_go(tmp_path: Path, division: list[Sequence[int]]) -> None:
    url, other = url_of(tmp_path / "a"), url_of(tmp_path / "b")
    parts = [view(url, at, numbers) for at, numbers in enumerate(division)]
    made = merged(Files.at(url), parts, shard=NEW, rank=rank)
    wanted = write(other, NEW, range(50))
    assert sorted(made, key=lambda file: file.family) == sorted(wanted, key=lambda file: file.family)
    assert content(url, made) == content(other, wanted)
    assert not list((tmp_path / "a" / "tmp").iterdir())


def test_row_groups_are_cut_as_they_would_have_been(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROWS_A_GROUP", 16)
    monkeypatch.setattr(parquet, "BYTES_A_GROUP", 3_000)
    monkeypatch.setattr(rewrite, "HELD_BYTES", 4_000)  # groups are read again and again
    monkeypatch.setattr(rewrite, "OPEN_TARS", 1)
    url, other = url_of(tmp_path / "a"), url_of(tmp_path / "b")
    parts = [view(url, at, range(at, 200, 3)) for at in range(3)]
    made = merged(Files.at(url), parts, shard=NEW, rank=rank)
    assert content(url, made) == content(other, write(other, NEW, range(200)))


@pytest.mark.parametrize("gone", [{0}, {49}, {7, 8, 9, 30}, set(range(49)), set(range(50))])
def test_rows_that_are_left_out_were_never_there(tmp_path: Path, gone: set[int]) -> None:
    url, other = url_of(tmp_path / "a"), url_of(tmp_path / "b")
    made = merged(Files.at(url), [view(url, 0, range(50))], shard=NEW, keep=lambda key: rank(key) not in gone)
    wanted = write(other, NEW, [number for number in range(50) if number not in gone])
    assert content(url, made) == content(other, wanted)
    assert sorted(made, key=lambda file: file.family) == sorted(wanted, key=lambda file: file.family)


def test_without_a_rank_parts_follow_each_other(tmp_path: Path) -> None:
    url, other = url_of(tmp_path / "a"), url_of(tmp_path / "b")
    parts = [view(url, 0, [5, 3], beside=False), view(url, 1, [4, 1], beside=False)]
    made = merged(Files.at(url), parts, shard=NEW)
    assert content(url, made) == content(other, write(other, NEW, [5, 3, 4, 1], beside=False))


def _other_steps(a: ShardView) -> ShardView:
    return ShardView(a.shard, a.source, a.rows, _changed(a.samples, fp="9" * 16), a.features)


def _other_feature(a: ShardView) -> ShardView:
    return ShardView(a.shard, a.source, a.rows, a.samples, {**a.features, "y": _changed(a.features["y"], fp=F2)})


def _no_feature(a: ShardView) -> ShardView:
    return ShardView(a.shard, a.source, a.rows, a.samples, {"x": a.features["x"]})


def _changed(file: DataFile, *, fp: str) -> DataFile:
    return DataFile(**{**{name: getattr(file, name) for name in file.__dataclass_fields__}, "fp": fp})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_other_steps, "other steps or from other sources"),
        (_other_feature, "feature 'y' is not the same"),
        (_no_feature, "feature 'y' is not the same"),
        (lambda a: a, "is in two of the shards"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    tmp_path: Path, change: Callable[[ShardView], ShardView], says: str
) -> None:
    url = url_of(tmp_path / "a")
    first = view(url, 0, range(5))
    there = {path for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(StoreError, match=says):
        merged(Files.at(url), [first, change(first)], shard=NEW)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == there


def test_nothing_to_merge_is_refused(tmp_path: Path) -> None:
    url = url_of(tmp_path / "a")
    with pytest.raises(StoreError, match="no shard"):
        merged(Files.at(url), [], shard=NEW)
    with pytest.raises(StoreError, match="no samples file"):
        shard_of([])


def test_damaged_and_lost_files_are_told_and_leave_nothing_behind(tmp_path: Path) -> None:
    url = url_of(tmp_path / "a")
    part = view(url, 0, range(20))
    assert part.samples.media is not None
    tar = Path(url) / part.samples.media.path
    whole = tar.read_bytes()
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    for damage in (whole[: len(whole) // 2], b"\xff" * len(whole), whole[:700]):
        tar.write_bytes(damage)
        with pytest.raises(SchemaMismatch, match=tar.name):
            merged(Files.at(url), [part], shard=NEW)
    tar.write_bytes(whole)
    (Path(url) / part.samples.path).unlink()
    with pytest.raises(Incomplete, match="is gone"):
        merged(Files.at(url), [part], shard=NEW)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before - {Path(url) / part.samples.path}


def test_memory_is_bounded_by_row_groups_not_by_the_shard(tmp_path: Path) -> None:
    url = url_of(tmp_path / "a")
    big = {"big": ArraySpec(dims=("byte",), sizes={"byte": 1 << 20}, dtype="uint8")}
    parts = []
    for at in range(2):
        numbers = range(at, 128, 2)
        shard = f"{at:016x}"
        files = write(url, shard, numbers, beside=False)
        parts.append(shard_of([*files, feature(url, shard, numbers, "big", big)]))
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    peaks: list[int] = []
    rewrite_rows = rewrite._Reader.rows

    def rows(self: Any, *args: Any) -> Any:
        for table in rewrite_rows(self, *args):
            peaks.append(pool.bytes_allocated() - before)
            yield table

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rewrite._Reader, "rows", rows)
        patch.setattr(rewrite, "HELD_BYTES", 16 << 20)
        made = merged(Files.at(url), parts, shard=NEW, rank=rank)
    assert next(file for file in made if file.family == "big").size_bytes > 110 << 20  # of every ninth row it failed
    assert max(peaks) < 60 << 20
