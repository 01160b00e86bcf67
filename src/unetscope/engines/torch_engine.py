"""The engine in torch, on a processor or a CUDA card; knows layers and tensors, neither tiles nor files."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unetscope import machine
from unetscope.checkpoint import Checkpoint
from unetscope.engines.engine import Arithmetic, Engine, EngineName, Precision, label_dtype
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet, class_scores

DTYPES: Mapping[Arithmetic, torch.dtype] = {
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float64": torch.float64,
}


class TorchEngine(Engine):
    """A trained network in torch: the reference that other engines are compared with, and the only one with float64.

    On a CUDA card "float32" means float32. By itself torch would take TensorFloat-32, of 10 bits, for convolutions: a
    poor reference, and no gain, as every card that has it computes at least as fast in bfloat16, which "auto" takes.

    Args:
        checkpoint: The trained network.
        precision: What to compute in; "auto" takes bfloat16 where the hardware computes in it.

    Example:
        >>> from unetscope.data.normalization import Normalization
        >>> spec = UNetSpec.by_level((4, 8))
        >>> weights = {name: tensor.numpy() for name, tensor in UNet(spec).state_dict().items()}
        >>> engine = TorchEngine(Checkpoint(spec, weights, Normalization.range(0, 255), ("background", "cell")))
        >>> engine.scores(np.zeros((3, 1, 16, 8), np.float32)).shape
        (3, 2, 16, 8)
    """

    name: ClassVar[EngineName] = "torch"
    # In float64 torch lays out what every pixel of a convolution reads: 27 numbers each in 3D.
    workspace: ClassVar[Mapping[Arithmetic, float]] = {"bfloat16": 2.5, "float32": 3.0, "float64": 14.0}

    def __init__(self, checkpoint: Checkpoint, precision: Precision = "auto") -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = choose_dtype(precision)
        super().__init__(checkpoint.spec, next(name for name, dtype in DTYPES.items() if dtype == self.dtype))
        self.network = cast_network(checkpoint.network().to(self.device), self.dtype)

    def scores(self, block: NDArray[np.float32]) -> NDArray[np.floating]:
        """Scores before soft-max."""
        with torch.inference_mode(), _exact(self.dtype, self.device):
            scores = self._run(block)
            return _fetch(scores if self.dtype == torch.float64 else scores.float())

    def labels(self, block: NDArray[np.float32]) -> NDArray[np.unsignedinteger]:
        """The arg-max of the scores, taken where they were computed."""
        dtype = label_dtype(self.spec)
        with torch.inference_mode(), _exact(self.dtype, self.device):
            labels = self._run(block).argmax(1).to(torch.uint8 if dtype == np.uint8 else torch.int32)
            return _fetch(labels).astype(dtype, copy=False)

    def _run(self, block: NDArray[np.float32]) -> Tensor:
        batch = self._send(np.require(block, np.float32, ["C", "W"]))
        return class_scores(self.network(batch.to(self.dtype, memory_format=memory_layout(self.spec))))

    def _send(self, block: NDArray[np.float32]) -> Tensor:
        """The block on the device; page-locked memory lets the card fetch it by itself."""
        batch = torch.from_numpy(block)
        return batch if self.device.type == "cpu" else batch.pin_memory().to(self.device, non_blocking=True)


def choose_dtype(precision: Precision) -> torch.dtype:
    """The type to compute in: for "auto" bfloat16 where the hardware computes in it, otherwise float32."""
    if precision != "auto":
        return DTYPES[precision]
    return torch.bfloat16 if computes_bfloat16() else torch.float32


def computes_bfloat16() -> bool:
    """Whether this machine multiplies bfloat16 matrices in hardware; torch itself counts imitating it too."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    told = machine.computes_bfloat16()
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) if told is None else told


def cast_network(network: UNet, dtype: torch.dtype) -> UNet:
    """The network in `dtype` with channels last; norms stay in float32 below it, their statistics would suffer."""
    for module in network.modules():
        if isinstance(module, nn.modules.conv._ConvNd) or dtype == torch.float64:
            module.to(dtype)
    return network.to(memory_format=memory_layout(network.spec))  # type: ignore[call-overload, no-any-return]


def memory_layout(spec: UNetSpec) -> torch.memory_format:
    """Channels last: what convolutions are fastest in."""
    return torch.channels_last if spec.ndim == 2 else torch.channels_last_3d


def _exact(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[None]:
    """Convolutions in float32 where that was asked for, not in TensorFloat-32; a processor has no other."""
    if device.type == "cpu" or dtype != torch.float32:
        return nullcontext()
    cudnn = torch.backends.cudnn
    return cudnn.flags(enabled=True, benchmark=cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False)


def _fetch(result: Tensor) -> NDArray[Any]:
    """The result as an array of the processor's memory."""
    if result.device.type == "cpu":
        return result.contiguous().numpy()
    fetched = torch.empty(result.shape, dtype=result.dtype, pin_memory=True)
    fetched.copy_(result, non_blocking=True)
    torch.cuda.current_stream(result.device).synchronize()
    return fetched.numpy()
