"""Shifted, brightened and rescaled copies are found; different images are not alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from unetscope.data.scenes import SCENES
from unetscope.data.similarity import NEAR_DUPLICATE, THUMBNAIL, correlate_images


def texture(seed: int, size: int = THUMBNAIL) -> np.ndarray:
    """A periodic random texture."""
    return ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((1, size, size)), (0, 2, 2), mode="wrap")


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 63), st.integers(0, 63), st.floats(0.01, 100), st.floats(-1000, 1000))
def test_shift_brightness_and_contrast_do_not_matter(dy: int, dx: int, contrast: float, brightness: float) -> None:
    image = texture(0)
    copy = contrast * np.roll(image, (dy, dx), axis=(1, 2)) + brightness
    assert correlate_images([image], [copy])[0, 0] == pytest.approx(1, abs=1e-6)


def test_it_is_the_largest_correlation_over_all_shifts() -> None:
    image, other = texture(0)[0], texture(1)[0]
    shifts = [np.corrcoef(image.ravel(), np.roll(other, (dy, dx), (0, 1)).ravel())[0, 1]
              for dy in range(THUMBNAIL) for dx in range(THUMBNAIL)]  # fmt: skip
    assert correlate_images([image[None]], [other[None]])[0, 0] == pytest.approx(max(shifts), abs=1e-6)


def test_every_image_is_compared_with_every_reference_and_size_does_not_matter() -> None:
    images = [texture(seed) for seed in range(3)]
    large = [np.repeat(np.repeat(image, 3, axis=1), 2, axis=2) for image in images[:2]]
    found = correlate_images(images, large)
    assert found.shape == (3, 2)
    assert (found[[0, 1], [0, 1]] > 0.98).all()
    assert (found[[0, 1, 2, 2], [1, 0, 0, 1]] < 0.6).all()
    assert found.min() >= 0
    assert found.max() <= 1
    np.testing.assert_allclose(correlate_images(large, images), found.T, atol=1e-9)


def test_an_image_without_contrast_is_like_none() -> None:
    blank = np.full((1, 40, 30), 7, np.uint8)
    assert correlate_images([blank, texture(0)], [blank])[:, 0].tolist() == [0, 0]


def test_colors_are_compared_as_grays() -> None:
    gray = texture(0)
    colored = np.concatenate([gray * 2, gray, gray * 0])
    assert correlate_images([gray], [colored])[0, 0] == pytest.approx(1)


@pytest.mark.parametrize("scene", ["cells", "aerial"])
def test_two_scenes_are_no_near_duplicates_but_overlapping_cuts_are(scene: str) -> None:
    wide = SCENES[scene]((96, 112), 1).image
    other = SCENES[scene]((96, 96), 2).image
    found = correlate_images([wide[:, :, :96]], [wide[:, :, 8:104], other])[0]
    assert found[0] > NEAR_DUPLICATE > found[1]
