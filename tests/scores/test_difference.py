"""Intervals of differences hold what they promise, and agree with textbook tests where those apply."""

from __future__ import annotations

from math import inf, nan, sqrt

import numpy as np
import pytest
from scipy import stats

from unetscope.errors import DataError
from unetscope.scores.difference import (
    Difference,
    Spread,
    compare_groups,
    detectable,
    estimate_mean,
    expect_chance,
    judge,
    measure_spread,
)
from unetscope.scores.power import detectable_difference


def draw(generator, seeds, images, shift=0.0, seed_spread=0.007, image_spread=0.03):
    """Two networks: images differ in difficulty and in what they say of the difference; seeds differ too."""
    hard, apart = generator.normal(0.85, 0.08, images), generator.normal(shift, image_spread * sqrt(0.5), images)

    def network(count, own):
        noise = generator.normal(0, image_spread / 2, (count, images))
        return hard + own + generator.normal(0, seed_spread, (count, 1)) + noise

    return network(seeds[0], 0.0), network(seeds[1], apart)


@pytest.fixture
def generator():
    return np.random.default_rng(0)


# ------------------------------------------------------------------------------------------------- known truths


@pytest.mark.parametrize("seeds", [(2, 2), (3, 5), (5, 2)])
def test_images_all_alike_leave_the_test_of_welch(generator, seeds):
    first, second = (np.repeat(generator.normal(0.8, 0.01, (count, 1)), 30, axis=1) for count in seeds)
    found = compare_groups(first, second)
    expected = stats.ttest_ind(second[:, 0], first[:, 0], equal_var=False).confidence_interval()
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert found.value == pytest.approx(second.mean() - first.mean())


def test_seeds_all_alike_leave_the_paired_test_over_images(generator):
    first, second = (np.tile(generator.normal(0.8, 0.05, 40), (3, 1)) for _ in range(2))
    found = compare_groups(first, second)
    expected = stats.ttest_rel(second[0], first[0]).confidence_interval()
    assert (found.low, found.high) == pytest.approx(tuple(expected))


def test_a_single_seed_borrows_from_the_other_network(generator):
    """With images all alike it is the interval of one new value against the mean of others."""
    first = np.repeat(generator.normal(0.8, 0.01, (4, 1)), 30, axis=1)
    found = compare_groups(first, [[0.8] * 30])
    reach = stats.t.ppf(0.975, 3) * first[:, 0].std(ddof=1) * sqrt(1 + 1 / 4)
    assert found.high - found.value == pytest.approx(reach)
    assert found.borrowed and found.seeds == (4, 1) and found.seeds_known


def test_single_seeds_on_both_sides_are_said_to_tell_nothing_of_seeds(generator):
    first, second = draw(generator, (1, 1), 40)
    found = compare_groups(first, second)
    expected = stats.ttest_rel(second[0], first[0]).confidence_interval()
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert not found.borrowed and not found.seeds_known


def test_the_mean_of_one_training_has_the_interval_of_student(generator):
    scores = generator.normal(0.8, 0.05, 40)
    found = estimate_mean([scores])
    expected = stats.ttest_1samp(scores, 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx(tuple(expected))


# --------------------------------------------------------------------------------------------------------- laws


def test_swapping_the_networks_turns_the_difference_around(generator):
    first, second = draw(generator, (3, 2), 30)
    found, turned = compare_groups(first, second), compare_groups(second, first)
    assert (turned.value, turned.low, turned.high) == pytest.approx((-found.value, -found.high, -found.low))
    assert turned.seeds == (2, 3)


def test_images_are_paired_and_seeds_are_not(generator):
    first, second = draw(generator, (3, 2), 30)
    found, order = compare_groups(first, second), generator.permutation(30)
    harder = generator.normal(0, 0.3, 30)
    same = compare_groups(first[::-1] + harder, second[::-1] + harder)
    assert (same.value, same.low, same.high) == pytest.approx((found.value, found.low, found.high))
    shuffled = compare_groups(first[:, order], second[:, order])
    assert (shuffled.low, shuffled.high) == pytest.approx((found.low, found.high))
    assert compare_groups(first, second[:, order]).half_width > 1.5 * found.half_width


def test_copies_of_an_image_in_its_group_say_nothing_new(generator):
    first, second = draw(generator, (3, 3), 25)
    found = compare_groups(first, second)
    copied = compare_groups(np.repeat(first, 4, axis=1), np.repeat(second, 4, axis=1), np.repeat(np.arange(25), 4))
    assert (copied.value, copied.low, copied.high) == pytest.approx((found.value, found.low, found.high))
    assert copied.images == 25


def test_images_without_a_score_do_not_matter(generator):
    first, second = draw(generator, (3, 2), 30)
    gaps = [np.insert(scores, 7, nan, axis=1) for scores in (first, second)]
    assert compare_groups(*gaps) == compare_groups(first, second)
    assert compare_groups(*gaps, ["a", *"bcdefghijklmnopqrstuvwxyzABCDE"[:30]]).images == 30


def test_one_group_says_nothing_of_others():
    found = compare_groups([[0.8, 0.9], [0.8, 0.9]], [[0.7, 0.9], [0.7, 0.9]], ["a", "a"])
    assert (found.low, found.high, found.images) == (-1.0, 1.0, 1)


# ----------------------------------------------------------------------------------------------------- coverage


@pytest.mark.parametrize("seeds", [(2, 2), (3, 3), (5, 2), (3, 1)])
@pytest.mark.parametrize("seed_spread", [0.002, 0.01])
def test_intervals_cover_the_truth(seeds, seed_spread):
    generator, repeats = np.random.default_rng(1), 500
    hits = 0
    for _ in range(repeats):
        found = compare_groups(*draw(generator, seeds, 40, 0.01, seed_spread))
        hits += found.low <= 0.01 <= found.high
    assert 0.91 <= hits / repeats <= 0.995


def test_another_training_is_found_where_chance_says():
    generator, repeats, hits = np.random.default_rng(2), 600, 0
    for _ in range(repeats):
        scores, _ = draw(generator, (5, 1), 40)
        chance = expect_chance(scores[:4])
        hits += chance.low <= scores[4].mean() - scores[:4].mean() <= chance.high
    assert 0.92 <= hits / repeats <= 0.98
    assert expect_chance(scores[:1]) is None


# ------------------------------------------------------------------------------------------------------- verdicts


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (-0.0099, 0.02, "as good"),
        (0.001, 0.02, "as good"),
        (-0.01, 0.02, "not separable"),
        (-0.02, -0.01, "not separable"),
        (-0.03, -0.0101, "worse"),
    ],
)
def test_words_follow_the_interval(low, high, word):
    assert judge(Difference((low + high) / 2, low, high, (3, 3), 65), 0.01) == word
    assert judge(Difference((low + high) / 2, low, high, (3, 3), 19), 0.01) == "no verdict"
    assert judge(Difference((low + high) / 2, low, high, (3, 3), 65), 0.01, images=19) == "no verdict"
    assert judge(Difference((low + high) / 2, low, high, (1, 1), 65), 0.01) == "not separable"


@pytest.mark.parametrize("margin", [0.0, -0.01, 1.0, nan])
def test_a_margin_that_is_none_is_refused(margin):
    with pytest.raises(DataError, match="margin is"):
        judge(Difference(0.0, 0.0, 0.0, (3, 3), 65), margin)


# --------------------------------------------------------------------------------------------- before training


def test_without_seeds_the_detectable_difference_is_that_of_the_paired_test():
    values = np.random.default_rng(0).normal(0.8, 0.03, 50)
    expected = detectable_difference(values)  # assumes a correlation that makes the difference spread as the scores do
    assert detectable(50, (3, 3), Spread(float(values.std(ddof=1)), 0.0)) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("seeds", [(3, 3), (5, 2), (4, 1)])
def test_a_detectable_difference_is_detected_four_times_in_five(seeds):
    generator, repeats, spread, found = np.random.default_rng(3), 800, Spread(0.02, 0.007), 0
    shift = detectable(40, seeds, spread)
    for _ in range(repeats):
        first, second = (np.repeat(generator.normal(0.8, spread.seeds, (count, 1)), 40, axis=1) for count in seeds)
        found += compare_groups(first, second + generator.normal(shift, spread.images, 40)).low > 0
    assert 0.76 <= found / repeats <= 0.84


def test_more_images_and_more_seeds_tell_smaller_differences():
    by_images = [detectable(images) for images in (2, 10, 20, 65)]
    by_seeds = [detectable(65, (count, count)) for count in (2, 3, 5, 10)]
    assert by_images == sorted(by_images, reverse=True) and by_seeds == sorted(by_seeds, reverse=True)
    assert detectable(1) == detectable(65, (1, 1)) == inf


def test_the_spread_of_trainings_is_measured():
    generator = np.random.default_rng(4)
    hard = generator.normal(0.85, 0.08, 300)
    scores = hard + generator.normal(0, 0.01, (80, 1)) + generator.normal(0, 0.02, (80, 300))
    found = measure_spread(scores)
    assert found.seeds == pytest.approx(0.01, rel=0.2)
    assert found.images == pytest.approx(0.02 * sqrt(2), rel=0.05)


# ------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("first", "second", "units", "message"),
    [
        ([[0.5, 0.5]], [[0.5]], None, "same images"),
        ([[0.5, 0.5]], [[0.5, 0.5]], ["a"], "same images"),
        (np.zeros((0, 2)), [[0.5, 0.5]], None, "same images"),
        (np.zeros((1, 2, 2)), [[0.5, 0.5]], None, "same images"),
        ([[0.5, nan]], [[0.5, 0.5]], None, "none of another"),
        ([[nan, nan]], [[nan, nan]], None, "no image has a score"),
    ],
)
def test_scores_that_do_not_fit_are_refused(first, second, units, message):
    with pytest.raises(DataError, match=message):
        compare_groups(first, second, units)


@pytest.mark.parametrize("bad", [{"images": 0}, {"images": 9, "seeds": (0, 3)}, {"images": 9, "power": 1.0}])
def test_plans_out_of_range_are_refused(bad):
    with pytest.raises(DataError, match="came"):
        detectable(**bad)
    with pytest.raises(DataError, match="standard deviations"):
        Spread(-0.01)
