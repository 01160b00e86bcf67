"""Convex functions of known minima are walked down in few steps, whatever their scale."""

from __future__ import annotations

import numpy as np
import pytest

from unetscope.information.estimators.quasi_newton import descend


def quadratic(seed, spread):
    """A bowl with its minimum, of curvatures from 1 to spread."""
    chance = np.random.default_rng(seed)
    axes = np.linalg.qr(chance.normal(size=(20, 20)))[0]
    curvature = axes * np.geomspace(1, spread, 20) @ axes.T
    lowest = chance.normal(size=20)
    return lambda x: (float((x - lowest) @ curvature @ (x - lowest) / 2), curvature @ (x - lowest)), lowest


@pytest.mark.parametrize("spread", [1, 30, 1000])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_minimum_of_a_bowl_is_found(seed, spread):
    bowl, lowest = quadratic(seed, spread)
    np.testing.assert_allclose(descend(bowl, np.zeros(20), 1e-14), lowest, atol=1e-5)


def test_a_function_much_flatter_than_said_is_not_left_early():
    def flat(x):
        return 1e-4 * float(((x - 3) ** 2).sum()), 2e-4 * (x - 3)

    np.testing.assert_allclose(descend(flat, np.zeros((2, 3)), 1e-6), 3, atol=1e-3)


def test_steps_are_shortened_until_they_descend():
    def steep(x):
        root = np.sqrt(1 + (30 * x) ** 2)
        return float(root.sum()), 900 * x / root

    np.testing.assert_allclose(descend(steep, np.full(2, 0.7), 1e-10), 0, atol=1e-5)


def test_at_the_minimum_nothing_moves():
    calls = []

    def bowl(x):
        calls.append(x)
        return float((x**2).sum()), 2 * x

    assert descend(bowl, np.zeros(3), 1e-9).tolist() == [0, 0, 0]
    assert len(calls) < 4


@pytest.mark.parametrize("most", [0, 1, 2])
def test_no_more_steps_than_allowed_and_never_uphill(most):
    bowl, _ = quadratic(0, 1000)
    assert bowl(descend(bowl, np.ones(20), 0.0, most))[0] <= bowl(np.ones(20))[0]
