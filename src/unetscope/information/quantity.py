"""A measured quantity: its value, its interval and whether it is known; knows tallies, not where they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from unetscope.information.intervals import Interval, bootstrap
from unetscope.information.tally import Tally
from unetscope.information.verdicts import Verdict, extrapolate, judge_decision, judge_value

VALUE_SHARE, GATE_SHARE = 0.05, 0.01
"""Largest half-width of an interval, as a share of H0, at which a value of a layer and of a gate is told."""

DRAWS = 500


@dataclass(frozen=True, eq=False)
class Quantity:
    """Something measured image by image, in bits per pixel or in Dice.

    Attributes:
        tally: What was measured.
        scale: What it is judged against: H0 for bits, 1 for Dice.
        allowed: Half-width of its interval, as a share of the scale, up to which it counts as known.
        curve: Share of the images that taught the probe, and the value that came out; the last share is 1. Empty if
            only one share was tried.
        repeats: Values with other seeds of the probe.

    Example:
        >>> quantity = Quantity(Tally.of([30.0, 31.0, 29.0, 30.0], [100, 100, 100, 100]), scale=1.0)
        >>> round(quantity.value, 2), quantity.verdict.word
        (0.3, 'ok')
    """

    tally: Tally
    scale: float
    allowed: float = VALUE_SHARE
    curve: tuple[tuple[float, float], ...] = ()
    repeats: tuple[float, ...] = ()

    @property
    def value(self) -> float:
        """The estimate."""
        return self.tally.mean

    @cached_property
    def interval(self) -> Interval:
        """Its 95 % interval over images, and over networks where there are several."""
        return bootstrap(self.tally, DRAWS)

    @cached_property
    def gap(self) -> float | None:
        """How much more the probe would read if it learned from any number of images; None if not measured."""
        if len(self.curve) < 3:
            return None
        gap = extrapolate([share for share, _ in self.curve], [value for _, value in self.curve])
        return None if np.isnan(gap) else gap

    @cached_property
    def verdict(self) -> Verdict:
        """Whether the value is told."""
        return self._advise(judge_value(self.interval, self.scale, self.tally.images, self.gap, self.allowed))

    def decide(self, threshold: float) -> Verdict:
        """Whether the interval lies on one side of a threshold."""
        return self._advise(judge_decision(self.interval, threshold, self.tally.images))

    def _advise(self, verdict: Verdict) -> Verdict:
        """The verdict; where several networks differ, no number of images is named, since more networks would tell."""
        return replace(verdict, images=None) if self.tally.networks > 1 else verdict

    def minus(self, other: Quantity) -> Quantity:
        """The paired difference to another quantity."""
        return Quantity(self.tally - other.tally, self.scale, self.allowed)

    @classmethod
    def pool(cls, quantities: Sequence[Quantity]) -> Self:
        """The same quantity of several networks."""
        first, curves = quantities[0], [quantity.curve for quantity in quantities]
        alike = all([share for share, _ in curve] == [share for share, _ in curves[0]] for curve in curves)
        curve = np.mean(curves, axis=0) if alike and curves[0] else ()
        return cls(
            Tally.pool([quantity.tally for quantity in quantities]),
            float(np.mean([quantity.scale for quantity in quantities])),
            first.allowed,
            tuple((float(share), float(value)) for share, value in curve),
            tuple(value for quantity in quantities for value in quantity.repeats),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values; value, interval and verdict are there for readers and formed anew from the rest."""
        return {
            "value": round(self.value, 6),
            "interval": self.interval.to_json(),
            "verdict": self.verdict.to_json(),
            "scale": self.scale,
            "allowed": self.allowed,
            "curve": [list(point) for point in self.curve],
            "repeats": list(self.repeats),
            "tally": self.tally.to_json(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The quantity that `to_json` wrote."""
        return cls(
            Tally.from_json(content["tally"]),
            content["scale"],
            content["allowed"],
            tuple((share, value) for share, value in content["curve"]),
            tuple(content["repeats"]),
        )
