"""What small probes read of the labels: by window, by width and by number of images; knows samples, not datasets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from unetscope.information.estimators.family import Family
from unetscope.information.estimators.perceptron import Perceptron
from unetscope.information.reading import Reading
from unetscope.information.sizing.sampling import Samples
from unetscope.information.tally import Tally
from unetscope.information.usable import CrossFit, cross_fit, prior_losses

WIDTHS = (4, 8, 16, 32, 64)
SHARES = (0.125, 0.25, 0.5)
FOLDS = 5

Array = NDArray[np.float64]
OnProbe = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Trial:
    """Samples and the folds that all probes share.

    Attributes:
        samples: Labelled pixels.
        seed: Start of the folds and the probes.
        on_probe: Called with what is measured next.
    """

    samples: Samples
    seed: int
    on_probe: OnProbe

    @cached_property
    def settings(self) -> CrossFit:
        """How images are divided."""
        return CrossFit(len(self.samples.classes), FOLDS, self.seed)

    @cached_property
    def prior(self) -> Tally:
        """H0: held-out loss of who knows only how often each class occurs."""
        return self._gather(prior_losses(self.samples.labels, self.samples.units, self.settings))

    def read_windows(self) -> Mapping[int, Tally]:
        """Bits read in the window of each size by the widest probe."""
        sizes = self.samples.sizes
        return {size: self.read(self.samples.window(size), f"windows of {size} pixels") for size in sizes}

    def read_widths(self, size: int, widest: Tally) -> Mapping[int, Tally]:
        """Bits read by probes of each width in the window of one size.

        Args:
            size: Of the window.
            widest: What the widest probe read there.
        """
        window = self.samples.window(size)
        narrow = {width: self.read(window, f"probes of {width} units", width) for width in WIDTHS[:-1]}
        return narrow | {WIDTHS[-1]: widest}

    def read_shares(self, size: int, whole: Tally) -> Mapping[float, Tally]:
        """Bits read in the window of one size by probes that learned from part of the images.

        Args:
            size: Of the window.
            whole: What was read with all of them.

        Returns:
            Share of the images -> bits; shares of less than two images to learn from are left out.
        """
        window, taught = self.samples.window(size), len(self.samples.names) * (FOLDS - 1) / FOLDS
        shares = [share for share in SHARES if share * taught >= 2]
        return {share: self.read(window, f"{share:.1%} of the images", share=share) for share in shares} | {1.0: whole}

    def read_place(self) -> Tally:
        """Bits that the relative coordinates alone tell."""
        return self.read(Reading.of(self.samples.places), "the place alone")

    def read(self, reading: Reading, text: str, width: int = WIDTHS[-1], share: float = 1.0) -> Tally:
        """Bits that a probe of some width reads on images that it has not seen."""
        self.on_probe(text)
        family: Family = Perceptron(width)
        settings = CrossFit(self.settings.classes, FOLDS, self.seed, share)
        return self.prior - self._gather(cross_fit(family, reading, self.samples.labels, self.samples.units, settings))

    def _gather(self, bits: Array) -> Tally:
        return Tally.gather(bits, self.samples.units, len(self.samples.names))
