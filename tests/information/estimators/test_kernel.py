"""Kernel bounds against exact truths, brute force and Monte Carlo, and the law by which they saturate."""

from __future__ import annotations

from math import exp, log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from unetscope.information.estimators.kernel import (
    find_saturation,
    input_information,
    label_information,
    plugin_entropy,
    relative_variance,
    shuffled_information,
    squared_distances,
)

VARIANCE = 0.2


def distances_of(points):
    return cdist(points, points, "sqeuclidean")


def far_apart(count):
    return 1e4 * (1 - np.eye(count))


@st.composite
def labelled_points(draw):
    """Points that overlap at the noise's scale, and a label for each."""
    count = draw(st.integers(2, 12))
    chance = np.random.default_rng(draw(st.integers(0, 2**32)))
    points = chance.normal(0, draw(st.floats(0.01, 3)), (count, draw(st.integers(1, 4))))
    return points, chance.integers(0, draw(st.integers(1, count)), count)


def mixture_information(points, draws=200_000):
    """Entropy of the mixture less that of the noise, bits, and its standard error."""
    chance = np.random.default_rng(0)
    centers = points[chance.integers(0, len(points), draws)]
    noisy = centers + chance.normal(0, VARIANCE**0.5, centers.shape)
    exponents = -cdist(noisy, points, "sqeuclidean") / (2 * VARIANCE)
    own = -((noisy - centers) ** 2).sum(1) / (2 * VARIANCE)
    bits = (own - logsumexp(exponents, axis=1) + np.log(len(points))) / np.log(2)
    return bits.mean(), bits.std() / draws**0.5


@pytest.mark.parametrize("dimensions", [1, 3])
@pytest.mark.parametrize("spread", [0.2, 0.6, 1.5])
def test_the_entropy_of_a_gaussian_mixture_lies_between_the_bounds(dimensions, spread):
    points = np.random.default_rng(1).normal(0, spread, (16, dimensions))
    truth, error = mixture_information(points)
    bounds = input_information(distances_of(points), VARIANCE)
    assert bounds.lower - 4 * error <= truth <= bounds.upper + 4 * error
    assert bounds.lower < bounds.upper


@pytest.mark.parametrize("spread", [0.2, 0.6, 1.5])
def test_the_information_about_labels_lies_between_the_bounds(spread):
    chance = np.random.default_rng(2)
    codes = np.arange(16) % 3
    points = chance.normal(0, spread, (16, 2)) + codes[:, None]
    parts = [(np.mean(codes == code), mixture_information(points[codes == code])) for code in range(3)]
    whole, error = mixture_information(points)
    truth = whole - sum(share * within for share, (within, _) in parts)
    tolerance = 4 * (error + sum(share * part_error for share, (_, part_error) in parts))
    bounds = label_information(distances_of(points), codes, VARIANCE)
    assert bounds.lower - tolerance <= truth <= bounds.upper + tolerance
    assert bounds.lower <= bounds.published <= bounds.upper


@pytest.mark.parametrize("count", [2, 8, 65])
def test_separated_samples_are_told_apart_completely(count):
    bounds = input_information(far_apart(count), VARIANCE)
    assert bounds.lower == bounds.upper == pytest.approx(log2(count), abs=1e-12)


def test_equal_samples_are_not_told_apart():
    same = np.zeros((5, 5))
    assert input_information(same).upper == 0
    assert label_information(same, np.array([0, 0, 1, 1, 1])).published == 0


def test_two_samples_by_hand():
    distance = 0.7
    bounds = input_information(np.array([[0, distance], [distance, 0]]), VARIANCE)
    assert bounds.upper == pytest.approx(-log2((1 + exp(-distance / 0.4)) / 2))
    assert bounds.lower == pytest.approx(-log2((1 + exp(-distance / 1.6)) / 2))


@given(codes=st.lists(st.integers(0, 5), min_size=1, max_size=30))
@settings(deadline=None)
def test_a_saturated_estimate_is_the_entropy_of_the_labels_whatever_they_are(codes):
    labels, apart = np.array(codes), far_apart(len(codes))
    information, shuffled = label_information(apart, labels), shuffled_information(apart, labels)
    for value in (information.published, information.lower, information.upper, shuffled.mean, shuffled.highest):
        assert value == pytest.approx(plugin_entropy(labels), abs=1e-9)


@given(sample=labelled_points())
@settings(deadline=None)
def test_labels_that_all_differ_say_as_much_as_the_samples(sample):
    distances = distances_of(sample[0])
    unique = np.arange(len(distances))
    assert label_information(distances, unique).published == pytest.approx(input_information(distances).upper)


@given(sample=labelled_points())
@settings(deadline=None)
def test_brute_force_agrees(sample):
    points, codes = sample

    def gain(members, scale):
        total = 0.0
        for i in members:
            terms = [exp(-(((points[i] - points[j]) ** 2).sum()) / scale) for j in members]
            total -= log2(sum(terms) / len(terms)) / len(members)
        return total

    everyone = range(len(points))
    groups = [[i for i in everyone if codes[i] == code] for code in set(codes.tolist())]
    near, wide = ((gain(everyone, k), sum(len(g) / len(points) * gain(g, k) for g in groups)) for k in (0.4, 1.6))
    bounds, labels = input_information(distances_of(points)), label_information(distances_of(points), codes)
    assert (bounds.lower, bounds.upper) == pytest.approx((wide[0], near[0]), abs=1e-9)
    expected = (near[0] - near[1], max(0, wide[0] - near[1]), near[0] - wide[1])
    assert (labels.published, labels.lower, labels.upper) == pytest.approx(expected, abs=1e-9)


@given(sample=labelled_points(), seed=st.integers(0, 99))
@settings(deadline=None)
def test_the_order_of_samples_does_not_matter(sample, seed):
    points, codes = sample
    order = np.random.default_rng(seed).permutation(len(points))
    there, here = (label_information(distances_of(points[o]), codes[o]) for o in (order, slice(None)))
    assert there.published == pytest.approx(here.published, abs=1e-9)


@given(sample=labelled_points(), variances=st.tuples(st.floats(0.01, 5), st.floats(0.01, 5)))
@settings(deadline=None)
def test_more_noise_leaves_less_information(sample, variances):
    less, more = (input_information(distances_of(sample[0]), variance) for variance in sorted(variances))
    assert more.upper <= less.upper + 1e-12
    assert more.lower <= less.lower + 1e-12


@given(sample=labelled_points())
@settings(deadline=None)
def test_bounds_keep_their_order_and_ceilings(sample):
    points, codes = sample
    bounds, labels = input_information(distances_of(points)), label_information(distances_of(points), codes)
    assert 0 <= bounds.lower <= bounds.upper <= log2(len(points)) + 1e-12
    assert 0 <= labels.lower <= labels.upper + 1e-12
    assert labels.published <= plugin_entropy(codes) + 1e-9


def test_labels_that_follow_the_samples_stand_out_from_shuffled_ones():
    codes = np.repeat([0, 1], 10)
    distances = distances_of(10.0 * codes[:, None])
    shuffled = shuffled_information(distances, codes)
    assert label_information(distances, codes).published == pytest.approx(1)
    assert shuffled.highest < 0.7
    assert shuffled.mean <= shuffled.highest
    assert shuffled.spread > 0


def test_distances_from_inner_products():
    points = np.random.default_rng(3).normal(0, 2, (9, 40))
    distances = squared_distances(points @ points.T)
    np.testing.assert_allclose(distances, distances_of(points), rtol=1e-12, atol=1e-12)
    assert not distances.diagonal().any()


def test_rounding_makes_no_negative_distance():
    points = np.full((4, 3), 1e8) + np.random.default_rng(4).normal(0, 1e-3, (4, 3))
    assert squared_distances(points @ points.T).min() >= 0


COUNT = 735  # images of the published data set
CEILING, GROWTH = "upper bound over 0.9 log2 N", "grows over 0.5 bits when N doubles"
ENTROPY, SINGLETONS = "over 0.9 of H(Y)", "over 25 % of codes occur once"


def gaussians(dimensions, seed=0):
    return distances_of(np.random.default_rng(seed).normal(size=(COUNT, dimensions)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("dimensions", "noise", "truth"),
    [(1, 0.5, 1.1610), (2, 0.5, 2.3219), (5, 0.5, 5.8048), (5, 2, 0.8048), (20, 2, 3.2193)],
)
def test_the_information_of_a_gaussian_channel_lies_between_the_bounds(dimensions, noise, truth, seed):
    assert truth == pytest.approx(dimensions / 2 * log2(1 + 1 / noise**2), abs=1e-4)
    bounds = input_information(gaussians(dimensions, seed), noise**2)
    assert bounds.lower < truth < bounds.upper
    assert find_saturation(gaussians(dimensions, seed), variance=noise**2) == ()


@pytest.mark.parametrize(("dimensions", "noise", "truth"), [(10, 0.5, 11.61), (100, 2, 16.10)])
def test_more_information_than_samples_can_show_is_saturated(dimensions, noise, truth):
    assert truth == pytest.approx(dimensions / 2 * log2(1 + 1 / noise**2), abs=0.01)
    assert truth > log2(COUNT)
    assert find_saturation(gaussians(dimensions), variance=noise**2) == (CEILING, GROWTH)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("words", [4, 16, 64, 256])
def test_separated_codewords_carry_their_plugin_entropy(words, seed):
    chance = np.random.default_rng(seed)
    drawn = chance.integers(0, words, COUNT)
    bounds = input_information(distances_of(10 * chance.normal(size=(words, 64))[drawn]))
    assert bounds.lower == pytest.approx(plugin_entropy(drawn), abs=0.01)
    assert bounds.upper == pytest.approx(plugin_entropy(drawn), abs=0.01)


@pytest.mark.parametrize(
    ("distances", "codes", "clauses"),
    [
        (far_apart(40), np.arange(40) % 4, (CEILING, GROWTH, ENTROPY)),
        (far_apart(40), np.arange(40), (CEILING, GROWTH, ENTROPY, SINGLETONS)),
        (np.zeros((40, 40)), np.arange(40) % 4, ()),
        (np.zeros((40, 40)), np.zeros(40, int), ()),
        (np.zeros((40, 40)), np.array([0] * 37 + [1, 2, 3]), (SINGLETONS,)),
        (np.zeros((40, 40)), np.array([0] * 13 + [1] * 13 + [2] * 13 + [3]), ()),
        (far_apart(40)[np.ix_(*2 * [np.arange(40) % 4])], np.arange(40) % 4, (ENTROPY,)),
    ],
)
def test_every_clause_of_saturation_holds_where_it_should(distances, codes, clauses):
    assert find_saturation(distances, codes) == clauses


def test_growth_is_seen_below_the_ceiling():
    distances = gaussians(6)
    assert input_information(distances, 0.3).upper < 0.9 * log2(COUNT)
    assert find_saturation(distances, variance=0.3) == (GROWTH,)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_a_relative_variance_follows_the_scale(scale):
    points = np.random.default_rng(0).normal(size=(50, 3))
    distances = distances_of(scale * points)
    assert relative_variance(distances) == pytest.approx(0.2 * distances[~np.eye(50, dtype=bool)].mean())
    found = input_information(distances, relative_variance(distances))
    expected = input_information(distances_of(points), relative_variance(distances_of(points)))
    assert (found.lower, found.upper) == pytest.approx((expected.lower, expected.upper))


def test_samples_all_alike_have_some_variance():
    assert input_information(np.zeros((5, 5)), relative_variance(np.zeros((5, 5)))).upper == 0
