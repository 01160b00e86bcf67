"""The images of a profile, brought to one shape that the network accepts; knows datasets and specs, not estimates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset, Item
from unetscope.data.spacing import resample_image, resample_labels
from unetscope.errors import DataError
from unetscope.model.geometry import fitting_shape, margin
from unetscope.segmentation import check_image
from unetscope.tiles import Box, read_mirrored

Role = Literal["profile", "train", "all"]

FEWEST_IMAGES = 8


@dataclass(frozen=True)
class Samples:
    """Images of one shape, read when they are needed.

    Attributes:
        checkpoint: The network they are for.
        dataset: Where they come from.
        items: Which they are.
        shape: Common shape, the median of theirs, ([z,] y, x).
        resampled: Whether some had another shape.
        foreground: (N, [z,] y, x), true where the label is a foreground class.
    """

    checkpoint: Checkpoint
    dataset: Dataset
    items: tuple[Item, ...]
    shape: tuple[int, ...]
    resampled: bool
    foreground: NDArray[np.bool_]

    @property
    def box(self) -> Box:
        """What the network is fed, in image coordinates: the image, its margin, and what completes an accepted size."""
        lost = margin(self.checkpoint.spec)
        needed = tuple(size + 2 * side for size, side in zip(self.shape, lost, strict=True))
        fed = fitting_shape(self.checkpoint.spec, needed)
        return tuple(slice(-side, size - side) for size, side in zip(fed, lost, strict=True))

    @property
    def fed_shape(self) -> tuple[int, ...]:
        """Shape of what the network is fed."""
        return tuple(part.stop - part.start for part in self.box)

    def batch(self, start: int, stop: int) -> Tensor:
        """Images as the network is fed them.

        Args:
            start: First image.
            stop: One past the last.

        Returns:
            (stop - start, channels, [z,] y, x), normalized, float32.

        Raises:
            DataError: An image has other channels or axes than the network reads.
        """
        return torch.from_numpy(np.stack([self._read(item) for item in self.items[start:stop]]))

    def _read(self, item: Item) -> NDArray[np.float32]:
        image = self.dataset.read_image(item)
        check_image(self.checkpoint.spec, image, item.name)
        normalized = self.checkpoint.normalization.affine(image, item.name).apply(image)
        return read_mirrored(resample_image(normalized, self.shape), self.box).astype(np.float32)


def choose_samples(checkpoint: Checkpoint, dataset: Dataset, role: Role) -> Samples:
    """The images of a role, at their median shape.

    Args:
        checkpoint: The network; its split says which images have the role.
        dataset: Images with labels.
        role: "profile" for the validation images, "train", or "all" of the dataset.

    Returns:
        At least 8 images.

    Raises:
        DataError: Too few images, or images of the split that the dataset does not hold.
    """
    items = _choose_items(checkpoint, dataset, role)
    labels = [dataset.read(item)[1] for item in items]
    shapes = [image.shape for image in labels]
    shape = tuple(round(size) for size in np.median(shapes, axis=0).tolist())
    foreground = np.stack([resample_labels(image > 0, shape) for image in labels])
    return Samples(checkpoint, dataset, items, shape, len(set(shapes)) > 1, foreground)


def _choose_items(checkpoint: Checkpoint, dataset: Dataset, role: Role) -> tuple[Item, ...]:
    names = dataset.names if role == "all" else checkpoint.split.get(role, ())
    if missing := [name for name in names if name not in set(dataset.names)]:
        raise DataError(
            f"the dataset lacks {len(missing)} of the {len(names)} {role} images of this run, "
            f"{missing[0]} for one; give the dataset that it was trained on, or profile all images (--role all)"
        )
    if len(names) < FEWEST_IMAGES:
        raise DataError(
            f"a profile needs at least {FEWEST_IMAGES} images and {len(names)} came with the role {role!r}; annotate "
            "more, or choose another role (train, or all)"
        )
    return dataset.subset(names).items
