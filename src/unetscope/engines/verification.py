"""Written networks run back from the disk and compared with torch; knows runtimes and blocks, not how files came to be.

Each runtime is called here in the plainest way, so that what is found holds for any program that calls it so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetscope.checkpoint import Checkpoint
from unetscope.data.normalization import Normalization
from unetscope.engines.bundle import FILES, Format
from unetscope.engines.runtimes import load_onnxruntime, load_openvino
from unetscope.errors import ExportError
from unetscope.model.geometry import fitting_shape, margin
from unetscope.wiring import IMAGE

Run = Callable[[NDArray[np.float32]], NDArray[Any]]
Sample = tuple[NDArray[np.float32], NDArray[np.float32]]

TOLERANCE = 1e-3  # largest difference of a score, in standard deviations of all scores
AGREEMENT = 0.999  # smallest share of equal labels
TESTED = {2: 64, 3: 16}  # pixels per axis that random images fill at least
INTENSITIES = (1000.0, 200.0)  # mean and spread of images whose normalization fits any


@dataclass(frozen=True)
class Verification:
    """How far what a runtime computed from the written files is from the network in torch, in float32.

    Attributes:
        format: What was read.
        runtime: The program that read and computed it.
        version: Its version.
        difference: Largest difference of a score, in standard deviations of an image's scores; None where the graph
            returns labels alone.
        agreement: Share of pixels whose labels are equal, of the worst block.
        blocks: Blocks of pixels that were compared: stored crops of the training images, and random images.

    Example:
        >>> Verification("onnx", "onnxruntime", "1.31.1", difference=2e-6, agreement=1.0, blocks=2).passes
        True
    """

    format: Format
    runtime: str
    version: str
    difference: float | None
    agreement: float
    blocks: int

    @property
    def passes(self) -> bool:
        """Whether this is the same network, to rounding; what is not a number is not."""
        return self.agreement >= AGREEMENT and (self.difference is None or self.difference <= TOLERANCE)


def verify(
    checkpoint: Checkpoint, folder: Path, formats: Sequence[Format], *, normalizes: bool = False, labels: bool = False
) -> list[Verification]:
    """Run written networks, and compare what they return with the checkpoint's own network in torch, in float32.

    Compared are the checkpoint's crops and random images of two sizes, in batches of one and of two.

    Args:
        checkpoint: What was exported.
        folder: Where the files are.
        formats: Which of them to run: ONNX by ONNX Runtime, OpenVINO's by OpenVINO in float32.
        normalizes: Whether the graphs take intensities as stored.
        labels: Whether they return class indices.

    Returns:
        What was found, for each format.

    Raises:
        ExportError: A runtime cannot run a file, or returns something else.
    """
    from unetscope.engines.torch_engine import TorchEngine

    samples = list(_samples(checkpoint, normalizes))
    reference = TorchEngine(checkpoint, "float32")
    expected = [reference.scores(normalized) for _, normalized in samples]
    found = [_compare(each, folder, samples, expected, labels) for each in formats]
    for each in found:
        _check_passes(each)
    return found


def _compare(
    chosen: Format, folder: Path, samples: Sequence[Sample], expected: Sequence[NDArray[np.floating]], labels: bool
) -> Verification:
    """Run one file on all samples."""
    path, (load, read) = folder / FILES[chosen][0], RUNTIMES[chosen]
    runtime = load()
    name, version = runtime.__name__, version_of(runtime)
    try:
        run = read(runtime, path)
        results = [run(image) for image, _ in samples]
    except Exception as error:  # the runtimes share no class of errors
        raise ExportError(
            f"{path.name} was written, but {name} {version} cannot run it ({first_line(error)}), so nothing is kept; "
            "update with pip install --upgrade 'unetscope[export]', or leave this format out"
        ) from error
    pairs = list(zip(results, expected, strict=True))
    return Verification(
        format=chosen,
        runtime=name,
        version=version,
        difference=None if labels else max(_difference(scores, truth) for scores, truth in pairs),
        agreement=min(_agreement(r if labels else r.argmax(1), truth.argmax(1)) for r, truth in pairs),
        blocks=len(pairs),
    )


def _difference(scores: NDArray[Any], expected: NDArray[np.floating]) -> float:
    """Largest difference in standard deviations; infinite for other shapes, and for what is not a number."""
    if scores.shape != expected.shape:
        return float("inf")
    largest, spread = float(np.abs(scores - expected).max()), float(expected.std())
    if largest == 0:
        return 0.0
    return largest / spread if spread > 0 else float("inf")


def _agreement(labels: NDArray[Any], expected: NDArray[Any]) -> float:
    """Share of equal labels."""
    return float((labels == expected).mean()) if labels.shape == expected.shape else 0.0


def _check_passes(found: Verification) -> None:
    if found.passes:
        return
    scores = "" if found.difference is None else f"scores differ by up to {found.difference:.2g} of their spread, and "
    raise ExportError(
        f"what {found.runtime} {found.version} computes from the written {found.format} is not what the network "
        f"computes ({scores}labels agree on {found.agreement:.2%} of the pixels; at most {TOLERANCE:g} and at least "
        f"{AGREEMENT:.1%} were needed), so nothing is kept; update with pip install --upgrade 'unetscope[export]', or "
        "export to another of --formats"
    )


def _samples(checkpoint: Checkpoint, normalizes: bool) -> Iterator[Sample]:
    """Blocks as the graph takes them, each with what the network itself must see."""
    for block in _normalized_blocks(checkpoint):
        if not normalizes:
            yield block, block
            continue
        stored = _stored(checkpoint.normalization, block)
        each = [checkpoint.normalization.affine(image).apply(image) for image in stored]
        yield stored, np.stack(each)


def _normalized_blocks(checkpoint: Checkpoint) -> Iterator[NDArray[np.float32]]:
    """Each crop, and random images: two small ones at once, and a single larger one that is not square."""
    spec = checkpoint.spec
    yield from (crop[None] for crop in checkpoint.crops)
    small = fitting_shape(spec, tuple(TESTED[spec.ndim] + 2 * lost for lost in margin(spec)))
    large = tuple(
        n + (axis + 1) * stride for axis, (n, stride) in enumerate(zip(small, spec.total_stride, strict=True))
    )
    random = np.random.default_rng(0)
    for batch, shape in ((2, small), (1, large)):
        yield random.standard_normal((batch, spec.image_channels, *shape), np.float32)


def _stored(normalization: Normalization, block: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intensities that the normalization brings back to about `block`; any do for one that looks at each image."""
    shift, scale = normalization.shift or INTENSITIES[:1], normalization.scale or INTENSITIES[1:]
    one_each = (-1,) + (1,) * (block.ndim - 2)
    return np.asarray(block * np.reshape(scale, one_each) + np.reshape(shift, one_each), np.float32)


def _read_onnx(onnxruntime: ModuleType, path: Path) -> Run:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda image: np.asarray(session.run(None, {IMAGE: image})[0])


def _read_openvino(openvino: ModuleType, path: Path) -> Run:
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda image: np.asarray(compiled(image)[0])


RUNTIMES: Mapping[Format, tuple[Callable[[], ModuleType], Callable[[ModuleType, Path], Run]]] = {
    "onnx": (load_onnxruntime, _read_onnx),
    "openvino": (load_openvino, _read_openvino),
}


def version_of(library: ModuleType) -> str:
    """What a library calls itself, without its build; packages have other names (onnxruntime-gpu)."""
    return str(library.__version__).partition("-")[0]


def first_line(error: Exception) -> str:
    """What a library says of an error, as far as it fits into a sentence."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
