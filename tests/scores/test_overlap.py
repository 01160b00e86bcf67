"""Scores against MONAI and their own definitions, and the laws that hold for every image."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tracemalloc
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from displayed import read_html
from unetscope.errors import DataError
from unetscope.scores.overlap import ClassScore, ImageScore, Scores, confusion, score_image
from unetscope.scores.power import describe_evidence
from unetscope.tables import Caution

NAMES = ["background", "cell", "nucleus", "membrane", "debris"]
SHAPES = [(23, 31), (5, 11, 13)]
OLD_KEYS = ["classes", "images", "dice", "iou", "pixel_error", "rand_error"]


@st.composite
def pairs(draw, lowest=-1):
    """A truth (with pixels to ignore from `lowest`), a prediction of the same shape, and the class names."""
    count = draw(st.integers(2, len(NAMES)))
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=3, max_side=6))
    truth = draw(hnp.arrays(np.int64, shape, elements=st.integers(lowest, count - 1)))
    prediction = draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, count - 1)))
    return truth, prediction, NAMES[:count]


def images(lowest=-1):
    """Several pairs for the same classes."""
    three = hnp.arrays(np.int64, (2, 4, 5), elements=st.integers(lowest, 2))
    return st.lists(three, min_size=1, max_size=4)


def score_all(stack):
    """Score pairs whose prediction may hold no class below 0."""
    return Scores(tuple(score_image(t, np.maximum(p, 0), NAMES[:3], name=str(i)) for i, (t, p) in enumerate(stack)))


def draw_labels(shape, count, dtype, seed):
    """Random class indices in which the last class is rare enough to be missing at times."""
    shares = np.geomspace(1, 1e-3, count)
    return np.random.default_rng(seed).choice(count, shape, p=shares / shares.sum()).astype(dtype)


# Against other implementations


@pytest.fixture(scope="module")
def monai_scores():
    """MONAI's Dice, IoU, precision and recall of each foreground class, NaN where it calls them not defined."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metrics = pytest.importorskip("monai.metrics", exc_type=ImportError)
        torch = pytest.importorskip("torch")

    def one_hot(labels, count):
        return torch.from_numpy(np.stack([labels == index for index in range(count)])[None].astype(np.float32))

    def score(truth, prediction, count):
        y, y_pred = one_hot(truth, count), one_hot(prediction, count)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            matrix = metrics.get_confusion_matrix(y_pred, y, include_background=False)
            return {
                "dice": metrics.compute_dice(y_pred, y, include_background=False, ignore_empty=True)[0].tolist(),
                "iou": metrics.compute_iou(y_pred, y, include_background=False, ignore_empty=True)[0].tolist(),
                "precision": metrics.compute_confusion_matrix_metric("precision", matrix)[0].tolist(),
                "recall": metrics.compute_confusion_matrix_metric("sensitivity", matrix)[0].tolist(),
            }

    return score


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint64])
@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("shape", SHAPES)
def test_class_scores_agree_with_monai(monai_scores, shape, count, dtype, seed):
    truth = draw_labels(shape, count, dtype, seed)
    prediction = np.where(draw_labels(shape, 2, bool, seed + 10), draw_labels(shape, count, dtype, seed + 20), truth)
    expected = monai_scores(truth, prediction, count)
    for index, score in enumerate(score_image(truth, prediction, NAMES[:count]).classes):
        for measure, values in expected.items():
            ours = getattr(score, measure)
            if score.dice is None and measure == "precision":
                assert ours is None  # MONAI says 0 for a false alarm
            elif math.isnan(values[index]):
                assert ours is None
            else:
                assert ours == pytest.approx(values[index], abs=1e-6)


def test_monai_comparison_meets_absent_classes():
    present = [set(np.unique(draw_labels(shape, 5, np.uint8, seed))) for shape in SHAPES for seed in range(3)]
    assert any(len(classes) < 5 for classes in present)


# Laws


@settings(deadline=None)
@given(pairs())
def test_scores_are_exact_quotients_of_pixel_counts(case):
    truth, prediction, names = case
    kept = truth != -1
    result = score_image(truth, prediction, names)
    wrong = Fraction(int((truth != prediction)[kept].sum()), int(kept.sum())) if kept.any() else None
    assert result.pixel_error == (None if wrong is None else float(wrong))
    for index, score in enumerate(result.classes, start=1):
        true, guessed = (truth == index)[kept], (prediction == index)[kept]
        if not true.any():
            assert score == ClassScore(names[index], false_alarm=bool(guessed.any()))
            continue
        both, union = int((true & guessed).sum()), int((true | guessed).sum())
        assert score.dice == float(Fraction(2 * both, int(true.sum()) + int(guessed.sum())))
        assert score.iou == float(Fraction(both, union))
        assert score.recall == float(Fraction(both, int(true.sum())))
        assert score.precision == (float(Fraction(both, int(guessed.sum()))) if guessed.any() else None)
        assert score.dice == pytest.approx(2 * score.iou / (1 + score.iou), rel=1e-15)
        assert not score.false_alarm


@settings(deadline=None)
@given(pairs(lowest=0))
def test_exchange_keeps_dice_and_swaps_precision_with_recall(case):
    truth, prediction, names = case
    there, back = score_image(truth, prediction, names), score_image(prediction, truth, names)
    assert there.pixel_error == back.pixel_error
    for a, b in zip(there.classes, back.classes, strict=True):
        if a.dice is not None and b.dice is not None:
            assert (a.dice, a.iou, a.precision, a.recall) == (b.dice, b.iou, b.recall, b.precision)


@settings(deadline=None)
@given(pairs(), st.randoms(use_true_random=False))
def test_order_of_pixels_matters_to_nothing_but_rand_error(case, random):
    truth, prediction, names = case
    order = random.sample(range(truth.size), truth.size)
    before = score_image(truth, prediction, names)
    after = score_image(truth.reshape(-1)[order, None], prediction.reshape(-1)[order, None], names)
    assert (after.classes, after.pixel_error) == (before.classes, before.pixel_error)


@settings(deadline=None)
@given(pairs())
def test_perfect_prediction_scores_one(case):
    truth, _, names = case
    result = score_image(truth, np.maximum(truth, 0), names)
    for score in result.classes:
        assert score in (ClassScore(score.name), ClassScore(score.name, 1.0, 1.0, 1.0, 1.0))
    assert result.pixel_error in (None, 0)
    assert result.rand_error in (None, 0)
    assert (result.rand_error is None) == (result.dice is None) == (not (truth > 0).any())


@settings(deadline=None)
@given(pairs(), st.sampled_from([-1, 0, 1, 255]), st.integers(0, 300))
def test_prediction_at_ignored_pixels_matters_to_nothing(case, ignore, anything):
    truth, prediction, names = case
    truth = np.where(truth == -1, ignore, truth)
    altered = np.where(truth == ignore, anything, prediction)
    assert score_image(truth, altered, names, ignore=ignore) == score_image(truth, prediction, names, ignore=ignore)


def test_ignored_pixels_are_no_class_of_their_own():
    truth, prediction = np.array([[0, 1, 255, 1]], np.uint8), np.array([[0, 1, 1, 1]], np.uint8)
    assert score_image(truth, prediction, NAMES[:2], ignore=255) == ImageScore(
        "", (ClassScore("cell", 1.0, 1.0, 1.0, 1.0),), pixel_error=0.0, rand_error=0.0
    )


def mean_of_defined(values):
    """The plain mean without None."""
    defined = [value for value in values if value is not None]
    return pytest.approx(sum(defined) / len(defined), abs=1e-15) if defined else None


@settings(deadline=None)
@given(images())
def test_means_over_images_skip_those_without_the_class(stack):
    scores = score_all(stack)
    for index, summary in enumerate(scores.classes, start=1):
        in_truth = [(truth == index).any() for truth, _ in stack]
        present = [image.classes[index - 1] for image, here in zip(scores.images, in_truth, strict=True) if here]
        assert summary.n == len(present)
        for measure in ("dice", "iou", "precision", "recall"):
            assert getattr(summary, measure) == mean_of_defined(getattr(score, measure) for score in present)


@settings(deadline=None)
@given(images())
def test_means_run_over_classes_then_images(stack):
    scores = score_all(stack)
    for measure in ("dice", "iou"):
        means = [mean_of_defined(getattr(score, measure) for score in image.classes) for image in scores.images]
        assert [getattr(image, measure) for image in scores.images] == means
        assert getattr(scores, measure) == mean_of_defined(getattr(image, measure) for image in scores.images)
    for measure in ("pixel_error", "rand_error"):
        assert getattr(scores, measure) == mean_of_defined(getattr(image, measure) for image in scores.images)


@settings(deadline=None)
@given(images(), hnp.arrays(np.uint8, (4, 5), elements=st.integers(0, 2)))
def test_image_without_foreground_changes_only_false_alarms_and_pixel_error(stack, prediction):
    empty = np.zeros((4, 5), np.int64)
    before, after = score_all(stack), score_all([*stack, (empty, prediction)])
    assert (after.dice, after.iou, after.rand_error) == (before.dice, before.iou, before.rand_error)
    for index, (a, b) in enumerate(zip(before.classes, after.classes, strict=True), start=1):
        assert (a.dice, a.iou, a.precision, a.recall, a.n) == (b.dice, b.iou, b.precision, b.recall, b.n)
        assert b.false_alarms - a.false_alarms == int((prediction == index).any())


@settings(deadline=None)
@given(images())
def test_json_is_strict_and_gives_the_scores_back(stack):
    scores = score_all(stack)
    text = json.dumps(scores.to_json(), allow_nan=False)
    assert Scores.from_json(json.loads(text)) == scores
    assert Scores.from_json(json.loads(text)).to_json() == json.loads(text)


def test_json_has_the_documented_keys():
    content = score_all([(np.array([[0, 1]]), np.array([[0, 1]]))]).to_json()
    assert list(content) == [*OLD_KEYS[:3], "dice_interval", *OLD_KEYS[3:], "objects", "surfaces"]
    assert set(content["classes"][0]) == {"name", "dice", "iou", "precision", "recall", "n", "false_alarms"}
    image = content["images"][0]
    assert set(image) == {"name", "dice", "pixel_error", "rand_error", "classes", "objects", "surfaces"}
    assert set(image["classes"][0]) == {"name", "dice", "iou", "precision", "recall", "false_alarm"}


# Limits


def test_a_notebook_shows_classes_with_their_intervals_and_what_can_be_told():
    scores = Scores(
        tuple(
            ImageScore(str(number), (ClassScore("<i>cell</i>", dice=dice), ClassScore("rare")), 0.1, None)
            for number, dice in enumerate([0.7, 0.8, 0.9] * 8)
        )
    )
    classes, means, evidence = read_html(scores._repr_html_())
    low, high = scores.dice_interval
    assert classes.rows[0][:3] == ("<i>cell</i>", "0.800", f"{low:.3f} to {high:.3f}")
    assert classes.rows[1] == ("rare", "-", "-", "-", "-", "-", "0", "0")
    assert means.startswith("24 images: mean Dice 0.8000")
    assert evidence == describe_evidence(scores) and not isinstance(evidence, Caution)


def test_a_notebook_warns_of_few_images():
    *_, evidence = read_html(score_all([np.zeros((2, 4, 5), np.int64)])._repr_html_())
    assert isinstance(evidence, Caution) and evidence.startswith("0 images")


def test_missed_class_has_no_precision_and_zero_for_the_rest():
    missed, absent = score_image(np.array([[0, 1]]), np.array([[0, 2]]), NAMES[:3]).classes
    assert missed == ClassScore("cell", dice=0, iou=0, precision=None, recall=0)
    assert absent == ClassScore("nucleus", false_alarm=True)


def test_no_images_and_no_pixels_have_no_scores():
    without = Scores(()).to_json()
    assert all(without.pop(key) == [] for key in ("classes", "images", "surfaces"))
    assert set(without.values()) == {None}
    nothing = score_image(np.zeros((0, 3), int), np.zeros((0, 3), int), NAMES[:2])
    assert (nothing.dice, nothing.pixel_error, nothing.rand_error) == (None, None, None)


def test_confusion_takes_any_memory_layout():
    truth, prediction = draw_labels((70, 40, 60), 4, np.int16, 0), draw_labels((70, 40, 60), 4, np.uint8, 1)
    expected = [[int(((truth == i) & (prediction == j)).sum()) for j in range(4)] for i in range(4)]
    views = [truth, np.asfortranarray(truth), np.flip(np.flip(truth, 1).copy(), 1)]
    assert all(confusion(view, prediction, 4).tolist() == expected for view in views)


def test_large_images_need_a_few_bytes_per_pixel():
    truth = np.kron(draw_labels((64, 64), 3, np.uint8, 0), np.ones((32, 32), np.uint8))
    prediction = np.roll(truth, 3, axis=0)
    score_image(truth[:8], prediction[:8], NAMES[:3])
    tracemalloc.start()
    confusion(truth, prediction, 3)
    _, for_confusion = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    score_image(truth, prediction, NAMES[:3])
    _, for_all = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert for_confusion < truth.size
    assert for_all < 16 * truth.size


# Bad input


@pytest.mark.parametrize(
    ("truth", "prediction", "message"),
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int), r"truth has shape \(2, 3\) and the prediction \(3, 2\)"),
        (np.full((2, 2), 2), np.zeros((2, 2), int), "truth holds class 2, but only classes 0 to 1 have"),
        (np.zeros((2, 2), int), np.full((2, 2), 7), "prediction holds class 7"),
        (np.full((2, 2), -2), np.zeros((2, 2), int), "truth holds class -2"),
        (np.zeros((2, 2), int), np.full((2, 2), -1), "prediction holds class -1"),
        (np.zeros((2, 2)), np.zeros((2, 2), int), "truth holds float64 values"),
        (np.zeros((2, 2), int), np.zeros((2, 2), np.float32), "prediction holds float32 values"),
    ],
)
def test_bad_labels_are_refused_with_the_name_of_the_image(truth, prediction, message):
    with pytest.raises(DataError, match=rf"^a\.tif: the {message}"):
        score_image(truth, prediction, NAMES[:2], name="a.tif")


def test_images_scored_for_different_classes_do_not_mix():
    truth = np.zeros((2, 2), int)
    two = tuple(score_image(truth, truth, names, name=names[-1]) for names in (NAMES[:2], NAMES[:3]))
    with pytest.raises(DataError, match=r"different classes \('cell' for cell, 'nucleus' for cell/nucleus\)"):
        Scores(two)


@pytest.mark.parametrize("content", [{}, [], {"images": None}, {"images": [{}]}, {"images": [1]}, None])
def test_json_of_something_else_is_refused(content):
    with pytest.raises(DataError, match="not in the form they are written in"):
        Scores.from_json(content)


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan"), "1", [0.5]])
def test_json_with_impossible_scores_is_refused(value):
    content = score_all([(np.array([[0, 1]]), np.array([[0, 1]]))]).to_json()
    content["images"][0]["pixel_error"] = value
    with pytest.raises(DataError, match="must be a number from 0 to 1 or null"):
        Scores.from_json(content)


def test_importing_scores_loads_neither_skimage_nor_torch():
    check = "import sys, unetscope.scores.overlap; sys.exit(bool({'skimage', 'torch', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
