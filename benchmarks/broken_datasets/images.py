"""Images that are damaged, or not like the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from broken_datasets.cases import SIDE, Array, Pairs, as_mask, cut, divided, paint, refused, repaired, save, write_masks

# --------------------------------------------------------------------------------------------------------- damaged


@refused("images/b.png", "damaged", "again")
def truncated_image(folder: Path) -> None:
    """The second half of an image is missing."""
    write_masks(folder)
    cut(folder / "images" / "b.png")


@refused("images/b.tif", "damaged", "again")
def truncated_tiff(folder: Path) -> None:
    """The second half of a TIFF image is missing."""
    write_masks(folder)
    (folder / "images" / "b.png").unlink()
    cut(save(folder / "images" / "b.tif", paint()["b"][0], compression="zlib"))


@refused("images/b.png", "damaged or of another format", "again")
def text_called_png(folder: Path) -> None:
    """An image is a text file, such as an error page that a browser saved."""
    write_masks(folder)
    (folder / "images" / "b.png").write_text("<html>404 Not Found</html>")


@refused("images/b.png", "0 bytes", "again")
def image_of_no_bytes(folder: Path) -> None:
    """An image is an empty file."""
    write_masks(folder)
    (folder / "images" / "b.png").write_bytes(b"")


@refused("images/b.npy", "no pixels", "again")
def image_without_pixels(folder: Path) -> None:
    """An image has no rows."""
    write_masks(folder)
    (folder / "images" / "b.png").unlink()
    np.save(folder / "images" / "b.npy", np.zeros((0, SIDE), np.uint8))


@refused("images/b.npy", "Python objects", "again")
def pickled_image(folder: Path) -> None:
    """An image is a NumPy file of objects, which could run a program."""
    write_masks(folder)
    (folder / "images" / "b.png").unlink()
    np.save(folder / "images" / "b.npy", np.array([{}], object), allow_pickle=True)


@refused("images/b.tif", "NaN", "replace")
def image_with_nan(folder: Path) -> None:
    """One pixel of an image is no number."""
    _replace_by_floats(folder, np.nan)


@refused("images/b.tif", "infinit", "replace")
def image_with_infinity(folder: Path) -> None:
    """One pixel of an image is infinite."""
    _replace_by_floats(folder, np.inf)


def _replace_by_floats(folder: Path, value: float) -> None:
    """The good dataset with an image in which one pixel has this value."""
    write_masks(folder)
    (folder / "images" / "b.png").unlink()
    image = paint()["b"][0].astype(np.float32)
    image[7, 9] = value
    save(folder / "images" / "b.tif", image)


@repaired("images/b.png", "same value 90 everywhere", "export it again")
def constant_image(folder: Path) -> Pairs:
    """An image has the same value everywhere: there is a warning."""
    pairs = dict(write_masks(folder))
    flat = np.full((SIDE, SIDE), 90, np.uint8)
    save(folder / "images" / "b.png", flat)
    return pairs | {"b": (flat[None], pairs["b"][1])}


@repaired("images/b.png", "same value 90 everywhere", "move it away")
def image_of_one_pixel(folder: Path) -> Pairs:
    """An image has one pixel: there is a warning."""
    pairs = dict(write_masks(folder))
    image, labels = np.full((1, 1), 90, np.uint8), np.zeros((1, 1), np.uint8)
    save(folder / "images" / "b.png", image)
    save(folder / "labels" / "b.png", labels)
    return pairs | {"b": (image[None], labels)}


# -------------------------------------------------------------------------------------------- not like the others


@repaired("", "of type uint16 (c)", "save all with one type")
def one_image_of_16_bits(folder: Path) -> Pairs:
    """One image has 16 bits, the others have 8: there is a warning."""
    pairs = dict(write_masks(folder))
    image = (paint()["c"][0] * np.uint16(257)).astype(np.uint16)
    (folder / "images" / "c.png").unlink()
    save(folder / "images" / "c.tif", image)
    return pairs | {"c": (image[None], pairs["c"][1])}


@repaired()
def gray_image_among_colors(folder: Path) -> Pairs:
    """One image is gray, the others are in colors: its channel is repeated."""
    expected = {}
    for name, (image, labels) in write_masks(folder).items():
        if name != "c":
            save(folder / "images" / f"{name}.png", _in_colors(image[0]))
        expected[name] = np.stack([image[0]] * 3), labels
    return expected


@refused("images/c.tif", "5", "channels", "save all with the same channels")
def five_channels_among_three(folder: Path) -> None:
    """One image has five channels, the others have three."""
    write_masks(folder)
    for name, (image, _) in paint().items():
        save(folder / "images" / f"{name}.png", _in_colors(image))
    (folder / "images" / "c.png").unlink()
    save(folder / "images" / "c.tif", np.stack([paint()["c"][0]] * 5), metadata={"axes": "CYX"})


@repaired()
def opaque_images(folder: Path) -> Pairs:
    """Images have an alpha channel that is the same everywhere: it is left out."""
    expected = {}
    for name, (image, labels) in write_masks(folder).items():
        colors = _in_colors(image[0])
        save(folder / "images" / f"{name}.png", np.dstack([colors, np.full((SIDE, SIDE), 255, np.uint8)]))
        expected[name] = np.moveaxis(colors, -1, 0), labels
    return expected


@refused("images/a.png", "alpha channel", "flatten")
def transparent_images(folder: Path) -> None:
    """Images have an alpha channel that says something."""
    write_masks(folder)
    for name, (image, _) in paint().items():
        save(folder / "images" / f"{name}.png", np.dstack([_in_colors(image), image]))


@repaired()
def palette_images(folder: Path) -> Pairs:
    """Images are palette PNGs, of which the colors count."""
    expected = {}
    for name, (image, labels) in write_masks(folder).items():
        picture = Image.fromarray(image[0])
        picture.putpalette([channel for gray in range(256) for channel in (255 - gray, gray, gray // 2)])
        picture.save(folder / "images" / f"{name}.png")
        gray = image[0]
        expected[name] = np.stack([255 - gray, gray, gray // 2]), labels
    return expected


@repaired()
def photographs_on_their_side(folder: Path) -> Pairs:
    """Images are JPEG files on their side, as the camera noted: they are read upright, as every program shows them."""
    expected = {}
    for name, (image, labels) in write_masks(folder).items():
        (folder / "images" / f"{name}.png").unlink()
        path = folder / "images" / f"{name}.jpg"
        noted = Image.Exif()
        noted[0x0112] = 6
        Image.fromarray(np.rot90(image[0])).save(path, exif=noted, quality=95)
        expected[name] = np.rot90(np.asarray(Image.open(path)), -1)[None], labels
    return expected


@refused("images/a.jpg", "CMYK", "RGB")
def photographs_for_printers(folder: Path) -> None:
    """Images are JPEG files in the colors of printers."""
    write_masks(folder)
    for path in list((folder / "images").iterdir()):
        Image.open(path).convert("CMYK").save(path.with_suffix(".jpg"))
        path.unlink()


@refused("", "6 .bmp", ".png", "convert")
def images_of_an_unread_format(folder: Path) -> None:
    """Images are BMP files."""
    write_masks(folder)
    for path in list((folder / "images").iterdir()):
        Image.open(path).save(path.with_suffix(".bmp"))
        path.unlink()


@refused("images/c.bmp", ".png", "convert")
def one_image_of_an_unread_format(folder: Path) -> None:
    """One image is a BMP file, the others are PNG."""
    write_masks(folder)
    save(folder / "images" / "c.bmp", paint()["c"][0])
    (folder / "images" / "c.png").unlink()


@refused("images/a.tif", "3 pages", "its own file")
def pages_for_one_mask(folder: Path) -> None:
    """Images are TIFF files of three pages, and masks have one."""
    _write_pages(folder, 3)


@repaired(axes="CYX")
def pages_that_are_channels(folder: Path) -> Pairs:
    """Images are TIFF files whose three pages are channels, as --axes CYX says."""
    return _write_pages(folder, 3)


def _write_pages(folder: Path, count: int) -> Pairs:
    """The good dataset, every image in several pages."""
    expected = {}
    for name, (image, labels) in write_masks(folder).items():
        (folder / "images" / f"{name}.png").unlink()
        pages = np.stack([image[0] // (1 + page) for page in range(count)])
        save(folder / "images" / f"{name}.tif", pages, photometric="minisblack")
        expected[name] = pages, labels
    return expected


@repaired()
def planes_that_name_each_other(folder: Path) -> Pairs:
    """Images are OME-TIFF files of one plane each, and say that they are one stack together."""
    pairs = write_masks(folder)
    notes = divided({f"{name}.tif": 1 for name in pairs}, (len(pairs), SIDE, SIDE))
    for name, (image, _) in pairs.items():
        (folder / "images" / f"{name}.png").unlink()
        save(folder / "images" / f"{name}.tif", image[0], description=notes, metadata=None)
    return pairs


@refused("images/a.tif", "2 images of different sizes", "its own file")
def image_with_a_preview(folder: Path) -> None:
    """A TIFF file holds a preview beside the image, and does not say which is which."""
    write_masks(folder)
    (folder / "images" / "a.png").unlink()
    image = paint()["a"][0]
    with tifffile.TiffWriter(folder / "images" / "a.tif") as file:
        file.write(image)
        file.write(image[::4, ::4].copy())


def _in_colors(image: Array) -> Array:
    """A gray image in three equal channels, the last axis."""
    return np.stack([image] * 3, axis=-1)


@refused("test/images/b.png", "the same image", "remove one")
def test_image_that_trains(folder: Path) -> None:
    """The same image is in train and in test."""
    for index, (name, (image, labels)) in enumerate(paint().items()):
        part = "test" if index > 3 else "train"
        save(folder / part / "images" / f"{name}.png", image)
        save(folder / part / "labels" / f"{name}.png", as_mask(labels))
    image, labels = paint()["b"]
    save(folder / "test" / "images" / "b.png", image)
    save(folder / "test" / "labels" / "b.png", as_mask(labels))


@repaired("images/c.png", "same labels, which then counts 2 times")
def image_that_comes_twice(folder: Path) -> Pairs:
    """One image and its mask come twice under two names: there is a warning."""
    pairs = dict(write_masks(folder))
    image, labels = paint()["a"]
    save(folder / "images" / "c.png", image)
    save(folder / "labels" / "c.png", as_mask(labels))
    return pairs | {"c": pairs["a"]}
