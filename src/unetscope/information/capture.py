"""Activations of named layers, copied or heard as they pass; knows modules and tensors, not what is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unetscope.errors import SpecError
from unetscope.wiring import Wiring

MEMORY_BYTES = 2**30


def capture(module: nn.Module, layers: Sequence[str], inputs: Tensor) -> dict[str, Tensor]:
    """What the named layers put out for a batch.

    Args:
        module: Any network; it is run as it stands, in its own mode.
        layers: Names of submodules; a layer of a `UNet` includes its norm and activation, its head gives scores.
        inputs: (batch, channels, [z,] y, x).

    Returns:
        For every layer its output, (batch, ...), float32, a copy that nothing changes later.

    Raises:
        SpecError: There is no such layer, or it does not put out one tensor once per pass.

    Example:
        >>> chain = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
        >>> capture(chain, ["1"], torch.zeros(2, 1, 2, 2))["1"].shape
        torch.Size([2, 3])
    """
    outputs: dict[str, list[object]] = {layer: [] for layer in layers}
    with listen(module, {layer: _copier(found) for layer, found in outputs.items()}), torch.no_grad():
        module(inputs)
    return {layer: _only_tensor(layer, found) for layer, found in outputs.items()}


Listener = Callable[[Any], None]


@contextmanager
def listen(
    module: nn.Module, outputs: Mapping[str, Listener], inputs: Mapping[str, Listener] | None = None
) -> Iterator[None]:
    """Hear what layers of a network read and put out, at the moment that they do; the hooks are gone afterwards.

    A listener must not keep what it hears, unless it copies it: the next layer may work in place.

    Args:
        module: Any network.
        outputs: For names of submodules, what is called with their output.
        inputs: For names of submodules, what is called with their first input before they see it.

    Raises:
        SpecError: There is no such layer.
    """
    handles = []
    try:
        for layer, listener in outputs.items():
            handles.append(find_layer(module, layer).register_forward_hook(_on_output(listener)))
        for layer, listener in (inputs or {}).items():
            handles.append(find_layer(module, layer).register_forward_pre_hook(_on_input(listener)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _on_output(listener: Listener) -> Callable[[nn.Module, object, object], None]:
    return lambda _module, _inputs, output: listener(output)


def _on_input(listener: Listener) -> Callable[[nn.Module, tuple[object, ...]], None]:
    return lambda _module, inputs: listener(inputs[0] if inputs else None)


def _copier(found: list[object]) -> Listener:
    """Keep what is heard, tensors as copies."""
    return lambda output: found.append(output.to(torch.float32, copy=True) if isinstance(output, Tensor) else output)


def find_layer(module: nn.Module, layer: str) -> nn.Module:
    """The submodule of that name.

    Raises:
        SpecError: There is none.
    """
    known: dict[str, nn.Module] = dict(module.named_modules())
    if layer in known:
        return known[layer]
    near = get_close_matches(layer, known, n=3) or [name for name in known if name][:3]
    raise SpecError(f"the network has no layer {layer!r}; use one of its layers, such as {', '.join(near)}")


def _only_tensor(layer: str, found: Sequence[object]) -> Tensor:
    """The one output of a layer."""
    if len(found) == 1 and isinstance(found[0], Tensor):
        return found[0]
    kinds = ", ".join(type(output).__name__ for output in found) or "nothing"
    raise SpecError(f"layer {layer!r} put out {kinds} in one pass; name layers that put out one tensor once")


def split_sources(wiring: Wiring, join: str) -> dict[str, slice]:
    """The channels of a join's input that each of its sources brings.

    Example:
        >>> wiring = Wiring({"a": ("image",), "b": ("image", "a")}, {}, {"image": 1, "a": 4})
        >>> split_sources(wiring, "b")
        {'image': slice(0, 1, None), 'a': slice(1, 5, None)}
    """
    ends = np.cumsum([0, *_widths(wiring, join)]).tolist()
    return {
        source: slice(start, stop)
        for source, start, stop in zip(wiring.sources[join], ends[:-1], ends[1:], strict=True)
    }


def _widths(wiring: Wiring, join: str) -> list[int]:
    return [wiring.widths[source] for source in wiring.sources[join]]


def check_joined(wiring: Wiring, join: str, joined: object) -> Tensor:
    """What a join reads, if it is one tensor of the channels that the wiring says.

    Raises:
        SpecError: It is not.
    """
    width = sum(_widths(wiring, join))
    if not isinstance(joined, Tensor) or joined.shape[1] != width:
        came = f"{joined.shape[1]} channels" if isinstance(joined, Tensor) else type(joined).__name__
        raise SpecError(
            f"layer {join!r} reads {came}, and its sources {' and '.join(wiring.sources[join])} have {width} channels; "
            "describe what feeds it"
        )
    return joined


def group_layers(sizes: Mapping[str, int], most: int) -> list[tuple[str, ...]]:
    """Divide layers into groups that are captured together.

    Args:
        sizes: Bytes of every layer's output for one image.
        most: Bytes of a group, at most, unless one layer alone has more.

    Returns:
        Every layer once, in order.

    Example:
        >>> group_layers({"a": 2, "b": 3, "c": 4}, most=5)
        [('a', 'b'), ('c',)]
    """
    groups: list[tuple[str, ...]] = [()]
    for layer, size in sizes.items():
        fits = sum(sizes[other] for other in groups[-1]) + size <= most
        groups = [*groups[:-1], (*groups[-1], layer)] if fits else [*groups, (layer,)]
    return [group for group in groups if group]
