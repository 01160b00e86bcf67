"""What a broken dataset is, and the good one that is broken; knows files, not the program that reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

Array = np.ndarray[Any, np.dtype[Any]]
Pairs = Mapping[str, tuple[Array, Array]]
"""Images and class indices by name."""

Build = Callable[[Path], Pairs | None]

SIDE = 56
NAMES = ("a", "b", "c", "d", "e", "f")
GRAYS = (50, 130, 210)  # of background and classes


class NotHereError(Exception):
    """A dataset that cannot be built on this machine, and why."""


@dataclass(frozen=True)
class Case:
    """A dataset as users have it, and what must become of it.

    Attributes:
        title: What is broken.
        build: Writes it into an empty folder; returns what training must see if it is repaired.
        is_refused: Whether training must refuse it.
        file: The file that the message names, in the folder; none if there is no file to mend.
        said: What else the error holds, or the warning if there must be one.
        options: Further words on the command line, by the names that `Dataset.open` has for them.
    """

    title: str
    build: Build
    is_refused: bool
    file: str | None = None
    said: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


CASES: dict[str, Case] = {}
"""All of them, by the name of the function that builds them."""


def refused(file: str | None, *said: str, **options: str) -> Callable[[Build], Build]:
    """Keep a dataset that must be refused with a sentence that names this file and holds these words."""
    return lambda build: _keep(build, Case(_title(build), build, True, file, said, options))


def repaired(file: str | None = None, *said: str, **options: str) -> Callable[[Build], Build]:
    """Keep a dataset that must be read as it was meant, with a warning of these words if there are any."""
    return lambda build: _keep(build, Case(_title(build), build, False, file, said, options))


def _title(build: Build) -> str:
    """The sentence of a function's documentation."""
    return (build.__doc__ or "").strip().rstrip(".")


def _keep(build: Build, case: Case) -> Build:
    """Keep a case under the name of its function."""
    CASES[build.__name__] = case
    return build


# -------------------------------------------------------------------------------------------------- the good dataset


@cache
def _paint(classes: int, shape: tuple[int, ...]) -> Pairs:
    """Bright balls on a dark, noisy ground, for each name another image; a class has its own gray."""
    pairs = {}
    grid = np.indices(shape)
    for seed, name in enumerate(NAMES):
        rng = np.random.default_rng(seed)
        labels = np.zeros(shape, np.uint8)
        for index in range(4 * (classes - 1)):
            center = rng.uniform(0, shape).reshape(-1, *(1 for _ in shape))
            radius = rng.uniform(0.09, 0.14) * shape[-1]
            labels[((grid - center) ** 2).sum(axis=0) < radius**2] = 1 + index % (classes - 1)
        image = np.array(GRAYS)[labels] + rng.normal(0, 6, shape)
        pairs[name] = image.astype(np.uint8), labels
    return pairs


def paint(classes: int = 2, shape: tuple[int, ...] = (SIDE, SIDE)) -> Pairs:
    """Six good images ([z,] y, x) of 8 bits with their class indices."""
    return {name: (image.copy(), labels.copy()) for name, (image, labels) in _paint(classes, shape).items()}


def truth(pairs: Pairs) -> Pairs:
    """What training must see of gray images: with an axis of channels."""
    return {name: (image[None], labels) for name, (image, labels) in pairs.items()}


def as_mask(labels: Array) -> Array:
    """Class indices as a mask of 0 and 255."""
    return labels * np.uint8(255)


def write(folder: Path, pairs: Pairs, suffix: str = ".png", label_suffix: str = ".png") -> None:
    """Write images and label files into `images` and `labels`."""
    for name, (image, labels) in pairs.items():
        save(folder / "images" / f"{name}{suffix}", image)
        save(folder / "labels" / f"{name}{label_suffix}", labels)


def write_masks(folder: Path, change: Callable[[Array], Array] = lambda mask: mask, suffix: str = ".png") -> Pairs:
    """Write the good dataset with all its masks (0 and 255) changed; returns what is true of it."""
    pairs = paint()
    write(
        folder, {name: (image, change(as_mask(labels))) for name, (image, labels) in pairs.items()}, label_suffix=suffix
    )
    return truth(pairs)


def save(path: Path, array: Array, **options: Any) -> Path:
    """Write an array as it is, by the libraries that users have."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() in (".tif", ".tiff"):
        tifffile.imwrite(path, array, **options)
    elif path.suffix == ".npy":
        np.save(path, array)
    else:
        Image.fromarray(array).save(path, **options)
    return path


def declare(folder: Path, text: str) -> None:
    """Write `dataset.toml`."""
    (folder / "dataset.toml").write_text(text, encoding="utf-8")


def divided(files: Mapping[str, int], shape: Sequence[int]) -> str:
    """OME's notes of a stack of bytes whose slices lie in several files, for the description of each of them.

    Args:
        files: How many slices each file holds, by its name.
        shape: (z, y, x).
    """
    blocks, first = "", 0
    for index, (file, count) in enumerate(files.items()):
        name = f'<UUID FileName="{file}">urn:uuid:{index}</UUID>'
        blocks += f'<TiffData FirstZ="{first}" IFD="0" PlaneCount="{count}">{name}</TiffData>'
        first += count
    sizes = " ".join(f'Size{axis}="{size}"' for axis, size in zip("ZYX", shape, strict=True))
    return (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" {sizes} SizeC="1" SizeT="1">'
        f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{blocks}</Pixels></Image></OME>'
    )


def cut(path: Path) -> None:
    """Cut off the second half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
