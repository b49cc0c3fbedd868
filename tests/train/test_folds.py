from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmdata.errors import ConfigError
from mmdata.store import Store
from mmdata.train.config import TrainConfig
from mmdata.train.folds import Compare, evaluate_folds, evaluate_seeds, of_fold
from mmdata.train.metrics import Metrics
from mmdata.train.report import FoldScore, FoldsReport, Spread, student


def test_each_fold_is_judged_by_what_never_saw_it(config: TrainConfig) -> None:
    for number in range(4):
        found = of_fold(config, number, 4)
        assert found.test_split == f"fold{number}"
        assert found.val_split == f"fold{(number + 1) % 4}"
        assert {found.test_split, found.val_split, *found.train_split} == {"fold0", "fold1", "fold2", "fold3"}
        assert len(found.train_split) == 2


def test_without_a_judge_all_other_folds_are_learned_from(config: TrainConfig) -> None:
    found = of_fold(replace(config, val_split=None), 1, 3)
    assert (found.test_split, found.val_split, found.train_split) == ("fold1", None, ("fold2", "fold0"))


def test_each_input_is_tried_alone_beside_the_fused(config: TrainConfig) -> None:
    assert [name for name, _ in Compare().models(config)] == ["fused", "image", "speech"]
    assert [name for name, _ in Compare(single=False).models(config)] == ["fused"]
    alone = replace(config, inputs={"image": "image.embedding"})
    assert [name for name, _ in Compare(single=False).models(alone)] == ["image"]
    assert dict(Compare().models(config))["speech"].inputs == {"speech": "speech.mfcc"}


def test_every_choice_of_inputs_is_an_ablation_and_other_fusions_come_beside(config: TrainConfig) -> None:
    config = replace(config, inputs={name: f"x.{name}" for name in "abc"}, encoders={"a": "gru", "c": "cnn"})
    models = dict(Compare(subsets=True, fusions=("gated", "concat", "gated")).models(config))
    assert list(models) == ["concat", "gated", "a+b", "a+c", "b+c", "a", "b", "c"]
    assert models["gated"].fusion == "gated"
    assert (models["a+b"].inputs, models["a+b"].encoders) == ({"a": "x.a", "b": "x.b"}, {"a": "gru"})


def test_a_cascade_is_cut_where_its_beginning_is_left_out_and_pairs_keep_both_sides(config: TrainConfig) -> None:
    config = replace(config, inputs={name: f"x.{name}" for name in "abc"}, encoders={"c": "gru<-a", "b": "mlp"})
    models = dict(Compare(subsets=True).models(config))
    assert models["a+c"].encoders == {"c": "gru<-a"}
    assert models["b+c"].encoders == {"c": "gru", "b": "mlp"}
    pairs = replace(config, objective="contrastive", sides=(("a", "b"), ("c",)))
    found = dict(Compare(subsets=True).models(pairs))
    assert list(found) == ["fused", "a+c", "b+c"]
    assert found["b+c"].sides == (("b",), ("c",))


def test_seeds_are_turns_of_their_own(store: Store, config: TrainConfig) -> None:
    settings = replace(config, selection="v1", epochs=2, batch_size=24)
    report = evaluate_seeds(store, settings, seeds=3, compare=Compare(single=False, fusions=("product",)))
    assert [(one.model, one.fold) for one in report.scores] == [
        (model, f"seed{number}") for number in range(3) for model in ("concat", "product")
    ]
    assert {one.n_folds for one in report.summaries()} == {3}
    assert len({one.metrics.loss for one in report.scores}) == 6
    again = evaluate_seeds(store, settings, seeds=1, compare=Compare(single=False))
    assert again.scores[0].metrics == report.scores[0].metrics


def test_what_can_t_be_compared_is_told_before_anything_is_trained(store: Store, config: TrainConfig) -> None:
    with pytest.raises(ConfigError, match="test_split"):
        evaluate_seeds(store, replace(config, test_split=None))
    with pytest.raises(ConfigError, match="there is no 'gatedd', did you mean 'gated'"):
        evaluate_seeds(store, config, compare=Compare(fusions=("gatedd",)))
    cascade = replace(config, encoders={"speech": "gru<-image"})
    with pytest.raises(ConfigError, match="'early' has no encoders"):
        evaluate_seeds(store, cascade, compare=Compare(fusions=("product", "early")))
    with pytest.raises(ConfigError, match="but one input to fuse"):
        evaluate_seeds(store, replace(config, inputs={"a": "x.a"}), compare=Compare(fusions=("gated",)))
    with pytest.raises(ConfigError, match="at least one"):
        evaluate_seeds(store, config, seeds=0)


def test_fusing_is_shown_to_be_worth_it(store: Store, config: TrainConfig) -> None:
    told: list[FoldScore] = []
    settings = replace(config, selection="folds", val_split=None, epochs=8, batch_size=24, lr=2e-2)
    report = evaluate_folds(store, settings, folds=3, watch=told.append)
    assert report.scores == tuple(told)
    assert sum(score.metrics.n for score in told if score.model == "fused") == 240
    fused, image, speech = report.summaries()
    assert (fused.model, image.model, speech.model) == ("fused", "image", "speech")
    assert fused["accuracy"].mean > 0.75
    assert max(image["accuracy"].mean, speech["accuracy"].mean) < 0.65


@pytest.mark.parametrize(("val", "fewest"), [("val", 3), (None, 2)])
def test_too_few_folds_are_refused(store: Store, config: TrainConfig, val: str | None, fewest: int) -> None:
    with pytest.raises(ConfigError, match="too few"):
        evaluate_folds(store, replace(config, val_split=val, selection="folds"), folds=fewest - 1)


def test_a_report_gives_means_and_spreads() -> None:
    def score(model: str, fold: int, value: float) -> FoldScore:
        return FoldScore(
            model=model,
            fold=f"fold{fold}",
            metrics=Metrics(n=4, scores={"accuracy": value, "macro_f1": value / 2}),
        )

    report = FoldsReport(scores=(score("fused", 0, 0.5), score("fused", 1, 0.7), score("image", 0, 0.25)), seconds=1.0)
    fused, image = report.summaries()
    assert (fused.n_folds, image.n_folds) == (2, 1)
    assert fused["accuracy"].mean == pytest.approx(0.6)
    assert fused["macro_f1"].mean == pytest.approx(0.3)
    assert fused["accuracy"].deviation == pytest.approx(0.02**0.5)
    assert image["accuracy"].deviation == 0.0
    assert str(report).splitlines() == [
        "model  accuracy       macro F1       95 % of the mean",
        "fused  0.600 ± 0.141  0.300 ± 0.071  -",
        "image  0.250 ± 0.000  0.125 ± 0.000  -",
    ]
    assert report.to_json()["summaries"][1]["model"] == "image"
    third = replace(report, scores=(*report.scores, score("fused", 2, 0.6)))
    assert str(third).splitlines()[1] == "fused  0.600 ± 0.100  0.300 ± 0.050  0.352 to 0.848"


@pytest.mark.parametrize(
    ("score", "values", "expected"),
    [
        ("accuracy", (0.1, 0.9), (0.0, 1.0)),
        ("tone.roc_auc", (0.1, 0.9), (0.0, 1.0)),
        ("back_recall@5", (0.1, 0.9), (0.0, 1.0)),
        ("pearson", (-0.9, 0.9), (-1.0, 1.0)),
        ("r2", (-1.0, 1.0), (pytest.approx(-12.7062), 1.0)),
        ("forth_median_rank", (1.0, 3.0), (0.0, pytest.approx(14.7062))),
        ("loss", (-1.0, 1.0), (pytest.approx(-12.7062), pytest.approx(12.7062))),
    ],
)
def test_an_interval_never_leaves_what_the_score_can_be(
    score: str, values: tuple[float, float], expected: tuple[float, float]
) -> None:
    scores = [FoldScore(model="m", fold=f"seed{at}", metrics=_of(score, value)) for at, value in enumerate(values)]
    found = next(FoldsReport(scores=tuple(scores), seconds=1.0, shown=(score,)).summaries())[score]
    assert (found.low, found.high) == expected


def _of(score: str, value: float) -> Metrics:
    return Metrics(n=4, loss=value) if score == "loss" else Metrics(n=4, scores={score: value})


def test_the_interval_of_a_mean_is_that_of_scipy() -> None:
    from scipy import stats

    values = [0.71, 0.74, 0.69, 0.80, 0.72]
    found = Spread.of(values)
    low, high = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)
    for freedom in (1, 2, 3, 4, 7, 10, 29, 100):
        assert student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-9)
    assert student(6, confidence=0.5) == pytest.approx(stats.t.ppf(0.75, 6), rel=1e-9)
