"""Usable information: what a family of readers can tell of labels held out from it; knows arrays, not networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from unetscope.errors import DataError
from unetscope.information.estimators.family import Family, Labels, Lesson, LogProbabilities, Predictor, log_prior
from unetscope.information.estimators.logistic import Logistic
from unetscope.information.intervals import Interval, bootstrap
from unetscope.information.one_thread import in_one_thread
from unetscope.information.reading import Indices, Reading
from unetscope.information.tally import Tally
from unetscope.information.verdicts import Verdict, extrapolate, judge_value

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

SHARES = (0.125, 0.25, 0.5, 1.0)  # of the training groups, along the learning curve
FEWEST_TAUGHT = 2  # groups: one to fit, one to tune
FEWEST_POINTS = 3  # of a learning curve
MOST_CLASSES = 256  # more are numbers of objects rather than classes


@dataclass(frozen=True)
class CrossFit:
    """How pixels are divided into those that teach and those that are held out.

    Attributes:
        classes: How many classes there are.
        folds: Parts into which the groups fall; as many as there are groups if these are fewer.
        seed: Start of what is random.
        share: Fraction of the training groups that teaches, above 0, at most 1; the less is always part of the more.
    """

    classes: int
    folds: int = 5
    seed: int = 0
    share: float = 1.0


@dataclass(frozen=True, eq=False)
class Information:
    """Usable label information of features, with what it rests on.

    Attributes:
        prior: H0, bits per pixel that a label has when nothing is read.
        value: I_V, bits per pixel that the family can tell of it.
        gains: H0 less held-out loss, summed within every group in the order of their sorted names.
        verdict: Whether the value may be relied on, and if not, what is missing.
        images: How many groups there are.
    """

    prior: Interval
    value: Interval
    gains: Tally
    verdict: Verdict
    images: int


@dataclass(frozen=True)
class _Prior:
    """Readers that do not read: they know how often each class occurs."""

    name: str = "prior"

    def fit(self, lesson: Lesson) -> Predictor:
        """The shares of the classes, everywhere."""
        prior = log_prior(lesson.labels, lesson.classes)
        return lambda reading: np.tile(prior, (len(reading.row), 1))


def information(
    features: NDArray[Any] | Reading,
    labels: NDArray[Any] | Sequence[int],
    groups: NDArray[Any] | Sequence[Any],
    *,
    family: Literal["linear", "mlp"] = "linear",
    classes: int | None = None,
    folds: int = 5,
    seed: int = 0,
) -> Information:
    """How many bits of the labels can be read from features, on images that the reader has never seen.

    I_V = H0 - held-out cross-entropy. H0 is the cross-entropy of a reader that only knows how often each class occurs,
    held out on the same folds; both are means over pixels, in bits. Other than mutual information, I_V asks what *this
    family of readers* can make of the features: it may rise from layer to layer. Readers learn from finitely many
    images, so I_V is less than what the family could read with endless data (a lower bound but for the sampling of the
    held-out images, whose interval is given), and it is about 0, or a little below, where there is nothing to read.
    The verdict asks for a narrow interval, and for a learning curve over 1/8, 1/4, 1/2 and all of the training images
    that hardly rises any more.

    Args:
        features: (N, channels) of N pixels or samples, or (N,); or a `Reading`.
        labels: (N,) whole numbers from 0.
        groups: (N,) image, patient or specimen of each; names of any kind. Groups are held out as a whole.
        family: "linear", or "mlp" with a hidden layer of 64 units.
        classes: How many classes there are, at most 256; one more than the largest label if None.
        folds: Parts into which the groups fall.
        seed: Start of what is random; the same seed gives the same numbers.

    Returns:
        The value with its 95 % interval, H0, and whether it may be relied on.

    Raises:
        DataError: Features, labels or groups cannot be used together.

    Source:
        Xu, Zhao, Song, Stewart, Ermon 2020, A theory of usable information under computational constraints, ICLR
        (arXiv 2002.10689), definition 2 and section 4.

    Example:
        >>> labels = np.arange(4000) % 2
        >>> features = labels[:, None] + np.random.default_rng(0).normal(0, 0.1, (4000, 3))
        >>> found = information(features, labels, np.arange(4000) // 100)
        >>> round(found.prior.value, 2), round(found.value.value, 2), found.verdict.word
        (1.0, 1.0, 'ok')
    """
    reading = _read_features(features)
    codes = _read_labels(labels, len(reading.row), classes)
    units, count = _number_groups(groups, len(codes))
    _require(folds >= 2, f"{folds} folds were asked for", "give 2 or more")
    settings, readers = CrossFit(classes or int(codes.max()) + 1, folds, seed), _choose_family(family)
    wanted = f"at most {MOST_CLASSES} are told apart; number the classes from 0"
    _require(settings.classes <= MOST_CLASSES, f"{settings.classes} classes came", wanted)
    prior = Tally.gather(prior_losses(codes, units, settings), units, count)

    def gain(share: float) -> Tally:
        losses = cross_fit(readers, reading, codes, units, replace(settings, share=share))
        return prior - Tally.gather(losses, units, count)

    curve = {share: gain(share) for share in _choose_shares(count, folds)}
    bits, value = bootstrap(prior, seed=seed), bootstrap(curve[1.0], seed=seed)
    verdict = judge_value(value, bits.value, count, extrapolate(list(curve), [gains.mean for gains in curve.values()]))
    if len(curve) < FEWEST_POINTS:
        verdict = _ask_for_curve(verdict, count, folds)
    return Information(bits, value, curve[1.0], verdict, count)


def assign_folds(count: int, folds: int, seed: int) -> Indices:
    """Deal groups out to folds at random, as evenly as possible.

    Args:
        count: How many groups there are.
        folds: How many folds; every one has a group if there are as many groups.
        seed: Start of what is random.

    Returns:
        (count,) number of each group's fold.

    Example:
        >>> sorted(assign_folds(5, 2, seed=0).tolist())
        [0, 0, 0, 1, 1]
    """
    return np.random.default_rng(seed).permutation(count) % folds


def fit_held_out(
    family: Family, reading: Reading, labels: Labels, groups: Indices, settings: CrossFit
) -> Iterator[tuple[Predictor, Indices]]:
    """One reader after the other, each with the pixels that are held out from it.

    A reader is fitted on the groups of the other folds; of these, the next fold tunes it. If there are but two folds,
    half of the one that teaches tunes.

    Args:
        family: The readers.
        reading: What is read at P pixels.
        labels: (P,) class of each, from 0.
        groups: (P,) number of the image, patient or specimen of each; at least two distinct.
        settings: How pixels are divided.

    Yields:
        A reader, and the numbers of its held-out pixels; every pixel comes once.
    """
    names, group = np.unique(groups, return_inverse=True)
    folds = min(settings.folds, len(names))
    fold = assign_folds(len(names), folds, settings.seed)
    for held in range(folds):
        taught, tuning = _choose_pixels(fold, group, held, settings)
        pixels = np.flatnonzero(taught)
        lesson = Lesson(reading.take(pixels), labels[pixels], settings.classes, tuning[pixels], settings.seed)
        with in_one_thread():
            reader = family.fit(lesson)
        yield reader, np.flatnonzero(fold[group] == held)


def predict_held_out(
    family: Family, reading: Reading, labels: Labels, groups: Indices, settings: CrossFit
) -> LogProbabilities:
    """What readers say of pixels whose group they have never seen; arguments are those of `fit_held_out`.

    Returns:
        (P, classes) natural logarithms of probabilities.
    """
    result = np.empty((len(labels), settings.classes))
    for reader, held in fit_held_out(family, reading, labels, groups, settings):
        result[held] = reader(reading.take(held))
    return result


def cross_fit(family: Family, reading: Reading, labels: Labels, groups: Indices, settings: CrossFit) -> Array:
    """Held-out loss of every pixel; arguments are those of `fit_held_out`.

    Returns:
        (P,) bits, at least 0.
    """
    predicted = predict_held_out(family, reading, labels, groups, settings)
    losses: Array = -predicted[np.arange(len(labels)), labels] / np.log(2)
    return losses


def prior_losses(labels: Labels, groups: Indices, settings: CrossFit) -> Array:
    """Held-out loss of the readers that know only how often each class occurs, on the same folds: H0 pixel by pixel.

    Args:
        labels: (P,) class of each pixel, from 0.
        groups: (P,) number of the image of each.
        settings: How pixels are divided.

    Returns:
        (P,) bits.

    Example:
        >>> labels, groups = np.arange(80) % 2, np.arange(80) // 8
        >>> round(float(prior_losses(labels, groups, CrossFit(2)).mean()), 6)
        1.0
    """
    nothing = Reading.of(np.zeros((len(labels), 0), np.float32))
    return cross_fit(_Prior(), nothing, labels, groups, settings)


def _choose_pixels(fold: Indices, group: Indices, held: int, settings: CrossFit) -> tuple[Mask, Mask]:
    """Which pixels teach while a fold is held out, and which of all tune."""
    order = np.random.default_rng((settings.seed, held)).permutation(len(fold))
    following = (held + 1) % (fold.max() + 1)
    fitting = order[(fold[order] != held) & (fold[order] != following)]
    tuning = order[fold[order] == following]
    if len(fitting) + len(tuning) == 1:
        return _halve(group == tuning[0])
    if not len(fitting):
        fitting, tuning = np.split(tuning, [(len(tuning) + 1) // 2])
    taught = max(FEWEST_TAUGHT, round(settings.share * (len(fitting) + len(tuning))))
    tuning = tuning[: max(1, round(settings.share * len(tuning)))]
    fitting = fitting[: max(1, taught - len(tuning))]
    tunes = np.isin(group, tuning)
    return tunes | np.isin(group, fitting), tunes


def _halve(taught: Mask) -> tuple[Mask, Mask]:
    """The only group that can teach: its first half is fitted, its second half tunes."""
    pixels = np.flatnonzero(taught)
    tunes = np.zeros_like(taught)
    tunes[pixels[len(pixels) // 2 :]] = True
    return taught, tunes


def _choose_family(name: str) -> Family:
    """The family of that name."""
    if name == "linear":
        return Logistic()
    _require(name == "mlp", f"family {name!r} is not known", "give 'linear' or 'mlp'")
    from unetscope.information.estimators.perceptron import Perceptron  # torch only where it is needed

    return Perceptron()


def _choose_shares(groups: int, folds: int) -> list[float]:
    """Points of the learning curve at which there are groups enough."""
    taught = groups - -(-groups // min(folds, groups))
    return [share for share in SHARES if share == 1 or share * taught >= FEWEST_TAUGHT]


def _ask_for_curve(verdict: Verdict, groups: int, folds: int) -> Verdict:
    """A verdict on a value of which nobody knows whether more groups would add to it."""
    fewest = next(count for count in range(groups, 100) if len(_choose_shares(count, folds)) >= FEWEST_POINTS)
    reason = f"{groups} groups are too few to see whether more would add to the value"
    said = reason if verdict.word == "ok" else f"{verdict.reason}; {reason}"
    return Verdict("cannot tell", said, max(fewest, verdict.images or 0))


def _read_features(features: Any) -> Reading:
    """Features about their means, of which float32 then loses nothing that matters."""
    if isinstance(features, Reading):
        _require(np.isfinite(features.features).all(), "features hold NaN or infinity", "drop or mend these pixels")
        return features
    try:
        matrix = np.asarray(features, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError("features are not an array of numbers; give one of shape (pixels, channels)") from error
    shape = "x".join(map(str, matrix.shape))
    _require(matrix.ndim in (1, 2) and matrix.size > 0, f"features have the shape {shape}", "give (pixels, channels)")
    _require(np.isfinite(matrix).all(), "features hold NaN or infinity", "drop or mend these pixels")
    centered = matrix - matrix.mean(axis=0)
    _require((np.abs(centered) < np.finfo(np.float32).max).all(), "features exceed float32", "give smaller units")
    return Reading.of(centered)


def _read_labels(labels: Any, count: int, classes: int | None) -> Labels:
    """Labels as codes of classes."""
    codes = np.asarray(labels)
    _require(codes.shape == (count,), f"{codes.size} labels came for {count} pixels", "give one for each pixel")
    whole = codes.dtype.kind in "biu" or (
        codes.dtype.kind == "f" and np.isfinite(codes).all() and not (codes % 1).any()
    )
    _require(whole, "labels are not whole numbers", "number the classes from 0")
    codes = codes.astype(np.int64)
    _require(codes.min() >= 0, f"label {codes.min()} came", "number the classes from 0 and drop unlabelled pixels")
    _require(codes.min() < codes.max(), f"all labels are {codes.max()}", "at least two classes are needed")
    fits = classes is None or codes.max() < classes
    _require(fits, f"label {codes.max()} came for {classes} classes", f"give {codes.max() + 1} classes or more")
    return codes


def _number_groups(groups: Any, count: int) -> tuple[Indices, int]:
    """(N,) numbers of the groups in the order of their names, and how many there are."""
    names = groups.tolist() if isinstance(groups, np.ndarray) else list(groups)
    _require(len(names) == count, f"{len(names)} groups came for {count} pixels", "give one for each pixel")
    try:
        ordered = sorted(set(names), key=lambda name: (str(name), repr(name)))
    except TypeError as error:
        raise DataError("groups cannot be told apart (unhashable); give names or numbers") from error
    _require(all(name == name for name in ordered), "the group of some pixels is NaN", "drop these pixels")
    numbers = {name: number for number, name in enumerate(ordered)}
    _require(len(numbers) > 1, "all pixels belong to one group", "at least two images are needed")
    return np.array([numbers[name] for name in names]), len(numbers)


def _require(holds: bool | np.bool_, came: str, wanted: str) -> None:
    if not holds:
        raise DataError(f"{came}; {wanted}")
