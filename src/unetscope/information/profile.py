"""The profile of a network: information at every layer with its controls; knows networks and data, draws nothing.

"Paper mode" reproduces the kernel density estimates of Lee & Bajic 2021. They are known to saturate, so that every
estimate stands beside its ceilings, the same network untrained, and the same samples with shuffled labels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from math import log2
from pathlib import Path
from typing import Any, Self, get_args

from unetscope.checkpoint import Checkpoint, record_versions
from unetscope.data.dataset import Dataset
from unetscope.errors import DataError, RecipeError
from unetscope.evaluation import see
from unetscope.files import write_json
from unetscope.information.capture import MEMORY_BYTES
from unetscope.information.coding import CodeStatistics, Coding, code_blocks, code_clusters, describe_codes
from unetscope.information.distances import measure_distances
from unetscope.information.estimators.kernel import (
    VARIANCE,
    Bounds,
    Codes,
    LabelInformation,
    Matrix,
    ShuffledInformation,
    input_information,
    label_information,
    shuffled_information,
)
from unetscope.information.samples import Role, Samples, choose_samples
from unetscope.model.spec import UNetSpec
from unetscope.wiring import IMAGE, Wiring

FORMAT = 1
STEPS = 4
NEAR_BITS, NEAR_SHARE = 0.05, 0.01  # within either of them, an estimate and its ceiling or control are not told apart

OnStep = Callable[[int, int, str], None]


@dataclass(frozen=True)
class ProfileSettings:
    """How to profile.

    Attributes:
        role: Images to use: "profile" (those that chose when training ended), "train" or "all".
        coding: Label images as "blocks" (4 per axis) or "clusters" (64 by k-means).
        variance: Variance of the noise, in squared units of an activation.
        permutations: Shuffles of the labels.
        seed: Seed of the untrained network, the shuffles and the clusters.
        memory_bytes: Memory to use, about; less takes longer.

    Raises:
        RecipeError: A setting is out of range.
    """

    role: Role = "profile"
    coding: Coding = "blocks"
    variance: float = VARIANCE
    permutations: int = 20
    seed: int = 0
    memory_bytes: int = MEMORY_BYTES

    def __post_init__(self) -> None:
        for name, choices in (("role", Role), ("coding", Coding)):
            if getattr(self, name) not in get_args(choices):
                raise RecipeError(f"{name} is {getattr(self, name)!r}; use one of {', '.join(get_args(choices))}")
        if not 0 < self.variance < float("inf"):
            raise RecipeError(
                f"variance is {self.variance}; it must be positive and finite: use {VARIANCE} as published"
            )
        for name, least in (("permutations", 1), ("seed", 0), ("memory_bytes", 1)):
            if getattr(self, name) < least:
                raise RecipeError(f"{name} is {getattr(self, name)}; use a whole number of at least {least}")


@dataclass(frozen=True)
class Estimate:
    """Information at one layer of one network, bits.

    Attributes:
        input: I(X;M), about the image.
        label: I(M;Y), about its label code.
        saturated: I(X;M) is not told apart from its ceiling log2 N: it only says that the images differ.
    """

    input: Bounds
    label: LabelInformation
    saturated: bool


@dataclass(frozen=True)
class LayerProfile:
    """Information at one layer, with its controls.

    Attributes:
        layer: The layer's name; "image" is the network's input.
        trained: The network itself.
        untrained: The same network with fresh weights.
        shuffled: I(M;Y) of the network itself with shuffled labels, bits.
        fails_control: I(M;Y) is not told apart from its value with shuffled labels.
    """

    layer: str
    trained: Estimate
    untrained: Estimate
    shuffled: ShuffledInformation
    fails_control: bool


@dataclass(frozen=True)
class Profile:
    """Information at every layer of a network, with its controls and all that determined it.

    Attributes:
        layers: The image and every layer, in the order that data meets them.
        images: Names of the images used; their number is N.
        shape: Their common shape, ([z,] y, x).
        resampled: Whether some had another shape and were resampled.
        codes: How their label images fell into codes.
        settings: How they were profiled.
        spec: The network.
        wiring: What feeds each of its layers.
        provenance: Versions, and digests of the dataset and of the weights.
    """

    layers: tuple[LayerProfile, ...]
    images: tuple[str, ...]
    shape: tuple[int, ...]
    resampled: bool
    codes: CodeStatistics
    settings: ProfileSettings
    spec: UNetSpec
    wiring: Wiring = field(repr=False)
    provenance: Mapping[str, Any] = field(repr=False)

    @property
    def input_ceiling(self) -> float:
        """The most that I(X;M) can be: log2 N bits."""
        return log2(len(self.images))

    @property
    def label_ceiling(self) -> float:
        """The most that I(M;Y) can be: the plug-in entropy H(Y) of the label codes, bits."""
        return self.codes.entropy

    @property
    def verdict(self) -> str:
        """What can be told from the numbers, in plain words."""
        measured = [layer for layer in self.layers if layer.layer != IMAGE]
        saturated = sum(layer.trained.saturated for layer in measured)
        readable = [layer.layer for layer in measured if not layer.fails_control]
        count = len(measured)
        return (
            f"I(X;M) is at its ceiling log2 N = {self.input_ceiling:.2f} bits at {saturated} of {count} layers, and "
            f"I(M;Y) is no larger than with shuffled labels at {count - len(readable)} of them. "
            f"{_conclusion(readable, saturated < count)}"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values from which `from_json` makes the same profile; verdict and ceilings are there for readers."""
        return {
            "format": FORMAT,
            "verdict": self.verdict,
            "unit": "bits",
            "ceilings": {"input": self.input_ceiling, "label": self.label_ceiling},
            "settings": asdict(self.settings),
            "images": list(self.images),
            "shape": list(self.shape),
            "resampled": self.resampled,
            "codes": asdict(self.codes),
            "layers": [asdict(layer) for layer in self.layers],
            "spec": self.spec.to_json(),
            "wiring": {name: dict(getattr(self.wiring, name)) for name in ("sources", "strides", "widths")},
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The profile that `to_json` wrote.

        Raises:
            DataError: Entries are missing or damaged, or another version wrote them.
        """
        if not isinstance(content, Mapping) or content.get("format") != FORMAT:
            raise DataError(f"the profile is not of format {FORMAT}; use the version that wrote it, or profile again")
        try:
            return cls(
                layers=tuple(map(_read_layer, content["layers"])),
                images=tuple(content["images"]),
                shape=tuple(content["shape"]),
                resampled=content["resampled"],
                codes=CodeStatistics(**content["codes"]),
                settings=ProfileSettings(**content["settings"]),
                spec=UNetSpec.from_json(content["spec"]),
                wiring=_read_wiring(content["wiring"]),
                provenance=content["provenance"],
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"the profile is incomplete or altered ({error}); restore the file, or profile again"
            ) from error

    def save(self, path: Path | str) -> None:
        """Write a file of JSON that a person can read.

        Raises:
            OutputError: The file cannot be written.
        """
        write_json(Path(path), self.to_json())

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read the file that `save` wrote.

        Raises:
            DataError: The file is missing, damaged or no profile.
        """
        try:
            return cls.from_json(json.loads(Path(path).read_text(encoding="utf-8")))
        except OSError as error:
            reason = error.strerror or str(error)
            raise DataError(f"{path} cannot be read ({reason}); give the file that `profile` wrote") from error
        except ValueError as error:
            raise DataError(f"{path} cannot be read as a profile: {error}") from error


def _conclusion(readable: Sequence[str], is_below_ceiling: bool) -> str:
    """What may be concluded where labels can be read at some layers, and I(X;M) somewhere below its ceiling."""
    if readable:
        named = ", ".join(readable[:3]) + (f" and {len(readable) - 3} more" if len(readable) > 3 else "")
        return (
            f"What I(M;Y) says can be read at {named}, against the untrained network and at this noise variance only."
        )
    if is_below_ceiling:
        return (
            "Nothing can be told about the labels; where I(X;M) is below its ceiling it follows the scale of the "
            "activations, so compare it with the untrained network only."
        )
    return "Nothing can be told from this profile about what the network learned."


def _read_layer(content: Mapping[str, Any]) -> LayerProfile:
    trained, untrained = (_read_estimate(content[network]) for network in ("trained", "untrained"))
    return LayerProfile(
        content["layer"], trained, untrained, ShuffledInformation(**content["shuffled"]), content["fails_control"]
    )


def _read_estimate(content: Mapping[str, Any]) -> Estimate:
    return Estimate(Bounds(**content["input"]), LabelInformation(**content["label"]), content["saturated"])


def _read_wiring(content: Mapping[str, Any]) -> Wiring:
    sources, strides = ({layer: tuple(v) for layer, v in content[name].items()} for name in ("sources", "strides"))
    return Wiring(sources, strides, content["widths"])


def profile(
    checkpoint: Checkpoint,
    dataset: Dataset,
    settings: ProfileSettings = ProfileSettings(),
    on_step: OnStep | None = None,
) -> Profile:
    """Estimate what every layer knows of image and label, beside the controls of that estimate.

    Args:
        checkpoint: The trained network.
        dataset: Images with labels, among them those of the checkpoint's split.
        settings: How to profile.
        on_step: Called with step, number of steps and what is done next.

    Returns:
        The profile, bits. Where controls fail it says so: see `Profile.verdict`.

    Raises:
        DataError: Too few images, images missing from the dataset, or not the network's.

    Source:
        Lee & Bajic 2021, Information flow through U-Nets, ISBI; Kolchinsky & Tracey 2017.
    """
    report = on_step or (lambda *_: None)
    report(1, STEPS, "reading the labels")
    seen = see(checkpoint, dataset)
    learned = seen.at_spacing(checkpoint.spacing) if checkpoint.spacing else seen
    samples = choose_samples(checkpoint, learned, settings.role)
    codes = _code(samples, settings)
    report(2, STEPS, f"the trained network on {len(samples.items)} images")
    trained = measure_distances(checkpoint, samples, settings.memory_bytes)
    report(3, STEPS, "the same network untrained")
    untrained = measure_distances(checkpoint.untrained(settings.seed), samples, settings.memory_bytes)
    report(4, STEPS, "shuffled labels")
    return Profile(
        layers=tuple(_profile_layer(layer, trained[layer], untrained[layer], codes, settings) for layer in trained),
        images=tuple(item.name for item in samples.items),
        shape=samples.shape,
        resampled=samples.resampled,
        codes=describe_codes(codes),
        settings=settings,
        spec=checkpoint.spec,
        wiring=checkpoint.spec.wiring,
        provenance={"versions": record_versions(), "data": dataset.digest(), "weights": checkpoint.digest()},
    )


def _code(samples: Samples, settings: ProfileSettings) -> Codes:
    if settings.coding == "blocks":
        return code_blocks(samples.foreground)
    return code_clusters(samples.foreground, seed=settings.seed)


def _profile_layer(
    layer: str, trained: Matrix, untrained: Matrix, codes: Codes, settings: ProfileSettings
) -> LayerProfile:
    estimate = partial(_estimate, codes=codes, variance=settings.variance)
    shuffled = shuffled_information(trained, codes, settings.variance, settings.permutations, settings.seed)
    own = estimate(trained)
    return LayerProfile(layer, own, estimate(untrained), shuffled, _fails_control(own.label, shuffled))


def _estimate(distances: Matrix, codes: Codes, variance: float) -> Estimate:
    bounds = input_information(distances, variance)
    return Estimate(bounds, label_information(distances, codes, variance), is_saturated(bounds, len(distances)))


def is_saturated(bounds: Bounds, count: int) -> bool:
    """Whether I(X;M) of `count` images is within 0.05 bits or 1 % of its ceiling.

    Example:
        >>> is_saturated(Bounds(1.0, 2.98), 8), is_saturated(Bounds(1.0, 2.5), 8)
        (True, False)
    """
    return bounds.upper >= log2(count) - max(NEAR_BITS, NEAR_SHARE * log2(count))


def _fails_control(label: LabelInformation, shuffled: ShuffledInformation) -> bool:
    """Whether a shuffle reaches the true labels' value, or their mean is within 0.05 bits or 2 standard deviations."""
    return label.published <= max(shuffled.highest, shuffled.mean + max(NEAR_BITS, 2 * shuffled.spread))
