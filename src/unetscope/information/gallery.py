"""Maps of a few images to look at: the strongest channels of every layer, and what a probe makes of them.

Knows networks and arrays; draws nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unetscope.files import replacing
from unetscope.information.capture import capture
from unetscope.information.readers import Reader, teach_readers
from unetscope.information.subject import Subject, device_of
from unetscope.information.views import View, Views
from unetscope.model.unet import class_scores

SHOWN = 3
CHANNELS = 8
LARGEST = 128  # pixels of a map's longer side

Picture = NDArray[np.uint8]


def save_gallery(pictures: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write pictures to a compressed file of NumPy arrays, atomically.

    Raises:
        OutputError: The file cannot be written.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **pictures)


def make_gallery(subject: Subject, views: Views, seed: int = 0, memory_bytes: int = 2**30) -> dict[str, NDArray[Any]]:
    """Pictures of three images at every layer.

    Args:
        subject: The network.
        views: The images; the first, the middle and the last are shown.
        seed: Start of all randomness.
        memory_bytes: Memory for activations, about.

    Returns:
        8-bit arrays, at most 128 pixels a side, of volumes the middle plane. For image 0, 1, 2: "0/image" (channels,
        y, x) and "0/labels" (y, x); for every layer "0/LAYER/channels" (at most 8, y, x), the channels that vary
        most, each between its own smallest and largest value; "0/LAYER/strongest" their numbers; "0/LAYER/probe"
        (y, x), the probability of foreground, from 0 to 255, that a linear probe taught by the other images gives.
    """
    shown = sorted({0, len(views) // 2, len(views) - 1})[:SHOWN]
    hidden = frozenset(shown if len(views) > 2 * SHOWN else ())
    probes = teach_readers(subject, views, hidden, seed, memory_bytes)
    return dict(entry for place, index in enumerate(shown) for entry in _picture(subject, views[index], place, probes))


def _picture(
    subject: Subject, view: View, place: int, probes: Mapping[str, Reader]
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Name and array of every picture of one image."""
    yield f"{place}/image", _to_bytes(thin(view.image))
    yield f"{place}/labels", thin(np.maximum(view.labels, 0)[None])[0].astype(np.uint8)
    inputs = torch.from_numpy(view.image[None]).to(device_of(subject.module))
    maps = capture(subject.module, list(probes), inputs)
    told = {**maps, subject.wiring.layers[-1]: class_scores(maps[subject.wiring.layers[-1]])}
    for layer, probe in probes.items():
        plane = thin(maps[layer][0].cpu().numpy())
        strongest = np.argsort(-plane.reshape(len(plane), -1).std(axis=1), kind="stable")[:CHANNELS]
        yield f"{place}/{layer}/channels", _to_bytes(plane[strongest])
        yield f"{place}/{layer}/strongest", strongest
        yield f"{place}/{layer}/probe", _probe(probe, thin(told[layer][0].cpu().numpy()))


def _probe(probe: Reader, plane: NDArray[np.float32]) -> Picture:
    """Probability of foreground at every position."""
    chances = probe.chances(plane.reshape(len(plane), -1).T)
    picture: Picture = np.rint(255 * (1 - chances[:, 0])).astype(np.uint8).reshape(plane.shape[1:])
    return picture


def thin(maps: NDArray[Any]) -> NDArray[Any]:
    """The middle plane of maps, every so many pixels, so that no side is longer than 128.

    Args:
        maps: (channels, [z,] y, x).

    Returns:
        (channels, y, x).

    Example:
        >>> thin(np.zeros((2, 5, 200, 300))).shape
        (2, 67, 100)
    """
    plane = maps[:, maps.shape[1] // 2] if maps.ndim == 4 else maps
    step = -(-max(plane.shape[1:]) // LARGEST)
    return plane[:, ::step, ::step]


def _to_bytes(planes: NDArray[Any]) -> Picture:
    """Each channel from its smallest to its largest value as 0 to 255; one that does not vary is 0."""
    low = planes.min(axis=(1, 2), keepdims=True)
    span = planes.max(axis=(1, 2), keepdims=True) - low
    picture: Picture = np.rint(255 * (planes - low) / np.where(span > 0, span, 1)).astype(np.uint8)
    return picture
