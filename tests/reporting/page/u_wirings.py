"""Networks of every shape for tests of the U: ours, other people's, and any that data can flow through."""

from __future__ import annotations

from hypothesis import strategies as st

from unetscope.model.spec import UNetSpec
from unetscope.wiring import Wiring

OURS = {
    "lee2021": UNetSpec.preset("lee2021"),
    "default": UNetSpec.preset("default"),
    "flat": UNetSpec.preset("flat"),
    "wide": UNetSpec.preset("ronneberger2015"),
    "volumes": UNetSpec.preset("default", ndim=3),
    "flat volumes": UNetSpec.by_level((4, 8, 8, 8), ndim=3, strides=((1, 2, 2), (2, 2, 2), (2, 2, 2)), convolutions=1),
    "slim": UNetSpec.by_level((21, 21, 21), skips=(1,)),
    "no depth": UNetSpec.by_level((4,)),
    "narrow": UNetSpec.by_level((1, 1, 1, 1, 1, 1), convolutions=4, down="strided"),
}

NESTED = Wiring(
    {
        "x00": ("image",),
        "x10": ("x00",),
        "up01": ("x10",),
        "x01": ("x00", "up01"),
        "x20": ("x10",),
        "up11": ("x20",),
        "x11": ("x10", "up11"),
        "up02": ("x11",),
        "x02": ("x00", "x01", "up02"),
        "out": ("x02",),
    },
    {
        **dict.fromkeys(("x00", "up01", "x01", "up02", "x02", "out"), (1, 1)),
        **dict.fromkeys(("x10", "up11", "x11"), (2, 2)),
        "x20": (4, 4),
    },
    {},
)
"""Skips within skips, and channels that nobody knows."""

RESIDUAL = Wiring(
    {
        "model.0": ("image",),
        "model.1.submodule.0": ("model.0",),
        "model.1.submodule.1": ("model.1.submodule.0",),
        "model.1.submodule.2": ("model.1.submodule.0", "model.1.submodule.1"),
        "model.2": ("model.0", "model.1.submodule.2"),
    },
    {
        "model.0": (2, 2),
        "model.1.submodule.0": (4, 4),
        "model.1.submodule.1": (4, 4),
        "model.1.submodule.2": (2, 2),
        "model.2": (1, 1),
    },
    {"image": 1, "model.0": 16, "model.1.submodule.0": 32, "model.1.submodule.1": 64, "model.1.submodule.2": 16},
)
"""Skips that begin a row below the layer that reads them."""

WIRINGS = {**{name: spec.wiring for name, spec in OURS.items()}, "nested": NESTED, "residual": RESIDUAL}

WIDTHS = st.sampled_from([1, 2, 3, 16, 21, 64, 257, 1024])


@st.composite
def unets(draw):
    depth = draw(st.integers(0, 5))
    return UNetSpec.by_level(
        tuple(draw(st.lists(WIDTHS, min_size=depth + 1, max_size=depth + 1))),
        convolutions=draw(st.integers(1, 4)),
        down=draw(st.sampled_from(["max", "strided"])),
        skips=tuple(level for level in range(depth) if draw(st.booleans())),
        ndim=draw(st.integers(2, 3)),
    ).wiring


@st.composite
def any_wirings(draw):
    """Layers of any resolution that read any layers before them."""
    names = ["image"]
    sources, strides, widths = {}, {}, {"image": draw(WIDTHS)}
    for number in range(draw(st.integers(1, 12))):
        layer = f"{draw(st.sampled_from(['encoder.0', 'a.very.long.path.of.modules', 'x']))}.layer{number}"
        sources[layer] = tuple(draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True)))
        strides[layer] = (2 ** draw(st.integers(0, 4)),) * 2
        widths[layer] = draw(WIDTHS)
        names.append(layer)
    return Wiring(sources, strides, widths)
