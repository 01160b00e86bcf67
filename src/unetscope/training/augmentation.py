"""Augmentation of one patch: one composed coordinate field, resampled once, then intensities; knows arrays, no files.

The field says for every pixel of the patch where in the image it comes from. Flips, rotation, scaling and elastic
deformation all change the field; the image is interpolated and the labels are looked up in it only once.

Everything runs in numpy, in the thread that asks for it: torch would share each of these small operations out among the
threads that compute the training step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from unetscope.data.normalization import Affine
from unetscope.training.recipe import Recipe

GRID = 3  # displacements per axis (Ronneberger et al. 2015, section 3.1)
ELASTIC_SHARE, MOST_ELASTIC = 0.04, 10.0  # of the patch; pixels (the paper's)
OUT_OF_PLANE = 15.0  # degrees: volumes are rarely turned over
NOISE, BRIGHTNESS, CONTRAST, GAMMA, BLUR = 0.15, 0.3, 1.4, 1.5, 1.0


@dataclass(frozen=True)
class Patch:
    """Where a patch is cut.

    Attributes:
        center: Position of its center in the image, pixels per axis.
        shape: What the network reads, pixels per axis.
        margin: Pixels per side and axis that the network does not label.
    """

    center: tuple[float, ...]
    shape: tuple[int, ...]
    margin: tuple[int, ...]


def make_field(patch: Patch, recipe: Recipe, rng: np.random.Generator) -> NDArray[np.float32]:
    """The augmented coordinates of a patch.

    Args:
        patch: Where it is cut.
        recipe: The strength of each change.
        rng: Randomness.

    Returns:
        (axes, *shape) positions in the image, pixels; may lie outside, see `reflect`.

    Source:
        Ronneberger, Fischer, Brox 2015, section 3.1 (random displacements on a coarse 3x3 grid, bicubic
        interpolation); the 3D analogue interpolates a 3x3x3 grid along each axis.

    Example:
        >>> still = Recipe(flip=0, rotation=0, scaling=1, elastic=0)
        >>> make_field(Patch((1.5, 1.5), (4, 4), (0, 0)), still, np.random.default_rng(0))[:, 0, 3].tolist()
        [0.0, 3.0]
    """
    ndim = len(patch.shape)
    deviation = min(MOST_ELASTIC, ELASTIC_SHARE * min(patch.shape)) if recipe.elastic is None else recipe.elastic
    coarse = rng.normal(0, deviation, (ndim, *(GRID,) * ndim)) if deviation else None
    matrix = linear_part(ndim, recipe, rng)
    field = np.empty((ndim, *patch.shape), np.float32)
    field[...] = _along(np.asarray(patch.center, np.float32), 0, field.ndim)
    for axis, size in enumerate(patch.shape):
        line = np.arange(size, dtype=np.float32) - (size - 1) / 2
        field += _along(matrix[:, axis], 0, field.ndim) * _along(line, axis + 1, field.ndim)
    if coarse is not None:  # turned on the coarse grid: interpolation is linear, so the result is the same
        field += interpolate(np.tensordot(matrix, coarse.astype(np.float32), 1), patch.shape)
    return field


def _along(values: NDArray[np.float32], axis: int, ndim: int) -> NDArray[np.float32]:
    """Values along one axis of an array that is 1 wide along its others."""
    return values.reshape([-1 if each == axis else 1 for each in range(ndim)])


def linear_part(ndim: int, recipe: Recipe, rng: np.random.Generator) -> NDArray[np.float32]:
    """Random flips, rotation and scaling as one (axes, axes) matrix."""
    largest = recipe.rotation if recipe.rotation is not None else {2: 180.0, 3: 30.0}[ndim]
    matrix = np.eye(ndim)
    for first, second in combinations(range(ndim), 2):
        in_plane = first >= ndim - 2
        angle = np.deg2rad(rng.uniform(-1, 1) * (largest if in_plane else min(largest, OUT_OF_PLANE)))
        turn = np.eye(ndim)
        turn[[first, second], [first, second]] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    flip = np.where(rng.random(ndim) < recipe.flip, -1.0, 1.0)
    scale = np.exp(rng.uniform(-1, 1) * np.log(recipe.scaling))
    return np.asarray(matrix * flip * scale, np.float32)


def interpolate(coarse: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Smooth displacements between those of a coarse grid, whose ends lie on the first and last pixels.

    Args:
        coarse: (axes, 3, 3[, 3]) displacements, pixels.
        shape: Pixels per axis.

    Returns:
        (axes, *shape) displacements, pixels.
    """
    for size in shape:  # one axis after the other: what was first moves to the end, where it is interpolated
        coarse = np.moveaxis(coarse, 1, -1) @ cubic_weights(size).T
    return coarse


@lru_cache(maxsize=64)
def cubic_weights(size: int) -> NDArray[np.float32]:
    """(size, 3) weights of cubic interpolation from a grid of 3 whose ends lie on the first and last pixel."""
    unit = torch.eye(GRID)[None, None]
    return functional.interpolate(unit, size=(size, GRID), mode="bicubic", align_corners=True)[0, 0].numpy()


def reflect(field: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The positions inside of the image that its endless mirror images show at a field's positions.

    Args:
        field: (axes, ...) positions, pixels.
        shape: Of the image, pixels per axis; it is mirrored at the centers of its border pixels.

    Returns:
        (axes, ...) positions from 0 to the last pixel.

    Example:
        >>> reflect(np.array([[-1.5, 0.5, 4, 7]], np.float32), (4,)).tolist()
        [[1.5, 0.5, 2.0, 1.0]]
    """
    inside = np.abs(field)
    for position, length in zip(inside, shape, strict=True):
        period = 2 * (length - 1)
        if not period:
            position.fill(0)
            continue
        if position.max() > period:
            np.fmod(position, period, out=position)
        np.minimum(position, period - position, out=position)
    return inside


def sample_image(image: NDArray[np.generic], positions: NDArray[np.float32], affine: Affine) -> NDArray[np.float32]:
    """The normalized intensities at some positions, interpolated linearly.

    Args:
        image: (channels, [z,] y, x); only the box around the positions is read.
        positions: (axes, *shape), pixels, inside of the image.
        affine: Normalization of this image.

    Returns:
        (channels, *shape) float32.
    """
    box = [(int(line.min()), int(np.ceil(line.max())) + 1) for line in positions]
    block = affine.apply(np.asarray(image[(slice(None), *(slice(a, b) for a, b in box))]))
    grid = np.empty((*positions.shape[1:], len(box)), np.float32)
    for axis, (line, (a, b)) in enumerate(zip(positions, box, strict=True)):
        unit = line - a
        unit *= 2 / max(1, b - a - 1)
        unit -= 1
        grid[..., -1 - axis] = unit  # torch wants x first, and -1 ... 1 from end to end
    values = functional.grid_sample(
        torch.from_numpy(block)[None], torch.from_numpy(grid)[None], padding_mode="border", align_corners=True
    )
    return values[0].numpy()


def sample_labels(labels: NDArray[np.generic], positions: NDArray[np.float32]) -> NDArray[np.int64]:
    """The labels at the pixels nearest to some positions, exactly as they are.

    Args:
        labels: ([z,] y, x) class indices.
        positions: (axes, *shape), pixels, inside of the image.

    Returns:
        (*shape) class indices.
    """
    index = np.zeros(positions.shape[1:], np.intp)
    for line, length in zip(positions, labels.shape, strict=True):
        index *= length
        index += np.rint(line).astype(np.intp)
    return labels.reshape(-1).take(index).astype(np.int64)


def change_intensities(image: NDArray[np.float32], probability: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Random brightness, contrast, gamma, blur and noise, each in units of the patch's own standard deviation.

    Args:
        image: (channels, *shape).
        probability: Of each change.
        rng: Randomness.

    Returns:
        (channels, *shape); the argument is not changed.
    """
    chosen = rng.random(5) < probability
    spread = image.std() if chosen[0] or chosen[4] else np.float32(0)
    if chosen[0]:
        shift = rng.normal(0, BRIGHTNESS * spread, len(image)).astype(np.float32)
        image = image + _along(shift, 0, image.ndim)
    if chosen[1]:
        mean = image.mean()
        image = (image - mean) * np.float32(np.exp(rng.uniform(-1, 1) * np.log(CONTRAST))) + mean
    if chosen[2]:
        image = apply_gamma(image, float(np.exp(rng.uniform(-1, 1) * np.log(GAMMA))))
    if chosen[3]:
        image = blur(image, float(rng.uniform(0.3, BLUR)))
    if chosen[4]:
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        noise *= np.float32(rng.uniform(0, NOISE)) * spread
        image = image + noise
    return image


def apply_gamma(image: NDArray[np.float32], power: float) -> NDArray[np.float32]:
    """Raise the intensities, mapped to 0 ... 1, to a power; the range stays what it was."""
    low = image.min()
    span = max(image.max() - low, np.float32(1e-6))
    changed: NDArray[np.float32] = (image - low) / span
    np.power(changed, np.float32(power), out=changed)
    changed *= span
    changed += low
    return changed


def blur(image: NDArray[np.float32], deviation: float) -> NDArray[np.float32]:
    """Gaussian blur along every axis; the border pixel is repeated."""
    reach = max(1, round(3 * deviation))
    weights = np.exp(-0.5 * (np.arange(reach + 1) / deviation) ** 2)
    weights = (weights / (2 * weights.sum() - 1)).astype(np.float32)  # the middle once, all others on both sides
    for axis in range(1, image.ndim):
        length = image.shape[axis]
        sides = np.pad(image, [(reach, reach) if each == axis else (0, 0) for each in range(image.ndim)], "edge")
        lines = np.moveaxis(sides, axis, 0)
        blurred = lines[reach : reach + length] * weights[0]
        for away in range(1, reach + 1):
            pair = lines[reach - away :][:length] + lines[reach + away :][:length]
            pair *= weights[away]
            blurred += pair
        image = np.moveaxis(blurred, 0, axis)
    return np.ascontiguousarray(image)
