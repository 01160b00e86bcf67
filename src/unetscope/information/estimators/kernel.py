"""Information of samples seen through Gaussian noise, bounded by their pairwise distances; knows samples, not networks.

Noise of a given variance is added to each sample, so that the samples together are a mixture of equal Gaussians. The
entropy of such a mixture, less that of the noise, lies between two sums over pairs: one with the Bhattacharyya and one
with the Kullback-Leibler divergence between the Gaussians. Once every pair of samples is far apart on the scale of the
noise, both sums equal log2 N and the information about labels equals the labels' entropy, whatever the labels are: the
estimate is *saturated* and says nothing. Results need their ceilings and shuffled labels beside them.

Source:
    Kolchinsky & Tracey 2017, Estimating mixture entropy with pairwise distances, Entropy 19(7):361, equations 10 and
    13; used on U-Nets by Lee & Bajic 2021, Information flow through U-Nets, ISBI.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

VARIANCE = 0.2
CEILING_SHARE = 0.9  # of log2 N, and of H(Y)
GROWTH_BITS = 0.5
SINGLETON_SHARE = 0.25

Matrix = NDArray[np.float64]
Codes = NDArray[np.integer[Any]]
Clause = Literal[
    "upper bound over 0.9 log2 N",
    "grows over 0.5 bits when N doubles",
    "over 0.9 of H(Y)",
    "over 25 % of codes occur once",
]


@dataclass(frozen=True)
class Bounds:
    """What an information lies between, in bits; the published value is the upper bound."""

    lower: float
    upper: float


@dataclass(frozen=True)
class LabelInformation:
    """Information about labels, in bits.

    Attributes:
        published: Difference of two upper bounds, as in the literature: itself neither an upper nor a lower bound.
        lower: At least this much.
        upper: At most this much.
    """

    published: float
    lower: float
    upper: float


@dataclass(frozen=True)
class ShuffledInformation:
    """The published information about labels that were exchanged between the samples at random, in bits.

    Attributes:
        mean: Mean over the permutations.
        spread: Their standard deviation.
        highest: The largest of them.
    """

    mean: float
    spread: float
    highest: float


def squared_distances(gram: Matrix) -> Matrix:
    """Squared distances between samples from their inner products.

    Args:
        gram: (N, N) inner products, about any common origin; the nearer the origin, the more exact the distances.

    Returns:
        (N, N), at least 0, and 0 on the diagonal.

    Example:
        >>> squared_distances(np.array([[9.0, 12.0], [12.0, 16.0]])).tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    norms = gram.diagonal()
    distances: Matrix = np.maximum(norms[:, None] + norms[None, :] - 2 * gram, 0.0)
    np.fill_diagonal(distances, 0.0)
    return distances


def relative_variance(distances: Matrix, share: float = VARIANCE) -> float:
    """A variance of the noise that follows the layer's power, so that scaling its activations changes nothing.

    The mean squared distance between samples is taken whole. Divided by the number of dimensions, it would leave
    neighbors as many standard deviations apart as there are dimensions, and saturate every real layer.

    Args:
        distances: (N, N) squared distances between the samples, 0 on the diagonal.
        share: Part of the mean squared distance between different samples.

    Returns:
        The variance in every dimension; where all samples are alike any will do, and it is 1.

    Source:
        Gretton et al. 2012, A kernel two-sample test, JMLR 13:723, section 8, for kernels as wide as samples are apart.

    Example:
        >>> relative_variance(np.array([[0.0, 4.0], [4.0, 0.0]]))
        0.8
    """
    count = len(distances)
    mean = float(distances.sum()) / max(1, count * (count - 1))
    return share * mean if mean > 0 else 1.0


def input_information(distances: Matrix, variance: float = VARIANCE) -> Bounds:
    """I(X;M): how well a sample seen through noise tells which of the N inputs it came from.

    Args:
        distances: (N, N) squared distances between the samples, 0 on the diagonal.
        variance: Variance of the noise in every dimension, above 0.

    Returns:
        Bounds from 0 to log2 N bits.

    Source:
        Kolchinsky & Tracey 2017, equation 10; the divergence is Kullback-Leibler's above and Bhattacharyya's below.

    Example:
        >>> input_information(np.array([[0.0, 1e3], [1e3, 0.0]]))
        Bounds(lower=1.0, upper=1.0)
    """
    return Bounds(lower=_gain(_overlap(distances, 8 * variance)), upper=_gain(_overlap(distances, 2 * variance)))


def label_information(distances: Matrix, codes: Codes, variance: float = VARIANCE) -> LabelInformation:
    """I(M;Y): how much a sample seen through noise tells about its label.

    Args:
        distances: (N, N) squared distances between the samples, 0 on the diagonal.
        codes: (N,) label of each sample.
        variance: Variance of the noise in every dimension, above 0.

    Returns:
        The published difference, and bounds of at least 0 bits.

    Source:
        Kolchinsky & Tracey 2017, equation 10, as H(M) - H(M|Y).

    Example:
        >>> far_apart = 1e3 * (1 - np.eye(4))
        >>> label_information(far_apart, np.array([0, 0, 1, 1])).published
        1.0
    """
    near, wide = _overlap(distances, 2 * variance), _overlap(distances, 8 * variance)
    most, least = _gain(near), _gain(wide)
    most_within, least_within = _gain(near, codes), _gain(wide, codes)
    return LabelInformation(most - most_within, max(0.0, least - most_within), max(0.0, most - least_within))


def shuffled_information(
    distances: Matrix, codes: Codes, variance: float = VARIANCE, permutations: int = 20, seed: int = 0
) -> ShuffledInformation:
    """I(M;Y) with the labels exchanged between samples at random: what remains has nothing to do with the labels.

    Args:
        distances: (N, N) squared distances between the samples, 0 on the diagonal.
        codes: (N,) label of each sample.
        variance: Variance of the noise in every dimension, above 0.
        permutations: How often to exchange, at least 1.
        seed: Seed of the permutations.

    Returns:
        The published value over the permutations, bits.

    Example:
        >>> far_apart = 1e3 * (1 - np.eye(4))
        >>> shuffled_information(far_apart, np.array([0, 0, 1, 1]))
        ShuffledInformation(mean=1.0, spread=0.0, highest=1.0)
    """
    chance = np.random.default_rng(seed)
    near = _overlap(distances, 2 * variance)
    values = [_gain(near) - _gain(near, chance.permutation(codes)) for _ in range(permutations)]
    return ShuffledInformation(float(np.mean(values)), float(np.std(values)), max(values))


def find_saturation(
    distances: Matrix, codes: Codes | None = None, variance: float = VARIANCE, seed: int = 0
) -> tuple[Clause, ...]:
    """Why an estimate says nothing: what it shows is set by the number of samples or of codes.

    Args:
        distances: (N, N) squared distances between the samples, 0 on the diagonal.
        codes: (N,) label of each sample, where information about labels was estimated.
        variance: Variance of the noise in every dimension, above 0.
        seed: Seed of the half of the samples that all are compared with.

    Returns:
        The clauses that hold; none where the estimate may be read.

    Example:
        >>> find_saturation(1e3 * (1 - np.eye(4)))
        ('upper bound over 0.9 log2 N', 'grows over 0.5 bits when N doubles')
    """
    count = len(distances)
    near = _overlap(distances, 2 * variance)
    half = np.random.default_rng(seed).permutation(count)[: max(1, count // 2)]
    upper, upper_of_half = _gain(near), _gain(near[np.ix_(half, half)])
    holds: dict[Clause, bool] = {
        "upper bound over 0.9 log2 N": upper > CEILING_SHARE * log2(count),
        "grows over 0.5 bits when N doubles": upper - upper_of_half > GROWTH_BITS,
    }
    if codes is not None:
        sizes = np.unique(codes, return_counts=True)[1]
        holds["over 0.9 of H(Y)"] = upper - _gain(near, codes) > CEILING_SHARE * plugin_entropy(codes)
        holds["over 25 % of codes occur once"] = bool((sizes == 1).mean() > SINGLETON_SHARE)
    return tuple(clause for clause, is_true in holds.items() if is_true)


def plugin_entropy(codes: Codes) -> float:
    """Entropy of the labels as often as they occur: the ceiling of I(M;Y).

    Args:
        codes: (N,) label of each sample.

    Returns:
        From 0 to log2 N bits.

    Example:
        >>> plugin_entropy(np.array([3, 3, 7, 7]))
        1.0
    """
    shares = np.unique(codes, return_counts=True)[1] / len(codes)
    return max(0.0, float(-(shares * np.log2(shares)).sum()))


def _overlap(distances: Matrix, scale: float) -> Matrix:
    """How much the Gaussians around each pair of samples overlap, from 0 to 1."""
    return np.exp(-distances / scale)


def _gain(overlap: Matrix, codes: Codes | None = None) -> float:
    """Entropy of the mixture less that of its noise; with codes, that of each code's own mixture on average.

    A sample overlaps fully with itself, so no mean is 0 however far apart the samples are.
    """
    if codes is None:
        return max(0.0, float(-np.log2(overlap.mean(axis=1)).mean()))
    row, column = _pair_up(codes)
    sums = np.bincount(row, overlap[row, column])
    return max(0.0, float(-np.log2(sums / np.bincount(row)).mean()))


def _pair_up(codes: Codes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All pairs of samples that share a code: few, compared with all pairs."""
    code, sizes = np.unique(codes, return_inverse=True, return_counts=True)[1:]
    order = np.argsort(code, kind="stable")
    mates = sizes[code[order]]  # of each sample, itself included
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    place = np.arange(mates.sum()) - np.repeat(np.cumsum(mates) - mates, mates)
    return np.repeat(order, mates), order[np.repeat(first, mates) + place]
