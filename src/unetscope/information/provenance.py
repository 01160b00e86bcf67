"""Which channels of a tensor come from where, and what each torch function does to them; runs nothing.

Every tensor of a pass is a *value*: its channels in order, as *forms* of *nodes*. A node is where weights mix numbers
(a convolution) or where several nodes are blended (a sum); a form is a node's output after steps without weights that
mix (norm, activation, pooling, cropping). A concatenation is a value of several forms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

from torch import Tensor, nn

Kind = Literal["image", "layer", "blend"]
Stride = tuple[Fraction, ...]

CONVOLUTIONS = {f"conv{up}{ndim}d" for up in ("", "_transpose") for ndim in (1, 2, 3)}
WEIGHTED = CONVOLUTIONS | {"linear", "bilinear", "multi_head_attention_forward"}
PRODUCTS = {"matmul", "rmatmul", "mm", "bmm", "addmm", "baddbmm", "einsum", "tensordot"}
JOINING = {"cat", "concat", "concatenate"}
GATING = {"mul", "rmul", "imul", "multiply"}
CHANNELWISE = re.compile(
    r"""(leaky_|p|r)?relu6? | [esc]elu | gelu | silu | mish | (log)?sigmoid | tanh | tanhshrink | threshold
    | hard(tanh|swish|sigmoid|shrink) | soft(plus|sign|shrink)
    | (batch|instance|group|layer|rms|local_response)_norm | (feature_)?(alpha_)?dropout[123]?d?
    | interpolate | upsample | pad | (adaptive_|fractional_)?(max|avg|lp)_pool[123]d(_with_indices)?
    | clone | contiguous | detach | to | type | type_as | float | half | bfloat16 | double | cpu | cuda | requires_grad
    | [ri]?(add|sub|mul|div|truediv|pow) | neg | exp | log | sqrt | abs | square | clamp(_min|_max)? | clip""",
    re.VERBOSE,
)
"""Functions whose every channel comes, given one tensor, from the channel of the same number."""


@dataclass(frozen=True, eq=False)
class Node:
    """Where new channels are made: the image, a layer's weights, or a blend of several nodes.

    Attributes:
        kind: Which of the three.
        inputs: The value that it is made from.
        time: Its number in the pass.
        place: The innermost module that was running.
    """

    kind: Kind
    inputs: tuple[Form, ...]
    time: int
    place: str


@dataclass(frozen=True, eq=False)
class Form:
    """A node's output after some steps that mix nothing.

    Attributes:
        node: Where it was made.
        shape: (batch, channels, [z,] y, x), or any other while the numbers are rearranged.
        stride: Image pixels per pixel, per axis.
        parent: The form one step earlier.
    """

    node: Node
    shape: tuple[int, ...]
    stride: Stride
    parent: Form | None = None

    @property
    def width(self) -> int:
        """Channels."""
        return self.shape[1] if len(self.shape) > 1 else 0

    @property
    def grid(self) -> tuple[int, ...]:
        """Pixels per axis."""
        return self.shape[2:]

    @property
    def is_map(self) -> bool:
        """Whether it has as many axes as the image."""
        return len(self.grid) == len(self.stride)

    def lineage(self) -> Iterator[Form]:
        """The form and those before it, up to the node's first output."""
        form: Form | None = self
        while form is not None:
            yield form
            form = form.parent

    @property
    def first(self) -> Form:
        """The node's first output."""
        *_, first = self.lineage()
        return first

    def map(self) -> Form:
        """The form itself or the last before it that is a map; the node's first output where there is none."""
        return next((form for form in self.lineage() if form.is_map), self.first)


Value = tuple[Form, ...]


@dataclass(frozen=True)
class Step:
    """One torch function with what it was given.

    Attributes:
        name: Of the function, without underscores at its ends.
        args: Positional arguments.
        kwargs: Named arguments.
        read: Of each of its tensors that comes from the image, in order, its shape and value.
        ndim: Spatial axes of the image.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    read: tuple[tuple[tuple[int, ...], Value], ...]
    ndim: int

    @property
    def forms(self) -> Value:
        """Everything that it reads."""
        return tuple(form for _, value in self.read for form in value)

    @property
    def is_weighted(self) -> bool:
        """Whether weights mix the channels."""
        if self.name in WEIGHTED:
            return True
        return self.name in PRODUCTS and any(isinstance(tensor, nn.Parameter) for tensor in nested_tensors(self.args))

    def carrying(self, shape: tuple[int, ...]) -> Step:
        """The step with only those tensors whose content passes on to a result of that shape.

        Not so the places of an unpooling, nor a gate: a factor of one channel or of one pixel (attention).
        """
        if self.name.startswith("max_unpool"):
            return replace(self, read=self.read[:1])
        if self.name in GATING and len(self.read) == 2:
            whole = [index for index, (given, _) in enumerate(self.read) if given == shape]
            if len(whole) == 1 and _is_gate(self.read[1 - whole[0]][0], shape):
                return replace(self, read=(self.read[whole[0]],))
        return self

    def keeps_channels(self, shape: tuple[int, ...]) -> bool:
        """Whether the channels of a result of that shape are, in order, those of what was read."""
        widths = [given[1] if len(given) == len(shape) else 0 for given, _ in self.read]
        if len(shape) != self.ndim + 2 or sum(widths) != shape[1]:
            return False
        if self.name in JOINING:
            return self._argument("dim", 1, self.kwargs.get("axis", 0)) in (1, 1 - len(shape))
        if self.name == "getitem":
            channels = _spelled_out(self.args[1], self.ndim)[1]
            return isinstance(channels, slice) and channels.step in (None, 1)
        return len(self.read) == 1 and CHANNELWISE.fullmatch(self.name) is not None

    def stride(self, form: Form, shape: tuple[int, ...]) -> Stride:
        """Image pixels per pixel of a result that was made from a form."""
        origin = form.map()
        if len(shape) != self.ndim + 2 or not origin.is_map:
            return origin.stride
        if self.name in CONVOLUTIONS:
            steps = _per_axis(self._argument("stride", 3, 1), self.ndim)
            upward = "transpose" in self.name
            return tuple(s / step if upward else s * step for s, step in zip(origin.stride, steps, strict=True))
        if self.name.startswith(("max_pool", "avg_pool", "lp_pool")):
            first = 2 if self.name.startswith("lp") else 1
            kernel = self._argument("kernel_size", first, 1)
            steps = _per_axis(self._argument("stride", first + 1, None) or kernel, self.ndim)
            return tuple(s * step for s, step in zip(origin.stride, steps, strict=True))
        if self.name == "getitem":
            picked = _spelled_out(self.args[1], self.ndim)[2:]
            steps = tuple(part.step or 1 if isinstance(part, slice) else 1 for part in picked)
            return tuple(s * step for s, step in zip(origin.stride, steps, strict=True))
        if self.name in JOINING or self.name == "pad":
            return origin.stride
        resized = self.name.startswith(("interpolate", "upsample", "adaptive", "fractional"))
        ratios = (_ratio(n, m, resized) for n, m in zip(origin.grid, shape[2:], strict=True))
        return tuple(s * ratio for s, ratio in zip(origin.stride, ratios, strict=True))

    def _argument(self, name: str, position: int, default: Any) -> Any:
        """An argument of the function, however it was given."""
        return self.kwargs.get(name, self.args[position] if position < len(self.args) else default)


def meet(forms: Sequence[Form]) -> Form:
    """The last form that all of the given forms of one node come from."""
    shared = [set(form.lineage()) for form in forms[1:]]
    return next(form for form in forms[0].lineage() if all(form in others for others in shared))


def _is_gate(factor: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether a factor weighs pixels (one channel) or channels (one pixel)."""
    return len(factor) == len(shape) and (factor[1] == 1 or all(size == 1 for size in factor[2:]))


def _spelled_out(index: Any, ndim: int) -> tuple[Any, ...]:
    """An index with a part for every axis of (batch, channels, [z,] y, x)."""
    picked = index if isinstance(index, tuple) else (index,)
    at = next((place for place, part in enumerate(picked) if part is Ellipsis), len(picked))
    rest = picked[at + 1 :]
    missing = max(0, ndim + 2 - at - len(rest))
    return (*picked[:at], *[slice(None)] * missing, *rest)[: ndim + 2]


def _ratio(before: int, after: int, resized: bool) -> Fraction:
    """Pixels before per pixel after: whole where it can be; a crop or a border changes nothing."""
    if before == after or 0 in (before, after):
        return Fraction(1)
    more, fewer = max(before, after), min(before, after)
    factor = round(more / fewer)
    if abs(more - factor * fewer) >= (factor if resized else 1):
        return Fraction(before, after) if resized else Fraction(1)
    return Fraction(factor) if before > after else Fraction(1, factor)


def _per_axis(number: Any, ndim: int) -> tuple[int, ...]:
    """A setting for every axis."""
    several = tuple(number) if isinstance(number, (tuple, list)) else (number,)
    return several if len(several) == ndim else several[:1] * ndim


def nested_tensors(thing: Any) -> Iterator[Tensor]:
    """Every tensor in nested containers, in order."""
    if isinstance(thing, Tensor):
        yield thing
    elif isinstance(thing, Mapping):
        yield from nested_tensors(list(thing.values()))
    elif isinstance(thing, (tuple, list)):
        for part in thing:
            yield from nested_tensors(part)
