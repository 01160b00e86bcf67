"""How well predictors rank what they predict, within strata and over networks; knows numbers and names, no networks.

The measure is Spearman's rank correlation within every stratum (a set's parts of one kind at one level, say), averaged
over strata by how many cases each has. Within a level the level itself ranks nothing, so that a predictor must know
more than where a part is. Networks are what is drawn for intervals: the parts of one network go together.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from unetscope.information.intervals import Interval

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

FEWEST = 3  # different networks in a stratum: two are always ranked perfectly, one way or the other
DRAWS = 1000
TAILS = (0.025, 0.975)


@dataclass(frozen=True)
class Case:
    """One part of one network.

    Attributes:
        network: Which network; its cases are drawn together.
        collection: The images that it learned.
        level: Of the gate.
        kind: "up" or "skip".
        values: Predictors and targets by name, as far as they are known.
    """

    network: str
    collection: str
    level: int
    kind: str
    values: Mapping[str, float]

    def knows(self, *names: str) -> bool:
        """Whether all of these are known."""
        return all(isfinite(self.values.get(name, nan)) for name in names)


Stratum = Callable[[Case], Hashable]


def by_level(case: Case) -> Hashable:
    """Parts of one kind at one level."""
    return case.collection, case.level, case.kind


def by_kind(case: Case) -> Hashable:
    """Parts of one kind, wherever they are."""
    return case.collection, case.kind


@dataclass(frozen=True, eq=False)
class Ranking:
    """How well predictors rank a target.

    Attributes:
        predictors: Their names.
        values: (predictors,) correlations; NaN where no stratum has enough networks.
        drawn: (draws, predictors) the same with the networks drawn anew.
        cases: How many parts were ranked.
        networks: Of how many networks.
    """

    predictors: tuple[str, ...]
    values: Array
    drawn: Array
    cases: int
    networks: int

    def interval(self, name: str) -> Interval:
        """The correlation of one predictor."""
        at = self.predictors.index(name)
        return _interval(self.values[at], self.drawn[:, at])

    def difference(self, name: str, other: str) -> Interval:
        """By how much one predictor ranks better than another, in the same draws."""
        one, two = (self.predictors.index(each) for each in (name, other))
        return _interval(self.values[one] - self.values[two], self.drawn[:, one] - self.drawn[:, two])

    def best(self, names: Sequence[str]) -> str:
        """Which of some predictors ranks best: chosen on these very cases, so that it is a strong rival."""
        known = [name for name in names if name in self.predictors]
        return max(known, key=lambda name: np.nan_to_num(self.values[self.predictors.index(name)], nan=-1.0))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        found = {name: self.interval(name).to_json() for name in self.predictors}
        return {"cases": self.cases, "networks": self.networks, "correlations": found}


def rank(
    cases: Sequence[Case],
    predictors: Sequence[str],
    target: str,
    stratum: Stratum = by_level,
    draws: int = DRAWS,
    seed: int = 0,
) -> Ranking:
    """Compare predictors of one target on the same cases.

    Args:
        cases: Parts of networks; those that lack a value are left out.
        predictors: Names of what ranks.
        target: Name of what is ranked.
        stratum: Within what is ranked.
        draws: How often the networks of every collection are drawn anew.
        seed: Seed of the draws.

    Returns:
        Correlations with what their intervals are formed from; positive where large values go with large ones.
    """
    known = [case for case in cases if case.knows(*predictors, target)]
    table = np.array([[case.values[name] for name in (*predictors, target)] for case in known])
    table = table.reshape(-1, len(predictors) + 1)
    strata, networks = number_all([stratum(case) for case in known]), number_all([case.network for case in known])
    everything = np.arange(len(known))
    drawn = [correlate(table[chosen], strata[chosen], networks[chosen]) for chosen in draw_networks(known, draws, seed)]
    return Ranking(
        tuple(predictors),
        correlate(table[everything], strata, networks),
        np.array(drawn).reshape(-1, len(predictors)),
        len(known),
        len(set(networks.tolist())),
    )


def correlate(table: Array, strata: Indices, networks: Indices) -> Array:
    """Rank correlation of every column with the last, within strata, averaged by their cases.

    Args:
        table: (cases, predictors + 1).
        strata: (cases,) where each belongs.
        networks: (cases,) whose each is; strata of fewer than three different ones do not count.

    Returns:
        (predictors,) from -1 to 1. A predictor that is the same throughout a stratum ranks nothing there: 0. A
        stratum in which the target is the same throughout does not count; NaN where none does.

    Example:
        >>> table = np.array([[1.0, 5.0, 10.0], [2.0, 5.0, 20.0], [3.0, 5.0, 40.0]])
        >>> correlate(table, np.zeros(3, int), np.arange(3)).tolist()
        [1.0, 0.0]
    """
    total, weight = np.zeros(table.shape[1] - 1), 0
    for stratum in np.unique(strata):
        rows = strata == stratum
        ranks = rankdata(table[rows], axis=0)
        if len(np.unique(networks[rows])) >= FEWEST and np.ptp(ranks[:, -1]) > 0:
            total += rows.sum() * _correlate_ranks(ranks)
            weight += int(rows.sum())
    return np.round(total / weight, 12) if weight else np.full(len(total), nan)


def _correlate_ranks(ranks: Array) -> Array:
    """Correlation of every column with the last; 0 for one that is the same throughout."""
    apart = ranks - ranks.mean(0)
    sizes = np.sqrt((apart**2).sum(0))
    products: Array = apart[:, :-1].T @ apart[:, -1]
    return products / np.where(sizes[:-1] > 0, sizes[:-1] * sizes[-1], 1)


def draw_networks(cases: Sequence[Case], draws: int, seed: int) -> list[Indices]:
    """For every draw the cases of as many networks of every collection as it has, drawn with replacement."""
    chance = np.random.default_rng(seed)
    owned: dict[str, dict[str, list[int]]] = {}
    for index, case in enumerate(cases):
        owned.setdefault(case.collection, {}).setdefault(case.network, []).append(index)
    drawn = []
    for _ in range(draws if cases else 0):
        chosen: list[int] = []
        for networks in owned.values():
            names = list(networks)
            for number in chance.integers(0, len(names), len(names)):
                chosen += networks[names[number]]
        drawn.append(np.array(chosen))
    return drawn


def number_all(values: Sequence[Hashable]) -> Indices:
    """Values as numbers from 0, in the order in which they first occur.

    Example:
        >>> number_all(["b", "a", "b"]).tolist()
        [0, 1, 0]
    """
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(value, len(known)) for value in values], np.int64)


def _interval(value: float, drawn: Array) -> Interval:
    """The middle 95 % of the draws; unknown ends where no draw could be ranked."""
    finite = drawn[np.isfinite(drawn)]
    low, high = np.quantile(finite, TAILS) if len(finite) else (-np.inf, np.inf)
    return Interval(float(value), float(low), float(high))
