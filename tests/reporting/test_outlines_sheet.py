"""The sheet shows every n-th image with the borders of its labels, each in the color of its class."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from skimage.segmentation import find_boundaries

from unetscope.data.dataset import Dataset
from unetscope.data.images import write_image, write_labels
from unetscope.data.scenes import write_dataset
from unetscope.errors import OutputError
from unetscope.reporting.outlines import CELL, draw_outline_sheet, outline, pick_items
from unetscope.reporting.sheet import COLORS

HEAD, CAPTION, GAP = 30, 18, 8


def draw(dataset: Dataset, folder: Path, count: int = 24) -> np.ndarray:
    draw_outline_sheet(dataset, folder / "sheet.png", count)
    with Image.open(folder / "sheet.png") as picture:
        assert picture.mode == "RGB"
        return np.asarray(picture)


def cell(sheet: np.ndarray, column: int, shape: tuple[int, int] = (CELL, CELL)) -> np.ndarray:
    """The picture of a cell in the first row."""
    left = GAP + column * (CELL + GAP)
    return sheet[HEAD + CAPTION : HEAD + CAPTION + shape[0], left : left + shape[1]]


def write_classes(folder: Path, labels: np.ndarray, images: list[np.ndarray], extra: str = "") -> Dataset:
    (folder / "dataset.toml").write_text(f'classes = ["sea", "land", "ice"]\nvalues = [0, 1, 2]\n{extra}')
    for index, image in enumerate(images):
        write_image(folder / "images" / f"image{index:02d}.tif", image)
        write_labels(folder / "labels" / f"image{index:02d}.tif", labels)
    return Dataset.open(folder)


# ------------------------------------------------------------------------------------------------------- outlines


@settings(deadline=None, max_examples=50)
@given(arrays.arrays(np.int16, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(-1, 9)))
def test_borders_are_those_of_scikit_image_and_all_else_is_as_it_was(labels: np.ndarray) -> None:
    picture = np.random.default_rng(0).random((*labels.shape, 3)) * 255
    before = picture.copy()
    drawn = outline(picture, labels)
    is_border = find_boundaries(labels, mode="thick", connectivity=1) & (labels > 0)
    colors = COLORS[1:][(labels[is_border].astype(int) - 1) % (len(COLORS) - 1)]
    np.testing.assert_array_equal(drawn[is_border], colors)
    is_plain = ~is_border & (labels >= 0)
    np.testing.assert_array_equal(drawn[is_plain], picture[is_plain])
    assert np.array_equal(picture, before)


def test_ignored_pixels_are_hatched_in_part() -> None:
    labels = np.zeros((32, 32), np.int16)
    labels[:, 16:] = -1
    drawn = outline(np.zeros((32, 32, 3)), labels)
    assert not drawn[:, :16].any()
    assert 0.2 < drawn[:, 16:].any(axis=-1).mean() < 0.6


# ---------------------------------------------------------------------------------------------------------- sheets


def test_a_picture_of_the_cells_size_is_shown_pixel_by_pixel(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.zeros((CELL, CELL), np.uint8)
    labels[50:90, 60:120], labels[90:200, 60:120] = 1, 2
    image = rng.integers(0, 256, (3, CELL, CELL), np.uint8)
    shown = cell(draw(write_classes(tmp_path, labels, [image, image]), tmp_path), 0)
    low, high = np.percentile(image, (0.5, 99.5))
    stretched = np.moveaxis(np.clip((image - low) / (high - low), 0, 1) * 255, 0, -1)
    is_border = find_boundaries(labels, mode="thick", connectivity=1) & (labels > 0)
    np.testing.assert_allclose(shown[~is_border], stretched[~is_border], atol=0.51)
    np.testing.assert_array_equal(shown[is_border], COLORS[labels[is_border]])


@pytest.mark.parametrize("size", [(20, 16), (CELL // 2, CELL // 2), (3 * CELL, 2 * CELL), (1000, 7)])
def test_images_of_any_size_fill_their_cell(tmp_path: Path, size: tuple[int, int]) -> None:
    labels = np.zeros(size, np.uint8)
    labels[: size[0] // 2] = 1
    image = np.tile(np.linspace(0, 255, size[1]).astype(np.uint8), (size[0], 1))
    sheet = draw(write_classes(tmp_path, labels, [image, image]), tmp_path)
    scale = CELL / max(size)
    shape = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    shown = cell(sheet, 0, shape)
    rows = np.flatnonzero((shown == COLORS[1]).all(axis=(1, 2)))
    assert len(rows) == 1, "one line at the border of the upper half"
    assert abs(int(rows[0]) - shape[0] / 2) <= 1.5
    assert (cell(sheet, 0)[shape[0] :] == 255).all()


def test_objects_that_labels_number_are_all_outlined(tmp_path: Path) -> None:
    (tmp_path / "dataset.toml").write_text('kind = "instances"\n')
    labels = np.zeros((CELL, CELL), np.uint16)
    labels[10:50, 10:50], labels[10:50, 50:90] = 1, 2
    for name in "ab":
        write_image(tmp_path / "images" / f"{name}.tif", np.zeros((CELL, CELL), np.uint8))
        write_labels(tmp_path / "labels" / f"{name}.tif", labels)
    shown = cell(draw(Dataset.open(tmp_path), tmp_path), 0)
    assert np.array_equal(shown[30, 49], COLORS[1])
    assert np.array_equal(shown[30, 50], COLORS[2])


def test_ignored_pixels_and_volumes(tmp_path: Path) -> None:
    labels = np.zeros((5, CELL, CELL), np.uint8)
    labels[2, 100:] = 9
    labels[3, :, 100:] = 1
    image = np.zeros((5, CELL, CELL), np.uint8)
    dataset = write_classes(tmp_path, labels, [image[None], image[None]], "ignore = 9\n")
    shown = cell(draw(dataset, tmp_path), 0)
    assert not shown[:100].any(), "of a volume the middle plane is shown"
    assert shown[100:].any()


@pytest.mark.parametrize(
    ("images", "count", "expected"), [(5, 24, 5), (24, 24, 24), (25, 24, 13), (50, 24, 17), (9, 1, 1)]
)
def test_every_nth_image_is_picked(tmp_path: Path, images: int, count: int, expected: int) -> None:
    picked = pick_items(range(images), count)
    assert len(picked) == expected <= count
    assert len({b - a for a, b in pairwise(picked)}) <= 1
    assert picked[0] == 0


def test_the_sheet_is_the_same_each_time_and_has_as_many_cells_as_images(tmp_path: Path) -> None:
    write_dataset(tmp_path, "cells", train=7, test=1, shape=(40, 40))
    dataset = Dataset.open(tmp_path)
    sheet = draw(dataset, tmp_path)
    assert sheet.shape == (HEAD + 2 * (CAPTION + CELL + GAP), GAP + 6 * (CELL + GAP), 3)
    assert np.array_equal(sheet, draw(dataset, tmp_path))
    assert draw(dataset, tmp_path, count=2).shape == (HEAD + CAPTION + CELL + GAP, GAP + 2 * (CELL + GAP), 3)
    captions = sheet[HEAD : HEAD + CAPTION, GAP : GAP + CELL]
    assert (captions < 100).any(), "no name above the image"
    legend = sheet[:HEAD].reshape(-1, 3)
    assert any(np.array_equal(pixel, COLORS[1]) for pixel in legend), "no color for the class"


def test_an_image_that_cannot_be_read_is_an_empty_cell(tmp_path: Path) -> None:
    labels = np.zeros((CELL, CELL), np.uint8)
    labels[:9] = 1
    dataset = write_classes(tmp_path, labels, [np.full((CELL, CELL), value, np.uint8) for value in (0, 1)])
    (tmp_path / "images" / "image01.tif").write_bytes(b"no image")
    sheet = draw(dataset, tmp_path)
    assert (cell(sheet, 1)[: CELL // 2] == 235).all()
    assert (sheet[HEAD : HEAD + CAPTION, GAP + CELL + GAP :] < 100).any()


def test_long_names_stay_in_their_cell(tmp_path: Path) -> None:
    for name in ("a", "b"):
        stem = name * 120
        write_image(tmp_path / "images" / f"{stem}.tif", np.eye(40, dtype=np.uint8))
        write_labels(tmp_path / "labels" / f"{stem}.tif", np.eye(40, dtype=np.uint8))
    sheet = draw(Dataset.open(tmp_path), tmp_path)
    between = sheet[HEAD : HEAD + CAPTION, GAP + CELL : GAP + CELL + GAP]
    assert (between == 255).all()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    dataset = write_classes(tmp_path, np.eye(8, dtype=np.uint8), [np.eye(8, dtype=np.uint8)] * 2)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"sheet\.png"):
        draw_outline_sheet(dataset, tmp_path / "file" / "sheet.png")
