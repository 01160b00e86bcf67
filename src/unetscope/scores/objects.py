"""How well predicted objects match the true ones; knows arrays of numbered objects, neither files nor torch.

A true and a predicted object match at a threshold when their intersection over union (IoU) reaches it, each at most
once. What no object matches is missed or made up. Counts are kept and every score is computed from them, so that the
scores of many images together are scores of summed counts, not means of ratios.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from unetscope.errors import DataError

Labels: TypeAlias = npt.NDArray[Any]

THRESHOLDS = tuple(twentieths / 20 for twentieths in range(10, 20))
"""IoU from which a pair counts as matched: .5, .55, ... .95."""


@dataclass(frozen=True)
class ObjectScore:
    """The objects of one image, or of many together.

    Attributes:
        true: Objects in the truth.
        predicted: Objects in the prediction.
        matched: Pairs at each of `THRESHOLDS`.
        overlap: Sum of the IoU of the pairs matched at .5.
        name: The image; empty for many.

    Raises:
        DataError: The counts contradict each other.
    """

    true: int
    predicted: int
    matched: tuple[int, ...]
    overlap: float
    name: str = ""

    def __post_init__(self) -> None:
        pairs = (min(self.true, self.predicted), *self.matched, 0)
        is_falling = all(more >= fewer for more, fewer in pairwise(pairs))
        if len(self.matched) != len(THRESHOLDS) or not is_falling or not self._is_possible():
            raise DataError(
                f"{self.true} true and {self.predicted} predicted objects, {self.matched} of them matched with a "
                f"summed IoU of {self.overlap}, cannot be; evaluate again"
            )

    def _is_possible(self) -> bool:
        """Whether the summed IoU fits the number of pairs, up to rounding."""
        return self.matched[0] * THRESHOLDS[0] - 1e-6 <= self.overlap <= self.matched[0] + 1e-6

    @property
    def ap(self) -> tuple[float | None, ...]:
        """TP / (TP + FP + FN) at each of `THRESHOLDS`; None where there are no objects at all."""
        return tuple(_share(pairs, self.true + self.predicted - pairs) for pairs in self.matched)

    @property
    def mean_ap(self) -> float | None:
        """Mean of `ap` over the thresholds."""
        defined = [value for value in self.ap if value is not None]
        return math.fsum(defined) / len(defined) if defined else None

    @property
    def recognition(self) -> float | None:
        """Recognition quality, the F1 score of finding objects: 2 TP / (2 TP + FP + FN) at .5."""
        return _share(2 * self.matched[0], self.true + self.predicted)

    @property
    def segmentation(self) -> float | None:
        """Segmentation quality: mean IoU of the pairs matched at .5; None where there are none."""
        return _share(self.overlap, self.matched[0])

    @property
    def panoptic(self) -> float | None:
        """Panoptic quality, recognition times segmentation quality; None where there are no objects at all."""
        return _share(2 * self.overlap, self.true + self.predicted)

    def to_json(self) -> dict[str, Any]:
        """Plain values ready for strict JSON: what is not defined is null, never not-a-number.

        Returns:
            The counts, and every score that is computed from them.

        Example:
            >>> score = score_objects(np.array([[1, 1, 0, 2]]), np.array([[7, 7, 0, 0]]))
            >>> score.to_json()["ap"][0], score.to_json()["segmentation"]
            (0.5, 1.0)
            >>> ObjectScore.from_json(score.to_json()) == score
            True
        """
        return {
            "name": self.name,
            "true": self.true,
            "predicted": self.predicted,
            "matched": list(self.matched),
            "overlap": self.overlap,
            "ap": list(self.ap),
            "mean_ap": self.mean_ap,
            "recognition": self.recognition,
            "segmentation": self.segmentation,
            "panoptic": self.panoptic,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ObjectScore:
        """Read what `to_json` gave; scores are computed anew from the counts.

        Args:
            content: The parsed JSON.

        Returns:
            A score equal to the one written.

        Raises:
            DataError: An entry is missing, is no count, or contradicts the others.
        """
        try:
            matched = tuple(_read_count(pairs) for pairs in content["matched"])
            true, predicted = _read_count(content["true"]), _read_count(content["predicted"])
            return cls(true, predicted, matched, float(content["overlap"]), str(content["name"]))
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"the object scores are not in the form they are written in ({type(error).__name__}: {error}); "
                "evaluate again"
            ) from error


def score_objects(truth: Labels, prediction: Labels, *, name: str = "", ignore: int | None = -1) -> ObjectScore:
    """Match the predicted objects of one image with the true ones.

    Pixels to ignore count for no object. A predicted object that lies on them for more than half is left out, unless
    it matches a true one at .5: nobody knows whether it is right.

    Args:
        truth: Number of the true object at every pixel, ([z,] y, x); 0 is the background. Numbers may have gaps.
        prediction: Likewise of the predicted objects, of the same shape.
        name: What to call the image.
        ignore: Pixels whose truth has this value are not counted; None counts all.

    Returns:
        The counts. A pair counts at a threshold that its IoU reaches exactly; at .5, where two halves of one object
        may both reach it, one of them counts.

    Raises:
        DataError: Shapes differ, or a value is no whole number or below 0.

    Source:
        Matching and AP: Schmidt et al., "Cell detection with star-convex polygons", MICCAI 2018, and Weigert et al.,
        "Star-convex polyhedra for 3D object detection and segmentation in microscopy", WACV 2020. Quality and what
        is ignored: Kirillov et al., "Panoptic segmentation", CVPR 2019, where a pair of exactly .5 does not count.

    Example:
        >>> score = score_objects(np.array([[1, 1, 1, 0, 2, 2]]), np.array([[4, 4, 0, 0, 5, 5]]))
        >>> score.ap[:4], score.panoptic
        ((1.0, 1.0, 1.0, 1.0), 0.8333333333333333)
    """
    known = _known_pixels(truth, prediction, ignore, name)
    true, predicted = _renumber(np.where(known, truth, 0)), _renumber(prediction)
    pixels = np.bincount(predicted.ravel())
    pixels_known = np.bincount(predicted[known], minlength=len(pixels))
    found, ious = _match(true[known], predicted[known])
    is_counted = 2 * pixels_known >= pixels
    is_counted[found] = True
    return ObjectScore(
        true=int(true.max(initial=0)),
        predicted=int(is_counted[1:].sum()),
        matched=tuple(int((ious >= threshold).sum()) for threshold in THRESHOLDS),
        overlap=math.fsum(ious),
        name=name,
    )


def pool_objects(scores: Iterable[ObjectScore]) -> ObjectScore:
    """Score many images as one: counts are summed, so that every object weighs the same in whatever image it lies.

    Args:
        scores: One score an image.

    Returns:
        Their sum, without a name.

    Example:
        >>> full, empty = np.array([[1, 0, 2]]), np.array([[0, 0, 0]])
        >>> pool_objects([score_objects(full, full), score_objects(full, empty)]).mean_ap
        0.5
    """
    images = tuple(scores)
    return ObjectScore(
        true=sum(image.true for image in images),
        predicted=sum(image.predicted for image in images),
        matched=tuple(sum(image.matched[index] for image in images) for index in range(len(THRESHOLDS))),
        overlap=math.fsum(image.overlap for image in images),
    )


def _match(true: Labels, predicted: Labels) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The predicted objects that match a true one at .5, and the IoU of each pair.

    Two disjoint objects can both reach .5 with a third only as its exact halves, which then reach it with no other:
    at most one pair of each is a best assignment, and above .5 there is no choice at all.
    """
    both = (true > 0) & (predicted > 0)
    stride = int(predicted.max(initial=0)) + 1
    codes, shared = np.unique(true[both] * stride + predicted[both], return_counts=True)
    one, other = np.divmod(codes, stride)
    ious = shared / (np.bincount(true)[one] + np.bincount(predicted)[other] - shared)
    good = np.flatnonzero(ious >= THRESHOLDS[0])
    for side in (one, other):
        good = good[np.unique(side[good], return_index=True)[1]]
    return other[good], ious[good]


def _renumber(labels: Labels) -> npt.NDArray[np.int64]:
    """The same objects numbered from 1 without gaps, so that memory does not grow with the largest number."""
    return np.searchsorted(np.unique(labels[labels > 0]), labels, side="right")


def _share(part: float, whole: int) -> float | None:
    """A ratio; None where there is nothing to divide by."""
    return part / whole if whole else None


def _read_count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise DataError(
            f"a count of objects reads {value!r}, but it must be a whole number of at least 0; evaluate again"
        )
    return value


def _known_pixels(truth: Labels, prediction: Labels, ignore: int | None, name: str) -> npt.NDArray[np.bool_]:
    """Where the truth says something, if both are object numbers of the same shape."""
    image = f"{name}: " if name else ""
    if truth.shape != prediction.shape:
        raise DataError(
            f"{image}the truth has shape {truth.shape} and the prediction {prediction.shape}, but they must be equal; "
            "score a prediction against the truth of the same image"
        )
    known = np.full(truth.shape, True) if ignore is None else np.asarray(truth != ignore)
    for whose, labels in (("truth", truth[known]), ("prediction", prediction)):
        if labels.dtype.kind not in "biu" or labels.min(initial=0) < 0:
            raise DataError(
                f"{image}the {whose} holds {labels.dtype} values from {labels.min(initial=0)} on, but objects are "
                "numbered with whole numbers from 1, and 0 is the background; renumber them"
            )
    return known
