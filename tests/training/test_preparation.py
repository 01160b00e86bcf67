"""Few images are cut into blocks, volumes come to one spacing, and the run remembers both."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import nibabel
import numpy as np
import pytest

from unetscope.data.dataset import Dataset
from unetscope.data.images import write_image, write_labels
from unetscope.data.scenes import write_dataset
from unetscope.errors import DataError
from unetscope.evaluation import evaluate, see, select
from unetscope.model.geometry import context
from unetscope.model.spec import UNetSpec
from unetscope.segmentation import Segmenter, segment
from unetscope.training.loop import train
from unetscope.training.preparation import choose_normalization, choose_spacing, cut_few, find_gap
from unetscope.training.recipe import Recipe

SPEC = UNetSpec.by_level((4, 8), norm="batch")
SHORT = Recipe(epochs=1, epoch_steps=2, batch=2, patch=16)


def write_strips(folder: Path, count: int, shape: tuple[int, ...] = (120, 40)) -> Dataset:
    """Images whose labels are seen in them."""
    for index in range(count):
        truth = (np.random.default_rng(index).random(shape) < 0.3).astype(np.uint8)
        write_image(folder / "images" / f"{index}.tif", truth * np.uint8(100 + index))
        write_labels(folder / "labels" / f"{index}.tif", truth)
    return Dataset.open(folder)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_one_to_five_images_are_cut_with_a_gap_as_wide_as_the_margin(tmp_path: Path, count: int) -> None:
    dataset = write_strips(tmp_path, count)
    cut = cut_few(dataset, SPEC)
    assert len(cut.items) == 3 * count
    assert find_gap(cut, SPEC) == context(SPEC)
    for item in dataset.items:
        boxes = sorted(block.box for block in cut.items if block.image == item.image and block.box)
        for (above, _), (below, _) in pairwise(boxes):
            assert below[0] - above[1] >= context(SPEC)[0]


def test_more_images_and_given_roles_and_small_images_stay_whole(tmp_path: Path) -> None:
    many = write_strips(tmp_path / "many", 6)
    assert cut_few(many, SPEC) is many
    given = replace(many, items=tuple(replace(item, part="train") for item in many.items[:3]))
    assert cut_few(given, SPEC) is given
    small = write_strips(tmp_path / "small", 2, (12, 12))
    assert cut_few(small, SPEC) is small
    with pytest.raises(DataError, match="12 x 12 pixels"):
        cut_few(write_strips(tmp_path / "one", 1, (12, 12)), SPEC)


def test_one_image_is_enough_to_train_to_validate_and_to_test(tmp_path: Path) -> None:
    dataset = write_strips(tmp_path / "data", 1)
    checkpoint = train(dataset, tmp_path / "run", SPEC, SHORT)
    assert {role: len(names) for role, names in checkpoint.split.items()} == {
        "train": 1, "validation": 1, "profile": 1, "test": 1,
    }  # fmt: skip
    scores = evaluate(checkpoint, dataset)
    assert [image.name for image in scores.images] == list(checkpoint.split["test"])
    again = train(dataset, tmp_path / "run", resume="exactly")
    assert again.digest() == checkpoint.digest()


def test_blocks_are_found_again_by_content_and_new_images_are_tested_whole(tmp_path: Path) -> None:
    dataset = write_strips(tmp_path / "data", 2)
    checkpoint = train(dataset, tmp_path / "run", SPEC, SHORT)
    for index, name in enumerate(("moved", "other")):
        (tmp_path / "new" / "images").mkdir(parents=True, exist_ok=True)
        (tmp_path / "new" / "labels").mkdir(parents=True, exist_ok=True)
        for kind in ("images", "labels"):
            (tmp_path / "new" / kind / f"{name}.tif").write_bytes(
                (tmp_path / "data" / kind / f"{index}.tif").read_bytes()
            )
    write_image(tmp_path / "new" / "images" / "other.tif", np.full((50, 40), 7, np.uint8))
    write_labels(tmp_path / "new" / "labels" / "other.tif", np.eye(50, 40, dtype=np.uint8))
    seen = see(checkpoint, Dataset.open(tmp_path / "new"))
    assert sorted(item.name for item in select(checkpoint, seen, "test")) == ["moved#test", "other"]
    assert [item.name for item in select(checkpoint, seen, "validation")] == ["moved#validation"]


def write_volumes(folder: Path, steps: list[tuple[float, float, float]]) -> Dataset:
    """Volumes of one physical extent at different spacings, as NIfTI (which has x first)."""
    for index, (z, y, x) in enumerate(steps):
        shape = (round(24 / z), round(24 / y), round(24 / x))
        grid = np.stack(np.meshgrid(*((np.arange(n) + 0.5) / n for n in shape), indexing="ij"))
        truth = (np.square(grid - 0.5).sum(axis=0) < 0.1).astype(np.uint8)
        for kind, array in (("images", truth * 50.0 + np.random.default_rng(index).random(shape)), ("labels", truth)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            volume = nibabel.Nifti1Image(array.T.astype(np.float32), np.diag([x, y, z, 1.0]))
            volume.header.set_xyzt_units("mm")
            nibabel.save(volume, folder / kind / f"{index}.nii.gz")
    return Dataset.open(folder)


def test_volumes_are_learned_at_their_median_spacing_and_labelled_on_their_own_grid(tmp_path: Path) -> None:
    steps = [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (2.0, 1.0, 1.0), (2.0, 1.0, 1.0), (4.0, 1.0, 1.0), (2.0, 2.0, 1.0)]
    dataset = write_volumes(tmp_path / "data", steps)
    spec = UNetSpec.by_level((4, 8), ndim=3, norm="batch")
    checkpoint = train(dataset, tmp_path / "run", spec, SHORT)
    assert checkpoint.spacing is not None
    assert checkpoint.spacing.steps == (2.0, 1.0, 1.0)
    segmenter = Segmenter(checkpoint)
    for item in dataset.items:
        image, truth = dataset.read(item)
        spacing = dataset.read_spacing(item)
        assert segmenter.grid(truth.shape, spacing) == (12, 24, 24)
        assert segmenter.labels(image, item.name, spacing).shape == truth.shape
        assert np.array_equal(segment(checkpoint, image, spacing=spacing), segmenter.labels(image, item.name, spacing))
    assert evaluate(checkpoint, dataset, "all").dice is not None


def test_labels_are_taken_before_they_are_brought_back(tmp_path: Path) -> None:
    """Every pixel of the result is the label of the network's pixel under its center."""
    dataset = write_volumes(tmp_path / "data", [(2.0, 1.0, 1.0)] * 6)
    spec = UNetSpec.by_level((4, 8), ndim=3, norm="batch")
    segmenter = Segmenter(train(dataset, tmp_path / "run", spec, SHORT))
    coarse, _ = dataset.read(dataset.items[0])
    fine = coarse.repeat(2, axis=1)
    spacing = replace(dataset.read_spacing(dataset.items[0]), steps=(1.0, 1.0, 1.0))
    found = segmenter.labels(fine, "fine", spacing)
    assert np.array_equal(found[0::2], found[1::2])


def test_spacing_can_be_left_as_stored(tmp_path: Path) -> None:
    dataset = write_volumes(tmp_path, [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0)])
    split = dataset.split()
    assert choose_spacing(dataset, split, Recipe(spacing="stored")) is None
    assert choose_spacing(dataset, split, Recipe()) is not None


def test_ct_gets_a_window_by_itself(tmp_path: Path) -> None:
    write_dataset(tmp_path, "nuclei", train=3, test=1, shape=(32, 32))
    dataset = Dataset.open(tmp_path)
    split = dataset.split()
    assert choose_normalization(replace(dataset, modality="CT"), split, Recipe()).scheme == "window"
    assert choose_normalization(dataset, split, Recipe()).scheme != "window"
    assert choose_normalization(dataset, split, Recipe(normalization="window")).scheme == "window"
