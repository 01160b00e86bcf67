"""What a dataset holds, read completely before anything is trained on it; knows datasets, prints nothing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from unetscope.data.blocks import are_few
from unetscope.data.dataset import Dataset, Item
from unetscope.data.declaration import FILE_NAME
from unetscope.data.findings import find_errors, find_warnings
from unetscope.data.findings.copies import NearDuplicate, find_near_duplicates
from unetscope.data.findings.evidence import Evidence
from unetscope.data.glance import Glance, take_glance
from unetscope.data.item import PARTS, Part
from unetscope.data.normalization import choose
from unetscope.data.pairing import Problem
from unetscope.errors import DataError

_MOST_READERS = 4
_MOST_SIGNATURES = 32  # of images whose labels do not fit; each is tried with the labels of the others
_SCHEMES = {"image": "each image", "dataset": "the training images together"}


@dataclass(frozen=True)
class Inspection:
    """What training would see, and what is wrong with it.

    Attributes:
        images: Annotated images that can be read.
        parts: Images by the part that the folder gives them.
        roles: Images by role with seed 0; empty where training cuts the images into blocks.
        ndim: Spatial axes.
        channels: Channels of every image.
        modality: How they were taken, such as "CT", or nothing.
        types: Images by stored type.
        smallest: Smallest shape per axis, pixels.
        largest: Largest shape per axis, pixels.
        spacing: Smallest and largest size of a pixel along each axis, by unit.
        unspaced: Images that do not say the size of their pixels.
        labels: What the labels were taken for, and why.
        shares: Share of every class among all labelled pixels.
        without: Images that lack each class.
        empty: Names of the images without any foreground.
        objects: Smallest and largest number of objects of an image, and all together, where labels number them.
        shared: Median of what an image and its labels share, bits per pixel above chance.
        near_duplicates: Images in different roles that are nearly the same.
        normalization: What intensities would be normalized by.
        errors: What would train a network that is wrong, or none at all.
        warnings: What is worth a look.
    """

    images: int
    parts: dict[str, int]
    roles: dict[str, int]
    ndim: int
    channels: int
    modality: str
    types: dict[str, int]
    smallest: tuple[int, ...]
    largest: tuple[int, ...]
    spacing: dict[str, tuple[tuple[float, float], ...]]
    unspaced: int
    labels: str
    shares: dict[str, float]
    without: dict[str, int]
    empty: tuple[str, ...]
    objects: tuple[int, int, int] | None
    shared: float
    near_duplicates: tuple[NearDuplicate, ...]
    normalization: str
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]

    def check_trainable(self) -> None:
        """Refuse what would train a network that is wrong.

        Raises:
            DataError: There are errors; the first and the number of the others.
        """
        if self.errors:
            more = len(self.errors) - 1
            others = f" ({more} more {'error' if more == 1 else 'errors'}: see `unetscope check`)" if more else ""
            raise DataError(self.errors[0].sentence + others)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        told = {
            kind: [{"file": str(problem.file), "sentence": problem.sentence} for problem in problems]
            for kind, problems in (("errors", self.errors), ("warnings", self.warnings))
        }
        return asdict(self) | told

    def lines(self) -> list[str]:
        """What training would see, in words; errors and warnings are sentences already."""
        roles = ", ".join(f"{count} {role}" for role, count in self.roles.items())
        divided = (
            f"roles with seed 0: {roles}"
            if roles
            else "roles: training cuts these few images into blocks, if they are large enough"
        )
        return [*self.contents(), divided, f"normalization: by {self.normalization}"]

    def contents(self) -> list[str]:
        """Images, labels and classes in words."""
        shares = ", ".join(f"{name} {100 * share:.1f} %" for name, share in self.shares.items())
        lacking = [f"{name} in {count}" for name, count in self.without.items() if count]
        return [
            self._describe_images(),
            *self._describe_spacing(),
            f"labels: {self.labels}; {self.shared:.2g} bits per pixel in common with the images",
            f"classes: {shares}" + (f"; missing: {', '.join(lacking)} images" if lacking else ""),
            *self._describe_objects(),
        ]

    def _describe_images(self) -> str:
        """Number, size and type."""
        small, large = ("x".join(map(str, shape)) for shape in (self.smallest, self.largest))
        size = small if small == large else f"{small} to {large}"
        types = ", ".join(f"{count} of type {name}" for name, count in self.types.items())
        channels = "1 channel" if self.channels == 1 else f"{self.channels} channels"
        kind = f"{self.ndim}D {self.modality}".rstrip()
        return f"{self.images} annotated {kind} images, {size} pixels, {channels}, {types}"

    def _describe_spacing(self) -> Iterator[str]:
        """The sizes of pixels, if any is known."""
        for unit, ranges in self.spacing.items():
            steps = " x ".join(f"{low:g}" if low == high else f"{low:g}-{high:g}" for low, high in ranges)
            unsaid = f"; {self.unspaced} images do not say it" if self.unspaced else ""
            yield f"pixel size: {steps} {unit}{unsaid}"

    def _describe_objects(self) -> Iterator[str]:
        """How many there are, if labels number them."""
        if self.objects:
            least, most, total = self.objects
            yield f"objects: {least} to {most} an image, {total} in all"


def inspect(dataset: Dataset, on_image: Callable[[int, int], None] | None = None) -> Inspection:
    """Read every image and label of a dataset, and find everything that is wrong with them.

    Args:
        dataset: Annotated images.
        on_image: Called with images done and images in all.

    Returns:
        What they hold. Of each image little is kept in memory.
    """
    glances, unreadable = _read_all(dataset, on_image)
    roles, undivided = _divide(dataset)
    evidence = Evidence(dataset.root, dataset.root / FILE_NAME, dataset.classes, glances, roles)
    errors = (*unreadable, *undivided, *(find_errors(evidence) if glances else ()))
    return _summarize(dataset, evidence, errors)


def _read_all(
    dataset: Dataset, on_image: Callable[[int, int], None] | None
) -> tuple[tuple[Glance, ...], tuple[Problem, ...]]:
    """What is remembered of the images that can be read, and why the others cannot."""
    found: list[Glance | Problem] = []
    signatures = 0
    with ThreadPoolExecutor(min(_MOST_READERS, os.cpu_count() or 1)) as pool:
        for result in pool.map(partial(_read, dataset), dataset.items):
            if isinstance(result, Glance) and result.signature is not None:
                signatures += 1
                result = result if signatures <= _MOST_SIGNATURES else replace(result, signature=None)
            found.append(result)
            if on_image:
                on_image(len(found), len(dataset.items))
    glances = tuple(each for each in found if isinstance(each, Glance))
    return glances, tuple(each for each in found if isinstance(each, Problem))


def _read(dataset: Dataset, item: Item) -> Glance | Problem:
    """An image, or what is wrong with its files."""
    try:
        return take_glance(dataset, item)
    except DataError as error:
        sentence = str(error)
        is_label = item.labels is not None and sentence.startswith(str(item.labels))
        return Problem(item.labels if is_label and item.labels else item.image, sentence)


def _divide(dataset: Dataset) -> tuple[dict[str, Part], tuple[Problem, ...]]:
    """The role of every image, and why there is none."""
    if dataset.roles is None and are_few(dataset.items):
        return {}, ()
    try:
        split = dataset.split()
    except DataError as error:
        return {}, (Problem(dataset.root, str(error)),)
    return {name: part for part in PARTS for name in getattr(split, part)}, ()


def _summarize(dataset: Dataset, evidence: Evidence, errors: tuple[Problem, ...]) -> Inspection:
    """Everything in numbers."""
    glances, roles, counts = evidence.glances, Counter(evidence.roles.values()), evidence.counts
    shapes = np.array([glance.shape for glance in glances], int).reshape(-1, dataset.ndim)
    total = counts.sum(axis=0)
    names = {"train": roles["train"], "validation and profile": roles["validation"], "test": roles["test"]}
    objects = [glance.objects for glance in glances if glance.objects is not None]
    return Inspection(
        images=len(glances),
        parts=dict(Counter(str(item.part or "undivided") for item in dataset.items)),
        roles=names if roles else {},
        ndim=dataset.ndim,
        channels=dataset.channels,
        modality=dataset.modality,
        types=dict(Counter(glance.statistics.dtype for glance in glances)),
        smallest=tuple(shapes.min(axis=0).tolist()) if glances else (),
        largest=tuple(shapes.max(axis=0).tolist()) if glances else (),
        spacing=_range_spacing(glances),
        unspaced=sum(glance.spacing is None for glance in glances),
        labels=f"{dataset.labelling.kind} ({_as_aside(dataset.labelling.reason)})",
        shares=dict(zip(dataset.classes, (total / max(1, total.sum())).tolist(), strict=True)),
        without=dict(zip(dataset.classes, (counts == 0).sum(axis=0).tolist(), strict=True)),
        empty=tuple(glance.name for glance in glances if not glance.counts[1:].any()),
        objects=(min(objects), max(objects), sum(objects)) if objects else None,
        shared=float(np.median([glance.alignment.bits for glance in glances])) if glances else 0.0,
        near_duplicates=find_near_duplicates(evidence),
        normalization=_describe_normalization(dataset, evidence),
        errors=errors,
        warnings=find_warnings(evidence) if glances else (),
    )


def _range_spacing(glances: Sequence[Glance]) -> dict[str, tuple[tuple[float, float], ...]]:
    """Smallest and largest step along each axis, by unit."""
    units: dict[str, list[tuple[float, ...]]] = {}
    for glance in glances:
        if glance.spacing:
            units.setdefault(glance.spacing.unit, []).append(glance.spacing.steps)
    return {unit: tuple((min(axis), max(axis)) for axis in zip(*steps, strict=True)) for unit, steps in units.items()}


def _describe_normalization(dataset: Dataset, evidence: Evidence) -> str:
    """What training would normalize by."""
    learned = evidence.in_role("train") or list(evidence.glances)
    if dataset.modality == "CT":
        return "the foreground of the training images"
    return _SCHEMES[choose([glance.statistics for glance in learned]).scheme] if learned else "nothing"


def _as_aside(sentence: str) -> str:
    """A sentence as it stands in brackets."""
    return sentence[:1].lower() + sentence[1:].rstrip(".")
