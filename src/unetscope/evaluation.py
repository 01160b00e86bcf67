"""Scores of a trained network on annotated images; knows checkpoints and datasets, not how to train."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from unetscope.checkpoint import Checkpoint, record_versions
from unetscope.data.blocks import share_pixels
from unetscope.data.dataset import Dataset, Item
from unetscope.errors import DataError, RecipeError
from unetscope.scores.objects import score_objects
from unetscope.scores.overlap import ImageScore, Scores, score_image
from unetscope.scores.surface import score_surfaces
from unetscope.segmentation import Segmenter, Tiling

Part = Literal["test", "validation", "all"]
OnImage = Callable[[int, int], None]

FOREGROUND = ("background", "object")
"""The classes that a network is scored for when its own only serve to tell objects apart."""


@dataclass(frozen=True)
class Measures:
    """What to measure besides the overlap of classes.

    Attributes:
        objects: Match single objects, where the labels number them.
        tolerance: Measure surfaces too, with this distance taken for none, in the unit of the images' spacing (pixels
            where they have none); None for no surfaces.
    """

    objects: bool = True
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if self.tolerance is not None and not 0 <= self.tolerance < float("inf"):
            raise RecipeError(f"tolerance is {self.tolerance}; use a distance of at least 0")


def evaluate(
    checkpoint: Checkpoint,
    dataset: Dataset,
    part: Part = "test",
    tiling: Tiling = Tiling(),
    on_image: OnImage | None = None,
    measures: Measures = Measures(),
) -> Scores:
    """Score a network's segmentation of annotated images.

    Args:
        checkpoint: The trained network.
        dataset: Annotated images.
        part: "test": the images that had no part in training, by their content, and of these the dataset's test part
            where it has one; "validation": those that chose the best epoch (their scores are optimistic); "all".
        tiling: How to segment.
        on_image: Called with images done and images in all.
        measures: What to measure besides the overlap of classes.

    Returns:
        Scores per image and class.

    Raises:
        DataError: The dataset does not fit the network, or has no image of that part.
    """
    seen = see(checkpoint, dataset)
    check_fit(checkpoint, seen)
    return score_items(Segmenter(checkpoint, tiling), seen, select(checkpoint, seen, part), measures, on_image)


def see(checkpoint: Checkpoint, dataset: Dataset) -> Dataset:
    """A dataset as a network's training saw it: as classes of objects, and images in the blocks they were cut into.

    Raises:
        DataError: The labels do not number objects, and the network tells objects apart.
    """
    if checkpoint.objects:
        dataset = dataset.as_objects()
    gap, known = tuple(checkpoint.provenance.get("gap", ())), _seen(checkpoint)
    cut = [item.name for item in dataset.items if gap and not item.box and _shares_pixels(item, known)]
    if not cut:
        return dataset
    blocks = dataset.subset(cut).in_blocks(gap)
    # Images that training never saw stay whole; all of them are for testing then.
    others = tuple(replace(item, part="test") for item in dataset.items if item.name not in cut)
    return replace(blocks, items=(*blocks.items, *others))


def score_items(
    segmenter: Segmenter,
    dataset: Dataset,
    items: Iterable[Item],
    measures: Measures = Measures(),
    on_image: OnImage | None = None,
) -> Scores:
    """Segment and score the given images of a dataset."""
    chosen, scored = list(items), list[ImageScore]()
    for item in chosen:
        scored.append(_score_item(segmenter, dataset, item, measures))
        if on_image:
            on_image(len(scored), len(chosen))
    return Scores(tuple(scored))


def _score_item(segmenter: Segmenter, dataset: Dataset, item: Item, measures: Measures) -> ImageScore:
    """Segment and score one image."""
    image, truth = dataset.read(item)
    spacing, classes = dataset.read_spacing(item), segmenter.classes
    found, objects = segmenter.labels(image, str(item.image), spacing), None
    if segmenter.finds_objects or (measures.objects and dataset.labelling.kind == "instances"):
        numbers, true_numbers = segmenter.objects(found), dataset.read_instances(item)
        objects = score_objects(true_numbers, numbers, name=item.name)
        if segmenter.finds_objects:  # inside and border only serve to tell objects apart
            truth, found, classes = np.sign(true_numbers), (numbers > 0).astype(np.uint8), FOREGROUND
    score = replace(score_image(truth, found, classes, name=item.name), objects=objects)
    if measures.tolerance is None:
        return score
    steps = spacing.steps if spacing else (1.0,) * dataset.ndim
    return replace(score, surfaces=score_surfaces(truth, found, classes, steps, measures.tolerance))


def select(checkpoint: Checkpoint, dataset: Dataset, part: Part) -> tuple[Item, ...]:
    """The images of a dataset that play a part for this network.

    Raises:
        DataError: There are none.
    """
    if part == "all":
        return dataset.items
    if part == "validation":
        validated = _seen(checkpoint, "validation")
        chosen = tuple(item for item in dataset.items if item.digest() in validated)
        need = "give the dataset that the network was trained on"
    else:
        known = _seen(checkpoint)
        explicit = any(item.part == "test" for item in dataset.items)
        fresh = (item for item in dataset.items if not explicit or item.part == "test")
        chosen = tuple(item for item in fresh if not _shares_pixels(item, known))
        need = "give a dataset of other annotated images, or say --part validation (optimistic) or --part all"
    if not chosen:
        raise DataError(f"{dataset.root} has no {part} images for this network among its {len(dataset.items)}; {need}")
    return chosen


def _seen(checkpoint: Checkpoint, *roles: str) -> set[str]:
    """Digests of the images or blocks that a run has seen in some roles, or in any."""
    seen = checkpoint.provenance.get("seen", {})
    return {each for role, digests in seen.items() if role in roles or not roles for each in digests}


def _shares_pixels(item: Item, known: set[str]) -> bool:
    """Whether an image is among those that a run has seen, or overlaps with a block of them."""
    digest = item.digest()
    return digest in known or any(share_pixels(digest, other) for other in known)


def describe_use(
    checkpoint: Checkpoint, dataset: Dataset, part: Part, measures: Measures = Measures()
) -> dict[str, Any]:
    """What a result file records: which weights met which data, how they were scored, and what computed."""
    spacing = dataset.read_spacing(dataset.items[0]) if measures.tolerance is not None else None
    return {
        "tolerance": measures.tolerance,
        "unit": None if measures.tolerance is None else spacing.unit if spacing else "pixel",
        "weights": checkpoint.digest(),
        "seed": checkpoint.provenance.get("seed"),
        "part": part,
        "data": {"path": str(dataset.root), "sha256": dataset.digest()},
        "versions": record_versions(),
    }


def fingerprint(dataset: Dataset, names: Iterable[str]) -> list[str]:
    """Digests of the named images' files: what a run remembers of the images it has seen."""
    return [dataset.item(name).digest() for name in names]


def check_fit(checkpoint: Checkpoint, dataset: Dataset) -> None:
    """Refuse a dataset of other axes or classes than the network's.

    Raises:
        DataError: It does not fit.
    """
    if dataset.ndim != checkpoint.ndim:
        raise DataError(f"{dataset.root} holds {dataset.ndim}D images; this network segments {checkpoint.ndim}D ones")
    if len(dataset.classes) != len(checkpoint.classes):
        raise DataError(
            f"{dataset.root} has the classes {', '.join(dataset.classes)}; this network was trained for "
            f"{', '.join(checkpoint.classes)}: give labels of these"
        )
