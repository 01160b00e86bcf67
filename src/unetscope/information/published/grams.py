"""Inner products of images at every layer, in bounded memory; knows networks and samples, not estimates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod

import torch
from torch import Tensor

from unetscope.checkpoint import Checkpoint
from unetscope.information.capture import accumulate_grams, capture, group_layers
from unetscope.information.estimators.kernel import Matrix
from unetscope.information.published.samples import Samples
from unetscope.model.cost import count_cost
from unetscope.model.unet import UNet, class_scores
from unetscope.wiring import HEAD, IMAGE

NUMBER_BYTES = 4


def measure_grams(checkpoint: Checkpoint, samples: Samples, memory_bytes: int) -> dict[str, Matrix]:
    """Inner products between the images, at the input and at every layer.

    Three quarters of the memory hold activations, the last quarter is for the network at work. Layers that do not fit
    together are captured in several passes.

    Args:
        checkpoint: The network.
        samples: The images.
        memory_bytes: About as much as may be used; one image at a time is always computed.

    Returns:
        For the image and every layer (N, N), centered on the mean image; the head counts as probabilities.

    Raises:
        DataError: One layer of three images takes more memory, or an image is not the network's.
    """
    cost = count_cost(checkpoint.spec, samples.fed_shape)
    sizes = {IMAGE: checkpoint.spec.image_channels * prod(samples.fed_shape) * NUMBER_BYTES}
    sizes |= {layer.layer: layer.activations * NUMBER_BYTES for layer in cost.layers}
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = checkpoint.network().to(device)
    grams: dict[str, Matrix] = {}
    for layers in group_layers(sizes, memory_bytes // 8):
        one = 2 * cost.peak_activations * NUMBER_BYTES + sum(sizes[layer] for layer in layers)
        at_once = max(1, memory_bytes // 4 // one)
        activations = partial(_in_pieces, partial(_observe, network, samples, layers), at_once)
        grams |= accumulate_grams(activations, len(samples.items), memory_bytes * 3 // 4)
    return grams


def _in_pieces(
    observe: Callable[[int, int], dict[str, Tensor]], at_once: int, start: int, stop: int
) -> dict[str, Tensor]:
    """What is observed for images from `start` to `stop`, a few images at once."""
    outputs: dict[str, Tensor] = {}
    for first in range(start, stop, at_once):
        last = min(first + at_once, stop)
        for layer, output in observe(first, last).items():
            whole = outputs.setdefault(layer, output.new_empty(stop - start, *output.shape[1:]))
            whole[first - start : last - start] = output
    return outputs


def _observe(network: UNet, samples: Samples, layers: Sequence[str], start: int, stop: int) -> dict[str, Tensor]:
    """Each layer's output as it is measured, for images from `start` to `stop`."""
    batch = samples.batch(start, stop).to(next(network.parameters()).device)
    outputs = capture(network, [layer for layer in layers if layer != IMAGE], batch)
    if HEAD in outputs:
        outputs[HEAD] = foreground_probabilities(outputs[HEAD])
    return {layer: batch if layer == IMAGE else outputs[layer] for layer in layers}


def foreground_probabilities(scores: Tensor) -> Tensor:
    """The head as the published method sees it: probabilities of the classes, of the foreground alone if it is one.

    Args:
        scores: (batch, classes, ...) before soft-max.

    Returns:
        (batch, classes, ...), or one channel for a background and one foreground class.

    Example:
        >>> foreground_probabilities(torch.zeros(1, 2, 1)).tolist()
        [[[0.5]]]
    """
    probabilities = class_scores(scores).softmax(dim=1)
    return probabilities[:, 1:] if probabilities.shape[1] == 2 else probabilities
