"""Components are counted as they were made: carriers among copies and noise."""

from __future__ import annotations

import numpy as np
import pytest

from unetscope.information.bench import Bench
from unetscope.information.components import count_components
from unetscope.information.estimators.logistic import Logistic
from unetscope.information.reading import Reading
from unetscope.information.usable import CrossFit

COUNT, IMAGES = 6000, 30


def count(features, labels):
    bench = Bench(labels, np.arange(COUNT) * IMAGES // COUNT, CrossFit(2))
    return count_components(bench, Logistic(), Reading.of(features))


@pytest.mark.parametrize("carriers", [1, 2, 3])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_carriers_are_counted_whatever_their_copies_and_units(carriers, scale):
    """Copies make a carrier's axis strong; noise comes after them, and is not counted."""
    chance = np.random.default_rng(carriers)
    labels = chance.integers(0, 2, COUNT)
    parts = [labels + chance.normal(size=COUNT) for _ in range(carriers)]
    noise = [chance.normal(size=COUNT) for _ in range(2)]
    copied = [part + 0.01 * chance.normal(size=COUNT) for part in parts for _ in range(3)]
    assert count(scale * np.stack([*copied, *noise], axis=1), labels) in range(1, carriers + 1)


def test_independent_carriers_are_all_needed():
    chance = np.random.default_rng(5)
    bits = chance.integers(0, 2, (3, COUNT))
    features = np.stack([2.0 * bits[0], 2.0 * bits[1], 2.0 * bits[2]], axis=1) + chance.normal(size=(COUNT, 3))
    assert count(features, (bits.sum(axis=0) > 1).astype(np.int64)) == 3


def test_nothing_to_tell_has_no_components():
    chance = np.random.default_rng(6)
    assert count(chance.normal(size=(COUNT, 4)), chance.integers(0, 2, COUNT)) is None
    assert count(np.ones((COUNT, 4)), chance.integers(0, 2, COUNT)) is None
