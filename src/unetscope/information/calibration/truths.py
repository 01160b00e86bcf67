"""What a phantom's information is, exactly: in closed form, by integration, by enumeration; knows no samples.

Everything here follows from how a phantom is made and from nothing that was ever measured, so that an estimator cannot
be right by agreeing with itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import product
from math import log2

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import entr, expit, logit

TAIL = 12.0  # standard deviations beyond a mean, where nothing of a Gaussian is left

Puzzle = Callable[[int, int], int]
Shares = NDArray[np.float64]

PUZZLES: dict[str, Puzzle] = {
    "XOR": lambda a, b: a ^ b,
    "COPY": lambda a, b: a,
    "AND": lambda a, b: a & b,
    "UNIQUE": lambda a, b: a,
}
"""Label of two fair bits; in "COPY" the second bit is the first one once more."""


def solve_gaussian_pairs(dimensions: int, correlation: float) -> float:
    """Information of d independent pairs of Gaussians: -d/2 log2(1 - r^2).

    Args:
        dimensions: d.
        correlation: r within every pair, from -1 to 1, both excluded.

    Returns:
        Bits.

    Source:
        Cover & Thomas 2006, Elements of information theory, example 8.5.1.

    Example:
        >>> round(solve_gaussian_pairs(1, 0.6), 4)
        0.3219
    """
    return -dimensions / 2 * log2(1 - correlation**2)


def solve_noisy_copies(dimensions: int, noise: float) -> float:
    """Information between d standard Gaussians and their copies with noise: d/2 log2(1 + 1 / noise^2).

    Args:
        dimensions: d.
        noise: Standard deviation of the noise, above 0.

    Returns:
        Bits.

    Source:
        Cover & Thomas 2006, Elements of information theory, theorem 9.1.1.

    Example:
        >>> round(solve_noisy_copies(1, 0.5), 4)
        1.161
    """
    return dimensions / 2 * log2(1 + noise**-2)


@cache
def integrate_two_classes(share: float, distance: float) -> float:
    """Information between a class and a Gaussian whose mean it moves, in any number of dimensions.

    Only the direction in which the means differ tells anything, so one integral will do: the entropy of the class less
    the mean entropy of what remains open once the value along that direction is known.

    Args:
        share: Probability q of the second class, from 0 to 1, both excluded.
        distance: Distance delta between the means, in standard deviations.

    Returns:
        Bits, exact to nine digits.

    Example:
        >>> round(integrate_two_classes(0.5, 2), 4), round(integrate_two_classes(0.14, 2), 4)
        (0.4859, 0.2635)
    """
    prior = float(logit(share))

    def open_bits(value: float) -> float:
        densities = [np.exp(-((value + sign * distance / 2) ** 2) / 2) for sign in (1, -1)]
        density = ((1 - share) * densities[0] + share * densities[1]) / np.sqrt(2 * np.pi)
        return float(density * _entropy(float(expit(prior + distance * value))))

    edge = distance / 2 + TAIL
    middle = -prior / distance if distance else 0.0  # where the entropy of what is open has its peak
    rest = quad(open_bits, -edge, edge, points=[middle], epsabs=1e-10, limit=400)[0]
    return _entropy(share) - float(rest)


def enumerate_puzzle(name: str) -> tuple[float, float, float]:
    """What two bits tell about a label that follows from them: the first, the second, both.

    Args:
        name: One of `PUZZLES`.

    Returns:
        I(A), I(B) and I(AB) in bits.

    Example:
        >>> [round(bits, 4) for bits in enumerate_puzzle("AND")]
        [0.3113, 0.3113, 0.8113]
    """
    table = np.zeros((2, 2, 2))  # probability of the first bit, the second and the label
    for a, b in product((0, 1), repeat=2):
        other = a if name == "COPY" else b
        table[a, other, PUZZLES[name](a, other)] += 0.25
    return _share(table.sum(1)), _share(table.sum(0)), _share(table.reshape(4, 2))


def _share(table: Shares) -> float:
    """Information between the rows and the columns of a table of probabilities."""
    return _bits(table.sum(0)) + _bits(table.sum(1)) - _bits(table)


def _entropy(share: float) -> float:
    return _bits(np.array([share, 1 - share]))


def _bits(shares: Shares) -> float:
    return float(entr(shares).sum() / np.log(2))
