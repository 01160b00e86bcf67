"""How publishers lay out their archives, and what an annotated image is there; knows their names, not the network."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import tifffile
from PIL import Image
from skimage.measure import label

from unetscope.data.formats.picture import damage_reported
from unetscope.data.images import write_image
from unetscope.data.item import Part
from unetscope.errors import DataError
from unetscope.fetching.conversion import Array, Example, NewFile, Plan, copied, drawn

Found = Mapping[PurePosixPath, Path]
"""What came: files by their place in the archive."""

_MOST_UNKNOWN = 0.01  # share of pixels of undeclared color that are damage and not another color table
_IGNORED = 128
_VOID = 255


# -------------------------------------------------------------------------------------------------------- BBBC038


def plan_bbbc038(found: Found) -> Plan:
    """One folder an image: NAME/images/NAME.png and NAME/masks/*.png, one mask an object.

    Args:
        found: The files of stage1_train.zip.

    Returns:
        Label images of object numbers.

    Raises:
        DataError: An image has no masks.
    """
    masks: dict[str, list[Path]] = {}
    for place, path in sorted(found.items()):
        if place.match("*/masks/*.png"):
            masks.setdefault(place.parts[-3], []).append(path)
    images = {place.parts[-3]: path for place, path in found.items() if place.match("*/images/*.png")}
    _check_pairs(images, masks, "masks")
    return Plan(
        tuple(
            Example(stem, copied(path), NewFile(".png", partial(_number_masks, masks[stem])))
            for stem, path in sorted(images.items())
        ),
        {"kind": "instances", "classes": ["background", "nucleus"]},
    )


def _number_masks(masks: Sequence[Path], target: Path) -> str:
    """Write masks of single objects as one image of numbers; a pixel of two objects belongs to the first."""
    numbers, twice = np.zeros(_read(masks[0]).shape[:2], np.uint16), 0
    for number, path in enumerate(masks, 1):
        mask = _first_channel(_read(path)) > 0
        if mask.shape != numbers.shape:
            raise DataError(f"{path} has {mask.shape} pixels, and the other masks of its image {numbers.shape}")
        twice += int((mask & (numbers > 0)).sum())
        numbers[mask & (numbers == 0)] = number
    drawn(lambda: numbers).write(target)
    return f"{target.stem}: {twice} pixels belong to two objects; the first one keeps them" if twice else ""


# -------------------------------------------------------------------------------------------------------- BBBC039


def plan_bbbc039(found: Found) -> Plan:
    """images/*.tif, masks/*.png and the lists metadata/training.txt, validation.txt and test.txt.

    Args:
        found: The files of the three archives.

    Returns:
        Label images of object numbers, with the publisher's roles.

    Raises:
        DataError: Images, masks and lists do not match.
    """
    images, masks = _by_stem(found, "images", ".tif"), _by_stem(found, "masks", ".png")
    lists: dict[str, Part] = {"training": "train", "validation": "validation", "test": "test"}
    parts = {
        PurePosixPath(line.strip()).stem: lists[name]
        for name, path in _by_stem(found, "metadata", ".txt").items()
        if name in lists
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip()
    }
    _check_pairs(images, masks, "masks")
    _check_pairs(images, parts, "listed names")
    return Plan(
        tuple(
            Example(stem, copied(path), drawn(partial(_number_regions, masks[stem])), parts[stem])
            for stem, path in sorted(images.items())
        ),
        {"kind": "instances", "classes": ["background", "nucleus"]},
    )


def _number_regions(path: Path) -> Array:
    """Numbers of the objects in a mask whose first channel differs where objects touch, and may repeat elsewhere."""
    return np.asarray(label(_first_channel(_read(path)))).astype(np.uint16)


# ------------------------------------------------------------------------------------------------------- ISBI 2012


def plan_isbi2012(found: Found) -> Plan:
    """train-volume.tif and train-labels.tif, stacks of equal shape; white is cell, black is membrane.

    Args:
        found: The files of the challenge's archive, or these two.

    Returns:
        One example a section.

    Raises:
        DataError: A stack is missing, or they differ in shape.
    """
    volume, labels = (_read_stack(_only(found, f"train-{name}.tif")) for name in ("volume", "labels"))
    if volume.shape != labels.shape or volume.ndim != 3:
        raise DataError(
            f"train-volume.tif has the shape {volume.shape} and train-labels.tif {labels.shape}; equal ones of "
            "(sections, y, x) are needed"
        )
    return Plan(
        tuple(
            Example(f"{index:02d}", _section(volume[index]), drawn(partial(np.asarray, labels[index])))
            for index in range(len(volume))
        ),
        {"kind": "mask", "classes": ["membrane", "cell"]},
    )


def _section(pixels: Array) -> NewFile:
    """One page of a stack as its own image."""

    def write(path: Path) -> str:
        write_image(path, pixels)
        return ""

    return NewFile(".png", write)


# ----------------------------------------------------------------------------------------------------- hippocampus


def plan_hippocampus(found: Found) -> Plan:
    """imagesTr/*.nii.gz, labelsTr/*.nii.gz and dataset.json, as in all tasks of the decathlon.

    Args:
        found: The files of Task04_Hippocampus.tar.

    Returns:
        The volumes as they are.

    Raises:
        DataError: Volumes do not match, or dataset.json names no classes.
    """
    place = _only(found, "dataset.json")
    try:
        names = {
            int(value): str(name) for value, name in json.loads(place.read_text(encoding="utf-8"))["labels"].items()
        }
    except (KeyError, ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{place} does not name the classes ({error}); download the archive again") from error
    images, labels = _by_stem(found, "imagesTr", ".nii.gz"), _by_stem(found, "labelsTr", ".nii.gz")
    _check_pairs(images, labels, "label volumes")
    return Plan(
        tuple(
            Example(stem, copied(path, ".nii.gz"), copied(labels[stem], ".nii.gz"))
            for stem, path in sorted(images.items())
        ),
        {
            "kind": "classes",
            "classes": [names[value].lower() for value in sorted(names)],
            "values": sorted(names),
        },
    )


# ----------------------------------------------------------------------------------------------------------- DRIVE


def plan_drive(found: Found) -> Plan:
    """training/{images/21_training.tif, 1st_manual/21_manual1.gif, mask/21_training_mask.gif}, and the same in test.

    Args:
        found: The files of one archive, or of training.zip and test.zip.

    Returns:
        The annotated images; those without labels (the test images of newer archives) are left out.

    Raises:
        DataError: Nothing was found.
    """
    folders: dict[str, Part] = {"training": "train", "test": "test"}
    annotated = [
        (place, _sibling(found, place, "1st_manual", f"{place.stem[:2]}_manual1.gif"))
        for place in sorted(found)
        if place.match("*/images/*.tif") and place.parts[-3] in folders
    ]
    kept = [(place, labels) for place, labels in annotated if labels is not None]
    is_divided = len({place.parts[-3] for place, _ in kept}) == 2
    return Plan(
        tuple(
            Example(
                place.stem,
                copied(found[place]),
                drawn(partial(_vessels, labels, _sibling(found, place, "mask", f"{place.stem}_mask.gif"))),
                folders[place.parts[-3]] if is_divided else None,
            )
            for place, labels in kept
        ),
        {"kind": "classes", "classes": ["background", "vessel"], "values": [0, 255], "ignore": _IGNORED},
    )


def _sibling(found: Found, place: PurePosixPath, folder: str, name: str) -> Path | None:
    """A file of the same image, in the folder beside its own."""
    return found.get(place.parent.parent / folder / name)


def _vessels(manual: Path, view: Path | None) -> Array:
    """0 and 255 inside the field of view, and the value to ignore outside."""
    vessels = np.where(_first_channel(_read(manual)) > 0, np.uint8(255), np.uint8(0))
    if view is None:
        return vessels
    seen = _first_channel(_read(view)) > 0
    if seen.shape != vessels.shape:
        raise DataError(f"{view} has {seen.shape} pixels, and {manual} {vessels.shape}; equal sizes are needed")
    return np.where(seen, vessels, np.uint8(_IGNORED))


# ---------------------------------------------------------------------------------------------------------- CamVid


def plan_camvid(found: Found) -> Plan:
    """NAME.png, NAME_L.png in colors, and label_colors.txt with lines such as "64 128 64 Animal".

    Args:
        found: The files of both archives and the color table.

    Returns:
        Label images of class indices with the publisher's colors as their palette; void is ignored.

    Raises:
        DataError: Frames do not match, or the color table is not one.
    """
    colors = _read_colors(_only(found, "label_colors.txt"))
    names = [name for name in colors if name != "Void"]
    pictures = {place.stem: path for place, path in found.items() if place.suffix.lower() == ".png"}
    labels = {stem[:-2]: path for stem, path in pictures.items() if stem.endswith("_L")}
    images = {stem: path for stem, path in pictures.items() if not stem.endswith("_L")}
    _check_pairs(images, labels, "labels")
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(names)] = [colors[name] for name in names]
    return Plan(
        tuple(
            Example(
                stem, copied(path), NewFile(".png", partial(_index, labels[stem], palette, len(names))), _role(stem)
            )
            for stem, path in sorted(images.items())
        ),
        {"kind": "classes", "classes": names, "values": list(range(len(names))), "ignore": _VOID},
    )


def _read_colors(path: Path) -> dict[str, tuple[int, int, int]]:
    """RGB by the name of the class, in the order of the file."""
    colors = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if len(words) == 4 and all(word.isdigit() and int(word) < 256 for word in words[:3]):
            colors[words[3]] = (int(words[0]), int(words[1]), int(words[2]))
        elif words:
            raise DataError(f"{path} has the line {line!r}, and red, green, blue and a name were needed")
    return colors


def _index(source: Path, palette: Array, count: int, target: Path) -> str:
    """Write colors as class indices; colors that are not in the table (one published file has some) become void."""
    raw = _read(source)[..., :3].astype(np.uint32)
    packed = raw[..., 0] << 16 | raw[..., 1] << 8 | raw[..., 2]
    codes = palette[:count].astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    order = np.argsort(codes)
    nearest = order[np.searchsorted(codes, packed, sorter=order).clip(max=count - 1)]
    known = codes[nearest] == packed
    unknown = int((~known & (packed != 0)).sum())
    if unknown > _MOST_UNKNOWN * packed.size:
        raise DataError(f"{source} has {unknown} pixels of colors that label_colors.txt does not name; it is damaged")
    picture = Image.fromarray(np.where(known, nearest, _VOID).astype(np.uint8))
    picture.putpalette(palette.tobytes())
    picture.save(target, format="PNG")
    return f"{target.stem}: {unknown} pixels of undeclared colors became void, which is ignored" if unknown else ""


def _role(stem: str) -> Part:
    """The role of a frame in the customary division: SegNet's."""
    sequence, _, frame = stem.partition("_")
    if sequence == "Seq05VD" or (sequence == "0001TP" and frame >= "008550"):
        return "test"
    return "validation" if sequence == "0016E5" and "07959" <= frame <= "08159" else "train"


# --------------------------------------------------------------------------------------------------------- reading


def _read(path: Path) -> Array:
    """The pixels of a small PNG or GIF, (y, x[, channels])."""
    with damage_reported(path), Image.open(path) as picture:
        return np.asarray(picture.convert("L") if picture.format == "GIF" else picture)


def _read_stack(path: Path) -> Array:
    """The pages of a TIFF, (pages, y, x)."""
    with damage_reported(path):
        return np.asarray(tifffile.imread(path))


def _first_channel(pixels: Array) -> Array:
    """One number a pixel."""
    return pixels[..., 0] if pixels.ndim == 3 else pixels


def _by_stem(found: Found, folder: str, suffix: str) -> dict[str, Path]:
    """The files in a folder of that name, wherever it is, by their names without suffix."""
    return {
        place.name[: -len(suffix)]: path
        for place, path in found.items()
        if place.parent.name == folder and place.name.endswith(suffix)
    }


def _only(found: Found, name: str) -> Path:
    """The one file of that name."""
    paths = [path for place, path in found.items() if place.name == name]
    if len(paths) != 1:
        raise DataError(f"{len(paths)} files called {name} came, and one was needed; check that all archives are given")
    return paths[0]


def _check_pairs(images: Mapping[str, object], others: Mapping[str, object], what: str) -> None:
    """Refuse what has no partner."""
    alone = sorted(images.keys() ^ others.keys())
    if alone:
        raise DataError(
            f"{len(alone)} of {len(images)} images and {len(others)} {what} do not match ({', '.join(alone[:3])}); "
            "check that all archives are given, and whole"
        )


PLANS: Mapping[str, Callable[[Found], Plan]] = {
    "bbbc038": plan_bbbc038,
    "bbbc039": plan_bbbc039,
    "isbi2012": plan_isbi2012,
    "hippocampus": plan_hippocampus,
    "drive": plan_drive,
    "camvid": plan_camvid,
}
"""How the archives of each public set are read."""
