"""Overlap-tile geometry: which box to read for each box to write, and mirrored reading; knows integers only.

Knows neither networks nor files: what a network must read for what it writes comes in as a function per axis.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import product, takewhile
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Box = tuple[slice, ...]
Reads = Callable[[int, int], tuple[int, int]]

FEW = 32  # numbers of tiles along an axis that are all tried; larger ones double


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


def choose_size(
    shape: Sequence[int], strides: Sequence[int], reads: Sequence[Reads], fits: Callable[[tuple[int, ...]], bool]
) -> tuple[tuple[int, ...], int]:
    """The tile size that reads the fewest pixels in all, and so costs the least time, among those that fit.

    A tile reads more than it writes, so fewer and larger tiles cost less; those that are cut from one side of the image
    to the other need no margin there.

    Args:
        shape: The image, pixels per axis.
        strides: The network's stride per axis; sizes are multiples of it.
        reads: Per axis, the interval of input positions to feed for an interval of output pixels.
        fits: Whether a tile that reads this shape may be taken; what fits one shape fits all with fewer pixels.

    Returns:
        Pixels per axis that a tile writes, the smallest there is where none fits; and pixels that all tiles read.

    Example:
        >>> choose_size((64, 64), (16, 16), [lambda a, b: (a - 8, b + 8)] * 2, lambda shape: prod(shape) <= 4000)
        ((32, 64), 7680)
    """
    axes = [list(_cuts(*axis)) for axis in zip(shape, strides, reads, strict=True)]
    choices = sorted(product(*axes), key=_largest_read)
    fitting = bisect_left(choices, True, key=lambda cuts: not fits(tuple(cut.longest for cut in cuts)))
    best = min(choices[: max(1, fitting)], key=_cost)
    return tuple(cut.size for cut in best), prod(cut.total for cut in best)


class _Cut(NamedTuple):
    """One way to cut an axis: pixels that a tile writes, that the longest of them reads, and that all read."""

    size: int
    longest: int
    total: int


def _cuts(length: int, stride: int, reads: Reads) -> Iterator[_Cut]:
    """The ways to cut an axis into equal tiles, the fewest first."""
    count, last = 1, 0
    while last != stride:
        size = _split(length, count, stride)
        if size != last:
            yield _cut(length, size, reads)
        count, last = count + 1 if count < FEW else 2 * count, size


def _cut(length: int, size: int, reads: Reads) -> _Cut:
    """What tiles of one size read; those far enough from both borders read alike, and most are."""
    count = -(-length // size)

    def read_by(index: int) -> int:
        first, last = reads(index * size, min((index + 1) * size, length))
        return last - first

    inner = read_by(count // 2)
    left = list(takewhile(inner.__ne__, map(read_by, range(count // 2))))
    right = list(takewhile(inner.__ne__, map(read_by, range(count - 1, count // 2, -1))))
    total = sum(left) + sum(right) + inner * (count - len(left) - len(right))
    return _Cut(size, max(inner, *left, *right, 0), total)


def _cost(cuts: tuple[_Cut, ...]) -> tuple[int, ...]:
    """Pixels read in all; of equals the one with the longest rows, which lie together in a file."""
    return prod(cut.total for cut in cuts), *(-cut.size for cut in reversed(cuts))


def _largest_read(cuts: tuple[_Cut, ...]) -> int:
    return prod(cut.longest for cut in cuts)


def _split(length: int, count: int, stride: int) -> int:
    """Pixels of each of `count` equal tiles, a multiple of the stride."""
    return -(-length // (count * stride)) * stride
