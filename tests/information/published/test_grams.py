"""Inner products of a whole network against all activations at once, whatever memory there is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from unetscope.information.capture import capture
from unetscope.information.estimators.kernel import squared_distances
from unetscope.information.published.grams import foreground_probabilities, measure_grams
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


def test_the_head_counts_as_probabilities():
    scores = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(foreground_probabilities(scores), scores.softmax(1))
    torch.testing.assert_close(foreground_probabilities(scores[:, :2]), scores[:, :2].softmax(1)[:, 1:])
    torch.testing.assert_close(foreground_probabilities(scores[:, :1]), scores[:, :1].sigmoid())
