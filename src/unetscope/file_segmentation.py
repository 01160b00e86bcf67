"""Segmentation from image files to label files; knows files and segmenters, not how either works."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from unetscope.data.images import SUFFIXES, read_image, saved_suffix, write_image, write_labels
from unetscope.errors import DataError, OutputError
from unetscope.segmentation import Plan, Segmenter, check_image

LABELS = "labels"  # where datasets keep what people annotated
PROBABILITIES = "-probabilities"
PROBABILITY_BYTES = 4  # each, in float32

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Job:
    """One image file, opened and planned.

    Attributes:
        source: The file.
        image: (channels, [z,] y, x) as the network reads it; memory-mapped where the file holds plain numbers.
        plan: The tiles.
        probabilities: Whether the class probabilities are wanted too.
        peak_bytes: Estimated memory at the most: the tiles, the labels, and the image and the probabilities where they
            are held as a whole.
    """

    source: Path
    image: Array
    plan: Plan
    probabilities: bool
    peak_bytes: int


@dataclass(frozen=True)
class Segmented:
    """What became of one image file.

    Attributes:
        image: The file.
        labels: Its label image: class indices in the smallest unsigned type.
        probabilities: (classes, [z,] y, x), float32, where they were wanted.
        shares: Share of every class.
        tiles: Tiles that it took.
        seconds: Time that it took.
    """

    image: Path
    labels: Path
    probabilities: Path | None
    shares: dict[str, float]
    tiles: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {key: str(value) if isinstance(value, Path) else value for key, value in asdict(self).items()}


def find_images(paths: Iterable[Path], out: Path, probabilities: bool = False) -> list[Path]:
    """The image files among files and folders.

    Args:
        paths: Files, or folders whose image files are taken; a file that is named twice is taken once.
        out: Where the results will go.
        probabilities: Whether probabilities will be among them.

    Returns:
        The files, in order.

    Raises:
        DataError: A path does not exist, nothing was given, or results of two images would have one name.
        OutputError: The results would lie among the images, or among their label images.
    """
    found = list({file.resolve(): file for path in paths for file in _files_in(path)}.values())
    taken: dict[str, Path] = {}
    for file in found:
        if out.resolve() in (file.parent.resolve(), file.resolve().parent):
            raise OutputError(f"{out} holds the image {file.name}, which is never overwritten; choose another --out")
        if out.resolve() == file.resolve().parent.with_name(LABELS):
            raise OutputError(f"{out} holds the label images of {file.parent}; choose another --out to keep them")
        for stem in (file.stem, f"{file.stem}{PROBABILITIES}")[: 1 + probabilities]:
            if stem in taken:
                raise DataError(
                    f"{taken[stem]} and {file} would have results of one name; segment them into two folders"
                )
            taken[stem] = file
    return found


def _files_in(path: Path) -> list[Path]:
    """The file itself, or the images in a folder."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"{path} does not exist; give image files or folders of them")
    inside = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.name[0] != ".")
    if not inside:
        raise DataError(f"{path} holds no images; files ending in {', '.join(SUFFIXES)} are read")
    return inside


def open_job(segmenter: Segmenter, source: Path, probabilities: bool = False) -> Job:
    """Open one image file and plan its segmentation.

    Args:
        segmenter: The network.
        source: Image file; a gray one is repeated for a network that reads colors.
        probabilities: Whether the class probabilities are wanted too.

    Returns:
        The job; its memory is an estimate.

    Raises:
        DataError: The image cannot be read or is not for this network.
    """
    image = read_image(source, segmenter.spec.ndim)
    held = 0 if isinstance(image, np.memmap) else image.nbytes
    if len(image) == 1 < segmenter.spec.image_channels:
        image = np.broadcast_to(image, (segmenter.spec.image_channels, *image.shape[1:]))
    check_image(segmenter.spec, image, str(source))
    plan = segmenter.plan(image.shape[1:])
    if probabilities:
        held += prod(image.shape[1:]) * len(segmenter.classes) * PROBABILITY_BYTES
    return Job(source, image, plan, probabilities, plan.peak_bytes + held)


def run_job(segmenter: Segmenter, job: Job, out: Path, on_tile: Callable[[int, int], None] | None = None) -> Segmented:
    """Segment one image file.

    Args:
        segmenter: The network.
        job: The opened file.
        out: Folder for `<stem>.<ending of the image>` and `<stem>-probabilities.tif`.
        on_tile: Called with tiles done and tiles in all.

    Returns:
        What was written where.

    Raises:
        DataError: The image holds a value that is not finite.
        OutputError: The result cannot be written.
    """
    started, done = time.perf_counter(), itertools.count(1)
    tiles = len(job.plan.tiles)
    shape = (len(segmenter.classes), *job.image.shape[1:])
    filled = np.empty(shape, np.float32) if job.probabilities else None
    report = (lambda: on_tile(next(done), tiles)) if on_tile else None
    labels = segmenter.labels_and_probabilities(job.image, str(job.source), filled, report)
    target = out / f"{job.source.stem}{saved_suffix(job.source)}"
    write_labels(target, labels)
    beside = out / f"{job.source.stem}{PROBABILITIES}.tif"
    if filled is not None:
        write_image(beside, filled)
    return Segmented(
        image=job.source,
        labels=target,
        probabilities=None if filled is None else beside,
        shares=_shares(labels, segmenter.classes),
        tiles=tiles,
        seconds=round(time.perf_counter() - started, 3),
    )


def _shares(labels: Array, classes: tuple[str, ...]) -> dict[str, float]:
    """The share of every class, in less memory than `bincount` takes."""
    return {name: np.count_nonzero(labels == index) / labels.size for index, name in enumerate(classes)}
