"""A small store of everything that an export could lose: odd keys, odd bytes, odd numbers, and parts that lack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmdata.core.arrays import ArraySpec
from mmdata.core.fingerprint import keys_digest
from mmdata.core.ports import Encoded
from mmdata.core.sample import Audio, Blob, Image, Part, Sample, Text
from mmdata.core.spans import SpaceMap, TimeMap
from mmdata.select.selection import select
from mmdata.store.layout import DataFile
from mmdata.store.runs import Recipe
from mmdata.store.store import Change, Store
from mmdata.store.write import ShardWriter
from mmdata.store.write_features import FeatureWriter
from mmdata.testing.media import jpeg_bytes, png_bytes, wav_bytes
from mmdata.testing.pictures import picture
from mmdata.testing.sounds import tone

KEYS = (
    "photos/a.b/c.d.png", "photos/__hidden__", "photos/new\nline", 'photos/it\'s "so"', "photos/é/字.webp",
    "photos/" + "long/" * 60 + "end.jpg", "photos/" + "x" * 300, "photos/100%", "photos/%2E", "photos/..",
    "photos/../../etc/passwd", "photos//a", "photos/-rf ", "photos/con", "photos/icon@2x@0-5", "photos/~#",
)  # fmt: skip
PLAIN = tuple(f"sounds/{number}" for number in range(6))
FEATURES: Mapping[str, Mapping[str, ArraySpec]] = {
    "image.phash": {"image.phash": ArraySpec(dims=("byte",), sizes={"byte": 8}, dtype="uint8")},
    "image.grid": {
        "image.grid": ArraySpec(dims=("row", "column"), sizes={"row": 2, "column": 3}, dtype="float16"),
        "image.grid.ok": ArraySpec(dtype="bool"),
        "image.grid.id": ArraySpec(dtype="uint64"),
        "image.grid.level": ArraySpec(dtype="float32"),
        "image.grid.small": ArraySpec(dtype="uint8"),
    },
    "speech.mfcc": {"speech.mfcc": ArraySpec(dims=("time", "mel"), sizes={"mel": 3}, hop_s=0.01)},
    "speech.pairs": {"speech.pairs": ArraySpec(dims=("left", "right"), dtype="int64")},
    "speech.late": {"speech.late": ArraySpec(dims=("band", "time"), sizes={"band": 2}, dtype="int16")},
    "Image.PHash": {"Image.PHash": ArraySpec(dims=("none",), sizes={"none": 0}, dtype="float64")},
}
FAILED = {"image.phash": 3, "image.grid": 5, "speech.mfcc": 2, "speech.late": 1}  # the rows that failed, by family
FP = "f" * 16


@dataclass(frozen=True)
class Told:
    """What is known of one sample.

    Args:
        data: stored bytes by part. arrays: by column; None where the feature failed.
    """

    key: str
    source: str
    meta: Mapping[str, Any]
    parent: str | None
    data: Mapping[str, bytes]
    texts: Mapping[str, str]
    arrays: Mapping[str, np.ndarray | None]
    errors: Mapping[str, str]
    split: str = ""

    @property
    def label(self) -> str | None:
        """As the store has it: JSON where it is no text."""
        value = self.meta.get("label")
        return value if isinstance(value, str) or value is None else str(value)


@dataclass
class Known:
    """A store, and what it holds by key, in its order."""

    store: Store
    samples: dict[str, Told] = field(default_factory=dict)


def sample(key: str, number: int) -> tuple[Sample, dict[str, Encoded]]:
    """A sample that lacks one part or another, and texts whose bytes are not their UTF-8."""
    shown = picture(width=16, height=12, seed=number)
    image = Blob.of(png_bytes(shown) if number % 2 else jpeg_bytes(shown))
    heard = Blob.of(wav_bytes(tone(seconds=0.05)))
    caption = f"\ufeffcafé {number}\r\n".encode() if number % 3 else f"cafe {number}".encode()
    title = f"Ünï {number}".encode("utf-16") if number % 2 else b"t"
    parts: dict[str, Part] = {}
    stored: dict[str, Encoded] = {}
    if number % 4:
        parts["image"] = Image(shown.pixels, space_map=SpaceMap().cropped(left=number, top=1), origin=image)
        stored["image"] = Encoded(image, "png" if number % 2 else "jpg", parts["image"])
    if number % 5 != 1:
        clock = TimeMap.identity(Fraction(1, 20)).cut(Fraction(1, 100), Fraction(1, 50))
        parts["Speech one/two"] = Audio(tone(seconds=0.05).samples, 16000, time_map=clock, origin=heard)
        stored["Speech one/two"] = Encoded(heard, "wav", parts["Speech one/two"])
    if number % 3 != 2:
        parts["text"] = Text(caption.decode("utf-8-sig").strip(), origin := Blob.of(caption))
        stored["text"] = Encoded(origin, "txt", parts["text"])
    if number % 7 != 3:
        parts["label"] = Text(title.decode("utf-16" if number % 2 else "ascii"), origin := Blob.of(title))
        stored["label"] = Encoded(origin, "txt", parts["label"])
    if number % 6 == 0:
        parts["raw"] = raw = Blob.of(bytes(range(number, number + 20)))
        stored["raw"] = Encoded(raw, "bin", raw)
    meta = {"n": number, "deep": {"é": [1, 2.5, None, "x"]}, "label": ["cat", "dög", 7][number % 3]}
    return Sample(key, parts, meta, f"{key.partition('@')[0]}" if "@" in key else None), stored


def arrays(number: int) -> dict[str, np.ndarray]:
    """Features with values that only their own dtype holds."""
    rng = np.random.default_rng(number)
    level = [np.nan, np.inf, -np.inf, 0.1, -0.0][number % 5]
    return {
        "image.phash": rng.integers(0, 256, 8, dtype=np.uint8),
        "image.grid": rng.normal(size=(2, 3)).astype(np.float16),
        "image.grid.ok": np.array(number % 2 == 0),
        "image.grid.id": np.array(2**64 - 1 - number, np.uint64),
        "image.grid.level": np.array(level, np.float32),
        "image.grid.small": np.array(250 + number % 6, np.uint8),
        "speech.mfcc": rng.normal(size=(number % 4, 3)).astype(np.float32),
        "speech.pairs": rng.integers(-(2**62), 2**62, (number % 3, (number + 1) % 4)),
        "speech.late": rng.integers(-9, 9, (2, number % 5)).astype(np.int16),
        "Image.PHash": np.zeros(0, np.float64),
    }


def write_shard(url: str, shard: str, source: str, keys: tuple[str, ...]) -> tuple[list[DataFile], list[Told]]:
    """A shard's files, with a drop and a reject, and what is known of its samples."""
    told, made = [], {}
    with ShardWriter(url, shard=shard, fp=FP, source=source) as writer:
        for number, key in enumerate(keys):
            each, stored = sample(key, number)
            writer.add(each, stored, pointers={name: f"{number}.{name[:2]}" for name in stored})
            made[key] = arrays(number)
            failed = {family: "too short\nby far" for family, row in FAILED.items() if row == number}
            data = {name: part.blob.data() for name, part in stored.items()}
            texts = {name: part.text for name, part in each.parts.items() if isinstance(part, Text)}
            none = {column for family in failed for column in FEATURES[family]}
            shown = {column: None if column in none else array for column, array in made[key].items()}
            told.append(Told(key, source, each.meta, each.parent, data, texts, shown, failed))
        writer.drop(f"{source}/dropped", "clean.image.DropBlurred", "blurred", "x.png")
        writer.reject(f"{source}/rejected", "codec.image.DecodeImage", "decode", "no picture", None, "y.png")
        files, digest = writer.close(), keys_digest(writer.keys)
    for family, specs in FEATURES.items():
        features = FeatureWriter(url, family, specs, shard=shard, fp=FP)
        rows = {column: [each.arrays[column] for each in told] for column in specs}
        features.add(list(keys), rows, [each.errors.get(family) for each in told])
        files.append(features.close(digest))
    return files, told


def make(url: str) -> Known:
    """Two shards of two sources, a selection `v1` with splits, and one `few` that has none."""
    store = Store.create(url)
    store.start_run(command="test", recipe=Recipe(FP, dict.fromkeys(FEATURES, FP)))
    known = []
    changes = []
    for number, (source, keys) in enumerate((("photos", KEYS), ("sounds", PLAIN))):
        files, told = write_shard(url, f"{number:016x}", source, keys)
        changes += [Change(file.family, columns=FEATURES.get(file.family, {}), add=[file]) for file in files]
        known += told
    store.commit(changes)
    store = Store.open(url)
    select(store, "v1", split={"train": 0.6, "val": 0.4, "seed": 3}, where="key <> 'sounds/0'")
    select(store, "few", where="source = 'sounds'")
    return Known(store, {each.key: each for each in known})


@pytest.fixture(scope="session")
def known(tmp_path_factory: pytest.TempPathFactory) -> Known:
    """22 samples; nothing may be written to it."""
    return make(str(tmp_path_factory.mktemp("sink") / "store"))


@pytest.fixture
def own(tmp_path: Path) -> Known:
    """The same, of the test's own."""
    return make(str(tmp_path / "store"))
