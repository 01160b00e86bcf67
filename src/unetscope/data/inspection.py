"""What a dataset holds, read completely before anything is trained on it; knows datasets, prints nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from unetscope.data.dataset import Dataset
from unetscope.data.normalization import choose, measure


@dataclass(frozen=True)
class Inspection:
    """What training would see.

    Attributes:
        images: Number of annotated images.
        parts: Images by the part that the folder gives them.
        roles: Images by role with seed 0.
        ndim: Spatial axes.
        channels: Channels of every image.
        types: Images by stored type.
        smallest: Smallest shape per axis, pixels.
        largest: Largest shape per axis, pixels.
        labels: What the labels were taken for, and why.
        shares: Share of every class among all labelled pixels.
        without: Images that lack each class.
        normalization: The scheme that would be chosen.
    """

    images: int
    parts: dict[str, int]
    roles: dict[str, int]
    ndim: int
    channels: int
    types: dict[str, int]
    smallest: tuple[int, ...]
    largest: tuple[int, ...]
    labels: str
    shares: dict[str, float]
    without: dict[str, int]
    normalization: str

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The same in words."""
        roles = ", ".join(f"{count} {role}" for role, count in self.roles.items())
        return [*self.contents(), f"roles with seed 0: {roles}", f"normalization: by {self.normalization}"]

    def contents(self) -> list[str]:
        """Images, labels and classes in words."""
        small, large = ("x".join(map(str, shape)) for shape in (self.smallest, self.largest))
        size = small if small == large else f"{small} to {large}"
        types = ", ".join(f"{count} of type {name}" for name, count in self.types.items())
        shares = ", ".join(f"{name} {100 * share:.1f} %" for name, share in self.shares.items())
        lacking = [f"{name} in {count}" for name, count in self.without.items() if count]
        channels = "1 channel" if self.channels == 1 else f"{self.channels} channels"
        return [
            f"{self.images} annotated {self.ndim}D images, {size} pixels, {channels}, {types}",
            f"labels: {self.labels}",
            f"classes: {shares}" + (f"; missing: {', '.join(lacking)} images" if lacking else ""),
        ]


def inspect(dataset: Dataset, on_image: Callable[[int, int], None] | None = None) -> Inspection:
    """Read every image and label of a dataset.

    Args:
        dataset: Annotated images.
        on_image: Called with images done and images in all.

    Returns:
        What they hold.

    Raises:
        DataError: Something would keep a network from being trained on them; the message names the file.
    """
    split = dataset.split()
    learned = set(split.train)
    counts = np.zeros((len(dataset.items), len(dataset.classes)), np.int64)
    shapes, types, statistics = [], Counter[str](), []
    for index, item in enumerate(dataset.items):
        image, labels = dataset.read(item)
        if item.name in learned:
            statistics.append(measure(image, str(item.image)))
        shapes.append(labels.shape)
        types[image.dtype.name] += 1
        counts[index] = np.bincount(labels[labels >= 0], minlength=len(dataset.classes))
        if on_image:
            on_image(index + 1, len(dataset.items))
    total = counts.sum(axis=0)
    return Inspection(
        images=len(dataset.items),
        parts=dict(Counter(str(item.part or "undivided") for item in dataset.items)),
        roles={"train": len(split.train), "validation and profile": len(split.validation), "test": len(split.test)},
        ndim=dataset.ndim,
        channels=dataset.channels,
        types=dict(types),
        smallest=tuple(np.min(shapes, axis=0).tolist()),
        largest=tuple(np.max(shapes, axis=0).tolist()),
        labels=f"{dataset.labelling.kind} ({_as_aside(dataset.labelling.reason)})",
        shares=dict(zip(dataset.classes, (total / max(1, total.sum())).tolist(), strict=True)),
        without=dict(zip(dataset.classes, (counts == 0).sum(axis=0).tolist(), strict=True)),
        normalization={"image": "each image", "dataset": "the training images together"}[choose(statistics).scheme],
    )


def _as_aside(sentence: str) -> str:
    """A sentence as it stands in brackets."""
    return sentence[:1].lower() + sentence[1:].rstrip(".")
