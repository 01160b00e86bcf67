"""How well a prediction matches the truth; knows arrays and class names, neither files nor networks nor torch.

Only foreground classes are scored. A class that an image does not contain has no score there: it is neither a perfect
nor a failed one, and counting it as either would let the rarest class decide the mean. Predicting it all the same is a
false alarm, which is counted. Means are taken over the classes of an image first, then over images.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from unetscope.errors import DataError

Labels: TypeAlias = npt.NDArray[Any]

_BLOCK = 2**16  # pixels; scratch memory then stays at a few megabytes, however large the image is


@dataclass(frozen=True)
class ClassScore:
    """One class in one image, each score from 0 to 1; all are None where the truth does not contain the class.

    Attributes:
        name: The class.
        dice: 2 TP / (2 TP + FP + FN).
        iou: Intersection over union, TP / (TP + FP + FN).
        precision: TP / (TP + FP); also None where the class is never predicted.
        recall: TP / (TP + FN).
        false_alarm: The class is absent from the truth, yet predicted.
    """

    name: str
    dice: float | None = None
    iou: float | None = None
    precision: float | None = None
    recall: float | None = None
    false_alarm: bool = False


@dataclass(frozen=True)
class ImageScore:
    """One image: a score for every foreground class, and two that look at the image as a whole.

    Attributes:
        name: The image.
        classes: Foreground classes in order.
        pixel_error: Share of pixels given the wrong class, from 0 to 1; None where every pixel is ignored.
        rand_error: Adapted Rand error, from 0 to 1; None where the truth has no foreground.
    """

    name: str
    classes: tuple[ClassScore, ...]
    pixel_error: float | None
    rand_error: float | None

    @property
    def dice(self) -> float | None:
        """Mean over the classes present in the truth; None where there are none."""
        return _mean(score.dice for score in self.classes)

    @property
    def iou(self) -> float | None:
        """Mean over the classes present in the truth; None where there are none."""
        return _mean(score.iou for score in self.classes)


@dataclass(frozen=True)
class ClassSummary:
    """One class over all images: means over the images where a score is defined, None if it is nowhere.

    The class is in the truth of `n` images, and in the prediction, but not the truth, of `false_alarms` others.
    """

    name: str
    dice: float | None
    iou: float | None
    precision: float | None
    recall: float | None
    n: int
    false_alarms: int


@dataclass(frozen=True)
class Scores:
    """The scores of many images; every mean is computed from them, so none can disagree with its parts.

    Raises:
        DataError: The images were scored for different classes.
    """

    images: tuple[ImageScore, ...]

    def __post_init__(self) -> None:
        named = {tuple(score.name for score in image.classes): image.name for image in self.images}
        if len(named) > 1:
            listed = ", ".join(f"{image!r} for {'/'.join(classes)}" for classes, image in named.items())
            raise DataError(f"images are scored for different classes ({listed}); score all for the same")

    @property
    def classes(self) -> tuple[ClassSummary, ...]:
        """Each foreground class over all images."""
        return tuple(_summarize(scores) for scores in zip(*(image.classes for image in self.images), strict=True))

    @property
    def dice(self) -> float | None:
        """Mean over images of the image's mean over classes."""
        return _mean(image.dice for image in self.images)

    @property
    def iou(self) -> float | None:
        """Mean over images of the image's mean over classes."""
        return _mean(image.iou for image in self.images)

    @property
    def pixel_error(self) -> float | None:
        """Mean over images."""
        return _mean(image.pixel_error for image in self.images)

    @property
    def rand_error(self) -> float | None:
        """Mean over images."""
        return _mean(image.rand_error for image in self.images)

    def to_json(self) -> dict[str, Any]:
        """Plain values ready for strict JSON: what is not defined is null, never not-a-number.

        Returns:
            The keys `classes`, `images`, `dice`, `iou`, `pixel_error` and `rand_error`.

        Example:
            >>> scores = Scores((score_image(np.array([[0, 1, 1]]), np.array([[0, 0, 1]]), ["background", "cell"]),))
            >>> scores.to_json()["classes"][0]["recall"]
            0.5
            >>> Scores.from_json(scores.to_json()) == scores
            True
        """
        return {
            "classes": [asdict(summary) for summary in self.classes],
            "images": [_write_image(image) for image in self.images],
            "dice": self.dice,
            "iou": self.iou,
            "pixel_error": self.pixel_error,
            "rand_error": self.rand_error,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Scores:
        """Read what `to_json` gave; means are computed anew from the images.

        Args:
            content: The parsed JSON.

        Returns:
            Scores equal to those written.

        Raises:
            DataError: An entry is missing or is no score.
        """
        try:
            return cls(tuple(_read_image(image) for image in content["images"]))
        except (KeyError, TypeError) as error:
            raise DataError(
                f"the scores are not in the form they are written in ({type(error).__name__}: {error}); evaluate again"
            ) from error


def score_image(
    truth: Labels, prediction: Labels, classes: Sequence[str], *, name: str = "", ignore: int | None = -1
) -> ImageScore:
    """Score one predicted image.

    Args:
        truth: Class indices, ([z,] y, x); 0 is the background.
        prediction: Class indices of the same shape.
        classes: Names of all classes, the background's first.
        name: What to call the image.
        ignore: Pixels whose truth has this value count nowhere, whatever is predicted there; None counts all.

    Returns:
        The image's scores, each from 0 to 1 and exact up to one rounding.

    Raises:
        DataError: Shapes differ, a value is no whole number, or a class has no name.

    Example:
        >>> truth = np.array([[0, 0, 1, 1], [-1, 2, 2, 2]])
        >>> prediction = np.array([[0, 1, 1, 1], [2, 2, 2, 0]])
        >>> cell, nucleus = score_image(truth, prediction, ["background", "cell", "nucleus"]).classes
        >>> cell.dice, nucleus.precision
        (0.8, 1.0)
    """
    try:
        counts = confusion(truth, prediction, len(classes), ignore)
    except DataError as error:
        raise DataError(f"{name}: {error}" if name else str(error)) from error
    return ImageScore(
        name=name,
        classes=tuple(_score_class(classes[index], counts, index) for index in range(1, len(classes))),
        pixel_error=_pixel_error(counts),
        rand_error=rand_error(_foreground(truth, truth, ignore), _foreground(prediction, truth, ignore)),
    )


def confusion(truth: Labels, prediction: Labels, count: int, ignore: int | None = -1) -> npt.NDArray[np.int64]:
    """Count the pixels of every true class that were given every class.

    Args:
        truth: Class indices from 0 to `count` - 1, any shape.
        prediction: Class indices of the same shape.
        count: Number of classes, the background included.
        ignore: Pixels whose truth has this value are not counted; None counts all.

    Returns:
        Pixels, (count, count): rows are true classes, columns predicted ones.

    Raises:
        DataError: Shapes differ, a value is no whole number, or a class is outside 0 to `count` - 1.

    Example:
        >>> confusion(np.array([0, 0, 1, -1]), np.array([0, 1, 1, 1]), 2)
        array([[1, 1],
               [0, 1]])
    """
    counts = np.zeros(count * count, np.int64)
    for known, guessed in _blocks(truth, prediction):
        if ignore is not None:
            kept = known != ignore
            known, guessed = known[kept], guessed[kept]
        _require_classes("truth", known, count)
        _require_classes("prediction", guessed, count)
        counts += np.bincount(known * count + guessed, minlength=count * count)
    return counts.reshape(count, count)


def rand_error(truth: Labels, prediction: Labels) -> float | None:
    """Adapted Rand error between the connected components of two foregrounds: do the same pixels belong together?

    Over all pairs of pixels in the true foreground, it is 1 minus the F-score of "both lie in one predicted component"
    as a guess at "both lie in one true component". A wrong pixel that joins two cells costs far more than one that
    only moves an outline. Components are connected by faces, not by corners. The background of the truth is left out,
    as in the ISBI 2012 challenge; background predicted inside the true foreground counts as one more component.
    That convention would call a prediction without any component perfect where the truth has a single one; as it tells
    no pixels apart and finds none, its error is 1.

    Args:
        truth: Class indices, ([z,] y, x); any value above 0 is foreground.
        prediction: Class indices of the same shape.

    Returns:
        From 0 (the same components) to 1, exact up to one rounding; None where the truth has no foreground.

    Raises:
        DataError: Shapes differ.

    Source:
        Arganda-Carreras et al., "Crowdsourcing the creation of image segmentation algorithms for connectomics",
        Frontiers in Neuroanatomy 9:142, 2015; equal to `skimage.metrics.adapted_rand_error`, whose table takes far
        more memory than the images.

    Example:
        >>> rand_error(np.array([[1, 1, 0, 1, 1]]), np.array([[1, 1, 1, 1, 1]]))  # 4 pairs are right, 4 + 12 in all
        0.5
    """
    overlaps = _overlaps(_components(truth > 0), _components(prediction > 0))
    if not overlaps:
        return None
    if not any(component for _, component in overlaps):
        return 1.0
    together = _count_pairs(overlaps)
    either = _count_pairs(_sizes(overlaps, 0)) + _count_pairs(_sizes(overlaps, 1))
    return (either - 2 * together) / either if either else 0.0


def _components(foreground: npt.NDArray[np.bool_]) -> Labels:
    """Number the parts connected by faces, from 1."""
    from skimage.measure import label  # here, because it takes a second to import

    components: Labels = label(foreground, connectivity=1)
    return components


def _overlaps(truth: Labels, prediction: Labels) -> Counter[tuple[int, int]]:
    """Pixels that each true component shares with each predicted one (0 there is predicted background)."""
    stride = int(prediction.max(initial=0)) + 1
    overlaps: Counter[tuple[int, int]] = Counter()
    for known, guessed in _blocks(truth, prediction):
        inside = known > 0
        codes, pixels = np.unique(known[inside] * stride + guessed[inside], return_counts=True)
        for code, count in zip(codes.tolist(), pixels.tolist(), strict=True):
            overlaps[divmod(code, stride)] += count
    return overlaps


def _sizes(overlaps: Counter[tuple[int, int]], side: int) -> Counter[int]:
    """Pixels of each component on one side (0 the truth's, 1 the prediction's)."""
    sizes: Counter[int] = Counter()
    for components, pixels in overlaps.items():
        sizes[components[side]] += pixels
    return sizes


def _count_pairs(sizes: Counter[Any]) -> int:
    """Ordered pairs of different pixels that lie in one part; Python's whole numbers do not overflow."""
    return sum(pixels * (pixels - 1) for pixels in sizes.values())


def _blocks(truth: Labels, prediction: Labels) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Matching runs of pixels of both arrays as 64-bit integers, without a copy of either array."""
    _require_comparable(truth, prediction)
    yield from np.nditer(
        [truth, prediction],
        flags=["external_loop", "buffered", "zerosize_ok"],
        op_flags=[["readonly"], ["readonly"]],
        op_dtypes=[np.int64, np.int64],
        casting="same_kind",
        buffersize=_BLOCK,
    )


def _foreground(labels: Labels, truth: Labels, ignore: int | None) -> npt.NDArray[np.bool_]:
    """Where a class other than the background lies; never where the truth is to be ignored."""
    foreground: npt.NDArray[np.bool_] = labels > 0
    if ignore is not None:
        foreground &= truth != ignore
    return foreground


def _score_class(name: str, counts: npt.NDArray[np.int64], index: int) -> ClassScore:
    """One class from the confusion matrix."""
    both, true, predicted = int(counts[index, index]), int(counts[index].sum()), int(counts[:, index].sum())
    if not true:
        return ClassScore(name, false_alarm=predicted > 0)
    return ClassScore(
        name,
        dice=2 * both / (true + predicted),
        iou=both / (true + predicted - both),
        precision=both / predicted if predicted else None,
        recall=both / true,
    )


def _pixel_error(counts: npt.NDArray[np.int64]) -> float | None:
    """Share of pixels off the diagonal of the confusion matrix."""
    total, right = int(counts.sum()), int(counts.trace())
    return (total - right) / total if total else None


def _summarize(scores: tuple[ClassScore, ...]) -> ClassSummary:
    """One class over its scores in all images."""
    return ClassSummary(
        name=scores[0].name,
        dice=_mean(score.dice for score in scores),
        iou=_mean(score.iou for score in scores),
        precision=_mean(score.precision for score in scores),
        recall=_mean(score.recall for score in scores),
        n=sum(score.dice is not None for score in scores),
        false_alarms=sum(score.false_alarm for score in scores),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    """Mean of the defined values, the same in any order; None if none is defined."""
    defined = [value for value in values if value is not None]
    return math.fsum(defined) / len(defined) if defined else None


def _write_image(image: ImageScore) -> dict[str, Any]:
    return {
        "name": image.name,
        "dice": image.dice,
        "pixel_error": image.pixel_error,
        "rand_error": image.rand_error,
        "classes": [asdict(score) for score in image.classes],
    }


def _read_image(content: Mapping[str, Any]) -> ImageScore:
    return ImageScore(
        name=str(content["name"]),
        classes=tuple(_read_class(score) for score in content["classes"]),
        pixel_error=_read_share(content["pixel_error"]),
        rand_error=_read_share(content["rand_error"]),
    )


def _read_class(content: Mapping[str, Any]) -> ClassScore:
    shares = {measure: _read_share(content[measure]) for measure in ("dice", "iou", "precision", "recall")}
    return ClassScore(str(content["name"]), **shares, false_alarm=bool(content["false_alarm"]))


def _read_share(value: Any) -> float | None:
    """A number from 0 to 1, or None for a score that is not defined."""
    if value is None:
        return None
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise DataError(f"a score reads {value!r}, but it must be a number from 0 to 1 or null; evaluate again")
    return float(value)


def _require_comparable(truth: Labels, prediction: Labels) -> None:
    if truth.shape != prediction.shape:
        raise DataError(
            f"the truth has shape {truth.shape} and the prediction {prediction.shape}, but they must be equal; "
            "score a prediction against the truth of the same image"
        )
    for whose, labels in (("truth", truth), ("prediction", prediction)):
        if labels.dtype.kind not in "biu":
            raise DataError(f"the {whose} holds {labels.dtype} values, but class indices are whole numbers; convert it")


def _require_classes(whose: str, labels: npt.NDArray[np.int64], count: int) -> None:
    lowest, highest = int(labels.min(initial=0)), int(labels.max(initial=0))
    if lowest < 0 or highest >= count:
        raise DataError(
            f"the {whose} holds class {lowest if lowest < 0 else highest}, but only classes 0 to {count - 1} have a "
            "name; name the missing class or correct the labels"
        )
