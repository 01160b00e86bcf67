"""Simulated images with exact labels, for demonstrations and tests; knows how things look, not how they are learned.

The labels come from the geometry that an image is painted from, so that they are right to the pixel. The same seed
gives the same scene.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.special import expit
from skimage.measure import label as label_parts

from unetscope.data.landscapes import CLASSES, COLORS, paint_landscape
from unetscope.data.textures import Blob, Floats, fractal_noise, smooth_noise, tessellate
from unetscope.errors import DataError, OutputError
from unetscope.files import replacing, write_text

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Scene:
    """A simulated image and everything that is true about it.

    Attributes:
        image: (channels, [z,] y, x), unsigned 8 or 16 bit.
        labels: Index into `classes` of every pixel, ([z,] y, x), unsigned 8 bit.
        objects: Number of the object that every pixel belongs to, ([z,] y, x), unsigned 16 bit; 0 where there is none.
        classes: Names of the classes; the first is the background.
        colors: Red, green and blue of every class in a drawn label image, or None where indices are usual.
    """

    image: NDArray[np.uint8] | NDArray[np.uint16]
    labels: NDArray[np.uint8]
    objects: NDArray[np.uint16]
    classes: tuple[str, ...]
    colors: tuple[Color, ...] | None = None


# --- packed cells ------------------------------------------------------------------------------------------------

CELL_SPACING = 33.0
SMALLEST_CELL = {2: 12, 3: 60}


def packed_cells(shape: tuple[int, ...], seed: int) -> Scene:
    """Cells that fill the image, separated by dark membranes, as electron microscopy shows nervous tissue.

    Membranes are 2 to 4 pixels thick, more where they are cut at a slant. Mitochondria, vesicles and reticulum inside
    the cells are as dark as membranes, and cells differ in tone, so that no threshold finds the membranes: it takes
    context.

    Args:
        shape: Pixels per axis, ([z,] y, x).
        seed: 0 or more.

    Returns:
        One channel of 8 bit; classes background (the membrane) and cell; an object is a connected part of a cell.

    Raises:
        DataError: The shape does not have 2 or 3 axes of at least 1 pixel, or the seed is negative.

    Source: the looks of Arganda-Carreras et al., "Crowdsourcing the creation of image segmentation algorithms for
    connectomics", Frontiers in Neuroanatomy 9:142, 2015 (the ISBI 2012 challenge of the U-Net paper).

    Example:
        >>> scene = packed_cells((32, 48), seed=0)
        >>> scene.image.shape, scene.classes
        ((1, 32, 48), ('background', 'cell'))
    """
    rng = _generator("cells", shape, seed, axes=(2, 3))
    owner, depth = tessellate(shape, CELL_SPACING, rng)
    membrane = np.clip(1.6 + 0.35 * smooth_noise(shape, 14.0, rng), 1.2, 2.1)
    objects = _number_parts(depth > membrane, smallest=SMALLEST_CELL[len(shape)])
    inside = objects > 0
    depth = np.where(inside, depth, np.minimum(depth, 0.5 * membrane))  # what is too small to be a cell is membrane
    tissue = _paint_cytoplasm(owner, depth, rng)
    wall = expit((membrane - depth) / 0.35)
    tissue += wall * (0.28 + 0.09 * smooth_noise(shape, 9.0, rng) - tissue)
    return Scene(_expose(tissue, rng)[None], inside.astype(np.uint8), objects, ("background", "cell"))


def _paint_cytoplasm(owner: NDArray[np.intp], depth: Floats, rng: Generator) -> Floats:
    """The brightness of the cells' inside, 0 to 1; `depth` is the distance to the nearest membrane."""
    tone = rng.normal(0.66, 0.10, owner.max() + 1)[owner]
    tissue = tone + 0.035 * fractal_noise(owner.shape, 12.0, 3, rng) - 0.05 * np.exp(-((depth / 6) ** 2))
    room = depth.copy()
    for organelle in _organelles(room, rng):
        window, radius = organelle.paint(owner.shape, margin=2.0)
        if room[window][radius < 1.1].min(initial=math.inf) > 3:
            room[window] = np.minimum(room[window], 2 + 3 * (radius - 1))
            tissue[window] = _paint_organelle(tissue[window], radius, organelle, rng)
    return np.asarray(tissue - _reticulum(room, rng))


def _organelles(room: Floats, rng: Generator) -> Iterator[Blob]:
    """Mitochondria (long), then vesicles (small and round), at random places away from the membranes."""
    places, flat = np.argwhere(room > 5), room.ndim == 2
    for count, narrow, wide in (
        (room.size // (450 if flat else 5000), (3.0, 4.2), (4.0, 9.0)),
        (room.size // (350 if flat else 4000), (1.8, 3.0), (1.8, 3.0)),
    ):
        for center in places[rng.integers(len(places), size=count)] if len(places) else ():
            semi_axes = np.append(rng.uniform(*narrow, room.ndim - 1), rng.uniform(*wide))
            yield Blob.random(center.astype(np.float64), semi_axes, 0.15, rng)


def _paint_organelle(tissue: Floats, radius: Floats, organelle: Blob, rng: Generator) -> Floats:
    """A dark rim, and inside it stripes on gray (a mitochondrion) or light (a vesicle)."""
    body = expit((1 - radius) / 0.08)
    if organelle.semi_axes.max() < 3.5:
        return np.asarray(tissue + 0.1 * body - 0.35 * np.exp(-(((radius - 1) / 0.35) ** 2)))
    stripes = 0.07 * np.sin(np.tensordot(organelle.waves[0] / 2, np.indices(radius.shape), 1))
    inner = rng.normal(0.33, 0.05) + stripes
    return np.asarray(tissue + body * (inner - tissue) - 0.2 * np.exp(-(((radius - 0.9) / 0.2) ** 2)))


def _reticulum(room: Floats, rng: Generator) -> Floats:
    """Thin dark curves that look like pieces of membrane and are none: what is to be taken off the brightness."""
    curves = np.exp(-((smooth_noise(room.shape, 9.0, rng) / 0.2) ** 2))
    patches = expit((smooth_noise(room.shape, 18.0, rng) + 0.1) / 0.1) * expit((room - 4.5) / 0.5)
    return np.asarray(0.5 * patches * curves)


def _expose(tissue: Floats, rng: Generator) -> NDArray[np.uint8]:
    """Blur, uneven illumination and noise of the microscope."""
    shape, wide = tissue.shape, max(*tissue.shape, 64)
    image = gaussian_filter(tissue, 0.8)
    image *= 1 + 0.22 * np.tanh(smooth_noise(shape, 0.5 * wide, rng))
    return _to_bytes(image + 0.022 * rng.standard_normal(shape) + 0.02 * smooth_noise(shape, 1.5, rng))


# --- fluorescent nuclei ------------------------------------------------------------------------------------------

NUCLEUS_RADIUS = {2: 11.0, 3: 8.0}
NUCLEUS_SHARE = {2: 0.25, 3: 0.2}
NUCLEUS_OVERLAP = {2: 0.15, 3: 0.0}
PHOTONS, COUNTS_PER_PHOTON, DARK_COUNTS, READ_NOISE = 250.0, 8.0, 100.0, 12.0
TWELVE_BITS = 4095


def fluorescence_nuclei(shape: tuple[int, ...], seed: int) -> Scene:
    """Bright nuclei, clustered and at different depths, on the dark background of a fluorescence microscope.

    Args:
        shape: Pixels per axis, ([z,] y, x).
        seed: 0 or more.

    Returns:
        One channel of 16 bit with values of 12 (0 to 4095); classes background and nucleus; an object is a nucleus,
        and where two overlap, the pixels are those of the front one.

    Raises:
        DataError: The shape does not have 2 or 3 axes of at least 1 pixel, or the seed is negative.

    Source: after Lehmussola et al., "Computational framework for simulating fluorescence microscope images with cell
    populations", IEEE TMI 26(7), 2007 (SIMCEP): shape, texture, clusters with bounded overlap, blur by depth,
    illumination, photon and detector noise.

    Example:
        >>> scene = fluorescence_nuclei((8, 32, 32), seed=0)
        >>> scene.image.shape, scene.image.dtype
        ((1, 8, 32, 32), dtype('uint16'))
    """
    rng = _generator("nuclei", shape, seed, axes=(2, 3))
    objects, light = np.zeros(shape, np.intp), np.zeros(shape)
    chromatin = _chromatin(shape, rng)
    for number, (blob, depth) in enumerate(_nuclei(shape, rng), start=1):
        window, radius = blob.paint(shape, margin=8.0)
        inside = radius <= 1
        if np.count_nonzero(objects[window][inside]) <= NUCLEUS_OVERLAP[len(shape)] * np.count_nonzero(inside):
            objects[window][inside] = number
            light[window] += rng.uniform(0.45, 1.0) * _glow(radius, chromatin[window], depth)
    return Scene(_detect(light, rng)[None], (objects > 0).astype(np.uint8), _number(objects), ("background", "nucleus"))


def _nuclei(shape: tuple[int, ...], rng: Generator) -> Iterator[tuple[Blob, float]]:
    """Candidates from back (depth 1) to front (0), most of them near the center of a cluster."""
    axes = len(shape)
    size = NUCLEUS_RADIUS[axes]
    volume = size**axes * (math.pi if axes == 2 else 4 / 3 * math.pi)
    count = rng.poisson(1.6 * NUCLEUS_SHARE[axes] * math.prod(side + size for side in shape) / volume)
    clusters = rng.uniform(0, shape, (1 + count // 6, axes))
    for depth in np.sort(rng.random(count))[::-1]:
        near = clusters[rng.integers(len(clusters))] + rng.normal(0, 2.2 * size, axes)
        center = near if rng.random() < 0.6 else rng.uniform(-size / 2, np.array(shape) + size / 2)
        yield Blob.random(center, size * rng.uniform(0.75, 1.25, axes), 0.25, rng), float(depth)


def _chromatin(shape: tuple[int, ...], rng: Generator) -> Floats:
    """Texture of what is stained: uneven, with dark nucleoli."""
    nucleoli = expit((smooth_noise(shape, 5.0, rng) - 1.3) / 0.15)
    return np.asarray(np.maximum(1 + 0.22 * fractal_noise(shape, 9.0, 4, rng) - 0.4 * nucleoli, 0.3))


def _glow(radius: Floats, chromatin: Floats, depth: float) -> Floats:
    """Light of one nucleus: thicker in the middle in a projection, and out of focus by its depth or along z."""
    flat = radius.ndim == 2
    thickness = np.sqrt(1 - (0.7 if flat else 0.2) * np.minimum(radius, 1) ** 2)
    spread = (0.8 + 2.2 * depth**2,) * 2 if flat else (2.0, 0.9, 0.9)
    return np.asarray(gaussian_filter(np.where(radius <= 1, thickness * chromatin, 0.0), spread, mode="nearest"))


def _detect(light: Floats, rng: Generator) -> NDArray[np.uint16]:
    """What a 12-bit camera counts: haze, uneven illumination, photons, read noise."""
    haze = 0.05 + 0.12 * gaussian_filter(light, 10.0, truncate=2.5)
    illumination = np.clip(1 + 0.15 * smooth_noise(light.shape, 0.8 * max(*light.shape, 64), rng), 0.5, 1.5)
    photons = rng.poisson(PHOTONS * illumination * (light + haze))
    counts = DARK_COUNTS + COUNTS_PER_PHOTON * photons + rng.normal(0, READ_NOISE, light.shape)
    return np.asarray(np.clip(np.rint(counts), 0, TWELVE_BITS), np.uint16)


# --- an aerial photograph ----------------------------------------------------------------------------------------


def aerial(shape: tuple[int, ...], seed: int) -> Scene:
    """A village from above: roads, houses in rows along them, fields, and trees that belong to no class.

    Args:
        shape: Pixels per axis, (y, x).
        seed: 0 or more.

    Returns:
        Three channels (red, green, blue) of 8 bit; classes background, road, roof and field, with their colors; an
        object is a connected part of one class. What a tree hides is background.

    Raises:
        DataError: The shape does not have 2 axes of at least 1 pixel, or the seed is negative.

    Example:
        >>> scene = aerial((32, 48), seed=0)
        >>> scene.image.shape, scene.colors[1]
        ((3, 32, 48), (128, 64, 128))
    """
    rng = _generator("aerial", shape, seed, axes=(2,))
    labels, image = paint_landscape(shape, rng)
    image = gaussian_filter(image, (0, 0.7, 0.7)) * (1 + 0.05 * smooth_noise(shape, 90.0, rng))
    image += 0.012 * rng.standard_normal(image.shape)
    return Scene(_to_bytes(image), labels, _number_parts(labels), CLASSES, COLORS)


# --- what all scenes share ---------------------------------------------------------------------------------------

SCENES: Mapping[str, Callable[[tuple[int, ...], int], Scene]] = {
    "cells": packed_cells,
    "nuclei": fluorescence_nuclei,
    "aerial": aerial,
}


def _generator(scene: str, shape: tuple[int, ...], seed: int, axes: tuple[int, ...]) -> Generator:
    """The scene's source of randomness, once its shape and seed are found to be right."""
    if len(shape) not in axes or min(shape) < 1:
        wanted = " or ".join(str(count) for count in axes)
        raise DataError(f"a scene of {scene} cannot have shape {tuple(shape)}; give {wanted} axes of 1 pixel or more")
    _require_seed(seed)
    return np.random.default_rng([seed, list(SCENES).index(scene)])


def _require_seed(seed: int) -> None:
    """Refuse a seed that numpy would refuse."""
    if seed < 0:
        raise DataError(f"a scene cannot have the seed {seed}; give 0 or more")


def _to_bytes(image: Floats) -> NDArray[np.uint8]:
    """Brightness 0 to 1 as 8 bit."""
    return np.clip(np.rint(255 * image), 0, 255).astype(np.uint8)


def _number_parts(classes: NDArray[np.uint8] | NDArray[np.bool_], smallest: int = 1) -> NDArray[np.uint16]:
    """Number the connected parts of every class but 0 that have at least `smallest` pixels."""
    parts = np.asarray(label_parts(classes, connectivity=1))
    return _number(np.where(np.bincount(parts.ravel())[parts] >= smallest, parts, 0))


def _number(objects: NDArray[np.intp]) -> NDArray[np.uint16]:
    """Number the objects from 1 without gaps, in 16 bit."""
    found, numbers = np.unique(np.append(objects, 0), return_inverse=True)
    most = np.iinfo(np.uint16).max
    if len(found) > most + 1:
        raise DataError(
            f"a scene of shape {objects.shape} has {len(found) - 1} objects, at most {most} fit; make it smaller"
        )
    return numbers[:-1].reshape(objects.shape).astype(np.uint16)


# --- scenes as files ---------------------------------------------------------------------------------------------

MOST_SCENES = 500_000


def write_dataset(
    folder: Path, scene: str, *, train: int = 16, test: int = 8, shape: tuple[int, ...] = (256, 256), seed: int = 0
) -> None:
    """Write simulated training and test images with their labels, and the description `dataset.toml`.

    Images and labels of two axes are PNG files, those of three TIFF files. No two scenes share a seed, neither in
    training and test nor in datasets of different seeds, and more scenes leave the first as they are.

    Args:
        folder: Where to write; files of the same name are replaced, others in its image folders refused.
        scene: A name in `SCENES`.
        train: Scenes to train on, 1 to 500,000.
        test: Scenes to test on, 0 to 500,000.
        shape: Pixels per axis of every scene, ([z,] y, x).
        seed: 0 or more; other seeds give other scenes.

    Raises:
        DataError: There is no such scene, or the scene cannot have this shape, seed or number.
        OutputError: A file cannot be written, or the folder holds files that do not belong to the dataset.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     write_dataset(Path(folder), "nuclei", train=1, test=1, shape=(16, 16))
        ...     sorted(path.name for path in Path(folder).iterdir())
        ['dataset.toml', 'test', 'train']
    """
    if train < 1 or test < 0 or max(train, test) > MOST_SCENES:
        raise DataError(
            f"{train} training and {test} test scenes cannot be written; give 1 or more to train on, 0 or more to "
            f"test on, and at most {MOST_SCENES} of each"
        )
    _require_seed(seed)
    simulate = _scene_named(scene)
    suffix = ".png" if len(shape) == 2 else ".tif"
    _refuse_strangers(folder, {"train": train, "test": test}, suffix)
    for split, count in enumerate((train, test)):
        for index in range(count):
            made = simulate(shape, 2 * (MOST_SCENES * seed + index) + split)
            _write_scene(folder / ("train", "test")[split], f"{index:03d}{suffix}", made)
    write_text(folder / "dataset.toml", _describe(made))


def _scene_named(scene: str) -> Callable[[tuple[int, ...], int], Scene]:
    """The function that simulates a scene."""
    if scene not in SCENES:
        raise DataError(f"there is no scene {scene!r}; choose one of {', '.join(SCENES)}")
    return SCENES[scene]


def _refuse_strangers(folder: Path, counts: Mapping[str, int], suffix: str) -> None:
    """Refuse a folder whose other images would silently become part of the dataset."""
    for split, count in counts.items():
        ours = {f"{index:03d}{suffix}" for index in range(count)}
        for kind in ("images", "labels"):
            for path in sorted((folder / split / kind).glob("*")):
                if path.name not in ours:
                    raise OutputError(f"{path} does not belong to the dataset to write; choose an empty folder")


def _write_scene(folder: Path, name: str, scene: Scene) -> None:
    """Write the image and the labels of a scene under the same name."""
    _write_image(folder / "images" / name, np.moveaxis(scene.image, 0, -1) if len(scene.image) > 1 else scene.image[0])
    drawn = 255 * scene.labels if scene.colors is None else np.array(scene.colors, np.uint8)[scene.labels]
    _write_image(folder / "labels" / name, drawn)


def _write_image(path: Path, image: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write a PNG file, (y, x) or (y, x, 3), or a TIFF file, (z, y, x), by the suffix of the path."""
    with replacing(path) as temporary:
        if path.suffix == ".png":
            Image.fromarray(np.ascontiguousarray(image)).save(temporary, format="PNG")
        else:
            axes = {"axes": "ZYX"}
            tifffile.imwrite(temporary, image, photometric="minisblack", compression="zlib", metadata=axes)


def _describe(scene: Scene) -> str:
    """The text of `dataset.toml`."""
    if scene.colors is None:
        return f'kind = "mask"\nclasses = {json.dumps(scene.classes)}\n'
    lines = [f"{name} = {list(color)}" for name, color in zip(scene.classes, scene.colors, strict=True)]
    return "\n".join(['kind = "colors"', "", "[colors]", *lines, ""])
