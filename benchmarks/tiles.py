"""Do labels depend on the tile? A trained network on real images and a mosaic of them, many tile sizes, two precisions.

    python benchmarks/tiles.py RUN --data ../shared/data/dsb2018 [--json FILE]

Every tiling is compared with one tile over the whole image: overall, for the worst image, and
within 3 pixels of a label edge.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from unetscope.checkpoint import Checkpoint, record_versions
from unetscope.data.dataset import Dataset
from unetscope.segmentation import Segmenter, Tiling

TILES = (32, 50, 128, 500, 1000)
EDGE = 3
GRID, SIDE = 4, 384


def main() -> None:
    """Segment and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/dsb2018"))
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    checkpoint, dataset = Checkpoint.load(arguments.run), Dataset.open(arguments.data)
    tests = [item for item in dataset.items if item.part == "test"]
    images = [dataset.read_image(item) for item in tests]
    images = [build_mosaic(images), *images[: arguments.images]]
    rows = []
    print(
        "| precision | tile | pixels that agree | mosaic | worst image | within 3 px of an edge | largest difference |"
    )
    print("|---|---|---|---|---|---|---|")
    for precision in ("float32", "bfloat16"):
        wholes = [segment_whole(checkpoint, image, Tiling(whole=True, precision=precision)) for image in images]
        for tile in TILES:
            row = compare(checkpoint, images, wholes, Tiling(tile=tile, precision=precision))
            rows.append(row)
            print(
                f"| {precision} | {tile} | {row['agreement']:.6%} | {row['mosaic']:.6%} | {row['worst']:.6%} | "
                f"{row['edge']:.6%} | {row['difference']:.2e} of the scale |",
                flush=True,
            )
    if arguments.json:
        arguments.json.write_text(json.dumps({"versions": record_versions(), "rows": rows}, indent=2))


def build_mosaic(images: list[np.ndarray]) -> np.ndarray:
    """A large image from the corners of many real ones."""
    cut = [image[:, :SIDE, :SIDE] for image in images]
    full = [np.pad(c, ((0, 0), *((0, SIDE - n) for n in c.shape[1:])), mode="symmetric") for c in cut[: GRID * GRID]]
    return np.concatenate([np.concatenate(full[k : k + GRID], axis=2) for k in range(0, len(full), GRID)], axis=1)


def segment_whole(checkpoint: Checkpoint, image: np.ndarray, tiling: Tiling) -> np.ndarray:
    """The scores of an image, put together."""
    whole = np.zeros((max(2, checkpoint.spec.classes), *image.shape[1:]), np.float32)
    for box, scores in Segmenter(checkpoint, tiling).scores(image):
        whole[(slice(None), *box)] = scores
    return whole


def compare(
    checkpoint: Checkpoint, images: list[np.ndarray], wholes: list[np.ndarray], tiling: Tiling
) -> dict[str, Any]:
    """Agreement of a tiling with the whole images."""
    agreements, edges, edge_pixels, difference = [], 0, 0, 0.0
    for image, whole in zip(images, wholes, strict=True):
        tiled = segment_whole(checkpoint, image, tiling)
        labels = whole.argmax(0)
        same = tiled.argmax(0) == labels
        near = near_edges(labels)
        agreements.append((int(same.sum()), same.size))
        edges, edge_pixels = edges + int(same[near].sum()), edge_pixels + int(near.sum())
        difference = max(difference, float(np.abs(tiled - whole).max() / np.abs(whole).max()))
    shares = [right / size for right, size in agreements]
    return {
        "precision": tiling.precision,
        "tile": tiling.tile,
        "agreement": sum(right for right, _ in agreements) / sum(size for _, size in agreements),
        "mosaic": shares[0],
        "worst": min(shares),
        "edge": edges / max(1, edge_pixels),
        "difference": difference,
    }


def near_edges(labels: np.ndarray) -> np.ndarray:
    """Pixels within 3 of another class."""
    low, high = ndimage.minimum_filter(labels, 2 * EDGE + 1), ndimage.maximum_filter(labels, 2 * EDGE + 1)
    return np.asarray(low != high)


if __name__ == "__main__":
    main()
