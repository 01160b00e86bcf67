"""A description names every layer once, survives every way of copying it, and refuses what cannot be built."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import FrozenInstanceError, fields, replace
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from unetscope.errors import SpecError, UnetscopeError
from unetscope.model.cost import count_parameters
from unetscope.model.geometry import margin, output_shape
from unetscope.model.spec import PRESETS, UNetSpec
from unetscope.model.unet import UNet

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@st.composite
def specs(draw):
    """Any network that can be described."""
    depth, ndim = draw(st.integers(0, 3)), draw(st.sampled_from([2, 3]))
    strides = draw(st.none() | st.lists(st.tuples(*[st.integers(1, 3)] * ndim), min_size=depth, max_size=depth))
    choices = {
        "convolutions": st.integers(1, 3),
        "skips": st.none() | st.sets(st.integers(0, depth - 1)).map(tuple) if depth else st.none(),
        "padded": st.booleans(),
        "norm": st.sampled_from(["none", "batch", "instance"]),
        "activation": st.sampled_from(["relu", "leaky"]),
        "slope": st.sampled_from([0.01, 0.2]),
        "dropout": st.sampled_from([0.0, 0.5]),
        "image_channels": st.integers(1, 3),
        "classes": st.integers(1, 3),
    }
    chosen = {name: draw(choice) for name, choice in choices.items()}
    chosen["down"], chosen["up"] = draw(
        st.sampled_from(
            [*product(("max", "strided"), ("transposed", "nearest", "linear", "subpixel")), ("max", "unpool")]
        )
    )
    spec = UNetSpec.by_level([1] * (depth + 1), ndim=ndim, strides=strides, **chosen)
    widths = {layer: draw(st.integers(1, 4)) for layer in spec.widths}
    return spec.with_widths({layer: widths[spec.placed_by(layer) or layer] for layer in widths})


def build(spec: UNetSpec) -> UNet:
    """The network without memory for its weights."""
    with torch.device("meta"):
        return UNet(spec)


# ---------------------------------------------------------------------------------------------- published networks


def test_the_network_of_2015():
    spec = UNetSpec.preset("ronneberger2015")
    network = build(spec)
    assert sum(isinstance(part, CONVOLUTIONS) for part in network.modules()) == 23
    assert sum(tensor.numel() for tensor in network.parameters()) == 31_030_658 == count_parameters(spec)
    assert (spec.image_channels, spec.classes, spec.level_widths) == (1, 2, (64, 128, 256, 512, 1024))
    assert output_shape(spec, (572, 572)) == (388, 388)
    assert network(torch.empty(1, 1, 572, 572, device="meta")).shape == (1, 2, 388, 388)
    assert margin(spec) == (92, 92)


def test_the_network_of_2021():
    spec = UNetSpec.preset("lee2021")
    assert sum(tensor.numel() for tensor in build(spec).parameters()) == 1_941_105 == count_parameters(spec)
    assert spec.level_widths == (16, 32, 64, 128, 256)
    assert spec.depth + 1 == 5
    assert (spec.image_channels, spec.classes, spec.norm, spec.padded) == (3, 1, "none", True)


@pytest.mark.parametrize(
    ("name", "changes", "widths"),
    [
        ("default", {}, (16, 32, 64, 64, 64)),
        ("default", {"width": 8, "depth": 2}, (8, 16, 32)),
        ("default", {"width": 128, "depth": 1}, (128, 128)),
        ("flat", {"width": 12}, (12,) * 5),
        ("ronneberger2015", {"width": 4}, (4, 8, 16, 32, 64)),
        ("lee2021", {"widths": (8, 16, 16)}, (8, 16, 16)),
        ("lee2021", {"depth": 0}, (16,)),
    ],
)
def test_changed_presets(name, changes, widths):
    spec = UNetSpec.preset(name, **changes)
    assert spec.level_widths == widths
    assert spec.depth == len(widths) - 1
    assert set(spec.widths.values()) == set(widths)


@pytest.mark.parametrize("name", PRESETS)
def test_a_change_changes_nothing_else(name):
    plain, changed = UNetSpec.preset(name), UNetSpec.preset(name, classes=7, ndim=3, dropout=0.25)
    differing = {each.name for each in fields(UNetSpec) if getattr(plain, each.name) != getattr(changed, each.name)}
    assert differing == {"classes", "ndim", "dropout", "strides"}
    assert (changed.classes, changed.ndim, changed.dropout) == (7, 3, 0.25)


def test_a_preset_takes_a_width_for_every_layer():
    widths = {layer: index + 1 for index, layer in enumerate(UNetSpec.preset("flat").widths)}
    assert dict(UNetSpec.preset("flat", widths=widths).widths) == widths


# --------------------------------------------------------------------------------------------------- names and values


@settings(deadline=None, max_examples=40)
@given(specs())
def test_a_layer_has_one_name_everywhere(spec):
    network = build(spec)
    layers = spec.wiring.layers
    assert layers == (*spec.widths, "head")
    assert {key.split(".conv.")[0].split(".after.")[0] for key in network.state_dict()} == set(layers)
    for layer in layers:
        convolutions = [part for part in network.get_submodule(layer).modules() if isinstance(part, CONVOLUTIONS)]
        assert len(convolutions) == 1
        assert convolutions[0].in_channels == sum(spec.width(source) for source in spec.sources(layer))
        assert f"{layer}.conv.weight" in network.state_dict()


@settings(deadline=None, max_examples=60)
@given(specs())
def test_every_copy_is_the_same_value(spec):
    for twin in (
        UNetSpec.from_json(json.loads(json.dumps(spec.to_json(), allow_nan=False))),
        copy.copy(spec),
        copy.deepcopy(spec),
        pickle.loads(pickle.dumps(spec)),  # noqa: S301
        replace(spec),
    ):
        assert twin == spec
        assert hash(twin) == hash(spec)
        assert twin.wiring == spec.wiring
        assert all(getattr(twin, each.name) == getattr(spec, each.name) for each in fields(UNetSpec))


def test_strides_and_levels_count_poolings():
    spec = UNetSpec.by_level((2, 2, 2), strides=((1, 2), (3, 2)), down="strided")
    assert {layer: (spec.level(layer), spec.stride(layer)) for layer in ("image", *spec.wiring.layers)} == {
        **dict.fromkeys(("image", "encoder.0.conv1", "encoder.0.conv2"), (0, (1, 1))),
        **dict.fromkeys(("encoder.0.down", "encoder.1.conv1", "encoder.1.conv2"), (1, (1, 2))),
        **dict.fromkeys(("encoder.1.down", "bottleneck.conv1", "bottleneck.conv2"), (2, (3, 4))),
        **dict.fromkeys(("decoder.1.up", "decoder.1.conv1", "decoder.1.conv2"), (1, (1, 2))),
        **dict.fromkeys(("decoder.0.up", "decoder.0.conv1", "decoder.0.conv2", "head"), (0, (1, 1))),
    }
    assert spec.total_stride == (3, 4)


@pytest.mark.parametrize(
    "change",
    [
        *({"classes": 3}, {"image_channels": 2}, {"padded": False}, {"norm": "batch"}, {"activation": "leaky"}),
        *({"slope": 0.2}, {"up": "linear"}, {"skips": ()}, {"dropout": 0.5}, {"strides": ((2, 1),)}),
    ],
)
def test_values_that_differ_are_not_equal(change):
    assert UNetSpec.by_level((2, 3)) != UNetSpec.by_level((2, 3), **change)


def test_unpooling_ties_the_widths_of_two_layers_a_level_and_no_others():
    spec = UNetSpec.by_level((2, 3, 4), up="unpool", skips=(0,))
    assert {layer: spec.placed_by(layer) for layer in spec.wiring.layers if spec.placed_by(layer)} == {
        "decoder.1.up": "encoder.1.conv2",
        "decoder.0.up": "encoder.0.conv2",
    }
    tied = spec.with_widths({"decoder.1.up": 5, "encoder.1.conv2": 5, "encoder.1.conv1": 7, "decoder.1.conv1": 1})
    assert (tied.in_width("decoder.1.conv1"), tied.in_width("bottleneck.conv1")) == (5, 5)
    assert spec.wiring.sources == UNetSpec.by_level((2, 3, 4), skips=(0,)).wiring.sources


@pytest.mark.parametrize("up", ["transposed", "nearest", "linear", "subpixel"])
def test_other_ups_read_their_sources_alone(up):
    spec = UNetSpec.by_level((2, 3, 4), up=up)
    assert all(spec.reads(layer) == spec.sources(layer) for layer in spec.wiring.layers)
    assert not any(spec.placed_by(layer) for layer in spec.wiring.layers)


def test_what_says_the_same_is_equal():
    spelled = UNetSpec.by_level((2, 3, 3), skips=[1, 0, 1], strides=[[2, 2], [2, 2]])
    assert spelled == UNetSpec.by_level((2, 3, 3))
    assert len({spelled, UNetSpec.by_level((2, 3, 3)), UNetSpec.by_level((2, 3, 4))}) == 2


def test_nothing_can_be_changed_in_place():
    widths = {"bottleneck.conv1": 2, "bottleneck.conv2": 3}
    spec = UNetSpec(widths, depth=0)
    with pytest.raises(FrozenInstanceError):
        spec.depth = 3
    with pytest.raises(TypeError):
        spec.widths["bottleneck.conv1"] = 5
    widths["bottleneck.conv1"] = 5
    slim = spec.with_widths({"bottleneck.conv2": 1})
    assert spec.widths == {"bottleneck.conv1": 2, "bottleneck.conv2": 3}
    assert slim.widths == {"bottleneck.conv1": 2, "bottleneck.conv2": 1}
    spec.to_json()["widths"].clear()
    assert len(spec.widths) == 2


def test_the_order_of_widths_is_that_of_the_layers():
    spec = UNetSpec.by_level((2, 3))
    shuffled = replace(spec, widths=dict(reversed(spec.widths.items())))
    assert tuple(shuffled.widths) == tuple(spec.widths)
    assert hash(shuffled) == hash(spec)


# ----------------------------------------------------------------------------------------------------------- refusals

WHOLE = "use a whole number of at least"
REFUSED = [
    ({"image_channels": 0}, rf"image_channels is 0; {WHOLE} 1"),
    ({"classes": 0}, rf"classes is 0; {WHOLE} 1"),
    ({"classes": 2.0}, rf"classes is 2\.0; {WHOLE} 1"),
    ({"ndim": 1}, rf"ndim is 1; {WHOLE} 2"),
    ({"ndim": 4}, r"ndim is 4; a U-Net has 2 or 3 axes; use 2 for images, 3 for volumes"),
    ({"convolutions": 0}, rf"convolutions is 0; {WHOLE} 1"),
    ({"convolutions": "two"}, rf"convolutions is 'two'; {WHOLE} 1"),
    ({"convolutions": True}, rf"convolutions is True; {WHOLE} 1"),
    ({"norm": "group"}, r"norm is 'group'; use one of none, batch, instance"),
    ({"activation": "gelu"}, r"activation is 'gelu'; use one of relu, leaky"),
    ({"down": "average"}, r"down is 'average'; use one of max, strided"),
    ({"up": "cubic"}, r"up is 'cubic'; use one of transposed, nearest, linear, subpixel, unpool"),
    (
        {"up": "unpool", "down": "strided"},
        r"up is 'unpool' and down is 'strided'; unpooling puts values where max pooling found them: use down 'max', or "
        r"another up",
    ),
    ({"dropout": 1}, r"dropout is 1; use a number from 0 to below 1"),
    ({"dropout": -0.1}, r"dropout is -0\.1; use a number from 0 to below 1"),
    ({"dropout": float("nan")}, r"dropout is nan; use a number from 0 to below 1"),
    ({"dropout": "half"}, r"dropout is 'half'; use a number from 0 to below 1"),
    ({"slope": float("inf")}, r"slope is inf; use a number from 0 to below 1"),
    ({"padded": "same"}, r"padded is 'same'; use True or False"),
    ({"padded": 2}, r"padded is 2; use True or False"),
    ({"skips": (0, 2)}, r"skip at level 2 of a U-Net of depth 2; use levels 0 to 1"),
    ({"skips": (-1,)}, r"skip at level -1 of a U-Net of depth 2; use levels 0 to 1"),
    ({"strides": ((2, 2),)}, r"strides are \(\(2, 2\),\); give 2 levels of 2 numbers each, one per axis"),
    ({"strides": ((2, 2), (2,))}, r"strides are \(\(2, 2\), \(2,\)\); give 2 levels of 2 numbers each, one per axis"),
    ({"strides": ((2, 2), (2, 0))}, rf"stride is 0; {WHOLE} 1"),
]


@pytest.mark.parametrize(("attributes", "message"), REFUSED)
def test_what_cannot_be_built_is_refused_with_what_could(attributes, message):
    with pytest.raises(SpecError, match=f"^{message}$"):
        UNetSpec.by_level((2, 3, 4), **attributes)
    with pytest.raises(SpecError, match=f"^{message}$"):
        UNetSpec.preset("flat", depth=2, **attributes)
    if "convolutions" not in attributes:
        with pytest.raises(SpecError, match=f"^{message}$"):
            replace(UNetSpec.by_level((2, 3, 4)), **attributes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UNetSpec.by_level(()), "no widths came; give one per level, the bottleneck last, such as 16, 32, 64"),
        (lambda: UNetSpec.by_level((2, 0)), f"width of bottleneck.conv1 is 0; {WHOLE} 1"),
        (lambda: UNetSpec.by_level((2, 3.5)), f"width of bottleneck.conv1 is 3.5; {WHOLE} 1"),
        (lambda: UNetSpec.by_level((2,), skips=(0,)), "skip at level 0 of a U-Net of depth 0; use none"),
        (
            lambda: UNetSpec({"bottleneck.conv1": 2}, depth=0),
            "layer bottleneck.conv2 has no width; give one for each of the 2 layers but the head",
        ),
        (
            lambda: UNetSpec.by_level((2,)).with_widths({"head": 2}),
            "there is no layer 'head'; the layers are bottleneck.conv1, bottleneck.conv2",
        ),
        (
            lambda: UNetSpec.preset("unet"),
            "there is no preset 'unet'; use one of default, ronneberger2015, lee2021, flat",
        ),
        *(
            (
                lambda layer=layer: UNetSpec.by_level((2, 3, 4), up="unpool", convolutions=3).with_widths({layer: 7}),
                f"decoder.1.up is {up} wide and encoder.1.conv3, whose maxima place its values, {encoder}; give both "
                "the same width, or use another up than 'unpool'",
            )
            for layer, up, encoder in (("decoder.1.up", 7, 3), ("encoder.1.conv3", 3, 7))
        ),
        (lambda: UNetSpec.preset("flat", depth=-1), f"depth is -1; {WHOLE} 0"),
        (lambda: UNetSpec.preset("flat", width=0), f"width is 0; {WHOLE} 1"),
        (
            lambda: UNetSpec.from_json({**UNetSpec.by_level((2,)).to_json(), "attention": 1}),
            "the network's description has an unknown entry 'attention'; it was written by another version of "
            "unetscope, use that one",
        ),
        (
            lambda: UNetSpec.from_json({"depth": 2}),
            "the network's description has no widths; it is incomplete, train again",
        ),
    ],
)
def test_other_refusals(make, message):
    with pytest.raises(SpecError) as caught:
        make()
    assert str(caught.value) == message
    assert isinstance(caught.value, UnetscopeError)


def test_an_unknown_attribute_is_answered_with_the_known_ones():
    with pytest.raises(
        SpecError, match=r"^a U-Net has no attribute 'attention'; use one of activation, classes, "
    ) as e:
        UNetSpec.preset("flat", attention=True)
    assert {each.name for each in fields(UNetSpec)} <= set(str(e.value).split("use one of ")[1].split(", "))
