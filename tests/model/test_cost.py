"""Costs from the spec alone against the parameters, operations and outputs that torch really has."""

from __future__ import annotations

import weakref
from itertools import product
from math import prod

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from unetscope.model.cost import count_cost, count_parameters
from unetscope.model.geometry import fitting_shape, layer_shapes
from unetscope.model.spec import PRESETS, UNetSpec
from unetscope.model.unet import UNet

DOWN_UP = [*product(("max", "strided"), ("transposed", "nearest", "linear", "subpixel")), ("max", "unpool")]
OPTIONS = [
    UNetSpec.by_level((2, 3, 4), padded=padded, norm=norm, down=down, up=up, ndim=ndim)
    for padded, norm, (down, up), ndim in product(
        (True, False),
        ("none", "batch", "instance"),
        DOWN_UP,
        (2, 3),
    )
]
FORMS = [
    UNetSpec.by_level((3,)),
    UNetSpec.by_level((3,), padded=False, convolutions=1, norm="batch"),
    UNetSpec.by_level((2, 3, 4), skips=(), up="subpixel", image_channels=3, classes=1),
    UNetSpec.by_level((2, 3, 4), skips=(1,), down="strided", convolutions=3, padded=False),
    *(
        UNetSpec.by_level((2, 3, 4), strides=((3, 1), (1, 4)), down=down, up=up, padded=padded, skips=(0,))
        for (down, up), padded in product(DOWN_UP, (True, False))
    ),
    *(UNetSpec.by_level((2, 3, 4), skips=(), down=down, up=up, padded=False) for down, up in DOWN_UP),
    UNetSpec.by_level((5, 2, 7), ndim=3, strides=((1, 2, 3), (2, 1, 1)), up="unpool", skips=(1,), padded=False),
    UNetSpec.by_level((2, 3), ndim=3, strides=((1, 2, 3),), down="strided", up="subpixel", padded=False),
    UNetSpec.by_level((2, 3, 4)).with_widths({"encoder.0.conv1": 7, "decoder.0.up": 5, "bottleneck.conv2": 1}),
]
TRUE_PRESETS = [UNetSpec.preset(name) for name in PRESETS]


class Ledger:
    """What torch does in one forward pass, layer by layer; on the meta device, so that it costs nothing.

    Attributes:
        operations: Floating point operations of every layer.
        outputs: Shape of every layer's output, without the batch.
        peak: Numbers in the living outputs, the joined input and the image if it is read, at the worst moment.
    """

    def __init__(self, spec: UNetSpec, shape: tuple[int, ...]) -> None:
        self.operations: dict[str, int] = {}
        self.outputs: dict[str, tuple[int, ...]] = {}
        self.peak = 0
        self._living: list[weakref.ref[Tensor]] = []
        self._counter = FlopCounterMode(display=False)
        with torch.device("meta"):
            self.network = UNet(spec).eval()
            image = torch.empty(1, spec.image_channels, *shape)
        for layer in spec.wiring.layers:
            self._watch(layer)
        with self._counter, torch.no_grad():
            self.network(image)
        self.total = self._counter.get_total_flops()

    def _watch(self, layer: str) -> None:
        module, sources = self.network.get_submodule(layer), self.network.spec.sources(layer)

        def start(module, inputs):
            self.operations[layer] = -self._counter.get_total_flops()

        def stop(module, inputs, output):
            self.operations[layer] += self._counter.get_total_flops()
            self.outputs[layer] = tuple(output.shape[1:])
            self._living.append(weakref.ref(output))
            alive = sum(tensor.numel() for one in self._living if (tensor := one()) is not None)
            own_input = len(sources) > 1 or sources == ("image",)
            self.peak = max(self.peak, alive + inputs[0].numel() * own_input)

        module.register_forward_pre_hook(start)
        module.register_forward_hook(stop)


def shape_for(spec: UNetSpec) -> tuple[int, ...]:
    return fitting_shape(spec, tuple(range(9, 9 + 4 * spec.ndim, 4)))


@pytest.mark.parametrize("spec", [*OPTIONS, *FORMS, *TRUE_PRESETS])
def test_costs_are_those_of_torch(spec):
    shape = shape_for(spec)
    ledger, cost = Ledger(spec, shape), count_cost(spec, shape)
    assert tuple(layer.layer for layer in cost.layers) == spec.wiring.layers
    for layer in cost.layers:
        parameters = ledger.network.get_submodule(layer.layer).parameters()
        assert layer.parameters == sum(tensor.numel() for tensor in parameters), layer
        assert 2 * layer.multiply_adds == ledger.operations[layer.layer], layer
        assert layer.shape == ledger.outputs[layer.layer]
        assert layer.activations == prod(layer.shape)
    assert 2 * cost.multiply_adds == ledger.total
    assert cost.parameters == count_parameters(spec) == sum(each.numel() for each in ledger.network.parameters())
    assert cost.activations == sum(map(prod, ledger.outputs.values()))
    assert cost.peak_activations == ledger.peak


@pytest.mark.parametrize("spec", [*OPTIONS, *FORMS, *TRUE_PRESETS])
def test_the_peak_lies_between_one_output_and_all(spec):
    shape = shape_for(spec)
    cost, shapes = count_cost(spec, shape), layer_shapes(spec, shape)
    joined = max(
        (
            spec.in_width(layer) * min(prod(shapes[source]) for source in spec.sources(layer))
            for layer in spec.wiring.joins()
        ),
        default=0,
    )
    assert max(layer.activations for layer in cost.layers) <= cost.peak_activations
    assert cost.peak_activations <= spec.image_channels * prod(shape) + cost.activations + joined


@pytest.mark.parametrize(
    ("name", "shape", "parameters", "multiply_adds"),
    [
        ("ronneberger2015", (572, 572), 31_030_658, 150_428_424_448),
        ("lee2021", (128, 128), 1_941_105, 758_120_448),
    ],
)
def test_published_networks_at_full_width(name, shape, parameters, multiply_adds):
    spec = UNetSpec.preset(name)
    cost, ledger = count_cost(spec, shape), Ledger(spec, shape)
    assert (cost.parameters, cost.multiply_adds) == (parameters, multiply_adds)
    assert (2 * cost.multiply_adds, cost.peak_activations) == (ledger.total, ledger.peak)


@pytest.mark.parametrize("name", PRESETS)
def test_a_real_pass_through_a_narrow_preset_counts_the_same(name):
    spec = UNetSpec.preset(name, width=4, norm="none")
    shape = shape_for(spec)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        scores = UNet(spec)(torch.zeros(1, spec.image_channels, *shape))
    cost = count_cost(spec, shape)
    assert 2 * cost.multiply_adds == counter.get_total_flops()
    assert cost.layers[-1].shape == scores.shape[1:]


def test_a_peak_counted_by_hand():
    """At decoder.0.conv1: the skip and the up path (2 of 16 each), both joined (4 of 16), and the output (2 of 16)."""
    cost = count_cost(UNetSpec.by_level((2, 3)), (4, 4))
    assert cost.peak_activations == (2 + 2 + 4 + 2) * 16
    assert cost.activations == (2 + 2) * 16 + (3 + 3) * 4 + (2 + 2 + 2 + 2) * 16


def test_cost_grows_with_the_image_and_parameters_do_not():
    spec = UNetSpec.by_level((2, 3))
    small, large = count_cost(spec, (4, 4)), count_cost(spec, (8, 12))
    assert large.multiply_adds == 6 * small.multiply_adds
    assert large.activations == 6 * small.activations
    assert large.parameters == small.parameters
