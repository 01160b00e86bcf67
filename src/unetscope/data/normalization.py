"""How intensities become what a network sees; knows arrays of numbers, not files and not labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain
from typing import Any, Literal, Self, get_args

import numpy as np

from unetscope.data.intensities import Array, Statistics, check_finite, combine, cut_slabs, measure
from unetscope.errors import DataError, ImageError

Scheme = Literal["range", "dataset", "image", "window"]

_DRAWN = 10_000  # foreground pixels of each image


@dataclass(frozen=True)
class Affine:
    """(value - shift) / scale for each channel, with values beyond a window cut off first where there is one.

    Attributes:
        shift: One intensity per channel, or one for all.
        scale: Positive intensities, as many as there are shifts.
        window: Lowest and highest intensity that are told apart, for each shift; empty for all.
    """

    shift: tuple[float, ...]
    scale: tuple[float, ...]
    window: tuple[tuple[float, float], ...] = ()

    def apply(self, block: Array) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Normalize a block of an image; a block's result does not depend on what lies around it.

        Args:
            block: (channels, ...), intensities as stored.

        Returns:
            The same shape, float32.

        Example:
            >>> Affine((10.0,), (5.0,)).apply(np.array([[0, 10, 20]], np.uint8))
            array([[-2.,  0.,  2.]], dtype=float32)
        """
        # Bit by bit, as the intermediate float64 numbers take more memory than block and result together.
        normalized = np.empty(block.shape, np.float32)
        for start, stop in cut_slabs(block.shape):
            normalized[:, start:stop] = self._apply(block[:, start:stop])
        return normalized

    def _apply(self, block: Array) -> np.ndarray[Any, np.dtype[np.float64]]:
        one_each = (-1,) + (1,) * (block.ndim - 1)
        if self.window:
            low, high = np.reshape(self.window, (-1, 2)).T
            block = np.clip(block, np.reshape(low, one_each), np.reshape(high, one_each))
        # In float64, or the differences of large integers would be lost.
        centered = np.subtract(block, np.reshape(self.shift, one_each), dtype=np.float64)
        centered /= np.reshape(self.scale, one_each)
        return np.asarray(centered)


@dataclass(frozen=True)
class Normalization:
    """The scheme that a network was trained with.

    Attributes:
        scheme: "range" maps given limits to 0..1, "dataset" uses the mean and standard deviation of the training
            images, "image" those of each image, "window" those of the training images' foreground and cuts off
            what lies beyond its percentiles (for CT, whose intensities mean the same in every image).
        shift: Intensity that becomes 0, per channel or one for all; empty for "image".
        scale: Intensity difference that becomes 1, likewise.
        window: Lowest and highest intensity that are told apart, per channel; empty but for "window".

    Example:
        >>> Normalization.range(0, 255).affine(np.zeros((1, 2, 2), np.uint8))
        Affine(shift=(0.0,), scale=(255.0,), window=())
    """

    scheme: Scheme
    shift: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    window: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        fits = len(self.shift) == len(self.scale) and bool(self.shift) == (self.scheme != "image")
        fits &= len(self.window) == (len(self.shift) if self.scheme == "window" else 0)
        numbers = [*self.shift, *self.scale, *chain(*self.window)]
        is_usable = bool(np.isfinite(numbers).all()) and all(scale > 0 for scale in self.scale)
        if self.scheme not in get_args(Scheme) or not fits or not is_usable:
            raise DataError(
                f"normalization {self.scheme!r} came with shift {self.shift}, scale {self.scale} and window "
                f"{self.window}; use 'range' or 'dataset' with as many finite shifts as positive scales, 'window' with "
                "as many windows besides, or 'image' with none"
            )

    @classmethod
    def range(cls, low: float, high: float) -> Self:
        """Map `low` to 0 and `high` to 1 in every channel.

        Args:
            low: Intensity.
            high: Intensity above `low`.

        Returns:
            A scheme that needs no training images.

        Raises:
            DataError: `high` is not above `low`, or one of them is not finite.
        """
        return cls("range", (float(low),), (float(high) - float(low),))

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Read what `to_json` gave.

        Args:
            content: The mapping.

        Returns:
            An equal normalization.

        Raises:
            DataError: The mapping does not describe a normalization.
        """
        try:
            shift, scale = (tuple(float(number) for number in content[key]) for key in ("shift", "scale"))
            window = tuple((float(low), float(high)) for low, high in content.get("window", ()))
            return cls(content["scheme"], shift, scale, window)
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{content!r} is not a normalization; scheme, shift and scale are needed") from error

    def to_json(self) -> dict[str, Any]:
        """A mapping of plain values that `from_json` reads."""
        plain = {"scheme": self.scheme, "shift": list(self.shift), "scale": list(self.scale)}
        return plain | ({"window": [list(each) for each in self.window]} if self.window else {})

    def affine(self, image: Array, name: str = "") -> Affine:
        """What to do with every pixel of `image`, found in one pass that never holds it in memory as a whole.

        Args:
            image: (channels, [z,] y, x), integers or floats, possibly memory-mapped.
            name: What to call it in a message.

        Returns:
            Shifts and scales; a channel without contrast has scale 1.

        Raises:
            ImageError: The image holds NaN or infinite values, or another number of channels.
        """
        if self.scheme == "image":
            statistics = measure(image, name)
            return Affine(statistics.mean, _scales(statistics))
        if len(self.shift) not in (1, len(image)):
            raise ImageError(
                f"{name or 'the image'} has {len(image)} channels, and the normalization was made for "
                f"{len(self.shift)}; give images like those it was trained on"
            )
        check_finite(image, name)
        return Affine(self.shift, self.scale, self.window)


def choose(statistics: Sequence[Statistics]) -> Normalization:
    """Choose how to normalize from the training images.

    Each image is normalized by itself ("image") where intensities cannot be compared between images: their types
    differ, or in some channel the standard deviation of the images' means exceeds half of the mean of their standard
    deviations, or the largest standard deviation of an image is more than 3 times the smallest (images without
    contrast aside). Otherwise all are normalized by their common mean and standard deviation ("dataset"), which keeps
    differences between images that may matter.

    Args:
        statistics: One per image, all of as many channels.

    Returns:
        A scheme with everything that it needs.

    Raises:
        DataError: No image came, or they differ in their number of channels.
    """
    channels = {len(one.mean) for one in statistics}
    if len(channels) != 1:
        raise DataError(
            f"{len(statistics)} images with {sorted(channels)} channels came, and a normalization is chosen from at "
            "least one image and for one number of channels; give images that are alike"
        )
    return pool(statistics) if _are_comparable(statistics) else Normalization("image")


def pool(statistics: Sequence[Statistics]) -> Normalization:
    """Normalize by the common mean and standard deviation of the training images.

    Args:
        statistics: One per image, all of as many channels.

    Returns:
        The scheme "dataset".
    """
    pooled = reduce(combine, statistics)
    return Normalization("dataset", pooled.mean, _scales(pooled))


def span(statistics: Sequence[Statistics]) -> Normalization:
    """Map the whole range of the stored type to 0..1 (for floats the range that the training images have).

    Args:
        statistics: One per image.

    Returns:
        The scheme "range".

    Example:
        >>> span([measure(np.zeros((1, 2, 2), np.uint8))])
        Normalization(scheme='range', shift=(0.0,), scale=(255.0,), window=())
    """
    types = [np.dtype(one.dtype) for one in statistics]
    if all(each.kind in "iu" for each in types):
        widest = max(types, key=lambda each: each.itemsize)
        return Normalization.range(min(0, np.iinfo(widest).min), np.iinfo(widest).max)
    low, high = min(min(one.low) for one in statistics), max(max(one.high) for one in statistics)
    return Normalization.range(low, high if high > low else low + 1)


def window(images: Iterable[tuple[Array, Array]]) -> Normalization:
    """Normalize by the training images' foreground, as suits CT, where an intensity means the same in every image.

    Args:
        images: (channels, [z,] y, x) of each training image, and ([z,] y, x), where its foreground lies.

    Returns:
        The scheme "window": between the 0.5th and the 99.5th percentile of the foreground, with the mean and the
        standard deviation that it has there. From each image some 10,000 evenly spread pixels are taken.

    Raises:
        DataError: No image has foreground.

    Source:
        Isensee et al. 2021 (nnU-Net), supplementary note 2, intensity normalization of CT.

    Example:
        >>> ramp = np.arange(1000).reshape(1, 10, 100)
        >>> window([(ramp, ramp[0] >= 0)]).window
        ((4.995, 994.005),)
    """
    drawn = [_draw_foreground(image, foreground) for image, foreground in images]
    pixels = np.concatenate([each for each in drawn if each.size] or [np.empty((1, 0))], axis=1).astype(np.float64)
    if not pixels.size:
        raise DataError(
            f"{len(drawn)} training images without any foreground came, and a window of intensities is chosen from "
            "foreground pixels; annotate some, or choose another --normalization"
        )
    low, high = np.percentile(pixels, (0.5, 99.5), axis=1)
    kept = np.clip(pixels, low[:, None], high[:, None])
    scale = tuple(std if std > 0 else 1.0 for std in kept.std(axis=1).tolist())
    return Normalization(
        "window", tuple(kept.mean(axis=1).tolist()), scale, tuple(zip(low.tolist(), high.tolist(), strict=True))
    )


def _draw_foreground(image: Array, foreground: Array) -> Array:
    """Evenly spread foreground pixels, (channels, count)."""
    places = np.flatnonzero(foreground)
    return np.asarray(image.reshape(len(image), -1)[:, places[:: max(1, len(places) // _DRAWN)]])


def _are_comparable(statistics: Sequence[Statistics]) -> bool:
    """Whether one intensity means the same in all images, by the rule of `choose`."""
    means, stds = np.array([one.mean for one in statistics]), np.array([one.std for one in statistics])
    with_contrast = np.where(stds > 0, stds, np.nan)
    # Channels without contrast in every image have neither a largest nor a smallest.
    with_contrast = with_contrast[:, (stds > 0).any(axis=0)]
    is_even = np.nanmax(with_contrast, axis=0) <= 3 * np.nanmin(with_contrast, axis=0)
    is_level = means.std(axis=0) <= stds.mean(axis=0) / 2
    return len({one.dtype for one in statistics}) == 1 and bool(is_even.all() and is_level.all())


def _scales(statistics: Statistics) -> tuple[float, ...]:
    """The standard deviations, 1 where there is no contrast."""
    return tuple(std if std > 0 else 1.0 for std in statistics.std)
