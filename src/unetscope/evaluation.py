"""Scores of a trained network on annotated images; knows checkpoints and datasets, not how to train."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

from unetscope.checkpoint import Checkpoint, record_versions
from unetscope.data.dataset import Dataset, Item
from unetscope.errors import DataError
from unetscope.files import digest
from unetscope.scores.overlap import ImageScore, Scores, score_image
from unetscope.segmentation import Segmenter, Tiling

Part = Literal["test", "validation", "all"]
OnImage = Callable[[int, int], None]


def evaluate(
    checkpoint: Checkpoint,
    dataset: Dataset,
    part: Part = "test",
    tiling: Tiling = Tiling(),
    on_image: OnImage | None = None,
) -> Scores:
    """Score a network's segmentation of annotated images.

    Args:
        checkpoint: The trained network.
        dataset: Annotated images.
        part: "test": the images that had no part in training, by their content, and of these the dataset's test part
            where it has one; "validation": those that chose the best epoch (their scores are optimistic); "all".
        tiling: How to segment.
        on_image: Called with images done and images in all.

    Returns:
        Scores per image and class.

    Raises:
        DataError: The dataset does not fit the network, or has no image of that part.
    """
    check_fit(checkpoint, dataset)
    return score_items(
        Segmenter(checkpoint, tiling), checkpoint.classes, dataset, select(checkpoint, dataset, part), on_image
    )


def score_items(
    segmenter: Segmenter,
    classes: tuple[str, ...],
    dataset: Dataset,
    items: Iterable[Item],
    on_image: OnImage | None = None,
) -> Scores:
    """Segment and score the given images of a dataset."""
    chosen, scored = list(items), list[ImageScore]()
    for item in chosen:
        image, truth = dataset.read(item)
        scored.append(score_image(truth, segmenter.labels(image, str(item.image)), classes, name=item.name))
        if on_image:
            on_image(len(scored), len(chosen))
    return Scores(tuple(scored))


def select(checkpoint: Checkpoint, dataset: Dataset, part: Part) -> tuple[Item, ...]:
    """The images of a dataset that play a part for this network.

    Raises:
        DataError: There are none.
    """
    seen = checkpoint.provenance.get("seen", {})
    if part == "all":
        return dataset.items
    if part == "validation":
        known = set(seen.get("validation", ()))
        chosen = tuple(item for item in dataset.items if digest(item.image) in known)
        need = "give the dataset that the network was trained on"
    else:
        known = {each for role in seen.values() for each in role}
        explicit = any(item.part == "test" for item in dataset.items)
        fresh = (item for item in dataset.items if not explicit or item.part == "test")
        chosen = tuple(item for item in fresh if digest(item.image) not in known)
        need = "give a dataset of other annotated images, or say --part validation (optimistic) or --part all"
    if not chosen:
        raise DataError(f"{dataset.root} has no {part} images for this network among its {len(dataset.items)}; {need}")
    return chosen


def describe_use(checkpoint: Checkpoint, dataset: Dataset, part: Part) -> dict[str, Any]:
    """What a result file records: which weights met which data, and what computed."""
    return {
        "weights": checkpoint.digest(),
        "seed": checkpoint.provenance.get("seed"),
        "part": part,
        "data": {"path": str(dataset.root), "sha256": dataset.digest()},
        "versions": record_versions(),
    }


def fingerprint(dataset: Dataset, names: Iterable[str]) -> list[str]:
    """Digests of the named images' files: what a run remembers of the images it has seen."""
    return [digest(Path(dataset.item(name).image)) for name in names]


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
