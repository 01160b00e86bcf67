"""What skip and up path tell at a gate, apart, together and given each other; knows readings, not networks.

Source:
    Conditional probing: Hewitt, Ethayarajh, Liang, Manning 2021, EMNLP; here of both parts of a concatenation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from unetscope.information.bench import SHARES, Bench
from unetscope.information.estimators.convolutional import Convolutional
from unetscope.information.estimators.family import Family
from unetscope.information.findings import Gate, Kind, Part
from unetscope.information.observation import Moments
from unetscope.information.quantity import GATE_SHARE, Quantity
from unetscope.information.reading import Reading, join_readings
from unetscope.information.tally import Tally

FLAT = 1e-8
"""A channel whose variance is a smaller share of its mean square than this does not vary: rounding is as large."""

NARROWEST = 16
"""Channels of the convolutions that stand for the decoder, at least: fewer learn slowly."""

REPEATS = (1, 2)
"""Further seeds: other divisions of the images into folds."""


@dataclass(frozen=True, eq=False)
class Meeting:
    """What meets at a join.

    Attributes:
        join: The layer that reads it.
        stride: Image pixels per position, per axis.
        readings: What every source brings, in the order of the channels.
        moments: Mean and variance of its channels over whole maps.
        lost_dice: Dice lost when a source becomes its mean, for every source.
        up: Which of the sources is the up path; the others are skips.
        windows: Windows of what every source brings, for the decoder's own family; None to leave that out.
    """

    join: str
    stride: tuple[int, ...]
    readings: Mapping[str, Reading]
    moments: Mapping[str, Moments]
    lost_dice: Mapping[str, Tally]
    up: str
    windows: Mapping[str, Reading] | None = None


def measure_gate(
    bench: Bench, meeting: Meeting, families: Sequence[Family], position: Reading | None, with_curves: bool = True
) -> Gate:
    """Measure one gate.

    Args:
        bench: The pixels.
        meeting: What meets.
        families: Readers; the linear one comes first, which decisions rest on.
        position: The coordinates, if they tell anything about the labels.
        with_curves: Measure learning curves of the linear family, and repeat it with other folds.

    Returns:
        The gate.
    """
    sources = tuple(meeting.readings)
    table = {
        family.name: _Losses(bench, meeting.readings, family, with_curves and number == 0)
        for number, family in enumerate(families)
    }
    if meeting.windows is not None:
        width = max(NARROWEST, *(reading.width for reading in meeting.readings.values()))
        decoder = Convolutional(len(meeting.stride), width)
        table[decoder.name] = _Losses(bench, meeting.windows, decoder, with_curves=False)
    kinds: dict[str, Kind] = {source: "up" if source == meeting.up else "skip" for source in sources}
    return Gate(
        meeting.join,
        meeting.stride,
        tuple(_measure_part(table, meeting, source, kinds[source], position) for source in sources),
        {name: losses.about(sources) for name, losses in table.items()},
    )


class _Losses:
    """Losses of one family over sets of sources, each fitted once."""

    def __init__(self, bench: Bench, readings: Mapping[str, Reading], family: Family, with_curves: bool) -> None:
        self.bench, self.readings, self.family, self.with_curves = bench, readings, family, with_curves
        self._fit = cache(self._fit_once)

    def of(self, sources: tuple[str, ...], share: float = 1.0, seed: int | None = None) -> Tally:
        """Held-out losses of readers of some sources."""
        return self._fit(sources, share, seed)

    def _fit_once(self, sources: tuple[str, ...], share: float, seed: int | None) -> Tally:
        if not sources:
            return self.bench.prior.tally
        return self.bench.losses(self.family, join_readings([self.readings[one] for one in sources]), share, seed)

    def about(self, sources: tuple[str, ...]) -> Quantity:
        """I(sources)."""
        return Quantity(self.bench.prior.tally - self.of(sources), self.bench.prior.value)

    def added(self, source: str) -> Quantity:
        """I(source | the others)."""
        everything = tuple(self.readings)
        rest = tuple(other for other in everything if other != source)
        gain = self.of(rest) - self.of(everything)
        if not self.with_curves:
            return Quantity(gain, self.bench.prior.value, GATE_SHARE)
        curve = tuple((share, (self.of(rest, share) - self.of(everything, share)).mean) for share in SHARES)
        repeats = tuple((self.of(rest, 1.0, seed) - self.of(everything, 1.0, seed)).mean for seed in REPEATS)
        return Quantity(gain, self.bench.prior.value, GATE_SHARE, curve, repeats)


def _measure_part(
    table: Mapping[str, _Losses], meeting: Meeting, source: str, kind: Kind, position: Reading | None
) -> Part:
    added = {name: losses.added(source) for name, losses in table.items()}
    linear = next(iter(table.values()))
    return Part(
        source=source,
        kind=kind,
        alone={name: losses.about((source,)) for name, losses in table.items()},
        added=added,
        beyond_position=_beyond_position(linear, source, position) or added[linear.family.name],
        lost_dice=Quantity(meeting.lost_dice[source], 1.0, GATE_SHARE),
        is_flat=is_flat(meeting.moments[source]),
    )


def _beyond_position(losses: _Losses, source: str, position: Reading | None) -> Quantity | None:
    """I(source | the others and the coordinate); None where the coordinate tells nothing."""
    if position is None:
        return None
    bench, family = losses.bench, losses.family
    rest = [per_pixel(reading) for other, reading in losses.readings.items() if other != source]
    known = bench.losses(family, join_readings([*rest, _like(position, rest)]))
    everything = [*rest, per_pixel(losses.readings[source])]
    gain = known - bench.losses(family, join_readings([*everything, _like(position, everything)]))
    return Quantity(gain, bench.prior.value, GATE_SHARE)


def per_pixel(reading: Reading) -> Reading:
    """The same reading with a row for every pixel, so that it can be joined with what differs within a block.

    Example:
        >>> per_pixel(Reading(np.ones((1, 3), np.float32), np.array([0, 0]), np.array([0, 1]))).features.shape
        (2, 3)
    """
    return Reading(reading.features[reading.row], np.arange(len(reading.row)), reading.offset)


def _like(position: Reading, others: Sequence[Reading]) -> Reading:
    """The coordinates, read with the offsets of the others."""
    spread = per_pixel(position)
    return Reading(spread.features, spread.row, others[0].offset) if others else spread


def is_flat(moments: Moments) -> bool:
    """Whether no channel varies.

    Example:
        >>> is_flat(Moments(np.array([0.0, 3.0]), np.array([0.0, 0.0])))
        True
    """
    return bool(np.all(relative_variance(moments) <= FLAT))


def relative_variance(moments: Moments) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Variance of every channel as a share of its mean square; 0 for a channel that is always 0."""
    power = moments.mean**2 + moments.variance
    tiny = np.finfo(np.float32).tiny
    return np.where(power > tiny, moments.variance / np.maximum(power, tiny), 0.0)
