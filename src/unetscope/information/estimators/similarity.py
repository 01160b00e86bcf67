"""How alike two layers arrange the images, and how many directions a layer uses; knows matrices, not networks.

Similarity is not information: it is large where the same few images stand apart in both, and a change of some
directions can leave every prediction as it was and the similarity anywhere (Davari et al. 2022, Reliability of CKA as a
similarity measure in deep learning). It accompanies a profile; no advice rests on it.
"""

from __future__ import annotations

from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

FEWEST_SAMPLES = 4
NOTHING = 1e-12  # relative size of what is left of constant samples by rounding


def debiased_cka(gram: Matrix, other: Matrix) -> float:
    """Linear centered kernel alignment of two sets of features of the same samples, without the bias of few samples.

    The plain index tends to 1 for any two layers with more channels than there are samples; this one is 0 on average
    where the two have nothing to do with each other.

    Args:
        gram: (N, N) inner products of the samples' features, about any origin.
        other: (N, N) the same for the other features.

    Returns:
        At most 1, the same under rotation, shift and scale of either; slightly negative values mean 0. NaN for fewer
        than 4 samples, or where all samples are alike.

    Source:
        Song, Smola, Gretton, Bedo & Borgwardt 2012, Feature selection via dependence maximization, JMLR 13:1393,
        equation 5; as an index of networks: Nguyen, Raghu & Kornblith 2021, Do wide and deep networks learn the same
        things, ICLR. The centering is that of Szekely & Rizzo 2014, Annals of Statistics 42:2382.

    Example:
        >>> points = np.arange(5.0)[:, None] ** [1, 2]
        >>> round(debiased_cka(points @ points.T, 9 * points @ points.T), 6)
        1.0
    """
    if len(gram) < FEWEST_SAMPLES:
        return nan
    one, two = _center(gram), _center(other)
    size = float(np.linalg.norm(one) * np.linalg.norm(two))
    return float((one * two).sum() / size) if size > 0 else nan


def _center(gram: Matrix) -> Matrix:
    """Off-diagonal inner products whose every row sums to 0; all 0 where the samples are alike."""
    count = len(gram)
    apart = gram - gram.mean()  # any constant may go; without it less is lost by rounding
    np.fill_diagonal(apart, 0.0)
    rows = apart.sum(axis=0) / (count - 2)
    centered: Matrix = apart - rows[:, None] - rows[None, :] + rows.sum() / (count - 1)
    np.fill_diagonal(centered, 0.0)
    vanishes = np.abs(centered).max() <= NOTHING * np.abs(gram).max()
    return np.zeros_like(centered) if vanishes else centered


def effective_rank(covariance: NDArray[Any]) -> float:
    """How many directions of equal variance would have the same entropy.

    Args:
        covariance: (C, C), symmetric.

    Returns:
        From 1, where all variance lies in one direction, to C, where it is the same in all; 0 where there is none.

    Source:
        Roy & Vetterli 2007, The effective rank, EUSIPCO, definition 1, here of a covariance.

    Example:
        >>> round(effective_rank(np.diag([2.0, 2.0, 0.0])), 6)
        2.0
    """
    variances = np.maximum(np.linalg.eigvalsh(np.atleast_2d(covariance).astype(np.float64)), 0)
    total = variances.sum()
    if total <= 0:
        return 0.0
    shares = variances[variances > 0] / total
    return float(np.exp(-(shares * np.log(shares)).sum()))
