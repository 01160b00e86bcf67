"""Similarity and effective rank against direct formulas, and the laws that make them worth showing."""

from __future__ import annotations

from itertools import permutations
from math import exp, isnan, log

import numpy as np
import pytest

from unetscope.information.estimators.similarity import debiased_cka, effective_rank


def gram(points):
    return points @ points.T


def draw(count=60, channels=30, seed=0):
    return np.random.default_rng(seed).normal(size=(count, channels))


def unbiased_hsic(one, other):
    """Song et al. 2012, equation 5, as it is printed."""
    count = len(one)
    one, other = (matrix - np.diag(np.diag(matrix)) for matrix in (one, other))
    ones = np.ones(count)
    total = np.trace(one @ other) + ones @ one @ ones * (ones @ other @ ones) / ((count - 1) * (count - 2))
    return (total - 2 / (count - 2) * (ones @ one @ other @ ones)) / (count * (count - 3))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("count", [4, 9, 40])
def test_it_is_the_ratio_of_unbiased_criteria(seed, count):
    one, other = gram(draw(count, 3, seed)), gram(draw(count, 7, seed + 9) + 2)
    expected = unbiased_hsic(one, other) / (unbiased_hsic(one, one) * unbiased_hsic(other, other)) ** 0.5
    assert debiased_cka(one, other) == pytest.approx(expected)


def test_the_criterion_is_the_mean_over_four_distinct_samples():
    """The U-statistic itself, term by term, in the space of the features."""
    x, y = draw(6, 2), draw(6, 3, seed=1)
    terms = []
    for i, j, q, r in permutations(range(6), 4):
        k = x[i] @ x[j]
        terms.append(k * (y[i] @ y[j] + y[q] @ y[r] - 2 * y[i] @ y[q]))
    assert unbiased_hsic(gram(x), gram(y)) == pytest.approx(np.mean(terms))


def test_many_samples_agree_with_the_cross_covariance():
    """For many more samples than channels it is |cov(x, y)|^2 / (|cov(x)| |cov(y)|)."""
    x = draw(1500, 3)
    y = x @ draw(3, 4, seed=1) + draw(1500, 4, seed=2)
    covariance = np.cov(x, y, rowvar=False)
    expected = (covariance[:3, 3:] ** 2).sum() / (
        np.linalg.norm(covariance[:3, :3]) * np.linalg.norm(covariance[3:, 3:])
    )
    assert debiased_cka(gram(x), gram(y)) == pytest.approx(expected, abs=0.02)


def test_independent_features_have_none_on_average_even_with_many_channels():
    found = [debiased_cka(gram(draw(20, 500, seed)), gram(draw(20, 500, seed + 1000))) for seed in range(200)]
    assert abs(np.mean(found)) < 3 * np.std(found) / 200**0.5
    centered = [points - points.mean(0) for points in (draw(20, 500), draw(20, 500, seed=1000))]
    plain = (gram(centered[0]) * gram(centered[1])).sum() / np.prod([np.linalg.norm(gram(c)) for c in centered])
    assert plain > 0.9  # the bias that is gone


def test_rotation_shift_and_scale_change_nothing():
    x, y = draw(), draw(channels=5, seed=1) + draw()[:, :5]
    rotation = np.linalg.qr(draw(30, 30, seed=2))[0]
    expected = debiased_cka(gram(x), gram(y))
    assert debiased_cka(gram(x), gram(x)) == pytest.approx(1)
    assert debiased_cka(gram(3 * x @ rotation + 10), gram(y)) == pytest.approx(expected)
    assert debiased_cka(gram(x - x.mean(0)), gram(y - y.mean(0))) == pytest.approx(expected)
    assert debiased_cka(gram(y), gram(x)) == pytest.approx(expected)


def test_gram_matrices_stay_as_they_are():
    one = gram(draw())
    before = one.copy()
    debiased_cka(one, one)
    assert np.array_equal(one, before)


@pytest.mark.parametrize("points", [np.ones((9, 4)), np.full((9, 1), 1e3 / 3), draw(3, 3)], ids=["one", "third", "few"])
def test_samples_all_alike_or_too_few_cannot_be_compared(points):
    assert isnan(debiased_cka(gram(points), gram(draw(len(points)))))


@pytest.mark.parametrize(
    ("covariance", "expected"),
    [
        (np.eye(5), 5),
        (np.diag([3.0, 0, 0]), 1),
        (np.diag([1.0, 1.0, 2.0]), exp(log(2) * 1.5)),
        (np.full((4, 4), 2.0), 1),
        (np.zeros((3, 3)), 0),
        (np.array(2.0), 1),
    ],
)
def test_effective_ranks_by_hand(covariance, expected):
    assert effective_rank(covariance) == pytest.approx(expected)


def test_the_effective_rank_does_not_see_rotation_and_scale():
    rotation = np.linalg.qr(draw(6, 6))[0]
    variances = np.array([5.0, 3.0, 1.0, 0.2, 0.1, 0.0])
    assert effective_rank(7 * rotation * variances @ rotation.T) == pytest.approx(effective_rank(np.diag(variances)))
