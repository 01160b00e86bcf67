"""The profile of a network as a value: usable information at every layer and gate with its controls; measures nothing.

Every number is a `Quantity`: sums within images, from which its interval and its verdict follow. `profiling` measures,
`sentences` says it in words, `reporting` draws it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from unetscope.errors import DataError
from unetscope.files import read_json, write_json
from unetscope.information.findings import POSITION, SHUFFLED, UNTRAINED, Gate, LayerProfile, Part
from unetscope.information.profile_text import lay_out
from unetscope.information.quantity import Quantity
from unetscope.information.verdicts import judge_control
from unetscope.tables import to_html
from unetscope.wiring import Wiring

FORMAT = 2


@dataclass(frozen=True, eq=False)
class Profile:
    """Usable information at every layer and gate of a network, with its references and all that determined it.

    Attributes:
        name: What the network is called.
        wiring: What feeds each of its layers.
        classes: Names of the classes, the background first.
        images: Names of the images that were profiled.
        prior: H0, the entropy of a pixel's label, as the bias-only predictor pays it on held-out images.
        floors: Usable information without any network, by what is read: "position" (the relative coordinate), and
            "patch 1", "patch 3", ... (windows of the input, linear) with " mlp" after those of the larger family.
        layers: Every layer, in the order that data meets them.
        gates: Every join, likewise.
        settings: How it was profiled.
        provenance: Versions, digests, split, spec of the network where it is ours.
        networks: How many networks were pooled.
        warnings: What limits the profile, as sentences.
    """

    name: str
    wiring: Wiring = field(repr=False)
    classes: tuple[str, ...]
    images: tuple[str, ...] = field(repr=False)
    prior: Quantity
    floors: Mapping[str, Quantity]
    layers: tuple[LayerProfile, ...] = field(repr=False)
    gates: tuple[Gate, ...] = field(repr=False)
    settings: Mapping[str, Any]
    provenance: Mapping[str, Any] = field(repr=False)
    networks: int = 1
    warnings: tuple[str, ...] = ()

    def layer(self, name: str) -> LayerProfile:
        """The layer of that name.

        Raises:
            DataError: There is none.
        """
        for layer in self.layers:
            if layer.layer == name:
                return layer
        raise DataError(f"the profile has no layer {name!r}; use one of {', '.join(one.layer for one in self.layers)}")

    @cached_property
    def control_failures(self) -> tuple[str, ...]:
        """Layers at which shuffled labels can be read better than the position explains: their bits prove nothing."""
        position, prior = self.floors[POSITION].tally, self.prior.value
        return tuple(one.layer for one in self.layers if judge_control(one.bits[SHUFFLED].tally, position, prior))

    def word(self, layer: LayerProfile) -> str:
        """The verdict of a layer's linear value: "ok", "cannot tell" or "fails control"."""
        return "fails control" if layer.layer in self.control_failures else layer.linear.verdict.word

    def beyond_position(self, layer: LayerProfile) -> Quantity:
        """Bits of a layer above what the coordinate alone tells: what advice rests on."""
        return layer.linear.minus(self.floors[POSITION])

    def beyond_twin(self, layer: LayerProfile) -> Quantity:
        """Bits of a layer above those of the untrained twin: what training added."""
        return layer.linear.minus(layer.bits[UNTRAINED])

    def summary(self) -> dict[str, Any]:
        """The values with their intervals and words, without what they were formed from."""
        return {
            "prior": self.prior.interval.to_json(),
            "floors": {name: quantity.interval.to_json() for name, quantity in self.floors.items()},
            "layers": [
                {"layer": one.layer, "word": self.word(one)}
                | {name: quantity.interval.to_json() for name, quantity in one.bits.items()}
                for one in self.layers
            ],
            "gates": [
                {
                    "join": gate.join,
                    "source": part.source,
                    "kind": part.kind,
                    "word": part.status.word,
                    "added": {name: quantity.interval.to_json() for name, quantity in part.added.items()},
                    "lost_dice": part.lost_dice.interval.to_json(),
                }
                for gate in self.gates
                for part in gate.parts
            ],
        }

    def to_json(self) -> dict[str, Any]:
        """Plain values from which `from_json` makes the same profile; verdicts are there for readers."""
        return {
            "format": FORMAT,
            "unit": "bits per pixel",
            "name": self.name,
            "networks": self.networks,
            "warnings": list(self.warnings),
            "control_failures": list(self.control_failures),
            "classes": list(self.classes),
            "settings": dict(self.settings),
            "prior": self.prior.to_json(),
            "floors": {name: quantity.to_json() for name, quantity in self.floors.items()},
            "gates": [gate.to_json() for gate in self.gates],
            "layers": [layer.to_json() for layer in self.layers],
            "images": list(self.images),
            "wiring": self.wiring.to_json(),
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The profile that `to_json` wrote.

        Raises:
            DataError: Entries are missing or damaged, or another version wrote them.
        """
        if not isinstance(content, Mapping) or content.get("format") != FORMAT or "gates" not in content:
            raise DataError(f"the profile is not of format {FORMAT}; use the version that wrote it, or profile again")
        try:
            return cls(
                name=content["name"],
                wiring=Wiring.from_json(content["wiring"]),
                classes=tuple(content["classes"]),
                images=tuple(content["images"]),
                prior=Quantity.from_json(content["prior"]),
                floors=_read_floors(content["floors"]),
                layers=tuple(map(LayerProfile.from_json, content["layers"])),
                gates=tuple(map(Gate.from_json, content["gates"])),
                settings=content["settings"],
                provenance=content["provenance"],
                networks=content["networks"],
                warnings=tuple(content["warnings"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"the profile is incomplete or altered ({error}); restore the file, or profile again"
            ) from error

    def _repr_html_(self) -> str:
        """How a notebook displays it."""
        return to_html(lay_out(self))

    def save(self, path: Path | str) -> None:
        """Write a file of JSON that a person can read.

        Raises:
            OutputError: The file cannot be written.
        """
        write_json(Path(path), self.to_json())

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read the file that `save` wrote.

        Raises:
            DataError: The file is missing, damaged or no profile.
        """
        return read_json(Path(path), cls.from_json, "profile", "profile")


def _read_floors(content: Mapping[str, Any]) -> dict[str, Quantity]:
    """The position and at least one window: every sentence of a profile compares with them."""
    if POSITION not in content or len(content) == 1:
        raise ValueError(f"the floors {', '.join(content) or 'none'} are not {POSITION!r} and windows")
    return {name: Quantity.from_json(value) for name, value in content.items()}


def pool_profiles(profiles: Sequence[Profile]) -> Profile:
    """Profiles of several networks of one design as one, whose intervals hold networks and images.

    Args:
        profiles: Of the same layers: other seeds, or the networks of a cross-validation.

    Returns:
        Their means. Channels are left out, since those of two networks do not correspond.

    Raises:
        DataError: None came, or their layers differ.
    """
    if not profiles:
        raise DataError("no profile came; give at least one")
    first = profiles[0]
    if len(profiles) == 1:
        return first
    if any(one.wiring.layers != first.wiring.layers or set(one.floors) != set(first.floors) for one in profiles):
        raise DataError("the networks have different layers or settings; pool profiles of one design only")
    return replace(
        first,
        images=tuple(dict.fromkeys(image for one in profiles for image in one.images)),
        prior=Quantity.pool([one.prior for one in profiles]),
        floors=_pool_named([one.floors for one in profiles]),
        layers=tuple(_pool_layers(layers) for layers in zip(*(one.layers for one in profiles), strict=True)),
        gates=tuple(_pool_gates(gates) for gates in zip(*(one.gates for one in profiles), strict=True)),
        provenance={"networks": [dict(one.provenance) for one in profiles]},
        networks=sum(one.networks for one in profiles),
        warnings=tuple(dict.fromkeys(warning for one in profiles for warning in one.warnings)),
    )


def _pool_named(named: Sequence[Mapping[str, Quantity]]) -> dict[str, Quantity]:
    return {name: Quantity.pool([one[name] for one in named]) for name in named[0] if all(name in one for one in named)}


def _pool_layers(layers: Sequence[LayerProfile]) -> LayerProfile:
    rank = sum(layer.effective_rank for layer in layers) / len(layers)
    return replace(layers[0], bits=_pool_named([layer.bits for layer in layers]), effective_rank=rank, channels=())


def _pool_gates(gates: Sequence[Gate]) -> Gate:
    parts = tuple(_pool_parts(parts) for parts in zip(*(gate.parts for gate in gates), strict=True))
    return replace(gates[0], parts=parts, together=_pool_named([gate.together for gate in gates]))


def _pool_parts(parts: Sequence[Part]) -> Part:
    """The same part of several networks; it counts as dead only if it is in all of them."""
    return replace(
        parts[0],
        alone=_pool_named([part.alone for part in parts]),
        added=_pool_named([part.added for part in parts]),
        beyond_position=Quantity.pool([part.beyond_position for part in parts]),
        lost_dice=Quantity.pool([part.lost_dice for part in parts]),
        is_flat=all(part.is_flat for part in parts),
    )
