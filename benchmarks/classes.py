"""Several classes: five in electron micrographs of a nerve cord, four in an aerial scene with color-coded masks.

    python benchmarks/classes.py --data ../shared/data [--set vnc_em aerial] [--json FILE]

vnc_em: 16 consecutive sections train (15 % of them validate and choose the epoch), the last 4 test; `membrane` is index
0 and therefore not scored by itself. aerial: simulated color photographs whose label images are RGB files; the colors
are declared in `dataset.toml`. Runs are kept in --work and continued where they were stopped.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch

from dsb2018 import print_epoch
from unetscope.checkpoint import record_versions
from unetscope.data.dataset import Dataset
from unetscope.data.scenes import write_dataset
from unetscope.evaluation import evaluate
from unetscope.model.spec import UNetSpec
from unetscope.scores.overlap import Scores
from unetscope.training.loop import train
from unetscope.training.recipe import Recipe

RECIPES = {
    "vnc_em": Recipe(epochs=16, epoch_steps=50, batch=4, patch=256),
    "aerial": Recipe(epochs=12, epoch_steps=25, batch=4, patch=128),
}
AERIAL_IMAGES, AERIAL_SHAPE = {"train": 24, "test": 8}, (192, 192)


def main() -> None:
    """Train, score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("runs/classes"))
    parser.add_argument("--set", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--threads", type=int, help="threads to compute with; all cores if not given")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    results = {name: run(name, arguments.data, arguments.work) for name in arguments.set}
    for name, scores in results.items():
        print_table(name, scores)
    if arguments.json:
        content = {name: scores.to_json() for name, scores in results.items()}
        arguments.json.write_text(json.dumps({"versions": record_versions(), "sets": content}, indent=2))


def run(name: str, data: Path, work: Path) -> Scores:
    """Train (or continue) and score one set."""
    dataset = open_sections(data / name) if name == "vnc_em" else Dataset.open(simulate(work / "aerial-data"))
    print(f"{name}: {dataset.labelling.kind} {', '.join(dataset.classes)} ({dataset.labelling.reason})", flush=True)
    spec = UNetSpec.preset("default", image_channels=dataset.channels, classes=len(dataset.classes))
    checkpoint = train(dataset, work / name, spec, RECIPES[name], resume="drifting", on_epoch=print_epoch)
    return evaluate(checkpoint, dataset)


def open_sections(folder: Path) -> Dataset:
    """The micrographs, with the names of their classes."""
    dataset = Dataset.open(folder)
    named = json.loads((folder / "classes.json").read_text(encoding="utf-8"))
    classes = tuple(named[str(index)].partition(" (")[0] for index in range(len(named)))
    return replace(dataset, labelling=replace(dataset.labelling, classes=classes))


def simulate(folder: Path) -> Path:
    """Aerial scenes with color-coded masks."""
    if not folder.exists():
        write_dataset(folder, "aerial", shape=AERIAL_SHAPE, **AERIAL_IMAGES)
    return folder


def print_table(name: str, scores: Scores) -> None:
    """Scores by class as a Markdown table."""
    print(f"\n{name}\n\n| class | Dice | IoU | precision | recall | images with it |\n|---|---|---|---|---|---|")
    for each in scores.classes:
        print(
            f"| {each.name} | {each.dice:.4f} | {each.iou:.4f} | {each.precision:.4f} | {each.recall:.4f} | {each.n} |"
        )
    print(f"{len(scores.images)} test images: mean Dice {scores.dice:.4f}, pixel error {scores.pixel_error:.4f}")


if __name__ == "__main__":
    main()
