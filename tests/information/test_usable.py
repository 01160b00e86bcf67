"""Usable information equals known truths, keeps its laws, and never lets an image leak into what reads it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from unetscope.errors import DataError
from unetscope.information.estimators.logistic import Logistic
from unetscope.information.reading import Reading
from unetscope.information.usable import (
    CrossFit,
    assign_folds,
    cross_fit,
    fit_held_out,
    information,
    predict_held_out,
    prior_losses,
)


def draw_classes(share, distance, channels, pixels=20_000, seed=0):
    """Classes that move a Gaussian along one direction, and images of 200 pixels."""
    chance = np.random.default_rng(seed)
    labels = np.int64(chance.random(pixels) < share)
    direction = np.ones(channels) / np.sqrt(channels)
    features = chance.normal(size=(pixels, channels)) + np.outer(labels - 0.5, distance * direction)
    return Reading.of(features), labels, np.arange(pixels) // 200


def gain(reading, labels, groups, **settings):
    """H0 less held-out loss, bits per pixel."""
    fit = CrossFit(int(labels.max()) + 1, **settings)
    return (prior_losses(labels, groups, fit) - cross_fit(Logistic(), reading, labels, groups, fit)).mean()


@pytest.mark.parametrize(
    ("share", "distance", "truth"), [(0.5, 1, 0.1607), (0.5, 2, 0.4859), (0.14, 2, 0.2635), (0.14, 4, 0.5270)]
)
def test_classes_apart_by_a_known_distance_have_known_bits(share, distance, truth):
    assert gain(*draw_classes(share, distance, 16)) == pytest.approx(truth, abs=0.015)


@pytest.mark.parametrize(("share", "distance", "truth"), [(0.5, 2, 0.4859), (0.14, 2, 0.2635)])
def test_many_channels_that_tell_nothing_cost_little(share, distance, truth):
    assert truth - 0.035 < gain(*draw_classes(share, distance, 256)) < truth + 0.015


@pytest.mark.parametrize("distance", [1.0, 2.5])
def test_three_classes_have_the_bits_of_numeric_integration(distance):
    middles = distance * np.array([[0, 1], [-(0.75**0.5), -0.5], [0.75**0.5, -0.5]])
    shares = np.array([0.5, 0.3, 0.2])
    line = np.linspace(-10, 10, 801)
    points = np.stack(np.meshgrid(line, line), axis=-1)[..., None, :]
    joint = shares * np.exp(-((points - middles) ** 2).sum(axis=-1) / 2) / (2 * np.pi)
    mixed = joint.sum(axis=-1, keepdims=True)
    truth = (joint * np.log2(joint / mixed / shares)).sum() * (line[1] - line[0]) ** 2
    chance = np.random.default_rng(0)
    labels = chance.choice(3, 20_000, p=shares)
    features = chance.normal(size=(20_000, 8))
    features[:, :2] += middles[labels]
    assert gain(Reading.of(features), labels, np.arange(20_000) // 200) == pytest.approx(truth, abs=0.015)


def test_scale_and_zero_of_channels_do_not_matter_and_rotations_hardly():
    reading, labels, groups = draw_classes(0.3, 2, 16, pixels=6000)
    chance = np.random.default_rng(1)
    features, value = reading.features, gain(reading, labels, groups)
    scales = np.float32(10.0 ** chance.uniform(-6, 6, 16))
    moved = Reading.of(features * scales + np.float32(10 * chance.normal(size=16)) * scales)
    assert gain(moved, labels, groups) == pytest.approx(value, abs=0.001)
    stretched = features * np.float32(np.geomspace(1, 30, 16))
    turn = np.linalg.qr(chance.normal(size=(16, 16)))[0]
    straight, turned = (gain(Reading.of(each), labels, groups) for each in (stretched, stretched @ turn))
    assert turned == pytest.approx(straight, abs=0.015)


def test_order_of_pixels_names_of_classes_and_names_of_images_do_not_matter():
    reading, labels, groups = draw_classes(0.3, 2, 8, pixels=4000)
    value = gain(reading, labels, groups)
    order = np.random.default_rng(0).permutation(4000)
    assert gain(reading.take(order), labels[order], groups[order]) == pytest.approx(value, abs=1e-4)
    assert gain(reading, 1 - labels, groups) == pytest.approx(value, abs=1e-4)
    assert gain(reading, labels, groups * 7 + 100) == value


@pytest.mark.parametrize(("share", "distance"), [(0.5, 6.0), (0.01, 0.5)])
def test_there_is_never_more_than_the_labels_hold(share, distance):
    reading, labels, groups = draw_classes(share, distance, 4, pixels=4000)
    losses = cross_fit(Logistic(), reading, labels, groups, CrossFit(2))
    assert (losses >= 0).all()
    assert gain(reading, labels, groups) <= prior_losses(labels, groups, CrossFit(2)).mean()


@pytest.mark.parametrize("channels", [4, 64])
@pytest.mark.parametrize("classes", [2, 3])
def test_labels_that_have_nothing_to_do_with_the_features_give_nothing(channels, classes):
    chance = np.random.default_rng(0)
    labels = chance.integers(0, classes, 10_000)
    value = gain(Reading.of(chance.normal(size=(10_000, channels))), labels, np.arange(10_000) // 100)
    assert -0.005 < value < 0.002


def test_features_that_name_their_image_tell_nothing_of_other_images():
    chance = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 50)
    reading, labels = Reading.of(chance.normal(size=(60, 30))[groups]), chance.integers(0, 2, 60)[groups]
    assert -0.15 < gain(reading, labels, groups) < 0.02
    assert gain(reading, labels, np.arange(3000)) > 0.4  # the same with pixels held out instead of images


def test_offsets_read_a_layer_that_means_something_else_at_each():
    chance = np.random.default_rng(0)
    features = chance.normal(size=(4000, 8)).astype(np.float32)
    row, offset = np.repeat(np.arange(4000), 4), np.tile(np.arange(4), 4000)
    labels = np.int64(features[row, offset] > 0)
    with_offsets, without = (Reading(features, row, each) for each in (offset, np.zeros_like(offset)))
    assert gain(with_offsets, labels, row // 40) > 0.95
    one_in_four = 0.13  # one weight for four channels of which each matters a quarter of the time
    assert gain(without, labels, row // 40) < one_in_four


def test_a_class_that_is_missing_while_a_fold_is_held_out_costs_finite_bits():
    chance = np.random.default_rng(0)
    groups = np.repeat(np.arange(10), 100)
    labels = np.where((groups == 3) & (chance.random(1000) < 0.3), 2, chance.integers(0, 2, 1000))
    reading = Reading.of(np.eye(3)[labels] + chance.normal(0, 0.3, (1000, 3)))
    for settings in (CrossFit(3), CrossFit(3, share=0.25)):
        assert np.isfinite(prior_losses(labels, groups, settings)).all()
        assert np.isfinite(cross_fit(Logistic(), reading, labels, groups, settings)).all()


@pytest.mark.parametrize(("count", "folds"), [(2, 2), (5, 5), (23, 5), (100, 3)])
def test_folds_are_even_and_follow_the_seed(count, folds):
    fold = assign_folds(count, folds, seed=1)
    assert np.ptp(np.bincount(fold, minlength=folds)) <= 1
    assert fold.tolist() == assign_folds(count, folds, seed=1).tolist()
    assert count < 20 or fold.tolist() != assign_folds(count, folds, seed=2).tolist()


class Recorder:
    """A family that learns nothing but remembers its lessons."""

    name = "recorder"

    def __init__(self):
        self.lessons = []

    def fit(self, lesson):
        self.lessons.append(lesson)
        return lambda reading: np.full((len(reading.row), lesson.classes), -np.log(lesson.classes))


def record(images, **settings):
    """Lessons and held-out pixels; the single channel is the number of the image."""
    groups = np.repeat(np.arange(images), 6)
    recorder, labels = Recorder(), np.tile([0, 1], 3 * images)
    fits = list(fit_held_out(recorder, Reading.of(groups), labels, groups, CrossFit(2, **settings)))
    held = [set(groups[pixels]) for _, pixels in fits]
    taught = [lesson.reading.features[lesson.reading.row, 0].astype(int) for lesson in recorder.lessons]
    fitted = [set(images[~lesson.tuning]) for images, lesson in zip(taught, recorder.lessons, strict=True)]
    tuned = [set(images[lesson.tuning]) for images, lesson in zip(taught, recorder.lessons, strict=True)]
    return held, fitted, tuned


@pytest.mark.parametrize("images", [3, 4, 5, 7, 40])
@pytest.mark.parametrize("folds", [2, 3, 5])
def test_held_out_fitted_and_tuning_images_are_apart_and_all_are_used(images, folds):
    held, fitted, tuned = record(images, folds=folds)
    assert len(held) == min(folds, images)
    assert sorted(image for fold in held for image in fold) == list(range(images))
    for out, fit, tune in zip(held, fitted, tuned, strict=True):
        assert fit
        assert tune
        assert out | fit | tune == set(range(images))
        assert len(out) + len(fit) + len(tune) == images or len(fit | tune) == 1


def test_of_two_images_one_teaches_with_its_first_half_and_tunes_with_its_second():
    held, fitted, tuned = record(2)
    assert held in ([{0}, {1}], [{1}, {0}])
    assert fitted == tuned == held[::-1]


@pytest.mark.parametrize("images", [10, 41])
def test_a_smaller_share_of_images_is_part_of_a_larger(images):
    shares = [1 / 8, 1 / 4, 1 / 2, 1]
    records = [record(images, share=share) for share in shares]
    assert all(record[0] == records[0][0] for record in records)
    taught = [[fit | tune for fit, tune in zip(*record[1:], strict=True)] for record in records]
    for fold in range(5):
        sets = [each[fold] for each in taught]
        assert all(less <= more for less, more in pairwise(sets))
        expected = [max(2, share * len(sets[-1])) for share in shares]
        assert np.allclose([len(each) for each in sets], expected, atol=1)
        assert all(record[1][fold] and record[2][fold] for record in records)


def test_predictions_are_made_of_probabilities_and_repeat():
    reading, labels, groups = draw_classes(0.5, 2, 4, pixels=1000)
    first, second = (predict_held_out(Logistic(), reading, labels, groups, CrossFit(2)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(np.exp(first).sum(axis=1), 1)
    losses = cross_fit(Logistic(), reading, labels, groups, CrossFit(2))
    np.testing.assert_allclose(losses, -first[np.arange(1000), labels] / np.log(2))


def test_information_of_arrays_is_the_difference_with_its_interval():
    reading, labels, groups = draw_classes(0.5, 2, 4, pixels=8000)
    names = [f"image {number}" for number in groups]
    found = information(reading.features, labels, names)
    assert found.images == 40
    assert found.value.value == pytest.approx(found.gains.mean)
    assert found.value.low < 0.4859 < found.value.high
    assert found.prior.value == pytest.approx(1, abs=0.002)
    assert found.verdict.word == "ok"
    assert found.gains.counts.tolist() == [200.0] * 40
    repeated = information(reading.features, labels, names)
    assert repeated.value == found.value
    assert information(reading, labels, groups).value.value == pytest.approx(found.value.value, abs=0.01)


def test_the_family_named_is_the_one_that_reads(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr("unetscope.information.estimators.perceptron.Perceptron", lambda: recorder)
    reading, labels, groups = draw_classes(0.5, 2, 3, pixels=1000)
    found = information(reading, labels, groups, family="mlp")
    assert len(recorder.lessons) == 5 * 2  # half of the images, and all
    assert found.value.value == pytest.approx(found.prior.value - 1)  # even odds everywhere


def test_more_channels_than_few_images_can_teach_cannot_be_told():
    reading, labels, groups = draw_classes(0.5, 2, 256, pixels=1600)
    found = information(reading, labels, groups)
    assert found.verdict.word == "cannot tell"
    more = information(*draw_classes(0.5, 2, 256, pixels=4000))
    assert "more images would add" in more.verdict.reason
    assert more.verdict.images > more.images


@pytest.mark.parametrize("images", [2, 3, 9])
def test_few_images_give_no_curve_and_the_verdict_says_so(images):
    reading, labels, _ = draw_classes(0.5, 2, 3, pixels=images * 2000)
    found = information(reading, labels, np.arange(images * 2000) // 2000)
    assert found.verdict.word == "cannot tell"
    assert f"{images} groups are too few" in found.verdict.reason
    assert found.verdict.images >= 10


def test_any_whole_numbers_and_names_will_do():
    reading, labels, groups = draw_classes(0.5, 3, 3, pixels=2000)
    value = information(reading, labels, groups).value
    assert information(reading, labels.astype(bool), groups.tolist()).value == value
    assert information(reading, labels.astype(np.float32), [str(group) for group in groups]).images == 10
    assert information(reading, labels, [(group, None) for group in groups], classes=2).images == 10
    distant = np.float64(reading.features[:, 0]) + 1e9
    near = information(reading.features[:, 0], labels, groups).value.value
    assert information(distant, labels, groups).value.value == pytest.approx(near, abs=1e-3)


FEATURES, LABELS, GROUPS = np.zeros((6, 2)), [0, 1, 0, 1, 0, 1], [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"features": np.full((6, 2), np.nan)}, "NaN"),
        ({"features": np.full((6, 2), 1e300) * [[1], [-1], [1], [1], [1], [1]]}, "float32"),
        ({"features": Reading.of(np.full((6, 2), np.inf))}, "NaN"),
        ({"features": np.zeros((6, 2, 2))}, "6x2x2"),
        ({"features": np.zeros((0, 2))}, "0x2"),
        ({"features": ["a"] * 6}, "numbers"),
        ({"labels": [0, 1]}, "2 labels came for 6"),
        ({"labels": [0, 0.5, 0, 1, 0, 1]}, "whole"),
        ({"labels": [0, np.nan, 0, 1, 0, 1]}, "whole"),
        ({"labels": list("ababab")}, "whole"),
        ({"labels": [0, -1, 0, 1, 0, 1]}, "-1"),
        ({"labels": [2] * 6}, "two classes"),
        ({"classes": 1}, "2 classes or more"),
        ({"groups": [0] * 6}, "one group"),
        ({"groups": [0, 1]}, "2 groups came for 6"),
        ({"groups": [[0]] * 6}, "unhashable"),
        ({"groups": [0, 0, 1, 1, float("nan"), 2]}, "NaN"),
        ({"labels": [0, 1000, 0, 1, 0, 1]}, "1001 classes came"),
        ({"folds": 1}, "folds"),
        ({"family": "forest"}, "forest"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(changed, said):
    given = {"features": FEATURES, "labels": LABELS, "groups": GROUPS} | changed
    arrays = [given.pop(name) for name in ("features", "labels", "groups")]
    with pytest.raises(DataError, match=said) as caught:
        information(*arrays, **given)
    assert "\n" not in str(caught.value)
