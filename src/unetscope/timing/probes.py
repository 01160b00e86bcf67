"""The small networks whose times tell what work costs: drawn from all that a spec can say; knows no engine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any, get_args

from unetscope.model.cost import count_cost
from unetscope.model.geometry import fitting_shape
from unetscope.model.spec import Activation, Norm, UNetSpec, Up

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNT = 96
DEPTHS = (1, 1, 2, 2, 3, 4)  # shallow networks tell more in the same time
TOP_WIDTHS = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
WIDEST = 256
SIDES = {2: (160, 1440), 3: (24, 112)}  # pixels
LARGE_SIDES = (900, 1440)
LARGE = 0.1  # share of large probes, beyond what is drawn by chance
MOST_MULTIPLY_ADDS = 10e9
MOST_ACTIVATIONS = 1e8  # numbers alive at once


@dataclass(frozen=True)
class Probe:
    """A network and the shape of the block that it is timed on."""

    spec: UNetSpec
    shape: tuple[int, ...]


@cache
def draw_probes(count: int = COUNT) -> tuple[Probe, ...]:
    """Probes in the order in which they are to be measured, the same ones always.

    Args:
        count: How many.

    Example:
        >>> probes = draw_probes(8)
        >>> {probe.spec.ndim for probe in probes}, probes == draw_probes(16)[:8]
        ({2, 3}, True)
    """
    return tuple(islice(_draw_all(Random(0)), count))


def _draw_all(random: Random) -> Iterator[Probe]:
    while True:
        spec = _draw_spec(random)
        shape = fitting_shape(spec, (random.randint(*SIDES[spec.ndim]),) * spec.ndim)
        if (probe := _shrink(Probe(spec, shape))) is not None:
            yield probe
        if random.random() < LARGE:
            yield _draw_large(random)


def _draw_spec(random: Random) -> UNetSpec:
    depth, top, growth = random.choice(DEPTHS), random.choice(TOP_WIDTHS), random.choice((1, 2))
    up = random.choice(get_args(Up))
    options: dict[str, Any] = {
        "ndim": random.choice((2, 2, 2, 3, 3)),
        "up": up,
        "down": random.choice(("max", "max" if up == "unpool" else "strided")),
        "norm": random.choice(get_args(Norm)),
        "activation": random.choice(get_args(Activation)),
        "padded": random.random() < 0.6,
        "convolutions": random.choice((1, 2)),
        "image_channels": random.choice((1, 1, 3)),
        "classes": random.choice((1, 2, 3, 4)),
        "skips": random.choice((None, None, None, ())),
    }
    return UNetSpec.by_level([min(WIDEST, top * growth**level) for level in range(depth + 1)], **options)


def _draw_large(random: Random) -> Probe:
    """A narrow network on a block of which single maps are too large to be kept at hand."""
    width, norm = random.choice((16, 24)), random.choice(get_args(Norm))
    spec = UNetSpec.by_level((width, width), convolutions=1, norm=norm, up=random.choice(get_args(Up)))
    return Probe(spec, fitting_shape(spec, (random.randint(*LARGE_SIDES),) * 2))


def _shrink(probe: Probe) -> Probe | None:
    """The probe on a block so small that it is quick, if there is one."""
    while not _is_quick(probe):
        smaller = fitting_shape(probe.spec, tuple(side * 3 // 4 for side in probe.shape))
        if smaller == probe.shape:
            return None
        probe = Probe(probe.spec, smaller)
    return probe


def _is_quick(probe: Probe) -> bool:
    cost = count_cost(probe.spec, probe.shape)
    return cost.multiply_adds <= MOST_MULTIPLY_ADDS and cost.peak_activations <= MOST_ACTIVATIONS
