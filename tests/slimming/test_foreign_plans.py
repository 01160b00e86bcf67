"""Smaller networks of other libraries: what is expressed builds what was asked for, and the rest is said in words."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pydoc import locate
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from unetscope.errors import SlimError
from unetscope.information.findings import LINEAR, Gate, LayerProfile, Part
from unetscope.information.profile import Profile
from unetscope.information.quantity import Quantity
from unetscope.information.tally import Tally
from unetscope.information.tracing import describe_module
from unetscope.slimming.foreign_plans import ForeignPlan, LevelDecisions, decide_levels, express
from unetscope.slimming.rules import Rule
from unetscope.wiring import Wiring

nets = pytest.importorskip("monai.networks.nets")
unet = pytest.importorskip("dynamic_network_architectures.architectures.unet")

CONV = {2: nn.Conv2d, 3: nn.Conv3d}
NORM = {2: nn.InstanceNorm2d, 3: nn.BatchNorm3d}


def build_basic(**changes: Any) -> nn.Module:
    return nets.BasicUNet(**{"spatial_dims": 2, "in_channels": 3, "features": (6, 8, 12, 14, 16, 10)} | changes)


def build_monai(**changes: Any) -> nn.Module:
    given = {"spatial_dims": 2, "in_channels": 3, "out_channels": 2, "channels": (4, 8, 12, 16), "strides": (1, 2, 2)}
    return nets.UNet(**given | changes)


def build_residual(**changes: Any) -> nn.Module:
    return build_monai(**{"num_res_units": 2, "strides": (2, 2, 2)} | changes)


def nnunet_arguments(ndim: int) -> dict[str, Any]:
    """As nnU-Net's own plans have them, anisotropic in 3D."""
    return {
        "n_stages": 4,
        "features_per_stage": [6, 8, 12, 16],
        "conv_op": CONV[ndim],
        "kernel_sizes": [[3] * ndim, [1, 3, 3][-ndim:], [3] * ndim, [3] * ndim],
        "strides": [[1] * ndim, [1, 2, 2][-ndim:], [2] * ndim, [2] * ndim],
        "n_conv_per_stage_decoder": [1, 2, 3],
        "conv_bias": True,
        "norm_op": NORM[ndim],
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": nn.LeakyReLU,
        "nonlin_kwargs": {"inplace": True},
    }


def build_plain(ndim: int = 2, **changes: Any) -> nn.Module:
    given = nnunet_arguments(ndim) | {"n_conv_per_stage": [2, 1, 2, 3]} | changes
    return unet.PlainConvUNet(input_channels=3, num_classes=2, **given)


def build_encoder(ndim: int = 2, **changes: Any) -> nn.Module:
    given = nnunet_arguments(ndim) | {"n_blocks_per_stage": [1, 2, 1, 3]} | changes
    return unet.ResidualEncoderUNet(input_channels=3, num_classes=2, **given)


def rebuild(plan: ForeignPlan, build: Callable[..., nn.Module]) -> nn.Module:
    """The smaller network, from what a file would hold."""
    entry = json.loads(json.dumps(plan.entry))
    if "class" in entry:
        assert locate(entry["class"]) is not None
        return build(**entry["arguments"])
    (configuration,) = entry.values()
    architecture = configuration["architecture"]
    given = architecture["arch_kwargs"]
    imported = {name: given[name] and locate(given[name]) for name in architecture["_kw_requires_import"]}
    kind = locate(architecture["network_class_name"])
    assert isinstance(kind, type)
    return kind(input_channels=3, num_classes=2, **given | imported)  # type: ignore[no-any-return]


def trace(module: nn.Module, ndim: int = 2) -> Wiring:
    return describe_module(module.eval(), torch.rand(1, 3, *(32,) * ndim)).wiring


BUILDERS = {
    "basic": build_basic,
    "monai": build_monai,
    "residual": build_residual,
    "plain": build_plain,
    "encoder": build_encoder,
}
WIDTHS = {"basic": (6, 8, 12, 14, 16)} | dict.fromkeys(("monai", "residual"), (4, 8, 12, 16))
WIDTHS |= dict.fromkeys(("plain", "encoder"), (6, 8, 12, 16))


@pytest.mark.parametrize("name", BUILDERS)
def test_what_changes_nothing_builds_the_same_network(name: str) -> None:
    network = BUILDERS[name]()
    plan = express(network, LevelDecisions(WIDTHS[name]))
    again = rebuild(plan, BUILDERS[name])
    assert plan.limits == ()
    assert str(again) == str(network)
    again.load_state_dict(network.state_dict())
    image = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(again.eval()(image), network.eval()(image))


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("build", [build_plain, build_encoder])
@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_configuration_of_nnunet_builds_what_was_asked_for(
    build: Callable[..., nn.Module], ndim: int, count: int
) -> None:
    network = build(ndim)
    before = trace(network, ndim)
    widths = (3, 4, 5, 7)[:count]
    plan = express(network, LevelDecisions(widths), name="small")
    assert plan.entry["small"]["inherits_from"] == ("2d" if ndim == 2 else "3d_fullres")
    smaller = trace(rebuild(plan, build), ndim)
    encoder = [layer for layer in before.layers if layer.startswith("encoder.stages.")]
    kept = [layer for layer in encoder if int(layer.split(".")[2]) < count]
    assert [layer for layer in smaller.layers if layer.startswith("encoder.stages.")] == kept
    for layer in kept:
        assert smaller.strides[layer] == before.strides[layer]
        assert smaller.widths[layer] == widths[int(layer.split(".")[2])]
    for layer in smaller.layers:
        if layer.startswith("decoder.stages."):
            assert smaller.widths[layer] == widths[count - 2 - int(layer.split(".")[2])]
    assert count_decoder(smaller) == [1, 2, 3][4 - count :]
    assert len(smaller.joins()) == count - 1


def count_decoder(wiring: Wiring) -> list[int]:
    """Convolutions of the decoder's stages, the coarsest first."""
    stages = [layer.split(".")[2] for layer in wiring.layers if layer.startswith("decoder.stages.")]
    return [stages.count(stage) for stage in dict.fromkeys(stages)]


def test_options_of_nnunet_survive() -> None:
    network = build_plain(
        nonlin_first=True, norm_op=nn.BatchNorm2d, dropout_op=nn.Dropout2d, dropout_op_kwargs={"p": 0.1}
    )
    plan = express(network, LevelDecisions((6, 8)), inherits_from="2d_large")
    assert plan.entry["slim"]["inherits_from"] == "2d_large"
    assert str(rebuild(plan, build_plain).get_submodule("encoder.stages.1")) == str(
        network.get_submodule("encoder.stages.1")
    )
    stem = build_encoder(stem_channels=5)
    assert express(stem, LevelDecisions((3, 4))).arguments["stem_channels"] == 5


@pytest.mark.parametrize("build", [build_monai, build_residual])
@pytest.mark.parametrize("count", [2, 3, 4])
def test_arguments_of_monais_unet_build_what_was_asked_for(build: Callable[..., nn.Module], count: int) -> None:
    network, widths = build(), (3, 4, 5, 7)[:count]
    smaller = rebuild(express(network, LevelDecisions(widths)), build)
    assert smaller.channels == [*widths]
    before, after = trace(network), trace(smaller)
    assert after.widths["model.0"] == widths[0]
    assert len(after.joins()) == count - 1
    assert max(after.strides.values()) == sorted(set(before.strides.values()))[count - 5]


def test_features_of_basic_unet_build_what_was_asked_for() -> None:
    plan = express(build_basic(), LevelDecisions((3, 4, 6, 7, 8)))
    assert plan.arguments == {"features": [3, 4, 6, 7, 8, 5]}
    assert plan.limits == ()
    smaller = trace(rebuild(plan, build_basic))
    assert smaller.widths["down_4.convs.conv_1"] == 8
    assert smaller.widths["upcat_1.convs.conv_1"] == 5


def test_a_depth_that_is_fixed_is_said() -> None:
    plan = express(build_basic(), LevelDecisions((3, 4, 6)))
    assert plan.arguments["features"] == [3, 4, 6, 6, 6, 5]
    assert any("always has 5 levels, and 3 were decided" in limit for limit in plan.limits)
    rebuild(plan, build_basic)


@pytest.mark.parametrize("name", BUILDERS)
def test_what_cannot_be_said_in_arguments_is_said_in_words(name: str) -> None:
    network = BUILDERS[name]()
    layer = trace(network).layers[2]
    plan = express(network, LevelDecisions(WIDTHS[name], dropped_skips=(1,), layers={layer: 3}))
    assert any("skip of level 1" in limit for limit in plan.limits)
    assert any(layer in limit for limit in plan.limits)
    assert plan.arguments == express(network, LevelDecisions(WIDTHS[name])).arguments


@pytest.mark.parametrize(
    ("decisions", "words"),
    [
        (LevelDecisions((6,)), "use 2 to 4"),
        (LevelDecisions((6, 8, 12, 16, 16)), "use 2 to 4"),
        (LevelDecisions((6, 9)), "use 1 to 8"),
        (LevelDecisions((0, 8)), "use 1 to 6"),
        (LevelDecisions((6, 8), dropped_skips=(1,)), "levels 0 to 0"),
        (LevelDecisions((6, 8), layers={"nowhere": 3}), "nowhere"),
    ],
)
def test_what_is_no_smaller_network_is_refused(decisions: LevelDecisions, words: str) -> None:
    with pytest.raises(SlimError, match=words):
        express(build_plain(), decisions)


def test_other_networks_are_refused() -> None:
    with pytest.raises(SlimError, match=r"Conv2d.*PlainConvUNet"):
        express(nn.Conv2d(1, 1, 1), LevelDecisions((1, 1)))
    with pytest.raises(SlimError, match="basic blocks"):
        block = locate("dynamic_network_architectures.building_blocks.residual.BottleneckD")
        express(build_encoder(block=block, bottleneck_channels=4), LevelDecisions((3, 4)))


def make_profile(wiring: Wiring, ranks: Mapping[str, float], added: Mapping[tuple[str, str], float]) -> Profile:
    """A profile with these effective ranks, and bits added by each kind of path at these joins."""

    def quantity(value: float) -> Quantity:
        return Quantity(Tally.of(100 * (value + 1e-5 * np.arange(-10, 11)), np.full(21, 100.0)), 0.5, 0.01)

    def part(join: str, source: str, latest: str) -> Part:
        kind = "up" if source == latest else "skip"
        bits = {LINEAR: quantity(added.get((join, kind), 0.2))}
        return Part(source, kind, bits, bits, bits[LINEAR], quantity(0.1), is_flat=False)

    def gate(join: str) -> Gate:
        sources = wiring.sources[join]
        latest = max(sources, key=wiring.layers.index)
        parts = tuple(part(join, source, latest) for source in sources)
        return Gate(join, wiring.strides[join], parts, {LINEAR: quantity(0.3)})

    layers = tuple(
        LayerProfile(layer, wiring.strides[layer], wiring.widths[layer], {LINEAR: quantity(0.3)}, ranks.get(layer, 1.5))
        for layer in wiring.layers
    )
    gates = tuple(gate(join) for join in wiring.joins())
    return Profile("net", wiring, ("a", "b"), ("i",), quantity(0.5), {}, layers, gates, {}, {})


@pytest.mark.parametrize("name", BUILDERS)
def test_levels_follow_ranks_and_gates(name: str) -> None:
    network = BUILDERS[name]()
    wiring, widths = trace(network), WIDTHS[name]
    whole = decide_levels(network, make_profile(wiring, {}, {}))
    assert whole == LevelDecisions(tuple(min(2, width) for width in widths))
    joins = wiring.joins()  # the coarsest first; those of MONAI's UNet already work on the next finer grid
    ranks = {joins[-3 if isinstance(network, nets.UNet) else -2]: 2.5}
    found = decide_levels(network, make_profile(wiring, ranks, {(joins[-2], "up"): 0.0, (joins[-1], "skip"): 0.0}))
    assert found == LevelDecisions((2, 3), dropped_skips=(0,))


@pytest.mark.parametrize(("by", "levels"), [("keep", 4), ("bits", 3), ("both", 4), ("either", 3), ("ablation", 4)])
def test_levels_follow_the_rule_that_is_given(by: Any, levels: int) -> None:
    """Of the coarsest level that is fed from below the bits add nothing, and a tenth of the Dice is lost without."""
    network = build_plain()
    wiring = trace(network)
    profile = make_profile(wiring, {}, {(wiring.joins()[0], "up"): 0.0})
    found = decide_levels(network, profile, Rule("tried", "2026-01-31", depth_by=by, widths_by="keep"))
    assert found.widths == WIDTHS["plain"][:levels]
    losing = decide_levels(network, profile, Rule("tried", "2026-01-31", depth_by="ablation"), max_dice_loss=0.2)
    assert len(losing.widths) == 2, "all that costs less may go, but for one pooling"


def test_a_rule_that_follows_what_was_not_measured_is_refused() -> None:
    network = build_plain()
    with pytest.raises(SlimError, match="--thorough"):
        decide_levels(
            network, make_profile(trace(network), {}, {}), Rule("tried", "2026-01-31", widths_by="components")
        )


def test_the_evidence_is_told_level_by_level() -> None:
    network = build_plain()
    profile = make_profile(trace(network), {"encoder.stages.2.0.convs.0": 4.24}, {})
    plan = express(network, LevelDecisions((3, 4)), profile)
    assert len(plan.words) == 1 + 4 + 1
    assert "-c slim" in plan.words[-1]
    assert "2 levels of 3-4 channels instead of 4 of 6-8-12-16" in plan.words[0]
    assert "4.2 directions in 12 channels" in plan.words[3]
    assert "its skip is judged 'needed', as it adds 0.200" in plan.words[1]
    assert "skip" not in plan.words[4]
    assert json.loads(json.dumps(plan.to_json()))["network"] == plan.network


def test_the_widest_rank_is_never_wider_than_the_level() -> None:
    network = build_plain()
    wiring = trace(network)
    found = decide_levels(network, make_profile(wiring, dict.fromkeys(wiring.layers, 999.5), {}))
    assert found.widths == (6, 8, 12, 16)
    assert math.prod(found.widths) > 0


def test_a_profile_of_another_network_is_refused() -> None:
    profile = make_profile(trace(build_basic()), {}, {})
    for ask in (
        lambda: decide_levels(build_plain(), profile),
        lambda: express(build_plain(), LevelDecisions((3, 4)), profile),
    ):
        with pytest.raises(SlimError, match="profile this network"):
            ask()
    gateless = replace(make_profile(trace(build_plain()), {}, {}), gates=())
    assert len(decide_levels(build_plain(), gateless).widths) == 4
