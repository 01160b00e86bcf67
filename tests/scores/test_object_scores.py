"""Object scores against StarDist's assignment spelled out over all pairs, hand-made examples and their laws."""

from __future__ import annotations

import json
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linear_sum_assignment

from unetscope.errors import DataError
from unetscope.scores.objects import THRESHOLDS, ObjectScore, pool_objects, score_objects

NUMBERS = [0, 1, 2, 5, 70_000]


@st.composite
def pairs(draw, lowest=0):
    """A truth (with pixels to ignore from `lowest`) and a prediction that often takes over or halves its objects."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=3, max_side=5))
    truth = draw(hnp.arrays(np.int64, shape, elements=st.sampled_from([*NUMBERS, *[lowest] * 2])))
    other = draw(hnp.arrays(np.int64, shape, elements=st.sampled_from(NUMBERS)))
    change = draw(hnp.arrays(bool, shape))
    return truth, np.where(change, other, np.maximum(truth, 0))


def number_all(labels):
    return [number for number in np.unique(labels) if number > 0]


def compare_all(truth, prediction):
    """IoU of every true with every predicted object, from one mask each."""
    trues, predicteds = ([labels == number for number in number_all(labels)] for labels in (truth, prediction))
    ious = [[(one & other).sum() / (one | other).sum() for other in predicteds] for one in trues]
    return np.array(ious, float).reshape(len(trues), len(predicteds))


def assign(ious, threshold):
    """Most pairs that reach a threshold, and of these assignments the one with the largest sum of IoU."""
    reached = ious >= threshold
    gain = reached + np.where(reached, ious, 0) / (2 * max(1, min(ious.shape)))
    rows, columns = linear_sum_assignment(gain, maximize=True)
    chosen = reached[rows, columns]
    return rows[chosen], columns[chosen]


@given(pairs())
@settings(max_examples=150, deadline=None)
def test_counts_are_those_of_the_best_assignment(pair):
    score, ious = score_objects(*pair), compare_all(*pair)
    assert (score.true, score.predicted) == ious.shape
    assert score.matched == tuple(len(assign(ious, threshold)[0]) for threshold in THRESHOLDS)
    assert score.overlap == pytest.approx(ious[assign(ious, 0.5)].sum())


@given(pairs(lowest=-1))
@settings(max_examples=150, deadline=None)
def test_ignored_pixels_count_for_no_object(pair):
    truth, prediction = pair
    score, known = score_objects(truth, prediction), truth != -1
    ious = compare_all(truth[known][None], prediction[known][None])
    assert score.matched == tuple(len(assign(ious, threshold)[0]) for threshold in THRESHOLDS)
    assert score.true == len(number_all(truth))
    doubtful = [n for n in number_all(prediction) if 2 * (~known & (prediction == n)).sum() > (prediction == n).sum()]
    assert len(number_all(prediction)) - len(doubtful) <= score.predicted <= len(number_all(prediction))
    if not score.matched[0]:
        assert score.predicted == len(number_all(prediction)) - len(doubtful)


@given(pairs(), st.integers(0, 2**32))
@settings(deadline=None)
def test_neither_numbers_nor_orientation_matter(pair, seed):
    truth, prediction = pair
    rng = np.random.default_rng(seed)
    renamed = rng.permutation(np.arange(1, 9))[np.searchsorted(NUMBERS, prediction)] * (prediction > 0)
    assert score_objects(truth.T, renamed.T) == score_objects(truth, prediction)


@given(pairs())
@settings(deadline=None)
def test_truth_and_prediction_can_be_exchanged(pair):
    score, mirrored = score_objects(*pair), score_objects(*pair[::-1])
    assert (mirrored.true, mirrored.predicted) == (score.predicted, score.true)
    assert (mirrored.matched, mirrored.ap) == (score.matched, score.ap)


@given(pairs())
@settings(deadline=None)
def test_quality_is_that_of_its_definition(pair):
    score, ious = score_objects(*pair), compare_all(*pair)
    rows, columns = assign(ious, 0.5)
    tp, fp, fn = len(rows), ious.shape[1] - len(rows), ious.shape[0] - len(rows)
    if not tp + fp + fn:
        assert (score.panoptic, score.recognition, score.segmentation, score.mean_ap) == (None,) * 4
        return
    assert score.ap[0] == tp / (tp + fp + fn)
    assert score.mean_ap == pytest.approx(np.mean(score.ap))
    assert score.recognition == pytest.approx(tp / (tp + fp / 2 + fn / 2))
    assert score.panoptic == pytest.approx(ious[rows, columns].sum() / (tp + fp / 2 + fn / 2))
    if tp:
        assert score.segmentation == pytest.approx(ious[rows, columns].mean())
        assert score.panoptic == pytest.approx(score.segmentation * score.recognition)
    else:
        assert score.segmentation is None


# By hand


@pytest.mark.parametrize("twentieths", range(1, 21))
def test_a_pair_counts_at_every_threshold_that_it_reaches_exactly(twentieths):
    prediction = np.zeros((1, 20), int)
    prediction[0, :twentieths] = 3
    score = score_objects(np.ones((1, 20), int), prediction)
    assert score.ap == tuple(float(20 * threshold <= twentieths) for threshold in THRESHOLDS)


def test_of_two_halves_one_counts():
    whole, halves = np.array([[1, 1, 1, 1]]), np.array([[1, 1, 2, 2]])
    for pair in ((whole, halves), (halves, whole)):
        assert score_objects(*pair).matched == (1, *[0] * 9)


def test_a_merged_pair_a_missed_and_a_made_up_object():
    truth = np.array([[1, 1, 1, 2, 2, 2, 0, 3, 0, 0, 5]])
    prediction = np.array([[1, 1, 1, 1, 1, 1, 0, 0, 0, 4, 5]])
    score = score_objects(truth, prediction)
    assert (score.true, score.predicted, score.matched[:2]) == (4, 3, (2, 1))
    assert score.ap[:2] == (2 / 5, 1 / 6)
    assert (score.recognition, score.segmentation, score.panoptic) == (4 / 7, 0.75, 3 / 7)


@pytest.mark.parametrize(
    ("truth", "counted"),
    [
        ([-1, -1, -1, 0], 0),  # mostly where nobody knows
        ([-1, -1, 0, 0], 1),  # as much where it is known to be wrong
        ([-1, -1, -1, 8], 1),  # it matches what is known
        ([-1, -1, -1, -1], 0),
    ],
)
def test_a_prediction_mostly_on_ignored_pixels_is_left_out_unless_it_matches(truth, counted):
    score = score_objects(np.array([truth]), np.array([[6, 6, 6, 6]]))
    assert score.predicted == counted
    assert score.matched[0] == (8 in truth)


def test_ignore_can_be_another_value_or_none():
    truth, prediction = np.array([[255, 255, 0]], np.uint8), np.array([[1, 1, 0]], np.uint8)
    assert score_objects(truth, prediction, ignore=255).predicted == 0
    assert score_objects(truth, prediction, ignore=None).mean_ap == 1


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.uint32, np.uint64])
@pytest.mark.parametrize("shape", [(4, 5), (2, 3, 4), (0, 3)])
def test_images_without_objects_have_no_score(shape, dtype):
    empty = np.zeros(shape, dtype)
    score = score_objects(empty, empty)
    assert (score.true, score.predicted, score.matched) == (0, 0, (0,) * 10)
    assert (score.ap, score.mean_ap) == ((None,) * 10, None)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.uint32, np.uint64])
def test_every_type_of_whole_numbers_is_read(dtype):
    truth = np.array([[1, 1, 0]]).astype(dtype)
    assert score_objects(truth, truth, name="a").to_json()["mean_ap"] == 1.0


def test_large_numbers_do_not_collide():
    truth = np.array([[2**32 - 1, 2**32 - 2]], np.uint64)
    assert score_objects(truth, truth).matched == (2,) * 10


# Many images


@given(st.lists(pairs(lowest=-1), max_size=4))
@settings(max_examples=50, deadline=None)
def test_pooling_sums_counts_in_any_order(images):
    scores = [score_objects(*pair, name=str(index)) for index, pair in enumerate(images)]
    pooled = pool_objects(scores)
    assert pooled == pool_objects(scores[::-1])
    assert (pooled.true, pooled.predicted) == (sum(s.true for s in scores), sum(s.predicted for s in scores))
    assert pooled.matched == tuple(sum(score.matched[index] for score in scores) for index in range(10))
    assert pooled.overlap == pytest.approx(math.fsum(score.overlap for score in scores))


def test_pooled_images_are_one_large_image():
    rng = np.random.default_rng(0)
    images = [(rng.integers(0, 4, (6, 6)), rng.integers(0, 4, (6, 6))) for _ in range(5)]
    images = [(np.where(rng.random((6, 6)) < 0.7, known, guessed), guessed) for known, guessed in images]
    shifted = [tuple(np.where(side > 0, side + 10 * i, 0) for side in pair) for i, pair in enumerate(images)]
    large = score_objects(*(np.concatenate(side) for side in zip(*shifted, strict=True)))
    assert pool_objects(score_objects(*pair) for pair in images) == large


def test_five_thousand_objects_are_quick():
    row, column = np.mgrid[:2048, :2048] // 29
    truth = (row * 71 + column + 1).astype(np.uint16)
    started = time.process_time()
    assert score_objects(truth, np.roll(truth, (2, 3), (0, 1))).true == 5041
    assert time.process_time() - started < 5  # a mask or transform of the whole image for each takes minutes


# As JSON


@given(pairs(lowest=-1))
@settings(max_examples=50, deadline=None)
def test_json_is_strict_and_comes_back(pair):
    score = score_objects(*pair, name="a.png")
    text = json.dumps(score.to_json(), allow_nan=False)
    assert ObjectScore.from_json(json.loads(text)) == score


@pytest.mark.parametrize(
    "change",
    [
        {"true": -1},
        {"true": 1.5},
        {"true": True},
        {"predicted": 0},
        {"matched": [1] * 9},
        {"matched": [0] + [1] * 9},
        {"matched": [9] * 10},
        {"matched": 3},
        {"overlap": float("nan")},
        {"overlap": 5.0},
        {"overlap": None},
        {"overlap": "much"},
    ],
)
def test_counts_that_cannot_be_are_refused(change):
    content = score_objects(np.eye(3, dtype=int), np.eye(3, dtype=int)).to_json()
    with pytest.raises(DataError, match="evaluate again"):
        ObjectScore.from_json(content | change)


@pytest.mark.parametrize("missing", ["true", "predicted", "matched", "overlap", "name"])
def test_missing_entries_are_refused(missing):
    content = score_objects(np.eye(3, dtype=int), np.eye(3, dtype=int)).to_json()
    del content[missing]
    with pytest.raises(DataError, match="evaluate again"):
        ObjectScore.from_json(content)


# What is refused


@pytest.mark.parametrize(
    ("truth", "prediction", "message"),
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int), r"b\.png: .*shape"),
        (np.zeros((2, 3)), np.zeros((2, 3), int), r"b\.png: the truth holds float64"),
        (np.zeros((2, 3), int), np.zeros((2, 3)), "prediction holds float64"),
        (np.full((2, 3), -2), np.zeros((2, 3), int), "truth .* from -2"),
        (np.zeros((2, 3), int), np.full((2, 3), -1), "prediction .* from -1"),
    ],
)
def test_what_is_no_pair_of_object_images_is_refused(truth, prediction, message):
    with pytest.raises(DataError, match=message):
        score_objects(truth, prediction, name="b.png")


def test_inputs_stay_as_they_are():
    truth, prediction = np.array([[-1, 3, 0, 2]]), np.array([[1, 1, 0, 7]])
    for labels in (truth, prediction):
        labels.setflags(write=False)
    score_objects(truth, prediction)
