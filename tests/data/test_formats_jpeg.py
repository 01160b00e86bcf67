from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from unetscope.data.images import count_channels, label_ndim, read_image, read_labels, read_spacing, write_labels
from unetscope.errors import ImageError, OutputError

RNG = np.random.default_rng(0)
GRAY = np.kron(RNG.integers(0, 256, (2, 3), np.uint8), np.ones((8, 8), np.uint8))
COLOR = np.dstack([GRAY, GRAY[::-1], GRAY[:, ::-1]])


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG"])
@pytest.mark.parametrize("stored", [GRAY, COLOR], ids=["gray", "color"])
def test_photos_are_read_as_pillow_does(tmp_path: Path, name: str, stored: np.ndarray) -> None:
    Image.fromarray(stored).save(tmp_path / name, dpi=(300, 300))
    expected = np.asarray(Image.open(tmp_path / name)).reshape(*GRAY.shape, -1).transpose(2, 0, 1)
    np.testing.assert_array_equal(read_image(tmp_path / name), expected)
    assert count_channels(tmp_path / name) == len(expected)
    assert read_spacing(tmp_path / name) is None
    assert label_ndim(tmp_path / name) == 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(COLOR).save(tmp_path / "a.jpg", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "a.jpg"))).transpose(2, 0, 1)
    image = read_image(tmp_path / "a.jpg")
    np.testing.assert_array_equal(image, expected)
    assert (image.shape[1] > image.shape[2]) == (orientation >= 5)


def test_labels_in_a_jpeg_are_refused(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match=r"a\.jpg is a JPEG, whose lossy compression invents values .* as PNG"):
        read_labels(tmp_path / "a.jpg")
    with pytest.raises(OutputError, match="choose one"):
        write_labels(tmp_path / "b.jpg", GRAY)
    assert not (tmp_path / "b.jpg").exists()


def test_colors_of_a_printer_are_refused(tmp_path: Path) -> None:
    Image.fromarray(COLOR).convert("CMYK").save(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match="CMYK colors, and gray or RGB is read"):
        read_image(tmp_path / "a.jpg")


def test_truncated_photos_are_refused(tmp_path: Path) -> None:
    Image.fromarray(RNG.integers(0, 256, (64, 64, 3), np.uint8)).save(tmp_path / "whole.jpg")
    content = (tmp_path / "whole.jpg").read_bytes()
    for length in range(0, len(content) - 16, 97):
        (tmp_path / "a.jpg").write_bytes(content[:length])
        with pytest.raises(ImageError, match=r"a\.jpg (is empty|cannot be read as jpg)"):
            read_image(tmp_path / "a.jpg")
