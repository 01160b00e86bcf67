"""Activations of named layers, and their inner products between images in bounded memory; knows modules and tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unetscope.errors import DataError, SpecError
from unetscope.wiring import Wiring

Activations = Mapping[str, Tensor]

MEMORY_BYTES = 2**30
NUMBERS_AT_ONCE = 2**21  # turned into float64 together: enough for fast products, little beside the activations


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


def accumulate_grams(
    activations: Callable[[int, int], Activations], count: int, memory_bytes: int = MEMORY_BYTES
) -> dict[str, NDArray[np.float64]]:
    """Inner products between the images' activations, layer by layer, without ever holding those of all images.

    Blocks of images meet pair by pair; a block that had to go is computed again when its turn comes.

    Args:
        activations: For a first image and one past the last, each layer's outputs (images, ...); the same each time.
        count: Number of images, at least 1.
        memory_bytes: Activations alive at once, at most.

    Returns:
        For every layer (count, count) inner products of the activations, centered on their mean over the images.

    Raises:
        DataError: The activations of three images take more memory.

    Example:
        >>> points = torch.tensor([[0.0], [3.0], [6.0]])
        >>> accumulate_grams(lambda start, stop: {"a": points[start:stop]}, 3)["a"].diagonal().tolist()
        [9.0, 0.0, 9.0]
    """
    origin = activations(0, 1)
    size = _block_size(origin, count, memory_bytes)
    grams = {layer: np.zeros((count, count)) for layer in origin}
    for start in range(0, count, size):
        rows = activations(start, min(start + size, count))
        for begin in range(0, start + 1, size):
            columns = rows if begin == start else activations(begin, begin + size)
            for layer, gram in grams.items():
                block = _products(rows[layer], columns[layer], origin[layer])
                gram[start : start + size, begin : begin + size] = block
                gram[begin : begin + size, start : start + size] = block.T
            del columns  # before the next are computed
        del rows
    return {layer: _centered(gram) for layer, gram in grams.items()}


def _block_size(one: Activations, count: int, memory_bytes: int) -> int:
    """Images in a block: all, or as many as fit beside another block and the one image that is the origin."""
    one_bytes = sum(output.numel() * output.element_size() for output in one.values())
    affordable = memory_bytes // one_bytes - 1
    if affordable >= count:
        return count
    if affordable < 2:
        raise DataError(
            f"the activations of three images take {3 * one_bytes / 2**20:.1f} MiB and may take "
            f"{memory_bytes / 2**20:.1f} MiB; allow more memory or give smaller images"
        )
    return affordable // 2


def _products(rows: Tensor, columns: Tensor, origin: Tensor) -> NDArray[np.float64]:
    """Inner products about an origin; about 0, the distances of images much alike would drown in rounding."""
    first, second, center = rows.flatten(1), columns.flatten(1), origin.flatten(1)
    step = max(1, NUMBERS_AT_ONCE // max(len(first), len(second)))
    total = torch.zeros(len(first), len(second), dtype=torch.float64, device=first.device)
    for start in range(0, center.shape[1], step):
        part = slice(start, start + step)
        middle = center[:, part].double()
        total += (first[:, part].double() - middle) @ (second[:, part].double() - middle).T
    products: NDArray[np.float64] = total.cpu().numpy()
    return products


def _centered(gram: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inner products about the mean of all images instead of the origin that was used."""
    means = gram.mean(axis=0)
    centered: NDArray[np.float64] = gram - means[:, None] - means[None, :] + means.mean()
    return centered
