"""In which order channels are worth keeping, by their weights; knows layers and arrays, no images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetscope.checkpoint import Checkpoint


def order_by_weights(checkpoint: Checkpoint) -> dict[str, tuple[int, ...]]:
    """Every layer's channels, those first whose weights are the largest in all (L1 norm).

    Example:
        >>> from unetscope.data.normalization import Normalization
        >>> from unetscope.model.spec import UNetSpec
        >>> from unetscope.model.unet import UNet
        >>> weights = UNet(UNetSpec.by_level((2, 2))).state_dict()
        >>> weights["encoder.0.conv1.conv.weight"][0] = 0
        >>> known = Checkpoint(UNetSpec.by_level((2, 2)), weights, Normalization("image"), ("background", "cell"))
        >>> order_by_weights(known)["encoder.0.conv1"]
        (1, 0)

    Source:
        Li, Kadav, Durdanovic, Samet, Graf 2017, Pruning filters for efficient ConvNets, section 3.1.
    """
    return {layer: descending(_weigh(checkpoint, layer)) for layer in checkpoint.spec.widths}


def descending(values: Sequence[float] | NDArray[Any]) -> tuple[int, ...]:
    """Places of values from the largest to the smallest; of equals the first one first.

    Example:
        >>> descending([0.1, 0.5, float("nan"), 0.5])
        (1, 3, 0, 2)
    """
    return tuple(int(index) for index in np.argsort(-np.nan_to_num(np.asarray(values)), kind="stable"))


def _weigh(checkpoint: Checkpoint, layer: str) -> NDArray[Any]:
    """Sum of the absolute weights that make each channel."""
    weight = np.abs(np.asarray(checkpoint.weights[f"{layer}.conv.weight"], np.float64))
    width = checkpoint.spec.width(layer)
    if layer.endswith("up") and checkpoint.spec.up == "transposed":
        weight = np.moveaxis(weight, 1, 0)
    sums: NDArray[Any] = weight.reshape(width, -1).sum(axis=1)  # a sub-pixel convolution has several rows a channel
    return sums
