from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mmdata
from mmdata.core.arrays import ArraySpec
from mmdata.core.rng import rng_for
from mmdata.errors import ConfigError
from mmdata.loader.mixing import CutMix, Mix, MixUp, soft_labels
from mmdata.loader.stream import Stream, stream
from mmdata.loader.torch import WorkerStream
from mmdata.store import Store
from tests.loader.gallery import gallery, same_size

Build = Callable[..., Store]
Batch = dict[str, Any]
BOTH = ("image.embedding", "image.sharpness")
QUICK = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """57 pictures of 40 x 32."""
    return gallery(tmp_path_factory.mktemp("pictures") / "store", image=same_size)


def opened(store: Store, mix: Mix | Sequence[Mix] | None, **given: Any) -> Stream:
    usual: dict[str, Any] = {"global_batch_size": 24, "seed": 5, "window_rows": 8, "lanes": 4}
    return stream(store, BOTH, mix=mix, **usual | given)


def union(ranks: Sequence[Batch]) -> Batch:
    """A step's batches of all ranks as one, with partners counted in it."""
    joined: Batch = {"key": [key for batch in ranks for key in batch["key"]]}
    for name in (*(name for name in ranks[0] if isinstance(ranks[0][name], np.ndarray)),):
        joined[name] = np.concatenate([batch[name] for batch in ranks])
    starts = np.cumsum([0, *(len(batch["key"]) for batch in ranks)])[:-1]
    pairs = zip(ranks, starts, strict=True)
    joined["mix.partner"] = np.concatenate([batch["mix.partner"] + start for batch, start in pairs])
    return joined


def mixed_plainly(batch: Batch, way: Mix, *, group: int, seed: int, epoch: int, step: int) -> Batch:
    """What mixing must make of a global batch, row by row in double precision."""
    rows = len(batch["key"])
    partner, weight = list(range(rows)), [1.0] * rows
    made = {name: batch[name].astype(np.float64) for name in way.columns}
    for number in range(rows // group):
        rng = rng_for(seed, "mix", epoch, step, number)
        assert rng.integers(1) == 0  # which way: there is one
        is_mixed, drawn = rng.random() < way.p, rng.permutation(group)
        if not is_mixed:
            continue
        w = float(rng.beta(way.alpha, way.alpha))
        for at in range(group):
            row, other = number * group + at, number * group + int(drawn[at])
            if row == other or not all(batch[f"{name}.mask"][[row, other]].all() for name in way.columns):
                continue
            partner[row], weight[row] = other, w
            for name in way.columns:
                made[name][row] = w * batch[name][row].astype(float) + (1 - w) * batch[name][other].astype(float)
    return {**made, "mix.partner": np.array(partner), "mix.weight": np.array(weight)}


@QUICK
@given(
    seed=st.integers(0, 1 << 40),
    epoch=st.integers(0, 3),
    world=st.sampled_from([1, 2, 4]),
    alpha=st.sampled_from([0.2, 1.0, 8.0]),
    p=st.sampled_from([0.5, 1.0]),
)
def test_every_world_mixes_as_a_plain_loop_does(
    small: Store, seed: int, epoch: int, world: int, alpha: float, p: float
) -> None:
    way = MixUp(columns=BOTH, alpha=alpha, p=p)
    plain = list(opened(small, None, seed=seed, epoch=epoch))
    ranks = [list(opened(small, way, seed=seed, epoch=epoch, rank=rank, world=world)) for rank in range(world)]
    assert len(plain) == 2
    for step, (before, *after) in enumerate(zip(plain, *ranks, strict=True)):
        made = union(after)
        expected = mixed_plainly(before, way, group=6, seed=seed, epoch=epoch, step=step)
        assert made["key"] == before["key"]
        assert (made["mix.partner"] == expected["mix.partner"]).all()
        assert (made["mix.weight"] == expected["mix.weight"]).all()
        for name in BOTH:
            assert made[name].dtype == np.float32
            np.testing.assert_allclose(made[name], expected[name], rtol=1e-5, atol=1e-5)
            assert (made[f"{name}.mask"] == before[f"{name}.mask"]).all()


@QUICK
@given(seed=st.integers(0, 1 << 40), alpha=st.sampled_from([0.3, 1.0, 4.0]), world=st.sampled_from([1, 2]))
def test_cutmix_swaps_one_rectangle_and_weighs_what_is_left(
    pictures: Store, seed: int, alpha: float, world: int
) -> None:
    settings: dict[str, Any] = {"global_batch_size": 16, "lanes": 2, "seed": seed}
    steps = {"image": [mmdata_crop()]}
    way = CutMix(columns=["image"], alpha=alpha)
    ranks = [
        list(stream(pictures, ["image"], mix=way, steps=steps, rank=rank, world=world, **settings))
        for rank in range(world)
    ]
    plain = list(stream(pictures, ["image"], steps=steps, **settings))
    for step, (before, *after) in enumerate(zip(plain, *ranks, strict=True)):
        made = union(after)
        for number in range(2):
            rng = rng_for(seed, "mix", 0, step, number)
            rng.integers(1), rng.random()
            drawn = rng.permutation(8)
            side = np.sqrt(1 - rng.beta(alpha, alpha))
            (y, x), height, width = rng.random(2), int(32 * side), int(32 * side)
            top, left = int(y * 32) - height // 2, int(x * 32) - width // 2
            inside = np.zeros((32, 32), bool)
            inside[max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)] = True
            for at in range(8):
                row, other = number * 8 + at, number * 8 + int(drawn[at])
                assert made["mix.partner"][row] == other
                assert made["mix.weight"][row] == (1.0 if row == other else pytest.approx(1 - inside.mean()))
                assert (made["image"][row][inside] == before["image"][other][inside]).all()
                assert (made["image"][row][~inside] == before["image"][row][~inside]).all()


def mmdata_crop() -> Any:
    from mmdata.clean.image import CropImage

    return CropImage(width_px=32, height_px=32)


def test_pictures_are_blended_and_rounded(pictures: Store) -> None:
    settings: dict[str, Any] = {"batch_size": 16, "lanes": 1, "seed": 3, "steps": {"image": [mmdata_crop()]}}
    way = MixUp(columns=["image"], alpha=5.0)
    for before, after in zip(
        stream(pictures, ["image"], **settings), stream(pictures, ["image"], mix=way, **settings), strict=True
    ):
        assert after["image"].dtype == np.uint8
        w = after["mix.weight"][:, None, None, None]
        exact = w * before["image"] + (1 - w) * before["image"][after["mix.partner"]]
        assert np.abs(after["image"] - exact).max() < 0.501
        assert (after["image"] != before["image"]).any()


def test_one_of_several_ways_is_drawn_for_each_group(pictures: Store) -> None:
    settings: dict[str, Any] = {"batch_size": 4, "lanes": 1, "seed": 3, "steps": {"image": [mmdata_crop()]}}
    ways = [MixUp(columns=["image"], alpha=5.0), CutMix(columns=["image"], alpha=5.0)]
    plain = list(stream(pictures, ["image"], **settings))
    cut = []
    for before, after in zip(plain, stream(pictures, ["image"], mix=ways, **settings), strict=True):
        own, other = before["image"], before["image"][after["mix.partner"]]
        cut.append(bool(((after["image"] == own) | (after["image"] == other)).all()))
    assert 0 < sum(cut) < len(cut)


def test_a_stop_changes_nothing_of_what_is_mixed(small: Store) -> None:
    way = MixUp(columns=BOTH)
    whole = opened(small, way)
    expected = [batch for _ in range(2) for batch in whole]
    first = opened(small, way, world=2, rank=0)
    next(iter(first))
    state = json.loads(json.dumps(first.state_dict()))
    halves = [opened(small, way, world=2, rank=rank) for rank in range(2)]
    for half in halves:
        half.load_state_dict(state)
    later = [union(pair) for _ in range(2) for pair in zip(*halves, strict=True)]
    assert len(later) == len(expected) - 1
    for made, batch in zip(later, expected[1:], strict=True):
        assert made["key"] == batch["key"]
        assert (made["image.embedding"] == batch["image.embedding"]).all()
        assert (made["mix.partner"] == batch["mix.partner"]).all()


def test_labels_are_mixed_by_weight(build: Build) -> None:
    store = build(64)
    way = MixUp(columns=["image.embedding"], labels=["image.sharpness"], alpha=3.0)
    settings: dict[str, Any] = {"batch_size": 16, "lanes": 1}
    plain = list(stream(store, [*BOTH, "label"], **settings))
    for before, after in zip(plain, stream(store, [*BOTH, "label"], mix=way, **settings), strict=True):
        w, other = after["mix.weight"], after["mix.partner"]
        mixed = w * before["image.sharpness"] + (1 - w) * before["image.sharpness"][other]
        np.testing.assert_allclose(after["image.sharpness"], mixed, rtol=1e-5)
        soft = soft_labels(after["label"], after, ["odd", "even"])
        for row in range(16):
            share = {"odd": 0.0, "even": 0.0}
            for label, weight in ((before["label"][row], w[row]), (before["label"][other[row]], 1 - w[row])):
                if label is not None:
                    share[label] += weight
            np.testing.assert_allclose(soft[row], list(share.values()), atol=1e-6)
    with pytest.raises(ValueError, match=r"label 'odd' is none of the classes \['even'\]"):
        soft_labels(["odd"], {"mix.partner": [0], "mix.weight": [1.0]}, ["even"])


def test_a_row_without_the_column_is_mixed_with_nobody(small: Store) -> None:
    way = MixUp(columns=["image.embedding"])
    for before, after in zip(opened(small, None), opened(small, way), strict=True):
        lacking = ~before["image.embedding.mask"]
        assert lacking.any()
        alone = after["mix.partner"] == np.arange(24)
        assert alone[lacking].all()
        assert not lacking[after["mix.partner"][~lacking]].any()
        assert not after["image.embedding"][lacking].any()
        assert (after["mix.weight"][alone] == 1).all()


def test_a_short_last_batch_is_not_mixed_and_others_are(small: Store) -> None:
    way = MixUp(columns=BOTH, alpha=5.0)
    for world in (1, 2):
        for tail, is_mixed in (("short", False), ("repeat", True), ("mask", True)):
            *_, last = opened(small, way, tail=tail, world=world)
            assert (last["mix.weight"] < 1).any() == is_mixed


def test_batches_by_length_are_mixed_share_by_share(small: Store) -> None:
    way = MixUp(columns=["image.sharpness"], alpha=5.0)
    settings: dict[str, Any] = {"length": "speech.mfcc", "budget": 40, "shares": 2, "window_rows": 20}
    columns = ["image.sharpness", "speech.mfcc"]
    alone = list(stream(small, columns, mix=way, **settings))
    ranks = [list(stream(small, columns, mix=way, rank=rank, world=2, **settings)) for rank in range(2)]
    assert any((batch["mix.weight"] < 1).any() for batch in alone)
    for batch, *both in zip(alone, *ranks, strict=True):
        half = len(batch["key"]) // 2
        assert (batch["mix.partner"] // half == np.arange(len(batch["key"])) // half).all()
        made = union([{name: one[name] for name in one if not name.startswith("speech")} for one in both])
        for name in ("image.sharpness", "mix.partner", "mix.weight"):
            assert (made[name] == batch[name]).all()


def test_mixtures_of_stores_are_mixed_too(small: Store) -> None:
    way = MixUp(columns=BOTH)
    parts = [mmdata.Part(small, weight=2), mmdata.Part(small, weight=1)]
    settings: dict[str, Any] = {"global_batch_size": 24, "lanes": 4, "window_rows": 8, "mix": way}
    alone = list(stream(parts, BOTH, **settings))
    ranks = [list(stream(parts, BOTH, rank=rank, world=2, **settings)) for rank in range(2)]
    for batch, *both in zip(alone, *ranks, strict=True):
        made = union(both)
        assert all((made[name] == batch[name]).all() for name in (*BOTH, "mix.partner", "mix.weight", "part"))


def test_tensors_and_workers_get_mixed_batches(small: Store) -> None:
    way = MixUp(columns=BOTH)
    expected = list(opened(small, way))
    made = list(opened(small, way, output="torch"))
    assert isinstance(made[0]["mix.partner"], torch.Tensor)
    workers = list(WorkerStream(opened(small, way), workers=1))
    for batch, tensors, numpys in zip(expected, made, workers, strict=True):
        assert (tensors["image.embedding"].numpy() == batch["image.embedding"]).all()
        assert (np.asarray(numpys["image.embedding"]) == batch["image.embedding"]).all()


def test_hugging_face_is_told_the_weights(small: Store) -> None:
    from mmdata.loader.huggingface import to_huggingface

    batches = list(opened(small, MixUp(columns=BOTH)))
    weights = [row["mix.weight"] for row in to_huggingface(opened(small, MixUp(columns=BOTH)))]
    assert weights == np.concatenate([batch["mix.weight"] for batch in batches]).tolist()


@pytest.mark.parametrize(
    ("mix", "given", "told"),
    [
        (MixUp(columns=["zzz"]), {}, r"mix: 'zzz' is no array that was asked for; there are image.embedding, image.sh"),
        (MixUp(columns=["key"]), {}, "mix: 'key' is no array"),
        (MixUp(columns=BOTH, alpha=0), {}, "alpha must be above 0, not 0"),
        (MixUp(columns=BOTH, alpha=float("nan")), {}, "alpha must be above 0, not nan"),
        (MixUp(columns=BOTH, p=1.5), {}, "p must be from 0 to 1, not 1.5"),
        (MixUp(columns="image.embedding"), {}, "lists of names"),
        (MixUp(columns=()), {}, "there must be a column"),
        (CutMix(columns=BOTH), {}, r"CutMix: 'image.embedding' has axes \('feature',\), and is no picture"),
        (MixUp(columns=BOTH), {"world": 12, "rank": 0}, "a rank's batch of 2 rows has no whole groups of 6: set group"),
        (MixUp(columns=BOTH, group=5), {}, "no whole groups of 5"),
        (MixUp(columns=BOTH, group=0), {}, "no whole groups of 0"),
        (MixUp(columns=BOTH, group=1), {}, "in groups of 1 row there is nobody to mix with"),
        ([MixUp(columns=BOTH, group=6), MixUp(columns=BOTH, group=3)], {}, "must have one group"),
        ([], {}, "expected MixUp"),
        ("mixup", {}, "expected MixUp"),
    ],
)
def test_what_can_not_be_mixed_is_refused(small: Store, mix: Any, given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        opened(small, mix, **given)


def test_arrays_of_varying_size_and_whole_numbers_are_refused(small: Store, pictures: Store, build: Build) -> None:
    with pytest.raises(ConfigError, match=r"'speech.mfcc' varies in time: mix what has one size"):
        stream(small, ["speech.mfcc"], batch_size=8, lanes=1, mix=MixUp(columns=["speech.mfcc"]))
    with pytest.raises(ConfigError, match=r"'image' varies in height, width"):
        stream(pictures, ["image"], batch_size=8, lanes=1, mix=CutMix(columns=["image"]))
    counts = ArraySpec(dims=("feature",), sizes={"feature": 4}, dtype="int32")
    assert list(MixUp(columns=["n"]).faults({"n": counts})) == [
        "mix: 'n' is int32: floating numbers and uint8 can be mixed"
    ]


def test_other_worlds_mix_in_groups_that_are_given(small: Store) -> None:
    way = MixUp(columns=BOTH, group=2)
    alone = list(opened(small, way))
    ranks = [list(opened(small, way, rank=rank, world=12)) for rank in range(12)]
    for batch, *parts in zip(alone, *ranks, strict=True):
        made = union(parts)
        assert all((made[name] == batch[name]).all() for name in (*BOTH, "mix.partner", "mix.weight"))
