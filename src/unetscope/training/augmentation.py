"""Augmentation of one patch: one composed coordinate field, resampled once, then intensities; knows arrays, no files.

The field says for every pixel of the patch where in the image it comes from. Flips, rotation, scaling and elastic
deformation all change the field; the image is interpolated and the labels are looked up in it only once.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
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


def make_field(patch: Patch, recipe: Recipe, rng: np.random.Generator) -> Tensor:
    """The augmented coordinates of a patch.

    Args:
        patch: Where it is cut.
        recipe: The strength of each change.
        rng: Randomness.

    Returns:
        (axes, *shape) float32 positions in the image, pixels; may lie outside, where the image is mirrored.

    Source:
        Ronneberger, Fischer, Brox 2015, section 3.1 (random displacements on a coarse 3x3 grid, bicubic
        interpolation); the 3D analogue interpolates a 3x3x3 grid along each axis.

    Example:
        >>> still = Recipe(flip=0, rotation=0, scaling=1, elastic=0)
        >>> make_field(Patch((1.5, 1.5), (4, 4), (0, 0)), still, np.random.default_rng(0))[:, 0, 3].tolist()
        [0.0, 3.0]
    """
    axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in patch.shape]
    field = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    deviation = min(MOST_ELASTIC, ELASTIC_SHARE * min(patch.shape)) if recipe.elastic is None else recipe.elastic
    if deviation:
        field = field + elastic_displacement(patch.shape, deviation, rng)
    turned = torch.einsum("ab,b...->a...", torch.from_numpy(linear_part(len(axes), recipe, rng)), field)
    return turned + torch.tensor(patch.center, dtype=torch.float32).reshape(-1, *[1] * len(axes))


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


def elastic_displacement(shape: tuple[int, ...], deviation: float, rng: np.random.Generator) -> Tensor:
    """Smooth random displacements.

    Args:
        shape: Pixels per axis.
        deviation: Standard deviation on the coarse grid, pixels.
        rng: Randomness.

    Returns:
        (axes, *shape) displacements, pixels.
    """
    ndim = len(shape)
    coarse = torch.from_numpy(rng.normal(0, deviation, (ndim, *(GRID,) * ndim)).astype(np.float32))
    for axis, size in enumerate(shape, start=1):
        coarse = torch.movedim(torch.tensordot(cubic_weights(size), coarse, dims=([1], [axis])), 0, axis)
    return coarse


def cubic_weights(size: int) -> Tensor:
    """(size, 3) weights of cubic interpolation from a grid of 3 whose ends lie on the first and last pixel."""
    unit = torch.eye(GRID)[None, None]
    return functional.interpolate(unit, size=(size, GRID), mode="bicubic", align_corners=True)[0, 0]


def sample_image(image: NDArray[np.generic], field: Tensor, affine: Affine) -> Tensor:
    """The normalized intensities at the field's positions, interpolated linearly.

    Args:
        image: (channels, [z,] y, x); only the box around the field is read.
        field: (axes, *shape) positions, pixels.
        affine: Normalization of this image.

    Returns:
        (channels, *shape) float32.
    """
    inside = reflect(field, image.shape[1:])
    box = [(int(c.min().floor()), int(c.max().ceil()) + 1) for c in inside]
    block = affine.apply(np.asarray(image[(slice(None), *(slice(a, b) for a, b in box))]))
    unit = [2 * (position - a) / max(1, b - a - 1) - 1 for position, (a, b) in zip(inside, box, strict=True)]
    grid = torch.stack(unit[::-1], dim=-1)  # torch wants x first
    return functional.grid_sample(
        torch.from_numpy(block)[None], grid[None], mode="bilinear", padding_mode="border", align_corners=True
    )[0]


def sample_labels(labels: NDArray[np.generic], field: Tensor) -> Tensor:
    """The labels at the pixels nearest to the field's positions, exactly as they are.

    Args:
        labels: ([z,] y, x) class indices.
        field: (axes, *shape) positions, pixels.

    Returns:
        (*shape) int64.
    """
    inside = reflect(field, labels.shape)
    at = tuple(np.rint(position.numpy()).astype(np.intp) for position in inside)
    return torch.from_numpy(labels[at].astype(np.int64))


def reflect(field: Tensor, shape: tuple[int, ...]) -> list[Tensor]:
    """Positions per axis with the image mirrored endlessly at the centers of its border pixels."""
    inside = []
    for position, length in zip(field, shape, strict=True):
        period = max(1, 2 * (length - 1))
        position = position.remainder(period)
        inside.append(torch.minimum(position, period - position).clamp(0, length - 1))
    return inside


def change_intensities(image: Tensor, probability: float, rng: np.random.Generator) -> Tensor:
    """Random brightness, contrast, gamma, blur and noise, each in units of the patch's own standard deviation.

    Args:
        image: (channels, *shape).
        probability: Of each change.
        rng: Randomness.

    Returns:
        (channels, *shape); the argument is not changed.
    """
    chosen = rng.random(5) < probability
    spread = float(image.std()) if image.numel() > 1 else 0.0
    if chosen[0]:
        shift = rng.normal(0, BRIGHTNESS * spread, (image.shape[0], *[1] * (image.ndim - 1)))
        image = image + torch.from_numpy(shift.astype(np.float32))
    if chosen[1]:
        image = (image - image.mean()) * float(np.exp(rng.uniform(-1, 1) * np.log(CONTRAST))) + image.mean()
    if chosen[2]:
        image = apply_gamma(image, float(np.exp(rng.uniform(-1, 1) * np.log(GAMMA))))
    if chosen[3]:
        image = blur(image, float(rng.uniform(0.3, BLUR)))
    if chosen[4]:
        noise = rng.standard_normal(image.shape, dtype=np.float32) * float(rng.uniform(0, NOISE) * spread)
        image = image + torch.from_numpy(noise)
    return image


def apply_gamma(image: Tensor, power: float) -> Tensor:
    """Raise the intensities, mapped to 0 ... 1, to a power; the range stays what it was."""
    low, high = image.min(), image.max()
    span = (high - low).clamp_min(1e-6)
    return ((image - low) / span).pow(power) * span + low


def blur(image: Tensor, deviation: float) -> Tensor:
    """Gaussian blur along every axis; the border pixel is repeated."""
    reach = max(1, round(3 * deviation))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / deviation) ** 2)
    kernel = (kernel / kernel.sum()).reshape(1, 1, -1)
    for axis in range(1, image.ndim):
        lines = image.movedim(axis, -1)
        padded = functional.pad(lines.reshape(-1, 1, lines.shape[-1]), (reach, reach), mode="replicate")
        image = functional.conv1d(padded, kernel).reshape(lines.shape).movedim(-1, axis)
    return image
