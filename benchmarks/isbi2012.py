"""The network and recipe of the 2015 paper on its own images, and the default network beside it, in interleaved folds.

    python benchmarks/isbi2012.py --data ../shared/data/isbi2012 [--network faithful default] [--folds 0 1 2 3 4]

Fold k tests every fifth slice, starting with k; of the other 24 slices 3 (drawn by the seed) validate: they choose the
epoch and the threshold of the Rand error. Runs are kept in --work and continued where they were stopped.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dsb2018 import print_epoch
from unetscope.checkpoint import Checkpoint, record_versions
from unetscope.data.dataset import Dataset, Item
from unetscope.data.item import Part
from unetscope.model.cost import count_parameters
from unetscope.model.spec import UNetSpec
from unetscope.scores.rand import rand_error
from unetscope.segmentation import Segmenter, Tiling
from unetscope.training.loop import train
from unetscope.training.recipe import Recipe

FOLDS = 5
VALIDATION = 3 / 24
THRESHOLDS = np.arange(0.05, 1.0, 0.05).round(2)
PUBLISHED = {"pixel error": 0.0611, "Rand error": 0.0382}
BALANCED = (2.27, 0.64)  # 0.5 / share of membrane and of cell among the training pixels

PATCH = 228  # of the 388 pixels that the paper's tiles write, for the sake of time
FAITHFUL = Recipe.preset("ronneberger2015", epochs=12, epoch_steps=250, patch=PATCH, class_weights=BALANCED)
DEFAULT = Recipe(epochs=12, epoch_steps=25, patch=192)


def main() -> None:
    """Train, score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/isbi2012"))
    parser.add_argument("--work", type=Path, default=Path("runs/isbi2012"))
    parser.add_argument("--network", nargs="+", choices=["faithful", "default"], default=["faithful", "default"])
    parser.add_argument("--folds", nargs="+", type=int, choices=range(FOLDS), default=list(range(FOLDS)))
    parser.add_argument("--threads", type=int, help="threads to compute with; all cores if not given")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    dataset = Dataset.open(arguments.data)
    rows = [run(name, dataset, fold, arguments.work) for name in arguments.network for fold in arguments.folds]
    print_table(rows)
    if arguments.json:
        arguments.json.write_text(json.dumps({"versions": record_versions(), "rows": rows}, indent=2))


def run(name: str, dataset: Dataset, fold: int, work: Path) -> dict[str, Any]:
    """Train (or continue) one network on one fold and score its test slices."""
    divided = divide(dataset, fold)
    spec, recipe = describe(name, dataset)
    out = work / f"{name}-{fold}"
    print(f"{name}, fold {fold}: {out}, {count_parameters(spec):,} parameters", flush=True)
    checkpoint = train(divided, out, spec, recipe, resume="drifting", on_epoch=print_epoch)
    cached = out / "scores.json"
    if not cached.exists():
        cached.write_text(json.dumps(score(checkpoint, divided)))
    return {"network": name, "fold": fold, **json.loads(cached.read_text())}


def divide(dataset: Dataset, fold: int) -> Dataset:
    """The slices, every fifth of them for the test."""
    parts: list[Part] = ["test" if index % FOLDS == fold else "train" for index in range(len(dataset.items))]
    return replace(
        dataset, items=tuple(replace(item, part=part) for item, part in zip(dataset.items, parts, strict=True))
    )


def describe(name: str, dataset: Dataset) -> tuple[UNetSpec, Recipe]:
    """A network and how it is trained."""
    classes = len(dataset.classes)
    if name == "faithful":
        recipe = Recipe.from_json({**FAITHFUL.to_json(), "validation": VALIDATION})
        return UNetSpec.preset("ronneberger2015", classes=classes), recipe
    return UNetSpec.preset("default", classes=classes), Recipe.from_json(
        {**DEFAULT.to_json(), "validation": VALIDATION}
    )


def score(checkpoint: Checkpoint, dataset: Dataset) -> dict[str, Any]:
    """Errors of the test slices, with and without averaging over the eight views of a slice."""
    return {
        name: score_views(checkpoint, dataset, average)
        for name, average in (("one view", False), ("eight views", True))
    }


def score_views(checkpoint: Checkpoint, dataset: Dataset, average: bool) -> dict[str, Any]:
    """Pixel error at .5, and the Rand error at the threshold that the validation slices choose."""
    segmenter = Segmenter(checkpoint, Tiling(average=average))
    validation = [segment(segmenter, dataset, dataset.item(name)) for name in checkpoint.split["validation"]]
    tests = [segment(segmenter, dataset, dataset.item(name)) for name in checkpoint.split["test"]]
    threshold = min(
        THRESHOLDS.tolist(), key=lambda value: mean(rand_error(truth, p > value) for truth, p in validation)
    )
    return {
        "pixel_error": mean(float(np.mean((p > 0.5) != (truth > 0))) for truth, p in tests),
        "rand_error": mean(rand_error(truth, p > threshold) for truth, p in tests),
        "rand_error_at_half": mean(rand_error(truth, p > 0.5) for truth, p in tests),
        "threshold": threshold,
        "slices": len(tests),
    }


def segment(segmenter: Segmenter, dataset: Dataset, item: Item) -> tuple[np.ndarray, np.ndarray]:
    """Truth, and probability of a cell."""
    image, truth = dataset.read(item)
    probabilities = np.empty((2, *truth.shape), np.float32)
    segmenter.fill(image, item.name, probabilities=probabilities)
    return truth, probabilities[1]


def mean(values: Iterable[float | None]) -> float:
    """Mean of what is defined."""
    return statistics.mean(value for value in values if value is not None)


def print_table(rows: list[dict[str, Any]]) -> None:
    """The errors as a Markdown table, with means over the folds."""
    print("\n| network | fold | views | pixel error | adapted Rand error | threshold | Rand error at .5 |")
    print("|---|---|---|---|---|---|---|")
    for network in dict.fromkeys(row["network"] for row in rows):
        for views in ("one view", "eight views"):
            chosen = [row for row in rows if row["network"] == network]
            for row in chosen:
                print_row(f"{network} | {row['fold']} | {views}", [row[views]])
            if len(chosen) > 1:
                print_row(f"{network} | mean of {len(chosen)} | {views}", [row[views] for row in chosen])
    print(
        f"| published (another test set) | | | {PUBLISHED['pixel error']} | {PUBLISHED['Rand error']} | | |", flush=True
    )


def print_row(title: str, results: list[dict[str, float]]) -> None:
    """One line of the table: the mean of some results."""
    pixel, rand, threshold, at_half = (
        mean(result[key] for result in results)
        for key in ("pixel_error", "rand_error", "threshold", "rand_error_at_half")
    )
    print(f"| {title} | {pixel:.4f} | {rand:.4f} | {threshold:.2f} | {at_half:.4f} |")


if __name__ == "__main__":
    main()
