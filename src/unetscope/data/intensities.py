"""What intensities an image holds, measured in slabs so that a mapped one stays on disk; knows arrays of numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from math import prod
from typing import Any

import numpy as np

from unetscope.errors import ImageError

Array = np.ndarray[Any, np.dtype[Any]]

_SLAB_VALUES = 2**21
_COUNTABLE = (np.dtype(np.uint8), np.dtype(np.uint16))  # so few values that counting them is faster


@dataclass(frozen=True)
class Statistics:
    """Intensities of an image or of several, per channel.

    Attributes:
        count: Pixels in each channel.
        mean: Mean intensity.
        std: Standard deviation of the intensities (of the population); 0 where all are equal, and below 1e-150.
        low: Smallest intensity.
        high: Largest intensity.
        dtype: NumPy's name of the stored type.
    """

    count: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    dtype: str


def measure(image: Array, name: str = "") -> Statistics:
    """Measure an image in slabs along its first spatial axis, so that a mapped image stays on disk.

    Args:
        image: (channels, [z,] y, x), integers or floats.
        name: What to call it in a message.

    Returns:
        Mean, standard deviation and range of each channel, accurate to rounding in float64.

    Raises:
        ImageError: The image holds NaN, infinite or overflowing values.

    Example:
        >>> measure(np.array([[[1, 3], [1, 3]]], np.uint8)).std
        (1.0,)
    """
    return reduce(combine, (_measure_slab(slab, name) for slab in _slabs(image)))


def check_finite(image: Array, name: str = "") -> None:
    """Refuse an image with NaN or infinite values; integers need no look.

    Args:
        image: (channels, [z,] y, x).
        name: What to call it in a message.

    Raises:
        ImageError: Not all values are finite.
    """
    if image.dtype.kind == "f":
        for slab in _slabs(image):
            _check_limits(slab.min(), slab.max(), name)


def combine(a: Statistics, b: Statistics) -> Statistics:
    """The statistics of two sets of pixels together.

    Source:
        Chan, Golub & LeVeque (1983), Algorithms for computing the sample variance, equations 2.1.

    Example:
        >>> black, white = (measure(np.full((1, 1, 1), value, np.uint8)) for value in (0, 2))
        >>> both = combine(black, white)
        >>> both.count, both.mean, both.std
        (2, (1.0,), (1.0,))
    """
    count = a.count + b.count
    mean_a, mean_b, std_a, std_b = (np.array(column) for column in (a.mean, b.mean, a.std, b.std))
    difference = mean_b - mean_a
    mean = mean_a + difference * (b.count / count)
    within = (np.square(std_a) * a.count + np.square(std_b) * b.count) / count
    std = np.sqrt(within + np.square(difference) * (a.count / count) * (b.count / count))
    low, high = np.minimum(a.low, b.low), np.maximum(a.high, b.high)
    return _gather(count, (mean, std, low, high), a.dtype)


def cut_slabs(shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Where an image is cut along its first spatial axis into slabs of about two million values.

    Args:
        shape: (channels, [z,] y, x).

    Returns:
        Start and stop of each.

    Example:
        >>> list(cut_slabs((1, 3000, 1024)))
        [(0, 2048), (2048, 3000)]
    """
    thickness = max(1, _SLAB_VALUES * shape[1] // max(1, prod(shape)))
    for start in range(0, shape[1], thickness):
        yield start, min(start + thickness, shape[1])


def _slabs(image: Array) -> Iterator[Array]:
    """The image cut along its first spatial axis."""
    for start, stop in cut_slabs(image.shape):
        yield image[:, start:stop]


def _measure_slab(slab: Array, name: str) -> Statistics:
    """The statistics of a block that fits into memory."""
    flat = slab.reshape(len(slab), -1)
    if flat.dtype in _COUNTABLE:
        mean, std, low, high = np.array([_moments(np.bincount(channel)) for channel in flat]).T
        return _gather(flat.shape[1], (mean, std, low, high), slab.dtype.name)
    low, high = flat.min(axis=1).astype(np.float64), flat.max(axis=1).astype(np.float64)
    _check_limits(low.min(), high.max(), name)
    # A mean of equal numbers is off by rounding, so a constant channel would seem to have contrast.
    mean = np.where(low == high, low, flat.mean(axis=1, dtype=np.float64))
    std = np.where(low == high, 0.0, np.sqrt(np.square(flat - mean[:, None]).mean(axis=1)))
    return _gather(flat.shape[1], (mean, std, low, high), slab.dtype.name)


def _moments(counts: Array) -> tuple[float, float, float, float]:
    """Mean, standard deviation, lowest and highest of the numbers 0, 1, ... that occur as often as `counts` says."""
    values = np.flatnonzero(counts)
    often, total = counts[values], int(counts.sum())
    mean = int(often @ values) / total
    return mean, float(np.sqrt(often @ np.square(values - mean) / total)), float(values[0]), float(values[-1])


def _check_limits(low: Any, high: Any, name: str) -> None:
    """Refuse NaN and infinity (the smallest of some values is NaN if one is) and what overflows when squared."""
    if not np.isfinite(low) or not np.isfinite(high):
        raise ImageError(
            f"{name or 'the image'} holds NaN or infinite values, and a network needs numbers; replace them"
        )
    if max(abs(float(low)), abs(float(high))) > 1e150:
        raise ImageError(f"{name or 'the image'} holds values beyond 1e150 ({low} to {high}); rescale it")


def _gather(count: int, columns: tuple[Array, Array, Array, Array], dtype: str) -> Statistics:
    """Statistics from columns of one number a channel."""
    mean, std, low, high = (tuple(column.tolist()) for column in columns)
    return Statistics(count, mean, std, low, high, dtype)
