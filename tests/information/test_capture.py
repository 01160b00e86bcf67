"""What is captured is what the layer put out, and inner products do not depend on the memory they may take."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from torch import nn

from unetscope.errors import DataError, SpecError
from unetscope.information.capture import accumulate_grams, capture, group_layers
from unetscope.information.estimators.kernel import squared_distances
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet

SPECS = [
    UNetSpec.by_level((4, 8), norm="batch"),
    UNetSpec.by_level((4, 8), padded=False, convolutions=1, up="nearest"),
    UNetSpec.by_level((3, 4), ndim=3, convolutions=1, down="strided"),
]


def hooks(module):
    return sum(len(part._forward_hooks) for part in module.modules())


@pytest.mark.parametrize("spec", SPECS, ids=["padded", "valid", "3d"])
def test_every_layer_is_computed_from_its_captured_sources(spec):
    torch.manual_seed(0)
    network = UNet(spec).eval()
    image = torch.rand(2, 1, *(16,) * spec.ndim)
    outputs = {"image": image, **capture(network, spec.wiring.layers, image)}
    assert tuple(outputs)[1:] == spec.wiring.layers
    with torch.no_grad():
        torch.testing.assert_close(outputs["head"], network(image))
        for layer in spec.wiring.layers:
            sources = [network._bring(outputs[source], source, layer) for source in spec.sources(layer)]
            least = [min(sizes) for sizes in zip(*(source.shape[2:] for source in sources), strict=True)]
            cut = [crop_center(source, least) for source in sources]
            torch.testing.assert_close(outputs[layer], network.get_submodule(layer)(torch.cat(cut, 1)))
    assert hooks(network) == 0


def crop_center(tensor, shape):
    starts = [(have - want) // 2 for have, want in zip(tensor.shape[2:], shape, strict=True)]
    return tensor[(..., *(slice(start, start + want) for start, want in zip(starts, shape, strict=True)))]


def test_work_in_place_does_not_reach_what_was_captured():
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True))
    inputs = torch.randn(5, 3)
    outputs = capture(network, ["0", "1"], inputs)
    torch.testing.assert_close(outputs["0"], network[0](inputs).detach())
    torch.testing.assert_close(outputs["1"], outputs["0"].clamp(min=0))


def test_half_precision_is_captured_as_float32():
    network = nn.Sequential(nn.Linear(3, 4)).bfloat16()
    assert capture(network, ["0"], torch.ones(1, 3, dtype=torch.bfloat16))["0"].dtype == torch.float32


def test_a_missing_layer_is_answered_with_its_neighbors():
    network = UNet(SPECS[0])
    with pytest.raises(SpecError, match=r"no layer 'encoder.0.conv3'.*encoder\.0\.conv1"):
        capture(network, ["encoder.0.conv1", "encoder.0.conv3"], torch.zeros(1, 1, 16, 16))
    assert hooks(network) == 0


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.idle, self.pair = nn.Linear(2, 2), nn.Linear(2, 2), Pair()

    def forward(self, x):
        return self.pair(self.layer(self.layer(x)))[0]


class Pair(nn.Module):
    def forward(self, x):
        return x, x


@pytest.mark.parametrize(("layer", "came"), [("layer", "Tensor, Tensor"), ("idle", "nothing"), ("pair", "tuple")])
def test_a_layer_must_put_out_one_tensor_once(layer, came):
    network = Twice()
    with pytest.raises(SpecError, match=f"'{layer}' put out {came}"):
        capture(network, [layer], torch.zeros(1, 2))
    assert hooks(network) == 0


def test_hooks_are_gone_after_a_failure():
    network = UNet(SPECS[0])
    with pytest.raises(ValueError, match="15"):
        capture(network, SPECS[0].wiring.layers, torch.zeros(1, 1, 15, 16))
    assert hooks(network) == 0


def pieces_of(points):
    return lambda start, stop: {name: tensor[start:stop].clone() for name, tensor in points.items()}


@given(count=st.integers(1, 11), images=st.integers(3, 40), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_inner_products_are_those_of_all_activations_together(count, images, seed):
    chance = np.random.default_rng(seed)
    points = {name: chance.normal(5, 1, (count, 2, size)).astype(np.float32) for name, size in (("a", 3), ("b", 7))}
    one_bytes = sum(array[0].nbytes for array in points.values())
    grams = accumulate_grams(pieces_of({k: torch.from_numpy(v) for k, v in points.items()}), count, images * one_bytes)
    for name, array in points.items():
        rows = array.reshape(count, -1).astype(np.float64)
        centered = rows - rows.mean(axis=0)
        np.testing.assert_allclose(grams[name], centered @ centered.T, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("offset", [0, 1e3])
def test_distances_do_not_drown_in_what_images_share(offset):
    points = (offset + np.random.default_rng(0).normal(0, 0.1, (7, 500))).astype(np.float32)
    gram = accumulate_grams(pieces_of({"a": torch.from_numpy(points)}), 7, 5 * 2000)["a"]
    exact = cdist(points.astype(np.float64), points.astype(np.float64), "sqeuclidean")
    np.testing.assert_allclose(squared_distances(gram), exact, rtol=1e-6)


@pytest.mark.parametrize("images", [3, 4, 7, 20, 21])
def test_no_more_is_alive_than_allowed(images):
    alive, most = weakref.WeakSet(), []

    def activations(start, stop):
        block = torch.zeros(stop - start, 10)
        alive.add(block)
        most.append(sum(tensor.nbytes for tensor in alive))
        return {"a": block}

    accumulate_grams(activations, 20, images * 40)
    assert max(most) <= images * 40


def test_too_little_memory_is_refused():
    with pytest.raises(DataError, match=r"three images take 12\.0 MiB and may take 8\.0 MiB"):
        accumulate_grams(lambda start, stop: {"a": torch.zeros(stop - start, 2**20)}, 5, 2**23)


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=9), most=st.integers(1, 20))
@settings(deadline=None)
def test_groups_hold_every_layer_once_and_no_more_than_they_may(sizes, most):
    layers = {str(index): size for index, size in enumerate(sizes)}
    groups = group_layers(layers, most)
    assert [layer for group in groups for layer in group] == list(layers)
    assert all(len(group) == 1 or sum(layers[layer] for layer in group) <= most for group in groups)
