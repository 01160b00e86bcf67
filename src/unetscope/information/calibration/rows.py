"""What was found on a phantom beside what is true, and whether that will do; knows numbers, not their origin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

import numpy as np

ERRORS = 3.0  # standard errors that chance may take
DIGITS = 6


@dataclass(frozen=True)
class Tolerance:
    """How far an estimate may lie below and above the truth; infinite where it may lie anywhere."""

    below: float
    above: float

    @classmethod
    def of(cls, either: float) -> Tolerance:
        """The same on both sides."""
        return cls(either, either)


ANYWHERE = Tolerance(inf, inf)


@dataclass(frozen=True)
class Trial:
    """An estimate on one draw of a phantom.

    Attributes:
        id: Of the row that it belongs to, such as "G5 q=.14 delta=2 d=16 linear".
        truth: What is true of this phantom.
        estimate: What was found.
        tolerance: How far apart they may be.
        standard_error: Of the estimate, by the images or samples of this draw; 0 where it is not known.
        unit: Of truth and estimate.
        said: The verdict's word, where there was one.
        wanted: The word that must be said, if any.
        note: What else people should see.
    """

    id: str
    truth: float
    estimate: float
    tolerance: Tolerance
    standard_error: float = 0.0
    unit: str = "bits"
    said: str = ""
    wanted: str = ""
    note: str = ""

    @property
    def lowest(self) -> float:
        """The lowest estimate that would do."""
        return self.truth - max(self.tolerance.below, ERRORS * self.standard_error)

    @property
    def highest(self) -> float:
        """The highest estimate that would do."""
        return self.truth + max(self.tolerance.above, ERRORS * self.standard_error)

    @property
    def strain(self) -> float:
        """The error as a share of what is allowed: above 1 it is too large."""
        if not isfinite(self.estimate) or (self.wanted and self.said != self.wanted):
            return inf
        error = abs(self.estimate - self.truth)
        allowed = self.highest - self.truth if self.estimate >= self.truth else self.truth - self.lowest
        return error / allowed if allowed > 0 else (inf if error > 0 else 0.0)

    @property
    def ok(self) -> bool:
        """Whether the estimate is near enough, and the word the right one."""
        return self.strain <= 1


@dataclass(frozen=True)
class Row:
    """One line of the calibration: the worst of the draws.

    Attributes:
        worst: The trial that is furthest out, as a share of what is allowed.
        seed: Its seed.
        seeds: All seeds.
        mean: Mean estimate over all of them.
    """

    worst: Trial
    seed: int
    seeds: tuple[int, ...]
    mean: float

    @classmethod
    def of(cls, trials: Mapping[int, Trial]) -> Row:
        """The row of the trials of every seed; all of them must do.

        Example:
            >>> drawn = {0: Trial("a", 1.0, 1.01, Tolerance.of(0.02)), 1: Trial("a", 1.0, 0.95, Tolerance.of(0.02))}
            >>> row = Row.of(drawn)
            >>> row.seed, row.ok
            (1, False)
        """
        seed = max(trials, key=lambda each: trials[each].strain)
        mean = float(np.mean([trial.estimate for trial in trials.values()]))
        return cls(trials[seed], seed, tuple(trials), mean)

    @property
    def ok(self) -> bool:
        """Whether every draw would do."""
        return self.worst.ok

    @property
    def tolerance(self) -> float:
        """How far off the worst draw might have been, on the side where it lies; standard errors come on top."""
        below, above = self.worst.tolerance.below, self.worst.tolerance.above
        this, other = (above, below) if self.worst.estimate >= self.worst.truth else (below, above)
        return this if isfinite(this) else other

    def to_json(self) -> dict[str, Any]:
        """Plain values; null where there is no number or no limit."""
        found = self.worst
        numbers = {
            "truth": found.truth, "estimate": found.estimate, "tolerance": self.tolerance,
            "standard_error": found.standard_error, "lowest": found.lowest, "highest": found.highest,
            "mean": self.mean,
        }  # fmt: skip
        return {
            "id": found.id,
            "unit": found.unit,
            **{name: _round(value) for name, value in numbers.items()},
            "ok": self.ok,
            "seed": self.seed,
            "seeds": list(self.seeds),
            "said": found.said or None,
            "wanted": found.wanted or None,
            "note": found.note or None,
        }


def _round(value: float) -> float | None:
    return round(value, DIGITS) if isfinite(value) else None
