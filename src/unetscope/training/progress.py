"""What a training run tells those who watch it: values only, nothing is printed here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Split
from unetscope.data.normalization import Normalization
from unetscope.data.spacing import Spacing
from unetscope.model.spec import UNetSpec


@dataclass(frozen=True)
class Epoch:
    """What an epoch brought: one line of `history.jsonl`.

    Attributes:
        epoch: Its number, from 1.
        step: Steps done in all.
        loss: Mean training loss.
        dice: Mean validation Dice over classes, then images; None if no validation image has foreground.
        pixel_error: Share of wrong pixels of the validation images.
        panoptic: Panoptic quality of the validation objects; None for a network that does not tell objects apart.
        classes: Validation Dice by class.
        best: Whether this is the best epoch so far.
        seconds: Time it took.
        warnings: What the user should know.
        waited: Share of the steps' time in which they waited for patches.
    """

    epoch: int
    step: int
    loss: float
    dice: float | None
    pixel_error: float | None
    classes: Mapping[str, float | None]
    best: bool
    seconds: float
    warnings: tuple[str, ...] = ()
    panoptic: float | None = None
    waited: float = 0.0


@dataclass(frozen=True)
class Plan:
    """What a run decided before its first step.

    Attributes:
        spec: The network.
        parameters: Of the network.
        split: Names of the images by role.
        normalization: What is done to intensities.
        spacing: What volumes are resampled to; None for nothing.
        gap: Pixels per axis between the blocks that a few images are cut into; empty for whole images.
        patch: What the network reads of a patch, pixels per axis.
        batch: Patches per step.
        epoch_steps: Steps per epoch.
        precision: Type to compute in.
        device: Where.
    """

    spec: UNetSpec
    parameters: int
    split: Split
    normalization: Normalization
    spacing: Spacing | None
    gap: tuple[int, ...]
    patch: tuple[int, ...]
    batch: int
    epoch_steps: int
    precision: str
    device: str


@dataclass(frozen=True)
class Progress:
    """How far training is.

    Attributes:
        step: Steps done.
        steps: Steps in all.
        loss: Loss of the last step; None before the first.
        plan: What was decided before.
    """

    step: int
    steps: int
    loss: float | None
    plan: Plan


OnStep = Callable[[Progress], None]
OnEpoch = Callable[[Epoch, Checkpoint], None]
