"""Augmentation against numpy and scipy: no change, exact turns, and what random changes may and may not do."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from unetscope.data.normalization import Affine
from unetscope.training.augmentation import (
    Patch,
    apply_gamma,
    blur,
    change_intensities,
    cubic_weights,
    interpolate,
    linear_part,
    make_field,
    reflect,
    sample_image,
    sample_labels,
)
from unetscope.training.recipe import Recipe

STILL = Recipe(flip=0, rotation=0, scaling=1, elastic=0)
PLAIN = Affine((0.0,), (1.0,))
SHAPES = [(9, 12), (5, 6, 8)]


def random_image(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, np.float32)


def whole_patch(shape: tuple[int, ...]) -> Patch:
    return Patch(tuple((n - 1) / 2 for n in shape), shape, (0,) * len(shape))


def positions_of(matrix: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The positions to which a linear map about the center of an image takes its pixels."""
    center = (np.array(shape).reshape(-1, *[1] * len(shape)) - 1) / 2
    return reflect((np.tensordot(matrix, np.indices(shape) - center, 1) + center).astype(np.float32), shape)


def draw_displacements(shape: tuple[int, ...], deviation: float, seed: int) -> np.ndarray:
    """Random displacements, interpolated."""
    coarse = np.random.default_rng(seed).normal(0, deviation, (len(shape), *(3,) * len(shape)))
    return interpolate(coarse.astype(np.float32), shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_no_change_is_the_patch_itself(shape: tuple[int, ...]) -> None:
    image = random_image(2, *shape)
    labels = np.random.default_rng(1).integers(0, 9, shape)
    size = tuple(n - 3 for n in shape)
    patch = Patch(tuple(1 + (n - 1) / 2 for n in size), size, (0,) * len(shape))
    inside = tuple(slice(1, 1 + n) for n in size)
    field = make_field(patch, STILL, np.random.default_rng(0))
    assert np.array_equal(field, np.indices(shape)[(slice(None), *inside)])
    assert np.array_equal(reflect(field, shape), field)
    seen = sample_image(image, field, Affine((0.5,), (2.0,)))
    np.testing.assert_allclose(seen, (image[(slice(None), *inside)] - 0.5) / 2, atol=1e-6)
    assert np.array_equal(sample_labels(labels, field), labels[inside])


@pytest.mark.parametrize("flips", [*product((1, -1), repeat=2), *product((1, -1), repeat=3)])
def test_flips_are_numpys(flips: tuple[int, ...]) -> None:
    shape = SHAPES[len(flips) - 2]
    image, labels = random_image(1, *shape), np.random.default_rng(1).integers(0, 9, shape)
    positions = positions_of(np.diag(flips), shape)
    axes = [axis for axis, sign in enumerate(flips) if sign < 0]
    np.testing.assert_allclose(sample_image(image, positions, PLAIN)[0], np.flip(image[0], axes), atol=1e-6)
    assert np.array_equal(sample_labels(labels, positions), np.flip(labels, axes))


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("shape", [(8, 8), (4, 7, 7)])
def test_quarter_turns_are_numpys(shape: tuple[int, ...], turns: int) -> None:
    image, labels = random_image(1, *shape), np.random.default_rng(1).integers(0, 9, shape)
    angle = np.deg2rad(90 * turns)
    matrix = np.eye(len(shape))
    matrix[-2:, -2:] = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    positions = positions_of(matrix.astype(np.float32), shape)
    assert np.array_equal(sample_labels(labels, positions), np.rot90(labels, turns, (-2, -1)))
    turned = sample_image(image, positions, PLAIN)[0]
    np.testing.assert_allclose(turned, np.rot90(image[0], turns, (-2, -1)), atol=1e-5)


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_linear_part_turns_flips_and_scales_within_its_bounds(ndim: int) -> None:
    recipe = Recipe(scaling=1.5, rotation=20, flip=0)
    matrices = np.array([linear_part(ndim, recipe, np.random.default_rng(seed)) for seed in range(400)], np.float64)
    scales = np.linalg.det(matrices) ** (1 / ndim)
    assert scales.min() >= 1 / 1.5 - 1e-5
    assert scales.max() <= 1.5 + 1e-5
    assert scales.min() < 0.72
    assert scales.max() > 1.38
    unit = matrices / scales[:, None, None]
    np.testing.assert_allclose(unit @ unit.transpose(0, 2, 1), np.broadcast_to(np.eye(ndim), unit.shape), atol=1e-5)
    angles = np.rad2deg(np.arctan2(unit[:, -1, -2], unit[:, -1, -1]))
    assert 18 < np.abs(angles).max() < (20.01 if ndim == 2 else 24)


@pytest.mark.parametrize("ndim", [2, 3])
def test_axes_are_flipped_as_often_as_asked(ndim: int) -> None:
    recipe = Recipe(rotation=0, scaling=1, flip=0.3)
    signs = np.array([np.diag(linear_part(ndim, recipe, np.random.default_rng(seed))) for seed in range(1000)])
    assert np.array_equal(np.abs(signs), np.ones_like(signs))
    np.testing.assert_allclose((signs < 0).mean(axis=0), 0.3, atol=0.06)


@settings(deadline=None, max_examples=60)
@given(
    arrays.arrays(np.int16, arrays.array_shapes(min_dims=2, max_dims=3, max_side=9), elements=st.integers(-1, 300)),
    st.integers(0, 2**20),
    st.floats(0, 40),
)
def test_label_lookup_never_invents_a_value(labels: np.ndarray, seed: int, elastic: float) -> None:
    recipe = Recipe(elastic=elastic, scaling=3)
    field = make_field(whole_patch((7, 6, 5)[: labels.ndim]), recipe, np.random.default_rng(seed))
    found = sample_labels(labels, reflect(field, labels.shape))
    assert found.dtype == np.int64
    assert set(np.unique(found)) <= set(np.unique(labels))


@pytest.mark.parametrize("seed", range(6))
def test_image_and_labels_move_together(seed: int) -> None:
    labels = (ndimage.gaussian_filter(np.random.default_rng(seed).random((96, 96)), 6) > 0.5).astype(np.uint8)
    field = make_field(whole_patch((64, 64)), Recipe(elastic=4), np.random.default_rng(seed))
    positions = reflect(field, labels.shape)
    image = sample_image(labels[None], positions, PLAIN)[0]
    seen = sample_labels(labels, positions)
    near = np.abs(image - seen) < 0.5 + 1e-5
    flat = (image < 1e-4) | (image > 1 - 1e-4)  # away from outlines, where nothing is interpolated
    assert 0.4 < flat.mean() < 1
    assert np.array_equal(np.rint(image)[flat], seen[flat])
    assert near.mean() > 0.97


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 9), st.integers(0, 25), st.integers(0, 25))
def test_beyond_the_border_the_image_is_mirrored_as_numpy_does(length: int, before: int, after: int) -> None:
    positions = np.arange(-before, length + after, dtype=np.float32)
    expected = np.pad(np.arange(length), (before, after), mode="reflect")
    assert np.array_equal(reflect(positions[None], (length,))[0], expected)


def test_patches_larger_than_the_image_show_its_mirror_image() -> None:
    image, labels = random_image(1, 5, 7), np.random.default_rng(1).integers(0, 9, (5, 7))
    field = make_field(Patch((2.0, 3.0), (15, 17), (0, 0)), STILL, np.random.default_rng(0))
    before, positions = field.copy(), reflect(field, (5, 7))
    assert np.array_equal(field, before)
    np.testing.assert_allclose(sample_image(image, positions, PLAIN)[0], np.pad(image[0], 5, mode="reflect"), atol=1e-6)
    assert np.array_equal(sample_labels(labels, positions), np.pad(labels, 5, mode="reflect"))


@pytest.mark.parametrize("size", [1, 2, 3, 8, 33])
def test_cubic_weights_are_a_mean_and_keep_the_grid(size: int) -> None:
    weights = cubic_weights(size)
    assert weights.shape == (size, 3)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    if size > 1:
        np.testing.assert_allclose(weights[[0, -1]], [[1, 0, 0], [0, 0, 1]], atol=1e-6)
    if size % 2 and size > 1:
        np.testing.assert_allclose(weights[size // 2], [0, 1, 0], atol=1e-6)


@pytest.mark.parametrize("shape", [(33, 65), (17, 9, 33)])
def test_displacements_have_the_stated_deviation_on_the_grid(shape: tuple[int, ...]) -> None:
    still = replace(STILL, elastic=10)
    fields = [make_field(whole_patch(shape), still, np.random.default_rng(seed)) for seed in range(60)]
    drawn = np.stack(fields) - np.indices(shape)
    for axis, size in enumerate(shape, start=2):
        drawn = drawn.take([0, size // 2, size - 1], axis)
    assert drawn.shape == (60, len(shape), *(3,) * len(shape))
    assert float(drawn.std()) == pytest.approx(10, rel=0.06)
    assert float(drawn.mean()) == pytest.approx(0, abs=1)


@pytest.mark.parametrize("shape", [(33, 65), (17, 9, 33)])
def test_displacements_are_one_smooth_surface(shape: tuple[int, ...]) -> None:
    """Seen at twice the resolution, it goes through the same points in half the steps."""
    fine_shape = tuple(2 * n - 1 for n in shape)
    coarse, fine = (draw_displacements(each, 10.0, 0) for each in (shape, fine_shape))
    np.testing.assert_allclose(fine[(slice(None), *(slice(None, None, 2),) * len(shape))], coarse, atol=1e-4)
    for axis in range(1, coarse.ndim):
        assert np.abs(np.diff(fine, axis=axis)).max() < 0.6 * np.abs(np.diff(coarse, axis=axis)).max()


def test_displacements_of_volumes_are_those_of_planes_along_each_axis() -> None:
    """Bicubic interpolation is separable, so torch's in a plane is the oracle."""
    made = draw_displacements((9, 12, 15), 5.0, 3)
    coarse = np.random.default_rng(3).normal(0, 5.0, (3, 3, 3, 3)).astype(np.float32)
    for plane, at in ((0, 0), (1, 4), (2, 8)):
        expected = torch.nn.functional.interpolate(
            torch.from_numpy(coarse[:, plane])[None], size=(12, 15), mode="bicubic", align_corners=True
        )[0]
        np.testing.assert_allclose(made[:, at], expected.numpy(), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_displacements_are_turned_flipped_and_scaled_with_the_patch(shape: tuple[int, ...]) -> None:
    """The field is the linear map of the displaced pixels, whichever way it is computed."""
    recipe, patch = Recipe(elastic=4), whole_patch(shape)
    center = np.reshape(patch.center, (-1, *[1] * len(shape)))
    for seed in range(5):
        rng = np.random.default_rng(seed)
        coarse = rng.normal(0, 4, (len(shape), *(3,) * len(shape))).astype(np.float32)
        matrix = linear_part(len(shape), recipe, rng)
        displaced = np.indices(shape) - center + interpolate(coarse, shape)
        field = make_field(patch, recipe, np.random.default_rng(seed))
        np.testing.assert_allclose(field, np.tensordot(matrix, displaced, 1) + center, atol=1e-4)


@pytest.mark.parametrize("shape", [(20, 24), (9, 12, 10), (1, 6)])
@pytest.mark.parametrize("deviation", [0.3, 0.7, 1.0, 2.0])
def test_blur_is_scipys(shape: tuple[int, ...], deviation: float) -> None:
    image = random_image(2, *shape)
    reach = max(1, round(3 * deviation))
    axes = tuple(range(1, image.ndim))
    expected = ndimage.gaussian_filter(image, deviation, mode="nearest", radius=reach, axes=axes)
    np.testing.assert_allclose(blur(image, deviation), expected, atol=2e-5)
    constant = np.full((1, *shape), 3.5, np.float32)
    np.testing.assert_allclose(blur(constant, deviation), 3.5, rtol=1e-6)


def test_blur_keeps_the_mean_away_from_the_border() -> None:
    image = np.zeros((1, 21, 21), np.float32)
    image[0, 10, 10] = 7.0
    assert float(blur(image, 1.0).sum()) == pytest.approx(7, rel=1e-5)


@pytest.mark.parametrize("power", [0.6, 1.0, 1.5])
def test_gamma_keeps_the_range_and_the_order(power: float) -> None:
    image = random_image(1, 9, 9) * 6 - 2
    changed = apply_gamma(image, power)
    assert float(changed.min()) == pytest.approx(float(image.min()), abs=1e-5)
    assert float(changed.max()) == pytest.approx(float(image.max()), abs=1e-5)
    assert np.array_equal(changed.ravel().argsort(), image.ravel().argsort())
    assert np.isfinite(apply_gamma(np.full((1, 3, 3), 2, np.float32), power)).all()


def test_intensities_never_change_at_probability_0() -> None:
    image = random_image(1, 9, 9)
    for seed in range(20):
        assert np.array_equal(change_intensities(image, 0, np.random.default_rng(seed)), image)


@pytest.mark.parametrize("shape", [(9, 9), (4, 5, 6), (1, 1)])
def test_changed_intensities_are_new_and_finite(shape: tuple[int, ...]) -> None:
    image = random_image(2, *shape)
    before = image.copy()
    for seed in range(10):
        changed = change_intensities(image, 1, np.random.default_rng(seed))
        assert np.array_equal(image, before)
        assert (changed.shape, changed.dtype) == (image.shape, np.float32)
        assert np.isfinite(changed).all()
        assert np.prod(shape) == 1 or not np.array_equal(changed, image)


def test_intensity_changes_happen_as_often_as_asked() -> None:
    image = random_image(1, 6, 6)
    same = [np.array_equal(change_intensities(image, 0.2, np.random.default_rng(seed)), image) for seed in range(600)]
    assert np.mean(same) == pytest.approx(0.8**5, abs=0.06)


class Recording(np.ndarray):
    """An image that notes what is read of it."""

    read: list[tuple[int, ...]]

    def __getitem__(self, key: Any) -> Any:
        block = np.asarray(self).__getitem__(key)
        self.read.append(block.shape)
        return block


@pytest.mark.parametrize("center", [(200.0, 300.0), (5.0, 5.0)])
def test_only_the_box_around_a_patch_is_read(center: tuple[float, float]) -> None:
    image = random_image(1, 400, 500).view(Recording)
    image.read = []
    field = make_field(Patch(center, (16, 16), (0, 0)), Recipe(elastic=3), np.random.default_rng(0))
    inside = reflect(field, (400, 500))
    sample_image(image, inside, PLAIN)
    (shape,) = image.read
    assert shape[1:] == tuple(int(np.ceil(line.max())) - int(line.min()) + 1 for line in inside)
    assert shape[1] * shape[2] < 2500
