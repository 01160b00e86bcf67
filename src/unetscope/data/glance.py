"""What is remembered of one annotated image once it was read; knows datasets, judges nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unetscope.data.alignment import TELLING, Alignment, align
from unetscope.data.dataset import Dataset, Spacing
from unetscope.data.formats.registry import read_palette
from unetscope.data.intensities import Statistics, measure
from unetscope.data.item import Item, labels_of
from unetscope.data.signatures import Signature, measure_contrast, sign
from unetscope.data.similarity import shrink

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class Glance:
    """A few hundred kilobytes at most, whatever the size of the image.

    Attributes:
        item: Which image.
        shape: ([z,] y, x), pixels.
        counts: Labelled pixels of each class.
        objects: How many there are, where labels number them.
        spacing: Of its pixels, where the file says it.
        statistics: Of its intensities.
        saturated: Share of the pixels that have the largest intensity of their channel, in the worst channel.
        thumbnail: What `shrink` returns.
        alignment: What `align` returns.
        contrast: How much brighter the foreground is than the background, see `measure_contrast`.
        signature: What `sign` returns, kept where the labels seem to have nothing to do with the image.
        palette: Colors of the numbers in its label file, if that is a palette PNG.
        pixels: Digest of the image as it was read, from whatever format.
        labels: Digest of the class indices.
    """

    item: Item
    shape: tuple[int, ...]
    counts: Array
    objects: int | None
    spacing: Spacing | None
    statistics: Statistics
    saturated: float
    thumbnail: Array
    alignment: Alignment
    contrast: float
    signature: Signature | None
    palette: Mapping[int, tuple[int, ...]]
    pixels: str
    labels: str

    @property
    def name(self) -> str:
        """The image's name."""
        return self.item.name

    @property
    def is_blank(self) -> bool:
        """Whether the labels are the same everywhere."""
        return int(np.count_nonzero(self.counts)) < 2

    @property
    def is_stranger(self) -> bool:
        """Whether labels that say something have nothing to do with an image that shows something."""
        is_telling = self.alignment.certainty >= TELLING or self.alignment.is_suspicious
        return any(self.statistics.std) and not self.is_blank and not is_telling

    @property
    def label_file(self) -> Path:
        """The file to look at for labels."""
        return labels_of(self.item)


def take_glance(dataset: Dataset, item: Item) -> Glance:
    """Read an annotated image.

    Args:
        dataset: Annotated images.
        item: One of them.

    Returns:
        What is remembered of it.

    Raises:
        DataError: A network could not learn from it; the message names the file.
    """
    image, labels = dataset.read(item)
    statistics = measure(image, str(item.image))
    # A gray image among colored ones repeats its channel without any memory.
    distinct = image if image.strides[0] else image[:1]
    signature = sign(distinct, labels)
    glance = Glance(
        item=item,
        shape=labels.shape,
        counts=np.bincount(labels[labels >= 0], minlength=len(dataset.classes)),
        objects=_count_objects(dataset.read_instances(item)) if has_objects(dataset) else None,
        spacing=dataset.read_spacing(item),
        statistics=statistics,
        saturated=max(float((one == high).mean()) for one, high in zip(distinct, statistics.high, strict=False)),
        thumbnail=shrink(distinct).astype(np.float32),
        alignment=align(signature),
        contrast=measure_contrast(signature),
        signature=signature,
        palette=read_palette(labels_of(item)),
        pixels=_digest(distinct),
        labels=_digest(labels[None]),
    )
    return glance if glance.is_stranger else replace(glance, signature=None)


def has_objects(dataset: Dataset) -> bool:
    """Whether labels number single objects."""
    return dataset.stored is not None or dataset.labelling.kind == "instances"


def _count_objects(instances: Array) -> int:
    """Different numbers above 0."""
    return len(np.unique(instances[instances > 0]))


def _digest(array: Array) -> str:
    """SHA-256 of type, shape and numbers, part by part so that a mapped array stays on disk."""
    total = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    for part in array:
        total.update(np.ascontiguousarray(part).tobytes())
    return total.hexdigest()
