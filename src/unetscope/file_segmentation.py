"""Segmentation from image files to label files; knows files and segmenters, not how either works."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from unetscope.data.images import SUFFIXES, read_image, saved_suffix, write_image, write_labels
from unetscope.errors import DataError, OutputError
from unetscope.segmentation import Segmenter

PROBABILITIES = "-probabilities.tif"


def find_images(paths: Iterable[Path], out: Path) -> list[Path]:
    """The image files among files and folders.

    Args:
        paths: Files, or folders whose image files are taken.
        out: Where the label images will go.

    Returns:
        The files, in order.

    Raises:
        DataError: A path does not exist, nothing was given, or two images have one stem.
        OutputError: A label image would overwrite an image.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(each for each in path.iterdir() if each.suffix.lower() in SUFFIXES and each.name[0] != ".")
            if not inside:
                raise DataError(f"{path} holds no images; files ending in {', '.join(SUFFIXES)} are read")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise DataError(f"{path} does not exist; give image files or folders of them")
    if not found:
        raise DataError("no image came; give image files or folders of them after the run folder")
    stems: dict[str, Path] = {}
    for path in found:
        if path.stem in stems:
            raise DataError(f"{stems[path.stem]} and {path} would have the same label image; segment them separately")
        stems[path.stem] = path
        if path.parent.resolve() == out.resolve():
            raise OutputError(f"{out} holds the image {path.name}, which is never overwritten; choose another --out")
    return found


def segment_file(
    segmenter: Segmenter, source: Path, out: Path, probabilities: bool, say: Callable[[str], None]
) -> dict[str, Any]:
    """Segment one image file.

    Args:
        segmenter: The network.
        source: Image file.
        out: Folder for `<stem>.<ending of the image>` with class indices.
        probabilities: Whether to write `<stem>-probabilities.tif` (classes, [z,] y, x) too.
        say: Told before work starts what memory it will take.

    Returns:
        Plain values: the files, the share of every class, tiles, seconds.

    Raises:
        DataError: The image cannot be read or is not for this network.
        OutputError: The result cannot be written.
    """
    started = time.perf_counter()
    image = read_image(source, segmenter.spec.ndim)
    if len(image) == 1 < segmenter.spec.image_channels:
        image = np.broadcast_to(image, (segmenter.spec.image_channels, *image.shape[1:]))
    shape = image.shape[1:]
    plan = segmenter.plan(shape)
    size = "x".join(map(str, plan.size))
    say(f"{source}: {len(plan.tiles)} tiles of {size}, about {plan.peak_bytes / 2**20:.0f} MiB at the peak")
    if not plan.seamless:
        say("warning: instance norm looks at the whole tile, so the result depends on the tile size; --whole does not")
    count = max(2, segmenter.spec.classes)
    filled = np.zeros((count, *shape), np.float32) if probabilities else None
    labels = segmenter.labels_and_probabilities(image, str(source), filled)
    target = out / f"{source.stem}{saved_suffix(source)}"
    write_labels(target, labels)
    if filled is not None:
        write_image(out / f"{source.stem}{PROBABILITIES}", filled)
    counts = np.bincount(labels.ravel(), minlength=count)
    return {
        "image": str(source),
        "labels": str(target),
        "probabilities": str(out / f"{source.stem}{PROBABILITIES}") if probabilities else None,
        "shares": {name: n / labels.size for name, n in zip(segmenter.classes, counts.tolist(), strict=True)},
        "tiles": len(plan.tiles),
        "seconds": round(time.perf_counter() - started, 3),
    }
