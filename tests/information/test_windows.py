"""Windows are those that padding by mirroring gives, and places are described by smooth, distinct functions."""

from __future__ import annotations

import numpy as np
import pytest

from unetscope.errors import RecipeError
from unetscope.information.pixels import PixelSettings, sample_pixels
from unetscope.information.views import view_arrays
from unetscope.information.windows import position_features, principal_patches, read_patches

ALL = PixelSettings(pixels=100_000)


def make(shapes, channels=1):
    chance = np.random.default_rng(0)
    images = [chance.normal(size=(channels, *shape)).astype(np.float32) for shape in shapes]
    labels = [chance.integers(-1, 2, shape) for shape in shapes]
    views = view_arrays(images, labels)
    return views, sample_pixels(views, (1,) * views.ndim, ALL)


@pytest.mark.parametrize("size", [1, 3, 7])
@pytest.mark.parametrize(("shapes", "channels"), [([(9, 12), (5, 4)], 1), ([(9, 8), (7, 7)], 3), ([(5, 6, 7)] * 2, 2)])
def test_patches_are_windows_of_the_mirrored_image(shapes, channels, size):
    views, pixels = make(shapes, channels)
    reading = read_patches(views, pixels, size)
    assert (reading.row == np.arange(len(pixels))).all()
    assert reading.offsets == 1
    half = size // 2
    for index, place, patch in zip(pixels.view, pixels.place, reading.features, strict=True):
        image = np.pad(views[index].image, [(0, 0), *[(half, half)] * views.ndim], mode="reflect")
        window = image[(slice(None), *(slice(at, at + size) for at in place))]
        np.testing.assert_array_equal(patch, window.ravel())


def test_windows_larger_than_the_image_are_mirrored_again():
    views, pixels = make([(3, 4)] * 2)
    reading = read_patches(views, pixels, 15)
    image = np.pad(views[0].image[0], 7, mode="reflect")
    y, x = pixels.place[0]
    np.testing.assert_array_equal(reading.features[0], image[y : y + 15, x : x + 15].ravel())


@pytest.mark.parametrize("size", [0, 2, -1])
def test_windows_have_a_center(size):
    with pytest.raises(RecipeError, match="has a pixel at its center"):
        read_patches(*make([(9, 12)] * 2), size)


@pytest.mark.parametrize(("size", "channels", "expected"), [(1, 1, 1), (3, 1, 9), (3, 2, 18), (7, 1, 32)])
def test_principal_patches_are_the_leading_singular_vectors(size, channels, expected):
    views, pixels = make([(20, 24), (30, 18)], channels)
    scores = principal_patches(views, pixels, size)
    assert scores.shape == (len(pixels), expected)
    patches = read_patches(views, pixels, size).features.astype(float)
    left, singular, _ = np.linalg.svd(patches - patches.mean(0), full_matrices=False)
    reference = left[:, :expected] * singular[:expected]
    np.testing.assert_allclose(abs((scores * reference).sum(0)), (reference**2).sum(0), rtol=1e-6)
    assert (np.diff(scores.var(0)) <= 1e-9).all()


def test_components_without_variance_are_left_out():
    chance = np.random.default_rng(0)
    rows = [np.broadcast_to(chance.normal(size=(1, 12, 1)), (1, 12, 10)) for _ in range(2)]
    views = view_arrays(rows, [np.eye(12, 10, dtype=int)] * 2)
    pixels = sample_pixels(views, (1, 1), ALL)
    assert principal_patches(views, pixels, 3).shape[1] == 3


def test_a_blank_image_has_no_components():
    views = view_arrays([np.ones((1, 6, 6))] * 2, [np.eye(6, dtype=int)] * 2)
    assert principal_patches(views, sample_pixels(views, (1, 1), ALL), 3).shape[1] == 0


@pytest.mark.parametrize(("shapes", "count"), [([(20, 30), (16, 16)], 27), ([(9, 10, 11)] * 2, 55)])
def test_places_are_described_by_independent_functions_of_the_relative_place(shapes, count):
    _, pixels = make(shapes)
    reading = position_features(pixels)
    assert (reading.width, reading.offsets) == (count, 1)
    assert np.linalg.matrix_rank(np.column_stack([np.ones(len(pixels)), reading.features])) == count + 1
    assert abs(reading.features).max() <= 1


@pytest.mark.parametrize("shape", [(24, 24), (9, 10, 11)])
def test_a_smooth_map_of_places_can_be_put_together(shape):
    _, pixels = make([shape] * 2)
    target = np.exp(-((pixels.relative - 0.3) ** 2).sum(1))
    features = np.column_stack([np.ones(len(pixels)), position_features(pixels).features])
    fitted = features @ np.linalg.lstsq(features, target, rcond=None)[0]
    assert np.std(fitted - target) < 0.15 * np.std(target)


def test_equal_relative_places_look_equal():
    labels = [np.indices((11, 21)).sum(0) % 2, np.indices((21, 41)).sum(0) % 2]
    views = view_arrays([each[None] for each in labels], labels)
    pixels = sample_pixels(views, (1, 1), ALL)
    features = position_features(pixels).features
    small, large = pixels.of(0), pixels.of(1)
    matched = (pixels.place[large] % 2 == 0).all(1)
    order = [np.lexsort(places.T) for places in (pixels.place[small], pixels.place[large][matched])]
    np.testing.assert_allclose(features[small][order[0]], features[large][matched][order[1]], atol=1e-6)
