"""Which images to annotate next: those on which probes that learned from different images disagree.

Knows probes and images, not what they are for.

Source:
    Houlsby, Huszar, Ghahramani, Lengyel 2011, Bayesian active learning for classification and preference learning,
    arXiv 1112.5745 (the mutual information between prediction and model); Fieller, Hartley, Pearson 1957, Tests for
    rank correlation coefficients, Biometrika 44 (its interval).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import atanh, inf, isfinite, nan, sqrt, tanh
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import rankdata

from unetscope.data.item import Item
from unetscope.information.estimators.family import Predictor
from unetscope.information.estimators.perceptron import Perceptron
from unetscope.information.intervals import Interval, bootstrap
from unetscope.information.reading import Reading
from unetscope.information.sizing.sampling import Eye, Samples, draw_pixels, relative
from unetscope.information.tally import Tally
from unetscope.information.usable import CrossFit, fit_held_out
from unetscope.information.verdicts import Verdict, judge_decision

Array = NDArray[np.float64]

PIXELS = 512  # of each image
TILES = {2: 4, 3: 3}  # an axis: parts of an image that are resampled


@dataclass(frozen=True)
class Candidate:
    """An image without labels.

    Attributes:
        name: Of its file.
        disagreement: Mutual information between prediction and probe, bits per pixel, over parts of the image.
        entropy: Mean entropy of what the probes say together, bits per pixel.
    """

    name: str
    disagreement: Interval
    entropy: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"image": self.name, "disagreement": self.disagreement.to_json(), "entropy": round(self.entropy, 6)}


@dataclass(frozen=True)
class Ranking:
    """Images without labels, those to annotate first in front.

    Attributes:
        candidates: The images by falling disagreement.
        control: Rank correlation, over the annotated images, of how unsure held-out probes are of an image with how
            much they are wrong about it. Where it is not above 0, being unsure says nothing here.
        verdict: "ok" where the control is above 0 and the first image is clearly above the median.
    """

    candidates: tuple[Candidate, ...]
    control: Interval
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "verdict": self.verdict.to_json(),
            "control": self.control.to_json(),
            "images": [candidate.to_json() for candidate in self.candidates],
        }


def rank_images(
    eye: Eye, items: Sequence[Item], samples: Samples, probe: Probe, on_image: Callable[[int, int], None]
) -> Ranking:
    """Rank images by how much probes disagree about them that learned from different parts of the annotated ones.

    Args:
        eye: How images are seen.
        items: Images without labels.
        samples: Pixels of the annotated images.
        probe: Which probes, and in which window.
        on_image: Called with the images done and all.

    Returns:
        The ranking.

    Raises:
        DataError: An image cannot be read, or is not like the annotated ones.
    """
    probes, control = probe.fit(samples)
    candidates = []
    for number, item in enumerate(items):
        candidates.append(_judge(eye, item, probes, probe))
        on_image(number + 1, len(items))
    candidates.sort(key=lambda candidate: (-candidate.disagreement.value, candidate.name))
    return Ranking(tuple(candidates), control, _judge_order(candidates, control, len(samples.names)))


@dataclass(frozen=True)
class Probe:
    """A probe in a window, fitted once for each fold.

    Attributes:
        size: Of the window, pixels.
        width: Hidden units.
        settings: Folds and classes.
    """

    size: int
    width: int
    settings: CrossFit

    def fit(self, samples: Samples) -> tuple[list[Predictor], Interval]:
        """One probe for each fold, and whether on the images of its fold being unsure goes with being wrong."""
        window, labels, units = samples.window(self.size), samples.labels, samples.units
        readers, said = [], np.empty((len(labels), self.settings.classes))
        for reader, held in fit_held_out(Perceptron(self.width), window, labels, units, self.settings):
            readers.append(reader)
            said[held] = reader(window.take(held))
        wrong = -said[np.arange(len(said)), labels] / np.log(2)
        unsure, loss = (_average(values, units) for values in (entropy(said), wrong))
        return readers, correlate_ranks(unsure, loss)


def entropy(logarithms: Array) -> Array:
    """Entropy in bits of natural logarithms of probabilities, (..., classes) -> (...).

    Example:
        >>> entropy(np.log([[0.5, 0.5], [0.25, 0.75]])).round(3).tolist()
        [1.0, 0.811]
    """
    bits: Array = -(np.exp(logarithms) * logarithms).sum(axis=-1) / np.log(2)
    return bits


def disagree(said: Array) -> Array:
    """Mutual information between a prediction and who makes it.

    Args:
        said: (probes, P, classes) natural logarithms of probabilities.

    Returns:
        (P,) bits, from 0 to the logarithm of the number of probes.

    Example:
        >>> sure = np.log([[[0.999999, 0.000001]], [[0.000001, 0.999999]]])
        >>> disagree(sure).round(3).tolist(), disagree(sure[[0, 0]]).round(3).tolist()
        ([1.0], [0.0])
    """
    together = logsumexp(said, axis=0) - np.log(len(said))
    bits: Array = np.maximum(entropy(together) - entropy(said).mean(axis=0), 0)
    return bits


def correlate_ranks(one: Array, other: Array) -> Interval:
    """Spearman's rank correlation with its 95 % interval.

    Example:
        >>> correlate_ranks(np.arange(30.0), np.arange(30.0) ** 2).low > 0.9
        True
    """
    first, second = rankdata(one), rankdata(other)
    if len(first) < 4 or not first.std() * second.std() > 0:
        return Interval(nan, -inf, inf)
    value = float(np.corrcoef(first, second)[0, 1])
    middle, reach = atanh(min(max(value, -0.999999), 0.999999)), 1.96 * sqrt(1.06 / (len(first) - 3))
    return Interval(value, tanh(middle - reach), tanh(middle + reach))


def _judge(eye: Eye, item: Item, probes: Sequence[Predictor], probe: Probe) -> Candidate:
    """How much the probes disagree about one image."""
    image = eye.read_image(item)
    shape = image.shape[1:]
    pixels = draw_pixels(np.ones(shape, bool), PIXELS, probe.settings.seed)
    places = np.stack(np.unravel_index(pixels, shape), axis=1)
    window = Reading.of(eye.see(image, places, str(item.image))[:, eye.columns <= probe.size])
    said = np.stack([predict(window) for predict in probes])
    tiles, count = _number_tiles(relative(places, shape))
    tally = Tally.gather(disagree(said), tiles, count)
    unsure = entropy(logsumexp(said, axis=0) - np.log(len(said))).mean()
    return Candidate(item.name, bootstrap(tally), float(unsure))


def _average(values: Array, units: NDArray[np.int64]) -> Array:
    """Means within every image that was sampled."""
    sampled = np.unique(units)
    return (np.bincount(units, values) / np.maximum(np.bincount(units), 1))[sampled]


def _number_tiles(places: NDArray[np.float32]) -> tuple[NDArray[np.int64], int]:
    """The part of the image that each relative place lies in, and how many parts there are."""
    ndim = places.shape[1]
    along = np.minimum((places + 1) / 2 * TILES[ndim], TILES[ndim] - 1).astype(np.int64)
    return np.ravel_multi_index(tuple(along.T), (TILES[ndim],) * ndim), TILES[ndim] ** ndim


def _judge_order(candidates: Sequence[Candidate], control: Interval, images: int) -> Verdict:
    """Whether the first image should come first."""
    if not control.low > 0:
        needed = judge_decision(control, 0.0, images).images if isfinite(control.value) and control.value > 0 else None
        reason = "on the annotated images, being unsure does not clearly go with being wrong"
        return Verdict("cannot tell", reason, needed)
    median = float(np.median([candidate.disagreement.value for candidate in candidates]))
    if len(candidates) > 1 and not candidates[0].disagreement.low > median:
        return Verdict("cannot tell", "the probes disagree about all images alike, so begin with any")
    return Verdict("ok", "the first image is clearly above the median, and being unsure goes with being wrong")
