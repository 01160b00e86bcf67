"""The decoder's own family on phantoms whose labels need a neighborhood, two sources, or are independent of both."""

from __future__ import annotations

import numpy as np
import pytest

from unetscope.information.estimators.convolutional import SIDE, Convolutional
from unetscope.information.estimators.family import Lesson
from unetscope.information.estimators.logistic import Logistic
from unetscope.information.estimators.stochastic_descent import Descent
from unetscope.information.reading import Reading, join_readings
from unetscope.information.usable import CrossFit, cross_fit, prior_losses


def held_out_gain(family, reading, labels):
    groups = np.arange(len(labels)) * 40 // len(labels)
    settings = CrossFit(2, folds=3)
    return (prior_losses(labels, groups, settings) - cross_fit(family, reading, labels, groups, settings)).mean()


def draw_noise(chance, count, channels, ndim):
    return chance.normal(size=(count, channels, *(SIDE,) * ndim))


def read_windows(windows):
    return Reading.of(windows.reshape(len(windows), -1))


def read_centers(windows):
    """What a 1x1 convolution is given."""
    return Reading.of(windows[(slice(None), slice(None), *(SIDE // 2,) * (windows.ndim - 2))])


def hide_bit(bit, chance, ndim):
    """A source of two channels, one of them noise, that carries a bit in the mean of its other channel's window."""
    windows = draw_noise(chance, len(bit), 2, ndim)
    windows[:, 0] += 0.9 * (2 * bit - 1).reshape(-1, *(1,) * ndim)
    return windows


@pytest.mark.parametrize(("ndim", "count"), [(2, 2500), (3, 2000)])
def test_a_label_of_the_whole_window_needs_the_neighborhood(ndim, count):
    """A step across the window: the sign of the sum of one half of the window less that of the other."""
    windows = draw_noise(np.random.default_rng(0), count, 2, ndim)
    before, behind = (windows[:, 0, ..., half].reshape(count, -1).sum(axis=1) for half in (slice(2), slice(3, None)))
    labels = (behind > before).astype(int)
    assert held_out_gain(Convolutional(ndim, width=8), read_windows(windows), labels) > 0.4
    assert held_out_gain(Logistic(), read_centers(windows), labels) < 0.02


@pytest.mark.parametrize("ndim", [2, 3])
def test_xor_of_skip_and_up_path_needs_both(ndim):
    chance = np.random.default_rng(1)
    one, other = chance.integers(0, 2, (2, 1500))
    skip, up = hide_bit(one, chance, ndim), hide_bit(other, chance, ndim)
    both = join_readings([read_windows(skip), read_windows(up)])
    family = Convolutional(ndim, width=16)
    assert held_out_gain(family, both, one ^ other) > 0.95
    assert held_out_gain(Logistic(), read_centers(np.concatenate([skip, up], axis=1)), one ^ other) < 0.02
    for source in (skip, up):
        assert abs(held_out_gain(family, read_windows(source), one ^ other)) < 0.005


@pytest.mark.parametrize("ndim", [2, 3])
def test_noise_neither_gains_nor_costs(ndim):
    chance = np.random.default_rng(2)
    windows, labels = draw_noise(chance, 2500, 8 // (ndim - 1), ndim), chance.integers(0, 2, 2500)
    assert abs(held_out_gain(Convolutional(ndim, width=16), read_windows(windows), labels)) < 0.005


def test_windows_of_blocks_answer_for_every_offset():
    """Four pixels read one window, and each sees another channel's sign."""
    chance = np.random.default_rng(3)
    windows = draw_noise(chance, 800, 4, 2) + 4 * (2 * chance.integers(0, 2, (800, 4, 1, 1)) - 1)
    row, offset = (part.ravel() for part in np.indices((800, 4)))
    reading = Reading(windows.reshape(800, -1).astype(np.float32), row, offset)
    labels = (windows[row, offset].mean(axis=(1, 2)) > 0).astype(int)
    reader = Convolutional(2, width=16).fit(Lesson(reading, labels, 2, row % 4 == 0))
    assert (reader(reading).argmax(axis=1) == labels).mean() > 0.99


def test_every_channel_is_standardized_as_a_whole():
    """Another unit for a channel changes nothing; a pixel of the window without variance is no dead channel."""
    chance = np.random.default_rng(4)
    windows, labels = draw_noise(chance, 1000, 2, 2), chance.integers(0, 2, 1000)
    windows[:, 0] += labels.reshape(-1, 1, 1)
    windows[:, 0, 0, 0] = 3
    scaled = windows * np.array([1024, 1 / 1024]).reshape(2, 1, 1)
    lessons = [Lesson(read_windows(each), labels, 2, np.arange(1000) < 300) for each in (windows, scaled)]
    one, other = (Convolutional(2, 4, descent=Descent(epochs=4)).fit(lesson)(lesson.reading) for lesson in lessons)
    np.testing.assert_allclose(one, other, atol=1e-3)


def test_features_that_are_no_windows_are_refused():
    with pytest.raises(AssertionError, match="not windows of"):
        Convolutional(2, width=4).fit(Lesson(Reading.of(np.zeros((9, 24))), np.zeros(9, int), 2, np.arange(9) < 3))
