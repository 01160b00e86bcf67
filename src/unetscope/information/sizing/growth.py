"""Whether more annotations would help, from what probes read with some of the images; knows tallies, not images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any

from unetscope.information.intervals import Interval, bootstrap
from unetscope.information.sizing.choices import MARGIN
from unetscope.information.tally import Tally
from unetscope.information.verdicts import Verdict, extrapolate, judge_decision


@dataclass(frozen=True)
class Growth:
    """What twice as many annotated images would add.

    Attributes:
        gain: Expected with twice the images, bits per pixel. The upper end is that of what the last doubling brought,
            because curves of learning flatten.
        last: What the last doubling brought, from half of the images to all, paired by image.
        limit: What any number of images would add; none where it was not measured.
        verdict: "ok" where the gain is clearly above or clearly below the margin.
        helps: Whether the gain is expected to exceed the margin.
    """

    gain: Interval
    last: Interval
    limit: float | None
    verdict: Verdict
    helps: bool

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "gain": self.gain.to_json(),
            "last_doubling": self.last.to_json(),
            "limit": self.limit,
            "helps": self.helps,
            "verdict": self.verdict.to_json(),
        }


def foresee(shares: Mapping[float, Tally], prior: float) -> Growth | None:
    """Follow the curve of learning by one doubling.

    On a curve I(n) = I_inf - a n^-b the next doubling brings d g / (d + g), where d is what the last one brought and g
    what is left to the limit.

    Args:
        shares: Share of the images -> bits that were read; 1/2 and 1 are among them.
        prior: H0, bits; the margin is a share of it.

    Returns:
        What is expected; none where half of the images are too few to learn from.

    Example:
        >>> curve = {share: Tally.of([1 - 0.1 / share] * 4) for share in (0.125, 0.25, 0.5, 1.0)}
        >>> round(foresee(curve, 1.0).gain.value, 3)
        0.05
    """
    if 0.5 not in shares:
        return None
    last = bootstrap(shares[1.0] - shares[0.5])
    left = extrapolate(list(shares), [tally.mean for tally in shares.values()])
    limit = None if isnan(left) else left
    factor = 1.0 if limit is None else _flatten(last.value, limit)
    gain = Interval(last.value * factor, last.low * factor, max(last.high, last.value * factor))
    verdict = judge_decision(gain, MARGIN * prior, shares[1.0].images)
    return Growth(gain, last, limit, verdict, gain.value > MARGIN * prior)


def _flatten(last: float, limit: float) -> float:
    """How much of the last doubling the next one repeats, from 0 to 1."""
    return limit / (max(last, 0.0) + limit) if limit > 0 else 0.0
