"""What a network with one hidden layer can read: what is there at all; knows samples, not layers or images."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from unetscope.information.estimators.family import Lesson
from unetscope.information.estimators.stochastic_descent import Descent, NetworkReader, fit_network


@dataclass(frozen=True)
class Perceptron:
    """Readers with one hidden layer of ReLU units that all offsets share, and one set of logits for every offset.

    Solver: AdamW in 32 mini-batches an epoch, the running average of its steps stopped by the tuning images, then
    walked as far on all images (see `stochastic_descent`). It reads XOR of two bits hidden in noise, and a Gaussian
    pair in 16 dimensions within .01 bits of what there is; nothing where there is nothing.

    Attributes:
        hidden: Units of the hidden layer.
        name: What it is called in files and pictures.
        descent: How it is fitted.

    Example:
        >>> import numpy as np
        >>> from unetscope.information.reading import Reading
        >>> bits = np.random.default_rng(0).integers(0, 2, (400, 2))
        >>> reading, labels = Reading.of(bits), bits[:, 0] ^ bits[:, 1]
        >>> reader = Perceptron(hidden=8).fit(Lesson(reading, labels, 2, np.arange(400) < 100))
        >>> bool((reader(reading).argmax(axis=1) == labels).all())
        True
    """

    hidden: int = 64
    name: str = "mlp"
    descent: Descent = field(default_factory=Descent)

    def fit(self, lesson: Lesson) -> NetworkReader:
        """The reader that this lesson teaches: as far as the held-out images ask for, then on all of them."""
        width = lesson.reading.width

        def build(logits: int) -> nn.Module:
            return nn.Sequential(nn.Linear(width, self.hidden), nn.ReLU(), nn.Linear(self.hidden, logits))

        return fit_network(build, lesson, self.descent, width)
