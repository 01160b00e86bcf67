"""Intervals hold the truth as often as they say, for few and many images, and never pretend to know."""

from __future__ import annotations

import json
from dataclasses import astuple
from math import inf, nan

import numpy as np
import pytest

from unetscope.information.intervals import Interval, bootstrap, standard_error
from unetscope.information.tally import Tally

EFFECTS = {
    "normal": lambda chance, images: chance.normal(0, 0.1, images),
    "skewed": lambda chance, images: chance.exponential(0.1, images) - 0.1,
    "skewed down": lambda chance, images: 0.1 - chance.exponential(0.1, images),
}
TRUTH = 0.3


def clustered(chance, images, effects="normal"):
    """Images with a random effect each, of unequal sizes."""
    counts = chance.integers(200, 2000, images)
    means = TRUTH + EFFECTS[effects](chance, images) + chance.normal(0, 0.3, images) / np.sqrt(counts)
    return Tally.of(means * counts, counts)


def coverage(draw, times=400):
    intervals = [bootstrap(draw()) for _ in range(times)]
    return np.mean([not interval.excludes(TRUTH) for interval in intervals])


@pytest.mark.parametrize("images", [10, 30, 100])
def test_intervals_cover_the_clustered_phantom(images):
    chance = np.random.default_rng(images)
    assert 0.93 <= coverage(lambda: clustered(chance, images)) <= 0.97


@pytest.mark.parametrize(("images", "least"), [(4, 0.82), (10, 0.90), (30, 0.91), (100, 0.93)])
@pytest.mark.parametrize("effects", ["skewed", "skewed down"])
def test_skewed_effects_are_covered_nearly_as_often(images, least, effects):
    chance = np.random.default_rng(images)
    assert least <= coverage(lambda: clustered(chance, images, effects)) <= 0.98


@pytest.mark.parametrize("networks", [2, 3, 5])
@pytest.mark.parametrize("shared", [True, False], ids=["same images", "other images"])
@pytest.mark.parametrize(("image", "network"), [(0.1, 0.0), (0.1, 0.05), (0.02, 0.05)])
def test_several_networks_are_covered_too(networks, shared, image, network):
    chance = np.random.default_rng(0)

    def draw():
        of_images = chance.normal(0, image, (1 if shared else networks, 10))
        means = TRUTH + of_images + chance.normal(0, network, (networks, 1)) + chance.normal(0, 0.02, (networks, 10))
        counts = np.broadcast_to(chance.integers(200, 1000, (1, 10)), means.shape)
        return Tally.pool([Tally.of(*pair) for pair in zip(means * counts, counts, strict=True)])

    assert 0.87 <= coverage(draw, 300) <= 1.0


def test_the_same_network_twice_tells_no_more_than_once():
    tally = clustered(np.random.default_rng(0), 20)
    once, twice = bootstrap(tally), bootstrap(Tally.pool([tally, tally]))
    assert twice.value == pytest.approx(once.value)
    assert twice.half_width == pytest.approx(once.half_width, rel=0.2)


def test_networks_that_differ_widen_the_interval():
    tally = clustered(np.random.default_rng(0), 20)
    shifted = Tally.of(tally.sums + 0.2 * tally.counts, tally.counts)
    assert bootstrap(Tally.pool([tally, shifted])).half_width > 3 * bootstrap(tally).half_width


def test_an_ensemble_of_folds_has_each_image_once():
    tallies = [clustered(np.random.default_rng(seed), 8) for seed in range(5)]
    found = bootstrap(Tally.pool(tallies))
    assert (
        0
        < found.half_width
        < 3
        * bootstrap(
            Tally.of(*(np.concatenate([getattr(tally, name) for tally in tallies]) for name in ("sums", "counts")))
        ).half_width
    )


@pytest.mark.parametrize("images", [0, 1])
def test_less_than_two_images_say_nothing_about_others(images):
    tally = Tally.of([4.0] * images, [8] * images)
    assert astuple(bootstrap(tally)) == pytest.approx((0.5 if images else nan, -inf, inf), nan_ok=True)
    assert standard_error(tally) == inf
    assert not bootstrap(tally).excludes(100.0)
    assert bootstrap(tally).half_width == inf


def test_one_image_seen_by_several_networks_says_nothing_about_others():
    assert bootstrap(Tally.pool([Tally.of([4.0]), Tally.of([5.0])])) == Interval(4.5, -inf, inf)


@pytest.mark.parametrize("networks", [1, 3])
@pytest.mark.parametrize("value", [0.0, 0.1, -3.0])
def test_what_is_constant_has_no_width(networks, value):
    counts = np.array([3, 7, 11, 200, 1, 5])
    found = bootstrap(Tally.pool([Tally.of(value * counts, counts)] * networks))
    assert found.low == found.high == found.value == pytest.approx(value)


def test_images_in_which_nothing_was_counted_do_not_matter():
    tally = clustered(np.random.default_rng(0), 12)
    padded = Tally.of(np.append(tally.sums, [0, 0]), np.append(tally.counts, [0, 0]))
    assert bootstrap(padded) == bootstrap(tally)
    assert standard_error(padded) == standard_error(tally)


def test_intervals_repeat_and_follow_scale_and_shift():
    tally = clustered(np.random.default_rng(0), 25)
    moved = Tally.of(2 * tally.sums + 5 * tally.counts, tally.counts)
    first, other = bootstrap(tally), bootstrap(moved)
    assert first == bootstrap(tally) != bootstrap(tally, seed=1)
    assert (other.low, other.high) == pytest.approx((2 * first.low + 5, 2 * first.high + 5))


def test_the_standard_error_is_that_of_a_mean_when_images_are_equal():
    values = np.random.default_rng(0).normal(size=30)
    assert standard_error(Tally.of(values)) == pytest.approx(values.std(ddof=1) / np.sqrt(30))


@pytest.mark.parametrize("interval", [Interval(0.5, 0.25, 1.0), Interval(0.5, -inf, inf), Interval(nan, -inf, inf)])
def test_a_file_keeps_an_interval(interval):
    text = json.dumps(interval.to_json(), allow_nan=False)
    assert astuple(Interval.from_json(json.loads(text))) == pytest.approx(astuple(interval), nan_ok=True)
