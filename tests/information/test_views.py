"""Images come to a network whole, at their own size, with labels at the same places."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from unetscope.data.dataset import Dataset
from unetscope.errors import DataError
from unetscope.information.views import MOST_PIXELS, view_arrays, view_dataset
from unetscope.model.geometry import layer_shapes, margin, output_shape
from unetscope.model.spec import UNetSpec

SPECS = [
    UNetSpec.by_level((4, 8)),
    UNetSpec.by_level((2, 2, 2, 2)),
    UNetSpec.by_level((2,)),
    UNetSpec.by_level((2, 2), padded=False),
    UNetSpec.by_level((2, 2, 2), padded=False, up="linear"),
    UNetSpec.by_level((2, 2, 2), strides=((3, 2), (1, 2))),
]


@pytest.fixture
def uneven(write_dataset):
    """Four images of four sizes, their left half foreground."""
    shapes = [(16, 20), (31, 17), (7, 40), (24, 24)]
    masks = [np.broadcast_to(np.arange(width) < width // 2, (height, width)) for height, width in shapes]
    chance = np.random.default_rng(0)
    return write_dataset([chance.integers(0, 256, mask.shape).astype(np.uint8) for mask in masks], masks)


@pytest.mark.parametrize("spec", SPECS)
def test_every_image_keeps_its_size_and_is_mirrored_around(uneven, make_checkpoint, spec):
    views = view_dataset(make_checkpoint(uneven.names, spec), uneven)
    assert views.names == views.groups == uneven.names
    for item, view in zip(uneven.items, views, strict=True):
        image, labels = uneven.read(item)
        fed = view.image.shape[1:]
        lost = margin(spec)
        sides = [(side, size - n - side) for side, size, n in zip(lost, fed, labels.shape, strict=True)]
        expected = np.pad(image / 255, [(0, 0), *sides], mode="reflect")
        np.testing.assert_allclose(view.image, expected, rtol=1e-6)
        assert view.image.dtype == np.float32
        np.testing.assert_array_equal(view.labels, np.pad(labels.astype(int), sides, constant_values=-1))
        assert all(size <= have for size, have in zip(labels.shape, output_shape(spec, fed), strict=True))


@pytest.mark.parametrize("spec", SPECS)
def test_the_origin_is_where_a_coarsest_pixel_begins(uneven, make_checkpoint, spec):
    views = view_dataset(make_checkpoint(uneven.names, spec), uneven)
    for view in views:
        fed = view.image.shape[1:]
        for layer, shape in layer_shapes(spec, fed).items():
            stride = spec.stride(layer)
            starts = [(n - s * m) // 2 for n, s, m in zip(fed, stride, shape, strict=True)]
            assert [start % s for start, s in zip(starts, stride, strict=True)] == [
                at % s for at, s in zip(views.origin, stride, strict=True)
            ]


@pytest.mark.parametrize("spec", [UNetSpec.by_level((2, 2, 2)), UNetSpec.by_level((2, 2), padded=False)])
def test_of_large_images_a_box_is_read_on_the_grid(write_dataset, make_checkpoint, spec):
    chance = np.random.default_rng(1)
    masks = [chance.random((60, 90)) < 0.5 for _ in range(3)]
    images = [np.arange(60 * 90, dtype=np.uint16).reshape(60, 90) for _ in masks]
    dataset = write_dataset(images, masks)
    checkpoint = make_checkpoint(dataset.names, spec)
    views = view_dataset(checkpoint, dataset, most_pixels=40 * 40)
    starts = []
    for view, image, mask in zip(views, images, masks, strict=True):
        known = np.argwhere(view.labels >= 0)
        low, high = known.min(0), known.max(0) + 1
        assert np.prod(high - low) == 40 * 40
        first = round(float(view.image[(0, *low)]) * 255)
        start = np.array(divmod(first, 90))
        assert (start % spec.total_stride == 0).all()
        box = tuple(slice(at, at + size) for at, size in zip(start, high - low, strict=True))
        inside = tuple(map(slice, low, high))
        np.testing.assert_allclose(view.image[0][inside] * 255, image[box], rtol=1e-5)
        np.testing.assert_array_equal(view.labels[inside], mask[box])
        # what surrounds the box is the image itself wherever there is image
        if low[0] and start[0]:
            above = tuple((low - [1, 0]).tolist())
            assert round(float(view.image[(0, *above)]) * 255) == image[start[0] - 1, start[1]]
        starts.append(tuple(start))
    assert len(set(starts)) > 1
    again = view_dataset(checkpoint, dataset, most_pixels=40 * 40)
    np.testing.assert_array_equal(again[1].image, views[1].image)


def test_a_box_holds_labels_where_few_are_known(make_checkpoint, tmp_path):
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    (tmp_path / "dataset.toml").write_text('kind = "mask"\nignore = 9\n')
    for index in range(3):
        labels = np.full((80, 80), 9, np.uint8)
        labels[70 - 5 * index : 74 - 5 * index, 3:8] = [[0], [1], [0], [1]]
        Image.fromarray(np.zeros((80, 80), np.uint8)).save(tmp_path / "images" / f"{index}.png")
        Image.fromarray(labels).save(tmp_path / "labels" / f"{index}.png")
    dataset = Dataset.open(tmp_path)
    for view in view_dataset(make_checkpoint(dataset.names), dataset, most_pixels=16 * 16):
        assert set(np.unique(view.labels)) == {-1, 0, 1}


def test_the_default_reads_ordinary_images_whole():
    assert MOST_PIXELS == {2: 1024 * 1024, 3: 96**3}


def test_roles_choose_the_images(dataset, make_checkpoint):
    names = dataset.names
    checkpoint = make_checkpoint(names[:4], train=names[4:6], test=names[6:])
    chosen = {role: view_dataset(checkpoint, dataset, role).names for role in ("profile", "train", "test", "all")}
    assert chosen == {"profile": names[:4], "train": names[4:6], "test": names[6:], "all": names}


def test_one_image_is_too_few(dataset, make_checkpoint):
    with pytest.raises(DataError, match="at least 2 images and 1 came with the role 'profile'"):
        view_dataset(make_checkpoint(dataset.names[:1]), dataset)


def test_images_that_the_dataset_lacks_are_named(dataset, make_checkpoint):
    with pytest.raises(DataError, match=r"lacks 1 of the 3 profile images of this run, other for one"):
        view_dataset(make_checkpoint((*dataset.names[:2], "other")), dataset)


def test_labels_without_contrast_are_refused(write_dataset, make_checkpoint):
    blank, full = np.zeros((8, 8), bool), np.ones((8, 8), bool)
    dataset = write_dataset([np.zeros((8, 8), np.uint8)] * 3, [blank, blank, full])
    with pytest.raises(DataError, match="are labelled background throughout"):
        view_dataset(make_checkpoint(dataset.names[:2]), dataset)
    assert len(view_dataset(make_checkpoint(dataset.names[1:]), dataset)) == 2


def test_images_of_other_channels_are_refused(dataset, make_checkpoint):
    with pytest.raises(DataError, match="has 1 channels"):
        view_dataset(make_checkpoint(dataset.names, UNetSpec.by_level((4, 8), image_channels=3)), dataset)


IMAGE, LABELS = np.zeros((2, 6, 4)), np.eye(6, 4, dtype=np.int16)


def test_arrays_come_as_they_are():
    views = view_arrays([IMAGE, IMAGE[:, :4]], [LABELS, LABELS[:4] * 2 - 1], names=["a", "b"], groups=["x", "y"])
    assert (views.names, views.groups, views.ndim, len(views)) == (("a", "b"), ("x", "y"), 2, 2)
    assert views[-1].labels.dtype == np.int64
    assert views[1].labels.min() == -1
    with pytest.raises(IndexError):
        views[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([IMAGE], [LABELS]), "1 images came, and at least 2"),
        (([IMAGE] * 2, [LABELS]), "2 images and 1 labels came"),
        (([IMAGE] * 2, [LABELS, LABELS[:5]]), r"image 1 has shape \(2, 6, 4\) and its labels \(5, 4\)"),
        (([IMAGE] * 2, [LABELS * 0.5] * 2), "labels of image 0 are float64"),
        (([IMAGE] * 2, [LABELS - 2] * 2), "down to -2"),
        (([IMAGE * np.nan] * 2, [LABELS] * 2), "image 0 holds NaN"),
        (([IMAGE] * 2, [LABELS * 0] * 2), "labelled background throughout"),
        (([IMAGE] * 2, [LABELS * 0 - 1] * 2), "labelled no known label throughout"),
        (([IMAGE] * 2, [LABELS * 2] * 2, ("a", "b")), "hold class 2, and 2 classes are named"),
        (([IMAGE] * 2, [LABELS] * 2, None, ("a",)), "2 images and 1 names came"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        view_arrays(*arguments)
