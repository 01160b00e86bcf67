"""The sheet shows each pixel in the color that its truth and prediction ask for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unetscope.errors import OutputError
from unetscope.reporting.sheet import CAPTION, COLORS, INVENTED, LARGEST, MISSED, Row, draw_sheet

GAP = 4  # between panels


def draw(rows: list[Row], folder: Path) -> np.ndarray:
    draw_sheet(rows, folder / "sheet.png")
    with Image.open(folder / "sheet.png") as picture:
        assert picture.mode == "RGB"
        return np.asarray(picture)


def panels(sheet: np.ndarray, shape: tuple[int, int]) -> list[np.ndarray]:
    """Image, label, segmentation and errors of the first row, one value for each square that shows a pixel."""
    zoom = max(1, LARGEST // max(shape))
    height, width = shape[0] * zoom, shape[1] * zoom
    shown = [
        sheet[CAPTION : CAPTION + height, start : start + width].astype(float)
        for start in range(0, 4 * (width + GAP), width + GAP)
    ]
    for panel in shown:
        assert np.array_equal(panel, panel[::zoom, ::zoom].repeat(zoom, axis=0).repeat(zoom, axis=1))
    return [panel[::zoom, ::zoom] for panel in shown]


def some_row(shape: tuple[int, ...] = (24, 40), channels: int = 1, classes: int = 3) -> Row:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 4095, (channels, *shape)).astype(np.uint16)
    return Row("a scan", image, rng.integers(0, classes, shape), rng.integers(0, classes, shape))


def test_every_panel_has_its_colors(tmp_path: Path) -> None:
    row = some_row()
    image, label, segmentation, errors = panels(draw([row], tmp_path), (24, 40))
    low, high = np.percentile(np.repeat(row.image, 3, axis=0), (0.5, 99.5))
    gray = np.clip((row.image[0].astype(float) - low) / (high - low), 0, 1)[..., None] * np.full(3, 255.0)
    np.testing.assert_allclose(image, gray, atol=0.51)
    for shown, labels in ((label, row.truth), (segmentation, row.prediction)):
        for value in range(3):
            expected = 0.55 * gray + 0.45 * COLORS[value] if value else gray
            np.testing.assert_allclose(shown[labels == value], expected[labels == value], atol=0.51)
    missed = (row.truth > 0) & (row.truth != row.prediction)
    invented = (row.truth == 0) & (row.prediction > 0)
    right = row.truth == row.prediction
    assert (errors[missed] == MISSED).all()
    assert (errors[invented] == INVENTED).all()
    np.testing.assert_allclose(errors[right], (0.5 * gray + 100)[right], atol=0.51)


def test_ignored_pixels_are_neither_labels_nor_errors(tmp_path: Path) -> None:
    row = Row("a", np.zeros((1, 16, 30), np.uint8), np.full((16, 30), -1, np.int16), np.ones((16, 30), np.uint8))
    image, label, _, errors = panels(draw([row], tmp_path), (16, 30))
    assert np.array_equal(label, image)
    assert (errors == 100).all()


def test_colors_repeat_beyond_the_palette_but_never_become_background(tmp_path: Path) -> None:
    count = len(COLORS)
    labels = np.arange(2 * count)[None].repeat(4, axis=0).astype(np.uint8)
    _, label, _, _ = panels(draw([Row("", np.zeros((1, *labels.shape)), labels, labels)], tmp_path), labels.shape)
    assert (label[0, 0] == 0).all()
    assert label[0, 1:].any(axis=-1).all()
    assert np.array_equal(label[0, 1:count], label[0, count : 2 * count - 1])


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_images_of_any_channels(tmp_path: Path, channels: int) -> None:
    image = panels(draw([some_row(channels=channels)], tmp_path), (24, 40))[0]
    is_gray = (image[..., 0] == image[..., 1]).all() and (image[..., 0] == image[..., 2]).all()
    assert is_gray == (channels < 3)


def test_of_a_volume_the_middle_plane_is_shown(tmp_path: Path) -> None:
    row = some_row((5, 20, 30))
    plane = Row(row.caption, row.image[:, 2], row.truth[2], row.prediction[2])
    assert np.array_equal(draw([row], tmp_path), draw([plane], tmp_path))


def test_large_images_are_thinned_out(tmp_path: Path) -> None:
    sheet = draw([some_row((30, 2 * LARGEST + 1))], tmp_path)
    assert sheet.shape[1] == 4 * (-(-(2 * LARGEST + 1) // 3) + GAP)


def test_rows_of_different_sizes_stand_below_each_other(tmp_path: Path) -> None:
    rows = [some_row((24, 40)), some_row((10, 90)), some_row((1, 1))]
    sheet = draw(rows, tmp_path)
    single = [draw([row], tmp_path) for row in rows]
    assert sheet.shape == (sum(one.shape[0] for one in single), max(one.shape[1] for one in single), 3)
    assert np.array_equal(sheet[: single[0].shape[0], : single[0].shape[1]], single[0])
    assert (sheet[: single[0].shape[0], single[0].shape[1] :] == 255).all()
    assert (single[1][:CAPTION] < 100).any(), "no caption"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"sheet\.png"):
        draw_sheet([some_row()], tmp_path / "file" / "sheet.png")
