"""What the next 1x1 convolution can read: multinomial logistic regression; knows samples, not networks.

Channels are standardized and turned to their principal axes. A penalty on the sum of squared weights stays what it is
under that rotation, constant and collinear channels become axes without variance, and the curvature of the loss is
nearly diagonal, so that a few steps reach the minimum for each penalty of a path from strong to weak.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from unetscope.information.estimators.family import Labels, Lesson, LogProbabilities, log_prior
from unetscope.information.estimators.quasi_newton import descend
from unetscope.information.reading import Features, Indices, Reading

Array = NDArray[np.float64]

PENALTIES = (10.0, 1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
BETWEEN = (10**0.5, 10**-0.5)  # of the best penalty, which are tried last
HOPELESS = 0.02  # of the loss of the prior; a weaker penalty that costs more than that ends the path
COARSE, FINE = 1e-5, 1e-7  # nats per pixel that may be left to gain: on the path, at its end
DEAD = 1e-6  # spread of a channel, relative to its mean, below which float32 knows only rounding
LEAST = 1e-30  # spread of a channel whose reciprocal float32 can hold
RAREST = 1e-4  # variance of a class, so that the curvature along its logit is never 0


@dataclass(frozen=True)
class Logistic:
    """Readers with one set of logits for every offset, each a weighted sum of the channels plus a bias.

    The loss is convex, so there is one minimum, and the same data give the same reader however the solver walks.
    Weights of standardized channels are penalized by their squares; the bias is free, but for one made-up pixel at the
    mean of all channels that has the classes in their usual shares: an offset with few pixels, or in which a class is
    missing, so falls back to them. The penalty with the lowest loss on the tuning images is taken; an infinite one,
    which leaves nothing but the shares of the classes, is the first that is tried, and all that is left where there are
    no tuning images. The reader is then fitted to all pixels, those of the tuning images included.

    Attributes:
        penalties: Each relative to the pixels of an offset, from strong to weak.
        name: What it is called in files and pictures.

    Example:
        >>> chance = np.random.default_rng(0)
        >>> labels = chance.integers(0, 2, 400)
        >>> reading = Reading.of(labels[:, None] + chance.normal(0, 0.1, (400, 3)))
        >>> reader = Logistic().fit(Lesson(reading, labels, 2, np.arange(400) < 100))
        >>> bool((reader(reading).argmax(axis=1) == labels).all())
        True
    """

    penalties: tuple[float, ...] = PENALTIES
    name: str = "linear"

    def fit(self, lesson: Lesson) -> LinearReader:
        """The reader that this lesson teaches: tuned on the held-out images, then fitted on all of them."""
        assert lesson.classes >= 2, "one class needs no reader"
        axes = _find_axes(lesson.reading)
        blocks = _gather_blocks(lesson, axes)
        chosen = self._tune(blocks, _to_logits(log_prior(lesson.labels[~lesson.tuning], lesson.classes)))
        prior = _to_logits(log_prior(lesson.labels, lesson.classes))
        if np.isinf(chosen.penalty):
            return LinearReader(axes.mean, {}, {}, prior)
        offsets: dict[int, Array] = {}
        for block, start in zip(blocks, chosen.weights, strict=True):
            offsets.update(zip(block.offsets, block.fit(start, chosen.penalty, FINE, len(block.inputs)), strict=True))
        slopes = {offset: axes.turn.astype(np.float64) @ weights[:, :-1].T for offset, weights in offsets.items()}
        return LinearReader(axes.mean, slopes, {offset: weights[:, -1] for offset, weights in offsets.items()}, prior)

    def _tune(self, blocks: Sequence[_Block], prior: Array) -> _Trial:
        """The penalty that serves the tuning images best.

        The path does not end where the loss stands still: what tells classes apart may vary little, and be read only
        once the penalty is weak.
        """
        pixels = float(np.mean([block.fitted for block in blocks for _ in block.offsets]))
        trials = [_Trial.of(np.inf, blocks, [block.start(prior) for block in blocks])]
        for strength in self.penalties:
            trials.append(trials[-1].change(strength * pixels, blocks))
            if trials[-1].loss > min(trial.loss for trial in trials) + HOPELESS * trials[0].loss:
                break
        best = min(trials, key=lambda trial: trial.loss)
        if np.isinf(best.penalty):
            return best
        return min(best, *(best.change(best.penalty * factor, blocks) for factor in BETWEEN), key=lambda t: t.loss)


@dataclass(frozen=True, eq=False)
class LinearReader:
    """A fitted reader. Two classes have one logit, that of class 1 against class 0; more classes have one each.

    Attributes:
        mean: (channels,) that is taken off first.
        slopes_of: Offset -> (channels, logits); an offset that is missing has no slopes.
        bias_of: Offset -> (logits,).
        prior: (logits,) of an offset that is missing.
    """

    mean: Features
    slopes_of: Mapping[int, Array]
    bias_of: Mapping[int, Array]
    prior: Array

    def __call__(self, reading: Reading) -> LogProbabilities:
        """(P, classes) natural logarithms of the probabilities."""
        logits = self.logits(reading)
        full = np.concatenate([np.zeros_like(logits), logits], axis=1) if logits.shape[1] == 1 else logits
        return full - _partition(logits.T)[0][:, None]

    def logits(self, reading: Reading) -> Array:
        """(P, logits)."""
        result = np.tile(self.prior, (len(reading.row), 1))
        for offset in set(np.unique(reading.offset).tolist()) & self.slopes_of.keys():
            pixels = np.flatnonzero(reading.offset == offset)
            inputs = reading.features[reading.row[pixels]] - self.mean
            result[pixels] = _multiply(self.slopes_of[offset].T, inputs.T).T + self.bias_of[offset]
        return result

    def slopes(self, offset: int) -> Array:
        """(channels, logits): how much each logit of an offset rises with each channel."""
        nothing = np.zeros((len(self.mean), len(self.prior)))
        return self.slopes_of.get(offset, nothing)


def loss_of_logits(logits: Array, labels: Labels) -> Array:
    """Cross-entropy of pixels.

    Args:
        logits: (P, logits), one where there are two classes.
        labels: (P,) class of each.

    Returns:
        (P,) nats, at least 0.

    Example:
        >>> loss_of_logits(np.zeros((1, 1)), np.array([1])).round(4).tolist()
        [0.6931]
    """
    targets = _to_targets(labels, max(2, logits.shape[1]))
    losses: Array = _partition(logits.T)[0] - (targets.T * logits).sum(axis=1)
    return losses


@dataclass(frozen=True, eq=False)
class _Axes:
    """Channels -> principal axes of the standardized channels, with the variance along each."""

    mean: Features
    turn: Features
    variances: Array

    def project(self, features: Features) -> Features:
        """(N, channels) -> (N, axes)."""
        centered: Features = features - self.mean
        return centered @ self.turn


@dataclass(frozen=True, eq=False)
class _Block:
    """Offsets that read the same positions. Weights are (offsets, logits, axes + 1), the last being the bias.

    Attributes:
        offsets: Their numbers.
        inputs: (rows, axes + 1), the last being 1. Row 0 is made up, then come those to fit, last those to tune.
        targets: (offsets, logits, rows).
        fitted: Rows to fit, the made-up one included.
        variances: (axes + 1,) mean square of each input.
    """

    offsets: tuple[int, ...]
    inputs: Features
    targets: Array
    fitted: int
    variances: Array

    def start(self, bias: Array) -> Array:
        """Weights that say the same everywhere."""
        weights = np.zeros((*self.targets.shape[:2], self.inputs.shape[1]))
        weights[..., -1] = bias
        return weights

    def tuning_loss(self, weights: Array) -> float:
        """Nats in all."""
        return float(self._compare(weights, slice(self.fitted, None))[0].sum())

    def fit(self, start: Array, penalty: float, tolerance: float, count: int) -> Array:
        """The weights with the least loss on the first rows, from a start nearby."""
        ridge = np.full(self.inputs.shape[1], penalty / count)
        ridge[-1] = 0
        scales = 1 / np.sqrt(self._curvature(start, count) + ridge)
        found: Array = scales * descend(partial(self._weigh, scales, ridge, count), start / scales, tolerance)
        return found

    def _curvature(self, weights: Array, count: int) -> Array:
        """Of the loss along each weight, roughly: as if the certainty of a prediction did not depend on the inputs."""
        means = _partition(_multiply(weights, self.inputs[:count].T))[1]
        certain: Array = np.maximum((means * (1 - means)).mean(axis=-1, keepdims=True), RAREST)
        return certain * self.variances

    def _weigh(self, scales: Array, ridge: Array, count: int, point: Array) -> tuple[float, Array]:
        """Nats per pixel with the penalty, and the gradient, where the weights are a point in units of those scales."""
        weights = point * scales
        nats, residuals = self._compare(weights, slice(count))
        gradient = _multiply(residuals, self.inputs[:count]) / count + ridge * weights
        return float(nats.sum() / count + (ridge * weights**2).sum() / 2), gradient * scales

    def _compare(self, weights: Array, rows: slice) -> tuple[Array, Array]:
        """(offsets, rows) nats, and their slopes along the logits."""
        logits = _multiply(weights, self.inputs[rows].T)
        partition, means = _partition(logits)
        targets = self.targets[..., rows]
        return partition - (targets * logits).sum(axis=-2), means - targets


@dataclass(frozen=True, eq=False)
class _Trial:
    """A penalty, the weights of every block under it, and their loss on the tuning images, nats per pixel."""

    penalty: float
    weights: list[Array]
    loss: float

    @classmethod
    def of(cls, penalty: float, blocks: Sequence[_Block], weights: list[Array]) -> _Trial:
        """With its loss, which is 0 if there are no tuning images."""
        pixels = sum(len(block.offsets) * (len(block.inputs) - block.fitted) for block in blocks)
        losses = (block.tuning_loss(each) for block, each in zip(blocks, weights, strict=True))
        return cls(penalty, weights, sum(losses) / max(1, pixels))

    def change(self, penalty: float, blocks: Sequence[_Block]) -> _Trial:
        """The same with another penalty, fitted from here."""
        pairs = zip(blocks, self.weights, strict=True)
        return _Trial.of(penalty, blocks, [block.fit(start, penalty, COARSE, block.fitted) for block, start in pairs])


def _find_axes(reading: Reading) -> _Axes:
    """Principal axes of the positions that are read."""
    features = reading.features[np.unique(reading.row)]
    mean = features.mean(axis=0, dtype=np.float64)
    features -= mean.astype(np.float32)
    spread = np.sqrt(np.square(features, dtype=np.float64).mean(axis=0))
    alive = spread > np.maximum(DEAD * np.abs(mean), LEAST)
    factors = np.where(alive, 1 / np.where(alive, spread, 1), 0).astype(np.float32)
    features *= factors
    variances, axes = np.linalg.eigh((features.T @ features).astype(np.float64) / len(features))
    return _Axes(mean.astype(np.float32), factors[:, None] * axes.astype(np.float32), np.maximum(variances, 0))


def _gather_blocks(lesson: Lesson, axes: _Axes) -> list[_Block]:
    """The pixels of every offset; offsets that read the same positions are together."""
    reading = lesson.reading
    order = np.lexsort((reading.row, lesson.tuning, reading.offset))
    together: dict[tuple[bytes, int], list[Indices]] = {}
    for pixels in np.split(order, np.flatnonzero(np.diff(reading.offset[order])) + 1):
        key = reading.row[pixels].tobytes(), int(lesson.tuning[pixels].sum())
        together.setdefault(key, []).append(pixels)
    targets = _to_targets(lesson.labels, lesson.classes)
    return [_gather_block(lesson, targets, axes, pixels) for pixels in together.values()]


def _gather_block(lesson: Lesson, targets: Array, axes: _Axes, pixels: Sequence[Indices]) -> _Block:
    """One block from the pixels of each of its offsets."""
    reading, first = lesson.reading, pixels[0]
    inputs = np.zeros((1 + len(first), 1 + len(axes.variances)), np.float32)
    inputs[1:, :-1] = axes.project(reading.features[reading.row[first]])
    inputs[:, -1] = 1
    usual = targets.mean(axis=1, keepdims=True)
    chosen = np.stack([np.concatenate([usual, targets[:, each]], axis=1) for each in pixels])
    offsets = tuple(int(reading.offset[each[0]]) for each in pixels)
    fitted = 1 + int((~lesson.tuning[first]).sum())
    return _Block(offsets, inputs, chosen, fitted, np.append(axes.variances, 1.0))


def _multiply(rows: Array, matrix: Features) -> Array:
    """(..., N) times (N, M) in float32, as float64; the rounding is far below 1e-4 bits."""
    product = rows.reshape(-1, len(matrix)).astype(np.float32) @ matrix
    result: Array = product.astype(np.float64)
    return result.reshape(*rows.shape[:-1], matrix.shape[1])


def _to_logits(logarithms: Array) -> Array:
    """(classes,) logarithms of probabilities -> (logits,)."""
    difference: Array = logarithms[1:] - logarithms[0]
    return difference if len(logarithms) == 2 else logarithms


def _to_targets(labels: Labels, classes: int) -> Array:
    """(logits, P) mean that each logit's class should have: 0 or 1."""
    targets: Array = (labels == np.arange(classes)[:, None]).astype(np.float64)
    return targets[1:] if classes == 2 else targets


def _partition(logits: Array) -> tuple[Array, Array]:
    """(..., logits, P) -> (..., P) logarithm of the partition function, and its gradient: the probabilities."""
    if logits.shape[-2] == 1:
        small = np.exp(-np.abs(logits))
        inverse = 1 / (1 + small)
        return (np.maximum(logits, 0) + np.log1p(small))[..., 0, :], np.where(logits >= 0, inverse, small * inverse)
    highest = logits.max(axis=-2, keepdims=True)
    powers = np.exp(logits - highest)
    total = powers.sum(axis=-2, keepdims=True)
    return (highest + np.log(total))[..., 0, :], powers / total
