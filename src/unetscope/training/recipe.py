"""Every training setting in one frozen value with plain defaults; knows no torch, no network and no data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any, Literal, get_args

from unetscope.errors import RecipeError

Optimizer = Literal["adamw", "sgd"]
Schedule = Literal["cosine", "constant"]
Scheme = Literal["auto", "range", "dataset", "image", "window"]
Grid = Literal["median", "stored"]
Precision = Literal["auto", "bfloat16", "float32"]


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; travels inside the checkpoint.

    Attributes:
        seed: Start of all randomness: weights, split, patches, augmentation.
        epochs: Times that the validation images are scored; the best epoch's network is kept.
        epoch_steps: Steps per epoch; if not given, as many as it takes to see as many pixels as the training images
            have, but 25 at least and 250 at most.
        minutes: Train about this long instead: the first steps are timed and fix a number of steps.
        batch: Patches per step.
        patch: Pixels per axis of a patch; by the images (at most 256 in 2D, 64 in 3D) if not given.
        optimizer: "adamw" or "sgd" (with `momentum`).
        learning_rate: Largest step size, after the warm-up.
        momentum: Of "sgd".
        weight_decay: Of the optimizer.
        schedule: "cosine" decay to zero or "constant".
        warmup: Steps of linear increase at the start.
        clip: Largest norm of the gradient; 0 for any.
        cross_entropy: Weight of the cross-entropy.
        dice: Weight of the Dice loss.
        class_weights: Weight of each class in the cross-entropy, background first; all 1 if not given.
        border: Extra weight in the cross-entropy of the narrowest gaps between objects; 0 for none.
        border_reach: How fast that weight falls as gaps widen, pixels (sigma of a Gaussian).
        foreground: Share of patches centered on a foreground pixel.
        flip: Probability that an axis is flipped.
        rotation: Largest angle, degrees; 180 in 2D and 30 in 3D if not given.
        scaling: Largest change of size, as a factor.
        elastic: Standard deviation of the displacements on a 3x3(x3) grid, pixels; 4 % of the shortest side of
            the patch, but 10 at most, if not given.
        intensity: Probability of each of noise, blur, brightness, contrast and gamma.
        normalization: "image", "dataset", "range", "window" (of the foreground's intensities, for CT), or "auto": the
            window for CT, otherwise by how much the images' ranges differ.
        spacing: Volumes are resampled to the "median" spacing of the training images, or taken as "stored".
        validation: Share of the training images that validate.
        test: Share of all images kept for the test when the dataset has no test part.
        patience: Epochs without a better validation score after which training stops; 0 for never.
        precision: "bfloat16", "float32", or "auto": bfloat16 where the processor computes in it.

    Raises:
        RecipeError: A setting is out of range.

    Example:
        >>> Recipe(epochs=5).learning_rate
        0.001
    """

    seed: int = 0
    epochs: int = 100
    epoch_steps: int | None = None
    minutes: float | None = None
    batch: int = 8
    patch: int | None = None
    optimizer: Optimizer = "adamw"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 1e-4
    schedule: Schedule = "cosine"
    warmup: int = 20
    clip: float = 1.0
    cross_entropy: float = 1.0
    dice: float = 1.0
    class_weights: tuple[float, ...] | None = None
    border: float = 0.0
    border_reach: float = 5.0
    foreground: float = 0.5
    flip: float = 0.5
    rotation: float | None = None
    scaling: float = 1.25
    elastic: float | None = None
    intensity: float = 0.2
    normalization: Scheme = "auto"
    spacing: Grid = "median"
    validation: float = 0.15
    test: float = 0.2
    patience: int = 0
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        for name, low, high in _RANGES:
            value, whole = getattr(self, name), name in _WHOLE
            if value is None and name in _OPTIONAL:
                continue
            if not isinstance(value, Integral if whole else Real) or not low <= float(value) <= high:
                raise RecipeError(f"{name} is {value}; use a {'whole ' * whole}number from {low:g} to {high:g}")
        for name, choices in (
            ("optimizer", Optimizer),
            ("schedule", Schedule),
            ("normalization", Scheme),
            ("spacing", Grid),
            ("precision", Precision),
        ):
            if getattr(self, name) not in get_args(choices):
                raise RecipeError(f"{name} is {getattr(self, name)!r}; use one of {', '.join(get_args(choices))}")
        if any(not 0 <= weight < float("inf") for weight in self.class_weights or ()):
            raise RecipeError(f"class_weights are {self.class_weights}; use numbers from 0, one for each class")
        if self.cross_entropy + self.dice <= 0:
            raise RecipeError("cross_entropy and dice are both 0; give at least one of the losses some weight")

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Recipe:
        """The recipe that belongs to a network preset, with changes.

        Raises:
            RecipeError: No such preset or setting.

        Example:
            >>> Recipe.preset("ronneberger2015").momentum
            0.99
        """
        if name not in RECIPES:
            raise RecipeError(f"there is no recipe {name!r}; use one of {', '.join(RECIPES)}")
        return cls.from_json({**RECIPES[name], **changes})

    def to_json(self) -> dict[str, Any]:
        """Plain values from which `from_json` makes the same recipe."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Recipe:
        """The recipe that `to_json` wrote.

        Raises:
            RecipeError: A setting is unknown or out of range.
        """
        known = [entry.name for entry in fields(cls)]
        if unknown := sorted(set(content) - set(known)):
            raise RecipeError(f"a recipe has no setting {unknown[0]!r}; use one of {', '.join(known)}")
        weights = content.get("class_weights")
        return cls(**{**content, "class_weights": None if weights is None else tuple(weights)})


_RANGES = (
    ("seed", 0, 2**31), ("epochs", 1, 1e6), ("epoch_steps", 1, 1e6), ("minutes", 0.01, 1e6),
    ("batch", 1, 4096), ("patch", 1, 1e5),
    ("learning_rate", 0, 100), ("momentum", 0, 0.9999), ("weight_decay", 0, 10), ("warmup", 0, 1e6), ("clip", 0, 1e9),
    ("cross_entropy", 0, 1e6), ("dice", 0, 1e6), ("border", 0, 1e6), ("border_reach", 0.1, 1000),
    ("foreground", 0, 1), ("flip", 0, 1), ("rotation", 0, 180),
    ("scaling", 1, 4), ("elastic", 0, 1000), ("intensity", 0, 1), ("validation", 0, 0.9), ("test", 0, 0.9),
    ("patience", 0, 1e6),
)  # fmt: skip
_WHOLE = ("seed", "epochs", "epoch_steps", "batch", "patch", "warmup", "patience")
_OPTIONAL = ("epoch_steps", "minutes", "patch", "rotation", "elastic")

RECIPES: Mapping[str, Mapping[str, Any]] = MappingProxyType({
    "default": {},
    "flat": {},
    "lee2021": {},
    "ronneberger2015": {"optimizer": "sgd", "momentum": 0.99, "learning_rate": 1e-3, "weight_decay": 0.0,
                        "schedule": "constant", "batch": 1, "patch": 388, "dice": 0.0, "foreground": 0.0,
                        "border": 10.0, "elastic": 10.0},
})  # fmt: skip
