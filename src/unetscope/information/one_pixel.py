"""What every layer says at one pixel of an image of any size, from a box around it; knows networks, no measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unetscope.information.capture import listen
from unetscope.information.observation import first_pixel
from unetscope.information.reading import Features
from unetscope.information.subject import Subject, make_batch
from unetscope.model.geometry import margin, read_box
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import class_scores
from unetscope.tiles import Box


def box_around(spec: UNetSpec, shape: Sequence[int], pixel: Sequence[int]) -> Box:
    """What to feed a network so that each of its layers says at a pixel what it says when fed the whole image.

    That does not hold for instance norm, which looks at all that is fed.

    Args:
        spec: The network.
        shape: The image, ([z,] y, x), pixels.
        pixel: A place in it.

    Returns:
        A box of the image, mirrored beyond its border, of a size that the network accepts: the receptive fields of the
        pixels that share a position of the coarsest layer with this one.

    Example:
        >>> box_around(UNetSpec.by_level((8, 8)), (500, 500), (250, 3))
        (slice(242, 260, None), slice(0, 12, None))
    """
    starts = [at // stride * stride for at, stride in zip(pixel, spec.total_stride, strict=True)]
    sides = enumerate(zip(starts, spec.total_stride, shape, strict=True))
    read = [read_box(spec, axis, start, min(start + stride, length), length) for axis, (start, stride, length) in sides]
    return tuple(slice(first - lost, last - lost) for (first, last), lost in zip(read, margin(spec), strict=True))


def read_pixel(subject: Subject, block: NDArray[np.float32], place: Sequence[int]) -> dict[str, Features]:
    """What every layer puts out where it holds a pixel.

    Args:
        subject: The network.
        block: (channels, [z,] y, x), normalized, of a size that the network accepts.
        place: The pixel, in this block.

    Returns:
        For every layer, in order, its (channels,) there; of the last layer one score for each class.
    """
    wiring, heard = subject.wiring, dict[str, Features]()

    def listen_to(layer: str) -> Callable[[Tensor], None]:
        def hear(output: Tensor) -> None:
            maps = (class_scores(output) if layer == wiring.layers[-1] else output)[0]
            start = first_pixel(block.shape[1:], maps.shape[1:], wiring.strides[layer])
            position = np.clip((np.array(place) - start) // wiring.strides[layer], 0, np.array(maps.shape[1:]) - 1)
            heard[layer] = maps[(slice(None), *position.tolist())].float().cpu().numpy()

        return hear

    with listen(subject.module, {layer: listen_to(layer) for layer in wiring.layers}), torch.no_grad():
        subject.module(make_batch(subject.module, block))
    return heard
