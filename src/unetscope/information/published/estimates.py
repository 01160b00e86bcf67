"""From inner products of images to the numbers of a layer and their controls; knows matrices, not networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any, Self

from unetscope.information.estimators.kernel import (
    Bounds,
    Clause,
    Codes,
    LabelInformation,
    Matrix,
    ShuffledInformation,
    find_saturation,
    input_information,
    label_information,
    relative_variance,
    shuffled_information,
    squared_distances,
)
from unetscope.information.estimators.similarity import debiased_cka

NEAR_BITS = 0.05  # within which an estimate and its control are not told apart


@dataclass(frozen=True)
class Estimate:
    """Information at one layer of one network, bits.

    Attributes:
        input: I(X;M), about the image.
        label: I(M;Y), about its label code.
        saturated: Why these numbers say nothing; empty where they may be read.
        variance: Variance of the noise, in squared units of an activation.
    """

    input: Bounds
    label: LabelInformation
    saturated: tuple[Clause, ...]
    variance: float

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The estimate whose fields these are."""
        bounds, label = Bounds(**content["input"]), LabelInformation(**content["label"])
        return cls(bounds, label, tuple(content["saturated"]), content["variance"])


@dataclass(frozen=True)
class PaperLayer:
    """Information at one layer, with its controls.

    Attributes:
        layer: The layer's name; "image" is the network's input.
        trained: The network itself.
        untrained: The same network with fresh weights.
        shuffled: I(M;Y) of the network itself with shuffled labels, bits.
        fails_control: I(M;Y) is not told apart from its value with shuffled labels.
    """

    layer: str
    trained: Estimate
    untrained: Estimate
    shuffled: ShuffledInformation
    fails_control: bool

    @property
    def is_readable(self) -> bool:
        """Whether I(M;Y) is neither saturated nor what shuffled labels give."""
        return not self.trained.saturated and not self.fails_control

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The layer whose fields these are."""
        trained, untrained = (Estimate.from_json(content[network]) for network in ("trained", "untrained"))
        shuffled = ShuffledInformation(**content["shuffled"])
        return cls(content["layer"], trained, untrained, shuffled, content["fails_control"])


@dataclass(frozen=True)
class Similarity:
    """How alike a layer arranges the images as they are themselves, and as their label images are: debiased linear CKA.

    Attributes:
        image: With the image, at most 1; None where the layer puts out the same for all images.
        label: With the foreground of the label image.
        untrained_image: The same of the network with fresh weights.
        untrained_label: Likewise.
    """

    image: float | None
    label: float | None
    untrained_image: float | None
    untrained_label: float | None


@dataclass(frozen=True, eq=False)
class Controls:
    """What every layer is measured with.

    Attributes:
        codes: (N,) code of each label image.
        permutations: Shuffles of the labels.
        seed: Seed of what is random.
    """

    codes: Codes
    permutations: int
    seed: int

    def estimate(self, distances: Matrix, variance: float) -> Estimate:
        """Information at this variance of the noise, and whether it is saturated."""
        return Estimate(
            input_information(distances, variance),
            label_information(distances, self.codes, variance),
            find_saturation(distances, self.codes, variance, self.seed),
            variance,
        )

    def measure(self, layer: str, trained: Matrix, untrained: Matrix, variance: float | None) -> PaperLayer:
        """A layer with its controls.

        Args:
            layer: Its name.
            trained: (N, N) inner products of the images there.
            untrained: The same of the network with fresh weights.
            variance: Of the noise; relative to the layer's power, for each network its own, if None.
        """
        own, blank = squared_distances(trained), squared_distances(untrained)
        noise, other = (variance or relative_variance(distances) for distances in (own, blank))
        estimate = self.estimate(own, noise)
        shuffled = shuffled_information(own, self.codes, noise, self.permutations, self.seed)
        is_no_larger = _fails_control(estimate.label, shuffled)
        return PaperLayer(layer, estimate, self.estimate(blank, other), shuffled, is_no_larger)


def compare_arrangements(trained: Matrix, untrained: Matrix, image: Matrix, label: Matrix) -> Similarity:
    """Similarity of a layer with image and label.

    Args:
        trained: (N, N) inner products of the images at the layer.
        untrained: The same of the network with fresh weights.
        image: (N, N) inner products of the images themselves.
        label: (N, N) inner products of their label images.
    """
    found = [debiased_cka(own, other) for own in (trained, untrained) for other in (image, label)]
    return Similarity(*(None if isnan(value) else value for value in found))


def _fails_control(label: LabelInformation, shuffled: ShuffledInformation) -> bool:
    """Whether a shuffle reaches the true labels' value, or their mean is within 0.05 bits or 2 standard deviations."""
    return label.published <= max(shuffled.highest, shuffled.mean + max(NEAR_BITS, 2 * shuffled.spread))
