"""What pruning usually goes by, for every part of a join: weights, gradients, arithmetic; knows networks, not bits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from unetscope.checkpoint import Checkpoint
from unetscope.information.capture import check_joined, find_layer, listen, split_sources
from unetscope.information.subject import make_batch
from unetscope.information.views import View, Views
from unetscope.model.cost import count_cost
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import class_scores
from unetscope.wiring import Wiring

Parts = Mapping[str, Mapping[str, float]]
"""For every join and source one number."""


def weigh_parts(module: nn.Module, wiring: Wiring) -> Parts:
    """Norm of the weights with which a join reads each of its sources, as a share of the norm of all its weights.

    Args:
        module: The network.
        wiring: What feeds each of its layers.
    """
    return {join: _share_weights(find_layer(module, join), split_sources(wiring, join)) for join in wiring.joins()}


def _share_weights(layer: nn.Module, parts: Mapping[str, slice]) -> dict[str, float]:
    """Of one join; its first convolution reads the sources, (out, in, ...)."""
    weight = next(part.weight for part in layer.modules() if isinstance(part, nn.Conv2d | nn.Conv3d)).detach()
    return {source: float(weight[:, part].norm() / weight.norm()) for source, part in parts.items()}


def expand_parts(module: nn.Module, wiring: Wiring, views: Views) -> Parts:
    """First-order estimate of what the loss would change by if each source of a join became 0.

    For every channel and image it is the absolute value of the sum of activation times gradient of the cross-entropy
    over the map, averaged over images and summed over the channels of the source.

    Args:
        module: The network, in its eval mode, which puts out a map as large as its input.
        wiring: What feeds each of its layers.
        views: Images with labels.

    Returns:
        Nats per pixel.

    Source:
        Molchanov, Tyree, Karras, Aila & Kautz 2017, Pruning convolutional neural networks for resource efficient
        inference, ICLR, equation 8.
    """
    joins = wiring.joins()
    sums = {join: np.zeros(sum(wiring.widths[source] for source in wiring.sources[join])) for join in joins}
    for view in views:
        for join, changes in zip(joins, _expand_image(module, wiring, view), strict=True):
            sums[join] += changes / len(views)
    return {
        join: {source: float(sums[join][part].sum()) for source, part in split_sources(wiring, join).items()}
        for join in joins
    }


def _expand_image(module: nn.Module, wiring: Wiring, view: View) -> list[NDArray[np.float64]]:
    """|sum over the map of activation x gradient| for every channel that the joins read."""
    joined: dict[str, Tensor] = {}

    def hear(join: str, tensor: object) -> None:
        joined[join] = check_joined(wiring, join, tensor)

    listeners = {join: lambda tensor, join=join: hear(join, tensor) for join in wiring.joins()}
    with listen(module, {}, listeners), torch.enable_grad():
        scores = class_scores(module(make_batch(module, view.image)))
        loss = functional.cross_entropy(scores, torch.from_numpy(view.labels)[None], ignore_index=-1)
        inputs = [joined[join] for join in wiring.joins()]
        slopes = torch.autograd.grad(loss, inputs)
    return [
        (read.detach() * slope)[0].flatten(1).sum(1).abs().double().numpy()
        for read, slope in zip(inputs, slopes, strict=True)
    ]


def measure_rivals(checkpoint: Checkpoint, views: Views) -> dict[str, Parts]:
    """Both of the above for a trained network, by name."""
    network, wiring = checkpoint.network(), checkpoint.spec.wiring
    return {"weight norm": weigh_parts(network, wiring), "Taylor": expand_parts(network, wiring, views)}


def count_saving(spec: UNetSpec, smaller: UNetSpec, shape: tuple[int, ...]) -> int:
    """Multiply-adds for an image of this shape that the smaller network does without."""
    return count_cost(spec, shape).multiply_adds - count_cost(smaller, shape).multiply_adds
