"""A U-Net as data: its layers, how wide each is and what feeds it; knows no torch and no images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from itertools import accumulate
from types import MappingProxyType
from typing import Any, Literal, get_args

from unetscope.errors import SpecError
from unetscope.wiring import HEAD, IMAGE, Wiring

Norm = Literal["none", "batch", "instance"]
Activation = Literal["relu", "leaky"]
Down = Literal["max", "strided"]
Up = Literal["transposed", "nearest", "linear", "subpixel", "unpool"]

KERNEL = 3


@dataclass(frozen=True)
class UNetSpec:
    """A U-Net described completely enough to rebuild it.

    Level 0 is full resolution on both sides; level `depth` is the bottleneck. A layer is one convolution with its norm
    and activation; `sources` says what feeds it, and nothing else in the package knows.

    Attributes:
        widths: Channels that every layer but the head puts out.
        image_channels: Channels of the image.
        classes: Channels of the head: one score per class, or 1 for a foreground score alone (background is 0).
        ndim: 2 for images (y, x), 3 for volumes (z, y, x).
        depth: Number of poolings.
        convolutions: Convolutions per level and side.
        skips: Levels whose encoder feeds their decoder; every level if None.
        padded: Whether 3-wide convolutions are padded with zeros; False loses a margin (the 2015 network).
        norm: Norm after each 3-wide convolution of encoder, bottleneck and decoder.
        activation: "relu", or "leaky" with `slope`.
        slope: Slope of the leaky ReLU below zero.
        down: "max" pooling, or a "strided" convolution whose kernel is its stride.
        up: "transposed" convolution whose kernel is its stride; "nearest" or "linear" interpolation (corners not
            aligned) and a 3-wide convolution; a "subpixel" convolution; or "unpool", a 1-wide convolution whose values
            go where the encoder's max pooling found its maxima (needs `down` "max").
        strides: Pooling factors per level and axis; 2 everywhere if None.
        dropout: Probability of dropping a channel at the end of the contracting path.

    Raises:
        SpecError: The attributes contradict each other or are out of range.

    Example:
        >>> spec = UNetSpec.preset("ronneberger2015")
        >>> spec.sources("decoder.3.conv1")
        ('encoder.3.conv2', 'decoder.3.up')
        >>> spec.width("bottleneck.conv2"), spec.in_width("decoder.3.conv1")
        (1024, 1024)
        >>> len(spec.wiring.layers)
        23

    Source:
        Ronneberger, Fischer, Brox 2015, figure 1; sub-pixel convolution: Shi et al. 2016; unpooling: Noh, Hong, Han
        2015, figure 3, and SegNet, Badrinarayanan, Kendall, Cipolla 2017, section 3.
    """

    widths: Mapping[str, int] = field(repr=False)
    image_channels: int = 1
    classes: int = 2
    ndim: int = 2
    depth: int = 4
    convolutions: int = 2
    skips: tuple[int, ...] | None = None
    padded: bool = True
    norm: Norm = "none"
    activation: Activation = "relu"
    slope: float = 0.01
    down: Down = "max"
    up: Up = "transposed"
    strides: tuple[tuple[int, ...], ...] | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        """Fill in what follows from the rest, then refuse what cannot be built."""
        for name, minimum in (("image_channels", 1), ("classes", 1), ("ndim", 2), ("depth", 0), ("convolutions", 1)):
            _check_integer(name, getattr(self, name), minimum)
        if self.ndim > 3:
            raise SpecError(f"ndim is {self.ndim}; a U-Net has 2 or 3 axes; use 2 for images, 3 for volumes")
        for name, choices in (("norm", Norm), ("activation", Activation), ("down", Down), ("up", Up)):
            if getattr(self, name) not in get_args(choices):
                raise SpecError(f"{name} is {getattr(self, name)!r}; use one of {', '.join(get_args(choices))}")
        if self.up == "unpool" and self.down != "max":
            raise SpecError(
                f"up is 'unpool' and down is {self.down!r}; unpooling puts values where max pooling found them: "
                "use down 'max', or another up"
            )
        for name in ("slope", "dropout"):
            _check_fraction(name, getattr(self, name))
        if not isinstance(self.padded, bool):
            raise SpecError(f"padded is {self.padded!r}; use True or False")
        object.__setattr__(self, "skips", _checked_skips(self.skips, self.depth))
        object.__setattr__(self, "strides", _checked_strides(self.strides, self.depth, self.ndim))
        object.__setattr__(self, "widths", _checked_widths(self.widths, tuple(self._names())))
        _check_placed_widths(self)

    def __hash__(self) -> int:
        """Hash of the whole description."""
        return hash((tuple(self.widths.items()), self.depth, self.ndim, self.classes, self.image_channels))

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy through the constructor: the read-only view of the widths cannot be copied as it is."""
        return UNetSpec.from_json, (self.to_json(),)

    @classmethod
    def by_level(cls, widths: Sequence[int], **rest: Any) -> UNetSpec:
        """A U-Net with one width per level, the same on both sides.

        Args:
            widths: Channels of level 0, 1, ... and last of the bottleneck: depth + 1 numbers.
            rest: Other attributes.

        Returns:
            The description.

        Raises:
            SpecError: As the constructor.

        Example:
            >>> UNetSpec.by_level((16, 32, 64)).depth
            2
        """
        if not widths:
            raise SpecError("no widths came; give one per level, the bottleneck last, such as 16, 32, 64")
        convolutions = rest.get("convolutions", 2)
        _check_integer("convolutions", convolutions, 1)
        names = _layer_names(len(widths) - 1, convolutions, rest.get("down", "max"))
        return cls(
            widths={name: widths[_width_level(name, len(widths) - 1)] for name in names}, depth=len(widths) - 1, **rest
        )

    @classmethod
    def preset(cls, name: str, **changes: Any) -> UNetSpec:
        """A U-Net known by name, with changes.

        Args:
            name: "default", "ronneberger2015", "lee2021" or "flat".
            changes: Attributes that differ from the preset's; besides, `width` (channels at full resolution) and
                `widths` as one number per level, which sets the depth too.

        Returns:
            The description.

        Raises:
            SpecError: No such preset or attribute, or values out of range.

        Example:
            >>> UNetSpec.preset("flat", depth=2, width=8).level_widths
            (8, 8, 8)
        """
        if name not in PRESETS:
            raise SpecError(f"there is no preset {name!r}; use one of {', '.join(PRESETS)}")
        chosen = {**PRESETS[name], **changes}
        known = {entry.name for entry in fields(cls)} | {"width", "growth", "widest"}
        if unknown := sorted(set(chosen) - known):
            raise SpecError(f"a U-Net has no attribute {unknown[0]!r}; use one of {', '.join(sorted(known))}")
        top, growth, widest = chosen.pop("width"), chosen.pop("growth"), chosen.pop("widest")
        depth, widths = chosen.pop("depth"), chosen.pop("widths", None)
        if isinstance(widths, Mapping):
            return cls(widths=widths, depth=depth, **chosen)
        _check_integer("depth", depth, 0)
        _check_integer("width", top, 1)
        if widths is None:
            widths = [min(top * growth**level, max(widest, top)) for level in range(depth + 1)]
        return cls.by_level(widths, **chosen)

    def to_json(self) -> dict[str, Any]:
        """Plain values from which `from_json` makes the same description."""
        return asdict(replace_widths(self))

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> UNetSpec:
        """The description that `to_json` wrote.

        Raises:
            SpecError: An attribute is unknown, missing or out of range.
        """
        known = {entry.name for entry in fields(cls)}
        if unknown := sorted(set(content) - known):
            raise SpecError(
                f"the network's description has an unknown entry {unknown[0]!r}; it was written by another "
                "version of unetscope, use that one"
            )
        if "widths" not in content:
            raise SpecError("the network's description has no widths; it is incomplete, train again")
        return cls(**content)

    def with_widths(self, widths: Mapping[str, int]) -> UNetSpec:
        """The same network with other widths for some layers."""
        return replace(self, widths={**self.widths, **widths})

    @cached_property
    def wiring(self) -> Wiring:
        """The neutral account of this network that capture, gates, cost and drawings ask."""
        layers = (*self._names(), HEAD)
        return Wiring(
            sources={layer: self.sources(layer) for layer in layers},
            strides={layer: self.stride(layer) for layer in layers},
            widths={layer: self.width(layer) for layer in (IMAGE, *layers)},
        )

    def sources(self, layer: str) -> tuple[str, ...]:
        """The layers whose outputs, concatenated in this order, are the input of `layer`."""
        last = f"conv{self.convolutions}"
        if layer == HEAD:
            return (f"decoder.0.{last}" if self.depth else f"bottleneck.{last}",)
        part, _, role = layer.rpartition(".")
        side, _, number = part.partition(".")
        level = int(number) if number else self.depth
        if role == "down":
            return (f"{part}.{last}",)
        if role == "up":
            return (f"decoder.{level + 1}.{last}" if level + 1 < self.depth else f"bottleneck.{last}",)
        if role != "conv1":
            return (f"{part}.conv{int(role.removeprefix('conv')) - 1}",)
        if side == "decoder":
            return (f"encoder.{level}.{last}", f"{part}.up") if level in self.skip_levels else (f"{part}.up",)
        if level == 0:
            return (IMAGE,)
        return (f"encoder.{level - 1}.{'down' if self.down == 'strided' else last}",)

    def placed_by(self, layer: str) -> str | None:
        """The layer whose pooling says where `layer` puts its values: an encoder level's last, if `layer` unpools.

        This is a second, hidden input. It gives places and no values, so it is none of the `sources`; yet `layer`
        depends on it, and `reads` names it.

        Example:
            >>> spec = UNetSpec.by_level((8, 16), up="unpool")
            >>> spec.placed_by("decoder.0.up"), spec.reads("decoder.0.up")
            ('encoder.0.conv2', ('bottleneck.conv2', 'encoder.0.conv2'))
        """
        if self.up != "unpool" or not layer.endswith("up"):
            return None
        return f"encoder.{self.level(layer)}.conv{self.convolutions}"

    def reads(self, layer: str) -> tuple[str, ...]:
        """Every layer whose output `layer` needs: its sources and, where it unpools, the layer that places it."""
        placing = self.placed_by(layer)
        return (*self.sources(layer), placing) if placing else self.sources(layer)

    def level(self, layer: str) -> int:
        """Poolings between the image and the output of `layer`: 0 at full resolution, `depth` at the bottleneck."""
        if layer in (IMAGE, HEAD):
            return 0
        side, _, rest = layer.partition(".")
        return self.depth if side == "bottleneck" else int(rest.partition(".")[0]) + (rest.endswith("down"))

    def stride(self, layer: str) -> tuple[int, ...]:
        """Image pixels per pixel of the output of `layer`, per axis."""
        return self._cumulative[self.level(layer)]

    def width(self, layer: str) -> int:
        """Channels that `layer` puts out (the image's for ``image``, the classes for ``head``)."""
        return {IMAGE: self.image_channels, HEAD: self.classes}.get(layer) or self.widths[layer]

    def in_width(self, layer: str) -> int:
        """Channels that `layer` reads."""
        return sum(self.width(source) for source in self.sources(layer))

    @property
    def skip_levels(self) -> tuple[int, ...]:
        """Levels whose encoder feeds their decoder."""
        assert self.skips is not None
        return self.skips

    @property
    def level_strides(self) -> tuple[tuple[int, ...], ...]:
        """Pooling factors per level and axis."""
        assert self.strides is not None
        return self.strides

    @property
    def level_widths(self) -> tuple[int, ...]:
        """Channels at the end of every encoder level and of the bottleneck."""
        parts = (*(f"encoder.{level}" for level in range(self.depth)), "bottleneck")
        return tuple(self.widths[f"{part}.conv{self.convolutions}"] for part in parts)

    @property
    def total_stride(self) -> tuple[int, ...]:
        """Image pixels per pixel of the bottleneck, per axis: the step of the network's grid."""
        return self._cumulative[self.depth]

    @cached_property
    def _cumulative(self) -> tuple[tuple[int, ...], ...]:
        start = (1,) * self.ndim
        return tuple(
            accumulate(self.level_strides, lambda a, b: tuple(x * y for x, y in zip(a, b, strict=True)), initial=start)
        )

    def _names(self) -> Iterator[str]:
        return _layer_names(self.depth, self.convolutions, self.down)


def replace_widths(spec: UNetSpec) -> UNetSpec:
    """A copy whose widths are a plain dictionary, which `asdict` can copy."""
    copy = object.__new__(UNetSpec)
    copy.__dict__.update({entry.name: getattr(spec, entry.name) for entry in fields(spec)}, widths=dict(spec.widths))
    return copy


def _layer_names(depth: int, convolutions: int, down: str) -> Iterator[str]:
    """Every layer but the head, in the order that data meets them."""
    roles = [f"conv{index + 1}" for index in range(convolutions)]
    for level in range(depth):
        yield from (f"encoder.{level}.{role}" for role in (*roles, *(("down",) if down == "strided" else ())))
    yield from (f"bottleneck.{role}" for role in roles)
    for level in reversed(range(depth)):
        yield from (f"decoder.{level}.{role}" for role in ("up", *roles))


def _width_level(name: str, depth: int) -> int:
    """The level whose width a layer takes when widths are given by level."""
    return depth if name.startswith("bottleneck") else int(name.split(".")[1])


def _check_integer(name: str, value: object, minimum: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
        raise SpecError(f"{name} is {value!r}; use a whole number of at least {minimum}")


def _check_fraction(name: str, value: object) -> None:
    if not isinstance(value, int | float) or not 0 <= value < 1:
        raise SpecError(f"{name} is {value!r}; use a number from 0 to below 1")


def _checked_skips(skips: Sequence[int] | None, depth: int) -> tuple[int, ...]:
    chosen = tuple(range(depth)) if skips is None else tuple(sorted(set(skips)))
    if outside := [level for level in chosen if level not in range(depth)]:
        known = f"levels 0 to {depth - 1}" if depth else "none"
        raise SpecError(f"skip at level {outside[0]} of a U-Net of depth {depth}; use {known}")
    return chosen


def _checked_strides(strides: Sequence[Sequence[int]] | None, depth: int, ndim: int) -> tuple[tuple[int, ...], ...]:
    chosen = ((2,) * ndim,) * depth if strides is None else tuple(tuple(level) for level in strides)
    if len(chosen) != depth or any(len(level) != ndim for level in chosen):
        raise SpecError(f"strides are {chosen}; give {depth} levels of {ndim} numbers each, one per axis")
    for level in chosen:
        for number in level:
            _check_integer("stride", number, 1)
    return chosen


def _check_placed_widths(spec: UNetSpec) -> None:
    """Unpooling needs one place per value: as many channels as were pooled."""
    for layer in spec.widths:
        placing = spec.placed_by(layer)
        if placing and spec.widths[layer] != spec.widths[placing]:
            raise SpecError(
                f"{layer} is {spec.widths[layer]} wide and {placing}, whose maxima place its values, "
                f"{spec.widths[placing]}; give both the same width, or use another up than 'unpool'"
            )


def _checked_widths(widths: Mapping[str, int], names: tuple[str, ...]) -> Mapping[str, int]:
    if missing := [name for name in names if name not in widths]:
        raise SpecError(f"layer {missing[0]} has no width; give one for each of the {len(names)} layers but the head")
    if unknown := sorted(set(widths) - set(names)):
        raise SpecError(f"there is no layer {unknown[0]!r}; the layers are {', '.join(names)}")
    for name in names:
        _check_integer(f"width of {name}", widths[name], 1)
    return MappingProxyType({name: widths[name] for name in names})


PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "default": {"width": 16, "growth": 2, "widest": 64, "depth": 4, "norm": "batch"},
        "ronneberger2015": {"width": 64, "growth": 2, "widest": 1024, "depth": 4, "padded": False, "dropout": 0.5},
        "lee2021": {"width": 16, "growth": 2, "widest": 256, "depth": 4, "image_channels": 3, "classes": 1},
        "flat": {"width": 16, "growth": 1, "widest": 16, "depth": 4, "norm": "batch"},
    }
)
