"""The adapted Rand error against scikit-image and against counting pairs of pixels one by one."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from unetscope.errors import DataError
from unetscope.scores.rand import rand_error

SHAPES = [(23, 31), (5, 11, 13)]


@st.composite
def foregrounds(draw):
    """A truth and a prediction of the same shape, with a few classes or none."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=3, max_side=6))
    highest = st.integers(0, draw(st.integers(1, 4)))
    return draw(hnp.arrays(np.int64, shape, elements=highest)), draw(hnp.arrays(np.uint8, shape, elements=highest))


@pytest.mark.parametrize("density", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int32])
@pytest.mark.parametrize("shape", SHAPES)
def test_rand_error_agrees_with_scikit_image(shape, dtype, density):
    from skimage.metrics import adapted_rand_error

    rng = np.random.default_rng(round(10 * density))
    truth = (rng.random(shape) < density).astype(dtype)
    prediction = np.where(rng.random(shape) < 0.1, ~truth.astype(bool), truth).astype(dtype)
    expected, _, _ = adapted_rand_error(ndimage.label(truth)[0], ndimage.label(prediction)[0])
    assert rand_error(truth, prediction) == pytest.approx(expected, abs=1e-14)


@settings(deadline=None)
@given(foregrounds())
def test_rand_error_counts_pairs_of_pixels(case):
    truth, prediction = case
    inside = truth > 0
    true, guessed = ndimage.label(inside)[0][inside], ndimage.label(prediction > 0)[0][inside]
    if not true.size:
        assert rand_error(truth, prediction) is None
    elif not guessed.any():
        assert rand_error(truth, prediction) == 1
    else:
        same = [(a == c, b == d) for (a, b), (c, d) in permutations(zip(true, guessed, strict=True), 2)]
        either = sum(int(a) + int(b) for a, b in same)
        together = sum(a and b for a, b in same)
        expected = 1 - Fraction(2 * int(together), either) if either else Fraction(0)
        assert rand_error(truth, prediction) == float(expected)


@pytest.mark.parametrize("prediction", [[[0, 0, 0, 0]], [[0, 0, 0, 1]]])
def test_rand_error_is_one_where_no_object_is_found(prediction):
    assert rand_error(np.array([[1, 1, 1, 0]]), np.array(prediction)) == 1


def test_touching_corners_do_not_connect():
    assert rand_error(np.array([[1, 0], [0, 1]]), np.array([[1, 0], [0, 1]])) == 0
    assert rand_error(np.array([[1, 0], [0, 1]]), np.array([[1, 1], [0, 1]])) == 1


def test_arrays_that_do_not_pair_up_are_refused():
    with pytest.raises(DataError, match=r"truth has shape \(2, 3\) and the prediction \(3, 2\)"):
        rand_error(np.zeros((2, 3), int), np.zeros((3, 2), int))
