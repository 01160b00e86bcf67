"""What can be told without any network: from windows of the input, and from the position alone; knows no layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from unetscope.information.bench import Bench
from unetscope.information.estimators.family import Family
from unetscope.information.findings import POSITION
from unetscope.information.pixels import Pixels
from unetscope.information.quantity import Quantity
from unetscope.information.views import Views
from unetscope.information.windows import position_features, read_patches

WINDOWS: Mapping[int, tuple[int, ...]] = {2: (1, 3, 7, 15), 3: (1, 3, 5)}
"""Sides of the windows, in pixels, by the number of axes."""


def measure_floors(
    bench: Bench, views: Views, pixels: Pixels, families: tuple[Family, ...]
) -> Iterator[tuple[str, Quantity]]:
    """Usable information without a network, reference by reference.

    Args:
        bench: The pixels as they are judged.
        views: The images.
        pixels: The pixels as they are read.
        families: Readers; the first one's references carry the plain names.

    Yields:
        Name and value: "position", "patch 1", "patch 3", ...; of further families "patch 1 mlp", ...
    """
    first, *others = families
    yield POSITION, bench.information(first, position_features(pixels))
    for size in WINDOWS[views.ndim]:
        window = read_patches(views, pixels, size)
        yield f"patch {size}", bench.information(first, window)
        for family in others:
            yield f"patch {size} {family.name}", bench.information(family, window)
