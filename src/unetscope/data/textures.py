"""Noise and blobs from which scenes are painted; knows arrays and random numbers, neither classes nor files."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import affine_transform
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]


def smooth_noise(shape: tuple[int, ...], wavelength: float, rng: Generator) -> Floats:
    """Gaussian noise on a coarse lattice, interpolated by cubic splines.

    Args:
        shape: Pixels per axis.
        wavelength: Pixels between two independent values.
        rng: Where the randomness comes from.

    Returns:
        An array of `shape` with mean 0 and standard deviation near 1 over many draws.

    Example:
        >>> smooth_noise((4, 6), 3.0, np.random.default_rng(0)).shape
        (4, 6)
    """
    lattice = rng.standard_normal([math.ceil(size / wavelength) + 4 for size in shape])
    steps = np.full(len(shape), 1 / wavelength)
    return np.asarray(affine_transform(lattice, steps, offset=1 + rng.random(len(shape)), output_shape=shape, order=3))


def fractal_noise(shape: tuple[int, ...], wavelength: float, octaves: int, rng: Generator) -> Floats:
    """Smooth noise summed over octaves: each has half the wavelength and half the strength of the one before.

    Args:
        shape: Pixels per axis.
        wavelength: Pixels between two independent values of the coarsest octave.
        octaves: How many to sum, at least 1.
        rng: Where the randomness comes from.

    Returns:
        An array of `shape` with mean 0 and standard deviation near 1 over many draws.

    Source: Perlin, "An image synthesizer", SIGGRAPH 1985, the sum of 1/f bands.

    Example:
        >>> fractal_noise((2, 3, 4), 8.0, 3, np.random.default_rng(0)).shape
        (2, 3, 4)
    """
    strengths = [0.5**octave for octave in range(octaves)]
    bands = [strength * smooth_noise(shape, wavelength * strength, rng) for strength in strengths]
    return np.asarray(sum(bands) / math.hypot(*strengths))


def warped_grid(shape: tuple[int, ...], waves: tuple[tuple[float, float], ...], rng: Generator) -> Floats:
    """Pixel coordinates, displaced smoothly: straight lines of the warped plane are curved in the image.

    Args:
        shape: Pixels per axis.
        waves: Wavelength and strength (standard deviation of the displacement), in pixels, of every wave to add.
        rng: Where the randomness comes from.

    Returns:
        Coordinates, (axes, *shape).

    Example:
        >>> warped_grid((1, 3), (), np.random.default_rng(0)).tolist()
        [[[0.0, 0.0, 0.0]], [[0.0, 1.0, 2.0]]]
    """
    grid = np.indices(shape, dtype=np.float64)
    for wavelength, strength in waves:
        grid += strength * np.stack([smooth_noise(shape, wavelength, rng) for _ in shape])
    return grid


def random_rotation(axes: int, rng: Generator) -> Floats:
    """An orthogonal matrix in a random direction."""
    return np.linalg.qr(rng.standard_normal((axes, axes)))[0]


def tessellate(shape: tuple[int, ...], spacing: float, rng: Generator) -> tuple[NDArray[np.intp], Floats]:
    """Cells of varied size that fill the image, stretched in a random direction and with curved borders.

    They are the section of a Voronoi tessellation with one more axis than the image, as a microscope's image is a
    section of tissue; that makes some cells small.

    Args:
        shape: Pixels per axis.
        spacing: Typical diameter of a cell, in pixels.
        rng: Where the randomness comes from.

    Returns:
        The number of the cell that each pixel is in, counted from 0, and its distance to the nearest border in pixels
        (before the borders are curved, which changes it by a few tens of percent).

    Example:
        >>> owner, depth = tessellate((40, 40), 10.0, np.random.default_rng(0))
        >>> bool((depth >= 0).all())
        True
    """
    axes = len(shape)
    seeds = _jittered_seeds(shape, spacing, rng)
    turn = random_rotation(axes, rng)
    stretched = (turn * np.array([0.8, 1.3, 1.0])[:axes]) @ turn.T
    grid = warped_grid(shape, ((2.0 * spacing, 0.3 * spacing), (0.7 * spacing, 0.1 * spacing)), rng)
    middle = np.array(shape) / 2
    points = (np.moveaxis(grid, 0, -1) - middle) @ stretched + middle
    distances, nearest = cKDTree(seeds).query(np.concatenate([points, np.zeros((*shape, 1))], axis=-1), k=3)
    in_plane = seeds[nearest][..., :axes]
    apart = np.linalg.norm(in_plane[..., 1:, :] - in_plane[..., :1, :], axis=-1)
    depth = (distances[..., 1:] ** 2 - distances[..., :1] ** 2) / (2 * np.maximum(apart, 1e-3))
    owner = np.unique(nearest[..., 0], return_inverse=True)[1].reshape(shape)
    return owner, depth.min(axis=-1)


def _jittered_seeds(shape: tuple[int, ...], spacing: float, rng: Generator) -> Floats:
    """One point at random in every box of a grid around the image, in a slab that has one more axis."""
    ranges = [np.arange(-2 * spacing, size + 2 * spacing, spacing) for size in shape]
    corners = np.stack(np.meshgrid(*ranges, [-spacing, 0.0], indexing="ij"), axis=-1).reshape(-1, len(shape) + 1)
    return np.asarray(corners + spacing * rng.random(corners.shape))


@dataclass(frozen=True)
class Blob:
    """An ellipse or ellipsoid whose radius is perturbed smoothly with the direction.

    Attributes:
        center: Pixels per axis; it may lie outside the image.
        semi_axes: Pixels, one for every axis of the unperturbed ellipsoid, before it is turned.
        rotation: Orthogonal matrix that turns image axes into the ellipsoid's.
        waves: Wave vectors on the unit sphere of directions, (waves, axes).
        phases: Phase of every wave, in radians.
        roughness: Largest relative change of the radius, 0 (an ellipsoid) to below 1.

    Source: Lehmussola et al., "Computational framework for simulating fluorescence microscope images with cell
    populations", IEEE TMI 26(7), 2007, equation 1 (there with independent draws per vertex, here with waves, so that
    it holds in three dimensions too).

    Example:
        >>> disk = Blob.random(np.array([4.0, 4.0]), np.array([2.0, 2.0]), 0.0, np.random.default_rng(0))
        >>> window, radius = disk.paint((9, 9))
        >>> int((radius <= 1).sum())
        13
    """

    center: Floats
    semi_axes: Floats
    rotation: Floats
    waves: Floats
    phases: Floats
    roughness: float

    @classmethod
    def random(cls, center: Floats, semi_axes: Floats, roughness: float, rng: Generator) -> Blob:
        """A blob of the given size, turned and perturbed at random."""
        axes, count = len(center), 4
        waves = rng.normal(0.0, 2.5, (count, axes))
        return cls(center, semi_axes, random_rotation(axes, rng), waves, rng.uniform(0, 2 * math.pi, count), roughness)

    def paint(self, shape: tuple[int, ...], margin: float = 0.0) -> tuple[tuple[slice, ...], Floats]:
        """The window of the image that holds the blob, and how far each of its pixels is from the center.

        Args:
            shape: Pixels per axis of the image.
            margin: Pixels to keep around the blob.

        Returns:
            The window (empty where the blob lies outside the image) and the relative radius of its pixels: at most 1
            inside the blob, more outside.
        """
        reach = self.semi_axes.max() * (1 + self.roughness) + margin
        lows = [int(np.clip(math.floor(at - reach), 0, size)) for at, size in zip(self.center, shape, strict=True)]
        highs = [int(np.clip(math.ceil(at + reach) + 1, 0, size)) for at, size in zip(self.center, shape, strict=True)]
        window = tuple(slice(low, max(low, high)) for low, high in zip(lows, highs, strict=True))
        return window, self._relative_radius(np.array(np.mgrid[window], np.float64))

    def _relative_radius(self, grid: Floats) -> Floats:
        """Distance from the center over the perturbed radius in that direction."""
        offsets = np.tensordot(self.rotation, grid - self.center.reshape(-1, *[1] * len(self.center)), 1)
        scaled = offsets / self.semi_axes.reshape(-1, *[1] * len(self.semi_axes))
        radius = np.sqrt((scaled**2).sum(axis=0))
        directions = np.moveaxis(scaled / np.maximum(radius, 1e-9), 0, -1)
        bumps = np.cos(directions @ self.waves.T + self.phases).mean(axis=-1)
        return np.asarray(radius / (1 + self.roughness * bumps))
