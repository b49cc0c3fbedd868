"""Stores of known content."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from mmdata.core.arrays import ArraySpec
from mmdata.core.fingerprint import keys_digest
from mmdata.core.ports import Encoded
from mmdata.core.sample import Blob, Part, Sample, Text
from mmdata.store.layout import DataFile, Media
from mmdata.store.runs import Recipe
from mmdata.store.store import Change, Store
from mmdata.store.write import FeatureWriter, ShardWriter

PHASH = {
    "image.phash": ArraySpec(dims=("byte",), sizes={"byte": 8}, dtype="uint8"),
    "image.phash.score": ArraySpec(dtype="float32"),
}
MFCC = {"speech.mfcc": ArraySpec(dims=("time", "coefficient"), sizes={"coefficient": 3}, hop_s=0.01)}
S1, S2, F1, F2, M1 = ("1" * 16, "2" * 16, "a" * 16, "b" * 16, "c" * 16)


def make_sample(key: str, number: int = 0, *, label: str | None = "cat") -> Sample:
    """A picture of 100 + number bytes, a text, and metadata."""
    parts: dict[str, Part] = {
        "image": Blob.of(bytes([number % 256]) * (100 + number), name="x.png"),
        "caption": Text(f"hé {number}"),
    }
    return Sample(key, parts, {"n": number} | ({"label": label} if label is not None else {}))


def encoded(sample: Sample) -> dict[str, Encoded]:
    """Blobs as they are, texts as UTF-8."""
    made = {}
    for name, part in sample.parts.items():
        blob = part if isinstance(part, Blob) else Blob.of(part.text.encode()) if isinstance(part, Text) else None
        assert blob is not None
        made[name] = Encoded(blob, "png" if isinstance(part, Blob) else "txt", part)
    return made


@dataclass
class Made:
    """A store, and how to put shards into it."""

    url: str
    keys: dict[str, list[str]] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        return Store.create(self.url)

    def shard_id(self, number: int) -> str:
        return f"{number:016x}"

    def samples(
        self, number: int, *, fp: str = S1, rows: int = 5, drops: Sequence[str] = (), rejects: Sequence[str] = ()
    ) -> list[DataFile]:
        """The files of a shard with the keys src/NUMBER/0.png, src/NUMBER/1.png, ..."""
        writer = ShardWriter(self.url, shard=self.shard_id(number), fp=fp, source="src")
        for row in range(rows):
            sample = make_sample(f"src/{number}/{row}.png", row)
            writer.add(sample, encoded(sample), pointers={"image": f"{number}/{row}.png"})
        for key in drops:
            writer.drop(key, "clean.image.DropBlurred", "blurred", f"{key}.png")
        for key in rejects:
            writer.reject(key, "codec.image.DecodeImage", "decode", "no picture", "Traceback ...", f"{key}.png")
        self.keys[self.shard_id(number)] = writer.keys
        return writer.close()

    def write_keys(self, keys: Sequence[str]) -> Media:
        """The tar of a shard with these keys."""
        writer = ShardWriter(self.url, shard="f" * 16, fp=S1, source="src")
        for row, key in enumerate(keys):
            sample = make_sample(key, row)
            writer.add(sample, encoded(sample), pointers={})
        media = writer.close()[0].media
        assert media is not None
        return media

    def phash(self, number: int, *, fp: str = F1, value: float = 0.0) -> DataFile:
        """The features of the shard that was written last; `score` is the row plus `value`, byte 0 of the array too."""
        keys = self.keys[self.shard_id(number)]
        writer = FeatureWriter(self.url, "image.phash", PHASH, shard=self.shard_id(number), fp=fp)
        score = np.arange(len(keys), dtype=np.float32) + np.float32(value)
        bits = np.repeat(score.astype(np.uint8)[:, None], 8, axis=1)
        writer.add(keys, {"image.phash": bits, "image.phash.score": score})
        return writer.close(keys_digest(keys))

    def mfcc(self, number: int, *, fp: str = M1, failed: int | None = None) -> DataFile:
        """Row r has r frames of the value r; the row `failed` failed."""
        keys = self.keys[self.shard_id(number)]
        writer = FeatureWriter(self.url, "speech.mfcc", MFCC, shard=self.shard_id(number), fp=fp)
        arrays = [np.full((row, 3), row, np.float32) if row != failed else None for row in range(len(keys))]
        errors = ["too short" if row == failed else None for row in range(len(keys))]
        writer.add(keys, {"speech.mfcc": arrays}, errors)
        return writer.close(keys_digest(keys))

    def commit(self, *files: DataFile, remove: Sequence[DataFile] = ()) -> None:
        changes = [Change(file.family, add=[file]) for file in files]
        self.store.commit([*changes, *(Change(file.family, remove=[file]) for file in remove)])

    def run(self, recipe: Recipe) -> str:
        return self.store.start_run(command="test", recipe=recipe)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """An empty store."""
    at = Made(str(tmp_path / "store"))
    Store.create(at.url)
    return at


@pytest.fixture(scope="session")
def _filled(tmp_path_factory: pytest.TempPathFactory) -> Made:
    made = Made(str(tmp_path_factory.mktemp("filled") / "store"))
    made.run(Recipe(S1, {"image.phash": F1, "speech.mfcc": M1}))
    for number in range(3):
        files = made.samples(number, drops=[f"src/{number}/d"], rejects=[f"src/{number}/r"])
        made.commit(*files, made.phash(number), made.mfcc(number, failed=2))
    return made


@pytest.fixture
def filled(_filled: Made, tmp_path: Path) -> Made:
    """Three shards of five samples with both features, a drop and a reject each; row 2 of each has no mfcc."""
    copied = Made(str(tmp_path / "store"), dict(_filled.keys))
    shutil.copytree(_filled.url, copied.url)
    return copied
