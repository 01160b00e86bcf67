"""Groups of options that several commands share, turned into the package's own values; knows words, prints nothing.

Torch is imported only when a group is turned into a value that needs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from unetscope.errors import DataError, RecipeError
from unetscope.training.recipe import Precision, Recipe

if TYPE_CHECKING:
    from unetscope.data.dataset import Dataset
    from unetscope.model.spec import UNetSpec
    from unetscope.segmentation import Tiling
    from unetscope.slimming.targets import Target


@dataclass(frozen=True)
class Network:
    """The network, by its difference to a preset.

    Attributes:
        preset: "default", "ronneberger2015", "lee2021" or "flat"; its recipe comes with it.
        widths: Channels per level, the bottleneck last, such as 16,32,64; sets the depth.
        width: Channels at full resolution.
        depth: Number of poolings.
        convolutions: Convolutions per level and side.
        skips: Levels with a skip, such as 0,1; all if not given.
        valid: Unpadded convolutions, as in the 2015 paper.
        norm: Norm after each convolution.
        activation: Activation after each convolution.
        down: How to go down a level.
        up: How to go up a level.
        dropout: Probability of dropping a channel at the end of the contracting path.
    """

    preset: str = "default"
    widths: str | None = None
    width: int | None = None
    depth: int | None = None
    convolutions: int | None = None
    skips: str | None = None
    valid: bool = False
    norm: Literal["none", "batch", "instance"] | None = None
    activation: Literal["relu", "leaky"] | None = None
    down: Literal["max", "strided"] | None = None
    up: Literal["transposed", "nearest", "linear", "subpixel", "unpool"] | None = None
    dropout: float | None = None

    def spec_for(self, ndim: int, channels: int, classes: int) -> UNetSpec:
        """The network for images of so many spatial axes, channels and classes."""
        from unetscope.model.spec import UNetSpec

        plain = ("width", "depth", "convolutions", "norm", "activation", "down", "up", "dropout")
        changes: dict[str, Any] = {name: getattr(self, name) for name in plain if getattr(self, name) is not None}
        if self.widths is not None:
            changes["widths"] = parse_numbers(self.widths, "--widths")
        if self.skips is not None:
            changes["skips"] = parse_numbers(self.skips, "--skips")
        if self.valid:
            changes["padded"] = False
        if not (self.preset == "lee2021" and classes == 2):
            changes["classes"] = classes
        return UNetSpec.preset(self.preset, ndim=ndim, image_channels=channels, **changes)


@dataclass(frozen=True)
class Folders:
    """Where a dataset keeps its files, and how they are read.

    Attributes:
        images: Name of the folders of images.
        labels: Name of the folders of labels.
        axes: What the axes of the files mean, such as ZYX, TYX or CYX, where they do not say it themselves.
        objects: Tell single objects apart: labels number them, or each connected piece of a mask is one.
    """

    images: str = "images"
    labels: str = "labels"
    axes: str | None = None
    objects: bool = False

    def open(self, path: Path) -> Dataset:
        """The dataset in a folder."""
        from unetscope.data.dataset import Dataset

        dataset = Dataset.open(path, images=self.images, labels=self.labels, axes=self.axes)
        return dataset.as_objects() if self.objects else dataset


@dataclass(frozen=True)
class Tiles:
    """How images are cut and computed; only `average` changes the result beyond rounding.

    Attributes:
        tile: Pixels per axis of a tile; by memory if not given.
        whole: One tile over the whole image.
        precision: Type to compute in; "auto" is bfloat16 where the processor computes in it.
        average: Average over flips and rotations; costs 8 times as much in 2D, 16 times in 3D.
        engine: What computes: torch, openvino, or "auto": the fastest that labels as float32 torch does.
    """

    tile: int | None = None
    whole: bool = False
    precision: Precision = "auto"
    average: bool = False
    engine: Literal["auto", "torch", "openvino"] = "auto"

    def tiling(self) -> Tiling:
        """The same for the package.

        Raises:
            SpecError: The tile holds nothing.
        """
        from unetscope.segmentation import Tiling

        return Tiling(self.tile, self.whole, self.precision, self.average, self.engine)


@dataclass(frozen=True)
class Limits:
    """What a smaller network must keep to.

    Attributes:
        max_parameters: Weights and biases.
        max_multiply_adds: Per labeled pixel.
        max_milliseconds: Per million labeled pixels, as predicted for the engine.
        max_memory: Gigabytes, as predicted for a block of 1024 x 1024 pixels (128 x 128 x 128 voxels).
        max_dice_loss: Dice that may be lost.
        engine: What computes, where milliseconds or memory are limited.
        precision: Type to compute in; "auto" is bfloat16 where the processor computes in it.
    """

    max_parameters: float | None = None
    max_multiply_adds: float | None = None
    max_milliseconds: float | None = None
    max_memory: float | None = None
    max_dice_loss: float = 0.01
    engine: Literal["torch", "openvino"] = "torch"
    precision: Precision = "auto"

    def target(self) -> Target:
        """The same for the package.

        Raises:
            SlimError: A limit is none.
        """
        from unetscope.slimming.targets import Target

        memory = None if self.max_memory is None else self.max_memory * 2**30
        costs = (self.max_parameters, self.max_multiply_adds, self.max_milliseconds)
        return Target(*costs, memory, self.max_dice_loss)


class Settings(Recipe):
    """A recipe of which only what was given is known, so that presets and stored runs fill in the rest."""

    __doc__ = Recipe.__doc__
    given: Mapping[str, Any]

    def __init__(self, **given: Any) -> None:
        object.__setattr__(self, "given", given)

    def recipe(self, preset: str) -> Recipe:
        """A preset's recipe with these settings.

        Raises:
            RecipeError: A setting is out of range, or two exclude each other.
        """
        if {"epochs", "minutes"} <= self.given.keys():
            raise RecipeError("both --epochs and --minutes came; give one of them to say how long to train")
        return Recipe.preset(preset, **self.given)


FoldersOptions = Annotated[Folders, Parameter(name="*", group="Dataset")]
NetworkOptions = Annotated[Network, Parameter(name="*", group="Network")]
LimitsOptions = Annotated[Limits, Parameter(name="*", group="Limits")]
TrainingOptions = Annotated[Settings, Parameter(name="*", group="Training")]
TilesOptions = Annotated[Tiles, Parameter(name="*", group="Tiles")]


def parse_numbers(text: str, option: str) -> tuple[int, ...]:
    """Whole numbers separated by commas.

    Raises:
        DataError: It is something else.

    Example:
        >>> parse_numbers("16,32,64", "--widths")
        (16, 32, 64)
    """
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise DataError(f"{option} is {text!r}; give whole numbers separated by commas, such as 16,32,64") from error
