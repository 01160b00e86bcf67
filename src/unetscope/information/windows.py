"""What can be read without any network: windows of the image, and places; knows arrays, not networks.

These are the floors of a profile: a layer that tells no more than a small window of its input has not looked further,
and what the place alone tells is no knowledge of the image.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from unetscope.errors import RecipeError
from unetscope.information.pixels import Pixels
from unetscope.information.reading import Reading
from unetscope.information.views import Views
from unetscope.tiles import read_mirrored

ORDERS = {2: 6, 3: 5}
"""Total order of the cosines that describe a place, by the number of axes: 27 of them in 2D, 55 in 3D."""

NEGLIGIBLE = 1e-12  # of the largest variance: rounding


def read_patches(views: Views, pixels: Pixels, size: int) -> Reading:
    """The window of the image around every sampled pixel, mirrored at the border.

    Args:
        views: The images.
        pixels: Where windows are centered.
        size: Side of the window, pixels, odd.

    Returns:
        (P, channels x size^ndim), one row for each pixel: the channels in turn, each in the order of its pixels.

    Raises:
        RecipeError: The size is even or below 1.
    """
    if size < 1 or size % 2 == 0:
        raise RecipeError(f"the window is {size} pixels wide, and it has a pixel at its center; use {max(1, size + 1)}")
    parts = []
    for index, view in enumerate(views):
        box = tuple(slice(-(size // 2), length + size // 2) for length in view.image.shape[1:])
        axes = tuple(range(1, 1 + views.ndim))
        windows = sliding_window_view(read_mirrored(view.image, box), (size,) * views.ndim, axes)
        place = pixels.place[pixels.of(index)]
        parts.append(np.moveaxis(windows[(slice(None), *place.T)], 0, 1).reshape(len(place), -1))
    return Reading.of(np.concatenate(parts))


def principal_patches(views: Views, pixels: Pixels, size: int, components: int = 32) -> NDArray[np.float64]:
    """The window of the image around every sampled pixel, as scores of its first principal components.

    Args:
        views: The images.
        pixels: Where windows are centered.
        size: Side of the window, pixels, odd.
        components: How many are kept at most; those without variance are not.

    Returns:
        (P, at most `components`) centered scores, the largest variance first.

    Raises:
        RecipeError: The size is even or below 1.
    """
    patches = read_patches(views, pixels, size).features.astype(np.float64)
    patches -= patches.mean(0)
    variances, directions = np.linalg.eigh(patches.T @ patches / len(patches))
    kept = np.argsort(-variances)[:components]
    kept = kept[variances[kept] > NEGLIGIBLE * max(variances.max(), np.finfo(float).tiny)]
    scores: NDArray[np.float64] = patches @ directions[:, kept]
    return scores


def position_features(pixels: Pixels) -> Reading:
    """Where every sampled pixel lies in its image, as products of cosines of its relative coordinates.

    Args:
        pixels: The pixels.

    Returns:
        (P, 27) in 2D, (P, 55) in 3D: smooth functions up to total order 6 or 5, from which a linear reader can put
        together any smooth map of how likely each class is where.
    """
    most = ORDERS[pixels.ndim]
    orders = [each for each in product(range(most + 1), repeat=pixels.ndim) if 0 < sum(each) <= most]
    phases = np.pi * (pixels.relative + 1) / 2
    waves = np.cos(phases[:, None] * np.array(orders))
    return Reading.of(waves.prod(axis=-1))
