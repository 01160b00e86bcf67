"""Inner products of images at every layer, in bounded memory; knows networks and samples, not estimates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations_with_replacement
from math import prod

import numpy as np
import torch
from torch import Tensor

from unetscope.checkpoint import Checkpoint
from unetscope.errors import DataError
from unetscope.information.estimators.kernel import Matrix
from unetscope.information.published.layerwise import choose_kept, compute_layerwise
from unetscope.information.published.samples import Samples
from unetscope.machine import keep_memory
from unetscope.model.cost import count_cost
from unetscope.model.unet import class_scores
from unetscope.wiring import HEAD, IMAGE

NUMBER_BYTES = 4
AT_ONCE = 8  # images that pass a layer together
WORK_SHARE = 4  # of the memory, at most one part is for the layer at work
NUMBERS_AT_ONCE = 1024  # of an image, multiplied in float32 and then summed in float64
STRIPS = 4  # of a symmetric product, which save three eighths of it

Passage = Callable[[int, int], Iterator[tuple[str, Tensor]]]
"""For a first image and one past the last: every layer's name and outputs (images, ...), one layer after another. The
outputs are used no longer than until the next layer is asked for."""


def measure_grams(checkpoint: Checkpoint, samples: Samples, memory_bytes: int) -> dict[str, Matrix]:
    """Inner products between the images, at the input and at every layer.

    All images pass layer after layer where memory holds the outputs of one layer for all of them; otherwise every two
    blocks of images do. A quarter of the memory at most is for the layer at work.

    Args:
        checkpoint: The network.
        samples: The images.
        memory_bytes: About as much as may be used; one image at a time is always computed.

    Returns:
        For the image and every layer (N, N), centered on the mean image; the head counts as probabilities.

    Raises:
        DataError: One layer of three images takes more memory, or an image is not the network's.
    """
    spec, count = checkpoint.spec, len(samples.items)
    cost = count_cost(spec, samples.fed_shape)
    sizes = {layer.layer: layer.activations * NUMBER_BYTES for layer in cost.layers}
    one = spec.image_channels * prod(samples.fed_shape) * NUMBER_BYTES + max(*sizes.values(), 2 * sizes[HEAD])
    work = 2 * cost.peak_activations * NUMBER_BYTES
    at_once = max(1, min(AT_ONCE, memory_bytes // WORK_SHARE // work))
    memory = memory_bytes - min(at_once * work, memory_bytes // WORK_SHARE)
    size = _block_size(one, count, memory)
    kept = choose_kept(spec, sizes, memory // count - one if size == count else 0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = checkpoint.network().to(device)

    def passage(start: int, stop: int) -> Iterator[tuple[str, Tensor]]:
        images = samples.batch(start, stop).to(device)
        yield IMAGE, images
        for layer, outputs in compute_layerwise(network, images, kept, at_once):
            is_head = layer == HEAD
            yield (
                layer,
                torch.cat([*map(foreground_probabilities, torch.split(outputs, at_once))]) if is_head else outputs,
            )

    with keep_memory():
        return accumulate_grams(passage, count, size)


def _block_size(one: int, count: int, memory_bytes: int) -> int:
    """Images in a block: all, or as many as fit beside another block and the one image that is the origin."""
    affordable = memory_bytes // one - 1
    if affordable >= count:
        return count
    if affordable < 2:
        raise DataError(
            f"one layer of three images takes {3 * one / 2**20:.1f} MiB and may take {memory_bytes / 2**20:.1f} MiB; "
            "allow more memory or give smaller images"
        )
    return affordable // 2


def accumulate_grams(passage: Passage, count: int, size: int) -> dict[str, Matrix]:
    """Inner products between the images' activations, layer by layer, for every two blocks of images.

    Products of up to 1024 numbers are formed in float32 about an origin, and these are summed in float64.

    Args:
        passage: The activations; the same each time.
        count: Number of images, at least 1.
        size: Images in a block; those of two blocks and one more image are alive at once.

    Returns:
        For every layer (count, count) inner products of the activations, centered on their mean over the images.

    Example:
        >>> points = torch.tensor([[0.0], [3.0], [6.0]])
        >>> accumulate_grams(lambda start, stop: iter([("a", points[start:stop])]), 3, size=3)["a"].diagonal().tolist()
        [9.0, 0.0, 9.0]
    """
    grams: dict[str, Matrix] = {}
    blocks = [range(start, min(start + size, count)) for start in range(0, count, size)]
    for rows, columns in combinations_with_replacement(blocks, 2):
        met = (passage(block.start, block.stop) for block in dict.fromkeys((rows, columns)))  # itself only once
        for (layer, origin), *outputs in zip(passage(0, 1), *met, strict=True):
            gram = grams.setdefault(layer, np.zeros((count, count)))
            block = _multiply(origin, *(output for _, output in outputs))
            gram[np.ix_(rows, columns)], gram[np.ix_(columns, rows)] = block, block.T
    return {layer: _centered(gram) for layer, gram in grams.items()}


def _multiply(origin: Tensor, rows: Tensor, columns: Tensor | None = None) -> Matrix:
    """Inner products about an origin; about 0, the distances of images much alike would drown in rounding.

    Without columns the rows meet themselves; of that symmetric product little more than one half is computed.
    """
    first, second, center = rows.flatten(1), (rows if columns is None else columns).flatten(1), origin.flatten(1)
    total = torch.zeros(len(first), len(second), dtype=torch.float64, device=origin.device)
    strip = -(-len(first) // STRIPS)
    for start in range(0, center.shape[1], NUMBERS_AT_ONCE):
        part = slice(start, start + NUMBERS_AT_ONCE)
        left = first[:, part] - center[:, part]
        right = left if columns is None else second[:, part] - center[:, part]
        for top in range(0, len(first), strip):
            stop = top + strip if columns is None else len(second)
            total[top : top + strip, :stop] += left[top : top + strip] @ right[:stop].T
    products: Matrix = (total if columns is not None else total.tril() + total.tril(-1).T).cpu().numpy()
    return products


def _centered(gram: Matrix) -> Matrix:
    """The inner products about the mean of all images instead of the origin that was used."""
    means = gram.mean(axis=0)
    centered: Matrix = gram - means[:, None] - means[None, :] + means.mean()
    return centered


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
