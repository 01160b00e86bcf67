"""What a decoder's own pair of convolutions can read from windows of its input; knows samples, not layers or images."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from unetscope.information.estimators.family import Lesson
from unetscope.information.estimators.stochastic_descent import Descent, NetworkReader, fit_network

SIDE = 5
"""Positions along each axis of the window that two 3-wide convolutions read."""


@dataclass(frozen=True)
class Convolutional:
    """Readers with two 3-wide convolutions and ReLU, as in a level of a U-Net, and one set of logits for every offset.

    The features of a position are its window, channel after channel: (channels, [5,] 5, 5) made flat, so that only
    sampled positions cost. Windows of two sources joined along their features are windows with all their channels.

    Solver: that of `Perceptron`; each channel is standardized over its whole window.

    Attributes:
        ndim: Axes of the window, 2 or 3.
        width: Channels of both convolutions; those of the level in question.
        name: What it is called in files and pictures.
        descent: How it is fitted.

    Example:
        >>> import numpy as np
        >>> from unetscope.information.reading import Reading
        >>> windows = np.random.default_rng(0).normal(size=(2000, 25))
        >>> reading, labels = Reading.of(windows), (windows.sum(axis=1) > 0).astype(int)
        >>> reader = Convolutional(ndim=2, width=8).fit(Lesson(reading, labels, 2, np.arange(2000) < 500))
        >>> bool((reader(reading).argmax(axis=1) == labels).mean() > 0.9)
        True
    """

    ndim: int
    width: int
    name: str = "convolutional"
    descent: Descent = field(default_factory=Descent)

    def fit(self, lesson: Lesson) -> NetworkReader:
        """The reader that this lesson teaches: as far as the held-out images ask for, then on all of them."""
        window = (SIDE,) * self.ndim
        channels, rest = divmod(lesson.reading.width, SIDE**self.ndim)
        assert rest == 0, f"features are not windows of {window}"

        def build(logits: int) -> nn.Module:
            convolution = nn.Conv2d if self.ndim == 2 else nn.Conv3d
            return nn.Sequential(
                nn.Unflatten(1, (channels, *window)),
                convolution(channels, self.width, 3),
                nn.ReLU(),
                convolution(self.width, self.width, 3),
                nn.ReLU(),
                nn.Flatten(),
                nn.Linear(self.width, logits),
            )

        return fit_network(build, lesson, self.descent, channels)
