"""Families of U-Nets of one form, and their member at a given cost; knows specs and costs, neither weights nor data."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import lru_cache
from math import floor, isfinite, prod
from typing import Any

import numpy as np

from unetscope.errors import SpecError
from unetscope.model.cost import count_cost
from unetscope.model.geometry import fitting_shape, margin, output_shape
from unetscope.model.spec import UNetSpec

Price = Callable[[UNetSpec], float]

LABELED = {2: 1024, 3: 256}
"""Pixels per axis that a large block labels at least, by the number of axes."""

WIDEST = 2**16
"""No member of a family is asked for with a wider layer; a price that never exceeds the cost ends there."""

OCTAVES = 4
"""Random widths lie this many octaves below the widest level of the origin, or less where that is narrower."""

HALF = Fraction(1, 2)


@lru_cache(maxsize=4096)
def multiply_adds_per_pixel(spec: UNetSpec) -> float:
    """Multiply-adds for each pixel that a large block labels.

    A padded network's figure is the same for blocks of all sizes. A valid network also computes its margin, of which a
    large block bears little per pixel.

    Args:
        spec: The network.

    Returns:
        Multiply-adds per labeled pixel (voxel in 3D).

    Example:
        >>> round(multiply_adds_per_pixel(UNetSpec.preset("lee2021")) * 128 * 128 / 1e6)
        758
    """
    wanted = tuple(LABELED[spec.ndim] + 2 * lost for lost in margin(spec))
    block = fitting_shape(spec, wanted)
    return count_cost(spec, block).multiply_adds / prod(output_shape(spec, block))


@dataclass(frozen=True)
class Shape:
    """A family of networks of one form: those whose widths are one network's, all times one factor.

    Widths that are equal stay equal, so that what a spec demands of its widths holds for every member.

    Attributes:
        name: What to call the family.
        spec: The member of factor 1.

    Example:
        >>> shape = Shape("narrowed", UNetSpec.by_level((16, 32, 64)))
        >>> shape.scaled(0.3).level_widths, shape.at(4000).level_widths
        ((5, 10, 19), (6, 13, 26))
    """

    name: str
    spec: UNetSpec

    def scaled(self, factor: float | Fraction) -> UNetSpec:
        """The member whose layers are each as wide as the spec's times `factor`, rounded (halves up), at least 1.

        Args:
            factor: A finite number, 0 or more; 0 is the smallest member, 1 the spec.

        Returns:
            The network.

        Raises:
            SpecError: The factor is out of range.
        """
        if not isfinite(factor) or factor < 0:
            raise SpecError(f"the factor of the widths is {factor}; use a finite number of at least 0")
        exact = Fraction(factor)
        return self.spec.with_widths(
            {layer: max(1, floor(width * exact + HALF)) for layer, width in self.spec.widths.items()}
        )

    def at(self, cost: float, price: Price = multiply_adds_per_pixel) -> UNetSpec | None:
        """The largest member whose price is at most `cost`.

        Args:
            cost: What a network may cost, in the unit of `price`.
            price: What a network costs; it must not fall where layers widen.

        Returns:
            The network; None if even the smallest member costs more.

        Raises:
            SpecError: The cost is not a finite number.
        """
        if not isfinite(cost):
            raise SpecError(f"a network of cost {cost} was asked for; give a finite number")

        def member_price(factor: Fraction) -> float:
            return price(self.scaled(factor))

        if member_price(Fraction(0)) > cost:
            return None
        low, high = Fraction(0), Fraction(1, 2)
        while member_price(high) <= cost and high * max(self.spec.widths.values()) < WIDEST:
            low, high = high, 2 * high
        steps = [low, *self._steps(low, high)]
        return self.scaled(steps[bisect_right(steps, cost, key=member_price) - 1])

    def _steps(self, low: Fraction, high: Fraction) -> list[Fraction]:
        """The factors above `low` and up to `high` at which a layer becomes wider, ascending."""
        return sorted({factor for width in set(self.spec.widths.values()) for factor in _steps_of(width, low, high)})


def _steps_of(width: int, low: Fraction, high: Fraction) -> Iterator[Fraction]:
    """The factors within (low, high] at which a layer of `width` becomes wider."""
    first, last = max(1, floor(width * low + HALF)), max(1, floor(width * high + HALF))
    return ((wider - HALF) / width for wider in range(first + 1, last + 1))


def uniform(origin: UNetSpec) -> Shape:
    """The family of the origin itself: every width times one factor.

    Example:
        >>> uniform(UNetSpec.preset("lee2021")).scaled(0.25).level_widths
        (4, 8, 16, 32, 64)
    """
    return Shape("uniform", origin)


def flat(origin: UNetSpec, depth: int | None = None) -> Shape:
    """The family with one width everywhere.

    Args:
        origin: The network whose form it takes; the member of factor 1 is as wide as the origin's first level.
        depth: Its number of poolings, at most the origin's; the origin's if None.

    Returns:
        The family.

    Raises:
        SpecError: The origin is shallower.

    Example:
        >>> flat(UNetSpec.preset("lee2021"), depth=2).scaled(0.5).level_widths
        (8, 8, 8)
    """
    cut = _cut(origin, origin.depth if depth is None else depth)
    name = "flat" if cut.depth == origin.depth else f"flat, depth {cut.depth}"
    return Shape(name, cut.with_widths(dict.fromkeys(cut.widths, origin.level_widths[0])))


def shallower(origin: UNetSpec, depth: int) -> Shape:
    """The family cut to fewer levels: the encoder's level `depth` becomes the bottleneck.

    Args:
        origin: The network that is cut.
        depth: The number of poolings left, from 0 to the origin's.

    Returns:
        The family.

    Raises:
        SpecError: The origin is shallower.

    Example:
        >>> shallower(UNetSpec.preset("lee2021"), 2).spec.level_widths
        (16, 32, 64)
    """
    return Shape(f"depth {depth}", _cut(origin, depth))


def without_skips(origin: UNetSpec, levels: Sequence[int]) -> Shape:
    """The family that lacks skips.

    Args:
        origin: The network whose skips are dropped.
        levels: The levels whose encoder shall no longer feed their decoder.

    Returns:
        The family.

    Raises:
        SpecError: A level has no skip.

    Example:
        >>> without_skips(UNetSpec.preset("lee2021"), (3,)).spec.skips
        (0, 1, 2)
    """
    dropped = sorted(set(levels))
    if absent := [level for level in dropped if level not in origin.skip_levels]:
        known = ", ".join(map(str, origin.skip_levels)) or "none"
        raise SpecError(f"level {absent[0]} has no skip to drop; the levels with a skip are: {known}")
    left = tuple(level for level in origin.skip_levels if level not in dropped)
    return Shape(f"without skips {', '.join(map(str, dropped)) or 'none'}", replace(origin, skips=left))


def random_shapes(origin: UNetSpec, count: int, seed: int) -> tuple[Shape, ...]:
    """Families of random form: what a search tries that knows nothing.

    Depth is uniform from 1 to the origin's, each of the origin's skips that is left stays with probability 1/2, and
    the width of a level, the same on both sides, is log-uniform over the four octaves below the origin's widest level.

    Args:
        origin: The network whose other attributes they keep.
        count: How many; all are different.
        seed: Of the draws. The first families of a seed are the same for every count.

    Returns:
        The families, fewer than `count` where the origin leaves no more that differ.

    Example:
        >>> [shape.spec.level_widths for shape in random_shapes(UNetSpec.preset("lee2021"), 2, seed=0)]
        [(201, 86, 121, 72, 214), (121, 26, 175, 72)]
    """
    rng, found = np.random.default_rng(seed), dict[UNetSpec, None]()
    for _ in range(100 * count):
        if len(found) == count:
            break
        found.setdefault(_draw(origin, rng))
    return tuple(Shape(f"random {number}", spec) for number, spec in enumerate(found, start=1))


def paper_style(origin: UNetSpec) -> tuple[Shape, ...]:
    """The families of the variants that the published study of information in U-Nets compares.

    Args:
        origin: The network that is varied.

    Returns:
        One with a level less, one with fewer channels, and one without any skip; what the origin does not have cannot
        be taken from it, so that a network of depth 0 leaves only the second.

    Example:
        >>> [shape.name for shape in paper_style(UNetSpec.preset("lee2021"))]
        ['paper: fewer levels', 'paper: fewer channels', 'paper: no skips']

    Source:
        Lee & Bajic 2021, Information flow through U-Nets, ISBI.
    """
    shapes = [Shape("paper: fewer channels", origin)]
    if origin.depth:
        shapes.insert(0, Shape("paper: fewer levels", _cut(origin, origin.depth - 1)))
    if origin.skip_levels:
        shapes.append(Shape("paper: no skips", replace(origin, skips=())))
    return tuple(shapes)


def _cut(origin: UNetSpec, depth: int) -> UNetSpec:
    """The origin without what lies deeper than `depth`: its encoder's level there is the new bottleneck."""
    if depth == origin.depth:
        return origin
    if depth not in range(origin.depth):
        raise SpecError(f"a depth of {depth} was asked of a network of depth {origin.depth}; use 0 to {origin.depth}")
    cut = _by_level(origin, origin.level_widths[: depth + 1], origin.skip_levels)
    return cut.with_widths({name: origin.widths[name.replace("bottleneck", f"encoder.{depth}")] for name in cut.widths})


def _draw(origin: UNetSpec, rng: np.random.Generator) -> UNetSpec:
    """A network of random depth, skips and widths."""
    depth = int(rng.integers(min(1, origin.depth), origin.depth + 1))
    skips = [level for level in origin.skip_levels if rng.random() < 0.5]
    top = float(np.log2(max(origin.level_widths)))
    widths = np.rint(2 ** rng.uniform(max(0.0, top - OCTAVES), top, depth + 1))
    return _by_level(origin, [int(width) for width in widths], skips)


def _by_level(origin: UNetSpec, widths: Sequence[int], skips: Sequence[int]) -> UNetSpec:
    """The origin's form with one width per level, and those of the skips whose level is left."""
    depth = len(widths) - 1
    rest: dict[str, Any] = {entry.name: getattr(origin, entry.name) for entry in fields(origin)}
    for settled in ("widths", "depth"):
        del rest[settled]
    rest |= {"skips": tuple(level for level in skips if level < depth), "strides": origin.level_strides[:depth]}
    return UNetSpec.by_level(widths, **rest)
