"""The pixels at which every layer of a network is read: drawn once, for all of them; knows labels, not networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from math import ceil, gcd, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unetscope.errors import DataError, RecipeError
from unetscope.information.views import Views

Indices = NDArray[np.int64]

EDGE = 3
"""Pixels on either side of a label edge that are near it."""

CANDIDATES = 4096  # places of a block among which offsets are chosen


@dataclass(frozen=True)
class PixelSettings:
    """How many pixels are drawn.

    Attributes:
        blocks: Blocks of the network's coarsest grid drawn in every image, at least.
        offsets: Pixels drawn in every block, at the same places in each.
        pixels: With few images more blocks are drawn in each, until about so many pixels come in all.
        most_offsets: Where blocks run out before, offsets are doubled up to so many.

    Raises:
        RecipeError: A number is below 1.
    """

    blocks: int = 64
    offsets: int = 4
    pixels: int = 25_000
    most_offsets: int = 16

    def __post_init__(self) -> None:
        for name in ("blocks", "offsets", "pixels", "most_offsets"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{name} is {getattr(self, name)}; use a whole number of at least 1")


@dataclass(frozen=True, eq=False)
class Pixels:
    """Pixels of all images, image after image.

    Attributes:
        view: (P,) number of the image.
        place: (P, ndim) place in what the network is fed.
        relative: (P, ndim) place within the labelled box of the image, from -1 to 1.
        labels: (P,) class.
        near_edge: (P,) whether it is one of the three pixels on either side of a label edge.
        shuffled: (P,) class at the same relative place of another image.
    """

    view: Indices
    place: Indices
    relative: NDArray[np.float64]
    labels: Indices
    near_edge: NDArray[np.bool_]
    shuffled: Indices

    def __len__(self) -> int:
        return len(self.view)

    @property
    def ndim(self) -> int:
        """2 for images, 3 for volumes."""
        return int(self.place.shape[1])

    def of(self, view: int) -> slice:
        """Which of them belong to an image."""
        start, stop = np.searchsorted(self.view, [view, view + 1])
        return slice(int(start), int(stop))

    def take(self, chosen: NDArray[Any]) -> Pixels:
        """Some of them (a mask, or ascending numbers)."""
        return Pixels(*(getattr(self, entry.name)[chosen] for entry in fields(self)))


def sample_pixels(
    views: Views, block: tuple[int, ...], settings: PixelSettings = PixelSettings(), seed: int = 0
) -> Pixels:
    """Draw the labelled pixels that every layer is asked about.

    In each image blocks of the coarsest grid are drawn, and in each block the same few offsets, which differ modulo
    the strides in between as far as they can. So all layers predict the same pixels, a coarse layer needs no more
    outputs than there are offsets, and a finer one is still asked about all places of its own blocks.

    Args:
        views: The images.
        block: Largest stride of any layer, per axis; all 1 if none pools.
        settings: How many.
        seed: Start of what is random.

    Returns:
        The pixels; an image has fewer where few are labelled.

    Raises:
        DataError: No pixel is labelled, or the blocks have other axes than the images.
    """
    if len(block) != views.ndim:
        raise DataError(f"blocks of {block} came for images of {views.ndim} axes; give one size for each axis")
    grid = _Grid(block, views.origin, spread_offsets(block, max(settings.offsets, settings.most_offsets), seed))
    least = min(settings.offsets, len(grid.offsets))
    blocks = ceil(max(settings.blocks * settings.offsets, settings.pixels / len(views)) / least)
    parts = [_sample_view(index, view.labels, grid, (least, blocks, seed)) for index, view in enumerate(views)]
    rank = np.concatenate([part[0] for part in parts])
    if not len(rank):
        raise DataError(f"none of the {len(views)} images has a labelled pixel; annotate them")
    pixels = _gather([part[1] for part in parts]).take(rank < _enough_offsets(rank, least, settings))
    return replace(pixels, shuffled=_shuffle_labels(views, pixels, seed))


def _gather(parts: Sequence[Pixels]) -> Pixels:
    """The pixels of several images together."""
    return Pixels(*(np.concatenate([getattr(part, entry.name) for part in parts]) for entry in fields(Pixels)))


def _enough_offsets(rank: Indices, least: int, settings: PixelSettings) -> int:
    """How many offsets give enough pixels: as few as may be, doubled while there are too few."""
    count = least
    while count < settings.most_offsets and (rank < count).sum() < settings.pixels:
        count = min(2 * count, settings.most_offsets)
    return count


def spread_offsets(block: tuple[int, ...], count: int, seed: int = 0) -> Indices:
    """Places within a block, spread evenly over it and over the classes modulo every smaller stride.

    Args:
        block: Its size per axis.
        count: How many places.
        seed: Start of what is random.

    Returns:
        (count, ndim), or all places of a block that has no more. The first of them are spread evenly too: each place
        shares its class modulo a stride with as few before it as can be, and of such is the farthest from all.

    Example:
        >>> sorted((spread_offsets((16, 16), 4) % 2).tolist())
        [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    chance = np.random.default_rng(seed)
    drawn = chance.permutation(prod(block))[: max(count, CANDIDATES)]
    places = np.stack(np.unravel_index(drawn, block), 1)
    strides = [np.array([gcd(size, divisor) for size in block]) for divisor in range(2, max(block) + 1)]
    shared, farness, chosen = np.zeros(len(places)), np.full(len(places), np.inf), list[int]()
    for _ in range(min(count, len(places))):
        chosen.append(int(np.lexsort((-farness, shared))[0]))
        gaps = abs(places - places[chosen[-1]])
        farness = np.minimum(farness, (np.minimum(gaps, np.array(block) - gaps) ** 2).sum(1))
        shared += sum((gaps % stride == 0).all(1) for stride in strides)
        shared[chosen] = np.inf
    return np.asarray(places[chosen], np.int64)


@dataclass(frozen=True, eq=False)
class _Grid:
    """Blocks, where they begin, and the places within them that are drawn."""

    block: tuple[int, ...]
    origin: tuple[int, ...]
    offsets: Indices

    @property
    def before(self) -> Indices:
        """Pixels that the first block lacks."""
        return np.array([-start % size for start, size in zip(self.origin, self.block, strict=True)])

    def find_known(self, known: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(offsets, blocks along z, y, x): whether the pixel at an offset of a block is labelled."""
        after = (-(np.array(known.shape) + self.before)) % self.block
        whole = np.pad(known, [*zip(self.before.tolist(), after.tolist(), strict=True)])
        steps = [tuple(slice(at, None, size) for at, size in zip(o, self.block, strict=True)) for o in self.offsets]
        return np.stack([whole[step] for step in steps])


def _sample_view(index: int, labels: Indices, grid: _Grid, draw: tuple[int, int, int]) -> tuple[Indices, Pixels]:
    """The pixels of one image, not yet shuffled, with the numbers of their offsets."""
    known, (least, blocks, seed) = labels >= 0, draw
    rank, place = _draw_places(known, grid, least, blocks, np.random.default_rng((seed, index)))
    low, high = _find_box(known)
    relative = 2 * (place - low) / np.maximum(high - low, 1) - 1
    own = labels[tuple(place.T)]
    view = np.full(len(place), index, np.int64)
    return rank, Pixels(view, place, relative, own, find_near_edge(labels)[tuple(place.T)], own)


def _draw_places(
    known: NDArray[np.bool_], grid: _Grid, least: int, blocks: int, chance: np.random.Generator
) -> tuple[Indices, Indices]:
    """Labelled places of blocks that have any at the first offsets: numbers of their offsets (p,), places (p, ndim)."""
    filled = grid.find_known(known)
    candidates = np.flatnonzero(filled[:least].any(0))
    drawn = np.sort(chance.choice(candidates, min(blocks, len(candidates)), replace=False))
    corners = np.stack(np.unravel_index(drawn, filled.shape[1:]), 1) * grid.block - grid.before
    kept = filled.reshape(len(filled), -1)[:, drawn].T
    places: Indices = (corners[:, None] + grid.offsets)[kept]
    return np.nonzero(kept)[1], places


def _find_box(known: NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """First and last place of the labelled box, zeros where nothing is labelled."""
    axes = range(known.ndim)
    filled = [np.flatnonzero(known.any(tuple(other for other in axes if other != axis))) for axis in axes]
    ends = np.array([(found[0], found[-1]) if len(found) else (0, 0) for found in filled], np.int64)
    return ends[:, 0], ends[:, 1]


def find_near_edge(labels: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """The pixels near a label edge: up to three on either side, measured straight across.

    Args:
        labels: ([z,] y, x), -1 where unknown; where the unknown begins is no edge.

    Returns:
        ([z,] y, x).

    Example:
        >>> find_near_edge(np.array([[0, 0, 0, 0, 0, 1, 1, 1, 1, 1]])).astype(int)
        array([[0, 0, 1, 1, 1, 1, 1, 1, 0, 0]])
    """
    edge = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        flipped, sides = np.moveaxis(edge, axis, 0), np.moveaxis(labels, axis, 0)
        differs = (sides[1:] != sides[:-1]) & (sides[1:] >= 0) & (sides[:-1] >= 0)
        flipped[1:] |= differs
        flipped[:-1] |= differs
    if not edge.any():
        return edge
    near: NDArray[np.bool_] = ndimage.distance_transform_edt(~edge) < EDGE
    return near


def _shuffle_labels(views: Views, pixels: Pixels, seed: int) -> Indices:
    """For every pixel the label at the same relative place of the image that its image is exchanged for."""
    sampled = np.unique(pixels.view)
    partners = sampled[exchange([views.groups[index] for index in sampled], seed)]
    shuffled = np.empty(len(pixels), np.int64)
    for other in np.unique(partners).tolist():
        chosen = np.isin(pixels.view, sampled[partners == other])
        shuffled[chosen] = _read_relative(views[other].labels, pixels.relative[chosen])
    return shuffled


def exchange(groups: list[str], seed: int = 0) -> Indices:
    """For every image another one, of another group where there are several groups.

    Each image is used once, unless one group has more than half of them.

    Args:
        groups: The group of every image.
        seed: Start of what is random.

    Returns:
        (count,) numbers of images; a single image is left with itself.

    Example:
        >>> exchange(["a", "a", "b", "b"]).tolist() in ([2, 3, 0, 1], [2, 3, 1, 0], [3, 2, 0, 1], [3, 2, 1, 0])
        True
    """
    chance = np.random.default_rng(seed)
    _, number, counts = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.lexsort((chance.random(len(groups)), chance.permutation(len(counts))[number]))
    # Groups lie side by side; a shift by the largest leaves none of them where it was.
    step = int(counts.max()) if len(counts) > 1 else 1
    partner = np.empty(len(groups), np.int64)
    partner[order] = np.roll(order, -step)
    for index in np.flatnonzero(number[partner] == number) if len(counts) > 1 else ():
        partner[index] = chance.choice(np.flatnonzero(number != number[index]))
    return partner


def _read_relative(labels: Indices, relative: NDArray[np.float64]) -> Indices:
    """Labels at relative places of an image; where one is unknown, the nearest that is known."""
    low, high = _find_box(labels >= 0)
    box = labels[tuple(slice(start, stop + 1) for start, stop in zip(low, high, strict=True))]
    at = tuple(np.rint((relative + 1) / 2 * (high - low)).astype(np.int64).T)
    if (box[at] < 0).any():
        nearest = ndimage.distance_transform_edt(box < 0, return_distances=False, return_indices=True)
        at = tuple(axis[at] for axis in nearest)
    return np.asarray(box[at], np.int64)
