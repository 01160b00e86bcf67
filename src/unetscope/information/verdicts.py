"""What may be said of a value, a decision or a control: by intervals, not by counts; knows numbers only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil, inf, isfinite, log, nan
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from unetscope.information.intervals import Interval, standard_error
from unetscope.information.tally import Tally

Word = Literal["ok", "cannot tell", "fails control"]
Array = NDArray[np.float64]

SHARE = 0.05  # of H0 that a half-width may be
GAP_SHARE = 0.03  # of H0 that may still come with more images
CONTROL_SHARE = 0.01  # of H0 that labels of other images may tell
ERRORS = 2  # standard errors beyond which a control has failed
MOST_IMAGES = 100_000  # beyond, no number of images is named
EXPONENTS = np.linspace(0.5, 1.0, 11)
SHUFFLES = 99


@dataclass(frozen=True)
class Verdict:
    """Whether a number may be relied on.

    Attributes:
        word: "ok", "cannot tell" or "fails control".
        reason: One sentence: what is enough, or what is lacking.
        images: How many images would do; None where the verdict is ok, or where no number is known.
    """

    word: Word
    reason: str
    images: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The verdict that `to_json` wrote."""
        return cls(**content)


def judge_value(
    interval: Interval, prior: float, images: int, gap: float | None = None, share: float = SHARE
) -> Verdict:
    """Whether a value is known well enough: its interval is narrow, and more images would hardly change it.

    Args:
        interval: The value, bits.
        prior: H0, bits.
        images: How many images it rests on.
        gap: What more images would still add, bits (see `extrapolate`); None or NaN where it was not measured.
        share: Part of H0 that the half-width may be.

    Returns:
        "ok" or "cannot tell"; the number of images grows with the square of the half-width, and with the gap.

    Example:
        >>> judge_value(Interval(0.30, 0.25, 0.35), prior=0.5, images=20).images
        80
    """
    if not prior > 0:
        return Verdict("cannot tell", "H0 is 0: all labels are the same, so there is nothing to tell about them")
    if not isfinite(interval.half_width):
        return _without_interval(images)
    wide, limit, rest = interval.half_width, share * prior, GAP_SHARE * prior
    said = f"the interval is ± {wide:.3f} bits, {share:.0%} of H0 are {limit:.3f}"
    lacks = {said: images * (wide / limit) ** 2} if wide > limit else {}
    if gap is not None and gap > rest:
        lacks[f"more images would add {gap:.3f} bits, {GAP_SHARE:.0%} of H0 are {rest:.3f}"] = images * gap / rest
    if lacks:
        return Verdict("cannot tell", "; ".join(lacks), _round_up(max(lacks.values())))
    return Verdict("ok", said)


def judge_decision(contrast: Interval, threshold: float, images: int) -> Verdict:
    """Whether a decision can be taken: the interval lies wholly on one side of its threshold.

    Args:
        contrast: The value that decides.
        threshold: Where the decision turns.
        images: How many images it rests on.

    Returns:
        "ok" or "cannot tell".

    Example:
        >>> judge_decision(Interval(0.30, 0.25, 0.35), 0.1, images=20).word
        'ok'
    """
    between = f"{contrast.low:.3f} to {contrast.high:.3f}"
    if contrast.excludes(threshold):
        side = "above" if contrast.low > threshold else "below"
        return Verdict("ok", f"the interval from {between} lies {side} {threshold:.3f}")
    if not isfinite(contrast.half_width):
        return _without_interval(images)
    distance = contrast.value - threshold
    reach = contrast.value - contrast.low if distance > 0 else contrast.high - contrast.value
    needed = images * (reach / distance) ** 2 if distance else inf
    return Verdict("cannot tell", f"the interval from {between} holds the threshold {threshold:.3f}", _round_up(needed))


def _without_interval(images: int) -> Verdict:
    """The verdict on what has no interval."""
    return Verdict("cannot tell", f"there is no interval: {images} came, and at least 2 images of each kind are needed")


def _round_up(images: float) -> int | None:
    """A number of images, or None where it is beyond reason."""
    return ceil(images * (1 - 1e-9)) if images <= MOST_IMAGES else None


def judge_control(shuffled: Tally, position: Tally, prior: float) -> bool:
    """Whether the control fails: labels of other images tell more than the position alone.

    Args:
        shuffled: Gains on labels exchanged between images at the same relative position, bits.
        position: Gains of what the position alone predicts, over the same pixels, bits.
        prior: H0, bits.

    Returns:
        True where the mean difference exceeds both 1 % of H0 and two standard errors.

    Example:
        >>> judge_control(Tally.of([0.2, 0.3]), Tally.of([0.0, 0.0]), prior=1.0)
        True
    """
    excess = shuffled - position
    return excess.mean > max(CONTROL_SHARE * prior, ERRORS * standard_error(excess))


def extrapolate(shares: Sequence[float], values: Sequence[float]) -> float:
    """What more images would still add to a value: the gap between its limit and all images.

    The curve I(n) = I_inf - a n^-b, with a >= 0 and b from .5 to 1, is fitted by least absolute errors.

    Args:
        shares: Part of the images that each value was learned from, above 0 and at most 1.
        values: Value at each share, bits.

    Returns:
        I_inf - I(1), at least 0 bits; NaN for fewer than three points.

    Example:
        >>> round(extrapolate([0.125, 0.25, 0.5, 1], [0.1, 0.3, 0.4, 0.45]), 3)
        0.05
    """
    parts, heights = np.asarray(shares, np.float64), np.asarray(values, np.float64)
    known = np.isfinite(heights)
    if known.sum() < 3:
        return nan
    fits = [_fit_power(parts[known], heights[known], exponent) for exponent in EXPONENTS]
    return min(fits)[1]


def _fit_power(parts: Array, heights: Array, exponent: float) -> tuple[float, float]:
    """Error and factor of the best curve of one exponent; each point weighs as much as its part of the images.

    Errors count by their size and not by its square: readers of a few images can fail altogether, and one such point
    would bend the whole curve.
    """
    falls = parts**-exponent
    pairs = [(i, j) for j in range(len(parts)) for i in range(j) if parts[i] != parts[j]]
    factors = {0.0, *(max(0.0, float((heights[j] - heights[i]) / (falls[i] - falls[j]))) for i, j in pairs)}
    return min((_misfit(parts, heights + factor * falls), factor) for factor in sorted(factors))


def _misfit(weights: Array, heights: Array) -> float:
    """Sum of weighted distances from the weighted median."""
    order = np.argsort(heights)
    middle = order[np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2)]
    return float((weights * np.abs(heights - heights[middle])).sum())


def tabulate_gains(log_probabilities: Array, labels: NDArray[np.int64]) -> Array:
    """What the predictions made for each image would be worth if it had the labels of each other image.

    Args:
        log_probabilities: (images, pixels, classes), natural; all from ONE predictor fitted on other images.
        labels: (images, pixels).

    Returns:
        (images, images) bits: predictions by rows, labels by columns.

    Example:
        >>> sure = np.log(np.array([[[0.75, 0.25]], [[0.25, 0.75]]]))
        >>> tabulate_gains(sure, np.array([[0], [1]])).round(2).tolist()
        [[-0.42, -2.0], [-2.0, -0.42]]
    """
    images, _, classes = log_probabilities.shape
    chosen = np.eye(classes)[labels].reshape(images, -1)
    return log_probabilities.reshape(images, -1) @ chosen.T / log(2)


def shuffle_test(gains: Array, shuffles: int = SHUFFLES, seed: int = 0) -> float:
    """Probability that labels which have nothing to do with the predictions would fare as well.

    The labels of whole images are exchanged between held-out images, and the predictor stays as it is. It has seen none
    of these images, so that under independence all assignments are alike: the p-value is exactly uniform, whatever
    the pixels of one image have in common. This fails for predictions pooled over folds, where the images of
    one fold have taught the predictor of the others; test one fold.

    Args:
        gains: (images, images) from `tabulate_gains`.
        shuffles: How many exchanges to draw.
        seed: Seed of the exchanges.

    Returns:
        A multiple of 1 / (shuffles + 1), above 0 and at most 1; ties are broken at random.

    Source:
        Phipson & Smyth 2010, Permutation p-values should never be zero, SAGMB 9:39.

    Example:
        >>> shuffle_test(np.eye(40))
        0.01
    """
    chance = np.random.default_rng(seed)
    rows = np.arange(len(gains))
    exchanged = np.array([gains[rows, chance.permutation(rows)].sum() for _ in range(shuffles)])
    excess = exchanged - np.trace(gains)
    tie = np.abs(excess) <= 1e-12 * np.abs(gains).sum()
    better = int(((excess > 0) & ~tie).sum()) + int(chance.integers(0, tie.sum() + 1))
    return (1 + better) / (1 + shuffles)
