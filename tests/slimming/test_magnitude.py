"""Pruning by magnitude against torch-pruning on the network itself, where it can follow that, and by hand elsewhere."""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from unetscope.checkpoint import Checkpoint
from unetscope.data.normalization import Normalization
from unetscope.errors import SlimError
from unetscope.model import unet
from unetscope.model.cost import count_parameters
from unetscope.model.geometry import fitting_shape
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet, load_weights
from unetscope.slimming import magnitude
from unetscope.slimming.magnitude import Scope, prune_by_magnitude
from unetscope.slimming.shapes import multiply_adds_per_pixel
from unetscope.slimming.surgery import slice_weights

torch_pruning = pytest.importorskip("torch_pruning")

SCOPES: tuple[Scope, ...] = ("local", "global")
DOWN_UP = [*product(("max", "strided"), ("transposed", "nearest", "linear", "subpixel")), ("max", "unpool")]
FORMS = [
    *(UNetSpec.by_level((4, 6), down=down, up=up, padded=False, norm="instance") for down, up in DOWN_UP),
    *(UNetSpec.by_level((4, 6), down=down, up=up, ndim=3, norm="batch", convolutions=1) for down, up in DOWN_UP),
    *(UNetSpec.by_level((3, 5, 4), skips=(1,), up=up) for _, up in DOWN_UP),
    UNetSpec.by_level((6,), classes=1, norm="batch"),
    UNetSpec.by_level((4, 5, 3), skips=(), image_channels=3).with_widths({"encoder.0.conv1": 7, "decoder.1.up": 2}),
]
TRACEABLE = [  # without shuffles, crops and instance norms
    UNetSpec.by_level((6, 8, 12), norm=norm, down=down, up=up, ndim=ndim, skips=skips)
    for norm, (down, up), ndim, skips in [
        ("none", ("max", "transposed"), 2, None),
        ("batch", ("strided", "transposed"), 2, (0,)),
        ("batch", ("max", "linear"), 2, (1,)),
        ("none", ("strided", "nearest"), 3, None),
        ("batch", ("max", "nearest"), 3, ()),
    ]
]


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer steps, which take less time and more channels at once."""
    monkeypatch.setattr(magnitude, "STEPS", 24)


def make_checkpoint(spec: UNetSpec, seed: int = 0) -> Checkpoint:
    """A network whose weights, norms and running statistics are all unlike."""
    torch.manual_seed(seed)
    weights = {
        name: tensor + 0.3 * torch.rand_like(tensor) if tensor.is_floating_point() else tensor
        for name, tensor in UNet(spec).state_dict().items()
    }
    return Checkpoint(spec, weights, Normalization.range(0, 1), ("background", "cell"))


def join_plainly(tensors: list[Tensor]) -> Tensor:
    """A join that torch-pruning can follow."""
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors, 1)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("spec", TRACEABLE, ids=str)
def test_the_slim_network_is_the_one_that_torch_pruning_makes(
    spec: UNetSpec, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = make_checkpoint(spec)
    plan = prune_by_magnitude(checkpoint, 0.4 * multiply_adds_per_pixel(spec), scope=scope)
    ours = load_weights(UNet(plan.spec), slice_weights(checkpoint, plan)).eval()
    monkeypatch.setattr(unet, "_join", join_plainly)
    theirs = checkpoint.network()
    image = torch.rand(2, spec.image_channels, *fitting_shape(spec, (8,) * spec.ndim))
    pruner = torch_pruning.pruner.BasePruner(
        theirs,
        image,
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=1),
        global_pruning=scope == "global",
        pruning_ratio=1.0,
        iterative_steps=magnitude.STEPS,
        ignored_layers=[theirs.head],
    )
    groups = (group for _ in range(magnitude.STEPS) for group in pruner.step(interactive=True))
    while count_parameters(plan.spec) < sum(parameter.numel() for parameter in theirs.parameters()):
        next(groups).prune()
    with torch.no_grad():
        scores = theirs(image)
        assert torch.allclose(ours(image), scores, atol=1e-5 * float(scores.abs().max()))


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("spec", FORMS, ids=str)
def test_the_lightest_channels_go_first(spec: UNetSpec, scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(magnitude, "STEPS", 256)
    checkpoint = make_checkpoint(spec)
    first_step = len(spec.widths) if scope == "local" else 1
    plan = prune_by_magnitude(checkpoint, count_channels(spec) - first_step, count_channels, scope)
    weighed = {layer: weigh_channels(spec, checkpoint.weights, layer) for layer in spec.widths}
    gone = {
        layer: set(range(width)) - set(plan.order[layer][: plan.widths[layer]]) for layer, width in spec.widths.items()
    }
    if scope == "local":
        assert gone == {layer: {int(np.argmin(values))} for layer, values in weighed.items()}
    else:
        relative = {layer: values / values.mean() for layer, values in weighed.items()}
        lightest = min(relative, key=lambda layer: relative[layer].min())
        assert int(np.argmin(relative[lightest])) in gone[lightest]
        dropped = [relative[layer][channel] for layer in gone for channel in gone[layer]]
        stayed = [relative[layer][channel] for layer in gone for channel in set(range(spec.width(layer))) - gone[layer]]
        assert max(dropped) < min(stayed)


def count_channels(spec: UNetSpec) -> int:
    """A price of which every channel of every layer is one."""
    return sum(spec.widths.values())


def weigh_channels(spec: UNetSpec, weights: Mapping[str, np.ndarray], layer: str) -> np.ndarray:
    """Mean over all that makes or reads a layer's channels of the absolute values of the weights, from the spec alone.

    What unpooling ties together is made and read together.
    """
    tied = {layer, spec.placed_by(layer) or layer, *(other for other in spec.widths if spec.placed_by(other) == layer)}
    terms = []
    for maker in tied:
        terms.append(_of_channels(spec, weights, maker).sum(axis=1))
        if (scale := weights.get(f"{maker}.after.norm.weight")) is not None and spec.norm == "batch":
            terms.append(np.abs(scale))
    for reader in spec.wiring.layers:
        start = 0
        for source in spec.sources(reader):
            stop = start + spec.width(source)
            if source in tied:
                terms.append(_of_channels(spec, weights, reader).sum(axis=0)[start:stop])
            start = stop
    return np.mean(terms, axis=0)


def _of_channels(spec: UNetSpec, weights: Mapping[str, np.ndarray], layer: str) -> np.ndarray:
    """Sums of absolute weights between channels: (made, read)."""
    summed = np.abs(weights[f"{layer}.conv.weight"].astype(np.float64))
    summed = summed.reshape(*summed.shape[:2], -1).sum(axis=2)
    if layer.endswith("up") and spec.up == "transposed":
        return summed.T
    if layer.endswith("up") and spec.up == "subpixel":
        return summed.reshape(spec.width(layer), -1, summed.shape[1]).sum(axis=1)
    return summed


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("spec", FORMS[::4], ids=str)
def test_a_smaller_cost_keeps_a_part_of_what_a_larger_one_keeps(spec: UNetSpec, scope: Scope) -> None:
    checkpoint = make_checkpoint(spec)
    before, whole = copy.deepcopy(dict(checkpoint.weights)), multiply_adds_per_pixel(spec)
    plans = [prune_by_magnitude(checkpoint, share * whole, scope=scope) for share in (1, 0.6, 0.3)]
    assert plans[0].spec == spec
    for share, larger, smaller in zip((0.6, 0.3), plans, plans[1:], strict=False):
        assert multiply_adds_per_pixel(smaller.spec) <= share * whole
        assert (smaller.depth, smaller.skips) == (spec.depth, spec.skips)
        for layer in spec.widths:
            assert set(smaller.kept(layer)) <= set(larger.kept(layer))
    plans[2].check_fits(checkpoint)
    assert all(np.array_equal(before[name], checkpoint.weights[name]) for name in before)


def test_another_price_is_kept() -> None:
    checkpoint = make_checkpoint(UNetSpec.by_level((8, 16)))
    plan = prune_by_magnitude(checkpoint, 1000, price=count_parameters)
    assert 500 < count_parameters(plan.spec) <= 1000


def test_a_cost_that_cannot_be_reached_is_refused() -> None:
    spec = UNetSpec.by_level((3, 4))
    with pytest.raises(SlimError, match="ask for more"):
        prune_by_magnitude(make_checkpoint(spec), 1)


def test_without_torch_pruning_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    with pytest.raises(SlimError, match=r"torch_pruning.*unetscope\[bench\]"):
        prune_by_magnitude(make_checkpoint(UNetSpec.by_level((2,))), 1)
