"""Measured objects against their geometry and scikit-image, and the table as another reader of CSV sees it."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import perimeter_crofton

from unetscope.data.objects import number_objects
from unetscope.data.spacing import Spacing
from unetscope.errors import DataError, OutputError
from unetscope.measurement import Measured, ObjectTable, join_tables, measure_objects, write_table

STEPS = {2: [(1.0, 1.0), (2.0, 3.0), (0.25, 4.0)], 3: [(1.0, 1.0, 1.0), (5.0, 0.5, 0.5), (3.0, 1.0, 2.0)]}
ALL_STEPS = [*STEPS[2], *STEPS[3]]


@st.composite
def labelled_images(draw):
    """Numbered objects with gaps in the numbers, pixels to ignore, and an image of one or two channels."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=3, max_side=6))
    ids = draw(hnp.arrays(np.int64, shape, elements=st.sampled_from([-1, 0, 2, 3, 90_000])))
    channels = draw(st.integers(1, 2))
    return ids, draw(hnp.arrays(np.uint16, (channels, *shape), elements=st.integers(0, 2**16 - 1)))


def paint_ball(radius, steps, offset=0.3):
    """A disk or ball of a radius in physical units."""
    sizes = [int(2 * radius / step) + 5 for step in steps]
    centers = [(size - 1) / 2 * step + offset * step for size, step in zip(sizes, steps, strict=True)]
    axes = np.ogrid[tuple(slice(0, size) for size in sizes)]
    squares = [(axis * step - center) ** 2 for axis, step, center in zip(axes, steps, centers, strict=True)]
    return (sum(squares) <= radius**2).astype(np.uint8), centers


def measure_one(mask, steps):
    (row,) = measure_objects(mask, mask[None], Spacing(steps, "µm")).rows
    return row


def read_csv(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


# Geometry


def test_a_square_with_unequal_steps_has_the_area_of_its_sides():
    ids = np.zeros((20, 30), np.uint16)
    ids[5:15, 7:17] = 4
    row = measure_one(ids, (2.0, 3.0))
    assert (row.id, row.size, row.centroid) == (4, 600.0, (9.5 * 2, 11.5 * 3))


@pytest.mark.parametrize("steps", ALL_STEPS)
def test_a_box_is_measured_exactly(steps):
    sides, start = (3, 4, 6)[: len(steps)], (1, 2, 5)[: len(steps)]
    ids = np.zeros((9, 9, 14)[: len(steps)], np.uint8)
    ids[tuple(slice(s, s + n) for s, n in zip(start, sides, strict=True))] = 1
    row = measure_one(ids, steps)
    assert row.size == pytest.approx(math.prod(sides) * math.prod(steps))
    center = [(s + (n - 1) / 2) * step for s, n, step in zip(start, sides, steps, strict=True)]
    assert row.centroid == pytest.approx(center)


@pytest.mark.parametrize("steps", ALL_STEPS)
def test_disks_and_balls_have_the_boundary_of_geometry(steps):
    radius = 10 * max(steps)
    mask, center = paint_ball(radius, steps)
    row = measure_one(mask, steps)
    volume, boundary = {
        2: (math.pi * radius**2, 2 * math.pi * radius),
        3: (4 / 3 * math.pi * radius**3, 4 * math.pi * radius**2),
    }[mask.ndim]
    assert row.boundary == pytest.approx(boundary, rel=0.02)
    assert row.size == pytest.approx(volume, rel=0.02)
    assert row.centroid == pytest.approx(center, abs=0.1 * max(steps))


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)))
@settings(deadline=None)
def test_perimeters_agree_with_scikit_image(mask):
    if mask.any():
        row = measure_one(mask.astype(np.uint8), (1.0, 1.0))
        assert row.boundary == pytest.approx(perimeter_crofton(np.pad(mask, 1), directions=4))


@pytest.mark.parametrize("steps", STEPS[3])
def test_surfaces_do_not_depend_on_the_order_of_axes(steps):
    mask = np.random.default_rng(0).random((6, 7, 8)) < 0.5
    turned = measure_one(mask.transpose(2, 0, 1).astype(np.uint8), (steps[2], steps[0], steps[1]))
    assert turned.boundary == pytest.approx(measure_one(mask.astype(np.uint8), steps).boundary)


@pytest.mark.parametrize("steps", ALL_STEPS)
def test_units_scale_every_length(steps):
    ids = number_objects(np.random.default_rng(1).random((7, 8, 9)[: len(steps)]) < 0.3)
    image, ndim = ids[None], len(steps)
    small = measure_objects(ids, image, Spacing(steps, "mm"))
    large = measure_objects(ids, image, Spacing(tuple(1000 * step for step in steps), "µm"))
    for one, other in zip(small.rows, large.rows, strict=True):
        assert other.size == pytest.approx(one.size * 1000**ndim)
        assert other.boundary == pytest.approx(one.boundary * 1000 ** (ndim - 1))
        assert other.centroid == pytest.approx([1000 * place for place in one.centroid])


# Objects


@given(labelled_images())
@settings(max_examples=60, deadline=None)
def test_every_object_is_measured_on_its_own_pixels(pair):
    ids, image = pair
    table = measure_objects(ids, image)
    assert [row.id for row in table.rows] == [number for number in np.unique(ids) if number > 0]
    for row in table.rows:
        own = ids == row.id
        assert row.size == own.sum()
        assert row.centroid == pytest.approx(np.argwhere(own).mean(axis=0))
        assert row.intensities == pytest.approx([channel[own].mean() for channel in image])
        assert row.name == "foreground"


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.uint64])
def test_arrays_of_all_types_may_be_read_only(dtype):
    ids, image = np.array([[1, 1, 0, 3]], dtype), np.array([[[1, 2, 3, 4]]], np.float32)
    for array in (ids, image):
        array.setflags(write=False)
    assert [row.intensities for row in measure_objects(ids, image).rows] == [(1.5,), (4.0,)]


def test_an_object_has_the_class_of_most_of_its_pixels():
    ids = np.array([[1, 1, 1, 2, 2, 2]])
    classes = np.array([[1, 2, 2, -1, -1, 1]], np.int16)
    rows = measure_objects(ids, ids[None], classes=classes, names=("background", "cell", "nucleus")).rows
    assert [row.name for row in rows] == ["nucleus", "background"]


def test_any_segmentation_has_a_table():
    labels = np.array([[1, 2, 0, 1], [1, 2, 0, 0]])
    rows = measure_objects(number_objects(labels), labels[None], None, labels, ("none", "cell", "nucleus")).rows
    assert [(row.id, row.name, row.size) for row in rows] == [(1, "cell", 2), (2, "nucleus", 2), (3, "cell", 1)]


# The table


@pytest.mark.parametrize(
    ("shape", "unit", "header"),
    [
        ((1, 4, 4), "µm", "id,class,area [µm²],perimeter [µm],centroid_y [µm],centroid_x [µm],mean_intensity"),
        (
            (2, 2, 4, 4),
            "mm",
            "id,class,volume [mm³],surface [mm²],centroid_z [mm],centroid_y [mm],centroid_x [mm],"
            "mean_intensity_0,mean_intensity_1",
        ),
    ],
)
def test_a_table_without_objects_has_its_header(tmp_path, shape, unit, header):
    empty = np.zeros(shape[1:], np.uint8)
    write_table(tmp_path / "t.csv", measure_objects(empty, np.zeros(shape), Spacing((1.0,) * empty.ndim, unit)))
    assert (tmp_path / "t.csv").read_bytes().decode() == header + "\r\n"


def test_without_a_spacing_lengths_are_in_pixels():
    ids = np.array([[1]])
    assert measure_objects(ids, ids[None]).header[2:5] == ("area [pixel²]", "perimeter [pixel]", "centroid_y [pixel]")


@given(name=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8))
@settings(deadline=None, max_examples=50)
def test_any_name_comes_back_from_the_file(tmp_path_factory, name):
    path = tmp_path_factory.mktemp("names") / "t.csv"
    table = ObjectTable((Measured(7, name, 600.0, 0.1 + 0.2, (1.5, 2.0), (3.25,)),), 2, 1, "µm")
    write_table(path, table)
    rows = read_csv(path)
    assert rows == [[*table.header], ["7", name, "600", "0.3", "1.5", "2", "3.25"]]


def test_pages_are_told_apart(tmp_path):
    pages = [measure_objects(np.array([[number]]), np.array([[[number]]])) for number in (1, 0, 2)]
    write_table(tmp_path / "t.csv", join_tables(pages))
    header, *rows = read_csv(tmp_path / "t.csv")
    assert header[:3] == ["id", "class", "page"]
    assert [row[:3] for row in rows] == [["1", "foreground", "0"], ["2", "foreground", "2"]]
    assert {len(row) for row in rows} == {len(header)}
    assert join_tables(pages[:1]) == pages[0]


def test_a_table_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        write_table(tmp_path / "file" / "t.csv", ObjectTable((), 2, 1, "µm"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# What is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": np.zeros((3, 3), int)}, "do not fit"),
        ({"ids": np.zeros((2, 3))}, "whole numbers"),
        ({"image": np.zeros((2, 3))}, "do not fit"),
        ({"spacing": Spacing((1.0, 1.0, 1.0))}, "do not fit"),
        ({"spacing": Spacing((1e-6, 1.0))}, "correct the spacing"),
        ({"classes": np.zeros((3, 2), int)}, "do not fit"),
        ({"classes": np.full((2, 3), 2)}, "only 2 classes have a name"),
    ],
)
def test_what_does_not_fit_together_is_refused(change, message):
    good = {"ids": np.ones((2, 3), int), "image": np.zeros((1, 2, 3))}
    with pytest.raises(DataError, match=message):
        measure_objects(**(good | change))
