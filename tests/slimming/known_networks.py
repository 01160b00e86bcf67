"""Networks that were never trained, and profiles in which what is true of them is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from unetscope.checkpoint import Checkpoint
from unetscope.data.normalization import Normalization
from unetscope.information.findings import Channel, Gate, LayerProfile, Part, Word
from unetscope.information.intervals import Interval
from unetscope.information.profile import Profile
from unetscope.information.quantity import GATE_SHARE, Quantity
from unetscope.information.tally import Tally
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet

SPEC = UNetSpec.by_level((8, 8, 12, 16), norm="batch")
PRIOR = 0.5
NOTHING = GATE_SHARE * PRIOR
"""Bits below which a part is redundant."""

Truth = tuple[float, float]
"""What is lost, and how far it scatters over the images."""

NO, YES, PERHAPS_NO, PERHAPS_YES = (0.1, 0.001), (0.0, 1e-5), (0.011, 0.1), (0.0, 0.1)
"""Of bits and of Dice: needed and known, not needed and known, and both without being known."""


def measure(truth: Truth, scale: float) -> Quantity:
    """A quantity of exactly that mean, whose images differ from it by as much to either side."""
    mean, spread = truth
    return Quantity(Tally.of(mean + spread * np.tile([-1.0, 1.0], 20)), scale, GATE_SHARE)


def make_part(source: str, kind: Any, bits: Truth, dice: Truth, is_flat: bool = False) -> Part:
    added = measure(bits, PRIOR)
    return Part(source, kind, {"linear": added}, {"linear": added}, added, measure(dice, 1.0), is_flat)


def make_checkpoint(spec: UNetSpec = SPEC) -> Checkpoint:
    return Checkpoint(spec, UNet(spec).state_dict(), Normalization("image"), ("background", "cell"))


def make_profile(
    checkpoint: Checkpoint,
    ups: Mapping[int, tuple[Truth, Truth]] = {},
    skips: Mapping[int, tuple[Truth, Truth]] = {},
    dead: Mapping[int, str] = {},
    ranks: Mapping[str, float] = {},
    worths: Mapping[str, tuple[float, ...]] = {},
) -> Profile:
    """A profile in which all is needed but for what is said: (bits, Dice) by level, ranks and worths by layer."""
    spec = checkpoint.spec

    def gate(join: str) -> Gate:
        level = spec.level(join)
        parts = tuple(
            make_part(source, kind, *said.get(level, (NO, NO)), dead.get(level) == kind)
            for source, kind, said in zip(spec.sources(join), ("skip", "up"), (skips, ups), strict=True)
        )
        return Gate(join, spec.stride(join), parts, {"linear": measure(NO, PRIOR)})

    def layer(name: str) -> LayerProfile:
        bits = {"linear": measure((0.3, 0.01), PRIOR), "shuffled": measure((0.0, 0.01), PRIOR)}
        rank = ranks.get(name, float(spec.width(name)))
        return LayerProfile(name, spec.stride(name), spec.width(name), bits, rank, channels(worths.get(name, ())))

    def channels(values: tuple[float, ...]) -> tuple[Channel, ...]:
        words: tuple[Word, ...] = tuple("needed" if value > NOTHING else "redundant" for value in values)
        return tuple(
            Channel(0.5, Interval(value, value, value), word) for value, word in zip(values, words, strict=True)
        )

    return Profile(
        name="known",
        wiring=spec.wiring,
        classes=("background", "cell"),
        images=tuple(map(str, range(40))),
        prior=measure((PRIOR, 0.01), PRIOR),
        floors={"position": measure((0.05, 0.01), PRIOR), "patch 1": measure((0.1, 0.01), PRIOR)},
        layers=tuple(map(layer, spec.wiring.layers)),
        gates=tuple(map(gate, spec.wiring.joins())),
        settings={},
        provenance={"weights": checkpoint.digest()},
    )
