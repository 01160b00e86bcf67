"""How sure a mean over images and seeds is: variances, and the interval they leave; knows arrays and no networks."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import inf, isfinite, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from unetscope.errors import DataError

Array = NDArray[np.float64]
Units = Sequence[Hashable]

TAIL = 0.025  # on either side of a 95 % interval
WIDEST = 1.0  # a score lies between 0 and 1, and so does what two of them differ by


@dataclass(frozen=True)
class Variance:
    """What one cause adds to the variance of a mean.

    Attributes:
        value: The variance; infinite where a single unit tells nothing of others.
        freedom: Degrees of freedom that it was estimated with.
    """

    value: float
    freedom: int


def arrange(groups: Sequence[ArrayLike], units: Units | None) -> tuple[list[Array], list[Hashable]]:
    """Scores of several networks, cut down to the images that have one.

    Args:
        groups: (seeds, images) each; not-a-number where an image has no score, which must be so for all networks.
        units: The group of each image; each on its own if None.

    Returns:
        The arrays, and the groups of the images that are left.

    Raises:
        DataError: The arrays do not fit each other, or nothing was scored.
    """
    arrays = [np.atleast_2d(np.asarray(group, np.float64)) for group in groups]
    names = list(range(arrays[0].shape[-1])) if units is None else list(units)
    if not all(array.ndim == 2 and len(array) and array.shape[1] == len(names) for array in arrays):
        shapes = " and ".join(str(array.shape) for array in arrays)
        raise DataError(
            f"scores of shape {shapes} came for {len(names)} images; give (seeds, images) for the same images"
        )
    scored = np.isfinite(np.concatenate(arrays))
    kept = np.flatnonzero(scored.all(axis=0))
    if len(kept) < np.count_nonzero(scored.any(axis=0)):
        raise DataError(
            "an image has a score of one network and none of another; score all networks on the same labels"
        )
    if not len(kept):
        raise DataError("no image has a score; score images whose labels hold a foreground class")
    return [array[:, kept] for array in arrays], [names[index] for index in kept]


def seed_variance(group: Array) -> Variance:
    """What the seeds of one network, at least two, add to its mean."""
    return Variance(float(group.mean(axis=1).var(ddof=1)) / len(group), len(group) - 1)


def list_seed_variances(one: Array, other: Array) -> list[Variance]:
    """What the seeds of two networks add to their difference; one that was trained once borrows from the other.

    Returns:
        Two variances, one that holds for both, or none where both were trained once.
    """
    if min(len(one), len(other)) > 1:
        return [seed_variance(one), seed_variance(other)]
    known = max(one, other, key=len)
    if len(known) == 1:
        return []
    own = seed_variance(known)
    return [Variance(own.value * (1 + len(known)), own.freedom)]


def image_variance(each: Array, units: Units) -> Variance:
    """What images, or groups of them, add to their mean.

    Args:
        each: (images,) numbers whose mean is meant.
        units: The group of each image; groups are drawn independently, images of a group are not.
    """
    codes = {name: code for code, name in enumerate(dict.fromkeys(units))}
    count = len(codes)
    if count < 2:
        return Variance(inf, 1)
    sums = np.bincount([codes[name] for name in units], each - each.mean())
    return Variance(float((sums**2).sum()) / len(each) ** 2 * count / (count - 1), count - 1)


def combine(parts: Sequence[Variance]) -> tuple[float, float]:
    """The standard error that all causes leave together, and its degrees of freedom (Satterthwaite).

    Example:
        >>> combine([Variance(9.0, 4), Variance(16.0, 4)])[0]
        5.0
    """
    total = sum(part.value for part in parts)
    if not isfinite(total) or total == 0:
        return sqrt(total), 1.0
    return sqrt(total), 1 / sum((part.value / total) ** 2 / part.freedom for part in parts)


def find_ends(value: float, parts: Sequence[Variance], least: float) -> tuple[float, float, float]:
    """A mean between the ends of its 95 % interval.

    Args:
        value: The mean.
        parts: What makes it uncertain.
        least: The lowest value that it can have; the highest is 1.
    """
    error, freedom = combine(parts)
    if not isfinite(error):
        return value, least, WIDEST
    reach = float(stdtrit(freedom, 1 - TAIL)) * error
    return value, max(least, value - reach), min(WIDEST, value + reach)
