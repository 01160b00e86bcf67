"""Overlap-tile geometry: which box to read for each box to write, and mirrored reading; knows integers only.

Knows neither networks nor files: what a network must read for what it writes comes in as a function per axis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Box = tuple[slice, ...]
Reads = Callable[[int, int], tuple[int, int]]


class Tile(NamedTuple):
    """One step of the overlap-tile strategy.

    Attributes:
        read: Box of the (mirrored) image to feed; may begin before 0 and end after the image.
        keep: Box of what the network returns for it that is kept.
        write: Box of the result that it fills.
    """

    read: Box
    keep: Box
    write: Box


def plan_tiles(
    shape: Sequence[int], size: Sequence[int], reads: Sequence[Reads], margin: Sequence[int]
) -> Iterator[Tile]:
    """Cover an image with tiles, each written once.

    Args:
        shape: The image, pixels per axis.
        size: Pixels per axis that a tile writes, multiples of the network's stride: tiles that start elsewhere would
            be pooled on another grid than their neighbors.
        reads: Per axis, the interval of input positions to feed for an interval of output pixels.
        margin: Per axis, the input position of the image's first pixel (what a valid network loses per side).

    Yields:
        Tiles that partition the image, the last axis fastest.

    Source:
        Ronneberger, Fischer, Brox 2015, figure 2 (overlap-tile strategy).

    Example:
        >>> [tile.write for tile in plan_tiles((5,), (4,), [lambda a, b: (a, b + 2)], (1,))]
        [(slice(0, 4, None),), (slice(4, 5, None),)]
    """
    axes = [
        [_step(start, min(start + step, length), read, lost) for start in range(0, length, step)]
        for length, step, read, lost in zip(shape, size, reads, margin, strict=True)
    ]
    for corner in product(*axes):
        yield Tile(*(tuple(part) for part in zip(*corner, strict=True)))


def _step(start: int, stop: int, read: Reads, lost: int) -> tuple[slice, slice, slice]:
    """Read, keep and write intervals along one axis."""
    first, last = read(start, stop)
    return slice(first - lost, last - lost), slice(start - first, stop - first), slice(start, stop)


def read_mirrored(image: NDArray[np.generic], box: Box) -> NDArray[np.generic]:
    """The pixels of `box`, the image mirrored at its border as often as needed.

    Args:
        image: (channels, [z,] y, x); may be memory-mapped, only what is needed is read.
        box: One slice per spatial axis, in image coordinates, inside or outside of the image.

    Returns:
        (channels, *box) in the image's type; the border pixel itself is not repeated.

    Example:
        >>> read_mirrored(np.array([[1, 2, 3]]), (slice(-2, 5),)).tolist()
        [[3, 2, 1, 2, 3, 2, 1]]
    """
    wanted = [mirror(part.start, part.stop, length) for part, length in zip(box, image.shape[1:], strict=True)]
    inner = tuple(slice(int(indices.min()), int(indices.max()) + 1) for indices in wanted)
    block: NDArray[np.generic] = np.asarray(image[(slice(None), *inner)])
    for axis, (indices, part) in enumerate(zip(wanted, inner, strict=True), start=1):
        if len(indices) != part.stop - part.start or indices[0] > indices[-1]:
            block = block.take(indices - part.start, axis=axis)
    return block


def mirror(start: int, stop: int, length: int) -> NDArray[np.intp]:
    """The image positions seen at the positions from `start` to `stop` when an axis of `length` is mirrored endlessly.

    Example:
        >>> mirror(-3, 3, 2).tolist()
        [1, 0, 1, 0, 1, 0]
    """
    period = max(1, 2 * (length - 1))
    inside = np.arange(start, stop) % period
    return np.minimum(inside, period - inside) if length > 1 else inside


def cover(length: int, most: int, stride: int) -> int:
    """The tile size along one axis that covers `length` with equal tiles of at most about `most` pixels.

    Args:
        length: Pixels to cover.
        most: The largest tile wanted, pixels.
        stride: The network's stride; the result is a multiple of it.

    Returns:
        Pixels per tile, at least one stride.

    Example:
        >>> cover(1000, 600, 16)
        512
    """
    count = -(-length // max(stride, most // stride * stride))
    return -(-length // (count * stride)) * stride
