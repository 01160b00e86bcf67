"""Maps of layers as small pictures for a page, thinned until they fit; knows arrays, not how they came to be."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetscope.reporting.page.images import encode_classes, encode_photo, encode_strip
from unetscope.reporting.page.sources import Maps, Network

MOST_CHARACTERS = 1_400_000  # of all maps of a page together
STEPS = (1, 2, 4)  # every so many pixels, until they fit
QUALITY = 60


def show_maps(network: Network, share: float = 1.0) -> dict[str, Any] | None:
    """The maps that `profile` kept, as the page carries them; None where there are none.

    Of each image all layers: the channels side by side, and what a linear probe makes of the layer.

    Args:
        network: The network.
        share: Part of the room that its maps may take.
    """
    if network.maps is None:
        return None
    numbers = [number for number in _count(network.maps) if f"{number}/labels" in network.maps]
    names = _name_images(network, len(numbers))
    for step in STEPS:
        images = [
            _show_image(network.maps, number, name, network.wiring.layers, step)
            for number, name in zip(numbers, names, strict=True)
        ]
        if _measure(images) <= share * MOST_CHARACTERS:
            break
    return {"images": images} if numbers else None


def _count(maps: Maps) -> list[int]:
    """Numbers of the images in a gallery."""
    return next(list(range(number)) for number in count() if f"{number}/image" not in maps)


def _name_images(network: Network, many: int) -> list[str]:
    """What the images are called: of a profile's images the first, the middle and the last were kept."""
    images = network.profile.images if network.profile is not None else ()
    places = sorted({0, len(images) // 2, len(images) - 1}) if images else []
    if len(places) == many:
        return [images[place] for place in places]
    return [f"image {number + 1}" for number in range(many)]


def _show_image(maps: Maps, number: int, name: str, layers: Sequence[str], step: int) -> dict[str, Any]:
    image, labels = maps[f"{number}/image"], maps[f"{number}/labels"]
    shown = {
        layer: {
            "channels": encode_strip(_thin(maps[f"{number}/{layer}/channels"], step)),
            "strongest": maps[f"{number}/{layer}/strongest"].tolist(),
            "probe": encode_photo(_thin(maps[f"{number}/{layer}/probe"][None], step)[0], QUALITY),
        }
        for layer in layers
        if all(f"{number}/{layer}/{part}" in maps for part in ("channels", "strongest", "probe"))
    }
    picture = _color(_bytes(image)) if image.ndim == 3 else _bytes(image)
    return {
        "name": name,
        "image": encode_photo(picture, QUALITY),
        "label": encode_classes(_bytes(labels)),
        "layers": shown,
    }


def _color(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(y, x, 3): three channels are colors, fewer or more are gray."""
    shown = planes[:3] if len(planes) == 3 else np.repeat(planes[:1], 3, axis=0)
    return np.ascontiguousarray(np.moveaxis(shown, 0, -1))


def _thin(planes: NDArray[np.generic], step: int) -> NDArray[np.uint8]:
    """Every so many pixels of maps that have many."""
    small = max(planes.shape[1:]) < 2 * step
    return _bytes(planes if small else planes[:, ::step, ::step])


def _bytes(array: NDArray[np.generic]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(array, np.uint8)


def _measure(images: list[dict[str, Any]]) -> int:
    """Characters of all pictures."""
    parts = [part for image in images for layer in image["layers"].values() for part in layer.values()]
    return sum(len(part) for part in (*parts, *(image["image"] for image in images)) if isinstance(part, str))
