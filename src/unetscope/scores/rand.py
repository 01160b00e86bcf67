"""Whether the pixels of an object stay together: the adapted Rand error; knows arrays, neither classes nor files."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from unetscope.scores.comparison import Labels, pair_blocks


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
    for known, guessed in pair_blocks(truth, prediction):
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
