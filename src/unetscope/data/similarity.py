"""How alike images are, whatever their shift and brightness; knows arrays, not files and not labels.

Images cut from one field of view, or taken moments apart, end up on both sides of a random split and make scores
optimistic. They are found by the peak of their normalized cross-correlation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import fft
from skimage.transform import resize

Array = np.ndarray[Any, np.dtype[Any]]

THUMBNAIL = 64
NEAR_DUPLICATE = 0.5
"""Correlation from which two images may be near-duplicates: low, so that rather too many are left out of a score."""
NEARLY_SAME = 0.9
"""Correlation from which two images are called nearly the same: of 180,000 pairs of nuclei images and 34,000 pairs of
brain volumes, only one is above it, and that one shows the same embryo twice; single bright spots reach .87."""

_SLAB = 1024  # pairs at a time
_SIZE = (THUMBNAIL, THUMBNAIL)


def correlate_images(images: Sequence[Array], references: Sequence[Array]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The largest correlation of each image with each reference over all cyclic shifts.

    Args:
        images: (channels, y, x) each, of any sizes.
        references: Likewise.

    Returns:
        (images, references), 1 for equal images up to brightness, contrast and shift; 0 for an image without contrast.

    Example:
        >>> image = np.random.default_rng(0).random((1, 64, 64))
        >>> np.round(correlate_images([image], [2 * np.roll(image, 9, axis=2) + 1, -image]), 2)[0, 0]
        np.float64(1.0)
    """
    spectra = [_spectrum(shrink(image)) for image in images]
    others = np.conj([_spectrum(shrink(reference)) for reference in references])
    return np.array([_peaks(one, others) for one in spectra])


def find_alike(
    thumbnails: Sequence[Array], references: Sequence[Array], least: float = NEARLY_SAME
) -> list[tuple[int, int, float]]:
    """The pairs that `correlate_images` would give at least a certain correlation, without trying all shifts of all.

    Args:
        thumbnails: What `shrink` returned.
        references: Likewise.
        least: Correlation.

    Returns:
        Positions of both and their correlation, the highest first.

    Example:
        >>> image = np.random.default_rng(0).random((1, 64, 64))
        >>> find_alike([shrink(image)], [shrink(image[:, ::-1]), shrink(image)], 0.95)
        [(0, 1, 1.0)]
    """
    spectra, others = ([_spectrum(each) for each in some] for some in (thumbnails, references))
    if not spectra or not others:
        return []
    bounds = _bounds(spectra, others)
    found = []
    for index, one in enumerate(spectra):
        for chosen in _slabs(np.flatnonzero(bounds[index] >= least)):
            peaks = _peaks(one, np.conj([others[each] for each in chosen]))
            found += [
                (index, int(each), round(float(peak), 6))
                for each, peak in zip(chosen, peaks, strict=True)
                if peak >= least
            ]
    return sorted(found, key=lambda pair: -pair[2])


def shrink(image: Array) -> Array:
    """A gray thumbnail without mean and of unit norm; of a volume, of its middle plane.

    Args:
        image: (channels, [z,] y, x).

    Returns:
        (64, 64), zeros for an image without contrast.
    """
    plane = image if image.ndim == 3 else image[:, image.shape[1] // 2]
    thumbnail = resize(np.asarray(plane, np.float64).mean(axis=0), _SIZE, order=1, anti_aliasing=True)
    thumbnail -= thumbnail.mean()
    norm = np.linalg.norm(thumbnail)
    normed: Array = thumbnail / norm if norm > 1e-9 else thumbnail * 0
    return normed


def _spectrum(thumbnail: Array) -> Array:
    """Fourier transform."""
    spectrum: Array = fft.rfft2(thumbnail)
    return spectrum


def _peaks(spectrum: Array, conjugates: Array) -> Array:
    """The largest correlation with each over all shifts."""
    peaks: Array = fft.irfft2(spectrum * conjugates, s=_SIZE).max(axis=(1, 2)).clip(0, 1)
    return peaks


def _bounds(spectra: Sequence[Array], others: Sequence[Array]) -> Array:
    """What no correlation can exceed: that of the amplitudes, as if a shift could bring all phases together."""
    # Columns but the first and last of a half spectrum stand for two of the whole.
    weight = np.full(THUMBNAIL // 2 + 1, 2.0)
    weight[[0, -1]] = 1
    first, second = (
        np.array([(np.abs(each) * np.sqrt(weight)).ravel() for each in some], np.float32) for some in (spectra, others)
    )
    # A little more than the bound, so that rounding loses no pair.
    bounds: Array = first @ second.T / THUMBNAIL**2 + 1e-4
    return bounds


def _slabs(positions: Array) -> list[Array]:
    """Positions in parts of a bounded size."""
    return [positions[start : start + _SLAB] for start in range(0, len(positions), _SLAB)]
