"""What is captured is what the layer put out, and layers that fit together are captured together."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from unetscope.errors import SpecError
from unetscope.information.capture import capture, group_layers
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


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=9), most=st.integers(1, 20))
@settings(deadline=None)
def test_groups_hold_every_layer_once_and_no_more_than_they_may(sizes, most):
    layers = {str(index): size for index, size in enumerate(sizes)}
    groups = group_layers(layers, most)
    assert [layer for group in groups for layer in group] == list(layers)
    assert all(len(group) == 1 or sum(layers[layer] for layer in group) <= most for group in groups)
