"""From objects to classes that a network can learn, and back; knows label arrays, neither files nor networks.

Two touching cells are one component of the foreground, so a network that only knows foreground cannot count them. It
learns three classes instead: background, the inside of objects, and the border, which lies only where two objects are
close. The inside falls apart where objects touch, and its components, grown back into the border, are the objects.
Closeness is measured as the U-Net paper does: by the distances to the nearest and the second nearest object.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from unetscope.data.labelling import IGNORE
from unetscope.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]
Box = tuple[slice, ...]

OBJECT_CLASSES = ("background", "inside", "border")
"""What `classify_objects` tells apart and `find_objects` puts together again, in class order."""

BORDER_WIDTH = 3.0
"""Pixels; see `classify_objects` for why."""

_INSIDE, _BORDER = 1, 2
_REACH = 5.0  # sigmas; the weight beyond is below 4e-6


def classify_objects(instances: Array, width: float = BORDER_WIDTH) -> Array:
    """Tell the inside of objects from the border between them.

    A pixel is border where its distances to the nearest and the second nearest object add up to at most `width`. An
    object's own pixels are at distance 0 of it, so touching objects both lose a rim of `width` pixels, objects a little
    apart lose less, and a narrow gap is border altogether. A lone object has no border.

    No object vanishes or falls apart: the rim of one that would is made thinner, down to none. Only two touching
    objects that both are too thin for any rim become one.

    Args:
        instances: Number of the object at every pixel, ([z,] y, x); 0 is the background, `IGNORE` is kept.
        width: Widest sum of the two distances, in pixels. The wider the border, the more wrong pixels in it still keep
            two insides apart, and the more is lost on the way back through `find_objects`: of 2,602 nuclei (the test
            images of BBBC038), the AP at an IoU of .5 and of .75 is .998 and .997 with a width of 2, .997 and .989
            with 3, .994 and .964 with 4, .967 and .847 with 6. 3 is the widest that costs about 1 % at most.

    Returns:
        Index into `OBJECT_CLASSES` of every pixel, unsigned 8 bit, or signed 16 bit where there is `IGNORE`.

    Raises:
        DataError: The instances are no whole numbers, or have neither 2 nor 3 axes.

    Source:
        Distances as in Ronneberger et al., "U-Net: Convolutional networks for biomedical image segmentation", 2015,
        equation 2.

    Example:
        >>> classify_objects(np.array([[1, 1, 1, 2, 2, 2, 2, 0, 0]]), width=2)
        array([[1, 2, 2, 2, 2, 1, 1, 0, 0]], dtype=uint8)
    """
    from scipy import ndimage  # here, because it takes a third of a second to import

    numbers = _renumber(instances)
    nearest, second = nearest_two(numbers, width)
    gap = nearest + second
    classes = np.where(gap <= width, np.uint8(_BORDER), np.uint8(0))
    for number, box in enumerate(ndimage.find_objects(numbers), start=1):
        classes[box][_carve(numbers[box] == number, gap[box], width)] = _INSIDE
    ignored = _ignored(instances)
    return np.where(ignored, np.int16(IGNORE), classes) if ignored.any() else classes


def find_objects(classes: Array, smallest: int = 0) -> Array:
    """Number the objects of a class map: every component of the inside, with the border that is nearest to it.

    Components are connected by faces, not by corners. Border that no path of border joins to an inside belongs to no
    object: border says that two objects are close, and where neither shows an inside, taking it for one object would
    be wrong about both.

    Args:
        classes: Index into `OBJECT_CLASSES` of every pixel, ([z,] y, x), of the whole image: objects that were cut by
            tiles are whole again here. Other values, such as `IGNORE`, belong to no object.
        smallest: Objects of fewer pixels are left out.

    Returns:
        Numbers from 1 without gaps, in the order of each object's first pixel, unsigned 32 bit; 0 is no object.

    Raises:
        DataError: The classes are no whole numbers, or have neither 2 nor 3 axes.

    Example:
        >>> find_objects(np.array([[1, 2, 2, 2, 2, 1, 1, 0, 2]]))
        array([[1, 1, 1, 2, 2, 2, 2, 0, 0]], dtype=uint32)
    """
    from scipy import ndimage  # here, because these take a second to import
    from skimage.segmentation import watershed

    _require_labels(classes)
    inside = classes == _INSIDE
    seeds = number_objects(inside)
    if seeds.any():
        seeds = watershed(ndimage.distance_transform_edt(~inside), seeds, mask=inside | (classes == _BORDER))
    pixels = np.bincount(seeds.ravel())
    seeds[(pixels < smallest)[seeds]] = 0
    return _in_order(seeds)


def number_objects(labels: Array) -> Array:
    """Number the components of a mask, or of every foreground class of a label image.

    Components are connected by faces, not by corners, and two classes never share one.

    Args:
        labels: Class of every pixel, or true in the foreground, ([z,] y, x); 0 and `IGNORE` belong to no object.

    Returns:
        Numbers from 1 without gaps, in the order of each object's first pixel, unsigned 32 bit; 0 is no object.

    Raises:
        DataError: The labels are no whole numbers, or have neither 2 nor 3 axes.

    Example:
        >>> number_objects(np.array([[0, 1, 2, 0, 1], [1, 0, 2, 0, 1]]))
        array([[0, 1, 2, 0, 3], [4, 0, 2, 0, 3]], dtype=uint32)
    """
    from skimage.measure import label

    _require_labels(labels)
    foreground = labels if labels.dtype.kind in "bu" else np.maximum(labels, 0)
    numbers: Array = label(foreground, connectivity=1).astype(np.uint32)
    return numbers


def border_weights(instances: Array, sigma: float = 5.0) -> Array:
    """Weight the background by how narrow it is between objects, so that a network learns to keep them apart.

    The loss of the paper weights a pixel with w_c + w_0 times this. As in its figure 3d, only background between
    objects weighs: object pixels and ignored ones get 0, and so does all of an image with fewer than two objects.

    Args:
        instances: Number of the object at every pixel, ([z,] y, x); 0 is the background. Objects of a mask are numbered
            by `number_objects`.
        sigma: How fast the weight falls with the sum of the two distances, in pixels.

    Returns:
        exp(-(d1 + d2)^2 / (2 sigma^2)), float32, from 0 to 1; where d2 is beyond 5 sigma the 4e-6 or less that are left
        are 0.

    Raises:
        DataError: The instances are no whole numbers, or have neither 2 nor 3 axes.

    Source:
        Ronneberger et al., "U-Net: Convolutional networks for biomedical image segmentation", 2015, equation 2
        (w_0 = 10, sigma of about 5 pixels).

    Example:
        >>> border_weights(np.array([[1, 0, 0, 2, 0]]), sigma=3).round(2)
        array([[0.  , 0.61, 0.61, 0.  , 0.25]], dtype=float32)
    """
    nearest, second = nearest_two(instances, _REACH * sigma)
    weights: Array = np.exp(-((nearest + second) ** 2) / np.float32(2 * sigma**2))
    weights[(instances > 0) | _ignored(instances)] = 0
    return weights


def nearest_two(instances: Array, reach: float) -> tuple[Array, Array]:
    """Distances to the nearest and the second nearest object, each measured only in its object's surroundings.

    Args:
        instances: Number of the object at every pixel, ([z,] y, x); 0 is the background.
        reach: Largest distance that is measured, in pixels; what is farther away is infinitely far.

    Returns:
        Two arrays of float32, Euclidean and exact to one rounding, in pixels: 0 on an object's own pixels.

    Raises:
        DataError: The instances are no whole numbers, or have neither 2 nor 3 axes.

    Example:
        >>> nearest, second = nearest_two(np.array([[3, 0, 0, 9, 9]]), reach=3)
        >>> nearest
        array([[0., 1., 1., 0., 0.]], dtype=float32)
        >>> second
        array([[ 3.,  2.,  2.,  3., inf]], dtype=float32)
    """
    from scipy import ndimage

    numbers = _renumber(instances)
    nearest = np.full(numbers.shape, np.inf, np.float32)
    second = nearest.copy()
    for number, box in _boxes(numbers, math.floor(reach)):
        distance = ndimage.distance_transform_edt(numbers[box] != number).astype(np.float32)
        distance[distance > reach] = np.inf
        np.minimum(second[box], np.maximum(nearest[box], distance), out=second[box])
        np.minimum(nearest[box], distance, out=nearest[box])
    return nearest, second


def _boxes(numbers: Array, margin: int) -> Iterator[tuple[int, Box]]:
    """Every object with its bounding box, wider by `margin` on all sides."""
    from scipy import ndimage

    for number, box in enumerate(ndimage.find_objects(numbers), start=1):
        yield number, tuple(slice(max(axis.start - margin, 0), axis.stop + margin) for axis in box)


def _carve(own: Array, gap: Array, width: float) -> Array:
    """What of an object stays inside when it loses the widest rim that leaves as many pieces as it had."""
    pieces = _count_pieces(own)
    rims = (rim for rim in (*np.arange(width, 0, -1), 0) if _count_pieces(own & (gap > rim)) == pieces)
    inside: Array = own & (gap > next(rims))
    return inside


def _count_pieces(mask: Array) -> int:
    """Components connected by faces."""
    from scipy import ndimage

    return int(ndimage.label(mask)[1])


def _renumber(instances: Array) -> Array:
    """The same objects numbered from 1 without gaps, so that memory does not grow with the largest number."""
    _require_labels(instances)
    numbers: Array = np.searchsorted(np.unique(instances[instances > 0]), instances, side="right")
    return numbers


def _in_order(numbers: Array) -> Array:
    """The same objects numbered without gaps, by their first pixels."""
    where = np.flatnonzero(numbers)[::-1]
    first = np.full(int(numbers.max(initial=0)) + 1, numbers.size)
    first[numbers.ravel()[where]] = where  # of several pixels of an object, the last one assigned stays
    first[0] = -1
    ranks = np.empty(len(first), np.uint32)
    ranks[np.argsort(first)] = np.arange(len(first))
    return ranks[numbers]


def _ignored(instances: Array) -> Array:
    """Where there is `IGNORE`; nowhere in unsigned arrays."""
    ignored: Array = instances < 0
    return ignored


def _require_labels(labels: Array) -> None:
    if labels.dtype.kind not in "biu" or labels.ndim not in (2, 3):
        raise DataError(
            f"the label image has {labels.ndim} axes and holds {labels.dtype} values, and whole numbers as ([z,] y, x) "
            "were needed; convert it"
        )
