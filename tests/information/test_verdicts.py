"""Verdicts: enough or not, how many images would do, and tests that are right as often as they say."""

from __future__ import annotations

import json
from math import inf, isnan, nan

import numpy as np
import pytest
from scipy.stats import kstest

from unetscope.information.intervals import Interval
from unetscope.information.tally import Tally
from unetscope.information.verdicts import (
    Verdict,
    extrapolate,
    judge_control,
    judge_decision,
    judge_value,
    shuffle_test,
    tabulate_gains,
)

VALUES = {
    "narrow": (Interval(0.3, 0.28, 0.32), 0.5, None, Verdict("ok", "the interval is ± 0.020 bits, 5% of H0 are 0.025")),
    "wide": (
        Interval(0.3, 0.2, 0.35),
        0.5,
        None,
        Verdict("cannot tell", "the interval is ± 0.100 bits, 5% of H0 are 0.025", 640),
    ),
    "growing": (
        Interval(0.3, 0.28, 0.32),
        0.5,
        0.03,
        Verdict("cannot tell", "more images would add 0.030 bits, 3% of H0 are 0.015", 80),
    ),
    "grown": (Interval(0.3, 0.28, 0.32), 0.5, 0.01, "ok"),
    "gap unknown": (Interval(0.3, 0.28, 0.32), 0.5, nan, "ok"),
    "no interval": (Interval(0.3, -inf, inf), 0.5, None, "cannot tell"),
    "nothing": (Interval(nan, -inf, inf), 0.5, None, "cannot tell"),
    "one label": (Interval(0.0, 0.0, 0.0), 0.0, None, "cannot tell"),
}


@pytest.mark.parametrize("case", VALUES)
def test_values_are_judged(case):
    interval, prior, gap, expected = VALUES[case]
    found = judge_value(interval, prior, 40, gap)
    assert found == expected if isinstance(expected, Verdict) else found.word == expected
    assert Verdict.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_both_lacks_are_named_and_the_larger_number_of_images_counts():
    found = judge_value(Interval(0.3, 0.2, 0.4), 1.0, 10, gap=0.3, share=0.05)
    assert "interval" in found.reason
    assert "more images" in found.reason
    assert found.images == 100


def test_a_gate_needs_a_narrower_interval():
    interval = Interval(0.3, 0.28, 0.32)
    assert judge_value(interval, 0.5, 40).word == "ok"
    assert judge_value(interval, 0.5, 40, share=0.01).images == 640


def test_as_many_images_as_said_would_do():
    needed = judge_value(Interval(0.3, 0.2, 0.4), 0.7, 33).images
    assert judge_value(Interval(0.3, 0.3 - 0.1 * (33 / needed) ** 0.5, 0.3), 0.7, needed).word == "ok"


@pytest.mark.parametrize(
    ("interval", "word", "images"),
    [
        (Interval(0.3, 0.2, 0.4), "ok", None),
        (Interval(0.0, -0.1, 0.05), "ok", None),
        (Interval(0.3, 0.05, 0.4), "cannot tell", 16),
        (Interval(0.05, 0.0, 0.15), "cannot tell", 40),
        (Interval(0.1, 0.0, 0.2), "cannot tell", None),
        (Interval(0.1 + 1e-6, 0.0, 0.2), "cannot tell", None),
        (Interval(0.3, -inf, inf), "cannot tell", None),
    ],
)
def test_decisions_are_judged_by_the_side_of_the_threshold(interval, word, images):
    found = judge_decision(interval, 0.1, 10)
    assert (found.word, found.images) == (word, images)


@pytest.mark.parametrize(
    ("excess", "spread", "fails"),
    [(0.05, 0.01, True), (0.005, 0.0, False), (0.05, 0.5, False), (-0.05, 0.01, False), (0.02, 0.001, True)],
)
def test_a_control_fails_by_size_and_by_error(excess, spread, fails):
    chance = np.random.default_rng(0)
    position = Tally.of(chance.normal(0.3, 0.2, 20))
    shuffled = Tally.of(position.sums + excess + spread * np.tile([-1, 1], 10))
    assert judge_control(shuffled, position, prior=1.0) == fails


def test_one_image_cannot_fail_a_control():
    assert not judge_control(Tally.of([9.0]), Tally.of([0.0]), prior=1.0)


SHARES = (0.125, 0.25, 0.5, 1.0)


@pytest.mark.parametrize("exponent", [0.5, 0.75, 1.0])
@pytest.mark.parametrize("gap", [0.0, 0.01, 0.2])
def test_the_gap_of_a_power_law_is_found(exponent, gap):
    values = 0.4 - gap * np.array(SHARES) ** -exponent
    assert extrapolate(SHARES, values) == pytest.approx(gap, abs=1e-9)


@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_noise_moves_the_gap_by_about_as_much(exponent):
    chance = np.random.default_rng(0)
    curve = 0.4 - 0.02 * np.array(SHARES) ** -exponent
    gaps = [extrapolate(SHARES, curve + chance.normal(0, 0.003, 4)) for _ in range(100)]
    assert np.sqrt(np.mean((np.array(gaps) - 0.02) ** 2)) < 0.012
    assert min(gaps) >= 0


def test_a_falling_curve_has_no_gap():
    assert extrapolate(SHARES, [0.5, 0.4, 0.3, 0.2]) == 0


def test_two_points_are_no_curve():
    assert isnan(extrapolate([0.5, 1.0], [0.1, 0.2]))
    assert isnan(extrapolate(SHARES, [nan, nan, 0.1, 0.2]))


def held_out_gains(chance, images=40, pixels=50, channels=3, signal=0.0):
    """Gains of a probe that was fitted on half of the images; each image has a level of its own, in M and in Y."""
    features = chance.normal(size=(images, pixels, channels)) + chance.normal(0, 1, (images, 1, channels))
    logits = 2 * chance.normal(size=(images, 1)) + signal * features[..., 0]
    labels = (chance.random((images, pixels)) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    half = images // 2
    design = np.concatenate([features, np.ones((images, pixels, 1))], axis=2)
    target = labels[:half].ravel() - 0.5
    weights = np.linalg.lstsq(design[:half].reshape(-1, channels + 1), 4 * target, rcond=None)[0]
    scores = design[half:] @ weights
    log_probabilities = np.stack([-np.logaddexp(0, scores), -np.logaddexp(0, -scores)], axis=-1)
    return tabulate_gains(log_probabilities, labels[half:])


def test_p_values_of_what_is_independent_are_uniform():
    chance = np.random.default_rng(1)
    values = [shuffle_test(held_out_gains(chance), seed=draw) for draw in range(200)]
    assert kstest(values, "uniform").pvalue > 0.01


def test_dependence_has_small_p_values():
    chance = np.random.default_rng(1)
    assert all(shuffle_test(held_out_gains(chance, signal=2.0), seed=draw) <= 0.03 for draw in range(10))


def test_p_values_of_a_probe_that_says_nothing_are_uniform():
    values = [shuffle_test(np.full((8, 8), 0.1), seed=draw) for draw in range(200)]
    assert kstest(values, "uniform").pvalue > 0.01


def test_the_table_of_gains_is_that_of_every_pair_by_hand():
    chance = np.random.default_rng(0)
    log_probabilities = np.log(chance.dirichlet([1, 1, 1], (4, 5)))
    labels = chance.integers(0, 3, (4, 5))
    found = tabulate_gains(log_probabilities, labels)
    for i in range(4):
        for j in range(4):
            expected = sum(log_probabilities[i, pixel, labels[j, pixel]] for pixel in range(5)) / np.log(2)
            assert found[i, j] == pytest.approx(expected)
