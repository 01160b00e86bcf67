"""Physical sizes of pixels, and images and labels brought from one grid to another; knows arrays, not files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from unetscope.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]

_EXPONENTS = {"m": 0, "cm": -2, "mm": -3, "µm": -6, "nm": -9}  # powers of ten of a meter
_SPELLINGS = {
    "µm": ("um", "\u03bcm", "\\u00b5m", "micron", "microns", "micrometer", "micrometre"),
    "nm": ("nanometer", "nanometre"),
    "mm": ("millimeter", "millimetre"),
    "cm": ("centimeter", "centimetre"),
    "m": ("meter", "metre"),
    "pixel": ("", "pixels", "voxel", "none", "null", "unknown"),
}


@dataclass(frozen=True)
class Spacing:
    """The distance between the centers of neighboring pixels along each axis.

    Attributes:
        steps: Distances along ([z,] y, x), all finite and above 0.
        unit: What they are counted in: "mm", "µm", "m", or "pixel" where nothing is known of it.
    """

    steps: tuple[float, ...]
    unit: str = "pixel"

    def __post_init__(self) -> None:
        """Refuse steps that are no distances."""
        if not self.steps or not all(math.isfinite(step) and step > 0 for step in self.steps):
            raise DataError(f"a spacing of {self.steps} {self.unit} came, and finite distances above 0 are needed")

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Read what `to_json` gave.

        Args:
            content: The mapping.

        Returns:
            An equal spacing.

        Raises:
            DataError: The mapping does not describe a spacing.
        """
        try:
            return cls(tuple(float(step) for step in content["steps"]), str(content["unit"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{content!r} is not a spacing ({error}); steps and a unit are needed") from error

    def to_json(self) -> dict[str, Any]:
        """A mapping of plain values that `from_json` reads."""
        return {"steps": list(self.steps), "unit": self.unit}

    def in_unit(self, unit: str) -> Self:
        """The same distances in another unit.

        Args:
            unit: "m", "cm", "mm", "µm", "nm", or the unit that it has.

        Returns:
            An equal spacing in that unit.

        Raises:
            DataError: Nothing is known of how one unit becomes the other.

        Example:
            >>> Spacing((0.5, 2.0), "µm").in_unit("nm").steps
            (500.0, 2000.0)
        """
        if unit == self.unit:
            return self
        if unit not in _EXPONENTS or self.unit not in _EXPONENTS:
            raise DataError(f"a spacing in {self.unit} and one in {unit} came; export the images with one unit")
        exponent = _EXPONENTS[self.unit] - _EXPONENTS[unit]
        factor = 10.0 ** abs(exponent)  # exact, unlike its reciprocal
        return type(self)(tuple(step * factor if exponent > 0 else step / factor for step in self.steps), unit)


def name_unit(spelling: str) -> str:
    """One name for the many spellings of a unit.

    Args:
        spelling: As a file has it.

    Returns:
        "µm", "mm" and the like; "pixel" for no unit; an unknown unit as it is.

    Example:
        >>> [name_unit(name) for name in ("micron", "um", "mm", "", "parsec")]
        ['µm', 'µm', 'mm', 'pixel', 'parsec']
    """
    plain = spelling.strip().strip("\0").strip()
    return next((unit for unit, names in _SPELLINGS.items() if plain.lower() in (unit, *names)), plain)


def median_spacing(spacings: Sequence[Spacing]) -> tuple[float, ...]:
    """The median step of some images, axis by axis.

    Args:
        spacings: At least one; all with the same number of axes and units that can be converted.

    Returns:
        Steps in the unit of the first.

    Raises:
        DataError: There is none, or axes or units do not fit together.

    Example:
        >>> median_spacing([Spacing((1.0, 1.0), "mm"), Spacing((2.0, 1.0), "mm"), Spacing((5000.0, 3000.0), "µm")])
        (2.0, 1.0)
    """
    if len({len(spacing.steps) for spacing in spacings}) != 1:
        raise DataError(f"{len(spacings)} spacings came, and at least one of each image and as many axes are needed")
    steps = [spacing.in_unit(spacings[0].unit).steps for spacing in spacings]
    return tuple(float(step) for step in np.median(steps, axis=0))


def resampled_shape(shape: Sequence[int], steps: Sequence[float], target: Sequence[float]) -> tuple[int, ...]:
    """The size of an image that covers the same extent with another spacing.

    Args:
        shape: ([z,] y, x) in pixels.
        steps: Its spacing.
        target: The other spacing, in the same unit.

    Returns:
        Rounded to whole pixels, at least 1 along each axis.

    Example:
        >>> resampled_shape((10, 100, 100), (3.0, 0.5, 0.5), (1.0, 1.0, 1.0))
        (30, 50, 50)
    """
    lengths = zip(shape, steps, target, strict=True)
    return tuple(max(1, round(size * step / aim)) for size, step, aim in lengths)


def resample_image(image: Array, shape: Sequence[int]) -> Array:
    """Bring an image to another grid over the same extent, linearly between pixel centers.

    The outer borders of the first and last pixels stay where they are; beyond the outermost centers the image goes on
    as it ends. Along axes that shrink it is smoothed first, so that fine patterns do not turn into coarse ones.

    Args:
        image: (channels, [z,] y, x).
        shape: The new ([z,] y, x).

    Returns:
        (channels, *shape), float32.

    Example:
        >>> resample_image(np.array([[[0, 4]]]), (1, 4))
        array([[[0., 1., 3., 4.]]], dtype=float32)
    """
    target = tuple(shape)
    resampled = np.empty((len(image), *target), np.float32)
    for channel, pixels in zip(resampled, image, strict=True):
        channel[...] = _resample(np.asarray(pixels, np.float32), target)
    return resampled


def _resample(pixels: Array, shape: tuple[int, ...]) -> Array:
    """One channel on another grid."""
    if pixels.shape == shape:
        return pixels
    from scipy import ndimage  # here, because it takes a third of a second to import

    ratios = [old / new for old, new in zip(pixels.shape, shape, strict=True)]
    # A deviation of half of what is skipped passes what the new grid can hold; 0 leaves growing axes alone.
    deviations = [max(0.0, (ratio - 1) / 2) for ratio in ratios]
    if any(deviations):
        pixels = ndimage.gaussian_filter(pixels, deviations, mode="nearest")
    zooms = [1 / ratio for ratio in ratios]
    resampled: Array = ndimage.zoom(pixels, zooms, order=1, mode="nearest", grid_mode=True)
    return resampled


def resample_labels(labels: Array, shape: Sequence[int]) -> Array:
    """Bring labels to another grid over the same extent: each new pixel takes the label under its center.

    Args:
        labels: ([z,] y, x), any type.
        shape: The new ([z,] y, x).

    Returns:
        (*shape) of the same type; nothing but labels that were there.

    Example:
        >>> resample_labels(np.array([[1, 2]]), (1, 4))
        array([[1, 1, 2, 2]])
    """
    # The center of pixel i lies at (i + 1/2) old/new; whole numbers keep it exact.
    centers = [(2 * np.arange(new) + 1) * old // (2 * new) for old, new in zip(labels.shape, shape, strict=True)]
    return labels[np.ix_(*centers)]
