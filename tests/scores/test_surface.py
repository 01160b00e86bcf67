"""Surface scores against MONAI where it defines them, against all pairs of pixels, and on shapes with known scores."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from scipy.spatial.distance import cdist

from unetscope.errors import DataError
from unetscope.scores.surface import SurfaceScore, score_surfaces, summarize_surfaces, surface_scores

SIZES = {2: [(1.0, 1.0), (0.65, 0.65), (2.5, 0.7)], 3: [(1.0, 1.0, 1.0), (5.0, 0.9, 0.9), (0.3, 0.5, 1.1)]}
CASES = [(ndim, steps) for ndim, sizes in SIZES.items() for steps in sizes]
SHAPES = {2: (40, 52), 3: (12, 25, 28)}


def draw_blobs(shape, seed, threshold=0.05, at_edge=True):
    """Smooth random shapes, some of which the edge of the image cuts."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2.0)
    mask = noise > threshold
    if not at_edge:
        mask[tuple(slice(0, 3) for _ in shape)] = False
        mask = np.pad(mask, 2)[tuple(slice(0, size) for size in shape)]
    return mask


def find_surface(mask):
    """Positions of the pixels with a face on something else, by looking at every neighbor."""
    padded = np.pad(mask, 1)
    inner = padded.copy()
    for axis in range(mask.ndim):
        inner &= np.roll(padded, 1, axis) & np.roll(padded, -1, axis)
    return np.argwhere(padded & ~inner) - 1


def compare_all_pairs(truth, prediction, steps, tolerance):
    """HD95 and NSD from the distances between all pairs of surface pixels."""
    distances = cdist(find_surface(truth) * np.array(steps), find_surface(prediction) * np.array(steps))
    ways = distances.min(axis=1), distances.min(axis=0)
    near = sum((way <= tolerance + 1e-9).sum() for way in ways)
    return max(np.percentile(way, 95) for way in ways), near / sum(len(way) for way in ways)


@st.composite
def masks(draw, count=2):
    """Masks of one shape with at least one pixel each, and a pixel size."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=3, max_side=7))
    drawn = [draw(hnp.arrays(bool, shape)) for _ in range(count)]
    for mask in drawn:
        mask[tuple(draw(st.integers(0, size - 1)) for size in shape)] = True
    steps = tuple(draw(st.sampled_from([0.1, 0.3, 0.5, 1.0, 2.5])) for _ in shape)
    return *drawn, steps


# Against other implementations


@pytest.fixture(scope="module")
def monai_scores():
    """MONAI's HD95 and surface Dice of two masks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metrics = pytest.importorskip("monai.metrics", exc_type=ImportError)
        torch = pytest.importorskip("torch")

    def score(truth, prediction, steps, tolerance):
        y, y_pred = (torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (truth, prediction))
        settings = {"include_background": True, "spacing": list(steps)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            hd95 = metrics.compute_hausdorff_distance(y_pred, y, percentile=95, **settings)
            nsd = metrics.compute_surface_dice(y_pred, y, [tolerance], **settings)
        return hd95.item(), nsd.item()

    return score


@pytest.mark.parametrize("at_edge", [True, False])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("tolerance", [0.0, 1.0])
@pytest.mark.parametrize(("ndim", "steps"), CASES)
def test_scores_agree_with_monai(monai_scores, ndim, steps, tolerance, seed, at_edge):
    truth = draw_blobs(SHAPES[ndim], seed, at_edge=at_edge)
    prediction = draw_blobs(SHAPES[ndim], seed + 100, 0.1, at_edge) | np.roll(truth, 1, axis=-1)
    ours = surface_scores(truth, prediction, steps, tolerance)
    theirs = monai_scores(truth, prediction, steps, tolerance)
    assert (ours.hd95, ours.nsd) == pytest.approx(theirs, rel=1e-5)  # MONAI interpolates in single precision
    assert (ours.hd95, ours.nsd) == pytest.approx(compare_all_pairs(truth, prediction, steps, tolerance), rel=1e-12)
    assert 0 < ours.nsd < 1


def test_full_image_has_its_surface_at_the_edge_as_in_monai(monai_scores):
    truth, prediction = np.ones((8, 9), bool), np.ones((8, 9), bool)
    prediction[:, -2:] = False
    ours = surface_scores(truth, prediction, (2.0, 0.5), 0.5)
    assert (ours.hd95, ours.nsd) == pytest.approx(monai_scores(truth, prediction, (2.0, 0.5), 0.5))


def test_monai_loses_missed_objects_and_scores_false_alarms(monai_scores):
    nothing, something = np.zeros((9, 9), bool), np.eye(9, dtype=bool)
    hd95, nsd = monai_scores(something, nothing, (1.0, 1.0), 1.0)
    assert math.isnan(hd95)
    assert nsd == 0
    hd95, nsd = monai_scores(nothing, something, (1.0, 1.0), 1.0)
    assert math.isnan(hd95)
    assert nsd == 0


@settings(deadline=None, max_examples=50)
@given(masks(), st.sampled_from([0.0, 0.3, 1.0, 2.5]))
def test_scores_are_those_of_all_pairs_of_surface_pixels(case, tolerance):
    truth, prediction, steps = case
    ours = surface_scores(truth, prediction, steps, tolerance)
    assert (ours.hd95, ours.nsd) == pytest.approx(compare_all_pairs(truth, prediction, steps, tolerance), rel=1e-12)


# Laws


@settings(deadline=None, max_examples=50)
@given(masks(), st.data())
def test_room_around_the_masks_changes_nothing(case, data):
    truth, prediction, steps = case
    room = [(data.draw(st.integers(0, 9)), data.draw(st.integers(0, 9))) for _ in steps]
    padded = (np.pad(mask, room) for mask in (truth, prediction))
    assert surface_scores(*padded, steps, 1.0) == surface_scores(truth, prediction, steps, 1.0)


@settings(deadline=None, max_examples=50)
@given(masks(), st.permutations(range(3)))
def test_exchange_and_order_of_axes_change_nothing(case, order):
    truth, prediction, steps = case
    order = [axis for axis in order if axis < truth.ndim]
    turned = (mask.transpose(order) for mask in (prediction, truth))
    there, back = surface_scores(truth, prediction, steps, 0.5), surface_scores(*turned, [steps[a] for a in order], 0.5)
    assert (back.hd95, back.nsd) == pytest.approx((there.hd95, there.nsd), rel=1e-12)


@settings(deadline=None, max_examples=50)
@given(masks(), st.sampled_from([0.001, 0.5, 1000.0]))
def test_another_unit_scales_the_distance_alone(case, unit):
    truth, prediction, steps = case
    there = surface_scores(truth, prediction, steps, 0.75)
    scaled = surface_scores(truth, prediction, [step * unit for step in steps], 0.75 * unit)
    assert scaled.hd95 == pytest.approx(there.hd95 * unit, rel=1e-12)
    assert scaled.nsd == there.nsd


@settings(deadline=None, max_examples=50)
@given(masks())
def test_same_masks_are_perfect_and_a_wider_tolerance_is_no_worse(case):
    truth, prediction, steps = case
    assert surface_scores(truth, truth, steps, 0.0) == SurfaceScore(hd95=0.0, nsd=1.0)
    shares = [surface_scores(truth, prediction, steps, tolerance).nsd for tolerance in (0.0, 0.3, 1.0, 3.0, 100.0)]
    assert shares == sorted(shares)
    assert shares[-1] == 1


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64])
@pytest.mark.parametrize("shift", [1, 2, 3, 7])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_shifted_plane_is_off_by_the_shift_in_the_unit(axis, shift, dtype):
    steps = (0.1, 0.25, 0.7)
    truth = np.zeros((12, 12, 12), dtype)
    truth[tuple(2 if each == axis else slice(None) for each in range(3))] = 1
    moved = np.roll(truth, shift, axis)
    score = surface_scores(truth, moved, steps, round(shift * steps[axis], 9))
    assert score.hd95 == pytest.approx(shift * steps[axis])
    assert score.nsd == 1  # 3 * 0.1 > 0.3 to the computer
    assert surface_scores(truth, moved, steps, 0.99 * shift * steps[axis]).nsd == 0


def test_long_surface_does_not_hide_a_short_one_far_off():
    truth = np.zeros((60, 60), bool)
    truth[10:50, 10:50] = True
    prediction = truth.copy()
    prediction[0, 0:9] = True
    assert surface_scores(truth, prediction, (1.0, 1.0), 0.5).hd95 > 5
    distances = np.concatenate(
        [cdist(find_surface(a), find_surface(b)).min(axis=1) for a, b in [(truth, prediction), (prediction, truth)]]
    )
    assert np.percentile(distances, 95) == 0  # that of both sets together


# Classes of an image


def test_each_class_is_scored_for_itself():
    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 3, (9, 12)), rng.integers(0, 3, (9, 12))
    cell, nucleus = score_surfaces(truth, prediction, ["background", "cell", "nucleus"], (1.0, 2.0), 1.0)
    assert cell == surface_scores(truth == 1, prediction == 1, (1.0, 2.0), 1.0, name="cell")
    assert nucleus == surface_scores(truth == 2, prediction == 2, (1.0, 2.0), 1.0, name="nucleus")


def test_absent_and_missed_classes():
    truth, prediction = np.array([[0, 1, 1]]), np.array([[0, 2, 2]])
    assert score_surfaces(truth, prediction, ["background", "cell", "nucleus"], (1.0, 1.0), 1.0) == (
        SurfaceScore("cell", hd95=None, nsd=0.0, missed=True),
        SurfaceScore("nucleus"),
    )
    nothing = np.zeros((0, 4), int)
    assert score_surfaces(nothing, nothing, ["background", "cell"], (1.0, 1.0), 1.0) == (SurfaceScore("cell"),)


@settings(deadline=None, max_examples=50)
@given(
    hnp.arrays(np.int16, (2, 5, 6), elements=st.integers(0, 2)),
    hnp.arrays(bool, (5, 6)),
    st.sampled_from([-1, 1, 255]),
    st.sampled_from([-9, 0, 1, 2, 300]),
)
def test_prediction_at_ignored_pixels_matters_to_nothing(pair, ignored, ignore, anything):
    truth, prediction = np.where(ignored, ignore, pair[0]), pair[1]
    names, steps = ["background", "cell", "nucleus"], (1.0, 0.5)
    altered = np.where(truth == ignore, anything, prediction)
    blank = [np.where(truth == ignore, 0, labels) for labels in (truth, prediction)]
    scores = score_surfaces(truth, altered, names, steps, 0.6, ignore=ignore)
    assert scores == score_surfaces(truth, prediction, names, steps, 0.6, ignore=ignore)
    assert scores == score_surfaces(*blank, names, steps, 0.6, ignore=None)


def test_masks_are_not_modified():
    truth, prediction = draw_blobs((20, 20), 0), draw_blobs((20, 20), 1)
    copies = truth.copy(), prediction.copy()
    surface_scores(truth, prediction, (1.0, 1.0), 1.0)
    assert np.array_equal(truth, copies[0])
    assert np.array_equal(prediction, copies[1])


# Many images, files, bad input


def test_summary_counts_what_is_missed_beside_the_mean_of_what_is_found():
    scores = [
        SurfaceScore("cell", 1.0, 1.0),
        SurfaceScore("cell", 2.0, 0.8),
        SurfaceScore("cell", 9.0, 0.6),
        SurfaceScore("cell", None, 0.0, missed=True),
        SurfaceScore("cell"),
    ]
    summary = summarize_surfaces(scores)
    assert (summary.hd95, summary.hd95_median, summary.nsd) == (4.0, 2.0, pytest.approx(0.6))
    assert (summary.name, summary.n, summary.missed) == ("cell", 4, 1)
    assert summarize_surfaces(scores[-1:]).hd95_median is None


@pytest.mark.parametrize("score", [SurfaceScore("a", 1.25, 0.5), SurfaceScore("b", None, 0.0, True), SurfaceScore("c")])
def test_json_is_strict_and_gives_the_score_back(score):
    assert SurfaceScore.from_json(json.loads(json.dumps(score.to_json(), allow_nan=False))) == score


@pytest.mark.parametrize(
    ("entry", "value"),
    [("hd95", -1), ("hd95", math.inf), ("hd95", math.nan), ("hd95", "1"), ("nsd", 1.1), ("nsd", True)],
)
def test_json_with_impossible_scores_is_refused(entry, value):
    with pytest.raises(DataError, match=r"a score reads .* but it must be a"):
        SurfaceScore.from_json(SurfaceScore("cell", 1.0, 1.0).to_json() | {entry: value})


@pytest.mark.parametrize(
    ("steps", "tolerance", "message"),
    [
        ((1.0,), 1.0, r"pixel size is \(1.0,\), but 2D images need 2 lengths above 0"),
        ((1.0, 0.0), 1.0, "lengths above 0"),
        ((1.0, -1.0), 1.0, "lengths above 0"),
        ((1.0, math.nan), 1.0, "lengths above 0"),
        ((1.0, math.inf), 1.0, "lengths above 0"),
        ((1.0, 1.0), -0.1, "tolerance is -0.1"),
        ((1.0, 1.0), math.nan, "tolerance is nan"),
    ],
)
def test_lengths_that_are_none_are_refused(steps, tolerance, message):
    with pytest.raises(DataError, match=message):
        surface_scores(np.ones((2, 2), bool), np.ones((2, 2), bool), steps, tolerance)


@pytest.mark.parametrize(
    ("truth", "prediction", "message"),
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int), "must be equal"),
        (np.zeros((2, 2)), np.zeros((2, 2), int), "truth holds float64 values"),
        (np.full((2, 2), 2), np.zeros((2, 2), int), "truth holds class 2"),
        (np.zeros((2, 2), int), np.full((2, 2), -1), "prediction holds class -1"),
    ],
)
def test_labels_that_cannot_be_compared_are_refused(truth, prediction, message):
    with pytest.raises(DataError, match=message):
        score_surfaces(truth, prediction, ["background", "cell"], (1.0, 1.0), 1.0)
