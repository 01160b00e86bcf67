"""Each estimator on its phantom: for one draw, what was found beside what is true; knows neither networks nor rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.stats import kstest, kstwo

from unetscope.information import usable
from unetscope.information.calibration.blocks import draw_windows, solve_window
from unetscope.information.calibration.phantoms import (
    IMAGE_PIXELS,
    MEAN,
    Phantom,
    draw_clustered,
    draw_codewords,
    draw_gaussian_pairs,
    draw_gaussians,
    draw_independent,
    draw_puzzle,
    draw_two_classes,
)
from unetscope.information.calibration.rows import ANYWHERE, Tolerance, Trial
from unetscope.information.calibration.truths import (
    enumerate_puzzle,
    integrate_two_classes,
    solve_gaussian_pairs,
    solve_noisy_copies,
)
from unetscope.information.estimators.family import Family, Lesson
from unetscope.information.estimators.gaussian import gaussian_information
from unetscope.information.estimators.kernel import (
    find_saturation,
    input_information,
    plugin_entropy,
    squared_distances,
)
from unetscope.information.estimators.logistic import Logistic
from unetscope.information.intervals import bootstrap, standard_error
from unetscope.information.reading import Reading
from unetscope.information.tally import Tally
from unetscope.information.verdicts import SHUFFLES, shuffle_test, tabulate_gains

Trials = Iterator[Trial]

KERNEL_SAMPLES = 735
PAIRS = ((1, 0.6, 0.05), (1, 0.9, 0.05), (1, 0.999, 0.05), (5, 0.8, 0.1), (10, 0.8, 0.1))  # G1, tolerance last
PAIR_SAMPLES, PAIR_FOLDS = 10_000, 5
COPIES = ((1, 0.5), (2, 0.5), (5, 0.5), (5, 2.0), (20, 2.0))  # G3: dimensions, noise
SATURATING = ((10, 0.5), (100, 2.0))
CODEWORDS, CODE_DIMENSIONS = (4, 16, 64, 256), 64  # G4
CLASSES = ((0.5, 1.0), (0.5, 2.0), (0.14, 2.0), (0.14, 4.0))  # G5: share, distance
FEW_CHANNELS, MANY_CHANNELS, PIXELS = 16, 256, 20_000
REFUSED_CHANNELS, REFUSED_PIXELS = 1024, 4_000
WINDOWS = {2: (1, 2, 3, 4, 8), 3: (1, 2, 3, 4)}  # G6
WINDOW_IMAGES = 200
PUZZLE_DIMENSIONS, PUZZLE_PIXELS = 32, {"linear": 5_000, "mlp": 20_000}  # G7
READABLE = {"linear": ("COPY", "AND", "UNIQUE")}  # no linear reader knows both parts of XOR
COVERED, COVERAGE = 2_000, 0.95  # G10: draws; of an interval
SHUFFLED_PIXELS, SHUFFLED = 4_000, 1_000  # G9: pixels of a draw in the short calibration, and draws
KS_LEVEL = 0.01  # G9: p-value of the Kolmogorov-Smirnov test below which uniformity is refused
NEAR = Tolerance.of(0.015)
WIDE = Tolerance(0.035, 0.015)  # with many channels, finding the direction costs bits


def measure_gaussian(seed: int) -> Trials:
    """G1: the cross-validated Gaussian estimate of pairs that are Gaussian."""
    folds = np.arange(PAIR_SAMPLES) % PAIR_FOLDS
    for dimensions, correlation, tolerance in PAIRS:
        left, right = draw_gaussian_pairs(dimensions, correlation, PAIR_SAMPLES, seed)
        gains = gaussian_information(left, right, folds)
        error = float(gains.std(ddof=1) / np.sqrt(len(gains)))
        truth = solve_gaussian_pairs(dimensions, correlation)
        name = f"G1 d={dimensions} r={_short(correlation)}"
        yield Trial(name, truth, float(gains.mean()), Tolerance.of(tolerance), error)


def measure_bounds(seed: int) -> Trials:
    """G3: the kernel bounds of noisy copies hold the truth, or are flagged as saturated.

    The estimate is the middle of the bounds, and the tolerance half their distance.
    """
    for dimensions, noise in (*COPIES, *SATURATING):
        samples = draw_gaussians(dimensions, KERNEL_SAMPLES, seed)
        distances = squared_distances(samples @ samples.T)
        bounds = input_information(distances, noise**2)
        clauses = find_saturation(distances, variance=noise**2)
        saturates = (dimensions, noise) in SATURATING
        yield Trial(
            f"G3 d={dimensions} sigma={_short(noise)}",
            solve_noisy_copies(dimensions, noise),
            (bounds.lower + bounds.upper) / 2,
            ANYWHERE if saturates else Tolerance.of((bounds.upper - bounds.lower) / 2),
            said="saturated" if clauses else "readable",
            wanted="saturated" if saturates else "readable",
            note="; ".join(clauses),
        )


def measure_codewords(seed: int) -> Trials:
    """G4: both kernel bounds of separated codewords are the entropy of the codewords; the worse one counts."""
    for words in CODEWORDS:
        samples, codes = draw_codewords(words, CODE_DIMENSIONS, KERNEL_SAMPLES, seed)
        truth = plugin_entropy(codes)
        bounds = input_information(squared_distances(samples @ samples.T))
        worse = max((bounds.lower, bounds.upper), key=lambda bound: abs(bound - truth))
        yield Trial(f"G4 K={words}", truth, worse, Tolerance.of(0.01))


def measure_classes(family: Family, dimensions: int, seed: int) -> Trials:
    """G5: classes that move a Gaussian along one direction."""
    for share, distance in CLASSES:
        phantom = draw_two_classes(share, distance, dimensions, PIXELS, seed)
        truth = integrate_two_classes(share, distance)
        tolerance = WIDE if dimensions == MANY_CHANNELS else NEAR
        yield _read(family, phantom, f"{_name_classes(share, distance, dimensions)} {family.name}", truth, tolerance)


def measure_refusal(classes: Sequence[tuple[float, float]], seed: int) -> Trials:
    """G5: more channels than so few images can teach, so that the verdict must be "cannot tell"."""
    for share, distance in classes:
        phantom = draw_two_classes(share, distance, REFUSED_CHANNELS, REFUSED_PIXELS, seed)
        found = usable.information(phantom.features, phantom.labels, phantom.groups, seed=seed)
        would_do = found.verdict.images
        yield Trial(
            _name_classes(share, distance, REFUSED_CHANNELS),
            integrate_two_classes(share, distance),
            found.value.value,
            ANYWHERE,
            said=found.verdict.word,
            wanted="cannot tell",
            note=f"{found.images} images; {would_do:,} would do" if would_do else f"{found.images} images",
        )


def measure_windows(family: Family, ndim: int, seed: int) -> Trials:
    """G6: windows of block images, wholly inside one block."""
    for size in WINDOWS[ndim]:
        phantom = draw_windows(ndim, size, WINDOW_IMAGES, seed)
        name = f"G6 {ndim}D k={size} {family.name}"
        yield _read(family, phantom, name, solve_window(size**ndim), Tolerance.of(0.03))


def measure_puzzle(family: Family, name: str, seed: int) -> Trials:
    """G7: what two parts know alone and together of labels that follow from one bit in each."""
    first, second = draw_puzzle(name, PUZZLE_DIMENSIONS, PUZZLE_PIXELS[family.name], seed)
    both = Phantom(np.hstack([first.features, second.features]), first.labels, first.groups)
    known = name in READABLE.get(family.name, (name,))
    for part, phantom, truth in zip(("A", "B", "AB"), (first, second, both), enumerate_puzzle(name), strict=True):
        if known or part != "AB":
            yield _read(family, phantom, f"G7 {name} I({part}) {family.name}", truth, Tolerance.of(0.02))


def measure_nothing(family: Family, dimensions: int, seed: int) -> Trials:
    """G9: features that have nothing to do with the classes."""
    phantom = draw_independent(dimensions, PIXELS, seed)
    yield _read(family, phantom, f"G9 d={dimensions} {family.name}", 0.0, Tolerance.of(0.005))


def measure_shuffles(dimensions: int, pixels: int, seed: int) -> Trials:
    """G9: p-values of shuffles are uniform where there is nothing to find.

    The truth is a distance of 0 between their distribution and the uniform one; the tolerance is the distance that one
    in a hundred uniform series exceeds (Kolmogorov and Smirnov).
    """
    values = np.array([draw_p_value(dimensions, pixels, SHUFFLED * seed + draw) for draw in range(SHUFFLED)])
    # A p-value is a multiple of one in a hundred, and stands for the step that ends there: the middle is its place.
    distance = float(kstest(values - 1 / (2 * (SHUFFLES + 1)), "uniform").statistic)
    limit = float(kstwo.ppf(1 - KS_LEVEL, SHUFFLED))
    yield Trial(f"G9 p-values d={dimensions}", 0.0, distance, Tolerance.of(limit), unit="distance")


def draw_p_value(dimensions: int, pixels: int, seed: int) -> float:
    """The p-value of one draw of independent features: half of the images teach, the others are exchanged."""
    phantom = draw_independent(dimensions, pixels, seed)
    images = pixels // IMAGE_PIXELS // 2
    taught = images * IMAGE_PIXELS
    reading = Reading.of(phantom.features)
    tuning = phantom.groups[:taught] < images // 5
    reader = Logistic().fit(Lesson(reading.take(np.arange(taught)), phantom.labels[:taught], 2, tuning, seed))
    held_out = np.arange(taught, 2 * taught)
    said = reader(reading.take(held_out)).reshape(images, IMAGE_PIXELS, 2)
    return shuffle_test(tabulate_gains(said, phantom.labels[held_out].reshape(images, -1)), seed=seed)


def measure_coverage(images: int, seed: int) -> Trials:
    """G10: how often an interval holds the truth, over images that differ."""
    drawn = (bootstrap(draw_clustered(images, COVERED * seed + draw), seed=draw) for draw in range(COVERED))
    covered = float(np.mean([interval.low <= MEAN <= interval.high for interval in drawn]))
    error = float(np.sqrt(COVERAGE * (1 - COVERAGE) / COVERED))
    yield Trial(f"G10 {images} images", COVERAGE, covered, Tolerance.of(0.02), error, unit="share")


def _read(family: Family, phantom: Phantom, name: str, truth: float, tolerance: Tolerance) -> Trial:
    """What a family of readers finds, held out by image."""
    gains = read_phantom(family, phantom)
    return Trial(name, truth, gains.mean, tolerance, standard_error(gains))


def read_phantom(family: Family, phantom: Phantom) -> Tally:
    """Bits that a family gains on H0 in every image of a phantom, cross-fitted in 5 folds."""
    settings = usable.CrossFit(classes=2)
    labels, groups = phantom.labels, phantom.groups
    losses = usable.cross_fit(family, Reading.of(phantom.features), labels, groups, settings)
    return Tally.gather(usable.prior_losses(labels, groups, settings) - losses, groups, int(groups.max()) + 1)


def _name_classes(share: float, distance: float, dimensions: int) -> str:
    return f"G5 q={_short(share)} delta={_short(distance)} d={dimensions}"


def _short(number: float) -> str:
    """.14 for 0.14, as in the literature.

    Example:
        >>> _short(0.14), _short(2.0)
        ('.14', '2')
    """
    return f"{number:g}".removeprefix("0") if number < 1 else f"{number:g}"
