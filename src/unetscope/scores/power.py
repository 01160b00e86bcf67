"""What a number of scored images lets one claim; knows per-image scores, neither files nor networks nor torch.

Two networks are compared by the differences of their scores on the same images (a paired t-test). Before the second
network exists, only one network's scores are known. The spread of the differences then has to be assumed: both
networks' scores have the same standard deviation s, and correlate over the images by r, so that the differences have
the standard deviation s sqrt(2 (1 - r)). With r = 0.5 that is s itself. Networks of one kind, trained on the same
images, usually correlate more; then smaller differences are found, and the figure given here is a cautious one.

Below 20 images no claim should rest on them: only differences of more than two thirds of a standard deviation would be
found, and that standard deviation is itself uncertain by a sixth.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from typing import TYPE_CHECKING

from unetscope.errors import DataError
from unetscope.scores.values import defined

if TYPE_CHECKING:
    from unetscope.scores.overlap import Scores

_ENOUGH = 20
_BATCHES, _BATCH = 50, 100  # resamples in batches, so that thousands of images need little memory


def is_too_small(count: int) -> bool:
    """Whether so few images (fewer than 20) can carry no claim.

    Example:
        >>> is_too_small(19), is_too_small(20)
        (True, False)
    """
    return count < _ENOUGH


def detectable_difference(
    values: Iterable[float | None], power: float = 0.8, level: float = 0.05, correlation: float = 0.5
) -> float | None:
    """The smallest difference between two networks' mean scores that so many images would show.

    Args:
        values: One network's score of every image; those that are None do not count.
        power: Probability that a difference of this size is found, above `level` and below 1.
        level: Probability of finding a difference where there is none, in a two-sided test, above 0.
        correlation: Of two networks' scores over the images, from -1 to below 1: an assumption.

    Returns:
        In the unit of the scores, exact for normal differences with the spread assumed; None where fewer than two
        values are defined or all are equal, as there is no spread to judge by.

    Raises:
        DataError: Power, level or correlation is out of its range.

    Source:
        Cohen, "Statistical Power Analysis for the Behavioral Sciences", 2nd edition 1988, chapter 2. The square of the
        test's noncentral t is a noncentral F with 1 and n - 1 degrees of freedom, which counts both sides at once.

    Example:
        >>> round(detectable_difference([0.7, 0.8, 0.9] * 4), 3)
        0.076
        >>> detectable_difference([0.8]) is None
        True
    """
    if not (0 < level < power < 1 and -1 <= correlation < 1):
        raise DataError(
            f"level {level}, power {power} and correlation {correlation} are no test; "
            "use 0 < level < power < 1 and -1 <= correlation < 1"
        )
    kept = defined(values)
    spread = statistics.stdev(kept) * math.sqrt(2 * (1 - correlation)) if len(kept) > 1 else 0.0
    return _noncentrality(len(kept), power, level) * spread / math.sqrt(len(kept)) if spread else None


def interval(values: Iterable[float | None], level: float = 0.95, seed: int = 0) -> tuple[float, float] | None:
    """A bootstrap confidence interval for the mean over images.

    It is the percentile interval, expanded for small samples: means of n resampled images spread too little by a factor
    of sqrt((n - 1) / n) and have tails that are too short, for which the quantiles make up. It never leaves the range
    of the values.

    Args:
        values: The score of every image; those that are None do not count.
        level: How often such an interval should hold the true mean, above 0 and below 1. With 5 skewed values it does
            about .9 of the time instead of .95, with 2 values half of the time.
        seed: Of the resampling; equal seeds give equal intervals.

    Returns:
        Lower and upper end; None where fewer than two values are defined.

    Raises:
        DataError: The level is out of its range.

    Source:
        Hesterberg, "What teachers should know about the bootstrap", The American Statistician 69:371, 2015 (the
        expanded percentile interval).

    Example:
        >>> low, high = interval([0.7, 0.8, 0.9] * 4)
        >>> round(low, 2), round(high, 2)
        (0.75, 0.85)
    """
    if not 0 < level < 1:
        raise DataError(f"the level of an interval is {level}, but it must lie above 0 and below 1; use 0.95")
    kept = defined(values)
    if len(kept) < 2:
        return None
    import numpy as np

    sample, generator = np.array(kept), np.random.default_rng(seed)
    means = [generator.choice(sample, (_BATCH, sample.size)).mean(axis=1) for _ in range(_BATCHES)]
    tail = _expanded_tail(len(kept), level)
    low, high = np.quantile(means, [tail, 1 - tail]).tolist()
    return low, high


def describe_evidence(scores: Scores) -> str:
    """Say in one sentence what difference in Dice the scored images could show.

    Args:
        scores: One network's scores.

    Returns:
        A sentence for people, without a full stop.

    Example:
        >>> from unetscope.scores.overlap import ClassScore, ImageScore, Scores
        >>> images = (ImageScore("", (ClassScore("cell", dice=dice),), 0.1, None) for dice in [0.7, 0.8, 0.9] * 4)
        >>> describe_evidence(Scores(tuple(images)))
        '12 images: a difference below 0.076 Dice between two networks could not be told from chance (80 % power ...'
    """
    values = defined(image.dice for image in scores.images)
    images = f"{len(values)} image{'s' if len(values) != 1 else ''}"
    difference = detectable_difference(values)
    if difference is None or difference >= 1:
        return f"{images}: they cannot tell any difference in Dice between two networks from chance"
    claim = f"{images}: a difference below {difference:.2g} Dice between two networks could not be told from chance"
    return f"{claim} (80 % power at 5 %, if their scores correlate by 0.5)"


def _noncentrality(count: int, power: float, level: float) -> float:
    """How many standard errors a mean difference must measure for a two-sided t-test to find it."""
    from scipy.optimize import brentq  # here, because these take a second to import
    from scipy.stats import ncf, t

    critical = t.isf(level / 2, count - 1) ** 2

    def lacking(errors: float) -> float:
        return float(ncf.sf(critical, 1, count - 1, errors**2)) - power

    highest = 1.0
    while lacking(highest) < 0:
        highest *= 2
    return float(brentq(lacking, 0, highest))


def _expanded_tail(count: int, level: float) -> float:
    """Which quantile of the resampled means ends an interval."""
    from scipy.special import ndtr, stdtrit

    return float(ndtr(math.sqrt(count / (count - 1)) * stdtrit(count - 1, (1 - level) / 2)))
