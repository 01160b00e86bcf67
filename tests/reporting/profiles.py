"""Believable profiles of networks that were never trained, for tests of what is drawn and said of profiles."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace as change

import numpy as np

from unetscope.information.findings import Channel, Gate, LayerProfile, Part
from unetscope.information.intervals import Interval
from unetscope.information.profile import Profile
from unetscope.information.quantity import GATE_SHARE, VALUE_SHARE, Quantity
from unetscope.information.tally import Tally
from unetscope.model.spec import UNetSpec
from unetscope.wiring import Wiring

PIXELS = 256

SPECS = {
    "lee2021": UNetSpec.preset("lee2021"),
    "depth 1": UNetSpec.by_level((4, 8), convolutions=3, down="strided"),
    "depth 0": UNetSpec.by_level((4,)),
    "volumes": UNetSpec.by_level((4, 8, 8, 8), ndim=3, strides=((1, 2, 2), (2, 2, 2), (2, 2, 2)), convolutions=1),
}

FOREIGN = Wiring(
    {
        "conv_0.conv_0.conv": ("image",),
        "conv_0.conv_1.conv": ("conv_0.conv_0.conv",),
        "down_1.convs.conv_0.conv": ("conv_0.conv_1.conv",),
        "down_1.convs.conv_1.conv": ("down_1.convs.conv_0.conv",),
        "down_2.convs.conv_0.conv": ("down_1.convs.conv_1.conv",),
        "upcat_2.convs.conv_0.conv": ("down_1.convs.conv_1.conv", "down_2.convs.conv_0.conv"),
        "upcat_1.upsample.deconv": ("upcat_2.convs.conv_0.conv",),
        "upcat_1.convs.conv_0.conv": ("conv_0.conv_1.conv", "upcat_1.upsample.deconv"),
        "final_conv": ("upcat_1.convs.conv_0.conv",),
    },
    {
        "conv_0.conv_0.conv": (1, 1),
        "conv_0.conv_1.conv": (1, 1),
        "down_1.convs.conv_0.conv": (2, 2),
        "down_1.convs.conv_1.conv": (2, 2),
        "down_2.convs.conv_0.conv": (4, 4),
        "upcat_2.convs.conv_0.conv": (2, 2),
        "upcat_1.upsample.deconv": (1, 1),
        "upcat_1.convs.conv_0.conv": (1, 1),
        "final_conv": (1, 1),
    },
    {},
)
"""Another library's names; one of its up paths has no layer of its own."""

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
"""Skips within skips: three sources meet, and joins stand on the way down."""

SMALL = Wiring(
    {"a": ("image",), "b": ("a",), "up": ("b",), "out": ("a", "up")},
    {"a": (1, 1), "b": (2, 2), "up": (1, 1), "out": (1, 1)},
    {},
)
"""The least that has a gate."""

WIRINGS = {**{name: spec.wiring for name, spec in SPECS.items()}, "foreign": FOREIGN, "nested": NESTED}


@dataclass
class Draw:
    """Quantities with given truths over images that differ; what is drawn together is paired."""

    images: int
    prior: float
    networks: int = 1
    seed: int = 0

    def __post_init__(self):
        self.chance = np.random.default_rng(self.seed)
        self.effect = self.chance.normal(0, 1, self.images)

    def bits(self, truth, noise=0.03, allowed=VALUE_SHARE, curve=(), scale=None):
        """A quantity of that mean, in bits per pixel."""
        scale = scale or self.prior
        spread = noise * scale
        tallies = [self._tally(truth, spread) for _ in range(self.networks)]
        points = tuple((share, truth * (1.0 - 0.1 * (1 / share - 1) / 7)) for share in curve)
        return Quantity(Tally.pool(tallies), scale, allowed, points)

    def dice(self, truth, noise=0.4):
        """A quantity of that mean, in Dice."""
        values = truth + noise * truth * self.effect + noise * truth * self.chance.normal(0, 1, self.images)
        return Quantity(Tally.of(values), 1.0, GATE_SHARE)

    def _tally(self, truth, spread):
        values = truth + spread * (0.7 * self.effect + 0.7 * self.chance.normal(0, 1, self.images))
        values += self.chance.normal(0, spread / 10)
        return Tally.of(PIXELS * values, np.full(self.images, float(PIXELS)))


WORDS = {
    "needed": (0.18, 0.04, False, 0.12),
    "redundant": (0.0008, 0.002, False, 0.001),
    "dead": (0.0, 0.0, True, 0.0),
    "cannot tell": (0.012, 0.05, False, 0.01),
}
"""What is drawn so that a part has that status: added share of H0, its noise, whether it is flat, lost Dice."""


def make_profile(
    wiring=FOREIGN,
    images=65,
    prior=0.57,
    skill=1.0,
    networks=1,
    failing=(),
    words=None,
    seed=0,
    name="nuclei-16-32-64",
):
    """A profile of a network of that wiring.

    Args:
        wiring: The network.
        images: How many were profiled.
        prior: H0.
        skill: How well it is trained, from 0 to 1.
        networks: How many were pooled.
        failing: Layers at which the control fails.
        words: For (join, source) the status that it shall have; by default the deeper, the less.
        seed: Start of the random numbers.
        name: Its name.
    """
    draw = Draw(images, prior, networks, seed)
    position = 0.08
    floors = {"position": draw.bits(position * prior)}
    for size, share in ((1, 0.2), (3, 0.27), (7, 0.36), (15, 0.41)):
        floors[f"patch {size}"] = draw.bits(share * prior)
        floors[f"patch {size} mlp"] = draw.bits((share + 0.04) * prior)
    return Profile(
        name=name,
        wiring=wiring,
        classes=("background", "nucleus"),
        images=tuple(f"image {number}" for number in range(images)),
        prior=draw.bits(prior, 0.2),
        floors=floors,
        layers=tuple(
            _make_layer(draw, wiring, number, skill, layer in failing) for number, layer in enumerate(wiring.layers)
        ),
        gates=tuple(_make_gate(draw, wiring, join, words or {}) for join in wiring.joins()),
        settings={"role": "profile", "seed": seed, "folds": 5},
        provenance={},
        networks=networks,
    )


def _make_layer(draw, wiring, number, skill, fails):
    layer, prior = wiring.layers[number], draw.prior
    way = (number + 1) / len(wiring.layers)
    depth = float(np.log2(max(wiring.strides[layer])))
    untrained = (0.3 + 0.05 * way - 0.05 * depth) * prior
    linear = untrained + skill * (0.05 + 0.4 * way - 0.03 * depth) * prior
    bits = {"linear": draw.bits(linear, 0.25 if number % 5 == 3 else 0.1)}
    if (len(wiring.layers) - 1 - number) % 2 == 0:
        bits["mlp"] = draw.bits(linear + 0.04 * prior, 0.1)
    bits["untrained"] = draw.bits(untrained)
    bits["shuffled"] = draw.bits((0.3 if fails else 0.07) * prior)
    bits["edge"] = draw.bits(0.6 * linear / prior * 0.9, 0.1, scale=0.9)
    bits["inside"] = draw.bits(linear / prior * 0.3, 0.1, scale=0.3)
    bits["input"] = draw.bits(40 * (1 - 0.9 * way * (0.5 + 0.5 * skill)), 3)
    channel = Channel(0.4, Interval(0.01, 0.005, 0.015), "needed")
    return LayerProfile(layer, wiring.strides[layer], wiring.widths.get(layer, 8), bits, 3.2, (channel,) * 4)


def _make_gate(draw, wiring, join, words):
    depth = int(np.log2(max(wiring.strides[join])))
    default = ("needed", "needed", "cannot tell", "dead")[min(depth, 3)]
    sources = wiring.sources[join]
    parts = []
    for number, source in enumerate(sources):
        kind = "up" if number == len(sources) - 1 else "skip"
        word = words.get((join, source), default if kind == "up" else ("needed", "redundant")[depth % 2])
        parts.append(_make_part(draw, source, kind, word, depth))
    both = draw.bits(0.6 * draw.prior, 0.1)
    return Gate(join, wiring.strides[join], tuple(parts), {"linear": both, "mlp": both})


def _make_part(draw, source, kind, word, depth):
    share, noise, flat, dice = WORDS[word]
    share, noise = share / (1 + depth), noise / (1 + depth)
    added = {
        "linear": draw.bits(share * draw.prior, noise, GATE_SHARE, (0.125, 0.25, 0.5, 1.0)),
        "mlp": draw.bits(0.8 * share * draw.prior, noise, GATE_SHARE),
    }
    alone = {family: draw.bits((0.4 + share) * draw.prior, 0.1) for family in added}
    beyond = draw.bits(0.9 * share * draw.prior, noise, GATE_SHARE)
    return Part(source, kind, alone, added, beyond, draw.dice(dice), flat)


def make_epochs(wiring=FOREIGN, epochs=(0, 5, 10, 20, 40), **settings):
    """Profiles of one network while it learned."""
    last = max(epochs) or 1
    return [
        (epoch, change(make_profile(wiring, skill=(epoch / last) ** 0.5, **settings), name=f"epoch {epoch}"))
        for epoch in epochs
    ]
