"""Scores of a run, computed once and kept in its folder; knows runs and datasets, not what is compared with what."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from unetscope import __version__
from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.data.item import Item
from unetscope.errors import DataError, OutputError
from unetscope.evaluation import OnImage, Part, check_fit, score_items, see, select
from unetscope.files import write_json
from unetscope.scores.overlap import Scores
from unetscope.segmentation import Segmenter, Tiling

FOLDER = "scores"
FORMAT = 1  # another one wherever scores would come out differently
EXACT = Tiling(engine="torch", precision="float32")
"""What all networks are scored with; the engines that are fastest for each would differ by a label in a thousand."""


def score_run(run: Path, dataset: Dataset, part: Part = "test", on_image: OnImage | None = None) -> Scores:
    """Score a run, or recall its scores where these weights met these images before.

    The scores are kept in the run's folder `scores`, where that can be written to.

    Args:
        run: Run folder.
        dataset: Annotated images.
        part: As in `evaluate`.
        on_image: Called with images done and images in all; not where scores are recalled.

    Returns:
        Scores per image and class, by torch in float32.

    Raises:
        CheckpointError: The folder is no finished run.
        DataError: The dataset does not fit the network, or has no image of that part.
    """
    return score_checkpoint(Checkpoint.load(run), run, dataset, part, on_image)


def score_checkpoint(
    checkpoint: Checkpoint, run: Path, dataset: Dataset, part: Part = "test", on_image: OnImage | None = None
) -> Scores:
    """As `score_run`, of a run that is read already."""
    seen, items = find_images(checkpoint, dataset, part)
    facts = _describe(checkpoint, seen, items)
    path = run / FOLDER / f"{_digest(facts)[:12]}.json"
    known = _recall(path, facts)
    if known is not None:
        return known
    scores = score_items(Segmenter(checkpoint, EXACT), seen, items, on_image=on_image)
    with suppress(OutputError):  # a run that is only to be read can be scored all the same
        write_json(path, {"facts": facts, **scores.to_json()})
    return scores


def find_images(checkpoint: Checkpoint, dataset: Dataset, part: Part) -> tuple[Dataset, tuple[Item, ...]]:
    """The dataset as a network's training saw it, and the images that it is scored on.

    Raises:
        DataError: The dataset does not fit the network, or has no image of that part.
    """
    seen = see(checkpoint, dataset)
    check_fit(checkpoint, seen)
    return seen, select(checkpoint, seen, part)


def _describe(checkpoint: Checkpoint, dataset: Dataset, items: tuple[Item, ...]) -> dict[str, Any]:
    """All that the scores of a run depend on, plain values."""
    return {
        "format": FORMAT,
        "unetscope": __version__,
        "weights": checkpoint.digest(),
        "data": dataset.digest(),
        "images": [item.name for item in items],
        "reading": _digest(repr((dataset.labelling, dataset.stored, dataset.grid, dataset.axes))),
        "preparation": _digest(repr((checkpoint.normalization, checkpoint.spacing, checkpoint.smallest))),
        "engine": EXACT.engine,
        "precision": EXACT.precision,
    }


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _recall(path: Path, facts: Mapping[str, Any]) -> Scores | None:
    """The scores in a file; none where it is missing, damaged, or of other facts."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Scores.from_json(content) if content["facts"] == facts else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError, DataError):
        return None
