from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmdata.errors import ConfigError, DataError, Incomplete, SchemaMismatch, StoreError
from mmdata.select.selection import select
from mmdata.store import Store, selections
from mmdata.store.files import Files
from mmdata.train.checkpoint import load, load_model, save
from mmdata.train.checks import check_files, check_judge, check_split
from mmdata.train.config import Task, TrainConfig
from mmdata.train.fit import open_splits, train
from mmdata.train.inputs import Batch, Input
from mmdata.train.judge import examine
from mmdata.train.model import FusionModel
from mmdata.train.predict import predict, said
from mmdata.train.report import TrainReport
from mmdata.train.statistics import Statistics, gather
from tests.train.conftest import SPECS, ArrayBatches, world_rows

Build = Callable[..., Store]


class NoStep:
    """Fails when the first step is taken."""

    def step(self, step: int, loss: float) -> None:
        raise AssertionError("a step was taken")

    def epoch(self, epoch: object) -> None:
        """Never comes to it."""


@pytest.fixture
def config(config: TrainConfig) -> TrainConfig:
    return replace(config, selection="v1", epochs=4, batch_size=24, lr=2e-2)


TASKS = {
    "side": Task(target="meta.side", objective="binary"),
    "height": Task(target="meta.height", objective="regression"),
    "corner": Task(target="label"),
}
LEARNED: dict[str, tuple[dict[str, Any], str, float]] = {  # settings, a score, and what it is better than
    "binary": ({"objective": "binary", "target": "meta.side", "positive": "north"}, "f1", 0.8),
    "regression": ({"objective": "regression", "target": "meta.height"}, "pearson", 0.7),
    "l1": ({"objective": "regression", "target": "meta.height", "regression_loss": "l1"}, "spearman", 0.7),
    "contrastive": ({"objective": "contrastive"}, "recall@10", 0.25),
    "reconstruction": ({"objective": "reconstruction", "latent": 4, "kl_weight": 0.01}, "mse", 0.4),
    "tasks": ({"tasks": TASKS, "task_weights": "uncertainty", "score": "height.r2"}, "corner.accuracy", 0.6),
}


@pytest.fixture(scope="module", params=LEARNED)
def trained(request: pytest.FixtureRequest, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Each objective, trained on the small world."""
    settings, score, bound = LEARNED[request.param]
    columns = {"image": "image.embedding", "speech": "speech.mfcc"}
    config = TrainConfig(
        inputs=columns, width=16, hidden=(16,), epochs=8, batch_size=24, lr=2e-2, seed=3, selection="v1", **settings
    )
    folder = tmp_path_factory.mktemp(request.param)
    return train(store, config, out=folder), folder, score, bound


def test_each_objective_learns_keeps_its_best_epoch_and_tells_its_scores(trained: Any) -> None:
    report, _, score, bound = trained
    assert isinstance(report, TrainReport)
    assert report.test is not None
    assert set(report.test.scores) == set(report.config.scores) - {"loss"}
    found = report.test[score]
    assert found < bound if score == "mse" else found > bound
    judged = [row.val[report.config.judged_by] for row in report.history if row.val is not None]
    sign = -1 if report.config.judged_by in {"rmse", "mse"} else 1
    assert sign * judged[report.best_epoch] == max(sign * value for value in judged)
    assert f"  of {report.test.n} samples" in str(report)
    assert report.to_json()["test"][score] == found


def test_a_checkpoint_says_what_was_learned_and_judges_the_same(trained: Any, store: Store) -> None:
    from mmdata.train.fit import open_splits

    report, folder, _, _ = trained
    model = load_model(folder / "checkpoint.pt")
    assert model.plan.config == report.config
    test = open_splits(store, report.config).test
    assert test is not None
    assert examine(model, test) == (report.test, report.details)


def test_a_finished_run_goes_on_with_what_its_loss_has_learned(trained: Any, store: Store) -> None:
    report, folder, _, _ = trained
    state = load(folder / "checkpoint.pt")
    longer = train(store, replace(report.config, epochs=9), out=folder)
    assert longer.history[:8] == report.history
    assert len(longer.history) == 9
    save(folder / "checkpoint.pt", state)


def test_what_is_predicted_is_in_peoples_terms(trained: Any) -> None:
    report, folder, _, _ = trained
    model = load_model(folder / "checkpoint.pt")
    rows: list[dict[str, np.ndarray]] = [
        {"image.embedding": np.full(4, 3.0), "speech.mfcc": np.full((5, 3), 3.0)},
        {"speech.mfcc": np.zeros((2, 3))},
    ]
    answers = said(model, rows)
    kind = report.config.objective
    if report.config.tasks:
        assert [answers[0][name].keys() for name in TASKS] == [
            {"class", "probability", "probabilities"},
            {"value"},
            {"class", "probability", "probabilities"},
        ]
        assert (answers[0]["corner"]["class"], answers[1]["side"].keys()) == ("southeast", answers[0]["side"].keys())
    elif kind == "binary":
        assert model.plan.classes == ("south", "north")
        assert answers[0]["class"] == "south"
        assert sum(answers[1]["probabilities"].values()) == pytest.approx(1)
    elif kind == "regression":
        assert answers[0]["value"] == pytest.approx(4, abs=1.5)  # south and east: 3 + 1
        assert predict(model, rows).shape == (2, 1)
    elif kind == "contrastive":
        assert [list(one["embedding"]) for one in answers] == [["image", "speech"], ["speech"]]
        assert np.linalg.norm(answers[0]["embedding"]["image"]) == pytest.approx(1)
    else:
        assert [one["filled"] for one in answers] == [[], ["image.embedding"]]
        assert np.shape(answers[1]["reconstruction"]["image.embedding"]) == (4,)
        np.testing.assert_allclose(answers[0]["reconstruction"]["image.embedding"], 3, atol=1.5)


def test_a_checkpoint_of_weights_that_are_no_numbers_is_refused(
    store: Store, config: TrainConfig, tmp_path: Path
) -> None:
    train(store, replace(config, epochs=1), out=tmp_path)
    state = load(tmp_path / "checkpoint.pt")
    state.best["heads.0.0.0.bias"][1] = torch.nan
    save(tmp_path / "checkpoint.pt", state)
    with pytest.raises(SchemaMismatch, match=r"weights 'heads\.0\.0\.0\.bias' hold NaN or infinity"):
        load_model(tmp_path / "checkpoint.pt")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"target": "meta.nothing"}, r"'meta\.nothing'"),
        ({"target": "key"}, r"target: each of \d+ samples has a class of its own in 'key'"),
        ({"target": "source"}, r"target: 'source' has at least two classes .* not 1: 's'; split 'train'"),
        ({"target": "image.embedding"}, r"target: 'image\.embedding' has \('feature',\) a sample"),
        ({"objective": "binary"}, r"'label' has 4 classes, and binary tells two apart: 'northeast', .* cross_entropy"),
        ({"objective": "binary", "target": "source"}, r"'source' has at least two classes"),
        (
            {"objective": "binary", "target": "meta.side", "positive": "nort"},
            r"positive: 'meta\.side' has no class 'nort', did you mean 'north'",
        ),
        ({"objective": "regression"}, r"target: 'label' of 's/\d+' is '\w+': a regression needs finite numbers"),
        ({"objective": "regression", "target": "meta.one"}, r"'meta\.one' is 1 for every sample"),
        ({"objective": "regression", "target": "parent"}, r"no sample has a number in 'parent'"),
        (
            {"tasks": {"a": Task(target="label"), "b": Task(target="label", objective="regression")}},
            r"tasks\.b\.target: 'label' of",
        ),
        ({"objective": "contrastive", "target": "meta.side"}, "target: 'contrastive' has none; leave 'meta.side' out"),
        ({"tasks": TASKS, "target": "meta.side"}, "target: tasks have targets of their own"),
        ({"positive": "northeast"}, "positive: is of 'binary', and nothing here is"),
        ({"pos_weight": 2.0, "objective": "reconstruction"}, "pos_weight: is of 'binary'"),
        ({"objective": "contrastive", "sides": (("image",), ("spech",))}, "sides: no input 'spech', did you mean"),
        ({"objective": "contrastive", "inputs": {"image": "image.embedding"}}, "sides: say which of image"),
        ({"objective": "contrastive", "batch_size": 1}, "batch_size: a pair is told from others"),
        ({"score": "mae"}, "score: no 'mae' is counted here"),
        ({"task_weights": "uncertainty"}, "task_weights: there are no tasks"),
        ({"target": "image.embedding"}, r"target: 'image\.embedding' is the input 'image', too"),
    ],
    ids=str,
)
def test_what_an_objective_can_not_learn_is_refused_before_the_first_step(
    store: Store, config: TrainConfig, settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        train(store, replace(config, **settings), out=None, watch=NoStep())


@pytest.mark.parametrize("objective", ["cross_entropy", "contrastive", "reconstruction"])
def test_a_shard_without_a_family_is_refused_whatever_is_learned(
    build_store: Build, config: TrainConfig, objective: Any
) -> None:
    store = build_store(n=40, lacking="speech.mfcc")
    with pytest.raises(Incomplete, match=r"source 'other'.*speech\.mfcc|speech\.mfcc.*source 'other'"):
        train(store, replace(config, objective=objective), out=None)


def test_sides_that_no_sample_has_both_of_are_refused(build_store: Build, config: TrainConfig) -> None:
    with pytest.raises(ConfigError, match=r"inputs\.image: no sample|0 samples of .* have both image and speech"):
        train(build_store(n=30, missing=1.0), replace(config, objective="contrastive"), out=None)


def test_a_judge_of_other_classes_alone_is_refused_before_the_first_step(
    build_store: Build, config: TrainConfig
) -> None:
    store = build_store(n=60)
    select(store, "v1", split={"train": 0.5, "val": 0.5, "group": "label", "seed": 1})
    told = r"target: no sample of split 'val' of selection 'v1' has a class of the training split in 'label'"
    with pytest.raises(ConfigError, match=told):
        train(store, replace(config, test_split=None), out=None, watch=NoStep())


@pytest.mark.parametrize(
    ("settings", "lacking", "told"),
    [
        ({}, {"label": None}, "target: no sample of split 'val' .* has a class"),
        ({"objective": "regression", "target": "height"}, {"height": None}, "target: no sample .* has a number"),
        ({"tasks": {"a": Task(target="label"), "b": Task(target="side")}}, {"side": None}, r"tasks\.b\.target: no"),
        ({"objective": "contrastive"}, {"image.embedding.mask": False}, "sides: 0 samples of split 'val'"),
        (
            {"objective": "reconstruction"},
            {"image.embedding.mask": False, "speech.mfcc.mask": False},
            "inputs: no sample of split 'val'",
        ),
    ],
    ids=str,
)
def test_a_judge_without_what_is_judged_is_refused_by_name(
    config: TrainConfig, inputs: tuple[Input, ...], settings: Any, lacking: dict[str, Any], told: str
) -> None:
    rows, asked = world_rows(16), replace(config, **settings)
    rows |= {"side": [label[:5] for label in rows["label"]], "height": [str(place) for place in range(16)]}
    known = gather(ArrayBatches(rows), inputs, asked)
    check_judge(ArrayBatches(rows), inputs, asked, known=known, split="val")
    for name, value in lacking.items():
        rows[name] = np.zeros(16, bool) if value is False else [None] * 16
    with pytest.raises(ConfigError, match=told):
        check_judge(ArrayBatches(rows), inputs, asked, known=known, split="val")
    check_judge(ArrayBatches(rows), inputs, asked, known=known, split="val", total=lambda n: n + 2)  # of other ranks


def test_token_ids_that_no_table_holds_are_refused_by_column_and_id() -> None:
    config = TrainConfig(inputs={"t": "x.t"})
    batch: Batch = {
        "key": ["a", "b"],
        "label": ["n", "s"],
        "x.t": np.array([[2**31], [1]]),
        "x.t.length": np.array([1, 1]),
    }
    found = gather([batch], [Input("t", "x.t", "tokens", 1)], config)
    with pytest.raises(ConfigError, match=r"inputs\.t: 'x\.t' of split .* has the token id 2147483648; at most"):
        check_split(found, config)


def numbers(values: list[float]) -> tuple[Statistics, TrainConfig]:
    config = TrainConfig(inputs={"v": "x.v"}, objective="regression", target="y")
    told = [str(value) for value in values]
    batch: Batch = {"key": told, "y": told, "x.v": np.ones((len(values), 2))}
    return gather([batch], [Input("v", "x.v", "vector", 2)], config), config


def test_numbers_too_far_apart_are_refused_and_times_are_not() -> None:
    with pytest.raises(ConfigError, match="target: 'y' has numbers too far apart"):
        check_split(*numbers([1e300, -1e300]))
    found, config = numbers([1.7e9, 1.7e9 + 1, 1.7e9 + 2])
    check_split(found, config)
    assert found.targets[""].head("", None).scale == pytest.approx((2 / 3) ** 0.5, rel=1e-6)
    with pytest.raises(ConfigError, match=r"is 1\.7e\+09 for every sample"):
        check_split(*numbers([1.7e9, 1.7e9]))


def in_split(store: Store, split: str) -> str:
    """A sample of it that has an image."""
    rows = selections.read(Files.at(store.url), "v1").to_pylist()
    return next(str(row["key"]) for row in rows if row["split"] == split)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("objective", ["regression", "contrastive", "reconstruction"])
def test_an_input_that_is_no_number_is_refused_by_name_in_every_split(
    build_store: Build, store: Store, config: TrainConfig, objective: Any, split: str
) -> None:
    key = in_split(store, split)  # who goes where is a hash of the key
    asked = replace(config, objective=objective, target="meta.height" if objective == "regression" else "label")
    store = build_store(nan=key)
    with pytest.raises(DataError, match=rf"'image\.embedding' of '{key}' holds NaN or infinity"):
        train(store, asked, out=None, watch=NoStep())


@pytest.mark.parametrize(("split", "error"), [("train", ConfigError), ("val", DataError)])
def test_a_target_that_is_no_number_is_refused_before_the_first_step(
    build_store: Build, store: Store, config: TrainConfig, split: str, error: type[Exception]
) -> None:
    key = in_split(store, split)
    asked, store = replace(config, objective="regression", target="meta.height"), build_store(tall=key)
    with pytest.raises(error, match=rf"'meta\.height' of '{key}' is 'tall': a regression needs finite numbers"):
        train(store, asked, out=None, watch=NoStep())


def test_sizes_that_disagree_are_refused_by_name(store: Store, config: TrainConfig, tmp_path: Path) -> None:
    train(store, replace(config, epochs=1), out=tmp_path)
    model: FusionModel = load_model(tmp_path / "checkpoint.pt")
    batch: dict[str, Any] = {"key": ["k"], "image.embedding": np.zeros((1, 5)), "speech.mfcc": np.zeros((1, 2, 3))}
    batch |= {"speech.mfcc.length": np.array([2]), "label": ["northeast"]}
    with pytest.raises(DataError, match=r"'image\.embedding' has 5 numbers a row, and the model takes 4"):
        examine(model, [batch])
    assert SPECS["image.embedding"].shape == (4,)


@pytest.mark.parametrize("family", ["image.embedding", "samples"])
def test_a_file_whose_bytes_changed_is_told_before_anything_is_learned(
    build_store: Callable[..., Store], config: TrainConfig, tmp_path: Path, family: str
) -> None:
    store = build_store(n=48)
    shard = store.view().shards[-1]
    file = shard.samples if family == "samples" else shard.features[family]
    path = Path(store.url) / file.path
    data = bytearray(path.read_bytes())
    data[len(data) // 4] ^= 1  # a number that is a little different: it is read without an error
    path.write_bytes(data)
    config = replace(config, selection="v1", epochs=1)
    told = rf"{file.path} has the digest .*: its bytes changed; `mmdata verify {store.url} --drop-damaged`"
    for follow in (None, "nightly"):
        with pytest.raises(StoreError, match=told):
            train(store, replace(config, follow=follow), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    other = replace(config, inputs={"speech": "speech.mfcc"})
    if family != "samples":
        assert train(store, other, out=None).n_train  # of what is not read, nothing is asked


def test_each_file_is_compared_once_whatever_reads_it_and_each_rank_compares_its_part(
    store: Store, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []
    measure = Files.measure

    def counted(self: Files, path: str) -> tuple[int, str]:
        measured.append(path)
        return measure(self, path)

    monkeypatch.setattr(Files, "measure", counted)
    streams = open_splits(store, replace(config, selection="v1")).streams
    wanted = sorted(file.path for shard in store.view().shards for file in (shard.samples, *shard.features.values()))
    check_files(streams)
    assert measured == wanted
    shares = []
    for rank in range(3):
        measured.clear()
        check_files(streams, rank=rank, world=3)
        shares.append(list(measured))
    assert sorted(path for share in shares for path in share) == wanted
    assert max(map(len, shares)) <= -(-len(wanted) // 3)
