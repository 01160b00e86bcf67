"""What single channels are worth to a linear reader, given all the others; knows readings, not networks.

A channel is replaced by what the other channels tell of it, by least squares, and the reader is asked again: what it
loses is what only this channel told. Copies of one another are therefore each worth nothing, though not both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetscope.information.bench import Bench, Readers
from unetscope.information.estimators.logistic import LinearReader, loss_of_logits
from unetscope.information.findings import Channel, judge_part
from unetscope.information.gating import FLAT, relative_variance
from unetscope.information.observation import Moments
from unetscope.information.quantity import Quantity
from unetscope.information.reading import Reading
from unetscope.information.tally import Tally

SHARE = 1e-3
"""Share of H0 below which a single channel counts as redundant; a path's threshold is ten times as high."""

RIDGE = 1e-6  # of the mean variance, so that copies of a channel can be told from each other

Array = NDArray[np.float64]


def judge_channels(bench: Bench, reading: Reading, readers: Readers, moments: Moments) -> tuple[Channel, ...]:
    """What every channel of a layer is for.

    Args:
        bench: The pixels.
        reading: What the layer says there.
        readers: Linear readers of it.
        moments: Mean and variance of its channels over whole maps.

    Returns:
        One value for each channel.
    """
    losses = np.zeros((len(bench.labels), reading.width))
    for reader, held in readers:
        assert isinstance(reader, LinearReader)
        losses[held] = _added_losses(reader, reading, held, bench.labels[held])
    variances = relative_variance(moments)
    return tuple(
        _judge(Tally.gather(losses[:, channel], bench.units, bench.count), bench.prior.value, variances[channel])
        for channel in range(reading.width)
    )


def _judge(tally: Tally, prior: float, variance: float) -> Channel:
    worth = Quantity(tally, prior)
    return Channel(float(variance), worth.interval, judge_part(worth, variance <= FLAT, SHARE).word)


def _added_losses(reader: LinearReader, reading: Reading, held: NDArray[Any], labels: NDArray[np.int64]) -> Array:
    """(pixels, channels) bits that a reader loses without each channel, on pixels held out from it."""
    rest = leave_out(reading.features)
    added = np.empty((len(held), reading.width))
    for offset in np.unique(reading.offset[held]):
        pixels = np.flatnonzero(reading.offset[held] == offset)
        part = reading.take(held[pixels])
        logits, slopes = reader.logits(part), reader.slopes(int(offset))
        own = rest[part.row]
        full = loss_of_logits(logits, labels[pixels])
        for channel in range(reading.width):
            changed = logits - own[:, channel, None] * slopes[channel]
            added[pixels, channel] = loss_of_logits(changed, labels[pixels]) - full
    bits: Array = added / np.log(2)
    return bits


def leave_out(features: NDArray[np.float32]) -> Array:
    """What each channel says beyond the linear prediction of it from the others.

    Args:
        features: (N, channels).

    Returns:
        (N, channels) residuals of the regression of each channel on all others.

    Example:
        >>> chance = np.random.default_rng(0)
        >>> alone = chance.normal(size=(50, 2)).astype(np.float32)
        >>> copied = np.concatenate([alone, alone[:, :1]], axis=1)
        >>> leave_out(copied).std(axis=0).round(2).tolist()[::2]
        [0.0, 0.0]
    """
    centered = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    covariance = centered.T @ centered / len(centered)
    ridge = RIDGE * max(float(np.trace(covariance)) / len(covariance), np.finfo(np.float64).tiny)
    precision = np.linalg.inv(covariance + ridge * np.eye(len(covariance)))
    residuals: Array = centered @ (precision / precision.diagonal())
    return residuals
