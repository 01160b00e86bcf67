"""Samples whose information is known, because it is known how they are made; knows arrays only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unetscope.information.calibration.truths import PUZZLES
from unetscope.information.tally import Tally

Features = NDArray[np.float32]
Values = NDArray[np.float64]
Labels = NDArray[np.int64]

IMAGE_PIXELS = 200  # of one image in phantoms of pixels that are all independent
FAR = 10.0  # standard deviation of codewords in every dimension, beside which the kernel's noise is nothing
MEAN = 0.2  # bits per pixel of the clustered phantom
BETWEEN, WITHIN = 0.1, 0.6  # its standard deviations between images and between the pixels of an image
FEWEST, MOST = 100, 1000  # pixels of an image there


@dataclass(frozen=True, eq=False)
class Phantom:
    """Pixels with what is read there, what they are, and which image they belong to.

    Attributes:
        features: (P, channels), float32.
        labels: (P,) class of each pixel.
        groups: (P,) number of its image.
    """

    features: Features
    labels: Labels
    groups: Labels


def draw_gaussian_pairs(dimensions: int, correlation: float, count: int, seed: int) -> tuple[Values, Values]:
    """Pairs of standard Gaussians, each pair with the same correlation and independent of the others.

    Both sides are turned at random, which moves no information and hides the pairs. Known in closed form
    (`solve_gaussian_pairs`).

    Args:
        dimensions: Pairs.
        correlation: Within every pair.
        count: Samples.
        seed: Start of the randomness.

    Returns:
        Both sides, each (count, dimensions).
    """
    chance = begin(seed, "pairs", dimensions, correlation)
    left, noise = chance.standard_normal((2, count, dimensions))
    right = correlation * left + np.sqrt(1 - correlation**2) * noise
    return left @ draw_rotation(dimensions, chance), right @ draw_rotation(dimensions, chance)


def draw_gaussians(dimensions: int, count: int, seed: int) -> Values:
    """Standard Gaussians; what their copies with noise tell of them is known (`solve_noisy_copies`).

    Args:
        dimensions: Of every sample.
        count: Samples.
        seed: Start of the randomness.

    Returns:
        (count, dimensions).
    """
    return begin(seed, "gaussians", dimensions).standard_normal((count, dimensions))


def draw_codewords(words: int, dimensions: int, count: int, seed: int) -> tuple[Values, Labels]:
    """Samples that are one of a few codewords, far apart: each tells its codeword and nothing else.

    What is known is the entropy of the codewords as often as they were drawn.

    Args:
        words: Codewords.
        dimensions: Of every codeword.
        count: Samples.
        seed: Start of the randomness.

    Returns:
        The samples (count, dimensions), and the number of the codeword of each (count,).
    """
    chance = begin(seed, "codewords", words)
    book = FAR * chance.standard_normal((words, dimensions))
    codes = chance.integers(words, size=count)
    return book[codes], codes


def draw_two_classes(share: float, distance: float, dimensions: int, count: int, seed: int) -> Phantom:
    """Gaussian features whose mean the class moves along one direction out of many.

    The best reader is linear and looks along that direction alone, hence the truth is an integral
    (`integrate_two_classes`); a reader that is taught by samples must find the direction.

    Args:
        share: Probability of class 1.
        distance: Between the two means, in standard deviations.
        dimensions: Channels.
        count: Pixels.
        seed: Start of the randomness.
    """
    chance = begin(seed, "classes", share, distance, dimensions)
    labels = (chance.random(count) < share).astype(np.int64)
    direction = chance.standard_normal(dimensions)
    direction *= distance / np.linalg.norm(direction)
    features = chance.standard_normal((count, dimensions), np.float32)
    features += np.outer(labels - 0.5, direction).astype(np.float32)
    return Phantom(features, labels, _number_images(count))


def draw_independent(dimensions: int, count: int, seed: int) -> Phantom:
    """Features and classes that have nothing to do with each other: 0 bits.

    Args:
        dimensions: Channels.
        count: Pixels.
        seed: Start of the randomness.
    """
    chance = begin(seed, "independent", dimensions)
    features = chance.standard_normal((count, dimensions), np.float32)
    return Phantom(features, chance.integers(2, size=count), _number_images(count))


def draw_puzzle(name: str, dimensions: int, count: int, seed: int) -> tuple[Phantom, Phantom]:
    """Two parts that carry one bit each, and labels that follow from the two bits.

    A bit is one of the axes of its part, as large as the noise along all others, and the part is turned at random: no
    single channel shows the bit, yet nothing of it is lost. Known by enumeration (`enumerate_puzzle`).

    Args:
        name: One of `PUZZLES`.
        dimensions: Channels of each part.
        count: Pixels.
        seed: Start of the randomness.

    Returns:
        The parts A and B, with the same labels.
    """
    chance = begin(seed, name)
    first, other = chance.integers(2, size=(2, count))
    second = first if name == "COPY" else other
    labels = np.array([[PUZZLES[name](a, b) for b in (0, 1)] for a in (0, 1)])[first, second]
    images = _number_images(count)
    a, b = (_hide(bits, dimensions, chance) for bits in (first, second))
    return Phantom(a, labels, images), Phantom(b, labels, images)


def draw_clustered(images: int, seed: int) -> Tally:
    """Gains of images that differ: each has its own mean, its own number of pixels, and noise in every pixel.

    The mean over all images that could be drawn is `MEAN`. Pixels of one image share its mean, so an interval that
    takes pixels for independent covers far too little.

    Args:
        images: How many.
        seed: Start of the randomness.
    """
    chance = begin(seed, "clustered", images)
    counts = chance.integers(FEWEST, MOST, size=images, endpoint=True)
    means = MEAN + BETWEEN * chance.standard_normal(images)
    noise = WITHIN * np.sqrt(counts) * chance.standard_normal(images)
    return Tally.of(means * counts + noise, counts.astype(np.float64))


def begin(seed: int, *phantom: object) -> np.random.Generator:
    """Randomness of its own for every kind of phantom, so that no two rows are off together by chance.

    Args:
        seed: The draw.
        phantom: What is drawn; the same words give the same randomness.

    Example:
        >>> bool(begin(0, "a", 1).random() == begin(0, "a", 1).random() != begin(0, "a", 2).random())
        True
    """
    return np.random.default_rng([seed, *repr(phantom).encode()])


def draw_rotation(dimensions: int, chance: np.random.Generator) -> Values:
    """A turn about the origin, all equally likely (Mezzadri 2007): (dimensions, dimensions)."""
    turned, triangle = np.linalg.qr(chance.standard_normal((dimensions, dimensions)))
    return turned * np.sign(np.diag(triangle))


def _hide(bits: Labels, dimensions: int, chance: np.random.Generator) -> Features:
    """A bit as -1 or 1 along one axis, noise along the others, all turned at random."""
    features = chance.standard_normal((len(bits), dimensions))
    features[:, 0] = 2 * bits - 1
    return (features @ draw_rotation(dimensions, chance)).astype(np.float32)


def _number_images(count: int) -> Labels:
    return np.arange(count) // IMAGE_PIXELS
