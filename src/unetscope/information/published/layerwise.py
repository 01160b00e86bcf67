"""A network computed one layer after another for many images at once; knows modules and specs, not what is measured.

Usually one image passes all layers. Here all images pass a layer before any passes the next, so that a layer's outputs
are there together while hardly anything else is held: they take the place of the outputs before them. An output that a
distant layer reads as well, across a skip, is kept if memory allows; otherwise it is computed from the image once more
when that layer's turn comes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise
from math import prod

import torch
from torch import Tensor

from unetscope.model.cost import count_cost
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet
from unetscope.wiring import IMAGE


@torch.no_grad()
def compute_layerwise(
    network: UNet, images: Tensor, kept: Collection[str] = (), at_once: int = 1
) -> Iterator[tuple[str, Tensor]]:
    """What every layer puts out for some images, layer by layer.

    Args:
        network: The network, in its eval mode.
        images: (N, channels, [z,] y, x).
        kept: Layers whose outputs are kept until their last reader had them; see `choose_kept`.
        at_once: Images that pass a layer together.

    Yields:
        A layer's name and its outputs (N, ...), which the next layer's overwrite.

    Example:
        >>> network = UNet(UNetSpec.by_level((2, 4))).eval()
        >>> shapes = {layer: outputs.shape for layer, outputs in compute_layerwise(network, torch.zeros(3, 1, 16, 16))}
        >>> shapes["bottleneck.conv1"]
        torch.Size([3, 4, 8, 8])
    """
    spec, order = network.spec, network.spec.wiring.layers
    shapes = {layer.layer: layer.shape for layer in count_cost(spec, tuple(images.shape[2:])).layers}
    store = images.new_empty(len(images) * max(map(prod, shapes.values())))
    fronts, size = {IMAGE: images}, 0
    for number, layer in enumerate(order, start=1):
        outputs = store[: len(images) * prod(shapes[layer])].view(-1, *shapes[layer])
        starts = range(0, len(images), at_once)
        # Larger outputs are written from the end, smaller ones from the start: never over what is still to be read.
        for start in reversed(starts) if prod(shapes[layer]) > size else starts:
            batch = slice(start, start + at_once)
            outputs[batch] = _compute(network, layer, {name: front[batch] for name, front in fronts.items()})
        yield layer, outputs
        later = {read for reader in order[number:] for read in spec.reads(reader)}
        fronts = {name: front for name, front in fronts.items() if name == IMAGE or name in later.intersection(kept)}
        fronts[layer] = outputs.clone() if layer in later.intersection(kept) else outputs
        size = prod(shapes[layer])


def _compute(network: UNet, layer: str, known: Mapping[str, Tensor]) -> Tensor:
    """The output of a layer from known outputs; what it reads and is not known is computed first."""
    spec = network.spec
    for read in spec.reads(layer):
        if read not in known:
            known = {**known, read: _compute(network, read, known)}
    return network.compute(layer, known)


def choose_kept(spec: UNetSpec, sizes: Mapping[str, int], room: int) -> tuple[str, ...]:
    """The outputs to keep for distant layers: as many as there is room for, the smallest first.

    The smallest are also the deepest, which take longest to compute again.

    Args:
        spec: The network.
        sizes: Bytes of every layer's output.
        room: Bytes that may be kept.

    Returns:
        Names of layers.

    Example:
        >>> spec = UNetSpec.by_level((2, 4, 8), convolutions=1)
        >>> choose_kept(spec, {"encoder.0.conv1": 8, "encoder.1.conv1": 4}, room=5)
        ('encoder.1.conv1',)
    """
    order = (IMAGE, *spec.wiring.layers)
    distant = {
        read: None for before, reader in pairwise(order) for read in spec.reads(reader) if read not in (before, IMAGE)
    }
    kept: list[str] = []
    for layer in sorted(distant, key=lambda layer: sizes[layer]):
        if sum(sizes[other] for other in kept) + sizes[layer] <= room:
            kept.append(layer)
    return tuple(kept)
