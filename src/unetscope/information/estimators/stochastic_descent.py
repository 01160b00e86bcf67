"""Fits a small network to a lesson by steps that held-out images stop; knows arrays and torch, not layers or images.

A network starts at the prior: its last weights are 0 and its last biases the logarithms of how often each class occurs.
Adam with decoupled weight decay walks through mini-batches, and a running average of its steps is what counts. After
each epoch the average is scored on the tuning images; the first epoch whose loss nothing later beats is the length of
the walk, which is then walked anew on all images. Where nothing beats the start by more than luck would, the length is
0 and the reader is the prior, so that noise neither gains nor costs bits.

Source:
    Loshchilov & Hutter 2019, Decoupled weight decay regularization, ICLR (AdamW); Polyak & Juditsky 1992, Acceleration
    of stochastic approximation by averaging, SIAM J. Control Optim. 30(4):838 (the average instead of smaller steps).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from itertools import count, islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unetscope.information.estimators.family import Labels, Lesson, LogProbabilities, log_prior
from unetscope.information.one_thread import in_one_thread
from unetscope.information.reading import Features, Indices, Reading

DEAD = 1e-6  # spread of a channel, relative to its size, below which float32 knows only rounding
GAIN = 0.3  # of the first weights: from small ones a few directions grow, from large ones every direction of the noise
BETAS = (0.9, 0.99)  # memories of Adam; the usual .999 outlasts the whole walk
LUCK = 2.0  # standard errors that a gain over the prior on the tuning images must exceed
TINY = 1e-8  # keeps a step finite where there is no slope
AT_ONCE = 2**21  # values of features that are read together

Build = Callable[[int], nn.Module]
"""Number of logits -> network from (B, width) features to (B, logits), whose last parameters are those of a linear
layer with bias. Its values do not matter."""


@dataclass(frozen=True)
class Descent:
    """How a network is fitted.

    Attributes:
        rate: Length of a step.
        decay: Share of the weights that a step of length 1 forgets; biases forget nothing.
        steps: Mini-batches in an epoch, however many positions there are.
        epochs: At most.
        patience: Epochs without a lower loss after which the walk ends.
        margin: Nats per pixel by which a loss must be lower to count as lower.
    """

    rate: float = 0.01
    decay: float = 0.5
    steps: int = 32
    epochs: int = 24
    patience: int = 3
    margin: float = 1e-4


@dataclass(frozen=True, eq=False)
class NetworkReader:
    """A fitted network: reading of P pixels -> (P, classes) natural logarithms of the probabilities.

    Attributes:
        network: From standardized features to the logits of every offset.
        scale: How the features are standardized.
        offsets: Those the network has logits for, in order.
        prior: (classes,) logarithms of how often each class occurs, the answer at any other offset.
    """

    network: nn.Module
    scale: Scale
    offsets: Indices
    prior: LogProbabilities

    def __call__(self, reading: Reading) -> LogProbabilities:
        """Read some pixels."""
        rows, position = np.unique(reading.row, return_inverse=True)
        with torch.no_grad():
            parts = [self._read(reading.features, chunk) for chunk in _cut(rows, reading.width)]
        place = np.searchsorted(self.offsets, reading.offset).clip(max=len(self.offsets) - 1)
        known = self.offsets[place] == reading.offset
        answers: LogProbabilities = np.where(known[:, None], np.concatenate(parts)[position, place], self.prior)
        return answers

    def _read(self, features: Features, rows: Indices) -> LogProbabilities:
        logits: Tensor = self.network(self.scale.apply(features, rows)).double()
        answers: LogProbabilities = logits.view(len(rows), len(self.offsets), -1).log_softmax(dim=2).numpy()
        return answers


@dataclass(frozen=True, eq=False)
class Scale:
    """How features are standardized.

    Attributes:
        mean: (width,) what is subtracted.
        factor: (width,) what the rest is multiplied by: 0 where a channel is dead.
    """

    mean: Tensor
    factor: Tensor

    @classmethod
    def measure(cls, features: Features, rows: Indices, channels: int) -> Scale:
        """The scale at some positions; all features of a channel share one.

        Args:
            features: (positions, width), one channel after the other.
            rows: (R,) positions that are measured.
            channels: A divisor of the width.
        """
        width = features.shape[1]
        sums = np.zeros((3, width))
        for chunk in _cut(rows, width):
            values = features[chunk].astype(np.float64)
            sums += [part.sum(axis=0) for part in (values, values**2, np.abs(values))]
        mean, power, size = (sums / len(rows)).reshape(3, channels, -1).mean(axis=2)
        deviation = np.sqrt(np.maximum(power - mean**2, 0.0))
        factor = np.divide(1.0, deviation, where=deviation > DEAD * size, out=np.zeros(channels))
        return cls(*(torch.from_numpy(part.repeat(width // channels).astype(np.float32)) for part in (mean, factor)))

    def apply(self, features: Features, rows: Indices) -> Tensor:
        """Standardized features of some positions: (R, width), float32."""
        values = torch.from_numpy(features[rows].astype(np.float32, copy=False))
        return values.sub_(self.mean).mul_(self.factor)


def fit_network(build: Build, lesson: Lesson, settings: Descent, channels: int) -> NetworkReader:
    """The reader that a lesson teaches: walked as far as the tuning images ask for, then as far on all images.

    The same lesson gives the same reader; torch's global random numbers are neither used nor changed.

    Args:
        build: Makes the network.
        lesson: What it is fitted on. Without tuning images nothing could stop the walk: then the reader is the prior.
        settings: How it is fitted.
        channels: Of the features, each of which is standardized by itself; a divisor of their width.
    """
    offsets, places = np.unique(lesson.reading.offset, return_inverse=True)
    reading = Reading(lesson.reading.features, lesson.reading.row, places)
    scale = Scale.measure(reading.features, np.unique(reading.row), channels)

    def collect(pixels: NDArray[np.bool_]) -> _Examples:
        return _Examples.of(reading.take(pixels), lesson.labels[pixels], (len(offsets), lesson.classes), scale)

    walk = partial(_walk, build, settings, lesson.seed)
    whole = collect(np.ones_like(lesson.tuning))
    with torch.inference_mode(False), torch.enable_grad(), in_one_thread():
        epochs = 0
        if lesson.tuning.any() and not lesson.tuning.all():
            epochs = _find_length(walk(collect(~lesson.tuning)), collect(lesson.tuning), settings)
        network = next(islice(walk(whole), epochs, None))
    return NetworkReader(network, scale, offsets, whole.prior)


@dataclass(frozen=True, eq=False)
class _Examples:
    """Positions, and how many of their pixels at each offset are of each class.

    Attributes:
        features: (positions, width) of the whole reading.
        rows: (R,) positions that are read.
        votes: (R, offsets, classes) pixels, float32.
        scale: How the features are standardized.
        prior: (classes,) logarithms of how often each class occurs.
    """

    features: Features
    rows: Indices
    votes: Tensor
    scale: Scale
    prior: LogProbabilities

    @classmethod
    def of(cls, reading: Reading, labels: Labels, shape: tuple[int, int], scale: Scale) -> _Examples:
        offsets, classes = shape
        rows, position = np.unique(reading.row, return_inverse=True)
        cells = (position * offsets + reading.offset) * classes + labels
        votes = np.bincount(cells, minlength=len(rows) * offsets * classes).astype(np.float32)
        table = torch.from_numpy(votes).view(len(rows), offsets, classes)
        return cls(reading.features, rows, table, scale, log_prior(labels, classes))

    def losses(self, network: nn.Module, chosen: Indices) -> Tensor:
        """Nats of all pixels of each of some positions."""
        votes = self.votes[torch.from_numpy(chosen)]
        logits: Tensor = network(self.scale.apply(self.features, self.rows[chosen]))
        return -(votes * logits.view(votes.shape).log_softmax(dim=2)).sum(dim=(1, 2))

    @torch.no_grad()
    def all_losses(self, network: nn.Module) -> NDArray[np.float64]:
        """Nats of all pixels of each position."""
        chunks = _cut(np.arange(len(self.rows)), self.features.shape[1])
        return np.concatenate([self.losses(network, chunk).double().numpy() for chunk in chunks])


def _find_length(walk: Iterator[nn.Module], held_out: _Examples, settings: Descent) -> int:
    """The first epoch whose loss on held-out images no later one beats by the margin; 0 if it may be luck."""
    margin = settings.margin * float(held_out.votes.sum())
    losses: list[NDArray[np.float64]] = []
    totals: list[float] = []
    best = 0
    for epoch, network in enumerate(walk):
        losses.append(held_out.all_losses(network))
        totals.append(float(losses[-1].sum()))
        best = next(early for early, total in enumerate(totals) if total <= min(totals) + margin)
        if epoch == settings.epochs or epoch - best == settings.patience:
            break
    gains = losses[0] - losses[best]
    return best if gains.sum() > LUCK * gains.std() * len(gains) ** 0.5 else 0


def _walk(build: Build, settings: Descent, seed: int, examples: _Examples) -> Iterator[nn.Module]:
    """The average of the steps at the start and after every epoch; always the same module, which goes on changing."""
    network = _start(build, examples, seed)
    average = deepcopy(network)
    mean, _ = _flatten(average)
    adam = _Adam(network, settings)
    chance = np.random.default_rng(seed)
    batches = min(settings.steps, len(examples.rows))
    yield average
    for epoch in count():
        order = np.array_split(chance.permutation(len(examples.rows)), batches)
        for step, chosen in enumerate(order, start=epoch * batches + 1):
            adam.slope.zero_()
            examples.losses(network, chosen).sum().backward()
            adam.step(step)
            mean.lerp_(adam.point, 1 / min(step, batches))
        yield average


class _Adam:
    """Adam on all parameters as one vector: for networks this small, one call per tensor would take most of the time.

    Weights are forgotten, biases are not, since the last of these hold the prior. The size of the gradients does not
    matter, so a loss may be a sum.
    """

    def __init__(self, network: nn.Module, settings: Descent) -> None:
        self.point, self.slope = _flatten(network)
        self.first, self.second = torch.zeros_like(self.point), torch.zeros_like(self.point)
        forgotten = [torch.full((each.numel(),), float(each.ndim > 1)) for each in network.parameters()]
        self.kept = 1 - settings.rate * settings.decay * torch.cat(forgotten)
        self.rate = settings.rate

    def step(self, number: int) -> None:
        """Move the point by the slope; steps are numbered from 1."""
        short, long = BETAS
        self.first.lerp_(self.slope, 1 - short)
        self.second.lerp_(self.slope.square(), 1 - long)
        spread = (self.second / (1 - long**number)).sqrt_().add_(TINY)
        self.point.mul_(self.kept).addcdiv_(self.first, spread, value=-self.rate / (1 - short**number))


def _flatten(network: nn.Module) -> tuple[Tensor, Tensor]:
    """All parameters as views of one vector, and their gradients as views of another; both vectors."""
    parameters = list(network.parameters())
    values = torch.cat([parameter.detach().flatten() for parameter in parameters])
    slopes = torch.zeros_like(values)
    sizes = [parameter.numel() for parameter in parameters]
    for parameter, value, slope in zip(
        parameters, values.split_with_sizes(sizes), slopes.split_with_sizes(sizes), strict=True
    ):
        parameter.data = value.view_as(parameter)
        parameter.grad = slope.view_as(parameter)
    return values, slopes


def _cut(rows: Indices, width: int) -> list[Indices]:
    """Positions in parts whose features are read together."""
    return np.array_split(rows, 1 + len(rows) * width // AT_ONCE)


def _start(build: Build, examples: _Examples, seed: int) -> nn.Module:
    """A network that answers with the prior."""
    with torch.device("meta"):  # so that making its layers draws no global random numbers
        network = build(examples.votes[0].numel())
    *early, weights, bias = network.to_empty(device="cpu").parameters()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in early:
            nn.init.zeros_(parameter)
            if parameter.ndim > 1:
                nn.init.kaiming_normal_(parameter, generator=generator).mul_(GAIN)
        nn.init.zeros_(weights)
        bias.copy_(torch.from_numpy(examples.prior).repeat(examples.votes.shape[1]))
    return network
