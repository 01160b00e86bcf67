"""The pixels on which all probes of a profile are compared, and how they are fitted; knows arrays, not networks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from unetscope.information.estimators.family import Family, Predictor
from unetscope.information.quantity import Quantity
from unetscope.information.reading import Reading
from unetscope.information.tally import Tally
from unetscope.information.usable import CrossFit, fit_held_out, prior_losses

Readers = tuple[tuple[Predictor, NDArray[np.int64]], ...]

SHARES = (0.125, 0.25, 0.5, 1.0)
FEWEST_UNITS = 2


@dataclass(frozen=True, eq=False)
class Bench:
    """Labelled pixels of images that are kept apart when probes are fitted and judged.

    Attributes:
        labels: (P,) class of every pixel.
        units: (P,) number of the image or group that it belongs to, from 0.
        settings: How probes are cross-fitted.
        chosen: (P,) which pixels count; all if None.

    Example:
        >>> bench = Bench(np.tile([0, 1], 40), np.repeat(np.arange(8), 10), CrossFit(classes=2))
        >>> round(bench.prior.value, 2)
        1.0
    """

    labels: NDArray[np.int64]
    units: NDArray[np.int64]
    settings: CrossFit
    chosen: NDArray[np.bool_] | None = None

    @cached_property
    def count(self) -> int:
        """Images or groups in all."""
        return int(self.units.max()) + 1

    @cached_property
    def prior(self) -> Quantity:
        """H0: bits that the label of a pixel has when nothing is read."""
        losses = prior_losses(self._labels, self._units, self.settings)
        tally = self._gather(losses)
        return Quantity(tally, tally.mean)

    def within(self, chosen: NDArray[np.bool_]) -> Bench:
        """The same for some pixels only, with their own H0 and their own probes."""
        return replace(self, chosen=chosen)

    def relabelled(self, labels: NDArray[np.int64]) -> Bench:
        """The same pixels with other labels."""
        return replace(self, labels=labels)

    @property
    def can_fit(self) -> bool:
        """Whether there are at least two images and two classes to tell apart."""
        return len(np.unique(self._units)) >= FEWEST_UNITS and self.prior.value > 0

    def fit(self, family: Family, reading: Reading, share: float = 1.0, seed: int | None = None) -> Readers:
        """Readers of a family, each with the numbers (among the chosen pixels) of those that are held out from it.

        Args:
            family: The readers.
            reading: What is read at all pixels.
            share: Fraction of the images that teach.
            seed: Another division of the images into folds; that of the settings if None.
        """
        settings = replace(self.settings, share=share, seed=self.settings.seed if seed is None else seed)
        return tuple(fit_held_out(family, self._read(reading), self._labels, self._units, settings))

    def judge(self, readers: Readers, reading: Reading) -> Tally:
        """Cross-entropy of readers on the pixels held out from them, bits, summed within images."""
        part, losses = self._read(reading), np.zeros(len(self._labels))
        for reader, held in readers:
            predicted = reader(part.take(held))
            losses[held] = -predicted[np.arange(len(held)), self._labels[held]] / np.log(2)
        return self._gather(losses)

    def losses(self, family: Family, reading: Reading, share: float = 1.0, seed: int | None = None) -> Tally:
        """Held-out cross-entropy of a family that reads `reading`; arguments are those of `fit`."""
        return self.judge(self.fit(family, reading, share, seed), reading)

    def information(self, family: Family, reading: Reading) -> Quantity:
        """Usable label information, H0 less the held-out cross-entropy."""
        return self.told(self.losses(family, reading))

    def told(self, losses: Tally) -> Quantity:
        """The information that held-out losses leave of H0."""
        return Quantity(self.prior.tally - losses, self.prior.value)

    @cached_property
    def _pixels(self) -> NDArray[np.int64]:
        return np.flatnonzero(np.ones(len(self.labels), bool) if self.chosen is None else self.chosen)

    @property
    def _labels(self) -> NDArray[np.int64]:
        return self.labels[self._pixels]

    @property
    def _units(self) -> NDArray[np.int64]:
        return self.units[self._pixels]

    def _read(self, reading: Reading) -> Reading:
        return reading if self.chosen is None else reading.take(self._pixels)

    def _gather(self, losses: NDArray[np.float64]) -> Tally:
        return Tally.gather(losses, self._units, self.count)
