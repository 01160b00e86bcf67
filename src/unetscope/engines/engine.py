"""What every engine does: scores and labels of blocks of pixels; knows arrays, and no library that computes them."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from unetscope.engines.bundle import Bundle, Source
from unetscope.model.cost import count_cost
from unetscope.model.spec import UNetSpec

EngineName = Literal["torch", "openvino", "onnxruntime"]
Precision = Literal["auto", "bfloat16", "float32", "float64"]
Arithmetic = Literal["bfloat16", "float32", "float64"]

ITEMSIZE: Mapping[Arithmetic, int] = {"bfloat16": 2, "float32": 4, "float64": 8}


class Engine(ABC):
    """A network ready to compute, in one library and one precision. One thread at a time may use it.

    Attributes:
        name: The library.
        spec: The network.
        precision: What convolutions are computed in.
        workspace: Memory taken per byte of activations that are alive at once, by precision; the most that was measured
            on networks of 2 and 3 dimensions, rounded up.
    """

    name: ClassVar[EngineName]
    workspace: ClassVar[Mapping[Arithmetic, float]]

    def __init__(self, spec: UNetSpec, precision: Arithmetic) -> None:
        self.spec = spec
        self.precision = precision

    @abstractmethod
    def scores(self, block: NDArray[np.float32]) -> NDArray[np.floating]:
        """Scores before soft-max.

        Args:
            block: (batch, channels, [z,] y, x), normalized, of a shape that the network accepts; it is not changed.

        Returns:
            (batch, classes, [z,] y, x), at least two classes, smaller by the margin in a valid network; float32, or
            float64 where it was computed so. The array is the caller's own.
        """

    @abstractmethod
    def labels(self, block: NDArray[np.float32]) -> NDArray[np.unsignedinteger]:
        """The arg-max of the scores; ties take the lowest class.

        Args:
            block: (batch, channels, [z,] y, x), normalized, of a shape that the network accepts; it is not changed.

        Returns:
            (batch, [z,] y, x), of `label_dtype`.
        """

    def memory(self, shape: tuple[int, ...]) -> int:
        """Bytes that one block takes at the most, beyond the program and its weights; an estimate.

        Args:
            shape: Spatial shape of the block, ([z,] y, x), one that the network accepts.
        """
        return estimate_memory(self.spec, shape, self.precision, self.workspace[self.precision])

    def describe(self) -> dict[str, str]:
        """What a result must record of how it was computed."""
        version = str(sys.modules[self.name].__version__).partition("-")[0]  # OpenVINO adds where it was built
        return {"engine": self.name, "precision": self.precision, "version": version}


def estimate_memory(spec: UNetSpec, shape: tuple[int, ...], precision: Arithmetic, workspace: float) -> int:
    """Bytes that one block takes at the most, beyond the program and its weights; an estimate.

    Args:
        spec: The network.
        shape: Spatial shape of the block, ([z,] y, x), one that the network accepts.
        precision: What convolutions are computed in.
        workspace: Memory taken per byte of activations that are alive at once.

    Example:
        >>> estimate_memory(UNetSpec.by_level((4, 8)), (16, 16), "float32", 1.0)
        23552
    """
    alive = count_cost(spec, shape).peak_activations * ITEMSIZE[precision]
    ends = prod(shape) * ITEMSIZE["float32"] * (spec.image_channels + max(2, spec.classes))
    return int(alive * workspace) + ends


def label_dtype(spec: UNetSpec) -> np.dtype[np.unsignedinteger]:
    """The smallest type that holds every class index.

    Example:
        >>> label_dtype(UNetSpec.by_level((4, 8), classes=300))
        dtype('uint16')
    """
    return np.dtype(np.uint8 if spec.classes <= 256 else np.uint16)


def arg_max(scores: NDArray[np.floating]) -> NDArray[np.unsignedinteger]:
    """The class of the largest score; ties take the lowest class.

    Args:
        scores: (batch, classes, ...), at least two classes; none is not a number.

    Returns:
        (batch, ...), of 8 bits where they suffice. Classes are compared one after another, over whole maps, which is
        ten times as fast as comparing the scores of one pixel after another.

    Example:
        >>> arg_max(np.array([[[1.0, 2.0], [1.0, 3.0], [0.0, 5.0]]])).tolist()
        [[0, 2]]
    """
    dtype = np.uint8 if scores.shape[1] <= 256 else np.uint16
    best, labels = scores[:, 0], np.zeros_like(scores[:, 0], dtype)
    for index in range(1, scores.shape[1]):
        wins = scores[:, index] > best
        np.maximum(labels, wins * dtype(index), out=labels)  # indices grow, so a later winner's is the largest
        best = np.maximum(best, scores[:, index])
    return np.asarray(labels, dtype)


def locate_network(source: Source) -> Path | bytes:
    """What a runtime reads: the file of an exported network, or the ONNX graph of a trained one."""
    if isinstance(source, Bundle):
        return source.network
    from unetscope.engines.graph import build_graph

    graph: bytes = build_graph(source).SerializeToString()
    return graph
