"""Nuclei of the 2018 Data Science Bowl: the published protocol at 128x128, and native resolution.

    python benchmarks/dsb2018.py --data ../shared/data/dsb2018 [--protocol published native] [--json FILE]

Runs are kept in --work and continued where they were stopped; a second call prints the tables at once.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from unetscope.checkpoint import Checkpoint, record_versions
from unetscope.data.dataset import Dataset
from unetscope.data.images import write_image, write_labels
from unetscope.data.similarity import NEAR_DUPLICATE, correlate_images
from unetscope.evaluation import evaluate, select
from unetscope.model.cost import count_cost, count_parameters
from unetscope.model.spec import UNetSpec
from unetscope.scores.overlap import Scores
from unetscope.segmentation import Tiling
from unetscope.training.loop import train
from unetscope.training.progress import Epoch
from unetscope.training.recipe import Recipe

SIZE = 128
PUBLISHED = Recipe(
    epochs=50, batch=16, patch=SIZE, elastic=0, flip=0.5, rotation=0, scaling=1, intensity=0, normalization="range"
)
NATIVE = Recipe(epochs=6)


def main() -> None:
    """Train, score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/dsb2018"))
    parser.add_argument("--work", type=Path, default=Path("runs/dsb2018"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--protocol", nargs="+", choices=["published", "native"], default=["published", "native"])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = [run_protocol(name, arguments) for name in arguments.protocol]
    if arguments.json:
        arguments.json.write_text(json.dumps({"versions": record_versions(), "protocols": results}, indent=2))


def run_protocol(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """All seeds of one protocol."""
    if name == "published":
        dataset = Dataset.open(shrink_dataset(arguments.data, arguments.work / f"data-{SIZE}"))
        spec, recipe = UNetSpec.preset("lee2021"), PUBLISHED
    else:
        dataset = Dataset.open(arguments.data)
        spec = UNetSpec.preset("default", image_channels=dataset.channels, classes=len(dataset.classes))
        recipe = NATIVE
    rows = [run_seed(name, dataset, spec, recipe, seed, arguments.work) for seed in range(arguments.seeds)]
    print_table(name, spec, rows)
    return {"protocol": name, "spec": spec.to_json(), "recipe": recipe.to_json(), "seeds": rows}


def run_seed(name: str, dataset: Dataset, spec: UNetSpec, recipe: Recipe, seed: int, work: Path) -> dict[str, Any]:
    """Train (or continue) one seed and score its test images."""
    out = work / run_name(name, spec, seed)
    settings = Recipe.from_json({**recipe.to_json(), "seed": seed})
    print(f"{name}, seed {seed}: {out}", flush=True)
    checkpoint = train(dataset, out, spec, settings, resume="exactly", on_epoch=print_epoch)
    history = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    scores = evaluate(checkpoint, dataset)
    exact = evaluate(checkpoint, dataset, tiling=Tiling(precision="float32"))
    duplicates = find_duplicates(checkpoint, dataset, work / f"similarity-{name}-{seed}.npy")
    return {
        "seed": seed,
        "dice": scores.dice,
        "dice_float32": exact.dice,
        "iou": scores.iou,
        "standard_error": standard_error(scores),
        "images": len(scores.images),
        "near_duplicates": len(duplicates),
        "dice_without_near_duplicates": mean_without(scores, duplicates),
        "epoch_seconds": statistics.median(line["seconds"] for line in history),
        "best_epoch": checkpoint.provenance["epoch"],
    }


def run_name(protocol: str, spec: UNetSpec, seed: int) -> str:
    """Folder of a run."""
    return f"{protocol}-{'-'.join(map(str, spec.level_widths))}-{seed}"


def print_epoch(epoch: Epoch, checkpoint: Checkpoint) -> None:
    """One line an epoch."""
    mark = "*" if epoch.best else " "
    dice = "none" if epoch.dice is None else f"{epoch.dice:.4f}"
    print(
        f"  epoch {epoch.epoch:3d}{mark} loss {epoch.loss:.4f} validation Dice {dice} {epoch.seconds:.1f} s", flush=True
    )


def print_table(name: str, spec: UNetSpec, rows: list[dict[str, Any]]) -> None:
    """The result as a Markdown table."""
    cost = count_cost(spec, (SIZE, SIZE))
    print(
        f"\n{name}: widths {'-'.join(map(str, spec.level_widths))}, {count_parameters(spec):,} parameters, "
        f"{cost.multiply_adds / 1e6:.0f} M multiply-adds at {SIZE}x{SIZE}"
    )
    print("| seed | test Dice | s.e. | float32 | IoU | less near-duplicates (left out) | s per epoch | best epoch |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['seed']} | {row['dice']:.4f} | {row['standard_error']:.4f} | {row['dice_float32']:.4f} | "
            f"{row['iou']:.4f} | {row['dice_without_near_duplicates']:.4f} ({row['near_duplicates']} of "
            f"{row['images']}) | {row['epoch_seconds']:.1f} | {row['best_epoch']} |"
        )
    dice = [row["dice"] for row in rows]
    spread = statistics.stdev(dice) if len(dice) > 1 else float("nan")
    print(f"mean {statistics.mean(dice):.4f}, standard deviation over seeds {spread:.4f}\n", flush=True)


def shrink_dataset(source: Path, target: Path) -> Path:
    """The images at 128x128 (bilinear, antialiased) and the foreground where it covers more than half a pixel."""
    if (target / "dataset.toml").exists():
        return target
    original = Dataset.open(source)
    for item in original.items:
        image, labels = original.read(item)
        channels = [
            Image.fromarray(np.ascontiguousarray(channel)).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
            for channel in image
        ]
        area = Image.fromarray((labels > 0).astype(np.float32)).resize((SIZE, SIZE), Image.Resampling.BOX)
        folder, stem = target / str(item.part), f"{item.image.stem}.png"
        write_image(folder / "images" / stem, np.stack([np.asarray(channel) for channel in channels]))
        write_labels(folder / "labels" / stem, np.where(np.asarray(area) > 0.5, 255, 0).astype(np.uint8))
    (target / "dataset.toml").write_text('kind = "mask"\nclasses = ["background", "nucleus"]\n')
    return target


def find_duplicates(checkpoint: Checkpoint, dataset: Dataset, cache: Path) -> set[str]:
    """Names of the test images that are near-duplicates of an image seen in training."""
    tests = select(checkpoint, dataset, "test")
    if not cache.exists():
        seen = [dataset.item(name) for role in ("train", "validation") for name in checkpoint.split[role]]
        read = [[dataset.read_image(item) for item in items] for items in (tests, seen)]
        np.save(cache, correlate_images(*read).max(axis=1))
    return {item.name for item, most in zip(tests, np.load(cache), strict=True) if most > NEAR_DUPLICATE}


def mean_without(scores: Scores, left_out: set[str]) -> float:
    """Mean Dice of the other images."""
    return statistics.mean(
        image.dice for image in scores.images if image.name not in left_out and image.dice is not None
    )


def standard_error(scores: Scores) -> float:
    """Standard error of the mean Dice over images."""
    values = [image.dice for image in scores.images if image.dice is not None]
    return statistics.stdev(values) / math.sqrt(len(values))


if __name__ == "__main__":
    main()
