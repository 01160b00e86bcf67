"""The crops that a run keeps show foreground as the network sees it, in a shape that it takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.data.images import write_image, write_labels
from unetscope.model.geometry import margin, output_shape
from unetscope.model.spec import UNetSpec
from unetscope.training.loop import train
from unetscope.training.preparation import CROP_SIDE, CROPS, choose_normalization, cut_crops
from unetscope.training.recipe import Recipe


def write_spots(folder: Path, count: int, shape: tuple[int, ...]) -> Dataset:
    """Images with one bright spot each, which is their foreground."""
    for index in range(count):
        labels = np.zeros(shape, np.uint8)
        labels[tuple(slice(n * (index + 1) // 8, n * (index + 1) // 8 + 3) for n in shape)] = 1
        write_image(folder / "images" / f"{index}.npy", labels * np.uint8(200) + np.uint8(index))
        write_labels(folder / "labels" / f"{index}.npy", labels)
    return Dataset.open(folder)


@pytest.mark.parametrize("shape", [(40, 30), (600, 500), (12, 20, 16)])
@pytest.mark.parametrize("padded", [True, False])
def test_crops_lie_around_foreground(tmp_path: Path, shape: tuple[int, ...], padded: bool) -> None:
    dataset = write_spots(tmp_path, 6, shape)
    spec = UNetSpec.by_level((2, 4), ndim=len(shape), padded=padded)
    split = dataset.split(0)
    normalization = choose_normalization(dataset, split, Recipe(normalization="range"))
    crops = cut_crops(dataset, split, spec, normalization)
    assert crops.dtype == np.float32
    assert len(crops) == CROPS[spec.ndim]
    written = output_shape(spec, crops.shape[2:])
    assert all(n >= CROP_SIDE[spec.ndim] for n in written)
    middle = tuple(slice(m + n // 2 - 1, m + n // 2 + 2) for m, n in zip(margin(spec), written, strict=True))
    for crop in crops[:, 0]:
        assert crop[middle].max() > 200 / 255 - 1e-6, "the spot is in the middle of what is labeled"


def test_a_run_keeps_them(tmp_path: Path) -> None:
    dataset = write_spots(tmp_path / "data", 8, (32, 32))
    spec = UNetSpec.by_level((2, 4))
    recipe = Recipe(epochs=1, epoch_steps=1, batch=2, patch=16)
    trained = train(dataset, tmp_path / "run", spec, recipe)
    assert trained.crops.shape == (CROPS[2], 1, CROP_SIDE[2], CROP_SIDE[2])
    assert np.array_equal(Checkpoint.load(tmp_path / "run").crops, trained.crops)
    again = train(dataset, tmp_path / "again", spec, recipe)
    assert np.array_equal(again.crops, trained.crops)
