"""What is found at a layer and at a gate, as values: bits, dead, redundant, needed; measures nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from unetscope.information.intervals import Interval
from unetscope.information.quantity import GATE_SHARE, Quantity

LINEAR, MLP, CONVOLUTIONAL = "linear", "mlp", "convolutional"
UNTRAINED, SHUFFLED, EDGE, INSIDE, INPUT = "untrained", "shuffled", "edge", "inside", "input"
POSITION = "position"

Word = Literal["dead", "redundant", "needed", "cannot tell"]
Kind = Literal["skip", "up"]

CURES: Mapping[Word, str] = {
    "dead": "it does not vary at all, which is a fault of training: retrain with a norm, another seed or a smaller "
    "learning rate, and cut it only if it stays dead",
    "redundant": "what it carries is known without it: a network without it can be tried",
    "needed": "keep it",
    "cannot tell": "profile more images",
}


@dataclass(frozen=True)
class Status:
    """What a path or a channel is for.

    Attributes:
        word: "dead": it has no variance over the images; "redundant": it varies and adds less than the threshold given
            the rest; "needed": it adds more; "cannot tell": the interval holds the threshold.
        images: About how many images would tell; None where they told, or where no number would.
    """

    word: Word
    images: int | None = None

    @property
    def cure(self) -> str:
        """What to do about it."""
        return CURES[self.word]


def judge_part(added: Quantity, is_flat: bool, share: float = GATE_SHARE) -> Status:
    """Dead, redundant, needed, or not to be told.

    Args:
        added: What it adds given the rest.
        is_flat: It has no variance.
        share: Share of H0 that counts as nothing.
    """
    if is_flat:
        return Status("dead")
    threshold = share * added.scale
    verdict = added.decide(threshold)
    if verdict.word != "ok":
        return Status("cannot tell", verdict.images)
    return Status("needed" if added.value > threshold else "redundant")


@dataclass(frozen=True)
class Channel:
    """One channel of a layer.

    Attributes:
        variance: Over all pixels of the profiled images, relative to its mean square; 0 for a dead one.
        worth: Bits per pixel that the linear probe loses when the channel is replaced by what the others tell of it.
        word: What it is for.
    """

    variance: float
    worth: Interval
    word: Word


@dataclass(frozen=True, eq=False)
class LayerProfile:
    """What one layer knows.

    Attributes:
        layer: Its name.
        stride: Image pixels per position, per axis.
        width: Channels.
        bits: Quantities by name. "linear" and "mlp": usable label information of that family; "untrained": the linear
            one of the untrained twin; "shuffled": of the layer itself with labels exchanged between images; "edge" and
            "inside": the linear one near label edges and elsewhere, each against its own H0; "input": Gaussian
            information about the principal components of the input patch.
        effective_rank: How many channels' worth of directions its activations use.
        components: Principal components that keep 99 % of its usable bits; None where that was not measured, or where
            it tells nothing.
        channels: Its channels; none where networks were pooled, whose channels do not correspond.
    """

    layer: str
    stride: tuple[int, ...]
    width: int
    bits: Mapping[str, Quantity]
    effective_rank: float
    channels: tuple[Channel, ...] = ()
    components: int | None = None

    @property
    def linear(self) -> Quantity:
        """What the next 1x1 convolution reads."""
        return self.bits[LINEAR]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "layer": self.layer,
            "stride": list(self.stride),
            "width": self.width,
            "effective_rank": round(self.effective_rank, 4),
            "components": self.components,
            "bits": {name: quantity.to_json() for name, quantity in self.bits.items()},
            "channels": [
                {"variance": float(f"{one.variance:.4g}"), "worth": one.worth.to_json(), "word": one.word}
                for one in self.channels
            ],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The layer that `to_json` wrote."""
        channels = (
            Channel(one["variance"], Interval.from_json(one["worth"]), one["word"]) for one in content["channels"]
        )
        bits = {name: Quantity.from_json(value) for name, value in content["bits"].items()}
        rank = content["effective_rank"]
        shape, components = (tuple(content["stride"]), content["width"]), content.get("components")
        return cls(content["layer"], *shape, bits, rank, tuple(channels), components)


@dataclass(frozen=True, eq=False)
class Part:
    """One of the sources that meet at a gate.

    Attributes:
        source: The layer it comes from.
        kind: "up" for the latest of the sources, "skip" for the others.
        alone: I(part), by family.
        added: I(part | the rest), by family: conditional usable information.
        beyond_position: I(part | the rest and the coordinate), linear.
        lost_dice: Dice lost when the part becomes its mean, for the join alone.
        is_flat: It has no variance over the images.
    """

    source: str
    kind: Kind
    alone: Mapping[str, Quantity]
    added: Mapping[str, Quantity]
    beyond_position: Quantity
    lost_dice: Quantity
    is_flat: bool

    @property
    def status(self) -> Status:
        """What it is for, to a linear reader."""
        return judge_part(self.added[LINEAR], self.is_flat)

    @property
    def flips(self) -> tuple[str, ...]:
        """Families whose decision contradicts the linear one."""
        words = {name: judge_part(quantity, self.is_flat).word for name, quantity in self.added.items()}
        opposite = {"redundant": "needed", "needed": "redundant"}.get(words[LINEAR])
        return tuple(name for name, word in words.items() if word == opposite)

    def to_json(self) -> dict[str, Any]:
        """Plain values; the status is there for readers."""
        return {
            "source": self.source,
            "kind": self.kind,
            "status": asdict(self.status),
            "flips": list(self.flips),
            "is_flat": self.is_flat,
            "alone": {name: quantity.to_json() for name, quantity in self.alone.items()},
            "added": {name: quantity.to_json() for name, quantity in self.added.items()},
            "beyond_position": self.beyond_position.to_json(),
            "lost_dice": self.lost_dice.to_json(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The part that `to_json` wrote."""
        alone, added = (
            {family: Quantity.from_json(value) for family, value in content[name].items()}
            for name in ("alone", "added")
        )
        return cls(
            source=content["source"],
            kind=content["kind"],
            alone=alone,
            added=added,
            beyond_position=Quantity.from_json(content["beyond_position"]),
            lost_dice=Quantity.from_json(content["lost_dice"]),
            is_flat=content["is_flat"],
        )


@dataclass(frozen=True, eq=False)
class Gate:
    """Where a skip and the up path meet.

    Attributes:
        join: The layer that reads them concatenated.
        stride: Image pixels per position, per axis.
        parts: What meets, in the order of the channels.
        together: I(all parts), by family.

    Source:
        Conditional probing: Hewitt, Ethayarajh, Liang, Manning 2021, EMNLP.
    """

    join: str
    stride: tuple[int, ...]
    parts: tuple[Part, ...]
    together: Mapping[str, Quantity]

    def part(self, kind: Kind) -> Part:
        """The up path, or the (first) skip."""
        return next(part for part in self.parts if part.kind == kind)

    def shared(self, family: str = LINEAR) -> Quantity:
        """Co-information of two parts, I(S) + I(U) - I(S,U): negative where they tell more together than apart.

        Redundancy lies between this (or 0) and the smaller of I(S) and I(U).
        """
        first, second = (part.alone[family] for part in self.parts[:2])
        both = self.together[family]
        return Quantity(first.tally + second.tally - both.tally, both.scale, first.allowed)

    def redundancy(self, family: str = LINEAR) -> tuple[float, float]:
        """Bounds, in bits, of what two parts tell alike; no estimate of it is free of further assumptions."""
        least = min(part.alone[family].value for part in self.parts[:2])
        most = max(0.0, least)
        return min(most, max(0.0, self.shared(family).value)), most

    def unique(self, kind: Kind, family: str = LINEAR) -> tuple[float, float]:
        """Bounds, in bits, of what only this part tells."""
        part = self.part(kind)
        others = max(other.alone[family].value for other in self.parts if other is not part)
        alone, added = part.alone[family].value, part.added[family].value
        most = max(0.0, min(alone, added))
        return min(most, max(0.0, alone - others)), most

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "join": self.join,
            "stride": list(self.stride),
            "together": {name: quantity.to_json() for name, quantity in self.together.items()},
            "parts": [part.to_json() for part in self.parts],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The gate that `to_json` wrote."""
        together = {name: Quantity.from_json(value) for name, value in content["together"].items()}
        parts = tuple(map(Part.from_json, content["parts"]))
        return cls(content["join"], tuple(content["stride"]), parts, together)
