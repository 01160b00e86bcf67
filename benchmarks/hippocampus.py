"""Hippocampus volumes (Medical Segmentation Decathlon, Task04): Dice and surface distances of both parts in 3D.

    python benchmarks/hippocampus.py --data ../shared/data/hippocampus [--json FILE]

200 volumes train (15 % of them validate and choose the epoch), 60 test. The run is kept in --work and continued where
it was stopped.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from dsb2018 import print_epoch, standard_error
from unetscope.checkpoint import record_versions
from unetscope.data.dataset import Dataset
from unetscope.evaluation import Measures, evaluate
from unetscope.model.cost import count_parameters
from unetscope.model.spec import UNetSpec
from unetscope.scores.overlap import Scores
from unetscope.training.loop import train
from unetscope.training.recipe import Recipe

WIDTHS = (16, 32, 64)
RECIPES = {
    "plain": Recipe(epochs=20, epoch_steps=125, batch=4),
    "oriented": Recipe(epochs=28, epoch_steps=125, batch=4, learning_rate=2e-3, flip=0, rotation=15),
}
"""The default recipe, and one for volumes that all lie alike, in which anterior and posterior do not change places."""

TOLERANCE = 1.0  # mm


def main() -> None:
    """Train, score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/hippocampus"))
    parser.add_argument("--work", type=Path, default=Path("runs/hippocampus"))
    parser.add_argument("--recipe", choices=list(RECIPES), default="oriented")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="threads to compute with; all cores if not given")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    dataset = Dataset.open(arguments.data)
    spec = UNetSpec.preset("default", ndim=3, classes=len(dataset.classes), widths=WIDTHS)
    recipe = Recipe.from_json({**RECIPES[arguments.recipe].to_json(), "seed": arguments.seed})
    out = arguments.work / f"{arguments.recipe}-{arguments.seed}"
    print(f"{out}: {count_parameters(spec):,} parameters, {torch.get_num_threads()} threads", flush=True)
    checkpoint = train(dataset, out, spec, recipe, resume="drifting", on_epoch=print_epoch)
    history = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    minutes = sum(line["seconds"] for line in history) / 60
    scores = evaluate(checkpoint, dataset, measures=Measures(tolerance=TOLERANCE))
    print_table(scores, minutes)
    if arguments.json:
        content = {"versions": record_versions(), "minutes": minutes, "scores": scores.to_json()}
        arguments.json.write_text(json.dumps(content, indent=2))


def print_table(scores: Scores, minutes: float) -> None:
    """Scores by part as a Markdown table."""
    print(f"\n| part | Dice | HD95, mm (mean) | (median) | surface Dice at {TOLERANCE:g} mm | volumes |")
    print("|---|---|---|---|---|---|")
    for overlap, surface in zip(scores.classes, scores.surfaces, strict=True):
        print(
            f"| {overlap.name} | {overlap.dice:.4f} | {surface.hd95:.3f} | {surface.hd95_median:.3f} | "
            f"{surface.nsd:.4f} | {overlap.n} |"
        )
    print(
        f"mean Dice {scores.dice:.4f} (s.e. over volumes {standard_error(scores):.4f}); {minutes:.1f} minutes of "
        "training with its validation",
        flush=True,
    )


if __name__ == "__main__":
    main()
