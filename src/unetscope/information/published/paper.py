"""The published profile of a network, with its controls; knows networks and data, draws nothing.

"Paper mode" reproduces the kernel density estimates of Lee & Bajic 2021. They are known to saturate, so that every
estimate stands beside its ceilings, the same network untrained, the same samples with shuffled labels, and the same
with noise that follows the layer's power. No advice rests on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import log2
from pathlib import Path
from typing import Any, Self, get_args

from unetscope.checkpoint import Checkpoint, record_versions
from unetscope.data.dataset import Dataset
from unetscope.errors import DataError, RecipeError
from unetscope.evaluation import see
from unetscope.files import read_json, write_json
from unetscope.information.capture import MEMORY_BYTES
from unetscope.information.estimators.kernel import VARIANCE, Codes
from unetscope.information.published.coding import (
    CodeStatistics,
    Coding,
    code_blocks,
    code_clusters,
    describe_codes,
    multiply_masks,
)
from unetscope.information.published.estimates import Controls, PaperLayer, Similarity, compare_arrangements
from unetscope.information.published.grams import measure_grams
from unetscope.information.published.samples import Role, Samples, choose_samples
from unetscope.model.spec import UNetSpec
from unetscope.wiring import IMAGE, Wiring

FORMAT = 2
STEPS = 4

OnStep = Callable[[int, int, str], None]


@dataclass(frozen=True)
class PaperSettings:
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
class PaperProfile:
    """Information at every layer of a network, with its controls and all that determined it.

    Attributes:
        layers: The image and every layer, in the order that data meets them, at the published variance of the noise.
        relative: The same at a variance that follows each layer's power (`relative_variance`).
        similarities: How alike each of them arranges the images as image and label do.
        images: Names of the images used; their number is N.
        shape: Their common shape, ([z,] y, x).
        resampled: Whether some had another shape and were resampled.
        codes: How their label images fell into codes.
        settings: How they were profiled.
        spec: The network.
        wiring: What feeds each of its layers.
        provenance: Versions, and digests of the dataset and of the weights.
    """

    layers: tuple[PaperLayer, ...]
    relative: tuple[PaperLayer, ...]
    similarities: Mapping[str, Similarity]
    images: tuple[str, ...]
    shape: tuple[int, ...]
    resampled: bool
    codes: CodeStatistics
    settings: PaperSettings
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
        saturated = sum(bool(layer.trained.saturated) for layer in measured)
        failed = sum(layer.fails_control for layer in measured)
        clauses = dict.fromkeys(clause for layer in measured for clause in layer.trained.saturated)
        why = f" ({'; '.join(clauses)})" if clauses else ""
        readable = [layer.layer for layer in measured if layer.is_readable]
        return (
            f"The estimate is saturated at {saturated} of {len(measured)} layers{why}, and I(M;Y) is no larger than "
            f"with shuffled labels at {failed} of them. {_conclusion(readable, saturated < len(measured))}"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values from which `from_json` makes the same profile; verdict and ceilings are there for readers."""
        return {
            "format": FORMAT,
            "mode": "published",
            "verdict": self.verdict,
            "unit": "bits",
            "ceilings": {"input": self.input_ceiling, "label": self.label_ceiling},
            "settings": asdict(self.settings),
            "images": list(self.images),
            "shape": list(self.shape),
            "resampled": self.resampled,
            "codes": asdict(self.codes),
            "layers": [asdict(layer) for layer in self.layers],
            "relative": [asdict(layer) for layer in self.relative],
            "similarities": {layer: asdict(found) for layer, found in self.similarities.items()},
            "spec": self.spec.to_json(),
            "wiring": self.wiring.to_json(),
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
                layers=tuple(map(PaperLayer.from_json, content["layers"])),
                relative=tuple(map(PaperLayer.from_json, content["relative"])),
                similarities={layer: Similarity(**found) for layer, found in content["similarities"].items()},
                images=tuple(content["images"]),
                shape=tuple(content["shape"]),
                resampled=content["resampled"],
                codes=CodeStatistics(**content["codes"]),
                settings=PaperSettings(**content["settings"]),
                spec=UNetSpec.from_json(content["spec"]),
                wiring=Wiring.from_json(content["wiring"]),
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
        return read_json(Path(path), cls.from_json, "profile", "profile")


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


def profile_as_published(
    checkpoint: Checkpoint,
    dataset: Dataset,
    settings: PaperSettings = PaperSettings(),
    on_step: OnStep | None = None,
) -> PaperProfile:
    """Estimate what every layer knows of image and label, beside the controls of that estimate.

    Args:
        checkpoint: The trained network.
        dataset: Images with labels, among them those of the checkpoint's split.
        settings: How to profile.
        on_step: Called with step, number of steps and what is done next.

    Returns:
        The profile, bits. Where controls fail it says so: see `PaperProfile.verdict`.

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
    trained = measure_grams(checkpoint, samples, settings.memory_bytes)
    report(3, STEPS, "the same network untrained")
    untrained = measure_grams(checkpoint.untrained(settings.seed), samples, settings.memory_bytes)
    report(4, STEPS, "shuffled labels")
    controls = Controls(codes, settings.permutations, settings.seed)
    label = multiply_masks(samples.foreground)
    return PaperProfile(
        layers=tuple(controls.measure(layer, trained[layer], untrained[layer], settings.variance) for layer in trained),
        relative=tuple(controls.measure(layer, trained[layer], untrained[layer], None) for layer in trained),
        similarities={
            layer: compare_arrangements(trained[layer], untrained[layer], trained[IMAGE], label) for layer in trained
        },
        images=tuple(item.name for item in samples.items),
        shape=samples.shape,
        resampled=samples.resampled,
        codes=describe_codes(codes),
        settings=settings,
        spec=checkpoint.spec,
        wiring=checkpoint.spec.wiring,
        provenance={"versions": record_versions(), "data": dataset.digest(), "weights": checkpoint.digest()},
    )


def _code(samples: Samples, settings: PaperSettings) -> Codes:
    if settings.coding == "blocks":
        return code_blocks(samples.foreground)
    return code_clusters(samples.foreground, seed=settings.seed)
