"""What a page is told of networks, images and pixels, as plain values and pictures; computes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetscope.data.formats.registry import SUFFIXES
from unetscope.model.cost import count_parameters
from unetscope.model.geometry import receptive_field
from unetscope.reporting.page.images import CLASS_COLORS, encode_classes, encode_photo
from unetscope.reporting.page.u_svg import draw_svg
from unetscope.reporting.sheet import stretch
from unetscope.serving.images import Opened
from unetscope.serving.networks import Network
from unetscope.serving.session import Known, Segmented, Session
from unetscope.slimming.shapes import multiply_adds_per_pixel

LARGEST = 1024  # pixels of a side that are shown
QUALITY = 90  # of a picture
STYLE = re.compile(r' style="--u-width:[\d.]+"')  # which our policy does not let pass; the page sets it by itself

Plain = dict[str, Any]


def describe_session(session: Session) -> Plain:
    """Everything that a page knows before an image comes."""
    classes = session.networks[0].checkpoint.classes
    return {
        "networks": [_describe_network(network) for network in session.networks],
        "classes": list(classes),
        "colors": [None, *(CLASS_COLORS[place % len(CLASS_COLORS)] for place in range(len(classes) - 1))],
        "samples": list(session.samples),
        "suffixes": list(SUFFIXES),
        "limits": {
            "bytes": session.limits.bytes,
            "megabytes": session.limits.megabytes,
            "megapixels": session.limits.megapixels,
        },
    }


def _describe_network(network: Network) -> Plain:
    spec, wiring = network.checkpoint.spec, network.subject.wiring
    return {
        "name": network.name,
        "title": network.title,
        "svg": STYLE.sub("", draw_svg(wiring, network.name)),
        "layers": [
            {"name": layer, "width": wiring.widths.get(layer), "stride": list(wiring.strides[layer])}
            for layer in wiring.layers
        ],
        "facts": [
            ["parameters", f"{count_parameters(spec):,}"],
            [f"multiply-adds per {_pixel(spec.ndim)}", f"{multiply_adds_per_pixel(spec):,.0f}"],
            ["receptive field", " x ".join(map(str, receptive_field(spec)))],
        ],
        "engine": " ".join(network.segmenter.engine.describe()[key] for key in ("engine", "version", "precision")),
        "taught": bool(network.readers),
        "teachers": network.teachers,
    }


def _pixel(ndim: int) -> str:
    return "pixel" if ndim == 2 else "voxel"


def describe_image(key: str, image: Opened) -> Plain:
    """An image that was dropped, with its middle plane."""
    height, width = image.pages.shape[-2:]
    middle = image.planes // 2
    return {
        "key": key,
        "name": image.name,
        "height": height,
        "width": width,
        "channels": image.pages.shape[1],
        "planes": image.planes,
        "volume": image.pages.ndim == 5,
        **describe_plane(image, middle),
    }


def describe_plane(image: Opened, plane: int) -> Plain:
    """A plane to look at, at most 1024 pixels a side, from its 0.5th to its 99.5th percentile."""
    pixels = image.plane(plane)
    small = _average(pixels, _step(*pixels.shape[1:]))
    return {"plane": plane, "picture": encode_photo(np.rint(stretch(small)).astype(np.uint8), QUALITY)}


def describe_segmented(image: Opened, plane: int, found: Sequence[Segmented], classes: Sequence[str]) -> Plain:
    """A plane as the last of some networks labels it, and how much of it the first labels otherwise.

    Args:
        image: The image.
        plane: The plane.
        found: What the networks made of the image, up to the one that is asked for.
        classes: Names of the classes.
    """
    _, inside = image.place(plane)
    first, labels = found[0].labels[inside], found[-1].labels[inside]
    step = _step(*labels.shape)
    return {
        "plane": plane,
        "labels": encode_classes(_thin(labels, step)),
        "milliseconds": found[-1].milliseconds,
        "runs": found[-1].runs,
        "tiles": found[-1].tiles,
        "objects": found[-1].objects,
        "shares": [[name, np.count_nonzero(labels == index) / labels.size] for index, name in enumerate(classes)],
        "differs": None if len(found) == 1 else np.count_nonzero(labels != first) / labels.size,
    }


def describe_known(known: Known) -> Plain:
    """What a network says at a pixel, layer by layer."""
    return {
        "chances": _round(known.chances),
        "layers": {layer: dict(_describe_layer(known, layer)) for layer in known.layers},
    }


def _describe_layer(known: Known, layer: str) -> Iterator[tuple[str, Any]]:
    values, is_last = known.layers[layer], layer == tuple(known.layers)[-1]
    strongest = int(np.argmax(values))
    yield "chances", _round(known.readers[layer]) if layer in known.readers else None
    yield "active", None if is_last else float(np.mean(values > 0))  # the last one says scores
    yield "strongest", [strongest, _finite(values[strongest])]


def _round(chances: NDArray[np.float64]) -> list[float | None]:
    return [_finite(chance) for chance in chances.round(6)]


def _finite(value: Any) -> float | None:
    """A number that JSON can hold."""
    return float(value) if isfinite(value) else None


def _step(height: int, width: int) -> int:
    """Every how many pixels are shown."""
    return -(-max(height, width) // LARGEST)


def _average(pixels: NDArray[Any], step: int) -> NDArray[Any]:
    """The means (channels, y, x) of squares of so many pixels; those at the end may be smaller."""
    if step == 1:
        return pixels
    sums = pixels
    for axis, size in enumerate(pixels.shape[1:], start=1):
        starts = np.arange(0, size, step)
        sums = np.add.reduceat(sums, starts, axis=axis, dtype=np.float64)
        counts = np.diff(starts, append=size)
        sums /= counts.reshape([-1 if each == axis else 1 for each in range(3)])
    return sums


def _thin(labels: NDArray[Any], step: int) -> NDArray[Any]:
    """The middle of every square of so many pixels."""
    rows, columns = (np.minimum(np.arange(0, size, step) + step // 2, size - 1) for size in labels.shape)
    return labels[np.ix_(rows, columns)]
