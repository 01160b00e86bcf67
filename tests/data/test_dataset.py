import hashlib
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from folders import IMAGE, MASK, folder_of, masks, with_values

from unetscope.data.dataset import IGNORE, Dataset, Spacing
from unetscope.data.images import write_image, write_labels
from unetscope.data.objects import OBJECT_CLASSES, classify_objects
from unetscope.data.spacing import resample_image
from unetscope.errors import DataError, ImageError


def test_sizes_must_agree(tmp_path: Path) -> None:
    folder_of(tmp_path, masks(2))
    write_labels(tmp_path / "labels" / "01.png", MASK[:5])
    dataset = Dataset.open(tmp_path)
    dataset.read(dataset.item("00"))
    with pytest.raises(DataError, match=r"images/01\.png has 6 x 8 pixels and .*labels/01\.png has 5 x 8"):
        dataset.read(dataset.item("01"))


def test_broken_values_are_found(tmp_path: Path) -> None:
    folder_of(tmp_path, masks(2))
    (tmp_path / "images" / "01.png").unlink()
    broken = IMAGE[0].astype(np.float32)
    broken[5, 7] = np.nan
    tifffile.imwrite(tmp_path / "images" / "01.tif", broken)
    dataset = Dataset.open(tmp_path)
    with pytest.raises(ImageError, match=r"01\.tif holds NaN"):
        dataset.read(dataset.item("01"))


@pytest.mark.parametrize("folder", ["images", "labels"])
def test_truncated_files_are_named(tmp_path: Path, folder: str) -> None:
    folder_of(tmp_path, masks(2))
    path = tmp_path / folder / "01.png"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ImageError, match=rf"{folder}/01\.png cannot be read as png"):
        dataset = Dataset.open(tmp_path)
        dataset.read(dataset.item("01"))


def test_gray_images_among_colors_are_repeated(tmp_path: Path) -> None:
    folder_of(tmp_path, masks(3))
    write_image(tmp_path / "images" / "01.png", np.concatenate([IMAGE, IMAGE + 1, IMAGE + 2]))
    dataset = Dataset.open(tmp_path)
    assert dataset.channels == 3
    gray = dataset.read_image(dataset.item("00"))
    assert gray.shape == (3, 6, 8) and (gray == gray[0]).all()


def test_other_mixtures_of_channels_are_refused(tmp_path: Path) -> None:
    folder_of(tmp_path, masks(3))
    for stem, channels in (("01", 2), ("02", 3)):
        (tmp_path / "images" / f"{stem}.png").unlink()
        write_image(tmp_path / "images" / f"{stem}.tif", np.repeat(IMAGE, channels, axis=0))
    with pytest.raises(DataError, match=r"01\.tif has 2 channels and .*02\.tif has 3"):
        Dataset.open(tmp_path)


def test_volumes(tmp_path: Path) -> None:
    folder_of(tmp_path, {"a": np.stack([MASK] * 5), "b": np.stack([MASK] * 4)})
    dataset = Dataset.open(tmp_path)
    image, labels = dataset.read(dataset.item("b"))
    assert (dataset.ndim, image.shape, labels.shape) == (3, (1, 4, 6, 8), (4, 6, 8))


def test_unknown_names(tmp_path: Path) -> None:
    dataset = Dataset.open(folder_of(tmp_path, masks(5)))
    assert dataset.subset(["03", "01"]).names == ("03", "01")
    for ask in (dataset.item, lambda name: dataset.subset([name])):
        with pytest.raises(DataError, match=r"no image 'x'; it has 00, 01, 02, \.\.\."):
            ask("x")


def test_the_digest_is_of_names_and_contents_only(tmp_path: Path) -> None:
    one = Dataset.open(folder_of(tmp_path / "one", masks(3)))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert Dataset.open(tmp_path / "two").digest() == one.digest()
    write_labels(tmp_path / "two" / "labels" / "01.png", 255 - MASK)
    changed = Dataset.open(tmp_path / "two").digest()
    assert changed != one.digest()
    for folder in ("images", "labels"):
        (tmp_path / "two" / folder / "02.png").rename(tmp_path / "two" / folder / "03.png")
    assert Dataset.open(tmp_path / "two").digest() not in (changed, one.digest())


def test_volumes_among_planes_are_refused(tmp_path: Path) -> None:
    folder_of(tmp_path, masks(2), "values = [0, 255]")
    (tmp_path / "images" / "01.png").unlink()
    write_image(tmp_path / "images" / "01.tif", np.zeros((1, 4, 6, 8), np.uint8))
    with pytest.raises(DataError, match=r"01\.tif holds 4 pages, and one 2D image was needed"):
        Dataset.open(tmp_path)


@pytest.mark.parametrize("where", ["argument", "dataset.toml"])
def test_axes_that_files_do_not_say(tmp_path: Path, where: str) -> None:
    volume = np.random.default_rng(0).integers(0, 9, (3, 6, 8), np.uint8)
    write_image(tmp_path / "images" / "a.npy", volume)
    write_labels(tmp_path / "labels" / "a.png", MASK)
    write_image(tmp_path / "images" / "b.npy", volume)
    write_labels(tmp_path / "labels" / "b.png", MASK)
    plain = Dataset.open(tmp_path)
    assert plain.channels == 3
    if where == "dataset.toml":
        (tmp_path / "dataset.toml").write_text('axes = "YCX"')
    dataset = Dataset.open(tmp_path, axes="YCX" if where == "argument" else None)
    assert dataset.channels == 6 and dataset.read_image(dataset.items[0]).shape == (6, 3, 8)
    np.testing.assert_array_equal(dataset.read_image(dataset.items[0]), volume.transpose(1, 0, 2))


def test_the_digest_of_an_image_is_of_its_file(tmp_path: Path) -> None:
    dataset = Dataset.open(folder_of(tmp_path, masks(2)))
    for item in dataset.items:
        assert item.digest() == hashlib.sha256(item.image.read_bytes()).hexdigest()


# --------------------------------------------------------------------------------------------------------- objects


def test_instances_become_background_inside_and_border(tmp_path: Path) -> None:
    numbers = with_values(3, 5, 9)
    dataset = Dataset.open(folder_of(tmp_path, {"a": numbers, "b": with_values(1, 2)}, 'kind = "instances"'))
    objects = dataset.as_objects()
    assert objects.classes == OBJECT_CLASSES and objects.stored == dataset.labelling
    assert objects.as_objects() == objects
    item = objects.item("a")
    image, labels = objects.read(item)
    np.testing.assert_array_equal(labels, classify_objects(numbers))
    np.testing.assert_array_equal(image, dataset.read_image(item))
    for each in (dataset, objects):
        np.testing.assert_array_equal(each.read_instances(item), numbers)
    np.testing.assert_array_equal(dataset.read_labels(item), numbers > 0)


def test_masks_become_objects_by_their_components(tmp_path: Path) -> None:
    numbers = with_values(1, 2, 3)
    dataset = Dataset.open(folder_of(tmp_path, {"a": numbers.astype(bool) * 255, "b": MASK}))
    assert dataset.labelling.kind == "mask"
    item = dataset.item("a")
    np.testing.assert_array_equal(dataset.read_instances(item), numbers)
    np.testing.assert_array_equal(dataset.as_objects().read_labels(item), classify_objects(numbers))


def test_components_of_classes_are_numbered_but_not_learned_as_objects(tmp_path: Path) -> None:
    numbers = with_values(2, 1, 2)
    dataset = Dataset.open(folder_of(tmp_path, {"a": numbers, "b": with_values(1, 2)}, 'kind = "classes"'))
    np.testing.assert_array_equal(dataset.read_instances(dataset.item("a")), with_values(1, 2, 3))
    with pytest.raises(DataError, match=r'has the classes background, class 1, class 2, .* declare kind = "instances"'):
        dataset.as_objects()


@pytest.mark.parametrize("kind", ["instances", "mask"])
def test_ignored_pixels_belong_to_no_object(tmp_path: Path, kind: str) -> None:
    stored = with_values(1, 9, 1) if kind == "mask" else with_values(1, 9, 2)
    dataset = Dataset.open(folder_of(tmp_path, {"a": stored}, f'kind = "{kind}"\nignore = 9'))
    expected = np.where(stored == 9, IGNORE, with_values(1, 9, 2).astype(int))
    np.testing.assert_array_equal(dataset.read_instances(dataset.items[0]), expected)
    labels = dataset.as_objects().read_labels(dataset.items[0])
    np.testing.assert_array_equal(labels == IGNORE, stored == 9)


# --------------------------------------------------------------------------------------------------------- spacing


def volumes(
    root: Path,
    steps: dict[str, tuple[float, ...]],
    affines: dict[str, np.ndarray] | None = None,
    size: tuple[int, ...] = (16, 12, 10),
) -> Path:
    """NIfTI images and labels (x, y, z) with these steps, and labels with other affines where given."""
    for stem, step in steps.items():
        affine = np.diag([*step[::-1], 1.0])
        values = np.random.default_rng(len(stem)).normal(size=size).astype(np.float32)
        labels = np.zeros(values.shape, np.uint8)
        labels[4:12, 3:9, 2:7] = 1
        for folder, array, place in (("images", values, affine), ("labels", labels, (affines or {}).get(stem, affine))):
            (root / folder).mkdir(parents=True, exist_ok=True)
            image = nibabel.Nifti1Image(array, place)
            image.header.set_xyzt_units("mm")
            nibabel.save(image, root / folder / f"{stem}.nii.gz")
    return root


def test_spacing_is_read_and_resampled_to_a_target(tmp_path: Path) -> None:
    steps = {"a": (2.0, 1.0, 1.0), "b": (1.0, 1.0, 1.0), "c": (1.005, 0.995, 1.0)}
    stored = Dataset.open(volumes(tmp_path, steps))
    dataset = stored.at_spacing((1.0, 1.0, 1.0))
    assert dataset.ndim == 3 and stored.names == ("a", "b", "c")
    for item in stored.items:
        spacing = stored.read_spacing(item)
        assert spacing.unit == "mm" and spacing.steps == pytest.approx(steps[item.name], rel=1e-6)
        image, labels = dataset.read(item)
        plain_image, plain_labels = stored.read(item)
        shape = (20, 12, 16) if item.name == "a" else (10, 12, 16)
        assert image.shape[1:] == labels.shape == shape and dataset.read_instances(item).shape == shape
        if item.name == "a":
            assert dataset.read_spacing(item) == Spacing((1.0, 1.0, 1.0), "mm") and image.dtype == np.float32
            np.testing.assert_array_equal(labels, np.repeat(plain_labels, 2, axis=0))
            np.testing.assert_array_equal(image, resample_image(plain_image, shape))
        else:
            np.testing.assert_array_equal(image, plain_image)
            np.testing.assert_array_equal(labels, plain_labels)


def test_images_without_a_spacing_are_read_as_they_are(tmp_path: Path) -> None:
    dataset = Dataset.open(folder_of(tmp_path, masks(2)))
    assert dataset.read_spacing(dataset.items[0]) is None
    image, labels = dataset.at_spacing((0.5, 0.5)).read(dataset.items[0])
    assert image.shape[1:] == labels.shape == MASK.shape
    with pytest.raises(DataError, match=r"holds 2D images, and the spacing .* came; give one step an axis"):
        dataset.at_spacing((1.0, 1.0, 1.0))


def test_a_target_may_have_its_own_unit(tmp_path: Path) -> None:
    dataset = Dataset.open(volumes(tmp_path, {"a": (2.0, 1.0, 1.0)}))
    item, steps = dataset.items[0], (1.0, 1.0, 1.0)
    fine = dataset.at_spacing(Spacing((1000.0, 1000.0, 1000.0), "µm")).read_labels(item)
    np.testing.assert_array_equal(fine, dataset.at_spacing(steps).read_labels(item))
    with pytest.raises(DataError, match=r"a\.nii\.gz cannot be brought to 1 x 1 x 1 pixel: a spacing in mm"):
        dataset.at_spacing(Spacing(steps, "pixel")).read(item)


def test_blocks_are_cut_from_what_is_stored_and_resampled_each(tmp_path: Path) -> None:
    dataset = Dataset.open(volumes(tmp_path, {"a": (1.0, 1.0, 0.25)}, size=(60, 12, 10)))
    cut = [
        dataset.at_spacing((1.0, 1.0, 0.5)).in_blocks((1, 1, 1)),
        dataset.in_blocks((1, 1, 1)).at_spacing((1, 1, 0.5)),
    ]
    assert cut[0].items == cut[1].items
    for item in cut[0].items:
        image, labels = cut[0].read(item)
        assert labels.shape == image.shape[1:] == cut[1].read_image(item).shape[1:]
        assert labels.shape[2] == round((item.box[2][1] - item.box[2][0]) / 2)


def test_sizes_are_compared_before_they_are_resampled(tmp_path: Path) -> None:
    dataset = Dataset.open(volumes(tmp_path, {"a": (1.0, 1.0, 1.0)})).at_spacing((2.0, 2.0, 2.0))
    labels = np.zeros((16, 12, 9), np.uint8)
    nibabel.save(nibabel.Nifti1Image(labels, np.eye(4)), tmp_path / "labels" / "a.nii.gz")
    with pytest.raises(DataError, match=r"has 10 x 12 x 16 pixels and .* has 9 x 12 x 16"):
        dataset.read(dataset.items[0])


def test_objects_are_classified_on_the_grid(tmp_path: Path) -> None:
    dataset = Dataset.open(volumes(tmp_path, {"a": (2.0, 1.0, 1.0)}))
    objects = dataset.as_objects().at_spacing((1.0, 1.0, 1.0))
    item = dataset.items[0]
    expected = classify_objects(np.repeat(dataset.read_instances(item), 2, axis=0))
    np.testing.assert_array_equal(objects.read_labels(item), expected)


MIRRORED, MOVED, WIDER = np.diag([-1.0, 1, 1, 1]), np.eye(4), np.diag([1.0, 1, 1.1, 1])
MOVED[:3, 3] = 0, 0, 0.6


@pytest.mark.parametrize(
    ("affine", "words"),
    [
        (MIRRORED, "is oriented otherwise than"),
        (MOVED, "has another origin than"),
        (WIDER, "has pixels of 1.1 x 1 x 1 mm"),
    ],
)
def test_labels_that_lie_elsewhere_are_refused(tmp_path: Path, affine: np.ndarray, words: str) -> None:
    volumes(tmp_path, {"a": (1.0, 1.0, 1.0), "b": (1.0, 1.0, 1.0)}, {"b": affine})
    dataset = Dataset.open(tmp_path)
    dataset.read(dataset.item("a"))
    with pytest.raises(DataError, match=rf"labels/b\.nii\.gz {words} .*images/b\.nii\.gz"):
        dataset.read(dataset.item("b"))


def test_labels_that_do_not_say_where_they_lie_are_taken(tmp_path: Path) -> None:
    volumes(tmp_path, {"a": (1.0, 1.0, 1.0)})
    silent = nibabel.load(tmp_path / "labels" / "a.nii.gz")
    silent = nibabel.Nifti1Image(np.asarray(silent.dataobj), None)
    nibabel.save(silent, tmp_path / "labels" / "a.nii.gz")
    dataset = Dataset.open(tmp_path)
    image, labels = dataset.read(dataset.items[0])
    assert image.shape[1:] == labels.shape


# ------------------------------------------------------------------------------------------------------- real data


@pytest.mark.parametrize(
    ("name", "count", "channels", "kind", "classes", "tested"),
    [
        ("dsb2018", 664, 3, "instances", 2, 65),
        ("isbi2012", 30, 1, "mask", 2, 6),
        ("vnc_em", 20, 1, "classes", 5, 4),
        ("hippocampus", 260, 1, "classes", 3, 60),
    ],
)
def test_real_data(
    shared_data: Path, name: str, count: int, channels: int, kind: str, classes: int, tested: int
) -> None:
    if not (shared_data / name).is_dir():
        pytest.skip(f"{shared_data} has no {name}")
    dataset = Dataset.open(shared_data / name)
    assert (len(dataset.items), dataset.channels, dataset.labelling.kind) == (count, channels, kind)
    assert len(dataset.classes) == classes and len(dataset.split().test) == tested
    for item in dataset.items[:: max(1, count // 10)]:
        image, labels = dataset.read(item)
        assert len(image) == channels and labels.max() < classes
