"""What a comparison keeps of each network: its costs, its times, and the Dice of every image; judges nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import nan
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from unetscope.model.cost import count_parameters
from unetscope.model.spec import UNetSpec
from unetscope.scores.values import mean, read_share
from unetscope.slimming.shapes import multiply_adds_per_pixel
from unetscope.slimming.speed import Timing


@dataclass(frozen=True)
class Training:
    """One training of a network.

    Attributes:
        run: Its folder.
        seed: Of the training.
        weights: Digest of the weights.
        learned: Digest of the images that it saw, to learn from or to choose an epoch by.
        dice: For each class the Dice of every image; None where the image lacks the class.

    Example:
        >>> Training("run", 0, "", "", {"cell": (0.5, None), "nucleus": (1.0, 0.25)}).means
        (0.75, 0.25)
    """

    run: str
    seed: int | None
    weights: str
    learned: str
    dice: Mapping[str, tuple[float | None, ...]] = field(repr=False)

    @property
    def means(self) -> tuple[float, ...]:
        """For every image the mean over its classes; not-a-number where it has none."""
        each = (mean(values) for values in zip(*self.dice.values(), strict=True))
        return tuple(nan if value is None else value for value in each)

    def to_json(self) -> dict[str, Any]:
        """Plain values from which `from_json` makes the same training."""
        dice = {name: list(values) for name, values in self.dice.items()}
        return {"run": self.run, "seed": self.seed, "weights": self.weights, "learned": self.learned, "dice": dice}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The training that `to_json` wrote.

        Raises:
            DataError: A score is none.
            KeyError: An entry is missing.
        """
        dice = {name: tuple(map(read_share, values)) for name, values in content["dice"].items()}
        return cls(content["run"], content["seed"], content["weights"], content["learned"], dice)


@dataclass(frozen=True)
class Row:
    """One network with all its trainings.

    Attributes:
        name: What to call it.
        spec: The network.
        training: How it was trained, but for the seed; plain values.
        trainings: At least one.
        multiply_adds: For one image of the dataset's usual size.
        file_bytes: Size of the file of its weights.
        peak_bytes: Memory for one block of the size that is timed, in torch and float32; an estimate.
        timings: What it took in each engine and precision.
    """

    name: str
    spec: UNetSpec
    training: Mapping[str, Any] = field(repr=False)
    trainings: tuple[Training, ...] = field(repr=False)
    multiply_adds: int
    file_bytes: int
    peak_bytes: int
    timings: tuple[Timing, ...] = field(default=(), repr=False)

    @property
    def parameters(self) -> int:
        """Weights, biases, scales and shifts."""
        return count_parameters(self.spec)

    @property
    def multiply_adds_per_pixel(self) -> float:
        """For each pixel that a large block labels."""
        return multiply_adds_per_pixel(self.spec)

    @property
    def scores(self) -> NDArray[np.float64]:
        """(seeds, images) Dice, mean over the classes of an image; not-a-number where it has none."""
        return np.array([training.means for training in self.trainings], np.float64)

    def class_dice(self, name: str) -> float | None:
        """Mean Dice of a class over seeds and the images that have it."""
        return mean(value for training in self.trainings for value in training.dice[name])

    def to_json(self) -> dict[str, Any]:
        """Plain values from which `from_json` makes the same row, and what follows from them."""
        return {
            "name": self.name,
            "spec": self.spec.to_json(),
            "training": dict(self.training),
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "multiply_adds_per_pixel": self.multiply_adds_per_pixel,
            "file_bytes": self.file_bytes,
            "peak_bytes": self.peak_bytes,
            "timings": [timing.to_json() for timing in self.timings],
            "classes": {name: self.class_dice(name) for name in self.trainings[0].dice},
            "trainings": [training.to_json() for training in self.trainings],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The row that `to_json` wrote.

        Raises:
            SpecError: The network is none.
            DataError: A score is none.
            SlimError: A timing is none.
            KeyError: An entry is missing.
        """
        return cls(
            name=str(content["name"]),
            spec=UNetSpec.from_json(content["spec"]),
            training=content["training"],
            trainings=tuple(Training.from_json(each) for each in content["trainings"]),
            multiply_adds=int(content["multiply_adds"]),
            file_bytes=int(content["file_bytes"]),
            peak_bytes=int(content["peak_bytes"]),
            timings=tuple(Timing.from_json(each) for each in content["timings"]),
        )
