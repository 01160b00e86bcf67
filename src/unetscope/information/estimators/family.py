"""What a family of predictors is: the readers whose reach defines *usable* information; knows arrays only.

Source:
    Xu, Zhao, Song, Stewart, Ermon 2020, A theory of usable information under computational constraints, ICLR.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from unetscope.information.reading import Reading

Labels = NDArray[np.int64]
LogProbabilities = NDArray[np.float64]

Predictor = Callable[[Reading], LogProbabilities]
"""Reading of P pixels -> (P, classes) natural logarithms of the probabilities, float64."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a predictor is fitted on.

    Attributes:
        reading: What is read at P pixels.
        labels: (P,) class of each, from 0.
        classes: How many classes there are.
        tuning: (P,) true where a pixel belongs to an image that is held out to choose the penalty or when to stop.
        seed: Start of what is random.
    """

    reading: Reading
    labels: Labels
    classes: int
    tuning: NDArray[np.bool_]
    seed: int = 0


class Family(Protocol):
    """A kind of reader, such as "what the next 1x1 convolution can read"."""

    @property
    def name(self) -> str:
        """What it is called in files and pictures."""
        ...

    def fit(self, lesson: Lesson) -> Predictor:
        """The reader that this lesson teaches: tuned on the held-out images, then fitted on all of them."""
        ...


def log_prior(labels: Labels, classes: int) -> NDArray[np.float64]:
    """Logarithms of how often each class occurs, none of them impossible (each has half a pixel more).

    Args:
        labels: (P,) class of each pixel.
        classes: How many classes there are.

    Returns:
        (classes,) natural logarithms.

    Example:
        >>> np.exp(log_prior(np.array([0, 0, 1]), 2)).round(3).tolist()
        [0.625, 0.375]
    """
    counts = np.bincount(labels, minlength=classes).astype(np.float64) + 0.5
    logarithms: NDArray[np.float64] = np.log(counts / counts.sum())
    return logarithms
