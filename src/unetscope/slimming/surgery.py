"""Weights of a slim network, cut out of those of the network it was planned for; knows layers and channels, no images.

Which channels stay is the plan's; which numbers of which array these are, is known here alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray

from unetscope.checkpoint import Checkpoint
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet
from unetscope.slimming.plan import SlimPlan

Weights = Mapping[str, NDArray[np.generic]]

KERNELS = "conv.weight"


def slice_weights(checkpoint: Checkpoint, plan: SlimPlan, seed: int = 0) -> dict[str, NDArray[np.generic]]:
    """The weights of a slim network: those of the channels that a plan keeps.

    With fewer channels and skips the slim network computes what the original does when the outputs of the channels that
    go, and what the skips that go bring, are set to zero. A cut of the depth joins layers that never met: the one that
    reads the new bottleneck starts with fresh kernels, and keeps its bias.

    Args:
        checkpoint: The network that the plan is for.
        plan: What stays.
        seed: Of the fresh kernels after a cut of the depth.

    Returns:
        Exactly one array for each of `UNet(plan.spec)`, as copies.

    Raises:
        SlimError: The plan is for another network.

    Source:
        Li, Kadav, Durdanovic, Samet, Graf 2017 (pruning filters), figure 1, with joins; fresh kernels: He et al. 2015.

    Example:
        >>> from unetscope.data.normalization import Normalization
        >>> spec = UNetSpec.by_level((4, 8))
        >>> origin = Checkpoint(spec, UNet(spec).state_dict(), Normalization("image"), ("background", "cell"))
        >>> plan = SlimPlan.keep_all(spec, origin.digest())
        >>> slim = slice_weights(origin, plan.with_changes(widths={**plan.widths, "decoder.0.up": 3}, skips=()))
        >>> slim["decoder.0.up.conv.weight"].shape, slim["decoder.0.conv1.conv.weight"].shape
        ((8, 3, 2, 2), (4, 3, 3, 3))
    """
    plan.check_fits(checkpoint)
    fresh = _draw(plan.spec, seed)
    return {
        name: array
        for layer in plan.spec.wiring.layers
        for name, array in _slice_layer(plan, layer, checkpoint.weights, fresh)
    }


def _draw(spec: UNetSpec, seed: int) -> Weights:
    """Weights of a network as born."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return {name: tensor.numpy() for name, tensor in UNet(spec).state_dict().items()}


def _slice_layer(
    plan: SlimPlan, layer: str, weights: Weights, fresh: Weights
) -> Iterator[tuple[str, NDArray[np.generic]]]:
    """Names and arrays of one layer of the slim network."""
    source, outputs, inputs = plan.source_of(layer), _find_outputs(plan, layer), _find_inputs(plan, layer)
    for name in (each for each in fresh if each.startswith(f"{layer}.")):
        whole = weights[source + name.removeprefix(layer)]
        if not name.endswith(KERNELS):  # per output channel, or a count for the whole layer
            yield name, whole[outputs] if whole.ndim else whole.copy()
        elif inputs is None:
            yield name, fresh[name].astype(whole.dtype)
        else:
            axes = (inputs, outputs) if _is_transposed(plan.spec, layer) else (outputs, inputs)
            yield name, np.ascontiguousarray(whole[np.ix_(*axes)])


def _is_transposed(spec: UNetSpec, layer: str) -> bool:
    """Whether the kernels of a layer go by inputs first."""
    return spec.up == "transposed" and layer.endswith(".up")


def _find_outputs(plan: SlimPlan, layer: str) -> list[int]:
    """Which of the origin's kernels a layer keeps: those of its channels, of which a sub-pixel one has several."""
    shuffled = plan.spec.up == "subpixel" and layer.endswith(".up")
    copies = prod(plan.spec.level_strides[plan.spec.level(layer)]) if shuffled else 1
    return [channel * copies + copy for channel in plan.kept(layer) for copy in range(copies)]


def _find_inputs(plan: SlimPlan, layer: str) -> list[int] | None:
    """Which of the channels that a layer read in the origin are left; None where it read another layer there."""
    before = plan.origin.sources(plan.source_of(layer))
    starts = dict(zip(before, accumulate((plan.origin.width(each) for each in before), initial=0), strict=False))
    now = plan.spec.sources(layer)
    if any(plan.source_of(each) not in starts for each in now):
        return None
    return [starts[plan.source_of(each)] + channel for each in now for channel in plan.kept(each)]
