"""Objects as classes and back: against scipy's distances, the paper's equation, and the laws of the way back."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from scipy import ndimage

from unetscope.data.labelling import IGNORE
from unetscope.data.objects import (
    BORDER_WIDTH,
    OBJECT_CLASSES,
    border_weights,
    classify_objects,
    find_objects,
    nearest_two,
    number_objects,
)
from unetscope.errors import DataError
from unetscope.scores.objects import pool_objects, score_objects

SHAPES = [(23, 31), (5, 11, 13)]
DTYPES = [np.uint8, np.uint16, np.int32, np.uint64]
INSIDE, BORDER = OBJECT_CLASSES.index("inside"), OBJECT_CLASSES.index("border")


@st.composite
def instances(draw, lowest=0):
    """Labels that are mostly background, with a few objects of any form, in one piece or in several."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=7))
    return draw(hnp.arrays(np.int32, shape, elements=st.sampled_from([lowest, 0, 0, 3, 8, 400])))


def scatter(shape, count, seed=0, dtype=np.int32):
    """Boxes here and there, some of them over others."""
    rng = np.random.default_rng(seed)
    ids = np.zeros(shape, dtype)
    for number in range(1, count + 1):
        corner = [rng.integers(0, size) for size in shape]
        ids[tuple(slice(start, start + rng.integers(1, 7)) for start in corner)] = number
    return ids


def tessellate(counts, side, dtype=np.int32):
    """Square cells that touch on all sides."""
    cells = np.arange(1, np.prod(counts) + 1, dtype=dtype).reshape(counts)
    return np.kron(cells, np.ones((side,) * len(counts), dtype))


def measure_all(ids):
    """Distances to every object, the nearest first: one transform of the whole image for each."""
    distances = [ndimage.distance_transform_edt(ids != number) for number in np.unique(ids[ids > 0])]
    padding = [np.full(ids.shape, np.inf)] * 2
    return np.sort(np.stack([*distances, *padding]), axis=0)[:2]


def pieces(mask):
    return ndimage.label(mask)[1]


# Distances


@pytest.mark.parametrize("reach", [1.0, 2.5, 6.0, 100.0])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_distances_are_those_of_whole_images_up_to_the_reach(shape, dtype, reach):
    ids = scatter(shape, 9, dtype=dtype)
    for found, exact in zip(nearest_two(ids, reach), measure_all(ids), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, np.where(exact <= reach, exact, np.inf).astype(np.float32))


@given(instances(), st.floats(0, 9))
@settings(max_examples=60, deadline=None)
def test_distances_of_any_labels_are_those_of_whole_images(ids, reach):
    for found, exact in zip(nearest_two(ids, reach), measure_all(ids), strict=True):
        np.testing.assert_array_equal(found, np.where(exact <= reach, exact, np.inf).astype(np.float32))


def test_many_objects_in_a_large_image_are_quick():
    ids = scatter((1040, 1388), 300)
    started = time.process_time()
    classify_objects(ids)
    border_weights(ids)
    assert time.process_time() - started < 5  # a mask or transform of the whole image for each takes minutes


# Classes


@given(instances(lowest=IGNORE), st.sampled_from([0, 1, 2, 3.5]))
@settings(max_examples=150, deadline=None)
def test_border_is_where_two_objects_are_close_unless_an_inside_needs_it(ids, width):
    classes, gap = classify_objects(ids, width), measure_all(np.maximum(ids, 0)).sum(axis=0)
    np.testing.assert_array_equal(classes == IGNORE, ids == IGNORE)
    known = ids != IGNORE
    assert not ((classes == BORDER) & known & (gap > width)).any()
    assert not ((classes == 0) & known & (gap <= width)).any()
    np.testing.assert_array_equal((classes == 0) & known, known & (ids == 0) & (gap > width))
    assert not ((classes == INSIDE) & (ids <= 0)).any()


@given(instances(), st.sampled_from([1, 2, 3.5]))
@settings(max_examples=150, deadline=None)
def test_no_object_vanishes_or_falls_apart(ids, width):
    classes = classify_objects(ids, width)
    for number in np.unique(ids[ids > 0]):
        own = ids == number
        assert pieces(own & (classes == INSIDE)) == pieces(own)


@given(instances(), st.sampled_from([1, 2, 3]))
@settings(max_examples=150, deadline=None)
def test_insides_touch_only_where_both_objects_are_too_thin_for_any_rim(ids, width):
    inside, gap = np.where(classify_objects(ids, width) == INSIDE, ids, 0), measure_all(ids).sum(axis=0)
    own = {number: ids == number for number in np.unique(ids[ids > 0])}
    thin = {number for number, mask in own.items() if pieces(mask & (gap > 1)) != pieces(mask)}
    for axis in range(ids.ndim):
        one, other = np.delete(inside, -1, axis), np.delete(inside, 0, axis)
        touching = (one != other) & (one > 0) & (other > 0)
        assert {*one[touching], *other[touching]} <= thin


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_rims_grow_thinner_as_objects_part(width):
    for gap in range(width + 2):
        line = np.array([[1] * 12 + [0] * gap + [2] * 12])
        rim = max(0, width - gap)
        border = rim * 2 + gap if gap < width else 0
        assert np.count_nonzero(classify_objects(line, width) == BORDER) == border


def test_a_lone_object_has_no_border():
    ids = np.zeros((9, 9), np.uint16)
    ids[2:6, 3:7] = 41
    np.testing.assert_array_equal(classify_objects(ids), ids > 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_ignored_pixels_stay_ignored_and_the_type_is_small(dtype):
    assert classify_objects(np.array([[1, 0, 2]], dtype)).dtype == np.uint8
    marked = classify_objects(np.array([[1, IGNORE, 2]], np.int64))
    assert (marked.dtype, marked[0, 1]) == (np.int16, IGNORE)


@pytest.mark.parametrize("shape", SHAPES)
def test_an_image_without_objects_is_background(shape):
    empty = np.zeros(shape, np.uint16)
    assert not classify_objects(empty).any()
    assert not find_objects(empty).any()
    assert not border_weights(empty).any()


def test_inputs_stay_as_they_are():
    ids = scatter((20, 20), 5)
    ids.setflags(write=False)
    classes = classify_objects(ids)
    classes.setflags(write=False)
    border_weights(ids)
    find_objects(classes, smallest=3)


@pytest.mark.parametrize(
    "verb", [classify_objects, find_objects, border_weights, number_objects, lambda ids: nearest_two(ids, 3)]
)
@pytest.mark.parametrize("labels", [np.zeros((4, 4)), np.zeros(4, int), np.zeros((2, 2, 2, 2), int)])
def test_what_is_no_label_image_is_refused(verb, labels):
    with pytest.raises(DataError, match="label image"):
        verb(labels)


# And back


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("counts", [(4, 5), (3, 2, 3)])
def test_touching_cells_come_back_to_the_pixel(counts, width):
    cells = tessellate(counts, 2 * width + 1)
    np.testing.assert_array_equal(find_objects(classify_objects(cells, width)), cells)


@given(instances())
@settings(max_examples=100, deadline=None)
def test_objects_that_are_apart_come_back_as_they_are(ids):
    apart = number_objects(ids > 0)
    np.testing.assert_array_equal(find_objects(classify_objects(apart, width=1)), apart)


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=3, max_side=8), elements=st.integers(0, 2)))
@settings(max_examples=200, deadline=None)
def test_objects_are_the_components_of_the_inside_grown_into_the_border(classes):
    ids = find_objects(classes)
    assert ids.dtype == np.uint32
    inside, count = ndimage.label(classes == INSIDE)
    assert [*np.unique(ids[ids > 0])] == [*range(1, count + 1)]
    of_inside = {(a, b) for a, b in zip(inside[inside > 0], ids[inside > 0], strict=True)}
    assert len(of_inside) == count
    assert not ids[classes == 0].any()
    reached = ndimage.binary_propagation(classes == INSIDE, mask=classes > 0)
    np.testing.assert_array_equal(ids > 0, reached)
    assert all(pieces(ids == number) == 1 for number in range(1, count + 1))
    firsts = [np.flatnonzero(ids == number)[0] for number in range(1, count + 1)]
    assert firsts == sorted(firsts)


def test_border_goes_to_the_nearer_inside():
    line = np.array([[1, 2, 2, 2, 2, 2, 1]])
    ids = find_objects(line)[0]
    assert ids[:3].tolist() == [1, 1, 1]
    assert ids[4:].tolist() == [2, 2, 2]


@pytest.mark.parametrize("shape", SHAPES)
def test_small_objects_are_left_out_and_numbers_have_no_gaps(shape):
    classes = classify_objects(scatter(shape, 7))
    whole = find_objects(classes)
    sizes = np.bincount(whole.ravel())[1:]
    smallest = int(np.median(sizes)) + 1
    kept = np.isin(whole, 1 + np.flatnonzero(sizes >= smallest))
    large = find_objects(classes, smallest)
    np.testing.assert_array_equal(large > 0, kept)
    assert large.max() == np.count_nonzero(sizes >= smallest)
    np.testing.assert_array_equal(np.unique(np.stack([whole[kept], large[kept]]), axis=1).shape[1], large.max())


def test_ignored_pixels_belong_to_no_object():
    assert find_objects(np.array([[1, IGNORE, 1]], np.int16)).tolist() == [[1, 0, 2]]


def test_nuclei_come_back(shared_data):
    files = sorted((shared_data / "dsb2018/test/labels").glob("*.png"))[::3]
    truths = [np.asarray(Image.open(file)) for file in files]
    found = [find_objects(classify_objects(truth)) for truth in truths]
    score = pool_objects(score_objects(*pair) for pair in zip(truths, found, strict=True))
    assert abs(score.predicted - score.true) <= 0.005 * score.true
    assert score.ap[0] > 0.99
    assert score.ap[5] > 0.97


# Numbers of components


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.uint64])
@pytest.mark.parametrize("shape", SHAPES)
def test_components_of_each_class_are_numbered_in_scan_order(shape, dtype):
    labels = np.random.default_rng(0).integers(0, 4, shape).astype(dtype)
    ids = number_objects(labels)
    np.testing.assert_array_equal(ids > 0, labels > 0)
    assert ids.max() == sum(pieces(labels == value) for value in np.unique(labels[labels > 0]))
    _, firsts = np.unique(ids[ids > 0], return_index=True)
    assert (np.diff(firsts) > 0).all()
    assert all(len(np.unique(labels[ids == number])) == 1 for number in range(1, ids.max() + 1))


def test_ignored_pixels_are_no_component():
    assert number_objects(np.array([[1, IGNORE, 1]], np.int16)).tolist() == [[1, 0, 2]]


# Weights


@pytest.mark.parametrize("sigma", [1.0, 2.0, 5.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_weights_follow_equation_2_on_the_background(shape, sigma):
    ids = scatter(shape, 6)
    exact = np.exp(-(measure_all(ids).sum(axis=0) ** 2) / (2 * sigma**2))
    weights = border_weights(ids, sigma)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, np.where(ids > 0, 0, exact), atol=4e-6)


def test_weights_are_highest_in_the_middle_of_the_narrowest_gap():
    ids = np.zeros((21, 30), np.uint8)
    ids[:, :10], ids[:10, 12:], ids[10:, 16:] = 1, 2, 2
    weights = border_weights(ids)
    assert weights[:10, 10:12].min() > weights[12:, 10:16].max() > 0


@pytest.mark.parametrize("ids", [np.zeros((4, 4), int), np.eye(4, dtype=int), np.full((4, 4), 7)])
def test_fewer_than_two_objects_have_no_weight(ids):
    assert not border_weights(ids).any()


def test_ignored_pixels_have_no_weight():
    assert border_weights(np.array([[1, 0, IGNORE, 2]]))[0].astype(bool).tolist() == [False, True, False, False]


def test_the_default_width_is_the_documented_one():
    line = np.array([[1] * 9 + [2] * 9])
    assert np.count_nonzero(classify_objects(line) == BORDER) == 2 * BORDER_WIDTH
