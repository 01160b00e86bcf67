"""Gaussian information against closed forms, and what it must not see."""

from __future__ import annotations

import numpy as np
import pytest

from unetscope.errors import DataError
from unetscope.information.estimators.gaussian import LEAST_VARIANCE, gaussian_information
from unetscope.information.reading import Reading


def draw_pairs(dimensions, correlation, count=10_000, seed=0):
    chance = np.random.default_rng(seed)
    m = chance.normal(size=(count, dimensions))
    return correlation * m + np.sqrt(1 - correlation**2) * chance.normal(size=m.shape), m


def measure(x, m, folds=5, block=1):
    return gaussian_information(x, m, np.arange(len(x)) // block % folds).mean()


TRUTHS = [(1, 0.6, 0.3219, 0.05), (1, 0.9, 1.1980, 0.05), (1, 0.999, 4.4833, 0.05)]
TRUTHS += [(5, 0.8, 3.6848, 0.10), (10, 0.8, 7.3697, 0.10)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("dimensions", "correlation", "truth", "tolerance"), TRUTHS)
def test_pairs_of_gaussians_have_the_information_of_the_formula(dimensions, correlation, truth, tolerance, seed):
    assert truth == pytest.approx(-dimensions / 2 * np.log2(1 - correlation**2), abs=1e-4)
    assert measure(*draw_pairs(dimensions, correlation, seed=seed)) == pytest.approx(truth, abs=tolerance)


@pytest.mark.parametrize(("p", "q", "count"), [(1, 1, 10_000), (10, 10, 10_000), (4, 100, 2_000), (32, 64, 2_000)])
def test_what_is_independent_gains_nothing(p, q, count):
    chance = np.random.default_rng(0)
    assert -0.02 < measure(chance.normal(size=(count, p)), chance.normal(size=(count, q))) < 0.002


@pytest.mark.parametrize("noise", [8, 100])
def test_channels_of_noise_hide_little(noise):
    x, m = draw_pairs(2, 0.9, 3_000)
    padded = np.hstack([m, np.random.default_rng(1).normal(size=(3_000, noise))])
    assert measure(x, m) - 0.35 < measure(x, padded) < measure(x, m) + 0.02


def test_images_that_differ_give_nothing_away():
    """Every image has a level of its own in x and in m, both at random: samples of one image must stay together."""
    images = np.repeat(np.arange(40), 25)

    def measure_both(seed):
        chance = np.random.default_rng(seed)
        x, m = (chance.normal(size=(40, d))[images] + 0.1 * chance.normal(size=(1_000, d)) for d in (1, 20))
        return [gaussian_information(x, m, units % 5).mean() for units in (images, np.arange(1_000))]

    by_image, by_pixel = np.mean([measure_both(seed) for seed in range(20)], axis=0)
    assert -0.1 < by_image < 0.02
    assert by_pixel > 0.3


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_scale_shift_and_mixing_change_nothing(scale):
    x, m = draw_pairs(3, 0.8, 4_000)
    mixing = np.random.default_rng(1).normal(size=(2, 3, 3))
    moved = measure(scale * (x @ mixing[0]) + 7, (m @ mixing[1] - 3) / scale)
    assert moved == pytest.approx(measure(x, m), abs=0.01)


def test_what_is_constant_or_repeated_is_left_out():
    x, m = draw_pairs(2, 0.8, 4_000)
    constant = np.full((4_000, 1), 5.0)
    expected = measure(x, m)
    assert measure(np.hstack([x, constant, x]), np.hstack([m, constant, m])) == pytest.approx(expected, abs=0.01)
    assert measure(x, constant) == pytest.approx(0, abs=1e-12)
    assert measure(constant, m) == pytest.approx(0, abs=1e-12)


def test_a_copy_is_worth_what_the_least_variance_allows():
    x, _ = draw_pairs(1, 0.0, 2_000)
    assert measure(x, x) == pytest.approx(-np.log2(LEAST_VARIANCE) / 2, abs=1)


def test_offsets_have_regressions_of_their_own():
    """The same activation means the opposite at the other offset, which one regression could not tell."""
    x, m = draw_pairs(2, 0.8, 8_000)
    row, offset = np.arange(8_000), np.arange(8_000) % 2
    turned = np.where(offset[:, None] == 1, -m, m).astype(np.float32)
    found = measure(x, Reading(turned, row, offset), block=2)
    assert found == pytest.approx(-np.log2(1 - 0.64), abs=0.1)
    assert measure(x, turned, block=2) < 0.01


def test_offsets_with_fewer_samples_than_channels_are_honest():
    chance = np.random.default_rng(0)
    features = chance.normal(size=(640, 100)).astype(np.float32)
    reading = Reading(features, np.arange(1_280) // 2, np.arange(1_280) % 64)
    assert -0.05 < measure(chance.normal(size=(1_280, 3)), reading, block=64) < 0.01


@pytest.mark.parametrize("folds", [2, 3, 10])
def test_any_number_of_folds_will_do(folds):
    assert measure(*draw_pairs(1, 0.9), folds=folds) == pytest.approx(1.1980, abs=0.05)


def test_gains_are_those_of_each_sample():
    x, m = draw_pairs(1, 0.9, 5_000)
    x[17] = 40.0
    gains = gaussian_information(x, m, np.arange(5_000) % 5)
    assert gains.shape == (5_000,)
    assert gains.argmin() == 17


def test_it_is_usable_information_and_may_exceed_the_true_one():
    """A signal of two values holds one bit; the Gaussian that knows nothing else takes it for more."""
    x = np.sign(draw_pairs(1, 0.0, 4_000)[0])
    assert measure(x, x) > 5


@pytest.mark.parametrize(
    ("x", "m", "folds", "message"),
    [
        (np.zeros((4, 1)), np.zeros((5, 1)), np.arange(4), "4 samples of the signal, 5 of the activations"),
        (np.zeros((4, 1)), np.zeros((4, 1)), np.arange(3), "3 fold numbers"),
        (np.full((4, 1), np.nan), np.zeros((4, 1)), np.arange(4), "not finite"),
        (np.zeros((4, 1)), np.full((4, 1), np.inf), np.arange(4), "not finite"),
        (np.zeros((4, 1)), np.zeros((4, 1)), np.zeros(4, int), "one fold"),
    ],
)
def test_what_cannot_be_measured_is_refused(x, m, folds, message):
    with pytest.raises(DataError, match=message):
        gaussian_information(x, m, folds)
