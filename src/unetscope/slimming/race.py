"""The race to the boundary: the smallest network that is as good, and a smaller neighbor that is not.

Knows shapes, costs and verdicts; what a training is and how it is scored is the matter of whoever judges. A strategy
says which shapes run, in which order, and where on the scale of costs to begin; the search is the same for all, so that
strategies can be compared by what they have to train.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, inf, log, log2, sqrt

from unetscope.model.spec import UNetSpec
from unetscope.slimming.shapes import WIDEST, Price, Shape, multiply_adds_per_pixel

RATIO = 1.5
"""Cost of the smallest network that is as good, over that of the failing one below it, at which the race ends."""

STEP = RATIO**0.99
"""Factor of the first stride: a little less, so that two heats can close the gap."""

HALVINGS = 40
"""Of a factor between two networks, after which it is exact."""

OnHeat = Callable[[int], None]
Judge = Callable[[tuple[UNetSpec, ...]], "Heat"]


@dataclass(frozen=True)
class Heat:
    """What came out at one cost.

    Attributes:
        winner: The network that was judged, of all that ran.
        is_good: It is as good as the origin.
    """

    winner: UNetSpec
    is_good: bool


@dataclass(frozen=True)
class Strategy:
    """Which networks run.

    Attributes:
        name: What it is called.
        shapes: Families, the most promising first. They run against each other in the first heat; the winner's goes on.
        start: Cost of the first heat; halfway (in the logarithm) between the smallest network and the origin if None,
            which is bisection.
    """

    name: str
    shapes: tuple[Shape, ...]
    start: float | None = None


@dataclass(frozen=True)
class Boundary:
    """Where networks stop being as good.

    Attributes:
        good: The smallest network that is as good; the origin where none is.
        failing: The largest smaller network that is not; None if even the smallest of the shapes is as good.
        heats: All heats, in the order in which they were run.
    """

    good: UNetSpec
    failing: UNetSpec | None
    heats: tuple[Heat, ...]


def find_boundary(
    strategy: Strategy,
    origin: UNetSpec,
    judge: Judge,
    ceiling: float = inf,
    price: Price = multiply_adds_per_pixel,
    on_heat: OnHeat | None = None,
) -> Boundary:
    """Enclose the boundary between networks that are as good and those that are not.

    From the start the search doubles its stride (in the logarithm of the cost) until the verdict turns, then halves the
    gap. It ends when the gap is a factor of 1.5, or when no network of these shapes lies in it.

    Args:
        strategy: What runs, and where the search begins.
        origin: The network that is slimmed: as good as itself.
        judge: Runs the networks of one cost and says which is best, and whether it is as good.
        ceiling: Cost of the largest network to consider; the origin's if that is less.
        price: What a network costs.
        on_heat: Told before every heat about how many are still to come.

    Returns:
        The boundary.

    Example:
        >>> shape = Shape("flat", UNetSpec.by_level((16, 16)))
        >>> judge = lambda specs: Heat(specs[0], specs[0].level_widths[0] >= 6)
        >>> found = find_boundary(Strategy("flat", (shape,)), shape.spec, judge, 1e9)
        >>> found.good.level_widths, found.failing.level_widths
        ((6, 6), (5, 5))
    """
    search = _Search(strategy, origin, judge, min(ceiling, price(origin)), price)
    return search.run(on_heat or (lambda _: None))


class _Search:
    """A search in progress."""

    def __init__(self, strategy: Strategy, origin: UNetSpec, judge: Judge, ceiling: float, price: Price) -> None:
        self.strategy, self.judge, self.price = strategy, judge, price
        self.good, self.failing = origin, None
        self.above = ceiling  # cost of the smallest network that is as good, or the ceiling where none is known
        self.below = min(price(shape.scaled(0)) for shape in strategy.shapes) * (1 - 1e-9)
        self.heats: list[Heat] = []
        self.failed: Heat | None = None
        self.shapes = strategy.shapes

    def run(self, on_heat: OnHeat) -> Boundary:
        """Heat after heat until the gap is closed."""
        for cost in self._costs():
            entrants = self._entrants(cost)
            if not entrants:
                break
            on_heat(self._count_left())
            heat = self.judge(tuple(entrants))
            self.heats.append(heat)
            self.shapes = (entrants[heat.winner],)
            cost = self.price(heat.winner)
            if heat.is_good:
                self.good, self.above = heat.winner, cost
            else:
                self.failed, self.below = heat, cost
        return Boundary(self.good, self.failed.winner if self.failed else None, tuple(self.heats))

    def _costs(self) -> Iterator[float]:
        """Costs to run at: strides that double until the verdict turns, then the middle of the gap."""
        start = self.strategy.start
        if start is not None:
            yield min(start, self._highest())
            stride = 1.0
            while self.heats and self.heats[0].is_good == self.heats[-1].is_good and not self._is_closed():
                factor = STEP**stride
                cost = self.above / factor if self.heats[0].is_good else self.below * factor
                if not self.below < cost < self.above:
                    break
                yield cost
                stride *= 2
        while not self._is_closed():
            yield sqrt(self.below * self.above)

    def _highest(self) -> float:
        """Cost of the dearest network worth running: the ceiling, or a step below the origin, which is as good."""
        return self.above / STEP if self.price(self.good) == self.above else self.above

    def _count_left(self) -> int:
        """About how many heats are still to come: as many as halve the gap to a factor of 1.5."""
        return max(1, ceil(log2(log(self.above / self.below) / log(RATIO)))) if self.above > RATIO * self.below else 1

    def _is_closed(self) -> bool:
        return bool(self.heats) and self.above <= RATIO * self.below

    def _entrants(self, cost: float) -> dict[UNetSpec, Shape]:
        """The member of every shape nearest to a cost, of those that lie within the gap."""
        found: dict[UNetSpec, Shape] = {}
        for shape in self.shapes:
            spec = self._member(shape, cost)
            if spec is not None:
                found.setdefault(spec, shape)
        return found

    def _member(self, shape: Shape, cost: float) -> UNetSpec | None:
        """The member nearest to a cost that lies within the gap, rather smaller than larger.

        The larger one is taken where only it would end the race by failing: it lies within the ratio below the network
        that is as good, and the smaller one does not.
        """
        top = self.above if self.price(self.good) == self.above else self.above * (1 + 1e-9)
        nearest = (shape.at(cost, self.price), next_larger(shape, cost, self.price))
        within = [spec for spec in nearest if spec is not None and self.below < self.price(spec) < top]
        closing = (spec for spec in within if self.above <= RATIO * self.price(spec))
        return next(closing, within[0] if within else None)


def next_larger(shape: Shape, cost: float, price: Price = multiply_adds_per_pixel) -> UNetSpec | None:
    """The smallest member that costs more than so much; None where no width makes one."""
    low, high = 0.0, 1.0
    while price(shape.scaled(high)) <= cost:
        low, high = high, 2 * high
        if high > WIDEST:
            return None
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if price(shape.scaled(middle)) <= cost else (low, middle)
    return shape.scaled(high)


def run_rounds(
    entrants: Sequence[UNetSpec], score: Callable[[UNetSpec, float], float], shares: Sequence[float]
) -> UNetSpec:
    """Successive halving: all run a short training, the better half a longer one, until one is left.

    Args:
        entrants: Networks, the most promising first: of equals the first goes on.
        score: From a network and a share of a whole training to its score.
        shares: Growing shares below 1; with fewer entrants the last of them are run.

    Returns:
        The one that is left.

    Source:
        Jamieson & Talwalkar 2016, Non-stochastic best arm identification and hyperparameter optimization, AISTATS.

    Example:
        >>> specs = [UNetSpec.by_level((width,)) for width in (4, 8, 2, 6)]
        >>> run_rounds(specs, lambda spec, share: spec.level_widths[0], (0.25, 0.5)).level_widths
        (8,)
    """
    left = list(entrants)
    rounds = max(0, (len(left) - 1).bit_length())
    for number in range(rounds, 0, -1):
        share = shares[max(0, len(shares) - number)]
        ranked = sorted(left, key=lambda spec: -score(spec, share))
        left = ranked[: (len(left) + 1) // 2]
    return left[0]
