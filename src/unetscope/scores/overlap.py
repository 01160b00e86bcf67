"""How well a prediction matches the truth; knows arrays and class names, neither files nor networks nor torch.

Only foreground classes are scored. A class that an image does not contain has no score there: it is neither a perfect
nor a failed one, and counting it as either would let the rarest class decide the mean. Predicting it all the same is a
false alarm, which is counted. Means are taken over the classes of an image first, then over images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from unetscope.errors import DataError
from unetscope.scores.comparison import Labels, pair_blocks, require_classes
from unetscope.scores.objects import ObjectScore, pool_objects
from unetscope.scores.power import interval
from unetscope.scores.rand import rand_error
from unetscope.scores.scores_text import lay_out
from unetscope.scores.surface import SurfaceScore, SurfaceSummary, summarize_surfaces
from unetscope.scores.values import mean, read_share
from unetscope.tables import to_html


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
    """One image: a score for every foreground class, and others that look at the image as a whole.

    Attributes:
        name: The image.
        classes: Foreground classes in order.
        pixel_error: Share of pixels given the wrong class, from 0 to 1; None where every pixel is ignored.
        rand_error: Adapted Rand error, from 0 to 1; None where the truth has no foreground.
        objects: How well its objects are found; None where they were not compared.
        surfaces: Foreground classes in order; empty where their surfaces were not compared.

    Raises:
        DataError: The surfaces are those of other classes.
    """

    name: str
    classes: tuple[ClassScore, ...]
    pixel_error: float | None
    rand_error: float | None
    objects: ObjectScore | None = None
    surfaces: tuple[SurfaceScore, ...] = ()

    def __post_init__(self) -> None:
        names, compared = ([score.name for score in scores] for scores in (self.classes, self.surfaces))
        if compared and compared != names:
            raise DataError(
                f"{self.name}: surfaces are scored for {'/'.join(compared)}, but pixels for {'/'.join(names)}; "
                "score both for the same classes"
            )

    @property
    def dice(self) -> float | None:
        """Mean over the classes present in the truth; None where there are none."""
        return mean(score.dice for score in self.classes)

    @property
    def iou(self) -> float | None:
        """Mean over the classes present in the truth; None where there are none."""
        return mean(score.iou for score in self.classes)


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
        return mean(image.dice for image in self.images)

    @property
    def dice_interval(self) -> tuple[float, float] | None:
        """95 % bootstrap interval of `dice` over images; None with fewer than two images that have one."""
        return interval(image.dice for image in self.images)

    @property
    def iou(self) -> float | None:
        """Mean over images of the image's mean over classes."""
        return mean(image.iou for image in self.images)

    @property
    def pixel_error(self) -> float | None:
        """Mean over images."""
        return mean(image.pixel_error for image in self.images)

    @property
    def rand_error(self) -> float | None:
        """Mean over images."""
        return mean(image.rand_error for image in self.images)

    @property
    def objects(self) -> ObjectScore | None:
        """The objects of all images pooled; None where no image's objects were compared."""
        compared = [image.objects for image in self.images if image.objects]
        return pool_objects(compared) if compared else None

    @property
    def surfaces(self) -> tuple[SurfaceSummary, ...]:
        """Each foreground class over the images whose surfaces were compared."""
        compared = (image.surfaces for image in self.images if image.surfaces)
        return tuple(summarize_surfaces(scores) for scores in zip(*compared, strict=True))

    def _repr_html_(self) -> str:
        """How a notebook displays it."""
        return to_html(lay_out(self))

    def to_json(self) -> dict[str, Any]:
        """Plain values ready for strict JSON: what is not defined is null, never not-a-number.

        Returns:
            The keys `classes`, `images`, `dice`, `dice_interval` (lower and upper end), `iou`, `pixel_error`,
            `rand_error`, `objects` and `surfaces`.

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
            "dice_interval": list(ends) if (ends := self.dice_interval) else None,
            "iou": self.iou,
            "pixel_error": self.pixel_error,
            "rand_error": self.rand_error,
            "objects": self.objects.to_json() if self.objects else None,
            "surfaces": [asdict(summary) for summary in self.surfaces],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Scores:
        """Read what `to_json` gave, now or before there were objects and surfaces; means are computed anew.

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
    for known, guessed in pair_blocks(truth, prediction):
        if ignore is not None:
            kept = known != ignore
            known, guessed = known[kept], guessed[kept]
        require_classes("truth", known, count)
        require_classes("prediction", guessed, count)
        counts += np.bincount(known * count + guessed, minlength=count * count)
    return counts.reshape(count, count)


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
        dice=mean(score.dice for score in scores),
        iou=mean(score.iou for score in scores),
        precision=mean(score.precision for score in scores),
        recall=mean(score.recall for score in scores),
        n=sum(score.dice is not None for score in scores),
        false_alarms=sum(score.false_alarm for score in scores),
    )


def _write_image(image: ImageScore) -> dict[str, Any]:
    return {
        "name": image.name,
        "dice": image.dice,
        "pixel_error": image.pixel_error,
        "rand_error": image.rand_error,
        "classes": [asdict(score) for score in image.classes],
        "objects": image.objects.to_json() if image.objects else None,
        "surfaces": [score.to_json() for score in image.surfaces],
    }


def _read_image(content: Mapping[str, Any]) -> ImageScore:
    return ImageScore(
        name=str(content["name"]),
        classes=tuple(_read_class(score) for score in content["classes"]),
        pixel_error=read_share(content["pixel_error"]),
        rand_error=read_share(content["rand_error"]),
        objects=ObjectScore.from_json(content["objects"]) if content.get("objects") else None,
        surfaces=tuple(SurfaceScore.from_json(score) for score in content.get("surfaces", ())),
    )


def _read_class(content: Mapping[str, Any]) -> ClassScore:
    shares = {measure: read_share(content[measure]) for measure in ("dice", "iou", "precision", "recall")}
    return ClassScore(str(content["name"]), **shares, false_alarm=bool(content["false_alarm"]))
