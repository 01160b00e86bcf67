"""Which patches a step sees: images in random order, places by class, augmented; knows datasets, not networks.

All randomness comes from (seed, epoch) and (seed, step, position in the batch), so that a step's patches depend on
nothing that happened before it: a resumed run sees what an uninterrupted one would. Several threads may ask at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, prod
from threading import Lock
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unetscope.data.dataset import Dataset, Item
from unetscope.data.normalization import Affine, Normalization
from unetscope.data.objects import border_weights
from unetscope.machine import available_memory
from unetscope.model.geometry import fitting_shape, margin
from unetscope.model.spec import UNetSpec
from unetscope.training.augmentation import (
    Patch,
    change_intensities,
    make_field,
    reflect,
    sample_image,
    sample_labels,
)
from unetscope.training.recipe import Recipe

LARGEST_PATCH = {2: 256, 3: 64}
FEWEST_STEPS, MOST_STEPS = (
    25,
    250,
)  # per epoch, so that few images are not scored after every step, and many now and then
PLACES = 4096  # remembered per class and image
MEMORY_SHARE = 4  # decoded images may take such a part of the memory that is left
ORDER, PLACE = 1, 2  # streams of randomness
AS_IT_IS = Affine((0.0,), (1.0,))


@dataclass(frozen=True)
class Example:
    """An annotated image ready to cut patches from.

    Attributes:
        image: (channels, [z,] y, x) as stored.
        labels: ([z,] y, x) class indices.
        affine: Its normalization.
        places: For every foreground class that is there, some of its positions (count, axes).
        border: ([z,] y, x), how narrow the gap between objects is, from 0 to 1; None where nobody asks.
    """

    image: NDArray[np.generic]
    labels: NDArray[np.generic]
    affine: Affine
    places: tuple[NDArray[np.intp], ...]
    border: NDArray[np.float32] | None = None

    @property
    def nbytes(self) -> int:
        """Memory it takes, bytes."""
        return self.image.nbytes + self.labels.nbytes + (0 if self.border is None else self.border.nbytes)


class Batch(NamedTuple):
    """What one step learns from.

    Attributes:
        images: (batch, channels, *shape), normalized, float32.
        labels: (batch, *written shape) int64, -1 where ignored.
        border: (batch, *written shape), how narrow the gap between objects is, from 0 to 1; None where nobody asks.
    """

    images: Tensor
    labels: Tensor
    border: Tensor | None

    def pinned(self) -> Batch:
        """The same in page-locked memory, from which a CUDA card copies while the processor goes on."""
        return Batch(*(None if tensor is None else tensor.pin_memory() for tensor in self))  # type: ignore[arg-type]

    def to(self, device: torch.device) -> Batch:
        """The same on another device; the copy may still be under way."""
        moved = (None if tensor is None else tensor.to(device, non_blocking=True) for tensor in self)
        return Batch(*moved)  # type: ignore[arg-type]


class Patches:
    """The patches of a training run.

    Args:
        dataset: Annotated images.
        names: The images to train on.
        spec: The network.
        recipe: Size, number and augmentation of the patches.
        normalization: What the network shall see.
    """

    def __init__(
        self, dataset: Dataset, names: Sequence[str], spec: UNetSpec, recipe: Recipe, normalization: Normalization
    ) -> None:
        self.dataset, self.names, self.spec = dataset, tuple(names), spec
        self.recipe, self.normalization = recipe, normalization
        self._cache: dict[str, Example] = {}
        self._room = available_memory() // MEMORY_SHARE
        self._lock = Lock()
        self._order: tuple[int, NDArray[np.intp]] = (-1, np.zeros(0, np.intp))

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """What the network reads of a patch, pixels per axis."""
        lost = margin(self.spec)
        wanted = [self.recipe.patch or LARGEST_PATCH[self.spec.ndim]] * self.spec.ndim
        if self.recipe.patch is None:
            median = np.median(self.sizes, axis=0)
            wanted = [min(size, ceil(usual)) for size, usual in zip(wanted, median, strict=True)]
        return fitting_shape(self.spec, tuple(size + 2 * m for size, m in zip(wanted, lost, strict=True)))

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Spatial shape of every image, (images, axes) pixels."""
        return np.array([self.example(name).labels.shape for name in self.names])

    @cached_property
    def epoch_steps(self) -> int:
        """Steps in which every image comes and as many pixels pass as the images have, where that is a fair number."""
        if self.recipe.epoch_steps is not None:
            return self.recipe.epoch_steps
        return min(MOST_STEPS, max(FEWEST_STEPS, ceil(len(self._copies) / self.recipe.batch)))

    @cached_property
    def _copies(self) -> NDArray[np.intp]:
        """Every image as often as patches fit into it."""
        written = prod(n - 2 * m for n, m in zip(self.shape, margin(self.spec), strict=True))
        counts = np.maximum(1, np.rint(np.prod(self.sizes, axis=1) / written).astype(np.intp))
        return np.repeat(np.arange(len(self.names)), counts)

    def batch(self, step: int, share: slice = slice(None)) -> Batch:
        """The patches of one step.

        Args:
            step: Steps done before.
            share: The part of the batch to make (one process of several).

        Returns:
            The batch.
        """
        cut = [self._cut(step, position) for position in range(self.recipe.batch)[share]]
        images, labels, borders = zip(*cut, strict=True)
        border = torch.from_numpy(np.stack(borders)) if self.recipe.border else None
        return Batch(torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(labels)), border)

    def _cut(
        self, step: int, position: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32] | None]:
        recipe, lost = self.recipe, margin(self.spec)
        example = self.example(self.names[self._image_at(step, position)])
        rng = np.random.default_rng([recipe.seed, PLACE, step, position])
        patch = Patch(self._center(example, rng), self.shape, lost)
        seen = reflect(make_field(patch, recipe, rng), example.labels.shape)
        written = seen[(slice(None), *(slice(m, n - m) for m, n in zip(lost, self.shape, strict=True)))]
        image = change_intensities(sample_image(example.image, seen, example.affine), recipe.intensity, rng)
        border = None if example.border is None else sample_image(example.border[None], written, AS_IT_IS)[0]
        return image, sample_labels(example.labels, written), border

    def _image_at(self, step: int, position: int) -> int:
        """The image of a patch: all come in a new random order before any comes again."""
        turn, within = divmod(step * self.recipe.batch + position, len(self._copies))
        known, order = self._order  # another thread may be at another turn
        if known != turn:
            order = np.random.default_rng([self.recipe.seed, ORDER, turn]).permutation(self._copies)
            self._order = turn, order
        return int(order[within])

    def _center(self, example: Example, rng: np.random.Generator) -> tuple[float, ...]:
        """Anywhere or near a foreground pixel: on whole pixels, and the patch inside of the image where it fits."""
        centered = example.places and rng.random() < self.recipe.foreground
        positions = example.places[rng.integers(len(example.places))] if centered else None
        place = positions[rng.integers(len(positions))] if positions is not None else None
        center = []
        for axis, (length, size, lost) in enumerate(
            zip(example.labels.shape, self.shape, margin(self.spec), strict=True)
        ):
            half = (size - 2 * lost - 1) / 2
            low, high = half, length - 1 - half
            wanted = rng.uniform(low, max(low, high)) if place is None else place[axis]
            inside = np.clip(wanted, low, high) if low < high else (length - 1) / 2
            center.append(float(np.rint(inside - half) + half))
        return tuple(center)

    def example(self, name: str) -> Example:
        """An annotated image; remembered while memory for it lasts."""
        if name in self._cache:
            return self._cache[name]
        item = self.dataset.item(name)
        image, labels = self.dataset.read(item)
        affine = self.normalization.affine(image, str(item.image))
        example = Example(image, labels, affine, _find_places(labels), self._border(item))
        with self._lock:
            if name not in self._cache and example.nbytes <= self._room:
                self._cache[name] = example
                self._room -= example.nbytes
        return example

    def _border(self, item: Item) -> NDArray[np.float32] | None:
        """The border weights of an image, where the recipe asks for them."""
        if not self.recipe.border:
            return None
        return border_weights(self.dataset.read_instances(item), self.recipe.border_reach)


def _find_places(labels: NDArray[np.generic]) -> tuple[NDArray[np.intp], ...]:
    """Evenly spread positions of every foreground class."""
    flat = labels.ravel()
    found = []
    for value in np.unique(flat):
        if value > 0:
            at = np.flatnonzero(flat == value)
            at = at[:: max(1, len(at) // PLACES)]
            found.append(np.stack(np.unravel_index(at, labels.shape), axis=1))
    return tuple(found)
