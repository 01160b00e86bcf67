"""Which layer reads which, for any network; knows names and numbers, neither torch nor U-Nets.

Everything that walks a network (capture, gates, cost, drawings) asks a `Wiring` and nothing else, so that it works on
our U-Nets and on other people's networks alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

IMAGE = "image"
HEAD = "head"


@dataclass(frozen=True)
class Wiring:
    """The layers of a network in the order that data meets them, and what feeds each.

    A *layer* is one convolution with its norm and activation; its name is its module path, e.g. ``encoder.0.conv1``,
    the same in the state dict, in a profile and on a drawing. The input is called ``image``, the output ``head``.

    Attributes:
        sources: For every layer, the layers whose outputs, concatenated in this order, are its input.
        strides: For every layer, image pixels per pixel of its output, per axis ([z,] y, x).
        widths: For every layer and the image, its channels.

    Example:
        >>> chain = Wiring({"a": ("image",), "b": ("a",), "head": ("a", "b")}, {}, {})
        >>> chain.layers
        ('a', 'b', 'head')
        >>> chain.last_reader("a")
        'head'
    """

    sources: Mapping[str, tuple[str, ...]]
    strides: Mapping[str, tuple[int, ...]]
    widths: Mapping[str, int]

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer, in the order that data meets them."""
        return tuple(self.sources)

    def last_reader(self, layer: str) -> str | None:
        """The last layer that reads `layer`: after it, the output can be forgotten (None for the network's output)."""
        readers = [reader for reader, sources in self.sources.items() if layer in sources]
        return readers[-1] if readers else None

    def joins(self) -> tuple[str, ...]:
        """The layers that read more than one source: where a skip meets the up path."""
        return tuple(layer for layer, sources in self.sources.items() if len(sources) > 1)

    def to_json(self) -> dict[str, Any]:
        """Plain values from which `from_json` makes the same wiring."""
        return {name: dict(getattr(self, name)) for name in ("sources", "strides", "widths")}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The wiring that `to_json` wrote."""
        sources, strides = (
            {layer: tuple(values) for layer, values in content[name].items()} for name in ("sources", "strides")
        )
        return cls(sources, strides, content["widths"])
