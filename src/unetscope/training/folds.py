"""Cross-validation: one run a fold, and a prediction for every image by the run that never saw it.

Knows runs and their scores, not how a step is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetscope.checkpoint import Checkpoint, record_versions
from unetscope.data.dataset import Dataset
from unetscope.evaluation import Measures, score_items, see
from unetscope.file_segmentation import open_job, run_job
from unetscope.files import write_json
from unetscope.model.spec import UNetSpec
from unetscope.scores.overlap import Scores
from unetscope.segmentation import Segmenter
from unetscope.training.loop import Resume, train
from unetscope.training.progress import OnEpoch, OnStep
from unetscope.training.recipe import Recipe

FOLDS = "folds.json"
PREDICTIONS = "predictions"

OnFold = Callable[[int, int], None]


@dataclass(frozen=True)
class Watcher:
    """Whom a cross-validation tells how it goes on.

    Attributes:
        on_fold: Called before each fold with its number, from 0, and the number of folds.
        on_step: As of `train`.
        on_epoch: As of `train`.
    """

    on_fold: OnFold | None = None
    on_step: OnStep | None = None
    on_epoch: OnEpoch | None = None


def train_folds(
    dataset: Dataset,
    out: Path | str,
    folds: int,
    spec: UNetSpec | None = None,
    recipe: Recipe = Recipe(),
    resume: Resume = "never",
    watcher: Watcher = Watcher(),
) -> Scores:
    """Train one network for each fold and score all images, each by the network that never saw it.

    Args:
        dataset: Annotated images; parts that folders or lists give do not count.
        out: Folder to write: `fold-0`, `fold-1`, ... are run folders, `predictions` holds a label image of every image,
            `folds.json` the scores and what made them.
        folds: Number of folds, at least 2.
        spec: The network; the default preset for these images if None.
        recipe: How to train; its seed draws the folds.
        resume: As of `train`; finished folds are not trained again.
        watcher: Whom to tell.

    Returns:
        Scores of all images.

    Raises:
        DataError: There are too few images for so many folds, or they do not fit the network.
        CheckpointError: The folder holds runs that cannot be continued this way.
        OutputError: The folder cannot be written.
    """
    out, scores, runs = Path(out), list[Scores](), list[dict[str, Any]]()
    splits = dataset.fold_splits(folds, recipe.seed, recipe.validation)
    for number, split in enumerate(splits):
        if watcher.on_fold:
            watcher.on_fold(number, folds)
        run, divided = out / f"fold-{number}", dataset.with_roles(split)
        checkpoint = train(divided, run, spec, recipe, resume, watcher.on_step, watcher.on_epoch)
        scores.append(_predict(checkpoint, divided, out / PREDICTIONS))
        runs.append({"run": run.name, "weights": checkpoint.digest(), "split": split.to_json()})
    together = Scores(tuple(image for each in scores for image in each.images))
    write_json(out / FOLDS, {"scores": together.to_json(), "folds": runs, "provenance": _describe(dataset, recipe)})
    return together


def _predict(checkpoint: Checkpoint, dataset: Dataset, out: Path) -> Scores:
    """Segment and score the images that a fold tests."""
    segmenter = Segmenter(checkpoint)
    seen = see(checkpoint, dataset)
    tested = [seen.item(name) for name in checkpoint.split["test"]]
    for item in tested:
        # Names may hold a folder ("train/a"), which keeps two images of one stem apart.
        run_job(segmenter, open_job(segmenter, item.image), (out / item.name).parent)
    return score_items(segmenter, seen, tested, Measures())


def _describe(dataset: Dataset, recipe: Recipe) -> Mapping[str, Any]:
    """What a result file records."""
    return {
        "data": {"path": str(dataset.root), "sha256": dataset.digest()},
        "recipe": recipe.to_json(),
        "seed": recipe.seed,
        "versions": record_versions(),
    }
