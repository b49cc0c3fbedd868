from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
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
    FURTHEST,
    N_BINS,
    Agreement,
    Areas,
    Reliability,
    Retrieval,
    confusion,
    named,
    of_classes,
    of_confusion,
)

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)


@settings(deadline=None, max_examples=30)
@given(PAIRS)
def test_scores_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = np.array(pairs).T
    matrix = confusion(truth, predicted, n_classes=5)
    found = of_confusion(matrix)
    assert matrix.tolist() == confusion_matrix(truth, predicted, labels=range(5)).tolist()
    assert found["accuracy"] == pytest.approx(accuracy_score(truth, predicted), abs=1e-12)
    assert found["macro_f1"] == pytest.approx(f1_score(truth, predicted, average="macro", zero_division=0), abs=1e-12)
    assert found["macro_recall"] == pytest.approx(
        recall_score(truth, predicted, average="macro", zero_division=0), abs=1e-12
    )
    assert found["macro_precision"] == pytest.approx(
        precision_score(truth, predicted, average="macro", zero_division=0), abs=1e-12
    )
    assert found["micro_f1"] == pytest.approx(f1_score(truth, predicted, average="micro", zero_division=0), abs=1e-12)
    rates = of_classes(matrix)
    for name, score in (("f1", f1_score), ("precision", precision_score), ("recall", recall_score)):
        expected = score(truth, predicted, average=None, labels=range(5), zero_division=0)
        np.testing.assert_allclose(rates[name], expected, atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(PAIRS, st.integers(0, 60))
def test_batches_add_up(pairs: list[tuple[int, int]], cut: int) -> None:
    truth, predicted = np.array(pairs).T
    whole = confusion(truth, predicted, n_classes=5)
    halves = [confusion(truth[part], predicted[part], n_classes=5) for part in (slice(cut), slice(cut, None))]
    assert (whole == halves[0] + halves[1]).all()


def test_a_known_matrix_has_known_scores() -> None:
    found = of_confusion(np.array([[3, 1], [2, 4]]))
    assert found["accuracy"] == pytest.approx(0.7)
    assert found["macro_recall"] == pytest.approx((3 / 4 + 4 / 6) / 2)
    assert found["macro_f1"] == pytest.approx((6 / 9 + 8 / 11) / 2)


def test_nothing_judged_scores_zero() -> None:
    found = of_confusion(np.zeros((3, 3), dtype=np.int64))
    assert set(found.values()) == {0.0}


@pytest.mark.parametrize(("truth", "predicted"), [([2], [0]), ([0], [2]), ([-1], [0]), ([0], [-1])])
def test_numbers_out_of_range_are_refused(truth: list[int], predicted: list[int]) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        confusion(np.array(truth), np.array(predicted), n_classes=2)


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
@given(answers(), st.integers(0, 40))
def test_areas_are_those_of_scikit_learn_to_the_width_of_a_bin(given_: tuple[np.ndarray, np.ndarray], cut: int) -> None:
    probabilities, truth = given_
    hits = truth[:, None] == np.arange(probabilities.shape[1])
    areas = Areas(probabilities.shape[1])
    for part in (slice(cut), slice(cut, None)):
        areas.add(probabilities[part], hits[part])
    with np.errstate(divide="ignore"):
        odds = np.log(probabilities) - np.log1p(-probabilities)
    binned = np.floor(np.clip(odds / (2 * FURTHEST) + 0.5, 0, 1) * (areas.n_bins - 1))  # what falls into a bin is a tie
    mixed = [at for at in range(hits.shape[1]) if 0 < hits[:, at].sum() < len(hits)]
    roc = [roc_auc_score(hits[:, at], binned[:, at]) for at in mixed]
    average = [average_precision_score(hits[:, at], binned[:, at]) for at in mixed]
    assert areas.roc() == pytest.approx(np.mean(roc) if mixed else 0.0, abs=1e-9)
    assert areas.precision_recall() == pytest.approx(np.mean(average) if mixed else 0.0, abs=1e-9)


def test_areas_of_many_answers_are_scikit_learns_and_torchmetrics() -> None:
    import torch
    from torchmetrics.functional.classification import multiclass_auroc, multiclass_average_precision

    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 3000)
    logits = rng.normal(size=(3000, 3)) + 1.5 * np.eye(3)[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    areas = Areas(3)
    areas.add(probabilities, truth[:, None] == np.arange(3))
    # a bin is 0.015 of log-odds wide, in which 3000 answers have few ties
    assert areas.roc() == pytest.approx(roc_auc_score(truth, probabilities, multi_class="ovr"), abs=2e-4)
    tensors = torch.from_numpy(probabilities), torch.from_numpy(truth)
    assert areas.roc() == pytest.approx(float(multiclass_auroc(*tensors, num_classes=3)), abs=2e-4)
    expected = float(multiclass_average_precision(*tensors, num_classes=3))
    assert areas.precision_recall() == pytest.approx(expected, abs=1e-3)


def test_areas_take_as_much_memory_for_ten_thousand_classes_as_for_a_hundred() -> None:
    assert Areas(10_000).cells.nbytes <= 1.1 * Areas(1000).cells.nbytes <= 1.5 * Areas(1024).cells.nbytes
    alone = Areas(2)
    alone.add(np.array([[1.0, 0.0]]), np.array([[True, False]]))
    assert (alone.roc(), alone.precision_recall()) == (0.0, 0.0)  # nobody to tell it from


@settings(deadline=None, max_examples=30)
@given(answers())
def test_calibration_is_torchmetrics(given_: tuple[np.ndarray, np.ndarray]) -> None:
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    probabilities, truth = given_
    assume(probabilities.astype(np.float32).max() < 1)  # which torchmetrics gives a bin of its own, past the last
    found = Reliability()
    for part in (slice(3), slice(3, None)):
        found.add(probabilities[part].max(axis=1), probabilities[part].argmax(axis=1) == truth[part])
    tensors = torch.from_numpy(probabilities), torch.from_numpy(truth)
    expected = multiclass_calibration_error(*tensors, num_classes=probabilities.shape[1], n_bins=N_BINS)
    assert found.error() == pytest.approx(float(expected), abs=1e-6)
    assert sum(one["n"] for one in found.bins()) == len(truth)


def test_bins_of_confidence_say_how_often_it_was_right() -> None:
    found = Reliability()
    found.add(np.array([0.5, 0.52, 1.0]), np.array([True, False, True]))
    middle, last = found.bins()
    assert [middle[name] for name in ("n", "hits", "confidence")] == pytest.approx([2, 0.5, 0.51])
    assert [last[name] for name in ("from", "to", "n")] == pytest.approx([14 / 15, 1.0, 1])
    assert found.error() == pytest.approx(0.02 / 3)


NUMBERS = st.lists(st.tuples(st.integers(-5, 5), st.floats(-1e3, 1e3)), min_size=2, max_size=50)


@settings(deadline=None, max_examples=30)
@given(NUMBERS, st.integers(0, 50))
def test_errors_and_correlations_are_those_of_scikit_learn_and_scipy(pairs: list[tuple[int, float]], cut: int) -> None:
    found, true = np.array(pairs, float).T
    agreement = Agreement()
    for part in (slice(cut), slice(cut, None)):
        agreement.add(found[part], true[part])
    scores = agreement.scores()
    assert scores["mae"] == pytest.approx(mean_absolute_error(true, found), abs=1e-9)
    assert scores["rmse"] == pytest.approx(mean_squared_error(true, found) ** 0.5, abs=1e-9)
    if np.ptp(true) > 1e-3 and np.ptp(found):
        assert scores["r2"] == pytest.approx(r2_score(true, found), rel=1e-6, abs=1e-9)
        assert scores["pearson"] == pytest.approx(stats.pearsonr(found, true)[0], abs=1e-6)
        assert scores["spearman"] == pytest.approx(stats.spearmanr(found, true)[0], abs=1e-9)
    elif not np.ptp(found):
        assert (scores["pearson"], scores["spearman"]) == (0.0, 0.0)


def test_ranks_of_very_many_numbers_are_those_of_some_spread_evenly() -> None:
    rng = np.random.default_rng(0)
    true = np.arange(10_000.0)  # as a sorted store has them: the first ones alone would say something else
    found = np.where(true < 1000, rng.normal(size=10_000), true)
    agreement = Agreement(most=500)
    for start in range(0, 10_000, 33):
        agreement.add(found[start : start + 33], true[start : start + 33])
    assert sum(map(len, agreement.kept)) <= 500
    assert agreement.every == 32
    assert np.concatenate(agreement.kept)[:, 1].tolist() == true[::32].tolist()
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
    found = named(("a", "b"), np.array([[3, 1, 0], [2, 4, 0], [1, 0, 0]]))
    assert found["classes"] == ["a", "b", None]
    assert found["per_class"][0] == {"class": "a", "f1": pytest.approx(0.6), "precision": 0.5, "recall": 0.75, "n": 4}
    plain = named(("a", "b"), np.array([[3, 1, 0], [2, 4, 0], [0, 0, 0]]))
    assert (plain["classes"], plain["confusion"]) == (["a", "b"], [[3, 1], [2, 4]])
