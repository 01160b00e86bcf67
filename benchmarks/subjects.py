"""Networks to time and mosaics of real images for them: trained once, put together once, kept in a folder.

Its imports are light: processes whose memory is measured read this module too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import cycle, product
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from unetscope.files import replacing
from unetscope.model.cost import count_cost
from unetscope.model.spec import UNetSpec

if TYPE_CHECKING:
    from unetscope.checkpoint import Checkpoint
    from unetscope.data.dataset import Dataset

CELL = {2: 512, 3: 64}  # pixels per axis that one image fills in a mosaic


@dataclass(frozen=True)
class Subject:
    """A network, the images that train it, and how large a mosaic of its test images is.

    Attributes:
        name: What tables and folders call it.
        title: What it is.
        data: Folder of the annotated images, in the folder of all sets.
        shape: ([z,] y, x) of the mosaic.
        window: Pixels per axis of a window of MONAI's.
        preset: Of the spec.
        changes: To the preset.
        recipe: Settings of a training that is short, but long enough for labels that mean something.
    """

    name: str
    title: str
    data: str
    shape: tuple[int, ...]
    window: int
    preset: str = "default"
    changes: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)

    def train(self, data: Path, work: Path) -> Checkpoint:
        """The trained network; the run in `work` is continued where it was stopped, and not repeated."""
        from dsb2018 import print_epoch
        from unetscope.training.loop import train
        from unetscope.training.recipe import Recipe

        dataset = self._open(data)
        given = {"image_channels": dataset.channels, "classes": len(dataset.classes), **self.changes}
        print(f"{self.name} ({self.title}): {self.run(work)}", flush=True)
        return train(
            dataset,
            self.run(work),
            UNetSpec.preset(self.preset, **given),
            Recipe(**self.recipe),
            resume="drifting",
            on_epoch=print_epoch,
        )

    def run(self, work: Path) -> Path:
        """Its run folder."""
        return work / self.name

    def mosaic(self, data: Path, work: Path, shape: tuple[int, ...], part: Literal["image", "truth"] = "image") -> Path:
        """The file of a mosaic of test images as bytes, or of their classes, (channels, [z,] y, x); made once.

        Args:
            data: Folder of all sets.
            work: Where the run is, and the mosaics are kept.
            shape: ([z,] y, x), pixels.
            part: Intensities, or class indices.
        """
        from unetscope.checkpoint import Checkpoint

        path = work / f"{self.name}-{'x'.join(map(str, shape))}-{part}.npy"
        if not path.exists():
            dataset, tests = self._open(data), Checkpoint.load(self.run(work)).split["test"]
            pairs = [dataset.read(dataset.item(name)) for name in tests]
            write_mosaic(path, shape, [as_bytes(a) if part == "image" else b[None].astype(np.uint8) for a, b in pairs])
        return path

    def scaled(self, side: int | None) -> tuple[int, ...]:
        """The mosaic's shape with another longest side."""
        return self.shape if side is None else tuple(n * side // max(self.shape) for n in self.shape)

    def _open(self, data: Path) -> Dataset:
        from unetscope.data.dataset import Dataset

        return Dataset.open(data / self.data)


NUCLEI = {"epochs": 4, "epoch_steps": 75, "batch": 8, "patch": 128}
SUBJECTS = {
    subject.name: subject
    for subject in (
        Subject(
            "wide", "32-64-128-256-512, padded, batch norm; nuclei", "dsb2018", (4096, 4096), 512,
            changes={"widths": (32, 64, 128, 256, 512)}, recipe=NUCLEI,
        ),
        Subject(
            "faithful", "the network of 2015, 64-1024, valid; electron micrographs", "isbi2012", (2048, 2048), 512,
            preset="ronneberger2015",
            recipe={"epochs": 3, "epoch_steps": 40, "batch": 2, "patch": 132, "learning_rate": 3e-4},
        ),
        Subject(
            "volume", "16-32-64 in 3D, padded, batch norm; hippocampus", "hippocampus", (128, 256, 256), 96,
            changes={"ndim": 3, "widths": (16, 32, 64)},
            recipe={"epochs": 4, "epoch_steps": 100, "batch": 4, "learning_rate": 3e-3, "flip": 0, "rotation": 15},
        ),
        Subject("default", "the default network, 16-32-64-64-64; nuclei", "dsb2018", (2048, 2048), 512, recipe=NUCLEI),
    )
}  # fmt: skip


def write_mosaic(path: Path, shape: tuple[int, ...], images: Iterable[np.ndarray]) -> None:
    """Fill a file with images side by side, each mirrored or cut to one cell, all of them as often as they fit in."""
    side = CELL[len(shape)]
    fitted = [fit(image, side) for image in images]
    cells = cycle(fitted)
    with replacing(path) as temporary:
        mosaic = np.lib.format.open_memmap(temporary, "w+", np.uint8, (len(fitted[0]), *shape))
        for corner in product(*(range(0, n, side) for n in shape)):
            place = (slice(None), *(slice(start, start + side) for start in corner))
            mosaic[place] = next(cells)[tuple(map(slice, mosaic[place].shape))]
        mosaic.flush()


def save_as_tif(image: Path) -> None:
    """A copy of an image beside it, not compressed, so that it can be mapped too."""
    import tifffile

    if not (copy := image.with_suffix(".tif")).exists():
        pixels = np.load(image, mmap_mode="r")
        with replacing(copy) as temporary:
            tifffile.imwrite(
                temporary, pixels, photometric="minisblack", metadata={"axes": {3: "CYX", 4: "CZYX"}[pixels.ndim]}
            )


def fit(image: np.ndarray, side: int) -> np.ndarray:
    """An image (channels, [z,] y, x), mirrored or cut to `side` pixels along each axis.

    Example:
        >>> fit(np.array([[[1, 2, 3], [4, 5, 6]]]), 2).tolist()
        [[[1, 2], [4, 5]]]
        >>> fit(np.array([[[1, 2], [3, 4]]]), 3).tolist()
        [[[1, 2, 2], [3, 4, 4], [3, 4, 4]]]
    """
    missing = [(0, max(0, side - n)) for n in image.shape[1:]]
    return np.pad(image, ((0, 0), *missing), mode="symmetric")[(slice(None), *(slice(side),) * (image.ndim - 1))]


def as_bytes(image: np.ndarray) -> np.ndarray:
    """An image as bytes: as it is if it is so stored, otherwise from its lowest to its highest intensity.

    Example:
        >>> as_bytes(np.array([[[0.5, 1.0, 1.5]]])).tolist()
        [[[0, 128, 255]]]
    """
    if image.dtype == np.uint8:
        return image
    low, high = float(image.min()), float(image.max())
    return np.rint((image - low) * (255 / max(high - low, 1e-12))).astype(np.uint8)


def useful_operations(spec: UNetSpec, shape: tuple[int, ...]) -> int:
    """Multiplications and additions on the image itself: as if the network were padded, and without any halo.

    Args:
        spec: The network.
        shape: ([z,] y, x), pixels, of any size.

    Example:
        >>> useful_operations(UNetSpec.by_level((8,), convolutions=1), (10, 10))
        17600
    """
    block = spec.total_stride
    cost = count_cost(replace(spec, padded=True, norm="none"), block)
    return 2 * cost.multiply_adds * prod(shape) // prod(block)
