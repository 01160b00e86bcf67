"""Shifted, brightened and rescaled copies are found; different images are not alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from unetscope.data.scenes import SCENES
from unetscope.data.similarity import NEAR_DUPLICATE, NEARLY_SAME, THUMBNAIL, correlate_images, find_alike, shrink


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


@pytest.mark.parametrize("least", [0.0, 0.3, 0.5, 0.9])
def test_no_pair_is_lost_by_not_trying_all_shifts(least: float) -> None:
    """Against all correlations; textures, spots and copies, so that every level has pairs."""
    rng = np.random.default_rng(0)
    spots = [np.pad(np.ones((1, 3, 3)), ((0, 0), (at, 61 - at), (20, 41))) for at in (0, 30)]
    images = [*(texture(seed) for seed in range(4)), *spots, np.zeros((1, 9, 9))]
    others = [texture(0)[:, ::-1], np.roll(texture(1), 9, 2), texture(2) + rng.normal(0, 0.05, (1, 64, 64)), *spots]
    every = correlate_images(images, others)
    found = find_alike([shrink(image) for image in images], [shrink(image) for image in others], least)
    assert {(one, other) for one, other, _ in found} == set(map(tuple, np.argwhere(every >= least).tolist()))
    for one, other, correlation in found:
        assert correlation == pytest.approx(every[one, other], abs=1e-6)
    correlations = [correlation for _, _, correlation in found]
    assert correlations == sorted(correlations, reverse=True)
    assert found, "no pair on this level"


def test_nothing_is_like_nothing() -> None:
    thumbnail = shrink(texture(0))
    assert find_alike([], [thumbnail]) == find_alike([thumbnail], []) == []
    blank = shrink(np.full((1, 30, 30), 7, np.uint8))
    assert find_alike([blank], [blank]) == []


def test_of_a_volume_the_middle_plane_is_compared() -> None:
    volume = np.random.default_rng(0).random((2, 5, 20, 30))
    assert np.array_equal(shrink(volume), shrink(volume[:, 2]))


def test_neighboring_cuts_of_one_texture_are_not_nearly_the_same() -> None:
    wide = SCENES["cells"]((96, 112), 1).image
    assert find_alike([shrink(wide[:, :, :96])], [shrink(wide[:, :, 1:97])], NEARLY_SAME)
    assert not find_alike([shrink(wide[:, :, :96])], [shrink(wide[:, :, 16:])], NEARLY_SAME)
