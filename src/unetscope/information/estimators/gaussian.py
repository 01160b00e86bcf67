"""What of a signal a linear reader with Gaussian errors recovers from a layer, held out; knows samples, not networks.

Two models say how likely each held-out sample of the signal x is: a Gaussian that knows nothing else, and one around a
ridge regression of x on the activations m. The mean difference of their log-likelihoods is the information about x that
such readers can use. It equals I(X;M) where x and m are jointly Gaussian, and is a lower bound where x alone is
Gaussian. Elsewhere it is neither bound, as the first model can be wrong too: a scale for comparing layers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from unetscope.errors import DataError
from unetscope.information.reading import Reading

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

PENALTIES = np.append(10.0 ** np.arange(-8, 4), np.inf)  # relative to the samples; infinite: nothing is read
DOUBT = 0.01  # probability that m says nothing: an image of a kind that taught nobody costs at most 7 bits a sample
LIMIT = 5.0  # standard deviations of x's own that a component is taken for at most
LEAST_VARIANCE = 1e-6  # of x's own that may remain: at most 10 bits in each dimension
CONSTANT = 1e-10  # of the largest variance, below which a direction of x or m counts as constant


def gaussian_information(x: NDArray[np.floating], m: NDArray[np.floating] | Reading, folds: Indices) -> Array:
    """Held-out log-likelihood that m adds about x, sample by sample.

    Every fold is predicted from the others. Among these, each is in turn predicted from the rest; the penalty with the
    smallest error (one for each principal component of x, infinite if m says nothing) and the covariance of the errors
    come from there, so that both are those of samples that were not fitted. The second model doubts itself: with a
    probability of 1 % it is the first. Real sets hold a few images of another kind, whose errors would otherwise decide
    the mean; for the same reason x is cut off at five standard deviations.

    Args:
        x: (N, p) the signal, any scale.
        m: (N, q) activations, or a reading of N pixels; each offset has a regression of its own.
        folds: (N,) number of each sample's fold; images or groups lie wholly in one. At least two distinct.

    Returns:
        (N,) bits. Their mean estimates the information: about 0 or a little less where x and m are independent, at
        most about 10 bits for each dimension of x.

    Raises:
        DataError: Lengths differ, values are not finite, or there is but one fold.

    Source:
        Xu et al. 2020, ICLR, definition 2, for linear Gaussian readers; Cover & Thomas 2006, theorem 8.6.5 (bound).

    Example:
        >>> chance = np.random.default_rng(0)
        >>> m = chance.normal(size=(4000, 1))
        >>> x = 0.6 * m + 0.8 * chance.normal(size=(4000, 1))
        >>> abs(gaussian_information(x, m, np.arange(4000) % 5).mean() - 0.32) < 0.03
        np.True_
    """
    reading = m if isinstance(m, Reading) else Reading.of(m)
    signal = np.asarray(x, np.float64).reshape(len(x), -1)
    _check(signal, reading, folds)
    parts, fold = _divide(folds)
    samples = _Samples.of(reading, _whiten(signal))
    sums = samples.sum_products(parts, len(fold))
    gains = np.zeros(len(signal))
    for held in np.unique(fold):
        own = fold[parts] == held
        gains[own] = _predict(samples.take(own), sums, np.flatnonzero(fold != held))
    doubtful: Array = np.logaddexp2(gains + np.log2(1 - DOUBT), np.log2(DOUBT))
    return doubtful


def _check(signal: Array, reading: Reading, folds: Indices) -> None:
    """Refuse what cannot be measured."""
    if not len(signal) == len(reading.row) == len(folds):
        raise DataError(
            f"{len(signal)} samples of the signal, {len(reading.row)} of the activations and {len(folds)} fold numbers "
            "came; give one of each for every sample"
        )
    if not (np.isfinite(signal).all() and np.isfinite(reading.features).all()):
        raise DataError("values that are not finite came; leave out the samples that hold them")
    if len(np.unique(folds)) < 2:
        raise DataError("all samples came in one fold; divide them into two or more, whole images in each")


def _whiten(signal: Array) -> Array:
    """Principal components of unit variance; constant ones are left out.

    This and every centering use all samples: both models see the same x, so nothing of a held-out fold helps either.
    """
    centered = signal - signal.mean(axis=0)
    variances, axes = np.linalg.eigh(centered.T @ centered / max(1, len(centered)))
    kept = variances > CONSTANT * max(variances.max(initial=0), np.finfo(float).tiny)
    white: Array = centered @ (axes[:, kept] / np.sqrt(variances[kept]))
    return np.clip(white, -LIMIT, LIMIT)


def _divide(folds: Indices) -> tuple[Indices, Indices]:
    """Part of each sample, and fold of each part: two folds are halved, so that one alone can be divided again."""
    fold = np.unique(folds, return_inverse=True)[1].ravel()
    if fold.max() > 1:
        return fold, np.arange(fold.max() + 1)
    second = np.zeros(len(fold), np.int64)
    for one in (0, 1):
        own = np.flatnonzero(fold == one)
        second[own[len(own) // 2 :]] = 1
    return 2 * fold + second, np.array([0, 0, 1, 1])


@dataclass(frozen=True, eq=False)
class _Samples:
    """What is regressed on what.

    Attributes:
        offset: (n,) which regression each belongs to.
        inputs: (n, r) activations, each offset's turned into as few axes as hold them.
        targets: (n, p) whitened signal.
    """

    offset: Indices
    inputs: Array
    targets: Array

    @classmethod
    def of(cls, reading: Reading, white: Array) -> _Samples:
        """Standardized activations; a ridge regression does not see how they are turned."""
        mean, spread = (getattr(reading.features, name)(axis=0, dtype=np.float64) for name in ("mean", "std"))
        scale = np.where(spread > CONSTANT**0.5 * (spread.max(initial=0) + np.abs(mean)), spread, np.inf)
        offset = np.unique(reading.offset, return_inverse=True)[1].ravel()
        most = min(reading.width, int(np.bincount(offset).max()))
        inputs = np.zeros((len(offset), most))
        for own in _find_equal(offset):
            turned = _turn((reading.features[reading.row[own]] - mean) / scale)
            inputs[own, : turned.shape[1]] = turned
        return cls(offset, inputs, white)

    def take(self, which: NDArray[np.bool_]) -> _Samples:
        """Some of the samples."""
        return _Samples(self.offset[which], self.inputs[which], self.targets[which])

    def sum_products(self, parts: Indices, count: int) -> _Sums:
        """Sums within every offset and part."""
        offsets, (_, width), (_, height) = int(self.offset.max()) + 1, self.inputs.shape, self.targets.shape
        squares = np.zeros((offsets, count, width, width))
        products = np.zeros((offsets, count, width, height))
        powers = np.zeros((count, height, height))
        for own in _find_equal(self.offset * count + parts):
            block, part, inputs, targets = self.offset[own[0]], parts[own[0]], self.inputs[own], self.targets[own]
            squares[block, part] = inputs.T @ inputs
            products[block, part] = inputs.T @ targets
            powers[part] += targets.T @ targets
        return _Sums(np.bincount(parts, minlength=count).astype(np.float64), squares, products, powers)


def _find_equal(keys: Indices) -> list[Indices]:
    """The places of each key that occurs."""
    order = np.argsort(keys, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(keys[order])) + 1)


def _turn(inputs: Array) -> Array:
    """The same samples in at most as many axes as there are samples."""
    if inputs.shape[0] >= inputs.shape[1]:
        return inputs
    left, lengths, _ = np.linalg.svd(inputs, full_matrices=False)
    turned: Array = left * lengths
    return turned


@dataclass(frozen=True, eq=False)
class _Sums:
    """Sums of products within every offset and part, from which all regressions and their errors follow.

    Attributes:
        sizes: (parts,) samples, of all offsets.
        squares: (offsets, parts, r, r) inputs with inputs.
        products: (offsets, parts, r, p) inputs with targets.
        powers: (parts, p, p) targets with targets, of all offsets.
    """

    sizes: Array
    squares: Array
    products: Array
    powers: Array

    def fit(self, taught: Indices) -> _Ridge:
        """The regressions that some parts teach, one for each offset."""
        strengths, axes = np.linalg.eigh(self.squares[:, taught].sum(axis=1))
        sums = axes.swapaxes(1, 2) @ self.products[:, taught].sum(axis=1)
        size = self.sizes[taught].sum() / len(axes)
        return _Ridge(axes, np.maximum(strengths, 0), sums, max(float(size), 1.0))

    def square_errors(self, ridge: _Ridge, part: int) -> Array:
        """(penalties, p) sums of squared errors that the regressions make in another part."""
        turn = ridge.axes.swapaxes(1, 2)
        squares, products = turn @ self.squares[:, part] @ ridge.axes, turn @ self.products[:, part]
        powers = self.powers[part].diagonal()
        every = (ridge.weigh(np.full(len(powers), penalty)) for penalty in PENALTIES)
        return np.stack([powers + (weights * (squares @ weights - 2 * products)).sum(axis=(0, 1)) for weights in every])

    def errors(self, ridge: _Ridge, part: int, penalties: Array) -> Array:
        """(p, p) sums of products of these errors, with one penalty for each target."""
        weights = ridge.axes @ ridge.weigh(penalties)
        crossed = (weights.swapaxes(1, 2) @ self.products[:, part]).sum(axis=0)
        errors: Array = self.powers[part] - crossed - crossed.T
        errors += (weights.swapaxes(1, 2) @ self.squares[:, part] @ weights).sum(axis=0)
        return errors


@dataclass(frozen=True, eq=False)
class _Ridge:
    """Regressions for every penalty at once, in axes in which the penalty acts on each alone."""

    axes: Array
    strengths: Array
    sums: Array
    size: float

    def weigh(self, penalties: Array) -> Array:
        """(offsets, r, p) weights in these axes, each target with a penalty of its own."""
        weights: Array = self.sums / (self.strengths[..., None] + self.size * penalties)
        return weights


def _predict(held: _Samples, sums: _Sums, taught: Indices) -> Array:
    """(n,) gains of the held-out samples from the parts that teach."""
    ridges = {part: sums.fit(taught[taught != part]) for part in taught.tolist()}
    losses = np.sum([sums.square_errors(ridge, part) for part, ridge in ridges.items()], axis=0)
    penalties = PENALTIES[np.argmin(losses, axis=0)]
    size = sums.sizes[taught].sum()
    errors = np.sum([sums.errors(ridge, part, penalties) for part, ridge in ridges.items()], axis=0) / size
    whole = sums.fit(taught)
    weights = whole.axes @ whole.weigh(penalties)
    rest = held.targets.copy()
    for own in _find_equal(held.offset):
        rest[own] -= held.inputs[own] @ weights[held.offset[own[0]]]
    return _surprise(held.targets, sums.powers[taught].sum(axis=0) / size) - _surprise(rest, errors)


def _surprise(rest: Array, covariance: Array) -> Array:
    """(n,) bits that each sample is worth to a Gaussian of this covariance, less a constant."""
    factor = cho_factor(covariance + LEAST_VARIANCE * np.eye(len(covariance)), lower=True)
    distances = (rest * cho_solve(factor, rest.T).T).sum(axis=1)
    surprise: Array = (distances / 2 + np.log(factor[0].diagonal()).sum()) / np.log(2)
    return surprise
