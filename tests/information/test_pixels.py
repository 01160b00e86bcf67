"""Pixels are labelled, spread over every stride, alike in all images; exchanged labels come from other groups."""

from __future__ import annotations

from itertools import product
from math import gcd, prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unetscope.errors import DataError, RecipeError
from unetscope.information.pixels import PixelSettings, exchange, find_near_edge, sample_pixels, spread_offsets
from unetscope.information.views import Views, view_arrays

FEW = PixelSettings(blocks=6, offsets=4, pixels=1)


def make_views(shapes, origin=None, known=1.0, groups=None):
    chance = np.random.default_rng(0)
    labels = [chance.integers(0, 3, shape) for shape in shapes]
    labels = [np.where(chance.random(each.shape) < known, each, -1) for each in labels]
    views = view_arrays([each[None].astype(np.float32) for each in labels], labels, groups=groups)
    return Views(views.names, views.groups, views.classes, origin or views.origin, views.read)


@pytest.mark.parametrize(
    ("shapes", "block", "origin"),
    [
        ([(64, 48), (40, 80)], (8, 8), (0, 0)),
        ([(63, 50), (41, 77)], (8, 8), (6, 3)),
        ([(12, 32, 32), (8, 40, 24)], (2, 8, 8), (1, 6, 0)),
        ([(30, 31), (9, 10)], (1, 1), (0, 0)),
    ],
)
def test_pixels_are_labelled_and_at_the_same_offsets_of_each_block(shapes, block, origin):
    views = make_views(shapes, origin, known=0.5)
    pixels = sample_pixels(views, block, FEW)
    assert (np.diff(pixels.view) >= 0).all()
    offsets = {tuple(offset) for offset in ((pixels.place - origin) % block).tolist()}
    assert len(offsets) == min(4, prod(block))
    for index, view in enumerate(views):
        chosen = pixels.of(index)
        place = pixels.place[chosen]
        np.testing.assert_array_equal(pixels.labels[chosen], view.labels[tuple(place.T)])
        assert len(np.unique(place, axis=0)) == len(place) > 0
        blocks = np.unique((place - origin) // block, axis=0)
        assert len(blocks) == (FEW.blocks if prod(block) > 1 else FEW.blocks * FEW.offsets)
    assert (pixels.labels >= 0).all()
    assert (pixels.shuffled >= 0).all()
    assert np.abs(pixels.relative).max() <= 1


def test_all_blocks_are_drawn_alike():
    views = make_views([(64, 64)] * 150)
    pixels = sample_pixels(views, (8, 8), FEW)
    counts = np.bincount(np.ravel_multi_index(tuple((pixels.place // 8).T), (8, 8)), minlength=64)
    expected = 150 * 6 * 4 / 64
    assert abs(counts - expected).max() < 5 * np.sqrt(150 * 6 / 64) * 4


def test_few_images_give_more_pixels_each():
    pixels = sample_pixels(make_views([(128, 128)] * 2), (16, 16), PixelSettings(pixels=400))
    assert np.bincount(pixels.view).tolist() == [256, 256]
    pixels = sample_pixels(make_views([(128, 128)] * 2), (4, 4), PixelSettings(pixels=2000))
    assert np.bincount(pixels.view).tolist() == [1000, 1000]
    pixels = sample_pixels(make_views([(16, 16)] * 2), (4, 4), PixelSettings(most_offsets=4))
    assert np.bincount(pixels.view).tolist() == [64, 64]


@pytest.mark.parametrize(("pixels", "offsets"), [(128, 4), (129, 8), (257, 16), (10_000, 16)])
def test_where_blocks_run_out_offsets_are_doubled(pixels, offsets):
    views = make_views([(32, 32)] * 2)
    drawn = sample_pixels(views, (8, 8), PixelSettings(pixels=pixels))
    assert np.bincount(drawn.view).tolist() == [16 * offsets] * 2
    assert len(np.unique(drawn.place % 8, axis=0)) == offsets
    fewer = sample_pixels(views, (8, 8), PixelSettings(pixels=1))
    assert {tuple(place) for place in fewer.place} <= {tuple(place) for place in drawn.place}


def test_sampling_repeats_and_follows_the_seed():
    views = make_views([(64, 48), (40, 80)])
    first, again, other = (sample_pixels(views, (8, 8), FEW, seed) for seed in (0, 0, 1))
    for name in ("view", "place", "relative", "labels", "near_edge", "shuffled"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.place, other.place)


def test_some_pixels_can_be_taken():
    pixels = sample_pixels(make_views([(64, 48), (40, 80)]), (8, 8), FEW)
    part = pixels.take(pixels.labels == 1)
    assert (part.labels == 1).all()
    assert len(part) == (pixels.labels == 1).sum() == part.of(0).stop + part.of(1).stop - part.of(1).start
    assert part.ndim == 2


def test_relative_places_span_the_labelled_box():
    labels = np.full((20, 30), -1)
    labels[4:15, 10:27] = np.arange(17) % 2
    views = view_arrays([labels[None]] * 2, [labels] * 2)
    pixels = sample_pixels(views, (1, 1), PixelSettings(pixels=10_000))
    assert len(pixels) == 2 * 11 * 17
    np.testing.assert_allclose(pixels.relative[:, 0], (pixels.place[:, 0] - 4) / 5 - 1)
    np.testing.assert_allclose(pixels.relative[:, 1], (pixels.place[:, 1] - 10) / 8 - 1)


def test_images_without_any_label_give_no_pixels():
    labels = np.full((16, 16), -1)
    known = np.eye(16, dtype=int)
    views = view_arrays([labels[None]] * 3, [known, labels, known])
    pixels = sample_pixels(views, (4, 4), FEW)
    assert set(pixels.view) == {0, 2}
    assert (pixels.shuffled >= 0).all()


def test_bad_requests_are_refused():
    views = make_views([(16, 16)] * 2)
    with pytest.raises(DataError, match="for images of 2 axes"):
        sample_pixels(views, (4, 4, 4))
    with pytest.raises(RecipeError, match="blocks is 0"):
        PixelSettings(blocks=0)


def strides_between(block):
    return {tuple(gcd(size, divisor) for size in block) for divisor in range(2, max(block) + 1)}


@pytest.mark.parametrize(
    "block", [(2, 2), (4, 4), (16, 16), (32, 32), (3, 3), (6, 12), (1, 8), (8, 8, 8), (1, 16, 16), (4, 16, 16)]
)
@pytest.mark.parametrize("count", [1, 4, 8, 16])
def test_offsets_are_balanced_modulo_every_stride(block, count):
    offsets = spread_offsets(block, count)
    assert len(offsets) == min(count, prod(block)) == len(np.unique(offsets, axis=0))
    assert ((offsets >= 0) & (offsets < block)).all()
    for stride in strides_between(block):
        seen = np.unique(offsets % stride, axis=0, return_counts=True)[1]
        assert len(seen) >= min(count, prod(stride)) / 2
    finest = min(strides_between(block), key=prod)
    seen = np.unique(offsets % finest, axis=0, return_counts=True)[1]
    assert seen.max() <= -(-len(offsets) // prod(finest))


def test_the_first_offsets_of_many_are_those_of_few():
    np.testing.assert_array_equal(spread_offsets((16, 16), 4), spread_offsets((16, 16), 16)[:4])


@pytest.mark.parametrize("block", [(16, 16), (8, 8, 8), (4, 16, 16)])
def test_four_offsets_lie_far_apart(block):
    offsets = spread_offsets(block, 4)
    gaps = abs(offsets[:, None] - offsets[None])
    squares = (np.minimum(gaps, np.array(block) - gaps) ** 2).sum(-1)
    chance = np.random.default_rng(0).integers(0, block, (1000, 2, len(block)))
    typical = abs(chance[:, 0] - chance[:, 1])
    typical = (np.minimum(typical, np.array(block) - typical) ** 2).sum(-1)
    assert squares[~np.eye(4, dtype=bool)].min() > np.median(typical)


def brute_near_edge(labels):
    """Within three pixels, straight or oblique, of a pixel that has another class beside it."""
    at = [
        place
        for place in product(*map(range, labels.shape))
        for axis, step in product(range(labels.ndim), (-1, 1))
        if 0 <= place[axis] + step < labels.shape[axis]
        and labels[place] >= 0
        and labels[(*place[:axis], place[axis] + step, *place[axis + 1 :])] not in (-1, labels[place])
    ]
    grid = np.stack(np.indices(labels.shape), -1)
    return np.any([((grid - place) ** 2).sum(-1) < 9 for place in at], axis=0) if at else np.zeros(labels.shape, bool)


@pytest.mark.parametrize("shape", [(20, 24), (8, 9, 10)])
@pytest.mark.parametrize("seed", range(3))
def test_near_an_edge_is_near_a_change_of_known_labels(shape, seed):
    chance = np.random.default_rng(seed)
    labels = np.zeros(shape, int)
    labels[tuple(slice(size // 3, 2 * size // 3) for size in shape)] = 1
    labels[chance.random(shape) < 0.005] = -1
    np.testing.assert_array_equal(find_near_edge(labels), brute_near_edge(labels))


def test_without_labels_to_tell_apart_there_is_no_edge():
    assert not find_near_edge(np.zeros((5, 5), int)).any()
    assert not find_near_edge(np.where(np.eye(5) > 0, -1, 1)).any()


@given(st.lists(st.sampled_from("abcd"), min_size=2, max_size=12), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_exchanged_images_are_of_other_groups(groups, seed):
    partner = exchange(groups, seed)
    counts = [groups.count(group) for group in set(groups)]
    if len(counts) > 1:
        assert all(groups[one] != groups[other] for one, other in enumerate(partner))
    else:
        assert (partner != np.arange(len(groups))).all()
    if max(counts) * 2 <= len(groups):
        assert sorted(partner) == list(range(len(groups)))


def test_single_images_are_exchanged_round():
    partners = {tuple(exchange(list("abcdef"), seed)) for seed in range(20)}
    assert len(partners) > 10


@pytest.mark.parametrize("groups", [["a", "b", "c", "d"], ["a", "a", "b", "b"], ["a", "a", "a", "b"]])
def test_shuffled_labels_come_from_the_same_relative_place_of_another_group(groups):
    """Each image's labels name the image and their row, so that what comes back says where it was read."""
    shapes = [(11, 8), (21, 16), (11, 8), (31, 24)]
    labels = [100 * index + np.indices(shape)[0] * 10 // (shape[0] - 1) for index, shape in enumerate(shapes)]
    views = view_arrays([each[None] for each in labels], labels, groups=groups)
    pixels = sample_pixels(views, (1, 1), FEW)
    partner = {view: set(pixels.shuffled[pixels.view == view] // 100) for view in range(4)}
    for view, others in partner.items():
        (other,) = others
        assert groups[other] != groups[view]
    rows = (pixels.relative[:, 0] + 1) / 2 * 10
    assert abs(pixels.shuffled % 100 - rows).max() <= 1


def test_unknown_labels_are_replaced_by_the_nearest_known():
    first, second = np.zeros((12, 12), int), np.full((12, 12), -1)
    first[6:] = 1
    second[:3], second[-1] = 2, 3
    views = view_arrays([first[None]] * 2, [first, second])
    pixels = sample_pixels(views, (1, 1), PixelSettings(pixels=10_000))
    own = pixels.of(0)
    np.testing.assert_array_equal(pixels.shuffled[own], np.where(pixels.place[own][:, 0] < 7, 2, 3))
