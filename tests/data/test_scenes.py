"""Laws of the simulated scenes: exact labels, one seed one scene, any shape, files that other programs read."""

from __future__ import annotations

import math
import tomllib

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from unetscope.data.scenes import SCENES, write_dataset
from unetscope.data.textures import Blob, fractal_noise, smooth_noise, tessellate
from unetscope.errors import DataError, OutputError

CASES = [
    ("cells", (128, 144)),
    ("cells", (28, 56, 48)),
    ("nuclei", (128, 144)),
    ("nuclei", (32, 56, 64)),
    ("aerial", (160, 144)),
]
SHARES = {
    "cells": {1: (0.6, 0.9)},
    "nuclei": {1: (0.05, 0.5)},
    "aerial": {1: (0.05, 0.4), 2: (0.01, 0.3), 3: (0.02, 0.7)},
}
DTYPES = {"cells": np.uint8, "nuclei": np.uint16, "aerial": np.uint8}
CLASSES = {
    "cells": ("background", "cell"),
    "nuclei": ("background", "nucleus"),
    "aerial": ("background", "road", "roof", "field"),
}


def assert_valid(scene, name, shape):
    """What must hold for every scene of every shape."""
    channels = 3 if name == "aerial" else 1
    assert scene.image.shape == (channels, *shape) and scene.image.dtype == DTYPES[name]
    assert scene.labels.shape == shape and scene.labels.dtype == np.uint8
    assert scene.objects.shape == shape and scene.objects.dtype == np.uint16
    assert scene.classes == CLASSES[name] and scene.labels.max() < len(scene.classes)
    assert np.array_equal(scene.labels > 0, scene.objects > 0)
    assert set(np.unique(scene.objects)) | {0} == set(range(scene.objects.max() + 1))


def same(one, other):
    return all(np.array_equal(getattr(one, part), getattr(other, part)) for part in ("image", "labels", "objects"))


def parts_of(mask):
    """Number of parts that are connected through faces."""
    return ndimage.label(mask)[1]


def explained(image, labels):
    """Variance of the image between the classes."""
    channels = image.reshape(len(image), -1).astype(float)
    centered, flat = channels - channels.mean(axis=1, keepdims=True), labels.ravel()
    return sum(
        (flat == index).mean() * (centered[:, flat == index].mean(axis=1) ** 2).sum() for index in np.unique(flat)
    )


def best_threshold_dice(image, truth):
    """Dice of the best global threshold, whether the foreground is above or below it."""
    inside = np.bincount(image[truth], minlength=256).cumsum()
    everything = np.bincount(image.ravel(), minlength=256).cumsum()
    above = 2 * (inside[-1] - inside) / (everything[-1] - everything + inside[-1])
    below = 2 * inside / (everything + inside[-1])
    return max(above.max(), below.max())


@pytest.mark.parametrize(("name", "shape"), CASES)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_scene_is_valid_and_its_classes_have_sensible_shares(name, shape, seed):
    scene = SCENES[name](shape, seed)
    assert_valid(scene, name, shape)
    for index, (least, most) in SHARES[name].items():
        assert least < (scene.labels == index).mean() < most


@pytest.mark.parametrize("name", SCENES)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_every_shape_gives_a_valid_scene(name, data):
    sides = st.integers(1, 21)
    shapes = st.tuples(sides, sides)
    shape = data.draw(shapes if name == "aerial" else shapes | st.tuples(*[st.integers(1, 9)] * 3))
    assert_valid(SCENES[name](shape, data.draw(st.integers(0, 2**70))), name, shape)


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_a_seed_determines_the_scene_and_nothing_else_does(name, shape):
    first = SCENES[name](shape, 5)
    np.random.seed(1)
    assert same(first, SCENES[name](shape, 5))
    other = SCENES[name](shape, 6)
    assert not np.array_equal(first.image, other.image) and not np.array_equal(first.labels, other.labels)


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_an_object_has_one_class(name, shape):
    scene = SCENES[name](shape, 2)
    pairs = np.unique(np.stack([scene.objects.ravel(), scene.labels.ravel()]), axis=1)
    assert pairs.shape[1] == len(np.unique(scene.objects))


@pytest.mark.parametrize(("name", "shape"), [case for case in CASES if case[0] != "nuclei"])
def test_an_object_is_all_of_a_connected_part_of_its_class(name, shape):
    scene = SCENES[name](shape, 3)
    parts = sum(parts_of(scene.labels == index) for index in range(1, len(scene.classes)))
    assert parts == scene.objects.max() > 3
    assert all(parts_of(scene.objects == number) == 1 for number in range(1, parts + 1))


@pytest.mark.parametrize("shape", [(256, 256), (32, 56, 64)])
def test_a_nucleus_is_in_one_piece_unless_another_lies_across_it(shape):
    objects = SCENES["nuclei"](shape, 4).objects
    assert objects.max() > 5
    for number in range(1, objects.max() + 1):
        pieces, count = ndimage.label(objects == number)
        for piece in range(1, count + 1) if count > 1 else ():
            around = ndimage.binary_dilation(pieces == piece) & (pieces != piece)
            assert np.any(objects[around] > 0)


@pytest.mark.parametrize(("name", "shape"), CASES)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_image_fits_its_labels_better_than_labels_that_are_one_pixel_off(name, shape, seed):
    scene = SCENES[name](shape, seed)
    inner = (slice(1, -1),) * len(shape)
    exact = explained(scene.image[:, *inner], scene.labels[inner])
    for axis in range(len(shape)):
        for step in (-1, 1):
            moved = np.roll(scene.labels, step, axis)[inner]
            assert explained(scene.image[:, *inner], moved) < exact


@pytest.mark.parametrize("seed", range(4))
def test_no_threshold_solves_cells(seed):
    scene = SCENES["cells"]((256, 256), seed)
    assert best_threshold_dice(scene.image[0], scene.labels > 0) < 0.93


def test_membranes_are_thin_and_dark_and_cells_hold_what_is_as_dark():
    scene = SCENES["cells"]((256, 256), 0)
    membrane, cell = scene.image[0][scene.labels == 0], scene.image[0][scene.labels == 1]
    assert np.median(membrane) < 0.75 * np.median(cell)
    assert np.median(ndimage.distance_transform_edt(scene.labels == 0)[scene.labels == 0]) <= 2
    assert (cell < np.median(membrane)).mean() > 0.02


@pytest.mark.parametrize("shape", [(256, 256), (32, 56, 64)])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_nucleus_is_brighter_than_the_background_around_it(shape, seed):
    scene = SCENES["nuclei"](shape, seed)
    image = scene.image[0].astype(float)
    assert 1000 < image.max() <= 4095
    for number in range(1, scene.objects.max() + 1):
        nucleus = scene.objects == number
        around = ndimage.binary_dilation(nucleus, iterations=4) & (scene.labels == 0)
        if nucleus.sum() >= 60 and around.sum() >= 60:
            assert image[nucleus].mean() > 1.15 * image[around].mean()


def test_classes_of_the_aerial_scene_have_different_colors_in_the_table_and_in_the_image():
    scene = SCENES["aerial"]((256, 256), 0)
    assert len(set(scene.colors)) == len(scene.classes) == 4
    means = [scene.image[:, scene.labels == index].mean(axis=1) for index in range(4)]
    assert all(np.linalg.norm(means[i] - means[j]) > 10 for i in range(4) for j in range(i))


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("shape", [(), (8,), (0, 8), (2, 8, 8, 8)])
def test_a_wrong_shape_is_refused(name, shape):
    with pytest.raises(DataError, match=rf"scene of {name} cannot have shape \(.*give 2.* axes of 1 pixel or more"):
        SCENES[name](shape, 0)


def test_the_aerial_scene_has_two_axes_only():
    with pytest.raises(DataError, match=r"aerial cannot have shape \(4, 8, 8\); give 2 axes"):
        SCENES["aerial"]((4, 8, 8), 0)


@pytest.mark.parametrize("name", SCENES)
def test_a_negative_seed_is_refused(name):
    with pytest.raises(DataError, match="seed -1; give 0 or more"):
        SCENES[name]((8, 8), -1)


# --- files -------------------------------------------------------------------------------------------------------


def read(path):
    return np.asarray(Image.open(path)) if path.suffix == ".png" else tifffile.imread(path)


@pytest.mark.parametrize(("name", "shape"), [(name, tuple(side // 4 for side in shape)) for name, shape in CASES])
def test_a_dataset_reads_back_as_it_was_simulated(tmp_path, name, shape):
    write_dataset(tmp_path, name, train=2, test=1, shape=shape, seed=3)
    suffix = ".png" if len(shape) == 2 else ".tif"
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {"dataset.toml"} | {
        f"{split}/{kind}/{stem}{suffix}"
        for split, stem in (("train", "000"), ("train", "001"), ("test", "000"))
        for kind in ("images", "labels")
    }
    for image_path in tmp_path.glob("*/images/*"):
        image, drawn = read(image_path), read(image_path.parents[1] / "labels" / image_path.name)
        assert image.dtype == DTYPES[name] and drawn.dtype == np.uint8
        assert image.shape == drawn.shape == (shape if name != "aerial" else (*shape, 3))


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_label_files_hold_exactly_the_labels(tmp_path, monkeypatch, name, shape):
    made = []
    monkeypatch.setitem(SCENES, name, lambda *given, simulate=SCENES[name]: made.append(simulate(*given)) or made[-1])
    write_dataset(tmp_path, name, train=1, test=1, shape=tuple(side // 2 for side in shape))
    description = tomllib.loads((tmp_path / "dataset.toml").read_text())
    for split, scene in zip(("train", "test"), made, strict=True):
        (image,) = (read(path) for path in (tmp_path / split / "images").iterdir())
        (drawn,) = (read(path) for path in (tmp_path / split / "labels").iterdir())
        if name == "aerial":
            assert description["kind"] == "colors" and tuple(description["colors"]) == scene.classes
            for index, color in enumerate(description["colors"].values()):
                assert np.array_equal((drawn == color).all(axis=-1), scene.labels == index)
            assert np.array_equal(np.moveaxis(image, -1, 0), scene.image)
        else:
            assert description == {"kind": "mask", "classes": list(scene.classes)}
            assert np.array_equal(drawn, np.where(scene.labels == 1, 255, 0))
            assert np.array_equal(image, scene.image[0])


def test_a_stack_says_which_axes_it_has(tmp_path):
    write_dataset(tmp_path, "nuclei", train=1, test=0, shape=(3, 16, 20))
    for kind in ("images", "labels"):
        with tifffile.TiffFile(tmp_path / "train" / kind / "000.tif") as file:
            assert file.series[0].axes == "ZYX" and len(file.pages) == 3
            assert file.pages[0].compression == tifffile.COMPRESSION.ADOBE_DEFLATE


def test_no_two_scenes_are_the_same(tmp_path):
    for seed in (0, 1):
        write_dataset(tmp_path / str(seed), "cells", train=4, test=4, shape=(12, 12), seed=seed)
    assert len({path.read_bytes() for path in tmp_path.rglob("images/*")}) == 16


def test_more_scenes_leave_the_first_as_they_are_and_writing_again_changes_no_byte(tmp_path):
    write_dataset(tmp_path, "cells", train=1, test=1, shape=(16, 16))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    write_dataset(tmp_path, "cells", train=2, test=3, shape=(16, 16))
    assert all(path.read_bytes() == content for path, content in before.items())
    write_dataset(tmp_path, "cells", train=2, test=3, shape=(16, 16))
    assert all(path.read_bytes() == content for path, content in before.items())


def test_files_that_would_slip_into_the_dataset_are_refused(tmp_path):
    write_dataset(tmp_path, "cells", train=2, test=1, shape=(8, 8))
    with pytest.raises(OutputError, match=r"001.png does not belong to the dataset to write; choose an empty folder"):
        write_dataset(tmp_path, "cells", train=1, test=1, shape=(8, 8))


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"scene": "clouds"}, "no scene 'clouds'; choose one of cells, nuclei, aerial"),
        ({"scene": "aerial", "shape": (4, 8, 8)}, r"aerial cannot have shape \(4, 8, 8\); give 2 axes"),
        ({"shape": (8,)}, r"cells cannot have shape \(8,\); give 2 or 3 axes"),
        ({"seed": -3}, "seed -3; give 0 or more"),
        ({"train": 0}, "0 training and 8 test scenes cannot be written; give 1 or more to train on"),
        ({"test": -1}, "16 training and -1 test scenes cannot be written"),
        ({"train": 10**6}, "at most 500000 of each"),
    ],
)
def test_a_wrong_request_writes_nothing(tmp_path, settings_, message):
    with pytest.raises(DataError, match=message):
        write_dataset(tmp_path / "out", **{"scene": "cells", "shape": (8, 8)} | settings_)
    assert not (tmp_path / "out").exists()


# --- what scenes are painted from --------------------------------------------------------------------------------


@pytest.mark.parametrize("semi_axes", [(20.0, 9.0), (7.0, 9.0, 12.0)])
@pytest.mark.parametrize("seed", range(3))
def test_a_smooth_blob_has_the_volume_of_its_ellipsoid(semi_axes, seed):
    shape = (50,) * len(semi_axes)
    blob = Blob.random(np.full(len(shape), 24.3), np.array(semi_axes), 0.0, np.random.default_rng(seed))
    radius = blob.paint(shape)[1]
    ball = math.pi if len(shape) == 2 else 4 / 3 * math.pi
    assert (radius <= 1).sum() == pytest.approx(ball * math.prod(semi_axes), rel=0.03)


@pytest.mark.parametrize("shape", [(60, 60), (36, 36, 36)])
@pytest.mark.parametrize("seed", range(3))
def test_the_window_of_a_blob_holds_all_of_it(shape, seed):
    rng = np.random.default_rng(seed)
    blob = Blob.random(np.array(shape) / 2, rng.uniform(4, 9, len(shape)), 0.4, rng)
    tight, roomy = (np.zeros(shape, bool) for _ in range(2))
    for canvas, margin in ((tight, 0.0), (roomy, 40.0)):
        window, radius = blob.paint(shape, margin)
        canvas[window] = radius <= 1
    assert np.array_equal(tight, roomy) and parts_of(roomy) == 1


def test_a_blob_outside_the_image_has_an_empty_window():
    blob = Blob.random(np.array([-50.0, 4.0]), np.array([5.0, 5.0]), 0.2, np.random.default_rng(0))
    assert blob.paint((8, 8))[1].size == 0


@pytest.mark.parametrize("noise", [smooth_noise, lambda shape, wave, rng: fractal_noise(shape, wave, 3, rng)])
@pytest.mark.parametrize("shape", [(200, 200), (50, 50, 50)])
def test_noise_has_mean_0_and_standard_deviation_near_1(noise, shape):
    draw = noise(shape, 5.0, np.random.default_rng(0))
    assert abs(draw.mean()) < 0.1 and 0.6 < draw.std() < 1.2


def test_noise_of_long_wavelength_is_smooth():
    draw = smooth_noise((100, 100), 25.0, np.random.default_rng(0))
    assert np.abs(np.diff(draw, axis=0)).max() < 0.3


def test_depth_in_a_tessellation_is_the_distance_to_the_nearest_other_cell():
    owner, depth = tessellate((120, 120), 24.0, np.random.default_rng(0))
    borders = np.zeros(owner.shape, bool)
    for axis in range(2):
        borders |= (owner != np.roll(owner, 1, axis)) | (owner != np.roll(owner, -1, axis))
    middle = (slice(30, 90),) * 2
    truth = ndimage.distance_transform_edt(~borders)[middle]
    assert np.corrcoef(truth.ravel(), depth[middle].ravel())[0, 1] > 0.8
    assert depth[middle][borders[middle]].max() < 2
