"""What a number of images lets one claim, against simulated experiments: tests that reject, intervals that hold."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from unetscope.errors import DataError
from unetscope.scores.overlap import ClassScore, ImageScore, Scores
from unetscope.scores.power import describe_evidence, detectable_difference, interval, is_too_small

EXPERIMENTS = 8_000


def draw_values(count, spread, seed=0):
    """Scores with exactly this standard deviation."""
    drawn = np.random.default_rng(seed).normal(size=count)
    return 0.8 + spread * (drawn - drawn.mean()) / drawn.std(ddof=1)


def simulate_rejections(difference, count, spread, correlation, level):
    """Share of paired t-tests that reject, if two networks' means differ by `difference`."""
    covariance = spread**2 * np.array([[1, correlation], [correlation, 1]])
    drawn = np.random.default_rng(1).multivariate_normal([0.8, 0.8 + difference], covariance, (EXPERIMENTS, count))
    return (stats.ttest_rel(drawn[..., 0], drawn[..., 1], axis=1).pvalue < level).mean()


def score_with(dice):
    """Scores of images of one class with these Dice."""
    return Scores(
        tuple(ImageScore(str(i), (ClassScore("cell", dice=value),), 0.0, 0.0) for i, value in enumerate(dice))
    )


# The difference that could be detected


@pytest.mark.parametrize(("power", "level"), [(0.8, 0.05), (0.95, 0.01)])
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("count", [2, 3, 5, 12, 60])
def test_paired_tests_find_the_difference_as_often_as_the_power_says(count, correlation, power, level):
    values = draw_values(count, 0.1)
    difference = detectable_difference(values, power, level, correlation)
    assert simulate_rejections(difference, count, 0.1, correlation, level) == pytest.approx(power, abs=0.015)


@pytest.mark.parametrize("count", [5, 60])
def test_without_a_difference_tests_reject_at_the_level_only(count):
    assert simulate_rejections(0.0, count, 0.1, 0.5, 0.05) == pytest.approx(0.05, abs=0.01)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=30).filter(lambda values: np.std(values) > 1e-3),
    st.floats(0.1, 10),
    st.floats(-5, 5),
)
def test_difference_has_the_unit_of_the_scores_and_falls_with_what_helps(values, unit, start):
    difference = detectable_difference(values)
    assert detectable_difference([start + unit * value for value in values]) == pytest.approx(
        unit * difference, rel=1e-6
    )
    assert detectable_difference(values * 2) < difference
    assert detectable_difference(values, correlation=0.9) < difference
    assert detectable_difference(values, power=0.7) < difference
    assert detectable_difference(values, level=0.1) < difference
    assert detectable_difference([*values, None]) == difference


def test_many_images_follow_the_normal_approximation():
    expected = (stats.norm.isf(0.025) + stats.norm.isf(0.2)) * 0.1 / np.sqrt(50_000)
    assert detectable_difference(draw_values(50_000, 0.1)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("values", [[], [None], [0.5], [0.5, None], [0.5, 0.5, 0.5]])
def test_without_a_spread_no_difference_is_known(values):
    assert detectable_difference(values) is None


@pytest.mark.parametrize(
    "arguments",
    [
        {"power": 1.0},
        {"power": 0.05},
        {"level": 0.0},
        {"correlation": 1.0},
        {"correlation": -1.1},
        {"power": float("nan")},
    ],
)
def test_impossible_tests_are_refused(arguments):
    with pytest.raises(DataError, match="are no test; use 0 < level < power < 1"):
        detectable_difference([0.7, 0.8, 0.9], **arguments)


# The interval of a mean


@pytest.mark.parametrize(("a", "b"), [(8, 2), (30, 3)])
@pytest.mark.parametrize(("count", "share"), [(2, 0.5), (5, 0.9), (20, 0.94)])
def test_interval_holds_the_mean_of_skewed_scores_as_often_as_documented(count, share, a, b):
    drawn = np.random.default_rng(0).beta(a, b, (300, count))
    ends = np.array([interval(values) for values in drawn])
    held = (ends[:, 0] <= a / (a + b)) & (a / (a + b) <= ends[:, 1])
    assert held.mean() == pytest.approx(share, abs=0.06)


@pytest.mark.parametrize("count", [4, 12, 200])
def test_interval_is_the_percentile_interval_of_scipy_at_the_expanded_level(count):
    values = draw_values(count, 0.1)
    tail = stats.norm.cdf(np.sqrt(count / (count - 1)) * stats.t.ppf(0.05, count - 1))
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, batch=1000, confidence_level=1 - 2 * tail, method="percentile",
        random_state=np.random.default_rng(7),
    ).confidence_interval  # fmt: skip
    assert interval(values, level=0.9) == pytest.approx(theirs, abs=0.006)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=30), st.integers(0, 5))
def test_interval_lies_in_the_range_and_repeats(values, seed):
    low, high = interval(values, seed=seed)
    assert min(values) - 1e-12 <= low <= high <= max(values) + 1e-12
    assert interval([None, *values], seed=seed) == (low, high)
    inner = interval(values, level=0.5, seed=seed)
    assert low <= inner[0] <= inner[1] <= high


def test_another_seed_changes_the_interval_little():
    first, second = (interval(draw_values(30, 0.1), seed=seed) for seed in (0, 1))
    assert first != second
    assert first == pytest.approx(second, abs=0.005)


@pytest.mark.parametrize("values", [[], [0.5], [None, 0.5]])
def test_one_value_has_no_interval(values):
    assert interval(values) is None


@pytest.mark.parametrize("level", [0.0, 1.0, -1.0, 95.0, float("nan")])
def test_level_that_is_none_is_refused(level):
    with pytest.raises(DataError, match="must lie above 0 and below 1"):
        interval([0.5, 0.6], level=level)


# What people are told


def test_evidence_names_the_difference_that_could_be_detected():
    values = draw_values(12, 0.04)
    difference = detectable_difference(values)
    assert describe_evidence(score_with([*values, None])) == (
        f"12 images: a difference below {difference:.2g} Dice between two networks could not be told from chance "
        "(80 % power at 5 %, if their scores correlate by 0.5)"
    )


@pytest.mark.parametrize(
    ("dice", "images"), [([], "0 images"), ([0.9], "1 image"), ([0.9, 0.9], "2 images"), ([0.2, 0.9], "2 images")]
)
def test_evidence_of_too_few_images_is_none(dice, images):
    assert describe_evidence(score_with(dice)) == (
        f"{images}: they cannot tell any difference in Dice between two networks from chance"
    )


def test_fewer_than_twenty_images_carry_no_claim():
    assert [is_too_small(count) for count in (0, 19, 20, 500)] == [True, True, False, False]
    values = draw_values(20, 1.0)
    assert detectable_difference(values) == pytest.approx(2 / 3, abs=0.01)


def test_importing_power_loads_no_scipy():
    check = "import sys, unetscope.scores.power; sys.exit(bool({'skimage', 'torch', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
