"""Logistic regression equals an independent solver's, and stays sane where data are degenerate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

from unetscope.information.estimators.family import Lesson, log_prior
from unetscope.information.estimators.logistic import BETWEEN, Logistic, loss_of_logits
from unetscope.information.reading import Reading


def draw_lesson(seed=0, pixels=600, channels=5, classes=2, offsets=1, tuned=0.25):
    """Classes that depend on the channels, otherwise at every offset."""
    chance = np.random.default_rng(seed)
    features = chance.normal(1.0, np.geomspace(0.1, 10, channels), (pixels, channels))
    offset = chance.integers(0, offsets, pixels)
    slopes = chance.normal(size=(offsets, channels, classes))
    logits = np.einsum("pc,pck->pk", (features - 1) / features.std(axis=0), slopes[offset])
    labels = (logits + chance.gumbel(size=logits.shape)).argmax(axis=1)
    return Lesson(replace(Reading.of(features), offset=offset), labels, classes, np.arange(pixels) < tuned * pixels)


def bits(reader, lesson):
    """Mean loss on the lesson's own pixels."""
    predicted = reader(lesson.reading)
    np.testing.assert_allclose(np.exp(predicted).sum(axis=1), 1, atol=1e-12)
    return -predicted[np.arange(len(lesson.labels)), lesson.labels].mean() / np.log(2)


def solve(lesson, strength, chosen, every):
    """(P, classes) log-probabilities by scipy, float64, from the definition; `chosen` pixels are fitted."""
    features = lesson.reading.features.astype(np.float64)
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    offsets, classes = lesson.reading.offsets, lesson.classes
    result = np.empty((len(standard), classes))
    ridge = strength * ((~lesson.tuning).sum() / offsets + 1)  # each offset has a made-up pixel
    usual = np.bincount(lesson.labels, minlength=classes) / len(lesson.labels)
    half = 0.5 if classes == 2 else 1.0  # two classes have one logit: w and -w are penalized as one of length 2 w
    for offset in range(offsets):
        own = lesson.reading.offset == offset
        inputs = np.concatenate([np.zeros((1, standard.shape[1])), standard[own & chosen]])
        targets = np.concatenate([usual[None], np.eye(classes)[lesson.labels[own & chosen]]])

        def objective(flat, inputs=inputs, targets=targets):
            weights = flat.reshape(-1, classes)
            logs = log_softmax(inputs @ weights[:-1] + weights[-1], axis=1)
            slopes = np.exp(logs) - targets
            penalty = ridge / half / half * (weights[:-1] ** 2).sum() * half / 2
            gradient = np.concatenate([inputs.T @ slopes + ridge / half * weights[:-1], slopes.sum(axis=0)[None]])
            return -(targets * logs).sum() + penalty, gradient.ravel()

        start = np.zeros((standard.shape[1] + 1) * classes)
        options = {"maxiter": 5000, "maxfun": 5000, "ftol": 1e-15, "gtol": 1e-9}
        weights = minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x.reshape(-1, classes)
        result[own] = log_softmax(standard[own] @ weights[:-1] + weights[-1], axis=1)
    return result if every else result[lesson.tuning]


@pytest.mark.parametrize(("classes", "offsets"), [(2, 1), (3, 1), (2, 3), (5, 2)])
def test_predictions_equal_those_of_an_independent_solver(classes, offsets):
    lesson = draw_lesson(classes=classes, offsets=offsets)
    found = Logistic(penalties=(0.03,)).fit(lesson)(lesson.reading)
    fitted, tuned = ~lesson.tuning, lesson.labels[lesson.tuning]
    losses = {}
    for factor in (1.0, *BETWEEN):
        logs = solve(lesson, 0.03 * factor, fitted, every=False)
        losses[factor] = -logs[np.arange(len(tuned)), tuned].mean()
    best = min(losses, key=losses.get)
    expected = solve(lesson, 0.03 * best, np.ones_like(fitted), every=True)
    np.testing.assert_allclose(np.exp(found), np.exp(expected), atol=2e-3)
    pixels = np.arange(600), lesson.labels
    assert -found[pixels].mean() / np.log(2) == pytest.approx(-expected[pixels].mean() / np.log(2), abs=1e-4)


@pytest.mark.parametrize("classes", [2, 4])
def test_logits_slopes_and_losses_agree_with_the_predictions(classes):
    lesson = draw_lesson(classes=classes, offsets=2)
    reader = Logistic().fit(lesson)
    logits, labels = reader.logits(lesson.reading), lesson.labels
    assert logits.shape == (600, 1 if classes == 2 else classes)
    expected = -reader(lesson.reading)[np.arange(600), labels]
    np.testing.assert_allclose(loss_of_logits(logits, labels), expected, atol=1e-12)
    moved = replace(lesson.reading, features=lesson.reading.features + np.eye(5, dtype=np.float32)[1])
    second = lesson.reading.offset == 1
    change = (reader.logits(moved) - logits)[second]
    np.testing.assert_allclose(change, np.broadcast_to(reader.slopes(1)[1], change.shape), atol=1e-4)


@pytest.mark.parametrize("classes", [2, 3])
def test_scale_and_zero_of_channels_do_not_matter(classes):
    lesson = draw_lesson(classes=classes)
    features = lesson.reading.features
    moved = np.float32(features * np.float32([1e-20, 1e20, -3, 1, 50]) + np.float32([0, 0, 30, -2, 1]))
    other = replace(lesson, reading=Reading.of(moved))
    assert abs(bits(Logistic().fit(lesson), lesson) - bits(Logistic().fit(other), other)) < 1e-4


def test_order_of_pixels_and_names_of_classes_do_not_matter():
    lesson = draw_lesson(classes=3, offsets=2)
    expected = Logistic().fit(lesson)(lesson.reading)
    order = np.random.default_rng(0).permutation(600)
    mixed = Lesson(lesson.reading.take(order), lesson.labels[order], 3, lesson.tuning[order])
    np.testing.assert_allclose(Logistic().fit(mixed)(lesson.reading), expected, atol=2e-3)
    renamed = replace(lesson, labels=np.array([2, 0, 1])[lesson.labels])
    np.testing.assert_allclose(Logistic().fit(renamed)(lesson.reading)[:, [2, 0, 1]], expected, atol=2e-3)


def test_constant_and_copied_channels_change_little():
    lesson = draw_lesson()
    features = lesson.reading.features
    dead = np.full((600, 2), 0.1, np.float32) * np.float32([1, 1e4])
    expected = bits(Logistic().fit(lesson), lesson)
    with_dead = replace(lesson, reading=Reading.of(np.concatenate([features, dead], axis=1)))
    assert bits(Logistic().fit(with_dead), with_dead) == pytest.approx(expected, abs=1e-4)
    copied = replace(lesson, reading=Reading.of(np.concatenate([features, features, dead], axis=1)))
    assert bits(Logistic().fit(copied), copied) == pytest.approx(expected, abs=5e-3)


def test_a_channel_that_moves_only_after_the_lesson_is_not_read():
    lesson = draw_lesson()
    features = np.concatenate([lesson.reading.features, np.full((600, 1), 3.0, np.float32)], axis=1)
    reader = Logistic().fit(replace(lesson, reading=Reading.of(features)))
    changed = features.copy()
    changed[:, -1] = 1e6
    np.testing.assert_array_equal(reader(Reading.of(features)), reader(Reading.of(changed)))


def test_what_hides_beneath_a_large_common_variation_is_read():
    chance = np.random.default_rng(0)
    told, common = chance.normal(size=(2, 4000))
    reading = Reading.of(np.stack([30 * common + told, 30 * common - told], axis=1))
    lesson = Lesson(reading, np.int64(told > 0), 2, np.arange(4000) < 1000)
    assert bits(Logistic().fit(lesson), lesson) < 0.1


def test_offsets_that_share_positions_are_read_as_if_they_did_not():
    chance = np.random.default_rng(0)
    features = chance.normal(size=(300, 6)).astype(np.float32)
    row, offset = np.repeat(np.arange(300), 4), np.tile(np.arange(4), 300)
    labels = np.int64((features @ chance.normal(size=(6, 4)))[row, offset] > chance.normal(size=1200))
    shared, own = Reading(features, row, offset), Reading(features[row], np.arange(1200), offset)
    predicted = [Logistic().fit(Lesson(r, labels, 2, row % 4 == 0))(r) for r in (shared, own)]
    np.testing.assert_allclose(np.exp(predicted[0]), np.exp(predicted[1]), atol=2e-3)


def test_offsets_without_pixels_say_how_often_classes_occur():
    lesson = draw_lesson(offsets=3)
    seen = lesson.reading.offset != 1
    part = Lesson(lesson.reading.take(seen), lesson.labels[seen], 2, lesson.tuning[seen])
    predicted = Logistic().fit(part)(lesson.reading)
    np.testing.assert_allclose(predicted[~seen], np.tile(log_prior(part.labels, 2), ((~seen).sum(), 1)))
    assert Logistic().fit(part).slopes(1).tolist() == np.zeros((5, 1)).tolist()
    assert Logistic().fit(part).slopes(0).any()


@pytest.mark.parametrize("classes", [2, 3])
def test_a_class_missing_at_an_offset_stays_possible_there(classes):
    lesson = draw_lesson(offsets=2, classes=classes)
    labels = np.where(lesson.reading.offset == 1, 0, lesson.labels)
    predicted = Logistic().fit(replace(lesson, labels=labels))(lesson.reading)
    rare = np.exp(predicted[lesson.reading.offset == 1]).mean(axis=0)[1:]
    assert (rare > 1e-6).all()
    assert (rare < 0.02).all()


def test_where_an_offset_has_one_pixel_its_bias_stays_near_the_shares_of_the_classes():
    lesson = draw_lesson(pixels=2000)
    reading = replace(lesson.reading, offset=np.int64(np.arange(2000) >= 1999))
    reader = Logistic().fit(replace(lesson, reading=reading))
    middle = Reading(reading.features.mean(axis=0, keepdims=True), np.array([0]), np.array([1]))
    assert 0.2 < np.exp(reader(middle)[0, 1]) < 0.8


@pytest.mark.parametrize("channels", [1, 40, 300])
def test_more_channels_than_pixels_end_with_finite_losses(channels):
    lesson = draw_lesson(pixels=60, channels=channels)
    fresh = draw_lesson(seed=5, pixels=200, channels=channels)
    assert np.isfinite(Logistic().fit(lesson)(fresh.reading)).all()


@pytest.mark.parametrize("classes", [2, 3])
def test_separable_classes_are_told_apart_with_finite_weights(classes):
    chance = np.random.default_rng(0)
    labels = chance.integers(0, classes, 900)
    lesson = Lesson(Reading.of(np.eye(classes)[labels]), labels, classes, np.arange(900) < 300)
    reader = Logistic().fit(lesson)
    assert bits(reader, lesson) < 1e-3
    assert np.isfinite(reader(lesson.reading)).all()


def test_without_tuning_images_nothing_is_claimed():
    lesson = draw_lesson(tuned=0)
    expected = np.tile(log_prior(lesson.labels, 2), (600, 1))
    np.testing.assert_allclose(Logistic().fit(lesson)(lesson.reading), expected)


@pytest.mark.parametrize("seed", range(4))
def test_noise_never_costs_more_than_the_prior_on_the_tuning_images(seed):
    chance = np.random.default_rng(seed)
    reading, labels = Reading.of(chance.normal(size=(300, 50))), chance.integers(0, 2, 300)
    lesson = Lesson(reading, labels, 2, np.arange(300) < 100)
    fitted = Lesson(reading.take(lesson.tuning), labels[:100], 2, np.zeros(100, bool))
    assert bits(Logistic().fit(lesson), fitted) < bits(Logistic(penalties=()).fit(lesson), fitted) + 1e-3


def test_the_lesson_is_not_changed_and_the_reader_repeats():
    lesson = draw_lesson(offsets=2)
    before = lesson.reading.features.copy()
    first, second = (Logistic().fit(lesson)(lesson.reading) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(lesson.reading.features, before)


@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e15])
def test_large_activations_do_not_overflow(scale):
    lesson = draw_lesson(classes=3)
    scaled = replace(lesson, reading=Reading.of(lesson.reading.features * np.float32(scale)))
    reader = Logistic().fit(lesson)
    assert bits(Logistic().fit(scaled), scaled) == pytest.approx(bits(reader, lesson), abs=1e-4)
