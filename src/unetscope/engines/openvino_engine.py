"""The engine in OpenVINO, on processors; knows graphs and arrays, neither torch nor tiles."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import version
from io import BytesIO
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from unetscope import __version__
from unetscope.engines.bundle import Source
from unetscope.engines.cache import Shelf, key_of
from unetscope.engines.engine import Arithmetic, Engine, EngineName, Precision, arg_max, locate_network
from unetscope.engines.runtimes import load_openvino
from unetscope.errors import SpecError
from unetscope.machine import computes_bfloat16, count_threads, describe_machine

if TYPE_CHECKING:
    from openvino import CompiledModel, Core

COMPILED = Shelf("openvino", ".blob", most_files=100, most_bytes=2**30)
HINTS: Mapping[Arithmetic, str] = {"bfloat16": "bf16", "float32": "f32"}
DIGEST = 64  # characters of a digest, before a compiled model: it is used only as it was written


class OpenVINOEngine(Engine):
    """A network in OpenVINO. One compiled model serves blocks of every shape, and is kept in the user's cache folder.

    Args:
        source: The trained network, or an exported one.
        precision: "bfloat16" where the processor computes in it, or "float32"; "auto" takes the first that it can.
        keeps: Whether the compiled model is kept for the next time; not worth it for a network that is only timed.

    Raises:
        SpecError: OpenVINO is not installed, or cannot compute this.
    """

    name: ClassVar[EngineName] = "openvino"
    workspace: ClassVar[Mapping[Arithmetic, float]] = {"bfloat16": 1.25, "float32": 1.25}

    def __init__(self, source: Source, precision: Precision = "auto", keeps: bool = True) -> None:
        core = load_openvino().Core()
        super().__init__(source.spec, _choose_precision(core, precision))
        try:
            compiled = _recall(core, source, self.precision) if keeps else _compile(core, source, self.precision)
            self._request = compiled.create_infer_request()
        except RuntimeError as error:
            raise SpecError(
                f"OpenVINO {version('openvino')} cannot compute this network in {self.precision} "
                f"({_last_line(error)}); use the engine torch"
            ) from error

    def scores(self, block: NDArray[np.float32]) -> NDArray[np.floating]:
        """Scores before soft-max."""
        return self._run(block).copy()

    def labels(self, block: NDArray[np.float32]) -> NDArray[np.unsignedinteger]:
        """The arg-max of the scores."""
        return arg_max(self._run(block))

    def _run(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores in OpenVINO's own memory, which the next block overwrites."""
        whole = np.ascontiguousarray(block, np.float32)
        results = self._request.infer({0: whole}, share_inputs=True, share_outputs=True)
        return np.asarray(results[0], np.float32)


def _choose_precision(core: Core, precision: Precision) -> Arithmetic:
    if precision == "float64":
        raise SpecError("OpenVINO cannot compute in float64; use the engine torch, or another precision")
    computes = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") and computes_bfloat16() is not False
    if precision == "bfloat16" and not computes:
        raise SpecError(
            "OpenVINO computes in bfloat16 only where the processor does, and this one does not; use float32"
        )
    return ("bfloat16" if computes else "float32") if precision == "auto" else precision


def _recall(core: Core, source: Source, precision: Arithmetic) -> CompiledModel:
    """The compiled model: from the cache, or made and kept there."""
    key = key_of(source.digest(), source.spec.to_json(), precision, _versions(), describe_machine())
    kept = COMPILED.read(key)
    if kept is not None and _digest(kept[DIGEST:]) == kept[:DIGEST]:
        try:
            return core.import_model(BytesIO(kept[DIGEST:]), "CPU", _settings(precision))
        except RuntimeError:
            pass  # what OpenVINO wrote and cannot read is made anew
    compiled, stream = _compile(core, source, precision), BytesIO()
    compiled.export_model(stream)
    COMPILED.write(key, _digest(stream.getvalue()) + stream.getvalue())
    return compiled


def _compile(core: Core, source: Source, precision: Arithmetic) -> CompiledModel:
    return core.compile_model(core.read_model(locate_network(source)), "CPU", _settings(precision))


def _settings(precision: Arithmetic) -> dict[str, Any]:
    """One block at a time on all cores, which are not reserved: other programs, and torch in this one, use them too."""
    return {
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": count_threads(),
        "ENABLE_CPU_PINNING": False,
    }


def _versions() -> list[str]:
    return [__version__, version("openvino")]


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _last_line(error: Exception) -> str:
    """What OpenVINO has to say: before it come places in its source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
