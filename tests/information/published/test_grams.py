"""Inner products are those of all activations together, whatever memory there is, and no more of it is taken."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from unetscope.errors import DataError
from unetscope.information.capture import capture
from unetscope.information.estimators.kernel import squared_distances
from unetscope.information.published.grams import accumulate_grams, foreground_probabilities, measure_grams
from unetscope.information.published.samples import choose_samples
from unetscope.model.spec import UNetSpec

SPECS = {
    "one class": UNetSpec.by_level((4, 8), classes=1),
    "two classes": UNetSpec.by_level((4, 8), norm="batch"),
    "three classes, valid": UNetSpec.by_level((2, 3), classes=3, padded=False),
}


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("images", [3, 1000])
def test_they_hold_the_distances_of_all_activations_at_once(dataset, make_checkpoint, name, images):
    spec = SPECS[name]
    checkpoint = make_checkpoint(dataset.names, spec)
    samples = choose_samples(checkpoint, dataset, "profile")
    batch = samples.batch(0, 10)
    outputs = {"image": batch, **capture(checkpoint.network(), spec.wiring.layers, batch)}
    outputs["head"] = foreground_probabilities(outputs["head"])
    largest = max(output[0].nbytes for output in outputs.values())
    found = measure_grams(checkpoint, samples, images * 4 * largest)
    assert tuple(found) == ("image", *spec.wiring.layers)
    for layer, output in outputs.items():
        points = output.flatten(1).numpy().astype(np.float64)
        expected = cdist(points, points, "sqeuclidean")
        np.testing.assert_allclose(squared_distances(found[layer]), expected, rtol=1e-4, atol=1e-8 * expected.max())


def test_too_little_memory_is_refused(dataset, make_checkpoint):
    samples = choose_samples(make_checkpoint(dataset.names), dataset, "profile")
    with pytest.raises(DataError, match=r"one layer of three images takes 0\.\d MiB and may take 0\.0 MiB"):
        measure_grams(samples.checkpoint, samples, 2**12)


def passage_of(points):
    return lambda start, stop: ((name, tensor[start:stop].clone()) for name, tensor in points.items())


@given(count=st.integers(1, 11), size=st.integers(1, 12), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_inner_products_are_those_of_all_activations_together(count, size, seed):
    chance = np.random.default_rng(seed)
    points = {name: chance.normal(5, 1, (count, 2, width)).astype(np.float32) for name, width in (("a", 3), ("b", 777))}
    grams = accumulate_grams(passage_of({k: torch.from_numpy(v) for k, v in points.items()}), count, size)
    for name, array in points.items():
        rows = array.reshape(count, -1).astype(np.float64)
        centered = rows - rows.mean(axis=0)
        np.testing.assert_allclose(grams[name], centered @ centered.T, rtol=1e-6, atol=1e-6 * rows.shape[1])


@pytest.mark.parametrize("offset", [0, 1e3])
@pytest.mark.parametrize("size", [2, 7])
def test_distances_do_not_drown_in_what_images_share(offset, size):
    points = (offset + np.random.default_rng(0).normal(0, 0.1, (7, 5000))).astype(np.float32)
    gram = accumulate_grams(passage_of({"a": torch.from_numpy(points)}), 7, size)["a"]
    exact = cdist(points.astype(np.float64), points.astype(np.float64), "sqeuclidean")
    np.testing.assert_allclose(squared_distances(gram), exact, rtol=1e-6)


@pytest.mark.parametrize("size", [1, 3, 19, 20])
def test_one_layer_of_two_blocks_is_alive_at_most(size):
    alive, most = weakref.WeakSet(), []

    def passage(start, stop):
        for name in ("a", "b", "c"):
            outputs = torch.zeros(stop - start, 10)
            alive.add(outputs)
            most.append(sum(len(tensor) for tensor in alive))
            yield name, outputs

    accumulate_grams(passage, 20, size)
    blocks = 2 if size < 20 else 1
    assert max(most) <= 2 * (blocks * size + 1)  # while a layer takes the place of the one before


def test_the_head_counts_as_probabilities():
    scores = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(foreground_probabilities(scores), scores.softmax(1))
    torch.testing.assert_close(foreground_probabilities(scores[:, :2]), scores[:, :2].softmax(1)[:, 1:])
    torch.testing.assert_close(foreground_probabilities(scores[:, :1]), scores[:, :1].sigmoid())
