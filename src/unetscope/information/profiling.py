"""Profiling: from a network and annotated images to a `Profile`; knows what is measured, not how an estimator works.

The images are those that did not teach the network. Probes are cross-fitted by image, so that every value is one that
a reader reaches on images it has not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from unetscope.checkpoint import Checkpoint, record_versions
from unetscope.data.dataset import Dataset
from unetscope.errors import RecipeError
from unetscope.information.ablation import Cut, lost_dice
from unetscope.information.bench import SHARES, Bench
from unetscope.information.channels import judge_channels
from unetscope.information.components import count_components
from unetscope.information.estimators.convolutional import SIDE
from unetscope.information.estimators.family import Family
from unetscope.information.estimators.gaussian import gaussian_information
from unetscope.information.estimators.logistic import Logistic
from unetscope.information.estimators.perceptron import Perceptron
from unetscope.information.estimators.similarity import effective_rank
from unetscope.information.findings import (
    EDGE,
    INPUT,
    INSIDE,
    LINEAR,
    POSITION,
    SHUFFLED,
    UNTRAINED,
    Gate,
    LayerProfile,
)
from unetscope.information.gating import REPEATS, Meeting, measure_gate
from unetscope.information.observation import Observations, observe_in_passes, observe_windows
from unetscope.information.one_thread import in_one_thread
from unetscope.information.pixels import PixelSettings, sample_pixels
from unetscope.information.profile import Profile
from unetscope.information.quantity import GATE_SHARE, Quantity
from unetscope.information.reading import Reading
from unetscope.information.references import measure_floors
from unetscope.information.subject import Subject, subject_of
from unetscope.information.tally import Tally
from unetscope.information.usable import CrossFit, assign_folds
from unetscope.information.views import Role, Views, view_dataset
from unetscope.information.windows import position_features, principal_patches

Effort = Literal["brief", "default", "thorough"]
OnStep = Callable[[int, int, str], None]

GIGABYTE = 2**30
FEW = 8  # images below which intervals themselves are hardly known
PATCH_SIDES: Mapping[int, int] = {2: 15, 3: 7}
"""Side of the input patch whose principal components a layer may recover, pixels."""


@dataclass(frozen=True)
class ProfileSettings:
    """How to profile.

    Attributes:
        role: Images to use: "profile" (those that chose when training ended), "test", "train" or "all". With training
            images among them, bits only rank layers of one network.
        seed: Start of all randomness: pixels, folds, probes, the untrained twin.
        folds: Parts into which the images are divided; each is predicted by probes fitted on the others.
        effort: "brief" measures with the linear family only; "default" adds the larger family at gates and at every
            second layer, single channels, strata, and the learning curves of the last map and the gates; "thorough"
            has the larger family and the curves everywhere, the decoder's own family at gates, and counts principal
            components.
        memory_bytes: Memory for activations, about.
        pixels: Pixels at which layers are read, about, of all images together; at least 64 blocks an image are drawn.

    Raises:
        RecipeError: A setting is out of range.
    """

    role: Role = "profile"
    seed: int = 0
    folds: int = 5
    effort: Effort = "default"
    memory_bytes: int = GIGABYTE
    pixels: int = 25_000

    def __post_init__(self) -> None:
        for name, choices in (("role", Role), ("effort", Effort)):
            if getattr(self, name) not in get_args(choices):
                raise RecipeError(f"{name} is {getattr(self, name)!r}; use one of {', '.join(get_args(choices))}")
        for name, least in (("seed", 0), ("folds", 2), ("memory_bytes", 1), ("pixels", 1)):
            if getattr(self, name) < least:
                raise RecipeError(f"{name} is {getattr(self, name)}; use a whole number of at least {least}")


def profile(
    checkpoint: Checkpoint,
    dataset: Dataset,
    settings: ProfileSettings = ProfileSettings(),
    on_step: OnStep | None = None,
) -> Profile:
    """Measure what every layer and gate of a trained network tells about the labels, with its controls.

    Args:
        checkpoint: The trained network.
        dataset: Images with labels, among them those of the checkpoint's split.
        settings: How to profile.
        on_step: Called with step, number of steps and what is done next.

    Returns:
        The profile, in bits per pixel.

    Raises:
        DataError: Too few images, images missing from the dataset, or not the network's.

    Source:
        Xu et al. 2020 (usable information); Hewitt et al. 2021 (conditional probing); Lee & Bajic 2021 (the question).
    """
    views = view_dataset(checkpoint, dataset, settings.role)
    provenance = {
        "data": dataset.digest(),
        "weights": checkpoint.digest(),
        "split": {name: list(images) for name, images in checkpoint.split.items()},
        "spec": checkpoint.spec.to_json(),
    }
    return profile_network(subject_of(checkpoint), views, settings, on_step, provenance)


def profile_network(
    subject: Subject,
    views: Views,
    settings: ProfileSettings = ProfileSettings(),
    on_step: OnStep | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Profile:
    """Measure what every layer and gate of any network tells about the labels, with its controls.

    Args:
        subject: The network and what feeds what in it.
        views: Images as the network is fed them, with labels.
        settings: How to profile; the role only says what kind of images these are.
        on_step: Called with step, number of steps and what is done next.
        provenance: What else to record.

    Returns:
        The profile, in bits per pixel.

    Raises:
        DataError: The images do not fit the network, or are too few.
    """
    return _Profiling(subject, views, settings, on_step or (lambda *_: None)).run(provenance or {})


class _Profiling:
    """One profile in the making: what its measurements share."""

    def __init__(self, subject: Subject, views: Views, settings: ProfileSettings, on_step: OnStep) -> None:
        self.subject, self.views, self.settings, self.on_step = subject, views, settings, on_step
        self.wiring = subject.wiring
        self.steps = 2 + len(self.wiring.layers) + len(self.wiring.joins())
        self.step = 0
        block = tuple(map(max, zip(*self.wiring.strides.values(), strict=True)))
        self.pixels = sample_pixels(views, block, PixelSettings(pixels=settings.pixels), settings.seed)
        self.units = _number(views.groups)[self.pixels.view]
        fit = CrossFit(len(views.classes), min(settings.folds, len(set(views.groups))), settings.seed)
        self.bench = Bench(self.pixels.labels, self.units, fit)
        self.is_brief, self.is_thorough = (settings.effort == effort for effort in ("brief", "thorough"))
        self.families: tuple[Family, ...] = (Logistic(),) if self.is_brief else (Logistic(), Perceptron())

    def run(self, provenance: Mapping[str, Any]) -> Profile:
        """All measurements, as many layers at a time as memory holds."""
        self._tell("references without a network")
        with in_one_thread():
            floors = dict(measure_floors(self.bench, self.views, self.pixels, self.families))
        tells = floors[POSITION].value > GATE_SHARE * self.bench.prior.value
        position = position_features(self.pixels) if tells else None
        self._tell(f"the network on {len(self.views)} images, trained and untrained")
        twin = self.subject.untrained(self.views, self.settings.seed)
        layers, gates = list[LayerProfile](), list[Gate]()
        for trained, untrained in zip(self._observe(self.subject), self._observe(twin), strict=True):
            lost = self._ablate(trained)
            with in_one_thread():
                gates += self._measure_gates(trained, lost, position)
                layers += self._measure_layers(trained, untrained)
        return Profile(
            name=self.subject.name,
            wiring=self.wiring,
            classes=tuple(self.views.classes),
            images=tuple(self.views.names),
            prior=self.bench.prior,
            floors=floors,
            layers=tuple(layers),
            gates=tuple(gates),
            settings=asdict(self.settings),
            provenance={"versions": record_versions(), "pixels": len(self.units), **provenance},
            warnings=tuple(self._warn()),
        )

    def _tell(self, text: str) -> None:
        self.step += 1
        self.on_step(min(self.step, self.steps), self.steps, text)

    def _observe(self, subject: Subject) -> Iterator[Observations]:
        # Readings of the trained network and of its twin are alive together.
        return observe_in_passes(subject.module, self.wiring, self.views, self.pixels, self.settings.memory_bytes // 2)

    def _ablate(self, trained: Observations) -> Mapping[Cut, Tally]:
        """Dice lost without each part of every gate."""
        cuts = [Cut(join, source) for join in trained.joins for source in self.wiring.sources[join]]
        return lost_dice(self.subject, self.views, trained.join_moments, cuts) if cuts else {}

    def _measure_gates(self, trained: Observations, lost: Mapping[Cut, Tally], position: Reading | None) -> list[Gate]:
        gates = []
        for join, readings in trained.joins.items():
            self._tell(f"gate {join}")
            stride, moments = tuple(self.wiring.strides[join]), trained.join_moments[join]
            dice = {one: lost[Cut(join, one)] for one in readings}
            windows = observe_windows(self.subject, self.views, self.pixels, join, SIDE) if self.is_thorough else None
            up = max(readings, key=self.wiring.layers.index)  # what comes up is computed last
            meeting = Meeting(join, stride, readings, moments, dice, up, windows)
            gates.append(measure_gate(self.bench, meeting, self.families, position, not self.is_brief))
        return gates

    def _measure_layers(self, trained: Observations, untrained: Observations) -> list[LayerProfile]:
        layers, names = [], self.wiring.layers
        for name, reading in trained.layers.items():
            self._tell(f"layer {name}")
            number = names.index(name)
            is_last, is_second = number == len(names) - 2, (len(names) - number) % 2 == 0
            readers = self.bench.fit(self.families[0], reading)
            bits = {LINEAR: self.bench.told(self.bench.judge(readers, reading))}
            if self.is_thorough or (is_last and not self.is_brief):
                bits[LINEAR] = self._with_curve(bits[LINEAR], reading)
            bits |= self._measure_others(reading, untrained.layers[name], self.is_thorough or is_second)
            bits[INPUT] = self._recoverable(reading)
            channels = () if self.is_brief else judge_channels(self.bench, reading, readers, trained.moments[name])
            rank = effective_rank(np.cov(reading.features, rowvar=False, dtype=np.float64).reshape(reading.width, -1))
            components = count_components(self.bench, self.families[0], reading) if self.is_thorough else None
            stride = tuple(self.wiring.strides[name])
            layers.append(LayerProfile(name, stride, reading.width, bits, rank, channels, components))
        return layers

    def _measure_others(self, reading: Reading, twin: Reading, with_larger: bool) -> dict[str, Quantity]:
        """What larger readers, controls and strata tell."""
        linear, *larger = self.families
        bits = {family.name: self.bench.information(family, reading) for family in larger if with_larger}
        bits[UNTRAINED] = self.bench.information(linear, twin)
        bits[SHUFFLED] = self.bench.relabelled(self.pixels.shuffled).information(linear, reading)
        if self.is_brief:
            return bits
        near = self.pixels.near_edge
        for name, stratum in ((EDGE, self.bench.within(near)), (INSIDE, self.bench.within(~near))):
            if stratum.can_fit:
                bits[name] = stratum.information(linear, reading)
        return bits

    def _with_curve(self, quantity: Quantity, reading: Reading) -> Quantity:
        """The same value with its learning curve and with other folds."""
        linear, prior = self.families[0], self.bench.prior.tally
        shorter = ((share, (prior - self.bench.losses(linear, reading, share)).mean) for share in SHARES if share < 1)
        curve = (*shorter, (1.0, quantity.value))
        repeats = tuple((prior - self.bench.losses(linear, reading, 1.0, seed)).mean for seed in REPEATS)
        return Quantity(quantity.tally, quantity.scale, quantity.allowed, curve, repeats)

    @cached_property
    def _window(self) -> NDArray[np.float64]:
        """Principal components of the input around every pixel."""
        return principal_patches(self.views, self.pixels, PATCH_SIDES[self.views.ndim])

    def _recoverable(self, reading: Reading) -> Quantity:
        """Gaussian information between a layer and the principal components of the input patch."""
        folds = assign_folds(self.bench.count, self.bench.settings.folds, self.settings.seed)
        gains = gaussian_information(self._window, reading, folds[self.units])
        return Quantity(Tally.gather(gains, self.units, self.bench.count), self.bench.prior.value)

    def _warn(self) -> list[str]:
        warnings = []
        if self.settings.role in ("train", "all"):
            warnings.append(
                "images that taught the network are among those profiled, so that bits only rank the layers of this "
                "one network (relative)"
            )
        if self.bench.count < FEW:
            warnings.append(f"{self.bench.count} images or groups were profiled, and intervals of so few are rough")
        return warnings


def _number(groups: tuple[str, ...]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Groups as numbers from 0."""
    return np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)
