"""A channel is worth what only it tells: copies nothing, noise nothing, the one that carries the label everything."""

from __future__ import annotations

import numpy as np
import pytest

from unetscope.information.bench import Bench
from unetscope.information.channels import judge_channels, leave_out
from unetscope.information.estimators.logistic import Logistic
from unetscope.information.observation import Moments
from unetscope.information.reading import Reading
from unetscope.information.usable import CrossFit

COUNT, IMAGES = 6000, 30


def judge(features, labels, classes=2):
    bench = Bench(labels, np.arange(COUNT) * IMAGES // COUNT, CrossFit(classes))
    reading = Reading.of(features)
    moments = Moments(reading.features.mean(0, dtype=np.float64), reading.features.var(0, dtype=np.float64))
    return judge_channels(bench, reading, bench.fit(Logistic(), reading), moments)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_channel_that_carries_the_label_is_needed_and_noise_is_not(classes):
    chance = np.random.default_rng(0)
    labels = chance.integers(0, classes, COUNT)
    features = np.stack([labels + chance.normal(size=COUNT), chance.normal(size=COUNT), np.full(COUNT, 3.0)], axis=1)
    found = judge(features, labels, classes)
    assert [channel.word for channel in found] == ["needed", "redundant", "dead"]
    assert found[0].worth.value > 0.1
    assert found[2].variance == 0


def test_copies_are_each_worth_nothing():
    chance = np.random.default_rng(1)
    labels = chance.integers(0, 2, COUNT)
    carrier = labels + chance.normal(size=COUNT)
    alone, copied = judge(carrier[:, None], labels), judge(np.stack([carrier, carrier], axis=1), labels)
    assert alone[0].word == "needed"
    assert [channel.word for channel in copied] == ["redundant", "redundant"]


def test_the_worth_of_an_independent_channel_is_what_it_adds():
    """Of two independent channels, each is worth about the gain from one to two."""
    chance = np.random.default_rng(2)
    labels = chance.integers(0, 2, COUNT)
    features = labels[:, None] + chance.normal(size=(COUNT, 2))
    bench = Bench(labels, np.arange(COUNT) * IMAGES // COUNT, CrossFit(2))
    one, both = (bench.information(Logistic(), Reading.of(part)).value for part in (features[:, :1], features))
    found = judge(features, labels)
    # The reader keeps its weights, so that it loses at least what a new one would.
    assert both - one - 0.01 < found[1].worth.value < 2 * (both - one)


@pytest.mark.parametrize("channels", [1, 3, 8])
def test_what_others_tell_is_left_out_as_in_least_squares(channels):
    chance = np.random.default_rng(channels)
    features = (chance.normal(size=(500, channels)) @ chance.normal(size=(channels, channels))).astype(np.float32)
    centered = features - features.mean(axis=0, dtype=np.float64)
    rest = leave_out(features)
    for channel in range(channels):
        others = np.delete(centered, channel, axis=1)
        expected = centered[:, channel]
        if channels > 1:
            expected = expected - others @ np.linalg.lstsq(others, expected, rcond=None)[0]
        np.testing.assert_allclose(rest[:, channel], expected, atol=1e-3 * np.abs(centered).max())
