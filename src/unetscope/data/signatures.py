"""What an image shows and what its labels say, one small number a pixel each, and the information that both share.

Knows arrays, not files; judges nothing. An image shows brightness and edges, labels say classes and their borders.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import fft, ndimage

Array = np.ndarray[Any, np.dtype[Any]]
Turn = tuple[tuple[int, ...], tuple[bool, ...]]
"""The order in which the axes are taken, and then whether each is mirrored."""

_LONGEST = {2: 512, 3: 64}  # pixels of an axis; longer ones are thinned out
_MOST_CHANNELS = 4
_EDGES, _GRAYS = 2, 6  # levels of edge strength and brightness
_CLASSES = 4  # the third foreground class and those after it are taken together
_SEEN, _SAID = _EDGES * _GRAYS, 2 * _CLASSES
_SMOOTHING = 1.0  # pixels; noise has edges everywhere
_CHANCES = 1000  # positions far away


@dataclass(frozen=True, eq=False)
class Signature:
    """What matters of an image and its labels.

    Attributes:
        seen: Edge strength and brightness, in ranks, ([z,] y, x).
        said: Class and nearness of a border, likewise; the number after the last stands for ignored pixels.
        step: Pixels of the image for one here, along every axis.
    """

    seen: Array
    said: Array
    step: tuple[int, ...]

    @property
    def is_blank(self) -> bool:
        """Whether the labels are the same everywhere."""
        said = self.said[self.said < _SAID]
        return not said.size or bool(said.min() == said.max())


def sign(image: Array, labels: Array) -> Signature:
    """Reduce an image and its labels to what aligning them needs.

    Args:
        image: (channels, [z,] y, x), finite; the first 4 channels are looked at.
        labels: ([z,] y, x) class indices; negative ones count nowhere.

    Returns:
        At most 512 pixels along each axis of a plane, and 64 of a volume.
    """
    step = tuple(-(-size // _LONGEST[labels.ndim]) for size in labels.shape)
    seen = _rank([_thin(channel, step) for channel in image[:_MOST_CHANNELS]])
    picked = labels[tuple(slice(one // 2, None, one) for one in step)]
    return Signature(seen, _mark_borders(picked[tuple(slice(size) for size in seen.shape)]), step)


def share_bits(seen: Array, said: Array) -> float:
    """Mutual information of what is seen and said, pixel by pixel.

    Args:
        seen: Of one signature.
        said: Of a signature of the same size.

    Returns:
        Bits per pixel, at least 0: the plug-in estimate from a histogram of 12 by at most 8 cells, which is
        (12 - 1)(8 - 1) / (2 ln 2 pixels) too high at most, on average.

    Example:
        >>> share_bits(np.array([[0, 7]]), np.array([[0, 2]]))
        1.0
    """
    width = _SAID + 1
    joint = np.bincount((seen.astype(np.intp) * width + said).ravel(), minlength=_SEEN * width)
    return float(_mutual_bits(joint.reshape(_SEEN, width, 1)[:, :_SAID])[0])


def measure_contrast(signature: Signature) -> float:
    """How much brighter the foreground is than the background.

    Args:
        signature: Of an image and its labels.

    Returns:
        Difference of the means, from -5 (the foreground is darkest) to 5; 0 where one of them is missing.
    """
    gray = signature.seen % _GRAYS
    is_background, is_known = signature.said // 2 == 0, signature.said < _SAID
    parts = [gray[is_background & is_known], gray[~is_background & is_known]]
    return float(parts[1].mean() - parts[0].mean()) if all(part.size for part in parts) else 0.0


def try_shifts(signature: Signature, window: tuple[int, ...]) -> tuple[Array, Array]:
    """Shared bits of labels that were moved, by all small shifts and by some large ones.

    Only labels further than the window from the image's ends are used, so that a small shift loses none.

    Args:
        signature: Of an image and its labels.
        window: Largest small shift along every axis.

    Returns:
        Of every small shift (1 + 2 window entries along an axis, no shift in the middle), and of at most 1000 large
        ones, which wrap around and show what chance gives.
    """
    size = tuple(fft.prev_fast_len(length, real=True) for length in signature.seen.shape)
    seen, said = (part[tuple(slice(length) for length in size)] for part in (signature.seen, signature.said))
    is_inner = np.zeros(size, bool)
    is_inner[inside(size, window)] = True
    near, far = _positions(size, window)
    at = np.concatenate([near.ravel(), far])
    images = [fft.rfftn((seen == level).astype(np.float32)) for level in range(_SEEN)]
    joint = np.zeros((_SEEN, _SAID, len(at)))
    for code in np.unique(said[is_inner & (said < _SAID)]):
        labels = np.conj(fft.rfftn(((said == code) & is_inner).astype(np.float32)))
        for level, image in enumerate(images):
            # The correlation of two masks counts the pixels in both, for every shift of one.
            joint[level, code] = np.rint(fft.irfftn(image * labels, s=size).ravel()[at])
    bits = _mutual_bits(joint)
    return bits[: near.size].reshape(near.shape), bits[near.size :]


def inside(size: tuple[int, ...], window: tuple[int, ...]) -> tuple[slice, ...]:
    """What is further than the window from every end.

    Example:
        >>> inside((9, 20), (1, 8))
        (slice(1, 8, None), slice(8, 12, None))
    """
    return tuple(slice(margin, length - margin) for margin, length in zip(window, size, strict=True))


# ------------------------------------------------------------------------------------------- mirrored and turned


def list_turns(shape: tuple[int, ...]) -> list[Turn]:
    """All ways to mirror and turn labels that keep their shape; the first is to leave them.

    Example:
        >>> len(list_turns((5, 5))), len(list_turns((5, 6))), len(list_turns((5, 5, 5)))
        (8, 4, 48)
    """
    orders = [
        order for order in itertools.permutations(range(len(shape))) if tuple(shape[axis] for axis in order) == shape
    ]
    return [(order, mirrored) for order in orders for mirrored in itertools.product((False, True), repeat=len(shape))]


def turn_axes(labels: Array, turn: Turn) -> Array:
    """Take the axes of labels in another order, then mirror some.

    Example:
        >>> turn_axes(np.array([[1, 2], [3, 4]]), ((1, 0), (False, True)))
        array([[3, 1],
               [4, 2]])
    """
    order, mirrored = turn
    return labels.transpose(order)[tuple(slice(None, None, -1 if is_mirrored else 1) for is_mirrored in mirrored)]


def name_turn(turn: Turn) -> str:
    """A transform in words that follow "the labels fit better"; empty for the one that leaves labels as they are.

    Example:
        >>> name_turn(((0, 1), (False, True))), name_turn(((1, 0), (True, False)))
        ('mirrored along x', 'with y and x exchanged and mirrored along y')
    """
    order, mirrored = turn
    axes = name_axes(order)
    moved = [axis for axis, (place, source) in zip(axes, enumerate(order), strict=True) if place != source]
    along = [axis for axis, is_mirrored in zip(axes, mirrored, strict=True) if is_mirrored]
    exchanged = f"with {' and '.join(moved)} exchanged" if len(moved) == 2 else ""
    if len(moved) > 2:
        exchanged = f"with their axes in the order {', '.join(axes[source] for source in order)}"
    return " and ".join(filter(None, [exchanged, f"mirrored along {' and '.join(along)}" if along else ""]))


def name_axes(values: Sequence[object]) -> str:
    """The letters of as many spatial axes.

    Example:
        >>> name_axes((5, 7))
        'yx'
    """
    return "zyx"[-len(values) :]


# ------------------------------------------------------------------------------------------------- seen and said


def _thin(channel: Array, step: tuple[int, ...]) -> Array:
    """Means over blocks; what is left over at the ends is cut off."""
    thinned = channel
    for axis, one in enumerate(step):
        if one > 1:
            starts = np.arange(thinned.shape[axis] // one) * one
            whole = thinned[(slice(None),) * axis + (slice(len(starts) * one),)]
            thinned = np.add.reduceat(whole, starts, axis, np.float32) / np.float32(one)
    return np.asarray(thinned, np.float32)


def _rank(channels: Sequence[Array]) -> Array:
    """Ranks of edge strength and brightness together, over all channels alike."""
    strength, brightness = np.zeros_like(channels[0]), np.zeros_like(channels[0])
    for channel in channels:
        smooth = ndimage.gaussian_filter(channel - channel.mean(), _SMOOTHING)
        smooth /= max(float(smooth.std()), 1e-9)
        brightness += smooth
        for axis in range(smooth.ndim):
            # Over two pixels the difference is centered on one; that of neighbors would lie half a pixel off.
            strength += ndimage.correlate1d(smooth, (-1, 0, 1), axis) ** 2
    ranks: Array = _divide(strength, _EDGES) * np.uint8(_GRAYS) + _divide(brightness, _GRAYS)
    return ranks


def _divide(values: Array, count: int) -> Array:
    """Into which of `count` equally large parts of the values each falls."""
    sample = values.ravel()[:: max(1, values.size // 20_000)]
    parts = np.zeros(values.shape, np.uint8)
    for limit in np.quantile(sample, np.arange(1, count) / count):
        parts += values > limit
    return parts


def _mark_borders(labels: Array) -> Array:
    """The class of every pixel, and whether a border is near."""
    is_known, is_border = labels >= 0, np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        before, after = ((slice(None),) * axis + (part,) for part in (slice(None, -1), slice(1, None)))
        differs = (labels[before] != labels[after]) & is_known[before] & is_known[after]
        is_border[before] |= differs
        is_border[after] |= differs
    near = ndimage.binary_dilation(is_border).astype(np.uint8)
    classes = np.minimum(labels, _CLASSES - 1).astype(np.uint8)
    return np.where(is_known, 2 * classes + near, np.uint8(_SAID))


# -------------------------------------------------------------------------------------------- shifts and histograms


def _positions(size: tuple[int, ...], window: tuple[int, ...]) -> tuple[Array, Array]:
    """Places of shifts in a cyclic correlation: those within the window, and some that are far away."""
    index = np.arange(int(np.prod(size))).reshape(size)
    near = index[np.ix_(*(np.arange(-margin, margin + 1) for margin in window))]
    is_far = np.ones(size, bool)
    # Twice the window is neither near nor far; on a short axis that is all of it, wrapped around.
    between = (np.arange(-2 * margin - 1, 2 * margin + 2) % length for margin, length in zip(window, size, strict=True))
    is_far[np.ix_(*between)] = False
    far = index[is_far]
    return near, np.random.default_rng(0).choice(far, min(_CHANCES, far.size), replace=False)


def _mutual_bits(joint: Array) -> Array:
    """Plug-in mutual information of histograms (seen, said, positions), in bits."""
    shares = joint / np.maximum(joint.sum(axis=(0, 1)), 1)
    each = [_surprise(shares.sum(axis=axis)).sum(axis=0) for axis in (0, 1)]
    bits: Array = each[0] + each[1] - _surprise(shares).sum(axis=(0, 1))
    return bits.clip(min=0)


def _surprise(shares: Array) -> Array:
    """What each share adds to the entropy."""
    surprise: Array = -shares * np.log2(np.where(shares > 0, shares, 1))
    return surprise
