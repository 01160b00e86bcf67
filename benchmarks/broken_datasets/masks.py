"""Masks whose pixels are not what they should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from broken_datasets.cases import (
    NAMES,
    SIDE,
    Array,
    Pairs,
    as_mask,
    cut,
    declare,
    paint,
    refused,
    repaired,
    save,
    truth,
    write,
    write_masks,
)

# ---------------------------------------------------------------------------------------------------- saved wrongly


@refused("labels/a.jpg", "JPEG", "export the labels as .png")
def masks_as_jpeg(folder: Path) -> None:
    """Masks are JPEG files."""
    write_masks(folder, suffix=".jpg")


@refused("labels/a.png", "damaged or of another format", "export it again")
def jpeg_called_png(folder: Path) -> None:
    """Masks are JPEG files that were renamed to .png."""
    write_masks(folder, suffix=".jpg")
    for path in (folder / "labels").iterdir():
        path.rename(path.with_suffix(".png"))


@refused("labels/a.png", "threshold")
def masks_once_jpeg(folder: Path) -> None:
    """Masks were JPEG files before, so every edge has many values."""
    write_masks(folder, suffix=".jpg")
    for path in sorted((folder / "labels").iterdir()):
        save(path.with_suffix(".png"), np.asarray(Image.open(path)))
        path.unlink()


@refused("labels/a.png", "threshold")
def masks_resized_smoothly(folder: Path) -> None:
    """Masks were resized with interpolation, so edges are soft."""
    write_masks(folder, lambda mask: ndimage.gaussian_filter(mask, 1))


@refused("labels/a.png", "threshold")
def masks_with_few_soft_values(folder: Path) -> None:
    """Masks hold 0, 12, 127 and 255: some drawing program smoothed their edges."""

    def soften(mask: Array) -> Array:
        rim = ndimage.binary_dilation(mask > 0) & (mask == 0)
        mask[rim] = np.where(np.arange(rim.sum()) % 2, 12, 127)
        return mask

    write_masks(folder, soften)


@refused("labels/c.png", "threshold", "from 1 to 255")
def one_soft_mask_among_declared_masks(folder: Path) -> None:
    """Declared masks, and one of them has a soft edge."""
    write_masks(folder)
    declare(folder, 'kind = "mask"')
    soft = as_mask(paint()["c"][1])
    soft[:2, :20] = np.arange(1, 21)
    save(folder / "labels" / "c.png", soft)


@refused("dataset.toml", "0, 1, 255", "the same two values")
def one_mask_of_ones(folder: Path) -> None:
    """One mask holds 0 and 1, the others 0 and 255."""
    write_masks(folder)
    save(folder / "labels" / "d.png", paint()["d"][1])


@repaired()
def palette_masks(folder: Path) -> Pairs:
    """Masks are palette PNGs, as annotation programs write them: the numbers count, not the colors."""
    pairs = paint(classes=3)
    write(folder, pairs)
    for name, (_, labels) in pairs.items():
        picture = Image.fromarray(labels)
        picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
        picture.save(folder / "labels" / f"{name}.png")
    return truth(pairs)


@refused("labels/c.png", "palette")
def palettes_in_different_orders(folder: Path) -> None:
    """Masks are palette PNGs, and in one of them the colors of 0 and 1 are exchanged."""
    for name, (image, labels) in paint().items():
        save(folder / "images" / f"{name}.png", image)
        picture = Image.fromarray(1 - labels if name == "c" else labels)
        picture.putpalette([255, 255, 255, 0, 0, 0] if name == "c" else [0, 0, 0, 255, 255, 255])
        (folder / "labels").mkdir(exist_ok=True)
        picture.save(folder / "labels" / f"{name}.png")


@repaired()
def masks_of_one_bit(folder: Path) -> Pairs:
    """Masks have one bit a pixel."""
    return write_masks(folder, lambda mask: mask > 0)


@repaired()
def masks_of_true_and_false(folder: Path) -> Pairs:
    """Masks are TIFF files of true and false."""
    return write_masks(folder, lambda mask: mask > 0, ".tif")


@repaired()
def masks_in_which_0_is_white(folder: Path) -> Pairs:
    """Masks are TIFF files that say that 0 is white: white is foreground, as every program shows it."""
    pairs = write_masks(folder, suffix=".tif")
    for path in (folder / "labels").iterdir():
        save(path, as_mask(1 - paint()[path.stem][1]), photometric="miniswhite")
    return pairs


@repaired()
def masks_of_floats(folder: Path) -> Pairs:
    """Masks are TIFF files of 0.0 and 1.0."""
    return write_masks(folder, lambda mask: (mask / 255).astype(np.float32), ".tif")


@refused("labels/a.tif", "fractions or NaN", "round")
def masks_of_probabilities(folder: Path) -> None:
    """Masks hold a network's probabilities."""
    write_masks(folder, lambda mask: ndimage.gaussian_filter(mask / 255, 1).astype(np.float32), ".tif")


@refused("labels/b.npy", "fractions or NaN", "save it again")
def mask_with_nan(folder: Path) -> None:
    """One mask holds NaN where nobody annotated."""
    write_masks(folder, lambda mask: mask.astype(np.float32), ".npy")
    labels = np.load(folder / "labels" / "b.npy")
    labels[:3] = np.nan
    np.save(folder / "labels" / "b.npy", labels)


@refused("labels/a.tif", "value -1", "renumber")
def negative_labels(folder: Path) -> None:
    """Masks hold -1 where nobody annotated."""

    def leave_open(mask: Array) -> Array:
        labels = (mask // 255).astype(np.int16)
        labels[:2] = -1
        return labels

    write_masks(folder, leave_open, ".tif")


@refused("labels/e.png", "damaged", "again")
def truncated_mask(folder: Path) -> None:
    """The second half of a mask is missing."""
    write_masks(folder)
    cut(folder / "labels" / "e.png")


@refused("labels/e.tif", "damaged", "again")
def truncated_tiff_mask(folder: Path) -> None:
    """The second half of a TIFF mask is missing."""
    write_masks(folder, suffix=".tif")
    cut(folder / "labels" / "e.tif")


@refused("labels/b.png", "0 bytes", "again")
def mask_of_no_bytes(folder: Path) -> None:
    """A mask is an empty file."""
    write_masks(folder)
    (folder / "labels" / "b.png").write_bytes(b"")


# --------------------------------------------------------------------------------------------------- in wrong places


@refused("", "mirrored along x", "mend")
def mirrored_masks(folder: Path) -> None:
    """All masks are mirrored."""
    write_masks(folder, lambda mask: mask[:, ::-1])


@refused("", "mirrored along y", "mend")
def masks_upside_down(folder: Path) -> None:
    """All masks are upside down, because the origin was taken to be at the bottom."""
    write_masks(folder, lambda mask: mask[::-1])


@refused("", "y and x exchanged", "mend")
def transposed_masks(folder: Path) -> None:
    """In all masks x and y are exchanged."""
    write_masks(folder, lambda mask: mask.T)


@refused("", "-4 pixels along x", "mend")
def shifted_masks(folder: Path) -> None:
    """All masks lie 4 pixels to the right of their images."""
    write_masks(folder, lambda mask: np.roll(mask, 4, axis=1))


@repaired("labels/d.png", "fits", "mirrored along x")
def one_mirrored_mask(folder: Path) -> Pairs:
    """One mask alone is mirrored: perhaps meant, so there is a warning."""
    pairs = dict(write_masks(folder))
    image, labels = pairs["d"]
    save(folder / "labels" / "d.png", as_mask(labels[:, ::-1]))
    return pairs | {"d": (image, labels[:, ::-1])}


@repaired("labels/d.png", "the other way round")
def one_inverted_mask(folder: Path) -> Pairs:
    """In one mask foreground and background are exchanged: perhaps meant, so there is a warning."""
    pairs = dict(write_masks(folder))
    image, labels = pairs["d"]
    save(folder / "labels" / "d.png", as_mask(1 - labels))
    return pairs | {"d": (image, 1 - labels)}


@repaired("labels/b.png", "look whether it belongs to another image")
def two_masks_exchanged(folder: Path) -> Pairs:
    """Two masks have each other's names: perhaps meant, so there is a warning."""
    pairs = dict(write_masks(folder))
    (a, first), (b, second) = pairs["a"], pairs["b"]
    save(folder / "labels" / "a.png", as_mask(second))
    save(folder / "labels" / "b.png", as_mask(first))
    return pairs | {"a": (a, second), "b": (b, first)}


@refused("labels/c.png", f"{SIDE - 1} x {SIDE}", "export")
def mask_one_row_short(folder: Path) -> None:
    """One mask has a row less than its image."""
    write_masks(folder)
    save(folder / "labels" / "c.png", as_mask(paint()["c"][1])[:-1])


@refused("labels/a.png", f"{SIDE // 2} x {SIDE // 2}", "export")
def masks_of_half_size(folder: Path) -> None:
    """All masks have half the resolution of their images."""
    write_masks(folder, lambda mask: mask[::2, ::2])


@refused("labels/a.png", "photograph", "exchange the folders")
def images_among_labels(folder: Path) -> None:
    """The folders have each other's names: images are in labels, and masks in images."""
    for name, (image, labels) in paint().items():
        save(folder / "labels" / f"{name}.png", image - np.minimum(image, 45))
        save(folder / "images" / f"{name}.png", as_mask(labels))


@refused("labels/a.png", "the same as")
def one_mask_for_all(folder: Path) -> None:
    """All images have the same mask."""
    mask = as_mask(paint()["a"][1])
    write_masks(folder, lambda _: mask)


@refused("labels/b.png", "the same image", "differently")
def one_image_with_two_masks(folder: Path) -> None:
    """The same image came twice and was annotated differently."""
    write_masks(folder)
    save(folder / "images" / "b.png", paint()["a"][0])


# ----------------------------------------------------------------------------------------------------------- empty


@refused("labels/a.png", "6 label", "hold only 0", "annotate")
def empty_masks(folder: Path) -> None:
    """Nothing is annotated in any mask."""
    write_masks(folder, np.zeros_like)


@refused("labels/a.png", "6 label", "hold only 255", "annotate")
def full_masks(folder: Path) -> None:
    """Every pixel of every mask is foreground."""
    write_masks(folder, lambda mask: np.full_like(mask, 255))


@repaired("", "background alone (b)", "leave those that are truly empty")
def one_empty_mask(folder: Path) -> Pairs:
    """One mask is empty: perhaps nothing is there, so there is a warning."""
    pairs = dict(write_masks(folder))
    image, labels = pairs["b"]
    save(folder / "labels" / "b.png", np.zeros_like(labels))
    return pairs | {"b": (image, np.zeros_like(labels))}


@refused("labels/a.npy", "no pixels", "again")
def masks_without_pixels(folder: Path) -> None:
    """A mask has no pixels."""
    write_masks(folder, suffix=".npy")
    np.save(folder / "labels" / "a.npy", np.zeros((0, SIDE), np.uint8))


@repaired()
def arrays_with_an_axis_more(folder: Path) -> Pairs:
    """Images and masks are NumPy files of shape (y, x, 1), as Keras has them."""
    pairs = paint()
    for name, (image, labels) in pairs.items():
        save(folder / "images" / f"{name}.npy", image[..., None])
        save(folder / "labels" / f"{name}.npy", labels[..., None])
    return truth(pairs)


@repaired()
def numbered_objects(folder: Path) -> Pairs:
    """Masks number the objects with 16 bits, 300 and up: each is foreground."""
    pairs = paint()
    offset = {name: 300 + 40 * index for index, name in enumerate(NAMES)}
    for name, (image, labels) in pairs.items():
        objects, _ = ndimage.label(labels)
        numbers = np.where(objects, objects * 3 + offset[name], 0).astype(np.uint16)
        save(folder / "images" / f"{name}.png", image)
        save(folder / "labels" / f"{name}.png", numbers)
    return truth(pairs)
