"""Facts about a store: counts that add up, and what is found where the answer is known."""

from __future__ import annotations

import json
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.cli.stats import stats
from mmdata.core.arrays import ArraySpec
from mmdata.core.spans import TimeMap
from mmdata.errors import StoreError
from mmdata.report.draw import charts
from mmdata.report.facts import groups, lanes, parts, projection, runs
from mmdata.report.facts.choosing import extremes, is_flat, spread
from mmdata.report.facts.funnel import funnel, rule_of
from mmdata.report.facts.rows import read_rows
from mmdata.report.facts.scalars import distribution, distributions
from mmdata.report.facts.training import read_training, training
from mmdata.report.previews import Preview, Still
from mmdata.store import Store
from mmdata.store.tables import FILES
from tests.report import toys
from tests.report.toys import FILE, Row, add_shard, empty, select

# ---- numbers


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.floats(width=64) | st.sampled_from([-1.7e308, 1.7e308]) | st.integers(-5, 5).map(float), max_size=60)
)
def test_each_number_is_in_a_bar_or_told_to_lie_outside(values: list[float]) -> None:
    found = distribution("x", np.array(values, np.float64))
    assert found.n + found.n_missing == len(values)
    assert sum(found.counts) + found.n_below + found.n_above == found.n - found.n_infinite
    assert list(found.edges) == sorted(found.edges)
    json.dumps(asdict(found), allow_nan=False)  # numbers all, whatever is as large as can be
    if found.counts:
        assert len(found.edges) == len(found.counts) + 1
        assert found.low <= found.median <= found.high


def test_far_tails_do_not_flatten_the_rest() -> None:
    values = np.concatenate([np.linspace(0, 1, 1000), [1e9, -1e9]])
    found = distribution("x", values)
    assert (found.n_below, found.n_above) == (6, 6)
    assert np.ptp(found.edges) < 1.1
    assert max(found.counts) < 100


@pytest.mark.parametrize(
    ("values", "edges", "counts"),
    [
        ([], (), ()),
        ([np.nan, np.inf], (), ()),
        ([3, 3], (2.5, 3.5), (2,)),
        ([0, 1, 1], (-0.5, 0.5, 1.5), (1, 2)),
        ([0, 23], tuple(np.arange(25) - 0.5), (1, *[0] * 22, 1)),
    ],
)
def test_few_whole_numbers_have_a_bar_each(values: list[float], edges: tuple[float], counts: tuple[int]) -> None:
    found = distribution("x", np.array(values, np.float64))
    assert (found.edges, found.counts) == (edges, counts)


# ---- the funnel


def lost(rows: list[tuple[str, str]], column: str) -> pa.Table:
    return pa.table({"step": [step for step, _ in rows], column: [why for _, why in rows]}) if rows else (
        pa.schema([("step", pa.string()), (column, pa.string())]).empty_table()
    )  # fmt: skip


def chosen(reasons: list[str | None], splits: list[str | None] | None = None) -> pa.Table:
    n = len(reasons)
    return pa.table(
        {
            "key": [f"k{at}" for at in range(n)],
            "split": pa.array(splits or [None] * n, pa.string()),
            "reason": pa.array(reasons, pa.string()),
            "cluster": pa.nulls(n, pa.int64()),
        }
    )


def test_a_funnel_goes_through_the_steps_in_their_order_and_loses_nobody() -> None:
    drops = lost([("clean.image.KeepSharp", "blurred")] * 2 + [("clean.text.KeepLength", "too_short")], "reason")
    rejects = lost([("source", "unreadable"), ("codec.image.DecodeImage", "decode")], "kind")
    selection = chosen([None, None, "dedup.exact", "where", "split.moved"])
    found = funnel(read=8, stored=5, drops=drops, rejects=rejects, selection=selection, order=FILE)
    assert [(stage.name, stage.n, stage.n_lost) for stage in found.stages] == [
        ("read", 8, 0),
        ("split into clips", 10, 0),
        ("source", 9, 1),
        ("codec.image.DecodeImage", 8, 1),
        ("clean.text.KeepLength", 7, 1),
        ("clean.image.KeepSharp", 5, 2),
        ("stored", 5, 0),
        ("select: where", 4, 1),
        ("select: dedup", 3, 1),
        ("select: split", 2, 1),
        ("selected", 2, 0),
    ]
    assert found.balances
    assert not funnel(read=20, stored=5, drops=drops, rejects=rejects).balances


@pytest.mark.parametrize(
    ("reason", "rule"),
    [("where", "where"), ("sharp.missing", "where"), ("dedup.exact.against", "dedup"), ("dedup", "where"),
     ("split.moved", "split"), ("balance.cap", "balance"), ("came later", "where")],
)  # fmt: skip
def test_a_reason_belongs_to_a_rule(reason: str, rule: str) -> None:
    assert rule_of(reason) == rule


# ---- classes, splits, clusters


def test_a_balance_counts_each_class_in_each_split() -> None:
    labels = pa.chunked_array([["b", "a", None, "a", "a"]])
    selection = chosen([None, None, None, "where", None], ["val", "train", "train", "train", "test"])
    found = groups.balance(labels, groups.dealt(selection))
    assert (found.splits, found.classes) == (["train", "val", "test", "left out"], ["a", "b", ""])
    assert found.counts.tolist() == [[1, 0, 1, 1], [0, 1, 0, 0], [1, 0, 0, 0]]
    assert groups.balance(labels, None).splits == ["stored"]


def test_a_leak_is_a_group_in_two_splits_that_are_both_used() -> None:
    selection = chosen([None, None, "where", None, None], ["train", "test", "test", "train", "train"])
    columns = {"both": ["x", "x", "y", "y", "z"], "left out": ["a", "b", "a", "c", "c"], "nothing": [None] * 5}
    found = {
        leak.kind: leak for leak in groups.leaks({k: pa.array(v, pa.string()) for k, v in columns.items()}, selection)
    }
    assert (found["both"].n_groups, found["both"].n_samples, found["both"].n_checked) == (1, 2, 3)
    assert found["both"].examples == ((("k0", "train"), ("k1", "test")),)
    assert (found["left out"].n_groups, found["left out"].n_checked) == (0, 3)
    assert (found["nothing"].n_groups, found["nothing"].n_checked) == (0, 0)


def test_the_largest_clusters_come_first_and_what_was_kept_leads() -> None:
    selection = chosen(["dedup.x", None, None, "dedup.x", "dedup.x", None])
    selection = selection.set_column(3, "cluster", pa.array([7, 7, 3, 3, 7, None], pa.int64()))
    n, found = groups.clusters(selection, most=1, keys=2)
    assert (n, len(found)) == (2, 1)
    assert (found[0].n, list(found[0].keys), list(found[0].reasons)) == (3, ["k1", "k0"], ["", "dedup.x"])


# ---- rows and parts


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, jpeg: bytes) -> Store:
    made = empty(tmp_path_factory.mktemp("facts") / "store")
    add_shard(made, "0" * 16, [Row("a", "x", "same", sharpness=2.0, image=jpeg), Row("b", "y", "same", sharpness=None)])
    add_shard(made, "1" * 16, [])
    add_shard(made, "2" * 16, [Row("c", "x", "other", sharpness=5.0)])
    select(made, ["train", "test", "train"], [None] * 3, [None] * 3)
    return made


def test_rows_are_those_of_the_store_in_its_order(store: Store) -> None:
    found = read_rows(store)
    assert found.keys.to_pylist() == store.keys() == ["toy/a", "toy/b", "toy/c"]
    assert np.array_equal(found.scalars["image.sharpness"], [2.0, np.nan, 5.0], equal_nan=True)
    column = found.columns["image.sharpness"]
    assert (column.n_rows, column.n_failed) == (3, 1)
    assert [(found.place(row)[0].shard[0], found.place(row)[1]) for row in range(3)] == [("0", 0), ("0", 1), ("2", 0)]
    assert found.rows_of(["toy/c", "nobody", "toy/a"]).tolist() == [2, -1, 0]
    assert (found.faults, found.n_lost) == ((), 0)


def test_whole_numbers_and_the_largest_there_are_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for dtype, values in (("int64", [2**53 + 1, -(2**63)]), ("float64", [-1.7e308, 1.7e308])):
        monkeypatch.setitem(toys.SPECS, "image.sharpness", ArraySpec(dtype=dtype))
        monkeypatch.setattr(
            toys, "_value", lambda spec, value: np.full(spec.shape, 1 if spec.dims else value, spec.dtype)
        )
        made = empty(tmp_path / dtype)
        add_shard(made, "0" * 16, [Row(f"k{at}", sharpness=value) for at, value in enumerate(values)])
        assert read_rows(made).scalars["image.sharpness"].tolist() == [float(value) for value in values]
        stats(made.url, as_json=True)
        shown = charts.histogram(next(distributions(read_rows(made).scalars)))
        assert "nan" not in str(shown)
        told = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
        assert told["features"]["image.sharpness"]["n"] == 2


def test_parts_are_counted_and_equal_bytes_are_known(store: Store, jpeg: bytes) -> None:
    samples = read_rows(store).samples
    by_name = {part.name: part for part in parts.parts(samples)}
    assert (by_name["caption"].kind, by_name["caption"].n, by_name["caption"].n_bytes) == ("text", 3, 13)
    assert (by_name["image"].n, by_name["image"].n_bytes, by_name["image"].extensions) == (1, len(jpeg), ("jpg",))
    assert parts.holding(samples, "image").tolist() == [0]
    digests = {name: column.to_pylist() for name, column in parts.digests(samples).items()}
    assert digests["caption"][0] == digests["caption"][1] != digests["caption"][2]
    assert digests["image"][1:] == [None, None]
    sliced = {name: column.to_pylist() for name, column in parts.digests(samples.slice(1)).items()}
    assert sliced == {"caption": digests["caption"][1:]}


def test_parts_of_nothing_are_none() -> None:
    samples = pa.schema([FILES["samples"].field(name) for name in ("parts", "digests")]).empty_table()
    assert (parts.parts(samples), parts.digests(samples)) == ([], {})


# ---- runs


def test_a_run_names_its_bottleneck_and_what_was_recorded_wins(store: Store) -> None:
    (run,) = runs.runs(store.runs())
    assert (run.pipeline, run.recipe["samples"]) == (FILE, "f" * 16)
    assert [(time.step, time.stage, time.n, time.share) for time in run.times] == [
        ("clean.text.KeepLength", "compute", 9, 0.75)
    ]
    assert run.bottleneck == run.times[0]
    counts = {
        "steps": {"a": {"seconds": 5, "n": 1}, "source": {"seconds": 2, "n": 1}},
        "bottleneck": {"step": "source"},
    }
    row = {**store.runs().to_pylist()[0], "counts": json.dumps(counts)}
    (other,) = runs.runs(pa.Table.from_pylist([row], schema=store.runs().schema))
    assert other.bottleneck is not None
    assert (other.bottleneck.step, other.bottleneck.stage) == ("source", "read")


def test_the_run_that_is_looked_at_did_most_of_the_work(store: Store) -> None:
    rows = [
        {**store.runs().to_pylist()[0], "run": name, "counts": json.dumps({"steps": {"a": {"seconds": s, "n": 1}}})}
        for name, s in (("old", 100.0), ("big", 90.0), ("touch", 0.1))
    ]
    found = runs.longest(runs.runs(pa.Table.from_pylist(rows, schema=store.runs().schema)))
    assert found is not None
    assert found.run == "big"
    assert runs.longest([]) is None


# ---- maps and choices


@pytest.mark.parametrize("shape", [(40, 9), (9, 40)])
def test_principal_components_are_those_of_a_singular_value_decomposition(shape: tuple[int, int]) -> None:
    vectors = np.random.default_rng(1).standard_normal(shape)
    points, explained = projection.principal(vectors)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    left, values, _ = np.linalg.svd(unit - unit.mean(axis=0), full_matrices=False)
    expected = left[:, :2] * values[:2]
    expected = (expected - expected.min(axis=0)) / np.ptp(expected, axis=0)
    for axis in range(2):
        gap = min(abs(points[:, axis] - expected[:, axis]).max(), abs(points[:, axis] - 1 + expected[:, axis]).max())
        assert gap < 1e-9
    assert explained == pytest.approx((values[:2] ** 2 / (values**2).sum()).tolist())


def test_equal_vectors_are_one_point_of_a_map() -> None:
    points, explained = projection.principal(np.ones((4, 8)))
    assert np.isfinite(points).all()
    assert np.ptp(points, axis=0).max() < 1e-6
    assert explained == pytest.approx((0, 0), abs=1) and all(np.isfinite(explained))  # noqa: PT018


@pytest.mark.parametrize(
    ("spec", "is_one"),
    [
        (ArraySpec(dims=("feature",), sizes={"feature": 8}), True),
        (ArraySpec(dims=("feature",), sizes={"feature": 7}), False),
        (ArraySpec(dims=("feature",), sizes={"feature": 8}, dtype="uint8"), False),
        (ArraySpec(dims=("time", "feature"), sizes={"feature": 8}), False),
        (ArraySpec(dims=("time",)), False),
        (ArraySpec(), False),
    ],
)
def test_vectors_of_one_length_can_be_mapped(spec: ArraySpec, is_one: bool) -> None:
    assert projection.is_vector(spec) is is_one


def test_samples_are_taken_in_turns_from_each_class() -> None:
    labels = pa.chunked_array([["a"] * 6 + ["b"] * 2, [None]])
    rows = spread(labels, 5)
    assert [labels[row].as_py() for row in rows] == ["a", "b", None, "a", "b"]
    assert spread(labels, 3, np.array([6, 7])) == [6, 7]
    assert spread(labels, 0) == []
    assert len(set(spread(labels, 100))) == 9


def test_extremes_leave_out_what_is_no_number() -> None:
    assert extremes(np.array([np.inf, 2, -np.inf, 1, np.nan]), 5) == ([3, 1], [1, 3])
    assert is_flat(np.array([np.nan, 2, 2]))
    assert not is_flat(np.array([1.0, 2]))


# ---- time


def shown(**given: object) -> Preview:
    return Preview(**{"name": "audio", "kind": "audio", "duration_s": 4.0, **given})  # type: ignore[arg-type]


def lane_of(found: lanes.Timeline | None, name: str) -> lanes.Lane:
    assert found is not None
    return next(lane for lane in found.lanes if lane.name == name)


def test_words_are_moved_with_what_they_are_said_in() -> None:
    clock = TimeMap.identity(10).cut(2, 6)
    words = [{"text": "cut", "start_s": 0.5, "end_s": 1}, {"text": "kept", "start_s": 3, "end_s": 4},
             {"text": "bad", "start_s": 5, "end_s": 4}, {"no": "word"}, "x"]  # fmt: skip
    found = lanes.timeline("k", [shown()], {"words": words}, {}, {"audio": clock})
    assert lane_of(found, "words").spans == ((1.0, 2.0, "kept"),)


def test_a_feature_is_drawn_by_its_form() -> None:
    arrays: dict[str, tuple[ArraySpec, np.ndarray | None]] = {
        "audio.rms": (ArraySpec(dims=("time",), hop_s=0.5), np.arange(4, dtype=np.float32)),
        "frames.flow": (
            ArraySpec(dims=("pair", "row", "column", "xy"), sizes={"row": 1, "column": 2, "xy": 2}),
            np.array([[[[3, 4], [0, 0]]], [[[0, 0], [0, 0]]]], np.float32),
        ),
        "video.keys": (ArraySpec(dims=("keyframe", "row", "channel"), dtype="uint8"), np.zeros((2, 1, 3), np.uint8)),
        "video.keys.times_s": (ArraySpec(dims=("keyframe",), dtype="float64"), np.array([0.25, 3.0])),
        "video.scenes": (ArraySpec(dims=("scene", "bound"), sizes={"bound": 2}), np.array([[0.0, 1.5], [1.5, 4]])),
        "failed": (ArraySpec(dims=("time",), hop_s=0.5), None),
        "text.tokens": (ArraySpec(dims=("token",), dtype="int32"), np.arange(3)),
    }
    found = lanes.timeline("k", [shown()], {}, arrays, {})
    assert found is not None
    assert [lane.name for lane in found.lanes] == ["audio.rms", "frames.flow", "video.keys", "video.scenes"]
    rms, flow = lane_of(found, "audio.rms").series, lane_of(found, "frames.flow").series
    assert rms is not None
    assert flow is not None
    assert (rms[0].tolist(), rms[1].tolist()) == ([0, 0.5, 1, 1.5], [0, 1, 2, 3])
    assert (flow[0].tolist(), flow[1].tolist()) == ([1, 3], [2.5, 0])
    assert lane_of(found, "video.keys").marks == (0.25, 3.0)
    assert lane_of(found, "video.scenes").spans == ((0, 1.5, ""), (1.5, 4, ""))


def test_times_of_a_source_are_moved_to_the_clip() -> None:
    arrays = {
        "v": (ArraySpec(dims=("time",)), np.array([1.0, 2.0])),
        "v.times_s": (ArraySpec(dims=("time",), dtype="float64"), np.array([1.0, 5.0])),
    }
    clock = TimeMap.identity(Fraction(10)).cut(4, 8)
    series = lane_of(lanes.timeline("k", [shown()], {}, arrays, {"audio": clock}), "v").series
    assert series is not None
    assert (series[0].tolist(), series[1].tolist()) == ([1.0], [2.0])  # the first was cut away


def test_what_has_no_time_has_no_time_axis() -> None:
    picture = Preview("image", "image", stills=(Still(b"", 1, 1),))
    assert lanes.timeline("k", [picture], {}, {}, {}) is None


# ---- models


def test_a_model_report_is_read_whatever_is_in_it(tmp_path: Path) -> None:
    report = {
        "config": {"inputs": {"picture": "image.embedding"}},
        "classes": ["a", "b"],
        "history": [
            {"epoch": 0, "train_loss": 2.0, "val": {"loss": 1.0, "accuracy": 0.5, "macro_f1": 0.4}},
            {"epoch": 1, "train_loss": 1.0, "val": {"loss": 0.5, "scores": {"accuracy": 0.75}}},
            "odd",
        ],
        "best_epoch": 1,
        "val": None,
        "test": {"n": 4, "accuracy": 0.75},
        "details": {
            "": {"classes": ["a"], "confusion": [[2, 1], [0, 1]], "per_class": [{"class": "a", "f1": 0.8}, {}]}
        },
        "importance": {"picture": 0.25, "sound": 0.5},
        "importance_details": {"drops": {"picture": [0.2, 0.3]}},
        "attention": {"picture": 0.9, "sound": {"picture": 0.25, "sound": "odd"}},
        "n_train": 9,
    }
    (tmp_path / "report.json").write_text(json.dumps(report))
    found = read_training(tmp_path)
    assert [list(curve.values) for curve in found.loss] == [[2.0, 1.0], [1.0, 0.5]]
    assert [list(curve.values) for curve in found.score] == [[0.5, 0.75], [0.4, None]]
    assert found.scores == {"test": {"n": 4, "accuracy": 0.75}}
    (confused,) = found.confusions
    assert (list(confused.classes), confused.matrix) == (["a", "class 1"], [[2, 1], [0, 1]])
    assert list(confused.rates) == [{"f1": 0.8}, {}]
    assert found.importance == {"picture": [0.2, 0.3], "sound": [0.5]}
    assert found.attention == {"picture": {"picture": 0.9}, "sound": {"picture": 0.25}}
    assert (found.facts, found.best_epoch) == ({"n_train": 9}, 1)


def test_a_comparison_is_read_as_train_prints_it(tmp_path: Path) -> None:
    summary = {"model": "fused", "n_folds": 5, "accuracy": 0.9, "accuracy_spread": 0.01}
    path = tmp_path / "told.json"
    path.write_text(json.dumps({"store": "s", "training": {"scores": [], "summaries": [summary], "seconds": 1}}))
    assert read_training(path).comparison == [summary]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"history"'])
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(StoreError, match=r"report\.json"):
        read_training(tmp_path)


@pytest.mark.parametrize("confusion", [[[1, 2], [3]], [[1, 2]], "x", [1, 2], {"counts": [[1]]}, None])
def test_a_matrix_of_another_form_is_left_out(confusion: object) -> None:
    assert training({"history": [], "details": {"": {"confusion": confusion}, "other": 3}}).confusions == []
