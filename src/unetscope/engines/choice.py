"""Which engine computes a network on this machine: tried on images of its own, once; knows neither tiles nor files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from itertools import chain, product, repeat
from math import inf, isfinite, prod
from statistics import median
from time import perf_counter
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from unetscope import __version__
from unetscope.checkpoint import Checkpoint
from unetscope.engines.bundle import Bundle, Source
from unetscope.engines.cache import Shelf, key_of
from unetscope.engines.engine import Arithmetic, Engine, EngineName, Precision
from unetscope.errors import SpecError
from unetscope.machine import describe_machine, find_version, has_accelerator

Wanted = Literal["auto", "torch", "openvino"]
Labels = NDArray[np.unsignedinteger]

DICE = 0.998  # lowest of a class, over all crops, against float32
AGREEMENT = 0.999  # lowest share of equal labels of a crop
REPEATS = 5  # timed runs over all crops, after one that is not timed
SECONDS = 1.0  # an engine is timed for so long, and for one crop at least
VERDICTS = Shelf("engines", ".json", most_files=200, most_bytes=2**24)


@dataclass(frozen=True)
class Trial:
    """One engine tried on a network's crops.

    Attributes:
        engine: The library.
        precision: What it computed in.
        seconds_per_megapixel: Median over a few runs, for a million pixels of image; None where it failed.
        dice: Lowest Dice of a class, over all crops, against the labels of torch in float32; None where it failed.
        agreement: Share of labels equal to those, in the worst crop; None where it failed.
        accepted: Whether it may be taken.
        reason: What speaks against it; empty where nothing does.
    """

    engine: EngineName
    precision: Arithmetic
    seconds_per_megapixel: float | None
    dice: float | None
    agreement: float | None
    accepted: bool
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Plain values from which `from_json` makes the same trial."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Trial:
        """The trial that `to_json` wrote.

        Raises:
            ValueError: These are not the values of a trial.
        """
        try:
            trial = cls(**content)
        except TypeError as error:
            raise ValueError(f"no trial: {error}") from error
        numbers = (trial.seconds_per_megapixel, trial.dice, trial.agreement)
        named = trial.engine in get_args(EngineName) and trial.precision in get_args(Arithmetic)
        judged = isinstance(trial.accepted, bool) and isinstance(trial.reason, str)
        measured = all(_is_measured(n) for n in numbers) or (not trial.accepted and numbers == (None, None, None))
        if not (named and judged and measured):
            raise ValueError(f"no trial: {trial}")
        return trial


def choose_engine(source: Source, wanted: Wanted = "auto", precision: Precision = "auto") -> Engine:
    """Make a network ready to compute, in the library that is fastest here and computes the same labels.

    Args:
        source: The trained network, or an exported one.
        wanted: The library; "auto" tries those installed on the trained network's crops, once per machine, and takes
            the fastest that `compare_engines` accepts. Without crops, and on a CUDA card, that is torch. An exported
            network is computed by OpenVINO, or by ONNX Runtime where that is missing.
        precision: What to compute in; "auto" lets the trial decide, and is bfloat16 where there is no trial and the
            hardware computes in it (for an exported network: where it was tried when it was exported).

    Returns:
        The engine.

    Raises:
        SpecError: The library is not installed, or cannot compute this.
        CheckpointError: The weights are not those of the network, or the exported graph returns no scores.
    """
    if isinstance(source, Bundle):
        return _build_exported(source, wanted, precision)
    return build_engine(source, *(_choose(source, precision) if wanted == "auto" else (wanted, precision)))


def compare_engines(checkpoint: Checkpoint, precision: Precision = "auto") -> tuple[Trial, ...]:
    """Time the engines installed here on a network's crops, and compare their labels with those of torch in float32.

    An engine is accepted if every class has a Dice of .998 over all crops, and every crop 99.9 % equal labels.

    Args:
        checkpoint: The trained network.
        precision: The only precision to try; "auto" for all that the hardware computes in.

    Returns:
        One trial for each engine and precision; none where there are no crops. An engine that fails is not accepted.
    """
    if not len(checkpoint.crops):
        return ()
    expected = _label_all(build_engine(checkpoint, "torch", "float32"), checkpoint.crops)
    return tuple(_try(checkpoint, name, kind, expected) for name, kind in _candidates(precision))


def build_engine(source: Source, name: EngineName, precision: Precision = "auto", keeps: bool = True) -> Engine:
    """Make a network ready to compute in one library, and keep what was compiled for the next time.

    Raises:
        SpecError: The library is not installed, or cannot compute this.
        CheckpointError: The weights are not those of the network.
    """
    if name == "openvino":
        from unetscope.engines.openvino_engine import OpenVINOEngine

        return OpenVINOEngine(source, precision, keeps)
    if name == "onnxruntime":
        from unetscope.engines.onnx_engine import OnnxEngine

        return OnnxEngine(source, precision)
    if isinstance(source, Bundle):
        raise SpecError(f"{source.network} cannot be computed by torch; use the engine openvino or auto, or the run")
    from unetscope.engines.torch_engine import TorchEngine

    return TorchEngine(source, precision)


def _build_exported(bundle: Bundle, wanted: Wanted, precision: Precision) -> Engine:
    """The engine that reads the bundle's file; in bfloat16 only what was seen to bear it."""
    bundle.check_plain()
    kind: Precision = "float32" if precision == "auto" and not bundle.bears_bfloat16 else precision
    if wanted != "auto":
        return build_engine(bundle, wanted, kind)
    reads = _is_installed("openvino") or bundle.network.suffix != ".onnx"
    return build_engine(bundle, "openvino" if reads else "onnxruntime", kind)


def _choose(checkpoint: Checkpoint, precision: Precision) -> tuple[EngineName, Precision]:
    """The fastest engine that was accepted; torch where there is nothing to try, or to try it on."""
    if not len(checkpoint.crops) or precision == "float64" or _has_card():
        return "torch", precision
    key = _key(checkpoint, precision)
    trials = _recall(key)
    if trials is None:
        trials = compare_engines(checkpoint, precision)
        VERDICTS.write(key, json.dumps({"trials": [trial.to_json() for trial in trials]}, indent=2).encode())
    accepted = [trial for trial in trials if trial.accepted]
    if not accepted:
        return "torch", precision
    best = min(accepted, key=_seconds)
    return best.engine, best.precision


def _seconds(trial: Trial) -> float:
    return inf if trial.seconds_per_megapixel is None else trial.seconds_per_megapixel


def _candidates(precision: Precision) -> list[tuple[EngineName, Arithmetic]]:
    """Engines and precisions to try; torch would imitate bfloat16 where the hardware lacks it, OpenVINO refuses to."""
    from unetscope.engines.torch_engine import computes_bfloat16

    names: tuple[EngineName, ...] = ("torch", "openvino") if _is_installed("openvino") else ("torch",)
    kinds: tuple[Arithmetic, ...] = ("bfloat16", "float32") if precision == "auto" else (precision,)
    imitated = {("torch", "bfloat16")} if precision == "auto" and not computes_bfloat16() else set()
    return [pair for pair in product(names, kinds) if pair not in imitated]


def _try(checkpoint: Checkpoint, name: EngineName, precision: Arithmetic, expected: Labels) -> Trial:
    """Time one engine and compare its labels; whatever it raises rejects it."""
    try:
        return _judge(build_engine(checkpoint, name, precision), checkpoint.crops, expected)
    except Exception as error:  # libraries share no class of errors, and another engine may do
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        return Trial(name, precision, None, None, None, False, reason)


def _judge(engine: Engine, crops: NDArray[np.float32], expected: Labels) -> Trial:
    """Time an engine, after its labels are compared: the first run is always slower."""
    dice, agreement = _compare(_label_all(engine, crops), expected, max(2, engine.spec.classes))
    seconds = _time(engine, crops) / (prod(crops.shape[2:]) / 1e6)
    is_reference = (engine.name, engine.precision) == ("torch", "float32")
    reason = "" if is_reference else _object_to(dice, agreement)
    return Trial(engine.name, engine.precision, seconds, dice, agreement, not reason, reason)


def _label_all(engine: Engine, crops: NDArray[np.float32]) -> Labels:
    """Labels of all crops, one after another, as tiles are segmented."""
    return np.concatenate([engine.labels(crops[index : index + 1]) for index in range(len(crops))])


def _time(engine: Engine, crops: NDArray[np.float32]) -> float:
    """Median seconds of a crop, over a few runs of all or as many as fit into the time."""
    seconds: list[float] = []
    for index in chain(*repeat(range(len(crops)), REPEATS)):
        start = perf_counter()
        engine.labels(crops[index : index + 1])
        seconds.append(perf_counter() - start)
        if sum(seconds) > SECONDS:
            break
    return median(seconds)


def _compare(labels: Labels, expected: Labels, classes: int) -> tuple[float, float]:
    """The lowest Dice of a class over all crops, and the lowest share of equal labels of a crop."""
    from unetscope.scores.overlap import confusion

    counts = confusion(expected, labels, classes, ignore=None)
    sizes = counts.sum(0) + counts.sum(1)
    dice = np.divide(2 * counts.diagonal(), sizes, out=np.ones(classes), where=sizes > 0)
    return float(dice.min()), float((labels == expected).reshape(len(labels), -1).mean(1).min())


def _object_to(dice: float, agreement: float) -> str:
    """What speaks against taking an engine."""
    if dice < DICE:
        return f"the Dice of a class against float32 is {dice:.4f}; at least {DICE} was needed"
    if agreement < AGREEMENT:
        return f"{agreement:.2%} of a crop's labels are those of float32; at least {AGREEMENT:.1%} were needed"
    return ""


def _key(checkpoint: Checkpoint, precision: Precision) -> str:
    """What a verdict depends on."""
    crops = checkpoint.crops
    return key_of(
        [checkpoint.digest(), checkpoint.spec.to_json(), crops.shape, hashlib.sha256(crops.tobytes()).hexdigest()],
        [__version__, *(find_version(library) for library in ("torch", "openvino"))],
        [describe_machine(), precision],
    )


def _recall(key: str) -> tuple[Trial, ...] | None:
    """The trials remembered under a key; none where the file is missing or damaged."""
    content = VERDICTS.read(key)
    try:
        return (content and tuple(Trial.from_json(entry) for entry in json.loads(content)["trials"])) or None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _has_card() -> bool:
    """Whether torch computes on a CUDA card; torch is asked only where a card's driver is loaded."""
    if not has_accelerator():
        return False
    import torch

    return bool(torch.cuda.is_available())


def _is_installed(library: str) -> bool:
    return find_spec(library) is not None


def _is_measured(number: object) -> bool:
    return isinstance(number, int | float) and not isinstance(number, bool) and isfinite(number) and number >= 0
