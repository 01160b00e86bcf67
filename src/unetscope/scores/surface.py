"""How far apart the surfaces of two masks lie, in physical units; knows arrays and pixel sizes, not files or torch.

The surface of a mask is its pixels with a face on something else; beyond the image there is always something else.
A class that the truth of an image does not contain has no surface scores there. One that is never predicted has a
normalized surface distance of 0, is marked as missed, and has no HD95: it would be infinite, and any number put in its
place would be made up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from unetscope.errors import DataError
from unetscope.scores.comparison import Labels, require_classes, require_comparable
from unetscope.scores.values import mean, median, read_distance, read_share

Mask = npt.NDArray[np.bool_]

_ROUNDING = 1 + 1e-9  # 3 steps of 0.1 are a hair longer than 0.3, and yet within a tolerance of 0.3


@dataclass(frozen=True)
class SurfaceScore:
    """One class in one image; both scores are None where the truth does not contain the class.

    Attributes:
        name: The class.
        hd95: 95th percentile of the distances between the surfaces, in the unit of the pixel size; also None where the
            class is never predicted.
        nsd: Share of both surfaces within the tolerance of the other, from 0 to 1.
        missed: The class is in the truth, yet never predicted.
    """

    name: str = ""
    hd95: float | None = None
    nsd: float | None = None
    missed: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain values ready for strict JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> SurfaceScore:
        """Read what `to_json` gave.

        Raises:
            DataError: A score is out of its range.
        """
        return cls(
            name=str(content["name"]),
            hd95=read_distance(content["hd95"]),
            nsd=read_share(content["nsd"]),
            missed=bool(content["missed"]),
        )


@dataclass(frozen=True)
class SurfaceSummary:
    """The surfaces of one class over all images; each score is None where it is defined in no image.

    Attributes:
        name: The class.
        hd95: Mean over the images where the class is found; read it together with `missed`.
        hd95_median: Median over the same images.
        nsd: Mean over the images whose truth contains the class.
        n: Images whose truth contains the class.
        missed: Those of them where it is never predicted.
    """

    name: str
    hd95: float | None
    hd95_median: float | None
    nsd: float | None
    n: int
    missed: int


def score_surfaces(
    truth: Labels,
    prediction: Labels,
    classes: Sequence[str],
    steps: Sequence[float],
    tolerance: float,
    *,
    ignore: int | None = -1,
) -> tuple[SurfaceScore, ...]:
    """Compare the surfaces of every foreground class of one image.

    Args:
        truth: Class indices, ([z,] y, x); 0 is the background.
        prediction: Class indices of the same shape.
        classes: Names of all classes, the background's first.
        steps: Size of a pixel along every axis, in a physical unit.
        tolerance: How far off a surface may lie and still be right, in the same unit.
        ignore: Pixels whose truth has this value belong to no class, whatever is predicted there; None ignores none.
            Where a true and a predicted object run into them, both end at the same place.

    Returns:
        A score for each foreground class, in order.

    Raises:
        DataError: Shapes differ, a class has no name, or steps or tolerance are no lengths.

    Example:
        >>> truth, prediction = np.array([[0, 1, 1, 1, 0, 0]]), np.array([[0, 0, 1, 1, 1, 1]])
        >>> score_surfaces(truth, prediction, ["background", "cell"], steps=(1.0, 0.5), tolerance=0.5)
        (SurfaceScore(name='cell', hd95=0.92..., nsd=0.857..., missed=False),)
    """
    require_comparable(truth, prediction)
    counted = np.ones(truth.shape, bool) if ignore is None else truth != ignore
    for whose, labels in (("truth", truth), ("prediction", prediction)):
        require_classes(whose, labels[counted], len(classes))
    return tuple(
        surface_scores((truth == index) & counted, (prediction == index) & counted, steps, tolerance, name=name)
        for index, name in enumerate(classes[1:], start=1)
    )


def surface_scores(
    truth: Mask, prediction: Mask, steps: Sequence[float], tolerance: float, *, name: str = ""
) -> SurfaceScore:
    """Compare the surfaces of two masks.

    HD95 is the larger of two percentiles: of the distances from every surface pixel of one mask to the nearest of the
    other, and of those the other way. (The percentile of both sets together, which some tools report, lets a long
    surface hide a short one that is far off.) The normalized surface distance (NSD, surface Dice) is the share of both
    masks' surface pixels that lie no farther from the other surface than a tolerance. Pixels are counted; Nikolov et
    al. weight them by the area of the surface that crosses them, which differs most where pixels are long.

    Two masks that are not empty score as in MONAI 1.6, up to its single precision. Otherwise MONAI differs: its HD95 is
    not-a-number for a missed object, so that its mean improves with every object that a network misses, and its NSD is
    0 for a false alarm. Its tolerance is a length as it is here, though its documentation says pixels, and more than
    16,777,216 surface pixels are too many for its percentile.

    Args:
        truth: Where the object truly is, ([z,] y, x).
        prediction: Where it is predicted, of the same shape.
        steps: Size of a pixel along every axis, in a physical unit.
        tolerance: How far off a surface may lie and still be right, in the same unit.
        name: What to call the object.

    Returns:
        Both scores; distances are exact up to rounding.

    Raises:
        DataError: Shapes differ, or steps or tolerance are no lengths.

    Source:
        Huttenlocher et al., "Comparing images using the Hausdorff distance", IEEE Transactions on Pattern Analysis and
        Machine Intelligence 15:850, 1993 (a quantile in each direction, then the maximum); Nikolov et al., "Clinically
        applicable segmentation of head and neck anatomy for radiotherapy", Journal of Medical Internet Research
        23:e26151, 2021, first arXiv:1809.04430, 2018 (surface Dice at a tolerance).

    Example:
        >>> truth = np.zeros((6, 6), bool)
        >>> truth[1:4, 1:4] = True
        >>> surface_scores(truth, np.roll(truth, 1, axis=0), steps=(2.0, 1.0), tolerance=1.5)
        SurfaceScore(name='', hd95=2.0, nsd=0.625, missed=False)
    """
    require_comparable(truth, prediction)
    _require_lengths(truth.ndim, steps, tolerance)
    if not truth.any():
        return SurfaceScore(name)
    if not prediction.any():
        return SurfaceScore(name, nsd=0.0, missed=True)
    both_ways = _surface_distances(truth != 0, prediction != 0, steps)
    near = sum(int(np.count_nonzero(distances <= tolerance * _ROUNDING)) for distances in both_ways)
    return SurfaceScore(
        name,
        hd95=max(float(np.percentile(distances, 95)) for distances in both_ways),
        nsd=near / sum(distances.size for distances in both_ways),
    )


def summarize_surfaces(scores: Sequence[SurfaceScore]) -> SurfaceSummary:
    """One class over its scores in all images, of which there is at least one."""
    return SurfaceSummary(
        name=scores[0].name,
        hd95=mean(score.hd95 for score in scores),
        hd95_median=median(score.hd95 for score in scores),
        nsd=mean(score.nsd for score in scores),
        n=sum(score.nsd is not None for score in scores),
        missed=sum(score.missed for score in scores),
    )


def _surface_distances(truth: Mask, prediction: Mask, steps: Sequence[float]) -> tuple[npt.NDArray[np.float64], ...]:
    """From every surface pixel of one mask to the surface of the other, and back."""
    from scipy.ndimage import find_objects  # here, because it takes a while to import

    box = find_objects((truth | prediction).view(np.uint8))[0]  # all outside is background: it changes no surface
    true, guessed = _surface(truth[box]), _surface(prediction[box])
    return _distances(true, guessed, steps), _distances(guessed, true, steps)


def _surface(mask: Mask) -> Mask:
    """Pixels of a mask with a face on something else."""
    from scipy.ndimage import binary_erosion

    surface: Mask = mask & ~binary_erosion(mask)
    return surface


def _distances(origins: Mask, targets: Mask, steps: Sequence[float]) -> npt.NDArray[np.float64]:
    """From every origin to the nearest target.

    A search tree would be faster for most shapes, but slower by orders for a blob amid a hollow one, or for noise; the
    time of this depends on the size of the box alone. Which pixel is nearest takes less memory than all distances.
    """
    from scipy.ndimage import distance_transform_edt

    nearest = distance_transform_edt(~targets, sampling=steps, return_distances=False, return_indices=True)
    offsets = (nearest[:, origins] - np.nonzero(origins)) * np.reshape(steps, (-1, 1))
    distances: npt.NDArray[np.float64] = np.sqrt(np.square(offsets).sum(axis=0))
    return distances


def _require_lengths(ndim: int, steps: Sequence[float], tolerance: float) -> None:
    if len(steps) != ndim or not all(math.isfinite(step) and step > 0 for step in steps):
        raise DataError(
            f"the pixel size is {tuple(steps)}, but {ndim}D images need {ndim} lengths above 0; give one for each axis"
        )
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise DataError(f"the tolerance is {tolerance}, but it must be a length from 0 up; give one")
