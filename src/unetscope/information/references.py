"""What can be told without any network: from windows of the input, and from the position alone; knows no layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from unetscope.information.bench import Bench
from unetscope.information.estimators.family import Family
from unetscope.information.findings import POSITION
from unetscope.information.pixels import Pixels
from unetscope.information.quantity import Quantity
from unetscope.information.views import Views
from unetscope.information.windows import position_features, read_patches

WINDOWS: Mapping[int, tuple[int, ...]] = {2: (1, 3, 7, 15), 3: (1, 3, 5)}
"""Sides of the windows, in pixels, by the number of axes."""


def plan_floors(
    bench: Bench, views: Views, pixels: Pixels, families: tuple[Family, ...]
) -> Iterator[Callable[[], dict[str, Quantity]]]:
    """Usable information without a network, as tasks that can be done side by side.

    Args:
        bench: The pixels as they are judged.
        views: The images.
        pixels: The pixels as they are read.
        families: Readers; the first one's references carry the plain names.

    Yields:
        What measures some of them, by name: "position", "patch 1", "patch 3", ...; of further families "patch 1 mlp",
        ...
    """
    yield lambda: {POSITION: bench.information(families[0], position_features(pixels))}
    for size in WINDOWS[views.ndim]:
        yield partial(_measure_patch, bench, views, pixels, families, size)


def _measure_patch(
    bench: Bench, views: Views, pixels: Pixels, families: tuple[Family, ...], size: int
) -> dict[str, Quantity]:
    """What windows of one size tell."""
    window = read_patches(views, pixels, size)
    names = (f"patch {size}" if family is families[0] else f"patch {size} {family.name}" for family in families)
    return {name: bench.information(family, window) for name, family in zip(names, families, strict=True)}
