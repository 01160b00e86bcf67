"""The usual rival: channels with small weights go first, as torch-pruning decides; knows weights, never data.

torch-pruning follows tensors through a network's gradient. It takes our joins, crops, instance norms and sub-pixel
shuffles for something else, so that it would prune the wrong channels. It is therefore shown a skeleton: the same
channels, read by the same layers, with the same weights, each layer as one convolution along a line. Which channels
belong together, how much each weighs and in which order they go is all its own doing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from unetscope.checkpoint import Checkpoint
from unetscope.errors import SlimError
from unetscope.model.spec import UNetSpec
from unetscope.slimming.plan import SlimPlan
from unetscope.slimming.shapes import Price, multiply_adds_per_pixel
from unetscope.wiring import HEAD, IMAGE

Scope = Literal["local", "global"]
"""Among whom channels compete: those of their own layer, or all."""

STEPS = 256
"""Steps from the whole network to one channel a layer; what the channels weigh is asked anew at each."""


def prune_by_magnitude(
    checkpoint: Checkpoint, cost: float, price: Price = multiply_adds_per_pixel, scope: Scope = "local"
) -> SlimPlan:
    """The plan that keeps the channels of the largest weights, by L1 norm.

    A channel weighs the mean, over all layers that make or read it, of the absolute values of its weights. The
    lightest go, a few at a time, until the network is cheap enough. Depth and skips stay as they are.

    Args:
        checkpoint: The trained network.
        cost: What the slim network may cost, in the unit of `price`.
        price: What a network costs; multiply-adds per pixel by default.
        scope: "local" takes the same share of every layer's channels, as torch-pruning does unless told otherwise;
            "global" ranks the channels of all layers together, each by what it weighs beside the mean of its layer.

    Returns:
        The plan. Its order begins with the channels that are kept, and ends with the one that went first.

    Raises:
        SlimError: torch-pruning is not installed, or the network costs more even with a channel a layer.

    Example:
        >>> from unetscope.data.normalization import Normalization
        >>> from unetscope.model.unet import UNet
        >>> spec = UNetSpec.by_level((4, 8))
        >>> trained = Checkpoint(spec, UNet(spec).state_dict(), Normalization("image"), ("background", "cell"))
        >>> prune_by_magnitude(trained, multiply_adds_per_pixel(spec) / 3).spec.level_widths
        (2, 5)

    Source:
        Li, Kadav, Durdanovic, Samet, Graf 2017, Pruning filters for efficient ConvNets; Fang, Ma, Song, Mi, Wang 2023,
        DepGraph: towards any structural pruning, whose program is used.
    """
    skeleton = Skeleton(checkpoint.spec, checkpoint.weights)
    left, gone = skeleton.kept(), {layer: tuple[int, ...]() for layer in checkpoint.spec.widths}
    stages = _prune(skeleton, scope)
    while (paid := price(_narrowed(checkpoint.spec, left))) > cost:
        before, left = left, next(stages, {})
        if not left:
            raise SlimError(f"pruning leaves a network that costs {paid:.6g}, and {cost:.6g} was asked; ask for more")
        gone |= {
            layer: _lost(before[layer], left[layer]) + gone[layer] for layer in left if before[layer] != left[layer]
        }
    return SlimPlan.keep_all(checkpoint.spec, checkpoint.digest()).with_changes(
        widths={layer: len(channels) for layer, channels in left.items()},
        order={layer: left[layer] + gone[layer] for layer in left},
    )


class Skeleton(nn.Module):
    """A network's channels, who reads them and with what weights, without its geometry.

    Every layer is a convolution along a line, whose kernel holds all weights between two channels, and a batch norm
    where the layer has one, which is the only norm that torch-pruning weighs. Its biases are the numbers of its
    channels: they are pruned along with them, and weigh nothing.

    Args:
        spec: The network.
        weights: Its weights.
    """

    def __init__(self, spec: UNetSpec, weights: Mapping[str, Any]) -> None:
        super().__init__()
        self.spec = spec
        self.bones = nn.ModuleList(_make_bone(spec, layer, weights) for layer in spec.wiring.layers)

    def forward(self, line: Tensor) -> Tensor:
        """Something that depends on the channels as the network's scores do: (batch, classes, 1) of (batch, ., 1)."""
        outputs = {IMAGE: line}
        for layer, bone in zip(self.spec.wiring.layers, self.bones, strict=True):
            read = [outputs[source] for source in self.spec.sources(layer)]
            outputs[layer] = bone(torch.cat(read, 1) if len(read) > 1 else read[0])
            if placing := self.spec.placed_by(layer):
                outputs[layer] = outputs[layer] * outputs[placing]  # as many channels, which stay and go together
        return outputs[HEAD]

    @property
    def convolutions(self) -> Mapping[str, nn.Conv1d]:
        """The convolution of every layer."""
        found = {layer: next(bone.children()) for layer, bone in zip(self.spec.wiring.layers, self.bones, strict=True)}
        return {layer: conv for layer, conv in found.items() if isinstance(conv, nn.Conv1d)}

    def kept(self) -> dict[str, tuple[int, ...]]:
        """The numbers of the channels that every layer but the head has left, ascending."""
        left = {layer: conv.bias for layer, conv in self.convolutions.items() if layer != HEAD}
        return {layer: tuple(map(int, bias.tolist())) for layer, bias in left.items() if bias is not None}


def _make_bone(spec: UNetSpec, layer: str, weights: Mapping[str, Any]) -> nn.Sequential:
    """A layer of the skeleton."""
    weight = _on_a_line(spec, layer, torch.as_tensor(weights[f"{layer}.conv.weight"]))
    width, in_width, kernel = weight.shape
    conv = nn.Conv1d(in_width, width, kernel, padding=kernel // 2)
    conv.weight = nn.Parameter(weight)
    conv.bias = nn.Parameter(torch.arange(width, dtype=torch.float32))
    scale = weights.get(f"{layer}.after.norm.weight")
    if spec.norm != "batch" or scale is None:
        return nn.Sequential(conv)
    norm = nn.BatchNorm1d(width)
    norm.weight = nn.Parameter(torch.as_tensor(scale).float())
    return nn.Sequential(conv, norm)


def _on_a_line(spec: UNetSpec, layer: str, weight: Tensor) -> Tensor:
    """A layer's weights as (channels, channels read, all between the two): an odd number, the last may be a zero."""
    upward = layer.endswith("up")
    if upward and spec.up == "transposed":
        weight = weight.transpose(0, 1)
    if upward and spec.up == "subpixel":  # consecutive kernels make one channel
        weight = weight.reshape(spec.width(layer), -1, *weight.shape[1:]).transpose(1, 2)
    flat = weight.float().flatten(2)
    return functional.pad(flat, (0, 1 - flat.shape[2] % 2))


def _prune(skeleton: Skeleton, scope: Scope) -> Iterator[dict[str, tuple[int, ...]]]:
    """Prune a skeleton bit by bit: after each, the channels that its layers have left."""
    pruner = _start_pruner(skeleton, scope)
    for _ in range(STEPS):
        for group in pruner.step(interactive=True):
            group.prune()
            yield skeleton.kept()


def _start_pruner(skeleton: Skeleton, scope: Scope) -> Any:
    """The pruner of torch-pruning, before its first step."""
    try:
        import torch_pruning
    except ImportError as error:
        raise SlimError(
            f"pruning by magnitude needs {error.name}, which is not installed; run pip install 'unetscope[bench]'"
        ) from error
    with torch.enable_grad():  # it follows gradients
        return torch_pruning.pruner.BasePruner(
            skeleton.eval(),
            torch.zeros(1, skeleton.spec.image_channels, 1),
            importance=torch_pruning.importance.GroupMagnitudeImportance(p=1),
            global_pruning=scope == "global",
            pruning_ratio=1.0,
            iterative_steps=STEPS,
            ignored_layers=[skeleton.convolutions[HEAD]],
        )


def _narrowed(spec: UNetSpec, kept: Mapping[str, tuple[int, ...]]) -> UNetSpec:
    return spec.with_widths({layer: len(channels) for layer, channels in kept.items()})


def _lost(before: tuple[int, ...], after: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set(before) - set(after)))
