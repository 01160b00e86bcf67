"""A window of any size in a few hundred numbers, sharp in the middle and coarse outside; knows arrays, not images.

The innermost pixels (7 x 7, in 3D 3 x 3 x 3) are taken as they are. Around them lie three rings, each twice as coarse
as the one before: weighted means of the image under tents, and how much the image varies under each tent. What is known
of a window is all that is known of a smaller one and something more, and no number looks beyond its window.

Source:
    Tents are linear interpolation turned around (Burt & Adelson 1983, The Laplacian pyramid as a compact image code,
    with its shortest kernel), so that together they weigh all pixels alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Windows = NDArray[np.float32]

INNER = {2: 7, 3: 3}  # pixels per axis that are seen as they are
RINGS = 3


def window_sizes(ndim: int) -> tuple[int, ...]:
    """The sizes of windows that can be told apart, pixels per axis, ascending.

    Example:
        >>> window_sizes(2), window_sizes(3)
        ((1, 3, 7, 15, 31, 63), (1, 3, 7, 15, 31))
    """
    inner = INNER[ndim]
    sharp = [2**power - 1 for power in range(1, 10) if 2**power - 1 <= inner]
    return (*sharp, *(_ring_size(ndim, ring) for ring in range(1, RINGS + 1)))


def find_columns(ndim: int, channels: int) -> NDArray[np.int64]:
    """For every number that `describe_windows` returns, the smallest window that it can be had from.

    Args:
        ndim: Number of spatial axes, 2 or 3.
        channels: Channels of the image.

    Returns:
        (numbers,) sizes among `window_sizes`.

    Example:
        >>> [int((find_columns(2, 1) <= size).sum()) for size in window_sizes(2)]
        [1, 9, 49, 129, 209, 289]
        >>> [int((find_columns(3, 1) <= size).sum()) for size in window_sizes(3)]
        [1, 27, 79, 131, 183]
    """
    sizes = np.array(window_sizes(ndim))
    radius = INNER[ndim] // 2
    distances = np.array([max(map(abs, place)) for place in product(range(-radius, radius + 1), repeat=ndim)])
    sharp = sizes[np.searchsorted(sizes, 2 * distances + 1)]
    coarse = np.repeat(sizes[-RINGS:], 2 * int(_is_outside(ndim).sum()))
    return np.tile(np.concatenate([sharp, coarse]), channels)


def describe_windows(windows: Windows) -> NDArray[np.float32]:
    """Windows of the largest size as a few hundred numbers each.

    Args:
        windows: (count, channels, [z,] y, x), as large as the largest of `window_sizes`.

    Returns:
        (count, numbers), for the columns of `find_columns`.

    Example:
        >>> describe_windows(np.ones((5, 1, 63, 63), np.float32)).shape
        (5, 289)
    """
    count, ndim = len(windows), windows.ndim - 2
    parts = [_middle(windows, INNER[ndim]).reshape(*windows.shape[:2], -1), *_rings(windows, ndim)]
    return np.concatenate(parts, axis=2).reshape(count, -1)


def _rings(windows: Windows, ndim: int) -> Iterator[NDArray[np.float32]]:
    """Mean and spread under the tents of each ring, (count, channels, tents)."""
    outside = _is_outside(ndim)
    for ring in range(1, RINGS + 1):
        seen, tents = _middle(windows, _ring_size(ndim, ring)), _place_tents(ndim, ring)
        mean, square = (_weigh(values, tents)[:, :, outside] for values in (seen, seen * seen))
        yield mean
        yield np.sqrt(np.maximum(square - mean * mean, 0))


def _weigh(values: NDArray[np.float32], tents: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means under tents along every spatial axis, the last axis first, so that nothing is ever transposed."""
    shape = values.shape
    values = values @ tents.T
    for axis in range(values.ndim - 2, 1, -1):
        values = tents @ values.reshape(-1, shape[axis], len(tents) ** (len(shape) - 1 - axis))
    return values.reshape(*shape[:2], *[len(tents)] * (len(shape) - 2))


def _place_tents(ndim: int, ring: int) -> NDArray[np.float32]:
    """(tents, pixels) along one axis: a tent every 2^ring pixels, which falls to zero at its neighbors' tops."""
    step, reach = 2**ring, INNER[ndim] // 2
    pixels = np.arange(_ring_size(ndim, ring)) - _ring_size(ndim, ring) // 2
    tops = step * np.arange(-reach, reach + 1)
    weights: NDArray[np.int64] = np.maximum(step - abs(pixels - tops[:, None]), 0)
    return np.asarray(weights / step**2, np.float32)


def _is_outside(ndim: int) -> NDArray[np.bool_]:
    """Of the tents of a ring, those that reach out of the next smaller window."""
    reach = INNER[ndim] // 2
    nearest = abs(np.arange(-reach, reach + 1)) > (reach - 1) // 2
    grid: Any = np.meshgrid(*[nearest] * ndim, indexing="ij")
    outside: NDArray[np.bool_] = np.any(grid, axis=0)
    return outside


def _ring_size(ndim: int, ring: int) -> int:
    """Pixels per axis of the window that ends with a ring."""
    return ((INNER[ndim] + 1) << ring) - 1


def _middle(windows: Windows, size: int) -> Windows:
    """The middle of windows."""
    first = (windows.shape[-1] - size) // 2
    inner: tuple[Any, ...] = (..., *[slice(first, first + size)] * (windows.ndim - 2))
    middle: Windows = windows[inner]
    return middle
