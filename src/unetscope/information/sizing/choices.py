"""The smallest option that is as good as the best, and whether it can be told; knows tallies, not what they are of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from unetscope.information.intervals import Interval, bootstrap
from unetscope.information.tally import Tally
from unetscope.information.verdicts import Verdict, judge_decision

MARGIN = 0.02
"""Share of H0 up to which an option counts as good as the best."""


@dataclass(frozen=True)
class Choice:
    """The smallest of some options that is as good as the best, up to a margin.

    Attributes:
        value: The smallest by the estimates alone.
        low: The smallest that is not clearly worse than the best.
        high: The smallest that is clearly as good; the best itself is.
        open_ended: Whether the estimates name the largest option, so that a still larger one might be better.
        shortfalls: How much each option falls short of the best, bits per pixel, paired by image.
        verdict: "ok" where low and high agree.
    """

    value: int
    low: int
    high: int
    open_ended: bool
    shortfalls: Mapping[int, Interval]
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "open_ended": self.open_ended,
            "verdict": self.verdict.to_json(),
            "shortfalls": {str(option): interval.to_json() for option, interval in self.shortfalls.items()},
        }


def choose_smallest(gains: Mapping[int, Tally], prior: float) -> Choice:
    """Compare every option with the best one.

    Args:
        gains: Bits that were read with each option, ascending.
        prior: H0, bits; the margin is `MARGIN` of it.

    Returns:
        The choice. It cannot be told where an option is neither clearly worse than the best nor clearly as good, or
        where nothing is read with any option.

    Example:
        >>> few, many = Tally.of([1.0, 1.1, 0.9, 1.0], [10] * 4), Tally.of([4.0, 4.1, 3.9, 4.0], [10] * 4)
        >>> choice = choose_smallest({1: few, 3: many, 7: many}, prior=1.0)
        >>> choice.value, choice.verdict.word
        (3, 'ok')
    """
    options, margin = list(gains), MARGIN * prior
    best = max(options, key=lambda option: gains[option].mean)
    shortfalls = {option: bootstrap(gains[best] - gains[option]) for option in options}
    value = next(option for option in options if shortfalls[option].value <= margin)
    low = next(option for option in options if shortfalls[option].low <= margin)
    high = next(option for option in options if shortfalls[option].high <= margin)
    verdict = _judge(gains[best], {option: shortfalls[option] for option in options if low <= option < high}, margin)
    told = bootstrap(gains[best])
    if not told.low > 0:
        verdict = _say_nothing_read(told, gains[best].images)
    return Choice(value, low, high, value == options[-1], shortfalls, verdict)


def _judge(best: Tally, undecided: Mapping[int, Interval], margin: float) -> Verdict:
    """Whether every smaller option is clearly worse; each that is not names the images that would decide it."""
    verdicts = {option: judge_decision(each, margin, best.images) for option, each in undecided.items()}
    open_options = {option: each for option, each in verdicts.items() if each.word != "ok"}
    if not open_options:
        return Verdict("ok", f"every smaller one is worse by more than {margin:.3f} bits, and this one is not")
    needed = [each.images for each in open_options.values()]
    listed = ", ".join(map(str, open_options))
    reason = f"whether {listed} reads as much as the best, up to {margin:.3f} bits, is not decided"
    return Verdict("cannot tell", reason, None if None in needed else max(each for each in needed if each))


def _say_nothing_read(told: Interval, images: int) -> Verdict:
    """Where even the best reads nothing, there is nothing to choose between."""
    if not isfinite(told.half_width):
        return Verdict("cannot tell", f"{images} images give no interval; at least 2 are needed")
    reason = f"nothing is read for sure: the interval from {told.low:.3f} to {told.high:.3f} bits is not above 0"
    return Verdict("cannot tell", reason, judge_decision(told, 0.0, images).images)
