"""The engine in ONNX Runtime, in float32: for exported networks, and a check of them; knows graphs and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from unetscope.engines.bundle import Source
from unetscope.engines.engine import Arithmetic, Engine, EngineName, Precision, arg_max, locate_network
from unetscope.engines.runtimes import load_onnxruntime
from unetscope.errors import SpecError
from unetscope.machine import count_threads


class OnnxEngine(Engine):
    """A network in ONNX Runtime.

    Args:
        source: The trained network, or an exported one.
        precision: "float32", or "auto", which is the same.

    Raises:
        SpecError: ONNX Runtime is not installed, or cannot compute this.
    """

    name: ClassVar[EngineName] = "onnxruntime"
    workspace: ClassVar[Mapping[Arithmetic, float]] = {"float32": 2.0}

    def __init__(self, source: Source, precision: Precision = "auto") -> None:
        if precision not in ("auto", "float32"):
            raise SpecError(f"ONNX Runtime computes in float32, not in {precision}; use float32, or another engine")
        super().__init__(source.spec, "float32")
        onnxruntime = load_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = count_threads()
        self._session = onnxruntime.InferenceSession(
            locate_network(source), options, providers=["CPUExecutionProvider"]
        )

    def scores(self, block: NDArray[np.float32]) -> NDArray[np.floating]:
        """Scores before soft-max."""
        whole = np.ascontiguousarray(block, np.float32)
        return np.asarray(self._session.run(None, {"image": whole})[0], np.float32)

    def labels(self, block: NDArray[np.float32]) -> NDArray[np.unsignedinteger]:
        """The arg-max of the scores."""
        return arg_max(self.scores(block))
