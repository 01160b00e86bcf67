"""What a layer says at the sampled pixels; knows arrays, neither networks nor estimates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Reading:
    """Activations at the positions of a layer, and which sampled pixel reads which of them.

    A layer at stride s has one vector of activations for every block of s x s (x s) pixels. Which of the block's pixels
    is meant is its *offset*; a probe keeps one set of logits for each offset.

    Attributes:
        features: (positions, channels), float32.
        row: (P,) position that each pixel reads.
        offset: (P,) number of its place within the block, from 0.

    Example:
        >>> Reading.of(np.zeros((5, 3))).offsets
        1
    """

    features: Features
    row: Indices
    offset: Indices

    @classmethod
    def of(cls, features: NDArray[Any]) -> Reading:
        """One vector for every pixel: (P, channels), or (P,) for a single channel."""
        matrix = np.asarray(features, np.float32).reshape(len(features), -1)
        return cls(matrix, np.arange(len(matrix)), np.zeros(len(matrix), np.int64))

    @property
    def offsets(self) -> int:
        """Sets of logits that a probe needs."""
        return int(self.offset.max(initial=0)) + 1

    @property
    def width(self) -> int:
        """Channels."""
        return int(self.features.shape[1])

    def take(self, pixels: NDArray[Any]) -> Reading:
        """The reading of some pixels (their numbers, or a mask); positions stay as they are."""
        return Reading(self.features, self.row[pixels], self.offset[pixels])


def join_readings(readings: Sequence[Reading]) -> Reading:
    """Several readings of the same positions as one with all their channels.

    Example:
        >>> join_readings([Reading.of(np.zeros((5, 3))), Reading.of(np.zeros((5, 2)))]).width
        5
    """
    first = readings[0]
    assert all(np.array_equal(first.row, reading.row) for reading in readings), "readings of other positions came"
    return Reading(np.concatenate([reading.features for reading in readings], axis=1), first.row, first.offset)
