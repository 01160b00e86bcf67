"""Folders, names and lists that do not fit together."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from broken_datasets.cases import NAMES, NotHereError, Pairs, as_mask, paint, refused, repaired, save, write_masks

# ----------------------------------------------------------------------------------------------------- without partner


@refused("images/d.png", "same stem", "labels", "add")
def image_without_mask(folder: Path) -> None:
    """An image has no mask."""
    write_masks(folder)
    (folder / "labels" / "d.png").unlink()


@refused("labels/d.png", "same stem", "images", "add")
def mask_without_image(folder: Path) -> None:
    """A mask has no image."""
    write_masks(folder)
    (folder / "images" / "d.png").unlink()


@refused("images/a.png", "a_mask.png", "rename")
def masks_with_other_stems(folder: Path) -> None:
    """Masks are called a_mask.png and images a.png."""
    write_masks(folder)
    for path in list((folder / "labels").iterdir()):
        path.rename(path.with_stem(f"{path.stem}_mask"))


@refused("images", "a.png and a.tif", "keep one")
def two_images_of_one_stem(folder: Path) -> None:
    """One image is there as PNG and as TIFF."""
    write_masks(folder)
    save(folder / "images" / "a.tif", paint()["b"][0])


@refused("labels", "does not exist", "put them there", "--labels")
def no_folder_of_labels(folder: Path) -> None:
    """The folder of masks is called masks."""
    write_masks(folder)
    (folder / "labels").rename(folder / "masks")


@repaired(labels="masks", images="scans")
def folders_of_other_names(folder: Path) -> Pairs:
    """The folders are called scans and masks, as --images and --labels say."""
    pairs = write_masks(folder)
    (folder / "images").rename(folder / "scans")
    (folder / "labels").rename(folder / "masks")
    return pairs


@refused("images", "no files", "put images there")
def no_images(folder: Path) -> None:
    """The folder of images is empty."""
    write_masks(folder)
    for path in (folder / "images").iterdir():
        path.unlink()


@refused("", "neither images nor train/images", "put images into")
def images_and_masks_in_one_folder(folder: Path) -> None:
    """Images and masks lie side by side in the dataset's folder."""
    write_masks(folder)
    for path in list((folder / "labels").iterdir()):
        path.rename(folder / f"{path.stem}_mask.png")
    for path in list((folder / "images").iterdir()):
        path.rename(folder / path.name)
    (folder / "images").rmdir()
    (folder / "labels").rmdir()


@refused("", "both images and train/images", "move one")
def two_layouts(folder: Path) -> None:
    """There are images in images, and in train/images too."""
    write_masks(folder)
    write_masks(folder / "train")


@refused(None, "1 annotated image", "annotate another")
def one_image(folder: Path) -> None:
    """All images but one are for the test."""
    _divide(folder, trained=1)


@refused(None, "all annotated images are for", "at least 2 are needed", "take some")
def nothing_to_train_on(folder: Path) -> None:
    """All images are for the test, as test.txt says."""
    write_masks(folder)
    (folder / "test.txt").write_text("\n".join(NAMES))


@refused("test/labels", "does not exist", "put them there")
def test_without_masks(folder: Path) -> None:
    """The test images have no masks."""
    _divide(folder, trained=4)
    shutil.rmtree(folder / "test" / "labels")


def _divide(folder: Path, trained: int) -> None:
    """The good dataset in train and test."""
    for index, (name, (image, labels)) in enumerate(paint().items()):
        part = "train" if index < trained else "test"
        save(folder / part / "images" / f"{name}.png", image)
        save(folder / part / "labels" / f"{name}.png", as_mask(labels))


# ----------------------------------------------------------------------------------------------------------- lists


@refused("train.txt", "lists z", "no such image")
def list_of_unknown_images(folder: Path) -> None:
    """train.txt lists an image that is not there."""
    write_masks(folder)
    (folder / "train.txt").write_text("a\nb\nc\nz\n")


@refused("", "lists a in both train.txt and test.txt", "keep one")
def image_in_two_lists(folder: Path) -> None:
    """An image is in train.txt and in test.txt."""
    write_masks(folder)
    (folder / "train.txt").write_text("a\nb\nc\nd\n")
    (folder / "test.txt").write_text("a\ne\nf\n")


@repaired()
def lists_from_windows(folder: Path) -> Pairs:
    """Lists have the line ends and the invisible first character of Windows."""
    (folder / "train.txt").write_bytes(b"\xef\xbb\xbfa\r\nb\r\nc\r\n\r\n")
    return write_masks(folder)


# ----------------------------------------------------------------------------------------------------------- names


@repaired()
def files_that_systems_leave(folder: Path) -> Pairs:
    """Systems left ._a.png, .DS_Store, Thumbs.db and desktop.ini among images and masks: they are passed over."""
    pairs = write_masks(folder)
    for kind in ("images", "labels"):
        for name in ("._a.png", ".DS_Store", "Thumbs.db", "desktop.ini"):
            (folder / kind / name).write_bytes(b"\x00\x05\x16\x07")
    return pairs


@repaired()
def suffixes_in_upper_case(folder: Path) -> Pairs:
    """Files are called .PNG and .TIF."""
    pairs = write_masks(folder)
    for index, path in enumerate(sorted((folder / "images").iterdir())):
        path.rename(path.with_suffix(".PNG"))
        if index % 2:
            path.with_suffix(".PNG").unlink()
            save(path.with_suffix(".TIF"), paint()[path.stem][0])
    for path in list((folder / "labels").iterdir()):
        path.rename(path.with_suffix(".PNG"))
    return pairs


@repaired()
def suffixes_of_two_parts(folder: Path) -> Pairs:
    """Images are called a.ome.tif and masks a.tif."""
    pairs = write_masks(folder, suffix=".tif")
    for path in list((folder / "images").iterdir()):
        path.unlink()
        save(path.with_suffix(".ome.tif"), paint()[path.stem][0], metadata={"axes": "YX"})
    return pairs


@repaired()
def names_in_any_script(folder: Path) -> Pairs:
    """Names hold spaces, dots, brackets and letters of other scripts."""
    names = ("zelle 1", "größe", "細胞[1]", "клетка.v2", "[bold]e", "%s {x}")
    return _rename(folder, names, names)


@repaired()
def letters_of_two_parts(folder: Path) -> Pairs:
    """A file system took the letters of the masks' names apart: o and two dots instead of ö."""
    return _rename(folder, ("zo\N{COMBINING DIAERESIS}", *NAMES[1:]), ("zö", *NAMES[1:]))


def _rename(folder: Path, labels: tuple[str, ...], images: tuple[str, ...]) -> Pairs:
    """The good dataset under other names."""
    pairs = write_masks(folder)
    expected = {}
    for old, image, label in zip(NAMES, images, labels, strict=True):
        (folder / "images" / f"{old}.png").rename(folder / "images" / f"{image}.png")
        (folder / "labels" / f"{old}.png").rename(folder / "labels" / f"{label}.png")
        expected[image] = pairs[old]
    return expected


# ----------------------------------------------------------------------------------------------------------- links


@repaired()
def folder_that_holds_itself(folder: Path) -> Pairs:
    """A link in the folder of images leads back to that folder: folders are not searched."""
    pairs = write_masks(folder)
    (folder / "images" / "again").symlink_to(folder / "images", target_is_directory=True)
    return pairs


@refused("images/b.png", "link", "leads nowhere")
def link_to_itself(folder: Path) -> None:
    """An image is a link to itself."""
    write_masks(folder)
    (folder / "images" / "b.png").unlink()
    (folder / "images" / "b.png").symlink_to("b.png")


@refused("images/b.png", "link", "leads nowhere")
def links_to_what_was_moved(folder: Path) -> None:
    """An image and its mask are links to files that were moved."""
    write_masks(folder)
    for kind in ("images", "labels"):
        (folder / kind / "b.png").unlink()
        (folder / kind / "b.png").symlink_to("/nowhere/b.png")


@repaired()
def links_to_files(folder: Path) -> Pairs:
    """Images are links to files elsewhere."""
    pairs = write_masks(folder)
    (folder / "images").rename(folder / "store")
    (folder / "images").mkdir()
    for path in (folder / "store").iterdir():
        (folder / "images" / path.name).symlink_to(path)
    return pairs


@refused("labels", "Permission denied", "permissions")
def unreadable_folder(folder: Path) -> None:
    """The folder of masks may not be read."""
    if os.geteuid() == 0:
        raise NotHereError("an administrator may read everything")
    write_masks(folder)
    (folder / "labels").chmod(0)


@refused("images/b.png", "Permission denied", "permissions")
def unreadable_file(folder: Path) -> None:
    """An image may not be read."""
    if os.geteuid() == 0:
        raise NotHereError("an administrator may read everything")
    write_masks(folder)
    (folder / "images" / "b.png").chmod(0)
