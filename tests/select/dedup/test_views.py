"""Pictures that are alike after a crop or in the mirror, on pictures made here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mmdata.core.arrays import ArraySpec
from mmdata.core.fingerprint import keys_digest
from mmdata.core.sample import Image, Sample
from mmdata.errors import ConfigError
from mmdata.features.image import TinyGrey
from mmdata.kernels.hashing import hamming_bits
from mmdata.kernels.image.hashes import perceptual_hash
from mmdata.kernels.image.views import VIEWS, view_bits, view_cells
from mmdata.select import select
from mmdata.select.dedup import NearView
from mmdata.select.dedup import bits as bits_
from mmdata.store import Store
from mmdata.store.runs import Recipe
from mmdata.store.store import Change
from mmdata.store.write import ShardWriter
from mmdata.store.write_features import FeatureWriter

FP = "f" * 16


def picture(seed: int, *, size: int = 200) -> np.ndarray:
    """Blots of random place, size and grey: uint8 [row, column, 3]."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    made = np.full((size, size), 128.0)
    for _ in range(25):
        at, width = random.random(2), random.uniform(0.05, 0.2)
        made += random.uniform(-90, 90) * np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / width**2)
    return np.repeat(np.clip(made, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def cropped(pixels: np.ndarray, top: float, left: float, share: float) -> np.ndarray:
    size = pixels.shape[0]
    y, x, n = round(top * size), round(left * size), round((1 - share) * size)
    return np.ascontiguousarray(pixels[y : y + n, x : x + n])


def grey(pictures: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack([TinyGrey().extract(Image(pixels)) for pixels in pictures])


def stored(place: Path, levels: Sequence[np.ndarray | None], spec: ArraySpec | None = None) -> Store:
    store = Store.create(str(place))
    store.start_run(command="test", recipe=Recipe(FP, {"image.grey": FP}))
    with ShardWriter(store.url, shard="0" * 16, fp=FP, source="toy") as writer:
        for number in range(len(levels)):
            writer.add(Sample(f"toy/{number:03d}", {}, {}), {}, pointers={})
        changes = [Change("samples", add=writer.close())]
    columns = {"image.grey": spec or TinyGrey().spec()}
    with FeatureWriter(store.url, "image.grey", columns, shard="0" * 16, fp=FP) as made:
        made.add(writer.keys, {"image.grey": list(levels)})
        changes.append(Change("image.grey", add=[made.close(keys_digest(writer.keys))]))
    store.commit(changes)
    return store


def test_the_bits_of_the_whole_are_those_of_phash_and_a_view_has_those_of_the_picture_seen_so() -> None:
    pixels = picture(1)
    levels = grey([pixels])
    seen = {
        VIEWS[0]: pixels,
        VIEWS[1]: pixels[:, ::-1],
        ((0.0, 0.9), (0.1, 1.0), False): cropped(pixels, 0, 0.1, 0.1),
        ((0.05, 0.95), (0.05, 0.95), False): cropped(pixels, 0.05, 0.05, 0.1),
    }
    for view, shown in seen.items():
        own = perceptual_hash(np.ascontiguousarray(shown))
        assert hamming_bits(view_bits(levels, view)[0], own) <= 6, view
        cells = view_cells(grey([np.ascontiguousarray(shown)]), VIEWS[0])
        assert float((view_cells(levels, view) * cells).sum()) > 0.99, view
    assert hamming_bits(view_bits(levels, VIEWS[0])[0], view_bits(levels, VIEWS[1])[0]) > 15


def test_cropped_and_mirrored_pictures_are_found_and_others_are_not(tmp_path: Path) -> None:
    first, second, third = picture(1), picture(2), picture(3)
    shown = [
        *(first, second, third),
        *(cropped(first, 0.05, 0.05, 0.1), cropped(first, 0, 0.1, 0.1), np.ascontiguousarray(second[:, ::-1])),
        *(cropped(third, 0.3, 0.3, 0.5), np.ascontiguousarray(third.transpose(1, 0, 2)), picture(4)),
    ]
    store = stored(tmp_path / "s", [*grey(shown), None])
    made = select(store, "v1", dedup=[NearView()])
    assert store.selection("v1")["cluster"].to_pylist() == [0, 1, None, 0, 0, 1, None, None, None, None]
    assert made.reasons == {"dedup.near_view": 3}
    assert select(store, "v2", dedup=[NearView(max_bits=0)]).reasons == {"dedup.near_view": 1}  # the mirrored one


def test_pictures_without_contrast_are_like_no_other(tmp_path: Path) -> None:
    levels = [np.full((32, 32), 255, np.uint8)] * 3 + [np.full((32, 32), 7, np.uint8)]
    assert select(stored(tmp_path / "s", levels), "v1", dedup=[NearView()]).reasons == {}
    assert select(stored(tmp_path / "empty", [None]), "v1", dedup=[NearView()]).reasons == {}


def test_thousands_of_equal_pictures_are_compared_as_one(tmp_path: Path) -> None:
    first, second = grey([picture(1), picture(2)])
    levels = [first, second, *[first] * 2000, np.ascontiguousarray(second[:, ::-1])]
    store = stored(tmp_path / "s", levels)
    assert select(store, "v1", dedup=[NearView()]).reasons == {"dedup.near_view": 2001}
    assert store.selection("v1")["cluster"].to_pylist() == [0, 1, *[0] * 2000, 1]


def test_another_column_is_refused_with_what_is_needed(tmp_path: Path) -> None:
    spec = ArraySpec(dims=("byte",), sizes={"byte": 8}, dtype="uint8")
    store = stored(tmp_path / "s", [np.zeros(8, np.uint8)] * 2, spec)
    with pytest.raises(ConfigError, match=r"'image.grey' is uint8 of 8; a column of features.image.TinyGrey"):
        select(store, "v1", dedup=[NearView()])


@pytest.mark.parametrize("max_bits", [0, 3, 7, 11, 20])
@pytest.mark.parametrize("few", [0, 1 << 20])
def test_all_pairs_of_queries_and_hashes_are_found(max_bits: int, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bits_, "FEW", few)
    monkeypatch.setattr(bits_, "PAIRS", 700)
    random = np.random.default_rng(max_bits)
    hashes = random.integers(0, 256, (90, 8), np.uint8)
    queries = hashes[random.permutation(90)[:40]].copy()
    for row in queries:
        for bit in random.integers(0, 64, random.integers(0, 14)):
            row[bit // 8] ^= np.uint8(1 << bit % 8)
    pairs = bits_.near_between(queries, hashes, max_bits)
    found = {pair for one, other in pairs for pair in zip(one.tolist(), other.tolist(), strict=True)}
    near = hamming_bits(queries[:, None], hashes[None]) <= max_bits
    assert found == set(zip(*(axis.tolist() for axis in np.nonzero(near)), strict=True))
