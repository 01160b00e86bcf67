"""How milliseconds add up: amounts of work times what each costs, fitted to measurements; knows no engine.

The time of a network is taken to be a sum over its work, linear in amounts such as multiply-adds or bytes moved. The
costs of these amounts are what a calibration finds out; they are never negative.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from unetscope.timing.work import CONVOLUTIONS, Work

Amounts = Mapping[str, float]

LANES = 16  # output channels that a processor computes at once
VECTOR = 8  # channels that a pass takes at once; what is left over is taken one by one
FRESH_BYTES = 2**25  # larger maps are fetched from the system and given back each time (the allocator of glibc)
FEW_NUMBERS = 20480  # torch computes float32 convolutions of so few numbers by itself, without oneDNN
SINGLE_STEPS = ("pool", "linear", "batch", "instance")  # passes that suffer most from channels that are left over
READERS = ("pool", "join", "nearest", "linear", "unpool")  # passes that suffer from the layout an instance norm leaves
IN_PLACE = ("relu", "leaky")
TYPICAL = {
    "calls": 0.01, "multiply_adds": 3.0, "reads": 50.0, "writes": 10.0, "places": 50.0, "bytes": 0.1, "pixels": 3.0,
    "left_over": 1.0, "scattered": 0.3,
}  # fmt: skip
BELIEF = 0.02  # in these costs, by the last word of their name, against a residual of 1 of one probe
ROUNDS = 5
FOLDS = 12
OUTLIER = 0.15  # relative residuals beyond this count less, as absolute values do: probes that were disturbed


def count_amounts(work: Iterable[Work], itemsize: int) -> dict[str, float]:
    """What is to be paid for.

    Args:
        work: Things to do.
        itemsize: Bytes per number that the engine moves.

    Returns:
        Amounts by the name of their cost: billions of multiply-adds, millions of bytes, pixels or channels of pixels.

    Example:
        >>> from unetscope.model.spec import UNetSpec
        >>> from unetscope.timing.work import list_work
        >>> count_amounts(list_work(UNetSpec.by_level((16,)), (1000, 1000)), 2)["activation.pixels"]
        2.0
    """
    total: dict[str, float] = defaultdict(float)
    for each in work:
        amounts = _convolution_amounts if each.kind in CONVOLUTIONS else _pass_amounts
        for name, amount in amounts(each, itemsize).items():
            total[name] += amount
        if each.kind not in IN_PLACE and each.writes * itemsize > FRESH_BYTES:
            total["fresh.bytes"] += each.writes * itemsize / 1e6
    return {name: amount for name, amount in total.items() if amount}


def _convolution_amounts(work: Work, itemsize: int) -> dict[str, float]:
    places = work.pixels * work.taps
    lanes = -(-work.out_width // LANES) * LANES
    pairs = -(-work.in_width // 2) * 2  # bfloat16 is multiplied in pairs
    amounts = {"calls": 1.0}
    if work.kind != "conv":
        amounts["small.multiply_adds"] = places * pairs * lanes / 1e9
        amounts[f"{work.kind}.bytes"] = (work.reads + work.writes) * itemsize / 1e6
        return amounts
    name = f"conv{work.ndim}"
    if itemsize == 4 and work.in_width * work.pixels ** (2 / work.ndim) <= FEW_NUMBERS:
        amounts[f"{name}.few.reads"] = places * work.in_width / 1e9
        amounts[f"{name}.few.multiply_adds"] = places * work.in_width * work.out_width / 1e9
        return amounts
    amounts[f"{name}.multiply_adds"] = places * pairs * lanes / 1e9
    amounts[f"{name}.writes"] = places * lanes / 1e9
    amounts[f"{name}.places"] = places / 1e9
    return amounts


def _pass_amounts(work: Work, itemsize: int) -> dict[str, float]:
    name: str = "activation" if work.kind in IN_PLACE else work.kind
    megabytes = (work.reads + work.writes) * itemsize / 1e6
    left_over = work.writes // work.pixels % VECTOR
    amounts = {"calls": 1.0, f"{name}.bytes": megabytes, f"{name}.pixels": work.pixels / 1e6}
    amounts[f"{name if name in SINGLE_STEPS else 'pass'}.left_over"] = work.pixels * left_over / 1e6
    if work.norm == "instance" and name in READERS:
        amounts["pool.scattered" if name == "pool" else "scattered"] = megabytes
    return amounts


def price(amounts: Amounts, costs: Amounts) -> float:
    """Milliseconds for the amounts.

    Args:
        amounts: As `count_amounts` returns them.
        costs: Milliseconds for one of each.

    Raises:
        KeyError: An amount has no cost.
    """
    return sum(amount * costs[name] for name, amount in amounts.items())


def fit_costs(amounts: Sequence[Amounts], milliseconds: Sequence[float]) -> dict[str, float]:
    """The costs that explain measured times best.

    Args:
        amounts: Of every probe.
        milliseconds: What every probe took.

    Returns:
        Milliseconds for one of each amount, none below 0: those of the least sum of squared relative residuals,
        residuals of disturbed probes counting less. What the probes cannot tell apart is split as on other machines.

    Example:
        >>> probes = [{"relu.bytes": 90.0}, {"relu.bytes": 10.0, "pool.pixels": 2.0}, {"pool.pixels": 1.0}]
        >>> {name: round(cost, 1) for name, cost in fit_costs(probes, [18.0, 12.0, 5.0]).items()}
        {'relu.bytes': 0.2, 'pool.pixels': 5.0}
    """
    names = tuple(dict.fromkeys(name for each in amounts for name in each))
    table = np.array([[each.get(name, 0.0) for name in names] for each in amounts])
    typical = np.array([TYPICAL[name.rpartition(".")[2]] for name in names])
    # In units of typical costs, all amounts are alike, and a machine's speed is a single number.
    shares = _solve(table * typical, np.asarray(milliseconds, np.float64))
    return dict(zip(names, map(float, shares * typical), strict=True))


def _solve(table: NDArray[np.float64], measured: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nonnegative least squares of relative residuals, weighted anew a few times."""
    speed = float(np.median(measured / table.sum(1)))
    scales, weights = measured, np.ones_like(measured)
    for _ in range(ROUNDS):
        costs = np.multiply(speed, _solve_once(speed * table, measured, weights / scales))
        predicted = np.maximum(table @ costs, 1e-3 * measured)
        # The geometric mean makes twice as much and half as much equally wrong.
        scales = np.sqrt(predicted * measured)
        residuals = np.abs(predicted - measured) / scales
        weights = np.sqrt(np.minimum(1, OUTLIER / np.maximum(residuals, 1e-12)))
    return costs


def _solve_once(
    table: NDArray[np.float64], measured: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Costs by what they typically are."""
    from scipy.optimize import nnls

    count = table.shape[1]
    rows = np.vstack([table * weights[:, None], BELIEF * np.eye(count)])
    solution, _ = nnls(rows, np.append(measured * weights, np.full(count, BELIEF)))
    return np.asarray(solution)


def find_ratios(amounts: Sequence[Amounts], milliseconds: Sequence[float]) -> tuple[float, ...]:
    """How far predictions are off: every probe's time by the prediction from others, a few probes left out at a time.

    Args:
        amounts: Of every probe.
        milliseconds: What every probe took.

    Returns:
        Measured by predicted, ascending; without probes of an amount that none of the others holds.
    """
    ratios = []
    for fold in range(min(FOLDS, len(amounts))):
        kept = [index for index in range(len(amounts)) if index % FOLDS != fold]
        costs = fit_costs([amounts[index] for index in kept], [milliseconds[index] for index in kept])
        for own, measured in zip(amounts[fold::FOLDS], milliseconds[fold::FOLDS], strict=True):
            if costs.keys() >= own.keys():
                ratios.append(measured / max(price(own, costs), 1e-9))
    return tuple(sorted(ratios))
