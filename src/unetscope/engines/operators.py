"""An ONNX graph in the making, and steps that take it several nodes; knows arrays and names, no U-Nets and no torch.

Every step is named by its caller: a name is that of the step's last node and of the tensor that it returns, and the
nodes before it add a word to it. Sizes of images and batches are never written into a graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from onnx import NodeProto, TensorProto

BYTE = 256  # values of one
UNBOUNDED = 2**31 - 1  # an end beyond any image
INTERPOLATIONS = {
    "nearest": {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    "linear": {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
}


class Sketch:
    """Nodes and constants, in the order in which they came.

    Args:
        ndim: Spatial axes of all maps, which are (batch, channels, [z,] y, x).

    Example:
        >>> sketch = Sketch(ndim=2)
        >>> sketch.crop("map", (3, 0), "cropped")
        'cropped'
        >>> [node.op_type for node in sketch.nodes], list(sketch.constants)
        (['Slice'], ['cropped.starts', 'cropped.ends', 'cropped.axes'])
    """

    def __init__(self, ndim: int) -> None:
        self.axes = tuple(range(2, 2 + ndim))
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}

    def add(self, operator: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Add one node.

        Args:
            operator: What ONNX calls it.
            inputs: Names of tensors; "" where an optional one is left out.
            name: The node's, and that of its output.
            attributes: The operator's.

        Returns:
            The name of the output.
        """
        from onnx.helper import make_node

        self.nodes.append(make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def keep(self, name: str, values: ArrayLike, dtype: type[np.generic] = np.int64) -> str:
        """Add a constant; returns its name."""
        from onnx.numpy_helper import from_array

        self.constants[name] = from_array(np.array(values, dtype, order="C"), name)
        return name

    def crop(self, x: str, counts: Sequence[int], name: str) -> str:
        """Cut `counts` pixels per spatial axis off both ends; where there are none to cut, `x` itself is returned."""
        cut = [(axis, count) for axis, count in zip(self.axes, counts, strict=True) if count]
        if not cut:
            return x
        bounds = [("starts", [n for _, n in cut]), ("ends", [-n for _, n in cut]), ("axes", [axis for axis, _ in cut])]
        return self.add("Slice", [x, *(self.keep(f"{name}.{word}", values) for word, values in bounds)], name)

    def enlarge(self, x: str, factors: Sequence[int], how: str, name: str) -> str:
        """Interpolate by whole factors, "nearest" or "linear" with corners not aligned."""
        scales = self.keep(f"{name}.scales", (1, 1, *factors), np.float32)
        return self.add("Resize", [x, "", scales], name, **INTERPOLATIONS[how])

    def shuffle(self, x: str, width: int, factors: Sequence[int], name: str) -> str:
        """Channels to space: groups of prod(factors) channels become one channel on a finer grid.

        Args:
            x: (batch, width * prod(factors), [z,] y, x), or with the group as an axis of its own after the channels.
            width: Channels that remain.
            factors: Per spatial axis.
            name: Of the result.

        Returns:
            (batch, width, [z,] y, x), larger by the factors.

        Source:
            Shi et al. 2016, equation 4.
        """
        size = self.add("Shape", [x], f"{name}.size", start=-len(factors))
        grouped = self._reshape(x, (0, width, *factors), size, f"{name}.grouped")
        order = chain.from_iterable((axis + len(factors), axis) for axis in self.axes)
        moved = self.add("Transpose", [grouped], f"{name}.moved", perm=[0, 1, *order])
        enlarged = self.add("Mul", [size, self.keep(f"{name}.factors", factors)], f"{name}.enlarged")
        return self._reshape(moved, (0, width), enlarged, name)

    def unpool(self, values: str, pooled_map: str, width: int, factors: Sequence[int], name: str) -> str:
        """Every value where max pooling found the first maximum of its window, zeros elsewhere.

        The pixels at one place of all windows are a map, and the first of the largest maps is the place of the
        maximum; so no operator is needed that only some engines have.

        Args:
            values: (batch, width, [z,] y, x).
            pooled_map: (batch, width, [z,] y, x), larger by the factors.
            width: Channels of both.
            factors: The pooling's kernel and stride.
            name: Of the result.

        Returns:
            As large as the pooled map.
        """
        count = prod(factors)
        if count == 1:
            return self.add("Identity", [values], name)
        corners = enumerate(product(*map(range, factors)))
        maps = [self._thin(pooled_map, corner, factors, f"{name}.map{index}") for index, corner in corners]
        found = self.find_largest(maps, f"{name}.place")
        group, dtype = self.keep(f"{name}.group", [2]), index_type(count)
        places = self.keep(f"{name}.places", np.reshape(range(count), (1, 1, -1) + (1,) * len(factors)), dtype)
        here = self.add("Equal", [self.add("Unsqueeze", [found, group], f"{name}.found"), places], f"{name}.here")
        spread = self.add("Unsqueeze", [values, group], f"{name}.values")
        placed = self.add("Where", [here, spread, self.keep(f"{name}.zero", 0, np.float32)], f"{name}.placed")
        return self.shuffle(placed, width, factors, name)

    def find_largest(self, maps: Sequence[str], name: str) -> str:
        """Which of some maps is the largest, pixel by pixel; of equal ones the first.

        Args:
            maps: At least two, of the same shape.
            name: Of the result.

        Returns:
            Their indices: bytes, or int32 where a byte does not hold them.
        """
        from onnx.helper import np_dtype_to_tensor_dtype

        dtype, last = index_type(len(maps)), len(maps) - 1
        index, largest = "", maps[0]
        for number, rival in enumerate(maps[1:], 1):
            called = name if number == last else f"{name}.first{number}"
            wins = self.add("Greater", [rival, largest], f"{name}.wins{number}")
            if number == 1:
                index = self.add("Cast", [wins], called, to=np_dtype_to_tensor_dtype(np.dtype(dtype)))
            else:
                index = self.add("Where", [wins, self.keep(f"{name}.{number}", number, dtype), index], called)
            if number != last:
                largest = self.add("Max", [largest, rival], f"{name}.largest{number}")
        return index

    def _thin(self, x: str, corner: Sequence[int], factors: Sequence[int], name: str) -> str:
        """The pixels at one corner of all windows."""
        ends = self.keep(f"{name}.ends", (UNBOUNDED,) * len(factors))
        starts, axes, steps = (
            self.keep(f"{name}.{word}", values)
            for word, values in (("starts", corner), ("axes", self.axes), ("steps", factors))
        )
        return self.add("Slice", [x, starts, ends, axes, steps], name)

    def _reshape(self, x: str, known: Sequence[int], size: str, name: str) -> str:
        """Give `x` a shape that starts with known numbers (0 keeps an axis) and ends in a computed size."""
        shape = self.add("Concat", [self.keep(f"{name}.known", known), size], f"{name}.shape", axis=0)
        return self.add("Reshape", [x, shape], name)


def index_type(count: int) -> type[np.generic]:
    """What holds the numbers below `count`: bytes where they do.

    Example:
        >>> index_type(256), index_type(257)
        (<class 'numpy.uint8'>, <class 'numpy.int32'>)
    """
    return np.uint8 if count <= BYTE else np.int32
