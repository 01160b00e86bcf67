"""Segmentation from image files to label files; knows files and segmenters, not how either works."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from unetscope.ahead import work_ahead
from unetscope.data.formats.registry import is_series, stem_of, suffix_of
from unetscope.data.images import (
    SUFFIXES,
    open_stack,
    read_image,
    read_spacing,
    saved_suffix,
    write_image,
    write_labels,
)
from unetscope.data.spacing import Spacing
from unetscope.errors import DataError, OutputError
from unetscope.measurement import join_tables, measure_objects, write_table
from unetscope.segmentation import Plan, Segmenter, check_image

LABELS = "labels"  # where datasets keep what people annotated
PROBABILITIES = "-probabilities"
PROBABILITY_BYTES = 4  # each, in float32
FIRST_CHANNEL = "_0000"  # how nnU-Net ends the name of a file that holds the first channel alone

Array = np.ndarray[Any, np.dtype[Any]]
OnTile = Callable[[int, int], None]


@dataclass(frozen=True)
class Wanted:
    """How image files are read and what is written besides label images.

    Attributes:
        axes: What the axes of the files mean, such as "TYX", where they do not say it themselves.
        probabilities: The class probabilities.
        table: A table of objects; a network that tells objects apart writes it in any case.
    """

    axes: str | None = None
    probabilities: bool = False
    table: bool = False


@dataclass(frozen=True)
class Job:
    """One image file, opened and planned.

    Attributes:
        source: The file.
        pages: (pages, channels, [z,] y, x) as the network reads it: several pages where a 2D network meets a stack;
            memory-mapped where the file holds plain numbers.
        spacing: Distance between pixels, where it is known.
        plan: The tiles of a page.
        wanted: What is written.
        peak_bytes: Estimated memory at the most: the tiles, the labels, and the image and the probabilities where they
            are held as a whole.
    """

    source: Path
    pages: Array
    spacing: Spacing | None
    plan: Plan
    wanted: Wanted
    peak_bytes: int

    @property
    def tiles(self) -> int:
        """Tiles of all pages."""
        return len(self.plan.tiles) * len(self.pages)


@dataclass(frozen=True)
class Segmented:
    """What became of one image file.

    Attributes:
        image: The file.
        labels: Its label image: class indices, or numbers of objects, in the smallest unsigned type.
        probabilities: (classes, [z,] y, x), float32, where they were wanted.
        table: Its objects, where they were wanted.
        shares: Share of every class.
        objects: How many there are, where they were looked for.
        tiles: Tiles that it took.
        seconds: Time that it took, reading not counted.
        made_by: Software, engine, precision and network, as the label image says too.
    """

    image: Path
    labels: Path
    probabilities: Path | None
    table: Path | None
    shares: dict[str, float]
    objects: int | None
    tiles: int
    seconds: float
    made_by: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {key: str(value) if isinstance(value, Path) else value for key, value in asdict(self).items()}


def find_images(paths: Iterable[Path], out: Path, probabilities: bool = False, channels: int = 1) -> list[Path]:
    """The image files among files and folders.

    Args:
        paths: Files, folders whose image files are taken, or DICOM series; one that is named twice is taken once.
        out: Where the results will go.
        probabilities: Whether probabilities will be among them.
        channels: What the network reads: where each is a file of its own (CASE_0000, CASE_0001, ...), the first stands
            for all.

    Returns:
        The files, in order.

    Raises:
        DataError: A path does not exist, nothing was given, or results of two images would have one name.
        OutputError: The results would lie among the images, or among their label images.
    """
    found = list({file.resolve(): file for path in paths for file in _files_in(path)}.values())
    further = {file.resolve() for first in found for file in _channel_files(first, channels)[1:]}
    found = [file for file in found if file.resolve() not in further]
    taken: dict[str, Path] = {}
    for file in found:
        if out.resolve() in (file.parent.resolve(), file.resolve().parent):
            raise OutputError(f"{out} holds the image {file.name}, which is never overwritten; choose another --out")
        if out.resolve() == file.resolve().parent.with_name(LABELS):
            raise OutputError(f"{out} holds the label images of {file.parent}; choose another --out to keep them")
        for stem in (stem_of(file), f"{stem_of(file)}{PROBABILITIES}")[: 1 + probabilities]:
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
    if is_series(path):
        return [path]
    visible = sorted(file for file in path.iterdir() if file.name[0] != ".")
    inside = [file for file in visible if suffix_of(file) in SUFFIXES or is_series(file)]
    if not inside:
        raise DataError(f"{path} holds no images; files ending in {', '.join(SUFFIXES)} are read")
    return inside


def open_job(segmenter: Segmenter, source: Path, wanted: Wanted = Wanted()) -> Job:
    """Open one image file and plan its segmentation.

    Args:
        segmenter: The network.
        source: Image file or DICOM series; a gray one is repeated for a network that reads colors, and a network of 2D
            images takes a stack page by page.
        wanted: How it is read and what is written.

    Returns:
        The job; its memory is an estimate.

    Raises:
        DataError: The image cannot be read or is not for this network.
    """
    spec = segmenter.spec
    pages = _read_pages(segmenter, source, wanted.axes)
    held = 0 if isinstance(pages, np.memmap) else pages.nbytes
    if pages.shape[1] == 1 < spec.image_channels:
        pages = np.broadcast_to(pages, (len(pages), spec.image_channels, *pages.shape[2:]))
    check_image(spec, pages[0], str(source))
    spacing = read_spacing(source, spec.ndim)
    shape = pages.shape[2:]
    plan = segmenter.plan(segmenter.grid(shape, spacing))
    pixels = len(pages) * prod(shape)
    if wanted.probabilities:
        held += pixels * len(segmenter.classes) * PROBABILITY_BYTES
    return Job(source, pages, spacing, plan, wanted, plan.peak_bytes + held)


def _read_pages(segmenter: Segmenter, source: Path, axes: str | None) -> Array:
    """(pages, channels, [z,] y, x) of a file, or of the files that hold one channel each."""
    files = _channel_files(source, segmenter.spec.image_channels)
    read = [open_stack(file, axes) if segmenter.spec.ndim == 2 else read_image(file, 3, axes)[None] for file in files]
    if len({each.shape for each in read}) > 1:
        sizes = ", ".join(f"{file.name} {each.shape}" for file, each in zip(files, read, strict=True))
        raise DataError(f"the channels of {source} differ in size ({sizes}); export them again")
    return read[0] if len(read) == 1 else np.concatenate(read, axis=1)


def _channel_files(source: Path, channels: int) -> list[Path]:
    """The files of one image whose channels are files CASE_0000, CASE_0001, ...; the source itself otherwise."""
    ending = f"{FIRST_CHANNEL}{suffix_of(source)}"
    if channels == 1 or not source.name.endswith(ending):
        return [source]
    case = source.name.removesuffix(ending)
    files = [source.with_name(f"{case}_{channel:04d}{suffix_of(source)}") for channel in range(channels)]
    return files if all(file.exists() for file in files) else [source]


@dataclass(frozen=True)
class Filled:
    """A segmented image before it is written.

    Attributes:
        job: The opened file.
        labels: (pages, [z,] y, x) class indices.
        probabilities: (classes, pages, [z,] y, x), where they were wanted.
        seconds: Time that computing took.
    """

    job: Job
    labels: Array
    probabilities: Array | None
    seconds: float


def run_jobs(
    segmenter: Segmenter,
    sources: Iterable[Path],
    out: Path,
    wanted: Wanted = Wanted(),
    on_job: Callable[[Job], OnTile] | None = None,
) -> Iterator[Segmented]:
    """Segment image files one by one; the next is read and the last one written while one is computed.

    Args:
        segmenter: The network.
        sources: Image files or DICOM series.
        out: Folder for the results, see `run_job`.
        wanted: How they are read and what is written.
        on_job: Called with every opened file before it is computed; what it returns is called with tiles done and
            tiles in all.

    Yields:
        What was written where, for one file after the other.

    Raises:
        DataError: An image cannot be read or is not for this network; earlier ones are written.
        OutputError: A result cannot be written.
    """
    opened = work_ahead(partial(open_job, segmenter, source, wanted) for source in sources)

    def fill() -> Iterator[Callable[[], Segmented]]:
        for job in opened:
            on_tile = on_job(job) if on_job else None
            yield partial(_write, segmenter, _fill(segmenter, job, on_tile), out)

    yield from work_ahead(fill())


def run_job(segmenter: Segmenter, job: Job, out: Path, on_tile: OnTile | None = None) -> Segmented:
    """Segment one image file.

    Args:
        segmenter: The network.
        job: The opened file.
        out: Folder for `<stem>.<ending of the image>`, `<stem>-probabilities.tif` and `<stem>.csv`.
        on_tile: Called with tiles done and tiles in all.

    Returns:
        What was written where.

    Raises:
        DataError: The image holds a value that is not finite.
        OutputError: The result cannot be written.
    """
    return _write(segmenter, _fill(segmenter, job, on_tile), out)


def _fill(segmenter: Segmenter, job: Job, on_tile: OnTile | None) -> Filled:
    """Compute the labels of all pages."""
    started, done = time.perf_counter(), itertools.count(1)
    report = (lambda: on_tile(next(done), job.tiles)) if on_tile else None
    filled = None
    if job.wanted.probabilities:
        filled = np.empty((len(segmenter.classes), len(job.pages), *job.pages.shape[2:]), np.float32)
    labels = np.stack(
        [
            segmenter.fill(page, str(job.source), job.spacing, None if filled is None else filled[:, index], report)
            for index, page in enumerate(job.pages)
        ]
    )
    return Filled(job, labels, filled, time.perf_counter() - started)


def _write(segmenter: Segmenter, filled: Filled, out: Path) -> Segmented:
    """Write what was computed, and what follows from it."""
    started, job, labels, classes = time.perf_counter(), filled.job, filled.labels, segmenter.classes
    numbers = _number_objects(segmenter, labels) if segmenter.finds_objects or job.wanted.table else None
    stem, made_by = stem_of(job.source), segmenter.made_by
    target, beside, table = out / f"{stem}{saved_suffix(job.source)}", out / f"{stem}{PROBABILITIES}.tif", None
    if segmenter.finds_objects and numbers is not None:
        write_labels(target, _as_read(numbers), job.source, _name_objects(numbers), made_by)
    else:
        write_labels(target, _as_read(labels), job.source, classes, made_by)
    if filled.probabilities is not None:
        chances = filled.probabilities
        write_image(beside, chances[:, 0] if len(job.pages) == 1 else chances, made_by)
    if numbers is not None:
        table = out / f"{stem}.csv"
        _write_table(table, segmenter, job, labels, numbers)
    return Segmented(
        image=job.source,
        labels=target,
        probabilities=None if filled.probabilities is None else beside,
        table=table,
        shares=_shares(labels, segmenter.classes),
        objects=None if numbers is None else int(numbers.max(initial=0)),
        tiles=job.tiles,
        seconds=round(filled.seconds + time.perf_counter() - started, 3),
        made_by=made_by,
    )


def _as_read(pages: Array) -> Array:
    """A label image of as many axes as the file: a single page is none."""
    return pages[0] if len(pages) == 1 else pages


def _number_objects(segmenter: Segmenter, pages: Array) -> Array:
    """Objects of every page, numbered through all of them."""
    numbered, last = [], 0
    for labels in pages:
        numbers = segmenter.objects(labels)
        numbered.append(np.where(numbers > 0, numbers + np.uint32(last), np.uint32(0)))
        last = max(last, int(numbered[-1].max(initial=0)))
    return np.stack(numbered)


def _name_objects(numbers: Array) -> tuple[str, ...]:
    """Names for formats that keep one a label."""
    return ("background", *(f"object {index}" for index in range(1, int(numbers.max(initial=0)) + 1)))


def _write_table(path: Path, segmenter: Segmenter, job: Job, labels: Array, numbers: Array) -> None:
    """Write the objects of all pages."""
    classes = np.sign(numbers).astype(np.uint8) if segmenter.finds_objects else labels
    names = ("background", "object") if segmenter.finds_objects else segmenter.classes
    tables = [
        measure_objects(objects, page, job.spacing, kinds, names)
        for objects, page, kinds in zip(numbers, job.pages, classes, strict=True)
    ]
    write_table(path, join_tables(tables))


def _shares(labels: Array, classes: tuple[str, ...]) -> dict[str, float]:
    """The share of every class, in less memory than `bincount` takes."""
    return {name: np.count_nonzero(labels == index) / labels.size for index, name in enumerate(classes)}
