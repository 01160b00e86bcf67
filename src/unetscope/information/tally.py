"""Sums within every image, from which every value of a profile and its interval are formed; knows arrays only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
DIGITS = 7  # that a file keeps


@dataclass(frozen=True, eq=False)
class Tally:
    """A quantity summed within every image, and over how much: its mean is a ratio of sums.

    Images are the units that are resampled, because pixels of one image are alike; where patients or specimens are
    known, a unit is one of these. Held-out losses, gains and lost Dice are all tallies, so that each difference of two
    is *paired* image by image.

    Attributes:
        sums: (G,) sum within every image: bits of its pixels, or its lost Dice.
        counts: (G,) over how many: pixels, or 1 where the quantity belongs to the image as a whole.
        member: (G,) number of the network it was measured on, 0 where there is one.

    Example:
        >>> prior = Tally.of([8.0, 4.0], [8, 8])
        >>> probe = Tally.of([2.0, 2.0], [8, 8])
        >>> (prior - probe).mean
        0.5
    """

    sums: Array
    counts: Array
    member: NDArray[np.int64]

    @classmethod
    def of(cls, sums: Sequence[float] | Array, counts: Sequence[float] | Array | None = None) -> Self:
        """A tally of one network; every image counts once if no counts are given."""
        values = np.asarray(sums, np.float64)
        weights = np.ones_like(values) if counts is None else np.asarray(counts, np.float64)
        return cls(values, weights, np.zeros(len(values), np.int64))

    @classmethod
    def gather(cls, values: Array, units: NDArray[np.integer[Any]], count: int) -> Self:
        """Sum values pixel by pixel into the images they belong to.

        Args:
            values: (P,) of every pixel.
            units: (P,) number of its image, from 0.
            count: How many images there are.

        Example:
            >>> Tally.gather(np.array([1.0, 2.0, 4.0]), np.array([0, 0, 1]), 2).sums.tolist()
            [3.0, 4.0]
        """
        sizes = np.bincount(units, minlength=count).astype(np.float64)
        return cls.of(np.bincount(units, values, count).astype(np.float64), sizes)

    @classmethod
    def pool(cls, tallies: Sequence[Tally]) -> Self:
        """Tallies of several networks as one; the networks stay told apart."""
        offsets = np.cumsum([0, *(int(tally.member.max(initial=-1)) + 1 for tally in tallies)])
        members = [tally.member + offset for tally, offset in zip(tallies, offsets, strict=False)]
        sums, counts = (np.concatenate([getattr(tally, name) for tally in tallies]) for name in ("sums", "counts"))
        return cls(sums, counts, np.concatenate(members))

    @property
    def mean(self) -> float:
        """Ratio of the sums; NaN where nothing was counted."""
        total = self.counts.sum()
        return float(self.sums.sum() / total) if total > 0 else float("nan")

    @property
    def images(self) -> int:
        """Images in which anything was counted."""
        return int((self.counts > 0).sum())

    @property
    def networks(self) -> int:
        """Networks it was measured on."""
        return len(np.unique(self.member))

    def __sub__(self, other: Tally) -> Tally:
        """The difference, image by image; both must count the same."""
        assert np.array_equal(self.counts, other.counts), "only tallies over the same pixels can be compared"
        return Tally(self.sums - other.sums, self.counts, self.member)

    def __add__(self, other: Tally) -> Tally:
        """The sum, image by image; both must count the same."""
        assert np.array_equal(self.counts, other.counts), "only tallies over the same pixels can be added"
        return Tally(self.sums + other.sums, self.counts, self.member)

    def take(self, images: NDArray[np.integer[Any]]) -> Tally:
        """The tally of some images, in that order; an image may come several times."""
        return Tally(self.sums[images], self.counts[images], self.member[images])

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, rounded to seven digits."""
        return {
            "sums": [float(f"{value:.{DIGITS}g}") for value in self.sums],
            "counts": self.counts.astype(int).tolist(),
            "member": self.member.tolist(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The tally that `to_json` wrote."""
        sums, counts = (np.asarray(content[name], np.float64) for name in ("sums", "counts"))
        return cls(sums, counts, np.asarray(content["member"], np.int64))
