"""Nuclei as single objects on the fluorescence images of the 2018 Data Science Bowl: average precision and counts.

    python benchmarks/objects.py --data ../shared/data/dsb2018 [--json FILE]

Images are used at native resolution; `index.csv` of the data says which are fluorescence. Train and test parts are the
data's own. The run is kept in --work and continued where it was stopped.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from dsb2018 import print_epoch
from unetscope.checkpoint import record_versions
from unetscope.data.dataset import Dataset
from unetscope.evaluation import evaluate
from unetscope.model.cost import count_parameters
from unetscope.model.spec import UNetSpec
from unetscope.scores.objects import THRESHOLDS, ObjectScore
from unetscope.training.loop import train
from unetscope.training.recipe import Recipe

MODALITY = "fluorescence"
GROWING = Recipe(batch=8, patch=160, class_weights=(1.0, 1.0, 4.0), border=5, scaling=1.5, learning_rate=2e-3)
RECIPES = {
    "short": Recipe(epochs=24, epoch_steps=50, batch=8, patch=192, class_weights=(1.0, 1.0, 4.0)),
    "long": replace(GROWING, epochs=16, epoch_steps=100),
    "longer": replace(GROWING, epochs=10, epoch_steps=280),
}
PUBLISHED = {"U-Net, 2 classes": 0.6739, "U-Net, 3 classes": 0.8060, "Mask R-CNN": 0.8323, "StarDist": 0.8641}


def main() -> None:
    """Train, score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/dsb2018"))
    parser.add_argument("--work", type=Path, default=Path("runs/objects"))
    parser.add_argument("--recipe", choices=list(RECIPES), default="longer")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="threads to compute with; all cores if not given")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    dataset = choose(Dataset.open(arguments.data), arguments.data / "index.csv").as_objects()
    spec = UNetSpec.preset("default", image_channels=dataset.channels, classes=len(dataset.classes))
    recipe = Recipe.from_json({**RECIPES[arguments.recipe].to_json(), "seed": arguments.seed})
    out = arguments.work / f"{MODALITY}-{arguments.recipe}-{arguments.seed}"
    print(f"{out}: {count_parameters(spec):,} parameters, {torch.get_num_threads()} threads", flush=True)
    checkpoint = train(dataset, out, spec, recipe, resume="drifting", on_epoch=print_epoch)
    scores = evaluate(checkpoint, dataset)
    pooled = scores.objects
    assert pooled is not None
    each = [image.objects for image in scores.images if image.objects is not None]
    print_precision(pooled, each)
    print_counts(each)
    if arguments.json:
        arguments.json.write_text(json.dumps({"versions": record_versions(), "scores": scores.to_json()}, indent=2))


def choose(dataset: Dataset, index: Path) -> Dataset:
    """The fluorescence images."""
    with index.open(newline="", encoding="utf-8") as file:
        wanted = {row["id"] for row in csv.DictReader(file) if row["modality"] == MODALITY}
    return dataset.subset([item.name for item in dataset.items if item.image.stem in wanted])


def print_precision(pooled: ObjectScore, each: Sequence[ObjectScore]) -> None:
    """Average precision over the thresholds, as a Markdown table."""
    columns = " | ".join(f"AP@{threshold:.2f}" for threshold in THRESHOLDS)
    print(f"\n| | {columns} | mean | panoptic |\n|---|{'---|' * (len(THRESHOLDS) + 2)}")
    cells = " | ".join(f"{value:.4f}" for value in pooled.ap)
    print(f"| objects of {len(each)} images together | {cells} | {pooled.mean_ap:.4f} | {pooled.panoptic:.4f} |")
    per_image = np.array([one.ap for one in each if one.true])
    cells = " | ".join(f"{value:.4f}" for value in per_image.mean(axis=0))
    panoptic = np.mean([one.panoptic for one in each if one.true])
    print(f"| mean over images | {cells} | {per_image.mean():.4f} | {panoptic:.4f} |")
    print(", ".join(f"{name} {value}" for name, value in PUBLISHED.items()) + " at .5 (Schmidt 2018, another split)")


def print_counts(each: Sequence[ObjectScore]) -> None:
    """Counts per image against the truth."""
    true, found = (np.array([getattr(one, name) for one in each]) for name in ("true", "predicted"))
    print("\ncounts, true/found: " + ", ".join(f"{a}/{b}" for a, b in zip(true, found, strict=True)))
    error = np.abs(found - true)
    exact, within = np.mean(error == 0), np.mean(error <= np.maximum(1, 0.1 * true))
    print(
        f"{true.sum()} objects, {found.sum()} found; exact in {100 * exact:.0f} % of images, within 1 or 10 % in "
        f"{100 * within:.0f} %; mean absolute error {error.mean():.2f} at a mean of {true.mean():.1f} objects",
        flush=True,
    )


if __name__ == "__main__":
    main()
