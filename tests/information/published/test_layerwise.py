"""Layer by layer many images come out as one by one, whatever is kept, and one layer is held at a time."""

from __future__ import annotations

import pytest
import torch

from unetscope.information.capture import capture
from unetscope.information.published.layerwise import choose_kept, compute_layerwise
from unetscope.model.cost import count_cost
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet

SPECS = {
    "padded": UNetSpec.by_level((3, 4, 6), norm="batch"),
    "narrowing": UNetSpec.by_level((8, 2, 1), convolutions=1),
    "widening": UNetSpec.by_level((1, 9, 90)),
    "valid": UNetSpec.by_level((2, 3), padded=False, up="linear"),
    "strided, subpixel": UNetSpec.by_level((2, 4, 4), down="strided", up="subpixel", skips=(1,)),
    "unpooling": UNetSpec.by_level((4, 4), up="unpool"),
    "3d": UNetSpec.by_level((2, 3), ndim=3, convolutions=1),
}


def make(name, count=5):
    torch.manual_seed(0)
    spec = SPECS[name]
    return UNet(spec).eval(), torch.rand(count, 1, *(32 if spec.ndim == 2 else 16,) * spec.ndim)


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("room", [0, 1, 10**9])
@pytest.mark.parametrize("at_once", [1, 2, 8])
def test_outputs_are_those_of_the_network(name, room, at_once):
    network, images = make(name)
    spec = network.spec
    sizes = {layer.layer: layer.activations for layer in count_cost(spec, tuple(images.shape[2:])).layers}
    kept = choose_kept(spec, sizes, room if room != 1 else min(sizes.values()) * 8)
    expected = capture(network, spec.wiring.layers, images)
    found = {layer: outputs.clone() for layer, outputs in compute_layerwise(network, images, kept, at_once)}
    assert tuple(found) == spec.wiring.layers
    for layer, outputs in expected.items():
        torch.testing.assert_close(found[layer], outputs)


def test_every_layer_takes_the_place_of_the_one_before():
    network, images = make("padded")
    places = {outputs.untyped_storage().data_ptr() for _, outputs in compute_layerwise(network, images, at_once=2)}
    assert len(places) == 1


def test_the_smallest_distant_outputs_are_kept_first():
    spec = SPECS["padded"]
    sizes = {layer.layer: layer.activations for layer in count_cost(spec, (32, 32)).layers}
    skips = ("encoder.1.conv2", "encoder.0.conv2")
    small, large = (sizes[layer] for layer in skips)
    assert choose_kept(spec, sizes, small - 1) == ()
    assert choose_kept(spec, sizes, small + large - 1) == skips[:1]
    assert choose_kept(spec, sizes, small + large) == skips
    unpooling = SPECS["unpooling"]  # reads the map that it was pooled from too
    assert choose_kept(unpooling, {"encoder.0.conv2": 1}, 1) == ("encoder.0.conv2",)
