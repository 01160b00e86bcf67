"""What every layer knows of the labels at any place: one linear reader a layer; knows networks and images, no bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetscope.information.capture import MEMORY_BYTES
from unetscope.information.estimators.family import Lesson, Predictor
from unetscope.information.estimators.logistic import Logistic
from unetscope.information.observation import observe_in_passes
from unetscope.information.one_thread import in_one_thread
from unetscope.information.pixels import Pixels, sample_pixels
from unetscope.information.reading import Reading
from unetscope.information.subject import Subject
from unetscope.information.views import Views

TUNED = 5  # every so many images tune the readers

OnStep = Callable[[float, int, str], None]


@dataclass(frozen=True, eq=False)
class Reader:
    """A linear reader of one layer.

    Attributes:
        predictor: What it says of each pixel that it was taught, by the pixel's place in the block of a position.
        offsets: How many places of a block it was taught.
    """

    predictor: Predictor
    offsets: int

    def chances(self, features: NDArray[Any]) -> NDArray[np.float64]:
        """Probability of every class at positions of the layer, averaged over the places of their blocks.

        Args:
            features: (positions, channels), what the layer says there; of the last layer one score for each class.

        Returns:
            (positions, classes).
        """
        reading = Reading.of(features)
        chances: NDArray[np.float64] = np.mean(
            [np.exp(self.predictor(_at(reading, offset))) for offset in range(self.offsets)], axis=0
        )
        return chances


def teach_readers(
    subject: Subject,
    views: Views,
    hidden: frozenset[int] = frozenset(),
    seed: int = 0,
    memory_bytes: int = MEMORY_BYTES,
    on_step: OnStep | None = None,
) -> dict[str, Reader]:
    """Teach every layer's linear reader to tell the classes of pixels.

    Args:
        subject: The network.
        views: Annotated images.
        hidden: Numbers of images that teach nothing.
        seed: Start of all randomness.
        memory_bytes: Memory for activations, about.
        on_step: Called with how much is done, how much there is to do, and what was done.

    Returns:
        A reader for every layer, in order.

    Raises:
        DataError: No pixel is labelled.
    """
    block = tuple(map(max, zip(*subject.wiring.strides.values(), strict=True)))
    pixels = sample_pixels(views, block, seed=seed)
    taught = np.flatnonzero(~np.isin(pixels.view, list(hidden)))
    tuning, tell = _choose_tuning(pixels, taught), _Teller(len(subject.wiring.layers), on_step)
    readers: dict[str, Reader] = {}
    with in_one_thread():
        for observed in observe_in_passes(subject.module, subject.wiring, views, pixels, memory_bytes, tell.seen):
            for layer, reading in observed.layers.items():
                lesson = Lesson(reading.take(taught), pixels.labels[taught], len(views.classes), tuning, seed)
                readers[layer] = Reader(Logistic().fit(lesson), reading.offsets)
                tell.taught(layer)
    return readers


class _Teller:
    """How far the work is: images seen and layers taught are half of it each."""

    def __init__(self, layers: int, on_step: OnStep | None) -> None:
        self._layers, self._on_step = layers, on_step
        self._seen, self._taught = 0.0, 0

    def seen(self, images: int, total: int) -> None:
        """So many images have passed, in all passes together."""
        self._seen = self._layers * images / total
        self._tell("images")

    def taught(self, layer: str) -> None:
        """Another reader is ready."""
        self._taught += 1
        self._tell(layer)

    def _tell(self, note: str) -> None:
        if self._on_step:
            self._on_step(self._seen + self._taught, 2 * self._layers, note)


def _at(reading: Reading, offset: int) -> Reading:
    """The same positions, asked about another pixel of their blocks."""
    return replace(reading, offset=np.full(len(reading.row), offset))


def _choose_tuning(pixels: Pixels, taught: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which taught pixels choose the penalty: those of every fifth image, or every fifth pixel of too few images."""
    ranks = np.unique(pixels.view[taught], return_inverse=True)[1]  # hidden images leave gaps
    tuning: NDArray[np.bool_] = ranks % TUNED == 0
    return np.arange(len(taught)) % TUNED == 0 if tuning.all() else tuning
