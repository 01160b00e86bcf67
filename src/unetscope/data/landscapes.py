"""A village seen from above; knows where its roads, roofs, fields and trees are, not how it becomes a file."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import shift
from scipy.special import expit

from unetscope.data.textures import Blob, Floats, fractal_noise, random_rotation, smooth_noise, warped_grid

Classes = NDArray[np.uint8]

CLASSES = ("background", "road", "roof", "field")
COLORS: tuple[tuple[int, int, int], ...] = ((0, 0, 0), (128, 64, 128), (220, 20, 60), (107, 142, 35))
BACKGROUND, ROAD, ROOF, FIELD = range(4)
LAND_SHARES = (0.42, 0.46, 0.12)  # fields, houses, meadows
LOT = 25.0  # pixels along each side of the ground that a house stands on
SUN = np.array([-0.6, -0.8])  # where the light comes from, (y, x)
GRASS, SOIL, ASPHALT, PAINT, LEAVES = (
    np.array(color)
    for color in ((0.34, 0.42, 0.24), (0.53, 0.46, 0.35), (0.46, 0.46, 0.47), (0.80, 0.80, 0.77), (0.19, 0.29, 0.15))
)
TILES = np.array([(0.66, 0.31, 0.22), (0.54, 0.27, 0.20), (0.46, 0.39, 0.35), (0.52, 0.53, 0.56), (0.72, 0.65, 0.55)])
CROPS = np.array([(0.47, 0.58, 0.27), (0.33, 0.48, 0.22), (0.68, 0.61, 0.36), (0.58, 0.48, 0.34), (0.74, 0.69, 0.44)])


def paint_landscape(shape: tuple[int, ...], rng: Generator) -> tuple[Classes, Floats]:
    """Streets in two directions, and between them fields, houses in rows along the streets, or meadows; and trees.

    Args:
        shape: Pixels per axis, (y, x).
        rng: Where the randomness comes from.

    Returns:
        The index into `CLASSES` of every pixel, (y, x), and its red, green and blue, (3, y, x), 0 to 1 or a little
        more where the sun shines. What a tree hides is background.

    Example:
        >>> labels, image = paint_landscape((16, 24), np.random.default_rng(0))
        >>> labels.shape, image.shape
        ((16, 24), (3, 16, 24))
    """
    plane = np.tensordot(random_rotation(2, rng), warped_grid(shape, ((160.0, 6.0),), rng), 1)
    rows, columns = (_lay_streets(coordinate, rng) for coordinate in plane)
    use = rng.choice(3, size=(31, 31), p=LAND_SHARES)[rows.block % 31, columns.block % 31]
    use[np.minimum(rows.edge, columns.edge) < 0] = -1
    labels, image = np.zeros(shape, np.uint8), _paint_meadow(shape, rng)
    _paint_fields(labels, image, use == 0, (plane, rows, columns), rng)
    _paint_houses(labels, image, use == 1, (plane, rows, columns), rng)
    _paint_roads(labels, image, (plane, rows, columns), rng)
    _plant_trees(labels, image, rng)
    return labels, image


@dataclass(frozen=True)
class _Strip:
    """Where every pixel is between two parallel streets.

    Attributes:
        block: Number of the strip of land.
        low: Pixels to the edge of the street before it; negative on the street.
        high: Pixels to the edge of the street behind it.
        width: Pixels from the middle to the edge of the nearer street.
    """

    block: NDArray[np.intp]
    low: Floats
    high: Floats
    width: Floats

    @property
    def edge(self) -> Floats:
        """Pixels to the nearer street; negative on it."""
        return np.minimum(self.low, self.high)

    @property
    def middle(self) -> Floats:
        """Pixels to the line halfway between the streets, negative before it."""
        return np.asarray((self.low - self.high) / 2)


_Plan = tuple[Floats, _Strip, _Strip]


def _lay_streets(coordinate: Floats, rng: Generator) -> _Strip:
    """Streets and lanes across one axis of the plan, at irregular distances."""
    start, stop = coordinate.min() - 120, coordinate.max() + 120
    middles = start + np.cumsum(rng.uniform(62, 112, 1 + int((stop - start) / 62)))
    middles = np.concatenate([[start - 1], middles])
    widths = rng.choice([2.5, 5.5], size=len(middles))
    block = np.searchsorted(middles, coordinate)
    low = coordinate - middles[block - 1] - widths[block - 1]
    high = middles[block] - widths[block] - coordinate
    return _Strip(block, low, high, np.where(low < high, widths[block - 1], widths[block]))


def _traits(count: int, keys: tuple[NDArray[np.intp], ...], rng: Generator) -> Floats:
    """Random numbers from 0 to 1, (count, y, x), the same wherever the keys are the same."""
    table = rng.random((1009, count))  # prime numbers keep neighboring keys on different rows
    index = sum(key * prime for key, prime in zip(keys, (1, 37, 211, 503, 769), strict=False)) % len(table)
    return np.moveaxis(table[index], -1, 0)


def _fill(image: Floats, where: NDArray[np.bool_], color: Floats) -> None:
    """Paint the pixels `where` with one color, or with one color per pixel, (y, x, 3)."""
    image[:, where] = np.broadcast_to(color, (*where.shape, 3))[where].T


def _paint_meadow(shape: tuple[int, ...], rng: Generator) -> Floats:
    """Grass with bare patches, (3, y, x)."""
    bare = expit((fractal_noise(shape, 45.0, 4, rng) - 0.9) / 0.25)[..., None]
    tone = 1 + 0.1 * fractal_noise(shape, 9.0, 4, rng)[..., None]
    return np.ascontiguousarray(np.moveaxis((GRASS + bare * (SOIL - GRASS)) * tone, -1, 0))


def _paint_fields(labels: Classes, image: Floats, where: NDArray[np.bool_], plan: _Plan, rng: Generator) -> None:
    """One or two parcels a block, each with its crop and its furrows."""
    plane, rows, columns = plan
    half = (rows.middle > 0).astype(np.intp)
    split = _traits(1, (rows.block, columns.block), rng)[0] < 0.6
    crop, slope, pitch, depth = _traits(4, (rows.block, columns.block, half * split), rng)
    inside = where & (np.minimum(rows.edge, columns.edge) > 3) & ~(split & (np.abs(rows.middle) < 1.5))
    angle = math.pi * np.floor(4 * slope) / 4
    across = np.cos(angle) * plane[0] + np.sin(angle) * plane[1]
    furrows = (0.03 + 0.06 * depth) * np.sin(2 * math.pi * across / (4 + 3 * pitch))
    tone = 1 + furrows + 0.06 * fractal_noise(labels.shape, 20.0, 4, rng)
    _fill(image, inside, CROPS[(crop * len(CROPS)).astype(int)] * tone[..., None])
    labels[inside] = FIELD


def _paint_houses(labels: Classes, image: Floats, where: NDArray[np.bool_], plan: _Plan, rng: Generator) -> None:
    """Houses with pitched roofs on lots that line the streets, and their shadows."""
    _, rows, columns = plan
    side = (rows.middle > 0).astype(np.intp)
    row, lot = np.floor(rows.edge / LOT).astype(np.intp), np.floor(columns.low / LOT).astype(np.intp)
    built, length, depth, turn, tile, ahead, aside = _traits(7, (rows.block, columns.block, side, row, lot), rng)
    whole = ((row + 1) * LOT < (rows.low + rows.high) / 2) & ((lot + 1) * LOT < columns.low + columns.high)
    y = rows.edge - (row + 0.5) * LOT + 3 * (ahead - 0.5)
    x = columns.low - (lot + 0.5) * LOT + 3 * (aside - 0.5)
    angle = 0.25 * (turn - 0.5)
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    roof = where & whole & (built < 0.85) & (np.abs(along) < 6.5 + 3 * length) & (np.abs(across) < 4.5 + 2.5 * depth)
    image *= 1 - 0.55 * shift(roof.astype(np.float64), -4.4 * SUN, order=1)
    lit = np.where(across * (1 - 2 * side) > 0, 1.1, 0.85) + 0.25 * (np.abs(across) < 0.6)
    _fill(image, roof, TILES[(tile * len(TILES)).astype(int)] * lit[..., None])
    labels[roof] = ROOF


def _paint_roads(labels: Classes, image: Floats, plan: _Plan, rng: Generator) -> None:
    """Asphalt, with a broken white line along the middle of wide streets."""
    plane, rows, columns = plan
    road = np.minimum(rows.edge, columns.edge) < 0
    _fill(image, road, ASPHALT * (1 + 0.06 * fractal_noise(labels.shape, 12.0, 4, rng))[..., None])
    for street, crossing, along in ((rows, columns, plane[1]), (columns, rows, plane[0])):
        middle = (np.abs(street.edge + street.width) < 0.7) & (street.width > 4) & (crossing.edge > 2)
        _fill(image, middle & (along % 12 < 6), PAINT)
    labels[road] = ROAD


def _plant_trees(labels: Classes, image: Floats, rng: Generator) -> None:
    """Trees with their shadows, most of them on the background; they belong to no class."""
    shape = labels.shape
    leaves = 1 + 0.25 * smooth_noise(shape, 2.5, rng)
    for _ in range(math.prod(shape) // 350):
        tree = Blob.random(rng.uniform(0, shape), np.full(2, rng.uniform(2.5, 6.0)), 0.35, rng)
        window, radius = tree.paint(shape)
        crown = radius <= 1
        if (labels[window][crown] == BACKGROUND).mean() > rng.beta(4, 1):
            _shade(image, replace(tree, center=tree.center + 0.5 * tree.semi_axes))
            sunny = np.tensordot(SUN, np.array(np.mgrid[window]) - tree.center.reshape(2, 1, 1), 1)
            light = rng.uniform(0.8, 1.15) * leaves[window] * (1 + 0.35 * sunny / tree.semi_axes[0])
            _fill(image[:, *window], crown, LEAVES * light[..., None])
            labels[window][crown] = BACKGROUND


def _shade(image: Floats, shadow: Blob) -> None:
    """Darken the pixels of an image, (3, y, x), that a shadow falls on."""
    window, radius = shadow.paint(image.shape[1:])
    image[:, *window] *= np.where(radius <= 1, 0.6, 1.0)
