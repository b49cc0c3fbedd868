from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    f1_score,
    label_ranking_average_precision_score,
    mean_absolute_error,
    mean_squared_error,
    precision_score,
    r2_score,
    recall_score,
    roc_auc_score,
    top_k_accuracy_score,
)

from mmdata.train.metrics import (
    N_BINS,
    Agreement,
    Rates,
    Retrieval,
    Sampled,
    SquaredError,
    areas,
    calibration_error,
    reliability,
)

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)


def rated(pairs: np.ndarray, n_classes: int, cut: int = 0) -> Rates:
    """Rates of [sample, (true, predicted)], added in two batches."""
    rates = Rates(n_classes)
    for part in (pairs[:cut], pairs[cut:]):
        rates.add(torch.from_numpy(part[:, 1]), torch.from_numpy(part[:, 0]))
    return rates


@settings(deadline=None, max_examples=30)
@given(PAIRS, st.integers(0, 60))
def test_scores_are_those_of_scikit_learn_whatever_the_batches(pairs: list[tuple[int, int]], cut: int) -> None:
    truth, predicted = np.array(pairs).T
    rates = rated(np.array(pairs), 5, cut)
    found = rates.scores()
    assert rates.matrix() == confusion_matrix(truth, predicted, labels=range(5)).tolist()
    assert found["accuracy"] == pytest.approx(accuracy_score(truth, predicted), abs=1e-12)
    assert found["macro_f1"] == pytest.approx(f1_score(truth, predicted, average="macro", zero_division=0), abs=1e-12)
    assert found["macro_recall"] == pytest.approx(
        recall_score(truth, predicted, average="macro", zero_division=0), abs=1e-12
    )
    assert found["macro_precision"] == pytest.approx(
        precision_score(truth, predicted, average="macro", zero_division=0), abs=1e-12
    )
    assert found["micro_f1"] == pytest.approx(f1_score(truth, predicted, average="micro", zero_division=0), abs=1e-12)
    classes = rates.named(tuple("abcde"))["per_class"]
    for name, score in (("f1", f1_score), ("precision", precision_score), ("recall", recall_score)):
        expected = score(truth, predicted, average=None, labels=range(5), zero_division=0)
        np.testing.assert_allclose([one[name] for one in classes], expected, atol=1e-12)


def test_a_known_matrix_has_known_scores() -> None:
    pairs = np.repeat([[0, 0], [0, 1], [1, 0], [1, 1]], [3, 1, 2, 4], axis=0)
    found = rated(pairs, 2).scores()
    assert found["accuracy"] == pytest.approx(0.7)
    assert found["macro_recall"] == pytest.approx((3 / 4 + 4 / 6) / 2)
    assert found["macro_f1"] == pytest.approx((6 / 9 + 8 / 11) / 2)


def test_nothing_judged_scores_zero() -> None:
    assert set(rated(np.zeros((0, 2), np.int64), 3).scores().values()) == {0.0}
    nothing = torch.zeros(0, dtype=torch.float64)
    assert (calibration_error(nothing, nothing.bool()), reliability(nothing, nothing.bool())) == (0.0, [])
    assert {*Agreement().scores().values(), SquaredError().score()} == {0.0}


@pytest.mark.filterwarnings("error")
def test_scores_that_have_no_meaning_say_so_by_zero_alone() -> None:
    agreement = Agreement(scale=10.0)
    agreement.add(torch.ones(3, dtype=torch.float64), torch.full((3,), 0.5, dtype=torch.float64))
    expected = {"rmse": 5.0, "mae": 5.0, "r2": 0.0, "pearson": 0.0, "spearman": 0.0}
    assert agreement.scores() == pytest.approx(expected)
    alone = Agreement()
    alone.add(torch.tensor([2.0]).double(), torch.tensor([1.0]).double())
    assert alone.scores() == {"rmse": 1.0, "mae": 1.0, "r2": 0.0, "pearson": 0.0, "spearman": 0.0}
    assert areas(torch.tensor([[1.0, 0.0]]), torch.tensor([[True, False]])) == (0.0, 0.0)  # nobody to tell it from


def test_an_answer_that_is_no_number_is_no_perfect_score() -> None:
    numbers, true = torch.tensor([0.5, torch.nan, 2.0]).double(), torch.tensor([0.5, 1.0, 2.0]).double()
    agreement, squared = Agreement(), SquaredError()
    agreement.add(numbers, true)
    squared.add(numbers, true)
    assert all(np.isnan(value) for value in (agreement.scores()["rmse"], agreement.scores()["mae"], squared.score()))


@st.composite
def answers(draw: st.DrawFn, most_classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [sample, class], sure ones and ties among them, and which class is true."""
    n, n_classes = draw(st.integers(2, 40)), draw(st.integers(2, most_classes))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    logits = rng.normal(size=(n, n_classes)) * draw(st.sampled_from([0.1, 3.0, 15.0]))
    logits[rng.random(n) < 0.2] = 0
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True), rng.integers(0, n_classes, n)


@settings(deadline=None, max_examples=30)
@given(answers())
def test_areas_are_those_of_scikit_learn(given_: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, truth = given_
    hits = truth[:, None] == np.arange(probabilities.shape[1])
    mixed = [at for at in range(hits.shape[1]) if 0 < hits[:, at].sum() < len(hits)]
    roc = [roc_auc_score(hits[:, at], probabilities[:, at]) for at in mixed]
    average = [average_precision_score(hits[:, at], probabilities[:, at]) for at in mixed]
    found = areas(torch.from_numpy(probabilities), torch.from_numpy(hits))
    # torchmetrics divides counts in float32
    assert found == pytest.approx((np.mean(roc), np.mean(average)) if mixed else (0.0, 0.0), abs=1e-6)


def test_areas_tell_answers_apart_that_are_one_in_a_billion_off_certainty() -> None:
    odds = torch.linspace(18, 26, 100, dtype=torch.float64)
    hits = torch.arange(100) >= 50
    assert areas(odds.sigmoid()[:, None], hits[:, None]) == pytest.approx((1.0, 1.0))


def test_rows_are_kept_whole_up_to_a_number_and_evenly_beyond() -> None:
    few, many = Sampled(1000), Sampled(1000)
    for start in range(0, 40_000, 250):
        rows = torch.arange(start, start + 250)
        many.add(rows, rows % 2 == 0)
        if start < 1000:
            few.add(rows, rows % 2 == 0)
    assert few.columns()[0].tolist() == list(range(1000))
    kept, even = many.columns()
    assert 400 < len(kept) == many.n <= 1000
    assert torch.equal(even, kept % 2 == 0)  # a row stays together
    assert len(set(kept.tolist())) == len(kept)
    assert kept.double().mean().item() == pytest.approx(20_000, rel=0.1)
    assert even.double().mean().item() == pytest.approx(0.5, abs=0.1)  # which every second row would not be
    again = Sampled(1000)
    for start in range(0, 40_000, 250):
        again.add(torch.arange(start, start + 250))
    assert torch.equal(again.columns()[0], kept)


def guo(confidence: np.ndarray, hit: np.ndarray) -> float:
    """The expected calibration error as Guo et al. (2017) define it, by equation 3."""
    places = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
    gaps = [abs(hit[places == at].mean() - confidence[places == at].mean()) for at in set(places)]
    return float(np.average(gaps, weights=[(places == at).sum() for at in set(places)]))


@settings(deadline=None, max_examples=30)
@given(answers())
def test_calibration_is_as_it_is_defined(given_: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, truth = given_
    confidence, hit = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    found = calibration_error(torch.from_numpy(confidence), torch.from_numpy(hit))
    assert found == pytest.approx(guo(confidence, hit), abs=1e-9)
    bins = reliability(torch.from_numpy(confidence), torch.from_numpy(hit))
    assert sum(one["n"] for one in bins) == len(truth)
    assert sum(one["n"] * abs(one["hits"] - one["confidence"]) for one in bins) / len(truth) == pytest.approx(found)


def test_bins_of_confidence_say_how_often_it_was_right() -> None:
    given_ = torch.tensor([0.5, 0.52, 1.0], dtype=torch.float64), torch.tensor([True, False, True])
    middle, last = reliability(*given_)
    assert [middle[name] for name in ("n", "hits", "confidence")] == pytest.approx([2, 0.5, 0.51])
    assert [last[name] for name in ("from", "to", "n")] == pytest.approx([14 / 15, 1.0, 1])
    assert calibration_error(*given_) == pytest.approx(0.02 / 3)


NUMBERS = st.lists(st.tuples(st.integers(-5, 5), st.floats(-1e3, 1e3)), min_size=2, max_size=50)


@settings(deadline=None, max_examples=30)
@given(NUMBERS, st.integers(0, 50))
def test_errors_and_correlations_are_those_of_scikit_learn_and_scipy(pairs: list[tuple[int, float]], cut: int) -> None:
    found, true = np.array(pairs, float).T
    agreement = Agreement(scale=100.0)
    for part in (slice(cut), slice(cut, None)):
        agreement.add(torch.from_numpy(found[part] / 100), torch.from_numpy(true[part] / 100))
    scores = agreement.scores()
    assert scores["mae"] == pytest.approx(mean_absolute_error(true, found), abs=1e-9)
    assert scores["rmse"] == pytest.approx(mean_squared_error(true, found) ** 0.5, abs=1e-9)
    if np.ptp(true) > 3 and np.ptp(found):  # torchmetrics takes smaller spreads of standardised numbers for none
        assert scores["r2"] == pytest.approx(r2_score(true, found), rel=1e-6, abs=1e-6)
        assert scores["pearson"] == pytest.approx(stats.pearsonr(found, true)[0], abs=1e-6)
        assert scores["spearman"] == pytest.approx(stats.spearmanr(found, true)[0], abs=1e-5)
    elif not np.ptp(found):
        assert (scores["pearson"], scores["spearman"]) == (0.0, 0.0)


def test_ranks_of_very_many_numbers_are_those_of_some_spread_evenly() -> None:
    rng = np.random.default_rng(0)
    true = np.arange(150_000.0)  # as a sorted store has them: the first ones alone would say something else
    found = np.where(true < 20_000, 150_000 * rng.random(150_000), true)
    true = np.minimum(true, 70_000)  # and so many alike that their ranks add up to more than 32 bits hold
    agreement = Agreement()
    for start in range(0, 150_000, 5000):
        part = slice(start, start + 5000)
        agreement.add(torch.from_numpy(found[part] / 1e5), torch.from_numpy(true[part] / 1e5))
    assert agreement.ranked.n < 2**16
    assert agreement.scores()["spearman"] == pytest.approx(stats.spearmanr(found, true)[0], abs=0.01)


def test_partners_are_ranked_as_scikit_learn_ranks_labels() -> None:
    rng = np.random.default_rng(0)
    first = rng.normal(size=(700, 8)).astype(np.float32)
    second = (first + 0.8 * rng.normal(size=(700, 8))).astype(np.float32)
    retrieval = Retrieval()
    for start in range(0, 700, 64):
        retrieval.add(first[start : start + 64], second[start : start + 64])
    scores = retrieval.scores()
    for way, likeness in (("forth", first @ second.T), ("back", second @ first.T)):
        for k in (1, 5, 10):
            expected = top_k_accuracy_score(np.arange(700), likeness, k=k, labels=range(700))
            assert scores[f"{way}_recall@{k}"] == pytest.approx(expected, abs=1e-9)
        places = (likeness >= np.diag(likeness)[:, None]).sum(axis=1)
        assert scores[f"{way}_median_rank"] == np.median(places)
        assert 1 / places.mean() <= label_ranking_average_precision_score(np.eye(700), likeness)
    assert scores["recall@5"] == pytest.approx((scores["forth_recall@5"] + scores["back_recall@5"]) / 2)


def test_vectors_that_are_all_alike_find_nothing() -> None:
    retrieval = Retrieval()
    retrieval.add(np.ones((50, 4), np.float32), np.ones((50, 4), np.float32))
    assert retrieval.scores()["recall@10"] == 0.0
    assert retrieval.scores()["median_rank"] == 50
    assert Retrieval().scores()["recall@1"] == 0.0


def test_pools_bound_what_is_compared_and_a_short_last_one_does_not_count() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(250, 8)).astype(np.float32)
    noisy = vectors + rng.normal(size=(250, 8)).astype(np.float32)
    pooled, whole = Retrieval(pool=100), [Retrieval(), Retrieval()]
    pooled.add(vectors, noisy)
    for at, one in enumerate(whole):
        one.add(vectors[100 * at : 100 * (at + 1)], noisy[100 * at : 100 * (at + 1)])
    assert pooled.counts.sum() == 2 * 200
    expected = np.mean([one.scores()["recall@1"] for one in whole])
    assert pooled.scores()["recall@1"] == pytest.approx(expected)
    assert pooled.n_waiting == 50


def test_an_even_number_of_ranks_has_the_mean_of_the_middle_two() -> None:
    retrieval = Retrieval(pool=4)
    retrieval.counts[:] = [[0, 2, 0, 0, 2], [0, 1, 1, 2, 0]]
    assert retrieval.scores()["forth_median_rank"] == 2.5
    assert retrieval.scores()["back_median_rank"] == 2.5


def test_rates_of_classes_stand_by_name_and_unseen_classes_last() -> None:
    pairs = np.repeat([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0]], [3, 1, 2, 4, 1], axis=0)
    found = rated(pairs, 3).named(("a", "b"))
    assert found["classes"] == ["a", "b", None]
    assert found["confusion"] == [[3, 1, 0], [2, 4, 0], [1, 0, 0]]
    assert found["per_class"][0] == {"class": "a", "f1": pytest.approx(0.6), "precision": 0.5, "recall": 0.75, "n": 4}
    plain = rated(pairs[:-1], 3).named(("a", "b"))
    assert (plain["classes"], plain["confusion"]) == (["a", "b"], [[3, 1], [2, 4]])
