"""Whether one network, trained with several seeds, scores as well as another; knows arrays of scores, nothing else.

Two things are left to chance, and a difference between two networks bears both: which images were scored, and with
which seeds the networks were trained. Both networks score the same images, so images are paired; their seeds are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, stdtrit

from unetscope.errors import DataError
from unetscope.scores.power import is_too_small
from unetscope.scores.variances import (
    TAIL,
    WIDEST,
    Units,
    Variance,
    arrange,
    combine,
    find_ends,
    image_variance,
    list_seed_variances,
    seed_variance,
)

Word = Literal["as good", "worse", "not separable", "no verdict"]

DRAWS = 10_000  # of the variances that might be estimated
MARGIN = 0.01
"""Dice that may be lost by a network that is called as good, unless told otherwise."""


@dataclass(frozen=True)
class Difference:
    """What the second of two networks scores more than the first, with its 95 % interval.

    Attributes:
        value: Mean over seeds and images; negative where the second is worse.
        low: Lower end.
        high: Upper end.
        seeds: Trainings of the first and of the second.
        images: Scored images, or groups of them that belong together: what was drawn independently.
        borrowed: Whether one network was trained once, so that the other's spread over seeds was taken for it.
    """

    value: float
    low: float
    high: float
    seeds: tuple[int, int]
    images: int
    borrowed: bool = False

    @property
    def seeds_known(self) -> bool:
        """Whether the interval holds for other seeds too; otherwise it is for these trainings and other images."""
        return max(self.seeds) > 1

    @property
    def half_width(self) -> float:
        """The larger of the distances from the value to the ends."""
        return max(self.high - self.value, self.value - self.low)


@dataclass(frozen=True)
class GroupMean:
    """The mean score of one network with its 95 % interval.

    Attributes:
        value: Mean over seeds and images.
        low: Lower end.
        high: Upper end.
        seeds: Trainings; the interval of a single one holds for other images and not for other seeds.
        images: Scored images, or groups of them.
    """

    value: float
    low: float
    high: float
    seeds: int
    images: int

    @property
    def half_width(self) -> float:
        """The larger of the distances from the value to the ends."""
        return max(self.high - self.value, self.value - self.low)


@dataclass(frozen=True)
class Spread:
    """How far scores scatter: what is known, or assumed, before anything is trained.

    Attributes:
        images: Standard deviation, over images, of the difference between two networks' mean scores of an image.
        seeds: Standard deviation of a network's mean score over seeds, beside what the images explain.
    """

    images: float = 0.03
    seeds: float = 0.007

    def __post_init__(self) -> None:
        """Refuse what is no spread."""
        if not (0 <= self.images < inf and 0 <= self.seeds < inf):
            raise DataError(f"spreads of {self.images} and {self.seeds} came; give standard deviations of at least 0")


def compare_groups(first: ArrayLike, second: ArrayLike, units: Units | None = None) -> Difference:
    """The difference of two networks' mean scores, over images like these and trainings like these.

    Student's t with the sum of three variances: of the seeds of either network, and of the images' paired differences;
    degrees of freedom by Satterthwaite, as in Welch's test. It was chosen by how often its interval held the truth, and
    by its width (simulated: paired differences of images with a standard deviation of .03, half of its variance the
    same for all seeds; 65 images; coverage with seeds that spread alike / three times as far in the second network):

        | seed s.d., seeds  | percentile | studentized | pooled    | this      | half-width |
        |-------------------|------------|-------------|-----------|-----------|------------|
        | .002, 2 and 2     | .94 / .87  | .95 / .91   | .96 / .92 | .97 / .94 | .009       |
        | .007, 2 and 2     | .81 / .69  | .91 / .89   | .92 / .90 | .94 / .92 | .027       |
        | .007, 3 and 3     | .89 / .79  | .94 / .92   | .95 / .91 | .95 / .93 | .016       |
        | .007, 5 and 2     | .85 / .68  | .91 / .85   | .94 / .78 | .93 / .89 | .015       |
        | .007, 5 and 5     | .91 / .88  | .94 / .94   | .95 / .94 | .95 / .95 | .011       |
        | .03, 2 and 2      | .68 / .64  | .94 / .96   | .94 / .92 | .95 / .95 | .160       |
        | .03, 5 and 5      | .87 / .84  | .94 / .94   | .94 / .92 | .95 / .94 | .044       |

    Heavy tails (Student's t of 3 degrees) and 20 images leave these figures as they are, within .02.

    Drawing seeds, then images, and taking percentiles fails wherever seeds matter: two or three numbers drawn from
    themselves spread too little. Studentizing mends most of that, but a draw that holds one seed twice has no standard
    error. Pooling the seeds of both networks gives shorter intervals, and fails where they spread unequally. What seeds
    and images share is counted with both, which makes intervals 6 % too long at the most in these cases.

    A network that was trained once says nothing of its own seeds; the other's spread is borrowed then, which covers .88
    to .97 where both spread alike, and .62 to .94 where the single one spreads three times as far. Where both were
    trained once the interval covers other images only: see `Difference.seeds_known`.

    Args:
        first: (seeds, images) scores; not-a-number where an image has none, which must be so for all networks.
        second: The same of the other network, for the same images in the same order.
        units: The group of each image where several belong together (a patient); each on its own if None.

    Returns:
        Second minus first; ends of -1 and 1 where one image or group says nothing about others.

    Raises:
        DataError: The arrays do not fit each other, or nothing was scored.

    Source:
        Satterthwaite 1946, Biometrics Bulletin 2:110; Welch 1947, Biometrika 34:28.

    Example:
        >>> found = compare_groups([[0.7, 0.8, 0.9]], [[0.6, 0.8, 0.8], [0.6, 0.7, 0.7]])
        >>> round(found.value, 3), found.borrowed
        (-0.1, True)
    """
    (one, other), names = arrange((first, second), units)
    each = other.mean(axis=0) - one.mean(axis=0)
    parts = [image_variance(each, names), *list_seed_variances(one, other)]
    counts = (len(one), len(other))
    ends = find_ends(float(each.mean()), parts, -WIDEST)
    return Difference(*ends, counts, len(set(names)), min(counts) == 1 < max(counts))


def estimate_mean(scores: ArrayLike, units: Units | None = None) -> GroupMean:
    """The mean score of one network, over images like these and, of several trainings, over trainings like these.

    Args:
        scores: (seeds, images); not-a-number where an image has none.
        units: The group of each image where several belong together.

    Raises:
        DataError: Nothing was scored.

    Example:
        >>> estimate_mean([[0.5, 0.5, 0.5]])
        GroupMean(value=0.5, low=0.5, high=0.5, seeds=1, images=3)
    """
    (group,), names = arrange([scores], units)
    each = group.mean(axis=0)
    parts = [image_variance(each, names)] + ([seed_variance(group)] if len(group) > 1 else [])
    return GroupMean(*find_ends(float(each.mean()), parts, 0.0), len(group), len(set(names)))


def expect_chance(scores: ArrayLike, units: Units | None = None) -> Difference | None:
    """What another training of the very same network would differ by from the mean of those at hand: chance alone.

    Trainings of one network cannot differ on average, so the value is 0; what can be said is where the next one will
    be found (a prediction interval, from the spread over seeds). Its own differences to the others would be no tests:
    they add up to 0, and each has the others' chance in it.

    Args:
        scores: (seeds, images) scores of one network.
        units: The group of each image where several belong together.

    Returns:
        The difference to expect; None of a single training.

    Raises:
        DataError: Nothing was scored.

    Example:
        >>> found = expect_chance([[0.80], [0.81], [0.82], [0.83]])
        >>> round(found.low, 3), round(found.high, 3)
        (-0.046, 0.046)
    """
    (group,), names = arrange([scores], units)
    if len(group) < 2:
        return None
    own = seed_variance(group)
    ends = find_ends(0.0, [Variance(own.value * (1 + len(group)), own.freedom)], -WIDEST)
    return Difference(*ends, (len(group), 1), len(set(names)), borrowed=True)


def judge(difference: Difference, margin: float = MARGIN, images: int | None = None) -> Word:
    """What may be said of the second network.

    Args:
        difference: Second minus first.
        margin: What may be lost at the most, above 0.
        images: Scored images or groups; those of the difference if None.

    Returns:
        "as good": the interval ends above -margin; "worse": it ends below -margin; "not separable": neither, or no
        network was trained twice, so that another seed might say the opposite; "no verdict": fewer than 20 images.

    Raises:
        DataError: The margin is not above 0.

    Example:
        >>> judge(Difference(-0.002, -0.008, 0.004, (3, 3), 65)), judge(Difference(-0.002, -0.008, 0.004, (3, 3), 19))
        ('as good', 'no verdict')
    """
    check_margin(margin)
    if is_too_small(difference.images if images is None else images):
        return "no verdict"
    if not difference.seeds_known:
        return "not separable"
    if difference.low > -margin:
        return "as good"
    return "worse" if difference.high < -margin else "not separable"


def check_margin(margin: float) -> None:
    """Refuse what is no margin.

    Raises:
        DataError: It is not above 0, or as large as a score can be.
    """
    if not 0 < margin < WIDEST:
        raise DataError(
            f"the margin is {margin}; give the Dice that may be lost, above 0 and below 1, such as {MARGIN}"
        )


def detectable(images: int, seeds: tuple[int, int] = (3, 3), spread: Spread = Spread(), power: float = 0.8) -> float:
    """The smallest difference that so many images and seeds will tell from none, known before anything is trained.

    It is also the smallest margin within which a network that is truly equal will be found to be as good.

    Args:
        images: Images to score, or groups of them.
        seeds: Trainings of either network.
        spread: How far scores scatter; what is usual for small U-Nets, unless some were measured (`measure_spread`).
        power: Probability that it is told.

    Returns:
        In the unit of the scores; infinity where no difference can be told: with one image, or where neither network is
        trained twice.

    Raises:
        DataError: A number is out of its range.

    Example:
        >>> round(detectable(65, (3, 3)), 3), round(detectable(65, (10, 10)), 3), detectable(65, (1, 1))
        (0.023, 0.014, inf)
    """
    if images < 1 or min(seeds) < 1 or not TAIL < power < 1:
        raise DataError(
            f"{images} images, {seeds[0]} and {seeds[1]} seeds and a power of {power} came; give at least 1 of each, "
            "and a power below 1"
        )
    if images < 2 or max(seeds) < 2:
        return inf
    parts = [Variance(spread.images**2 / images, images - 1)]
    if min(seeds) == 1:
        parts.append(Variance(spread.seeds**2 * (1 + 1 / max(seeds)), max(seeds) - 1))
    else:
        parts += [Variance(spread.seeds**2 / count, count - 1) for count in seeds]
    return _find_shift(parts, power)


def measure_spread(scores: ArrayLike, units: Units | None = None) -> Spread | None:
    """How far the scores of a network's own trainings scatter: what to expect of networks like it.

    Args:
        scores: (seeds, images) scores of one network.
        units: The group of each image where several belong together.

    Returns:
        The spread of the difference between two of its trainings; None of fewer than two trainings or images.

    Raises:
        DataError: Nothing was scored.

    Example:
        >>> measure_spread([[0.7, 0.8, 0.9]]) is None
        True
    """
    (group,), names = arrange([scores], units)
    count = len(set(names))
    if len(group) < 2 or count < 2:
        return None
    rest = group - group.mean(axis=0)
    rest -= rest.mean(axis=1, keepdims=True)
    # One training's own part of the images' variance; the mean over seeds was taken out of it.
    own = sum(image_variance(each, names).value for each in rest) / (len(group) - 1)
    between = seed_variance(group).value * len(group)
    return Spread(images=sqrt(2 * own * count), seeds=sqrt(max(0.0, between - own)))


def _find_shift(parts: Sequence[Variance], power: float) -> float:
    """The difference whose interval lies above 0 with some probability.

    The mean is normal, and independent of the estimates of its variances, which follow chi-squared distributions: of
    these, many are drawn.
    """
    from scipy.optimize import brentq  # here, because it takes a while to import

    error, _ = combine(parts)
    if error == 0:
        return 0.0
    generator, freedoms = np.random.default_rng(0), np.array([[part.freedom] for part in parts])
    found = np.array([[part.value] for part in parts]) * generator.chisquare(freedoms, (len(parts), DRAWS)) / freedoms
    total = found.sum(axis=0)
    reaches = stdtrit(1 / ((found / total) ** 2 / freedoms).sum(axis=0), 1 - TAIL) * np.sqrt(total)

    def lacking(shift: float) -> float:
        return float(ndtr((shift - reaches) / error).mean()) - power

    highest = error
    while lacking(highest) < 0:
        highest *= 2
    return float(brentq(lacking, 0, highest))
