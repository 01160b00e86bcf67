"""How many annotated images are needed: nuclei and membranes with 5 to 150 images, elastic deformation on and off.

    python benchmarks/few_images.py --data ../shared/data [--set nuclei isbi2012] [--json FILE] [--picture FILE]

`n` images are all that is annotated: 15 % of them (at least one) validate and choose the epoch, the rest train. The
subsets of a seed are nested, and the same with and without elastic deformation; test images are never among them. Runs
are kept in --work and continued where they were stopped; a second call prints the table at once.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from dsb2018 import shrink_dataset, standard_error
from isbi2012 import divide
from unetscope.checkpoint import record_versions
from unetscope.data.dataset import Dataset
from unetscope.evaluation import evaluate
from unetscope.model.spec import UNetSpec
from unetscope.training.loop import train
from unetscope.training.recipe import Recipe

COUNTS = {"nuclei": (5, 15, 50, 150), "isbi2012": (5, 15, 24)}
EPOCHS, EPOCH_STEPS, BATCH, PATCH = 12, 25, 8, 128
ELASTIC = 10.0


def main() -> None:
    """Train every combination, print the table and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("runs/few_images"))
    parser.add_argument("--set", nargs="+", choices=list(COUNTS), default=list(COUNTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path, default=Path("runs/few_images/few_images.svg"))
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in arguments.set:
        dataset = open_set(name, arguments)
        for seed, count, elastic in product(range(arguments.seeds), COUNTS[name], (ELASTIC, 0.0)):
            rows.append({"set": name, **run(name, dataset, count, elastic, seed, arguments.work)})
            print(json.dumps(rows[-1]), flush=True)
    print_table(rows)
    draw(rows, arguments.picture)
    if arguments.json:
        arguments.json.write_text(json.dumps({"versions": record_versions(), "rows": rows}, indent=2))


def open_set(name: str, arguments: argparse.Namespace) -> Dataset:
    """The images, each with its part."""
    if name == "nuclei":
        return Dataset.open(shrink_dataset(arguments.data / "dsb2018", arguments.work / "nuclei-128"))
    return divide(Dataset.open(arguments.data / "isbi2012"), 0)


def choose(dataset: Dataset, count: int, seed: int) -> Dataset:
    """`count` annotated images, and all test images."""
    pool = [item.name for item in dataset.items if item.part != "test"]
    drawn = np.random.default_rng([seed, 77]).permutation(len(pool))[:count]
    return dataset.subset(
        [*(pool[index] for index in sorted(drawn)), *(item.name for item in dataset.items if item.part == "test")]
    )


def run(name: str, dataset: Dataset, count: int, elastic: float, seed: int, work: Path) -> dict[str, Any]:
    """Train (or continue) one network and score the test images."""
    chosen = choose(dataset, count, seed)
    spec = UNetSpec.preset("default", image_channels=dataset.channels, classes=len(dataset.classes))
    recipe = Recipe(seed=seed, epochs=EPOCHS, epoch_steps=EPOCH_STEPS, batch=BATCH, patch=PATCH, elastic=elastic)
    out = work / f"{name}-{count}-{'elastic' if elastic else 'plain'}-{seed}"
    checkpoint = train(chosen, out, spec, recipe, resume="drifting")
    cached = out / "scores.json"
    if not cached.exists():
        scores = evaluate(checkpoint, chosen)
        cached.write_text(
            json.dumps({"dice": scores.dice, "pixel_error": scores.pixel_error, "error": standard_error(scores)})
        )
    return {"count": count, "elastic": bool(elastic), "seed": seed, **json.loads(cached.read_text())}


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Mean and standard deviation over seeds, as a Markdown table."""
    print("\n| set | images | elastic | test Dice: mean | s.d. over seeds | seeds | pixel error |")
    print("|---|---|---|---|---|---|---|")
    for name, count, elastic in dict.fromkeys((row["set"], row["count"], row["elastic"]) for row in rows):
        chosen = [row for row in rows if (row["set"], row["count"], row["elastic"]) == (name, count, elastic)]
        dice = [row["dice"] for row in chosen]
        spread = statistics.stdev(dice) if len(dice) > 1 else float("nan")
        listed = ", ".join(f"{value:.4f}" for value in dice)
        errors = statistics.mean(row["pixel_error"] for row in chosen)
        print(
            f"| {name} | {count} | {'on' if elastic else 'off'} | {statistics.mean(dice):.4f} | {spread:.4f} | "
            f"{listed} | {errors:.4f} |"
        )


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Dice against the number of annotated images."""
    matplotlib.use("svg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(row["set"] for row in rows))
    figure, axes = pyplot.subplots(1, len(names), figsize=(4.2 * len(names), 3.2), squeeze=False, layout="constrained")
    for axis, name in zip(axes[0], names, strict=True):
        for elastic, color, style in ((True, "#0072B2", "-"), (False, "#D55E00", "--")):
            chosen = [row for row in rows if row["set"] == name and row["elastic"] == elastic]
            counts = sorted({row["count"] for row in chosen})
            dice = [[row["dice"] for row in chosen if row["count"] == count] for count in counts]
            axis.plot(counts, [statistics.mean(each) for each in dice], style, color=color)
            for count, each in zip(counts, dice, strict=True):
                axis.plot([count] * len(each), each, "o", color=color, markersize=4, alpha=0.7)
            axis.plot([], [], f"o{style}", color=color, label=f"elastic deformation {'on' if elastic else 'off'}")
        axis.set(xscale="log", xlabel="annotated images", title=name, ylabel="test Dice")
        axis.set_xticks(sorted({row["count"] for row in rows if row["set"] == name}), minor=False)
        axis.get_xaxis().set_major_formatter("{x:.0f}")
        axis.minorticks_off()
        axis.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
