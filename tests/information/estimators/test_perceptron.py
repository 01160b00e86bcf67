"""The perceptron against exact truths, the best possible reader, and the laws that any of its lessons obeys."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from unetscope.information.estimators.family import Lesson, log_prior
from unetscope.information.estimators.logistic import Logistic
from unetscope.information.estimators.perceptron import Perceptron
from unetscope.information.reading import Reading
from unetscope.information.usable import CrossFit, cross_fit, prior_losses

GROUPS = 100
BITS = np.log(2)


def held_out_gain(family, features, labels):
    """I_V in bits, with the pixels in 100 images."""
    groups = np.arange(len(labels)) * GROUPS // len(labels)
    settings = CrossFit(2, folds=3)
    losses = cross_fit(family, Reading.of(features), labels, groups, settings)
    return (prior_losses(labels, groups, settings) - losses).mean()


def draw_direction(chance, dimensions):
    direction = chance.normal(size=dimensions)
    return direction / np.linalg.norm(direction)


def hide(bit, chance, amplitude=5.0, dimensions=32):
    """A bit along a random direction in noise, so far apart that it can be told with certainty."""
    noise = chance.normal(size=(len(bit), dimensions))
    return noise + amplitude * np.outer(2 * bit - 1, draw_direction(chance, dimensions))


def hide_two_bits(count=6000):
    """Two bits, each of their four pairs equally often, and the features that hide each of them."""
    chance = np.random.default_rng(2)
    one, other = (
        chance.permutation(np.arange(count) % 4 // 2 * 2 + np.arange(count) % 2).reshape(1, -1) // [[1], [2]] % 2
    )
    return one, other, hide(one, chance), hide(other, chance)


def draw_gaussians(share, distance, dimensions, count):
    """Y ~ Bern(q), M = N(+-delta/2 u, I); also the loss of the best reader there is, bits."""
    chance = np.random.default_rng(3)
    labels = (chance.random(count) < share).astype(int)
    direction = draw_direction(chance, dimensions)
    features = chance.normal(size=(count, dimensions)) + distance / 2 * np.outer(2 * labels - 1, direction)
    odds = distance * features @ direction + np.log(share / (1 - share))
    return features, labels, np.logaddexp(0, np.where(labels == 1, -odds, odds)) / BITS


def make_lesson(count=1200, classes=3, offsets=1, seed=4):
    """Rows that several offsets read, and labels that depend on both."""
    chance = np.random.default_rng(seed)
    features = chance.normal(size=(count // offsets, 6)).astype(np.float32)
    row, offset = (part.ravel() for part in np.indices((count // offsets, offsets)))
    scores = features[row][:, :classes] * (1 - 2 * (offset % 2))[:, None] + chance.gumbel(size=(len(row), classes)) / 3
    return Lesson(Reading(features, row, offset), scores.argmax(axis=1), classes, row % 4 == 0, seed)


def mean_loss(answers, labels):
    return -answers[np.arange(len(labels)), labels].mean()


@pytest.mark.parametrize(
    ("combine", "truths"),
    [
        pytest.param(lambda a, b: a ^ b, (0, 0, 1), id="xor"),
        pytest.param(lambda a, b: a & b, (0.3113, 0.3113, 0.8113), id="and"),
        pytest.param(lambda a, b: a, (1, 0, 1), id="unique"),
    ],
)
def test_gates_of_bits_hidden_in_noise(combine, truths):
    one, other, first, second = hide_two_bits()
    for features, truth in zip((first, second, np.hstack([first, second])), truths, strict=True):
        assert held_out_gain(Perceptron(), features, combine(one, other)) == pytest.approx(truth, abs=0.02)


def test_a_copy_is_found_in_either_part_and_counted_once():
    one, _, first, _ = hide_two_bits()
    second = hide(one, np.random.default_rng(5))
    for features in (first, second, np.hstack([first, second])):
        assert held_out_gain(Perceptron(), features, one) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("dimensions", [16, 256])
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_noise_neither_gains_nor_costs(dimensions, share):
    chance = np.random.default_rng(6)
    features, labels = chance.normal(size=(20_000, dimensions)), (chance.random(20_000) < share).astype(int)
    assert abs(held_out_gain(Perceptron(), features, labels)) < 0.005


@pytest.mark.parametrize(
    ("share", "distance", "truth"), [(0.5, 1, 0.1607), (0.5, 2, 0.4859), (0.14, 2, 0.2635), (0.14, 4, 0.5270)]
)
def test_gaussian_pairs_are_read_nearly_as_well_as_can_be(share, distance, truth):
    features, labels, best = draw_gaussians(share, distance, 16, 20_000)
    groups = np.arange(20_000) * GROUPS // 20_000
    losses = cross_fit(Perceptron(), Reading.of(features), labels, groups, CrossFit(2, folds=3))
    assert -0.002 < (losses - best).mean() < 0.008
    assert prior_losses(labels, groups, CrossFit(2, folds=3)).mean() - losses.mean() == pytest.approx(truth, abs=0.02)


def test_many_channels_of_noise_cost_little():
    features, labels, best = draw_gaussians(0.5, 2, 256, 20_000)
    losses = cross_fit(Perceptron(), Reading.of(features), labels, np.arange(20_000) // 200, CrossFit(2, folds=3))
    assert 0 < (losses - best).mean() < 0.03


def test_a_ring_around_a_disk_is_invisible_to_a_linear_reader_only():
    chance = np.random.default_rng(7)
    labels, angle = np.arange(6000) % 2, chance.uniform(0, 2 * np.pi, 6000)
    ring = (1 + 2 * labels)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    features = np.hstack([ring, np.zeros((6000, 4))]) + chance.normal(0, 0.2, (6000, 6))
    assert held_out_gain(Logistic(), features, labels) < 0.01
    assert held_out_gain(Perceptron(), features, labels) > 0.98


def test_offsets_have_logits_of_their_own():
    lesson = make_lesson(offsets=2)
    blind = Lesson(Reading(lesson.reading.features, lesson.reading.row, 0 * lesson.reading.offset), *parts_of(lesson))
    seeing, blinded = (mean_loss(Perceptron().fit(each)(each.reading), each.labels) for each in (lesson, blind))
    assert seeing < 0.6 * blinded


def parts_of(lesson):
    return lesson.labels, lesson.classes, lesson.tuning, lesson.seed


def test_numbers_of_offsets_do_not_matter_and_unknown_ones_get_the_prior():
    lesson = make_lesson(offsets=2)
    reading = lesson.reading
    renamed = Reading(reading.features, reading.row, np.array([7, 4095])[reading.offset])
    reader = Perceptron().fit(Lesson(renamed, *parts_of(lesson)))
    np.testing.assert_array_equal(reader(renamed), Perceptron().fit(lesson)(reading))
    strangers = Reading(reading.features, reading.row, np.array([3, 9999])[reading.offset])
    prior = log_prior(lesson.labels, lesson.classes)
    np.testing.assert_array_equal(reader(strangers), np.tile(prior, (len(reading.row), 1)))


def test_answers_are_logarithms_of_probabilities():
    lesson = make_lesson()
    answers = Perceptron().fit(lesson)(lesson.reading)
    assert answers.dtype == np.float64
    assert answers.shape == (1200, 3)
    np.testing.assert_allclose(logsumexp(answers, axis=1), 0, atol=1e-12)


def test_certainty_stays_finite():
    labels = np.arange(2000) % 2
    reading = Reading.of(1e4 * (2 * labels - 1))
    reader = Perceptron().fit(Lesson(reading, labels, 2, np.arange(2000) < 500))
    assert 0 < mean_loss(reader(reading), labels) < 0.01
    assert np.isfinite(reader(Reading.of(np.array([-1e9, 1e9])))).all()


def test_the_order_of_the_pixels_does_not_matter():
    lesson = make_lesson(offsets=4)
    order = np.random.default_rng(8).permutation(len(lesson.labels))
    shuffled = Lesson(lesson.reading.take(order), lesson.labels[order], 3, lesson.tuning[order], lesson.seed)
    answers = Perceptron().fit(shuffled)(lesson.reading)
    np.testing.assert_array_equal(answers, Perceptron().fit(lesson)(lesson.reading))


def test_scale_and_shift_of_channels_do_not_matter():
    lesson = make_lesson()
    scale, shift = 2.0 ** np.array([-20, 20, 0, 3, -3, 1]), np.array([0, 0, 1, -8, 0.5, 2])
    moved = Reading.of(lesson.reading.features * scale + shift)
    answers = Perceptron().fit(Lesson(moved, *parts_of(lesson)))(moved)
    np.testing.assert_allclose(answers, Perceptron().fit(lesson)(lesson.reading), atol=0.01)


@pytest.mark.parametrize("value", [0.0, 1.0, -3e7, 0.1])
def test_a_dead_channel_says_nothing(value):
    lesson = make_lesson()

    def answer(dead):
        reading = Reading.of(np.hstack([lesson.reading.features, np.full((1200, 1), dead)]))
        return Perceptron().fit(Lesson(reading, *parts_of(lesson)))(reading)

    np.testing.assert_array_equal(answer(value), answer(5.0))


def test_positions_that_no_pixel_reads_are_not_looked_at():
    lesson = make_lesson()
    wider = np.vstack([lesson.reading.features, np.full((3, 6), np.nan, np.float32)])
    answers = Perceptron().fit(Lesson(Reading(wider, *rest_of(lesson)), *parts_of(lesson)))(lesson.reading)
    np.testing.assert_array_equal(answers, Perceptron().fit(lesson)(lesson.reading))


def rest_of(lesson):
    return lesson.reading.row, lesson.reading.offset


def test_the_same_lesson_gives_the_same_reader_whatever_the_number_of_threads():
    lesson, threads = make_lesson(), torch.get_num_threads()
    answers = []
    for number in (1, 2):
        torch.set_num_threads(number)
        answers.append(Perceptron().fit(lesson))
        assert torch.get_num_threads() == number
    torch.set_num_threads(threads)
    np.testing.assert_array_equal(*(reader(lesson.reading) for reader in answers))


def test_the_seed_matters_little():
    lesson = make_lesson(4000)
    losses = []
    for seed in range(3):
        again = Lesson(lesson.reading, lesson.labels, lesson.classes, lesson.tuning, seed)
        losses.append(mean_loss(Perceptron().fit(again)(lesson.reading), lesson.labels))
    assert 0 < np.ptp(losses) < 0.02


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_state_of_torch_is_left_alone(mode):
    lesson, before = make_lesson(), torch.get_rng_state()
    with mode():
        state = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        reader = Perceptron().fit(lesson)
        reader(lesson.reading)
        assert state == (torch.is_grad_enabled(), torch.is_inference_mode_enabled())
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(reader(lesson.reading), Perceptron().fit(lesson)(lesson.reading))


def test_inputs_may_be_read_only_and_are_not_changed():
    lesson = make_lesson()
    kept = lesson.reading.features.copy()
    lesson.reading.features.setflags(write=False)
    Perceptron().fit(lesson)(lesson.reading)
    np.testing.assert_array_equal(lesson.reading.features, kept)


@pytest.mark.parametrize("tuning", [False, True])
def test_without_images_to_fit_or_to_tune_the_prior_is_the_answer(tuning):
    lesson = make_lesson()
    reader = Perceptron().fit(Lesson(lesson.reading, lesson.labels, 3, np.full(1200, tuning)))
    expected = np.tile(log_prior(lesson.labels, 3), (1200, 1))
    np.testing.assert_allclose(reader(lesson.reading), expected, atol=1e-6)


def test_what_contradicts_the_tuning_images_is_not_learned():
    lesson = make_lesson(classes=2)
    contradicted = np.where(lesson.tuning, 1 - lesson.labels, lesson.labels)
    reader = Perceptron().fit(Lesson(lesson.reading, contradicted, 2, lesson.tuning))
    expected = np.tile(log_prior(contradicted, 2), (1200, 1))
    np.testing.assert_allclose(reader(lesson.reading), expected, atol=1e-6)


@pytest.mark.parametrize("count", [2, 5, 40])
def test_a_handful_of_pixels_is_enough(count):
    lesson = make_lesson(count, classes=4)
    assert np.isfinite(Perceptron().fit(lesson)(lesson.reading)).all()
