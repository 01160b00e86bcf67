"""Patches depend on the step alone, lie inside, fit the network, and are balanced over images and classes."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from unetscope.data.dataset import Dataset
from unetscope.data.images import write_image, write_labels
from unetscope.data.normalization import Normalization
from unetscope.data.scenes import write_dataset
from unetscope.model.geometry import margin, output_shape
from unetscope.model.spec import UNetSpec
from unetscope.training import patches as module
from unetscope.training.patches import Batch, Patches
from unetscope.training.recipe import Recipe

SPEC = UNetSpec.by_level((4, 8))
RECIPE = Recipe(batch=4, patch=16)
STILL = {"flip": 0, "rotation": 0, "scaling": 1, "elastic": 0, "intensity": 0}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("cells")
    write_dataset(folder, "cells", train=6, test=1, shape=(32, 32))
    return Dataset.open(folder)


def write_pair(folder: Path, name: str, labels: np.ndarray) -> None:
    """An image that numbers its pixels, and its labels."""
    write_image(folder / "images" / f"{name}.tif", np.arange(labels.size, dtype=np.float32).reshape(labels.shape))
    write_labels(folder / "labels" / f"{name}.tif", labels)


def patches_of(dataset: Dataset, recipe: Recipe = RECIPE, spec: UNetSpec = SPEC) -> Patches:
    return Patches(dataset, dataset.names, spec, recipe, Normalization.range(0, 1))


def equal(first: Batch, second: Batch) -> bool:
    return torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])


def test_a_step_has_the_same_patches_whatever_was_asked_before(dataset: Dataset) -> None:
    fresh = {step: patches_of(dataset).batch(step) for step in (0, 3, 7, 40)}
    used = patches_of(dataset)
    for step in (40, 3, 0, 7, 3):
        assert equal(used.batch(step), fresh[step])


def test_steps_positions_and_seeds_differ(dataset: Dataset) -> None:
    batches = [patches_of(dataset).batch(step) for step in range(12)]
    images = [image for batch in batches for image in batch[0]]
    assert not any(torch.equal(a, b) for i, a in enumerate(images) for b in images[:i])
    other = patches_of(dataset, Recipe(batch=4, patch=16, seed=1)).batch(0)
    assert not equal(other, batches[0])


@pytest.mark.parametrize("size", [1, 2, 4])
def test_the_shares_of_the_processes_make_up_the_batch(dataset: Dataset, size: int) -> None:
    images, labels, _ = patches_of(dataset).batch(5)
    for rank in range(size):
        share = slice(rank, None, size)
        assert equal(patches_of(dataset).batch(5, share), Batch(images[share], labels[share], None))


SPECS = [
    SPEC,
    UNetSpec.by_level((4, 8), padded=False),
    UNetSpec.by_level((2, 3, 4), padded=False, up="linear"),
    UNetSpec.by_level((2, 3, 4), strides=((3, 1), (1, 4))),
    UNetSpec.by_level((2, 3, 4), norm="instance"),
]


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("patch", [None, 1, 17, 50])
def test_the_network_accepts_the_patches_and_labels_their_inside(
    dataset: Dataset, spec: UNetSpec, patch: int | None
) -> None:
    made = patches_of(dataset, Recipe(batch=2, patch=patch), spec)
    images, labels, border = made.batch(0)
    assert border is None
    assert images.shape == (2, 1, *made.shape)
    assert labels.shape == (2, *output_shape(spec, made.shape))
    assert min(labels.shape[1:]) >= (patch or 32)
    assert images.dtype == torch.float32
    assert labels.dtype == torch.int64


@pytest.mark.parametrize("spec", SPECS[:3])
@pytest.mark.parametrize("foreground", [0, 1])
def test_an_unchanged_patch_is_cut_from_whole_pixels_inside_of_the_image(
    tmp_path: Path, spec: UNetSpec, foreground: float
) -> None:
    truth = (np.random.default_rng(0).random((37, 41)) < 0.2).astype(np.uint8)
    for name in "ab":
        write_pair(tmp_path, name, truth)
    made = patches_of(Dataset.open(tmp_path), Recipe(batch=20, patch=15, foreground=foreground, **STILL), spec)
    lost = margin(spec)
    for image, labels in zip(*made.batch(0)[:2], strict=True):
        inner = image[0, lost[0] : image.shape[1] - lost[0], lost[1] : image.shape[2] - lost[1]].numpy()
        corner = int(np.rint(inner[0, 0]))
        y, x = divmod(corner, 41)
        expected = (corner + 41 * np.arange(len(inner))[:, None] + np.arange(inner.shape[1])).astype(np.float32)
        np.testing.assert_allclose(inner, expected, atol=2e-2)
        assert np.array_equal(labels.numpy(), truth[y : y + len(inner), x : x + inner.shape[1]])


def test_an_image_smaller_than_the_patch_is_centered_on_whole_pixels(tmp_path: Path) -> None:
    truth = np.eye(9, dtype=np.uint8)
    for name in "ab":
        write_pair(tmp_path, name, truth)
    made = patches_of(Dataset.open(tmp_path), Recipe(batch=2, patch=16, **STILL))
    for labels in made.batch(0)[1]:
        assert any(np.array_equal(labels.numpy(), np.pad(truth, pad, mode="reflect")) for pad in ((3, 4), (4, 3)))


@pytest.mark.parametrize("foreground", [0.0, 0.4, 1.0])
def test_the_share_of_foreground_patches(tmp_path: Path, foreground: float) -> None:
    """Two rare classes of very different size are centers equally often."""
    truth = np.zeros((128, 128), np.uint8)
    truth[40, 40], truth[80:84, 80:84] = 1, 2
    for name in "ab":
        write_pair(tmp_path, name, truth)
    recipe = Recipe(batch=50, patch=3, foreground=foreground, **STILL)
    made = patches_of(Dataset.open(tmp_path), recipe, UNetSpec.by_level((2,), classes=3))
    centers = np.concatenate([made.batch(step)[1][:, 1, 1].numpy() for step in range(12)])
    for value in (1, 2):
        assert (centers == value).mean() == pytest.approx(foreground / 2, abs=0.06)


def test_ignored_pixels_are_nobodys_center_and_stay_ignored(tmp_path: Path) -> None:
    truth = np.zeros((32, 32), np.uint8)
    truth[3:6, 3:6], truth[10:, 10:] = 1, 255
    for name in "ab":
        write_pair(tmp_path, name, truth)
    (tmp_path / "dataset.toml").write_text('kind = "mask"\nignore = 255\n')
    made = patches_of(Dataset.open(tmp_path), Recipe(batch=30, patch=3, foreground=1, **STILL), UNetSpec.by_level((2,)))
    assert (made.batch(0)[1][:, 1, 1] == 1).all()
    everywhere = patches_of(Dataset.open(tmp_path), Recipe(batch=4, patch=32, **STILL))
    assert set(everywhere.batch(0)[1].unique().tolist()) == {-1, 0, 1}


@pytest.mark.parametrize("batch", [1, 2, 3, 4])
def test_no_image_comes_again_before_all_others_came(dataset: Dataset, batch: int) -> None:
    made, count = patches_of(dataset, Recipe(batch=batch, patch=32)), len(dataset.names)
    used = [made._image_at(*divmod(index, batch)) for index in range(5 * count)]
    turns = [used[first : first + count] for first in range(0, len(used), count)]
    assert all(sorted(turn) == list(range(count)) for turn in turns)
    assert any(a != b for a, b in pairwise(turns))


def test_an_image_comes_as_often_as_patches_fit_into_it(tmp_path: Path) -> None:
    for name, size in (("small", 16), ("wide", 64), ("tiny", 4)):
        write_pair(tmp_path, name, np.eye(size, dtype=np.uint8))
    made = patches_of(Dataset.open(tmp_path), Recipe(batch=1, patch=16))
    order = [made._image_at(step, 0) for step in range(1 + 16 + 1)]
    assert np.bincount(order).tolist() == [1, 1, 16]
    assert made.epoch_steps == module.FEWEST_STEPS
    large = patches_of(Dataset.open(tmp_path), Recipe(batch=1, patch=1))
    assert large.epoch_steps == module.MOST_STEPS


def test_an_epoch_has_as_many_steps_as_the_images_have_patches_or_as_asked(tmp_path: Path) -> None:
    for name in "ab":
        write_pair(tmp_path, name, np.eye(64, dtype=np.uint8))
    opened = Dataset.open(tmp_path)
    assert patches_of(opened, Recipe(batch=1, patch=8)).epoch_steps == 2 * 64
    assert patches_of(opened, Recipe(batch=4, patch=8)).epoch_steps == 2 * 64 // 4
    assert patches_of(opened, Recipe(batch=4, patch=8, epoch_steps=3)).epoch_steps == 3


def test_border_weights_are_cut_where_the_labels_are(tmp_path: Path) -> None:
    """Two objects a pixel apart: the gap has the largest weight, wherever the patch is cut and however it is turned."""
    truth = np.zeros((40, 40), np.uint8)
    truth[8:32, 8:19], truth[8:32, 20:32] = 1, 1
    for name in "ab":
        write_pair(tmp_path, name, truth)
    recipe = Recipe(batch=6, patch=24, foreground=1, border=10, elastic=0)
    images, labels, border = patches_of(Dataset.open(tmp_path), recipe).batch(0)
    assert border is not None
    assert border.shape == labels.shape == images[:, 0].shape
    assert 0 <= border.min() < border.max() <= 1
    assert border[labels == 0].mean() > 5 * border[labels == 1].mean()


def test_without_a_patch_size_it_is_that_of_the_images_up_to_a_limit(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert patches_of(dataset, Recipe()).shape == (32, 32)
    monkeypatch.setattr(module, "LARGEST_PATCH", {2: 20})
    assert patches_of(dataset, Recipe()).shape == (20, 20)


def test_memory_for_images_is_bounded_by_what_is_left(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    one = patches_of(dataset).example(dataset.names[0]).nbytes
    monkeypatch.setattr(module, "available_memory", lambda: module.MEMORY_SHARE * (4 * one - 1))
    made = patches_of(dataset)
    batches = [made.batch(step) for step in range(4)]
    assert sum(example.nbytes for example in made._cache.values()) == 3 * one
    monkeypatch.setattr(module, "available_memory", lambda: 0)
    assert all(equal(patches_of(dataset).batch(step), batch) for step, batch in enumerate(batches))


def test_threads_make_the_batches_that_one_makes(dataset: Dataset) -> None:
    """Each at another turn of the images, and each reading images that another may be reading."""
    alone, together = patches_of(dataset), patches_of(dataset)
    steps = [step for turn in range(6) for step in (turn, 40 + turn, 90 + turn)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            batches = list(pool.map(together.batch, steps))
    finally:
        sys.setswitchinterval(interval)
    assert all(equal(alone.batch(step), batch) for step, batch in zip(steps, batches, strict=True))
    assert together._room == alone._room


def test_page_locking_and_moving_keep_a_batch_as_it_is(dataset: Dataset) -> None:
    batch = patches_of(dataset).batch(0)
    assert equal(batch.to(torch.device("cpu")), batch)
    assert batch.to(torch.device("cpu")).border is None


def test_remembered_places_are_few_and_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PLACES", 10)
    labels = np.zeros((40, 40), np.int16)
    labels[5:35], labels[0, 0] = 2, -1
    (places,) = module._find_places(labels)
    assert len(places) <= 20
    assert (labels[tuple(places.T)] == 2).all()
    assert np.ptp(places[:, 0]) > 25
