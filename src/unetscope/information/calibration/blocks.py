"""Images of blocks that are bright or dark under noise, and what any window or layer can know of them.

Knows arrays, and of networks only which pixels a layer reads.

Blocks are independent, so what lies outside a pixel's own block tells nothing about it; within the block, pixels
together are worth their mean. The label moves the mean of n pixels by twice the contrast times sqrt(n), in its own
standard deviations, and what is known of the label is an integral (`integrate_two_classes`). It bounds what every layer
of every network can know.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from unetscope.information.calibration.phantoms import Features, Labels, Phantom, begin
from unetscope.information.calibration.truths import integrate_two_classes
from unetscope.model.geometry import Interval, steps
from unetscope.model.spec import UNetSpec
from unetscope.wiring import IMAGE

SIDES = {2: 8, 3: 4}  # pixels of a block along each axis
CONTRAST = 0.25  # of a block, in standard deviations of the noise
BLOCKS = {2: 8, 3: 4}  # along each axis of an image

Number = TypeVar("Number", np.float32, np.int64)


@dataclass(frozen=True, eq=False)
class BlockImages:
    """Images with one label for every block.

    Attributes:
        images: (N, 1, [z,] y, x), float32.
        labels: (N, [z,] y, x), 1 in bright blocks and 0 in dark ones.
    """

    images: Features
    labels: Labels


def draw_blocks(ndim: int, count: int, seed: int) -> BlockImages:
    """Images of blocks, each bright or dark with equal chance, with noise of variance 1 in every pixel.

    Args:
        ndim: 2 for blocks of 8x8 pixels in images of 64x64, 3 for blocks of 4x4x4 in volumes of 16x16x16.
        count: Images.
        seed: Start of the randomness.
    """
    chance = begin(seed, "blocks", ndim)
    classes = chance.integers(2, size=(count, *(BLOCKS[ndim],) * ndim))
    labels = np.kron(classes, np.ones((1, *(SIDES[ndim],) * ndim), np.int64))
    noise = chance.standard_normal(labels.shape, np.float32)
    images = noise + (CONTRAST * (2 * labels - 1)).astype(np.float32)
    return BlockImages(images[:, None], labels)


def draw_windows(ndim: int, size: int, count: int, seed: int) -> Phantom:
    """One window in every block of some images, wholly inside it, at a random place.

    Args:
        ndim: 2 or 3.
        size: Pixels of the window along each axis, at most those of a block.
        count: Images.
        seed: Start of the randomness.

    Returns:
        A pixel for every block, whose features are its window's pixels.

    Example:
        >>> draw_windows(2, 3, 5, 0).features.shape
        (320, 9)
    """
    drawn = draw_blocks(ndim, count, seed)
    blocks, labels = _cut_blocks(drawn.images[:, 0], ndim), _cut_blocks(drawn.labels, ndim)
    windows = sliding_window_view(blocks, (size,) * ndim, axis=tuple(range(1, 1 + ndim)))
    chance = begin(seed, "windows", ndim, size)
    corners = chance.integers(SIDES[ndim] - size + 1, size=(ndim, len(blocks)))
    features = windows[(np.arange(len(blocks)), *corners)].reshape(len(blocks), -1)
    images = np.repeat(np.arange(count), BLOCKS[ndim] ** ndim)
    return Phantom(features, labels.reshape(len(blocks), -1)[:, 0], images)


def solve_window(pixels: int) -> float:
    """What so many pixels of one block tell about it, in bits.

    Example:
        >>> round(solve_window(64), 4)
        0.9128
    """
    return integrate_two_classes(0.5, 2 * CONTRAST * sqrt(pixels))


def bound_layer(spec: UNetSpec, layer: str, places: Labels) -> float:
    """The most that a layer can know of the blocks of some pixels, whatever its weights are.

    A pixel is predicted from the one position of the layer whose square of pixels it lies in. Of what that position
    reads, only the pixels of the same block count.

    Args:
        spec: The network, padded and without instance norm, which would read the whole image.
        layer: Its layer.
        places: (P, axes) pixels of a block image.

    Returns:
        Bits per pixel, the mean over the pixels.

    Example:
        >>> spec = UNetSpec.by_level((4, 4))
        >>> round(bound_layer(spec, "encoder.0.conv1", np.array([[3, 3], [0, 3]])), 4)
        0.274
    """
    side = SIDES[spec.ndim]
    seen = [_count_seen(spec, layer, axis, side, places[:, axis]) for axis in range(spec.ndim)]
    pixels, how_often = np.unique(np.prod(seen, axis=0), return_counts=True)
    bits = [solve_window(int(count)) for count in pixels]
    return float(np.average(bits, weights=how_often))


def _count_seen(spec: UNetSpec, layer: str, axis: int, side: int, places: Labels) -> Labels:
    """Along one axis, how many pixels of its own block the layer reads where it predicts a pixel."""
    stride = spec.stride(layer)[axis]
    reads = [read_by(spec, layer, axis, int(place) // stride) for place in places]
    first, last = np.array(reads).T
    start = places // side * side
    seen: Labels = np.minimum(last, start + side) - np.maximum(first, start)
    return seen


def read_by(spec: UNetSpec, layer: str, axis: int, position: int) -> Interval:
    """The pixels that one position of a layer depends on, along one axis.

    Args:
        spec: The network.
        layer: Its layer.
        axis: Spatial axis.
        position: Of the layer's output.

    Returns:
        First and one past the last; beyond the border a padded network reads its own zeros.

    Example:
        >>> read_by(UNetSpec.by_level((4, 4)), "bottleneck.conv1", 0, 4)
        (4, 14)
    """
    wanted: dict[str, Interval] = {layer: (position, position + 1)}
    for reader in reversed(spec.wiring.layers):
        for source in spec.reads(reader) if reader in wanted else ():
            interval = wanted[reader]
            for step in reversed(steps(spec, source, reader, axis)):
                interval = step.reads(*interval)
            known = wanted.get(source, interval)
            wanted[source] = min(known[0], interval[0]), max(known[1], interval[1])
    return wanted[IMAGE]


def _cut_blocks(values: NDArray[Number], ndim: int) -> NDArray[Number]:
    """(N, [z,] y, x) -> every block as one entry: (N * blocks, side, ...)."""
    side, count = SIDES[ndim], BLOCKS[ndim]
    split = values.reshape(len(values), *(count, side) * ndim)
    outer, inner = range(1, 2 * ndim, 2), range(2, 2 * ndim + 1, 2)
    return split.transpose(0, *outer, *inner).reshape(-1, *(side,) * ndim)
