"""Whether labels lie where the image says they do; knows arrays, not files.

A mask that was shifted, mirrored, transposed or saved beside another image trains a network that is silently wrong.
What an image shows and what its labels say share information where they lie on each other, and next to none elsewhere.
So their mutual information is taken with the labels as they are, moved by some pixels, mirrored and turned; moved far
away, it shows what chance alone gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unetscope.data.signatures import (
    Signature,
    Turn,
    inside,
    list_turns,
    name_axes,
    name_turn,
    share_bits,
    sign,
    try_shifts,
    turn_axes,
)

Array = np.ndarray[Any, np.dtype[Any]]

WINDOW = 8
"""Labels are tried up to so many pixels away on every axis (of a large image: pixels of the thinned one)."""

TELLING = 3.0
"""Standard deviations of chance from which labels have to do with their image."""

_TOLERANCE = 1  # pixels by which careful annotators are off
_LEAST_CHANCE = 1e-4  # bits; an image without contrast has none
# The limits were set with four real sets of images: nuclei, two of electron microscopy, and brain volumes.
_MOVED, _TURNED = 0.25, 0.4  # share of the information lost from which one image alone is suspicious
_CERTAIN, _APART = 8.0, 5.0  # standard deviations of chance: of the better position, and between it and what is
_FEWEST = 3
_LEAST_LOST, _SCATTER, _SURE = 0.05, 0.12, 3.5  # of all images: share lost, how much it scatters, standard errors


@dataclass(frozen=True, eq=False)
class Alignment:
    """How well labels lie on their image. Information is in bits per pixel, above what chance gives.

    Attributes:
        shift: By how many pixels along ([z,] y, x) the labels would have to move to fit best.
        transform: How they would have to be mirrored or turned to fit best, in words; empty if they need not.
        bits: What image and labels share where they are, as `share_bits` estimates it; its bias is the same in all
            positions, so it goes with chance.
        best_bits: The same at the best shift or transform.
        chance: Standard deviation of the bits that chance gives.
        certainty: `bits` in standard deviations of chance; 0 for labels that are the same everywhere.
        is_suspicious: Whether another position fits so much better that this image alone is a reason to look.
        moved: Bits of every shift, no shift in the middle.
        turned: Bits of every transform that keeps the size, that of none first.
        step: Pixels for one entry of `moved`, along every axis.

    Example:
        >>> image = np.kron(np.random.default_rng(0).random((9, 9)) > 0.5, np.ones((9, 9)))
        >>> found = check_alignment(image[None], np.roll(image.astype(int), 3, axis=1))
        >>> found.shift, found.transform, found.is_suspicious
        ((0, -3), '', True)
    """

    shift: tuple[int, ...]
    transform: str
    bits: float
    best_bits: float
    chance: float
    certainty: float
    is_suspicious: bool
    moved: Array = field(repr=False)
    turned: Mapping[Turn, float] = field(repr=False)
    step: tuple[int, ...] = field(repr=False)


@dataclass(frozen=True)
class Misfit:
    """A displacement that the labels of a dataset have in common.

    Attributes:
        shift: By how many pixels along ([z,] y, x) the labels would have to move.
        transform: How they would have to be mirrored or turned, in words, or nothing.
        lost: Share of the information that is lost as they are.
        images: On how many images this rests.
    """

    shift: tuple[int, ...]
    transform: str
    lost: float
    images: int


def check_alignment(image: Array, labels: Array) -> Alignment:
    """Try the labels of an image in other positions.

    Args:
        image: (channels, [z,] y, x), finite.
        labels: ([z,] y, x) class indices; negative ones count nowhere.

    Returns:
        Where they fit best.
    """
    return align(sign(image, labels))


def align(signature: Signature) -> Alignment:
    """Try labels in other positions; see `check_alignment`.

    Args:
        signature: Of an image and its labels.

    Returns:
        Where they fit best.
    """
    window = tuple(min(WINDOW, size // 6) for size in signature.seen.shape)
    near, far = try_shifts(signature, window)
    level, chance = (float(np.median(far)), float(far.std())) if far.size else (0.0, 0.0)
    chance = max(chance, _LEAST_CHANCE)
    moved, turned = near - level, _try_turns(signature, window, level)
    none, best_turn = next(iter(turned)), max(turned, key=lambda turn: turned[turn])
    bits, best_moved, best_turned = float(moved[window]), float(moved.max()), turned[best_turn]
    is_moved = _is_better(float(_beyond_tolerance(moved).max()), bits, _MOVED, chance)
    is_turned = _is_better(best_turned, turned[none], _TURNED, chance)
    is_telling = not signature.is_blank
    return Alignment(
        shift=_find_best_shift(moved, signature.step),
        transform=name_turn(best_turn) if is_telling and best_turned > max(best_moved, turned[none]) else "",
        bits=bits,
        best_bits=max(best_moved, best_turned),
        chance=chance,
        certainty=bits / chance if is_telling else 0.0,
        is_suspicious=is_telling and (is_moved or is_turned),
        moved=moved.astype(np.float32),
        turned=turned,
        step=signature.step,
    )


def find_misfit(alignments: Sequence[Alignment]) -> Misfit | None:
    """A shift or transform by which the labels of all images together fit better beyond doubt.

    Args:
        alignments: Of the images of a dataset.

    Returns:
        What at least 3 images have in common, or nothing. A single pixel is left to the annotators. Where images were
        thinned out to different degrees, those of the most frequent degree decide on a shift.
    """
    telling = [one for one in alignments if one.certainty or one.is_suspicious]
    steps = [one.step for one in telling]
    alike = [one for one in telling if one.step == max(steps, key=steps.count)]
    found = [misfit for misfit in (_find_common_shift(alike), _find_common_turn(telling)) if misfit]
    return max(found, key=lambda misfit: misfit.lost, default=None)


def find_exchanged(signatures: Mapping[str, Signature]) -> dict[str, str]:
    """Images on which the labels of another image fit.

    Args:
        signatures: Of images whose own labels do not fit, by name.

    Returns:
        The name of the image whose labels fit, by the name of the image; only where there is one.
    """
    found = {}
    for name, own in signatures.items():
        others = {
            other: share_bits(own.seen, signature.said)
            for other, signature in signatures.items()
            if other != name and signature.said.shape == own.seen.shape and not signature.is_blank
        }
        best = max(others, key=lambda other: others[other], default=None)
        if best is not None and align(Signature(own.seen, signatures[best].said, own.step)).certainty > _CERTAIN:
            found[name] = best
    return found


def describe_move(shift: Sequence[int], transform: str) -> str:
    """A transform, or else a shift, in words that follow "the labels fit better".

    Example:
        >>> describe_move((0, -5), "")
        'moved by -5 pixels along x'
    """
    steps = [f"{pixels:+d} pixels along {axis}" for axis, pixels in zip(name_axes(shift), shift, strict=True) if pixels]
    return transform or "moved by " + " and ".join(steps)


# ------------------------------------------------------------------------------------------------------ one image


def _try_turns(signature: Signature, window: tuple[int, ...], level: float) -> dict[Turn, float]:
    """Bits above chance of mirrored and turned labels, where shifted ones were compared; turning keeps that part."""
    inner = inside(signature.seen.shape, window)
    return {
        turn: share_bits(signature.seen[inner], turn_axes(signature.said, turn)[inner]) - level
        for turn in list_turns(signature.seen.shape)
    }


def _find_best_shift(moved: Array, step: Sequence[int]) -> tuple[int, ...]:
    """The shift of the most bits, in pixels of the image."""
    at = np.unravel_index(int(moved.argmax()), moved.shape)
    return tuple((int(place) - size // 2) * one for place, size, one in zip(at, moved.shape, step, strict=True))


def _lose(best: float, here: float) -> float:
    """The share of the best information that is lost here, negative where there is more here; 0 where there is none."""
    top = max(best, here, 0.0)
    return (max(best, 0.0) - max(here, 0.0)) / top if top > 0 else 0.0


def _is_better(best: float, here: float, share: float, chance: float) -> bool:
    """Whether labels fit so much better elsewhere that one image is enough to say so."""
    return _lose(best, here) > share and best > _CERTAIN * chance and best - here > _APART * chance


def _beyond_tolerance(moved: Array) -> Array:
    """Bits of the shifts by more than annotators are off."""
    beyond = moved.copy()
    beyond[tuple(slice(max(0, size // 2 - _TOLERANCE), size // 2 + _TOLERANCE + 1) for size in moved.shape)] = -np.inf
    return beyond


# ------------------------------------------------------------------------------------------------- a whole dataset


def _find_common_shift(alignments: Sequence[Alignment]) -> Misfit | None:
    """The shift that fits all best, if it is a real one."""
    if len(alignments) < _FEWEST:
        return None
    size = np.min([one.moved.shape for one in alignments], axis=0)
    maps = np.stack([one.moved[_middle(one.moved.shape, size)] for one in alignments]).astype(np.float64)
    mean, flat = maps.mean(axis=0), maps.reshape(len(maps), -1)
    there, here = flat[:, mean.argmax()], flat[:, mean.size // 2]
    is_tolerated = max(map(abs, _find_best_shift(mean, (1,) * mean.ndim))) <= _TOLERANCE
    if is_tolerated or not _is_sure(there, here, alignments):
        return None
    shift = _find_best_shift(mean, alignments[0].step)
    return Misfit(shift, "", _lose(float(there.mean()), float(here.mean())), len(alignments))


def _find_common_turn(alignments: Sequence[Alignment]) -> Misfit | None:
    """The transform that fits all best, if it is a real one."""
    if len(alignments) < _FEWEST:
        return None
    none, *turns = (turn for turn in alignments[0].turned if all(turn in one.turned for one in alignments))
    bits = {turn: np.array([one.turned[turn] for one in alignments]) for turn in (none, *turns)}
    best = max(turns, key=lambda turn: float(bits[turn].mean()))
    if not _is_sure(bits[best], bits[none], alignments):
        return None
    lost = _lose(float(bits[best].mean()), float(bits[none].mean()))
    return Misfit((0,) * len(none[0]), name_turn(best), lost, len(alignments))


def _is_sure(there: Array, here: Array, alignments: Sequence[Alignment]) -> bool:
    """Whether labels fit better there beyond doubt, image by image."""
    certainties = there / np.array([one.chance for one in alignments])
    lost = np.array([_lose(*both) for both in zip(there.tolist(), here.tolist(), strict=True)])
    scatter = max(_SCATTER, float(lost.std(ddof=1)) if len(lost) > 1 else 0.0)
    root = len(lost) ** 0.5
    is_much = _lose(float(there.mean()), float(here.mean())) > _LEAST_LOST
    return is_much and float(lost.mean()) > _SURE * scatter / root and float(certainties.sum()) > _CERTAIN * root


def _middle(shape: tuple[int, ...], size: Array) -> tuple[slice, ...]:
    """The middle part of that size, which is odd as the whole is."""
    return tuple(
        slice((length - part) // 2, (length + part) // 2) for length, part in zip(shape, size.tolist(), strict=True)
    )
