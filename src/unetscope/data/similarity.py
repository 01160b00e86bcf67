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
"""Correlation from which two images are taken for near-duplicates: low, so that rather too many are left out."""


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
    spectra = [_spectrum(image) for image in images]
    others = np.conj([_spectrum(reference) for reference in references])
    size = (THUMBNAIL, THUMBNAIL)
    return np.array([fft.irfft2(one * others, s=size).max(axis=(1, 2)) for one in spectra]).clip(0, 1)


def _spectrum(image: Array) -> Array:
    """Fourier transform of a gray thumbnail of unit norm and no mean."""
    thumbnail = resize(np.asarray(image, np.float64).mean(axis=0), (THUMBNAIL, THUMBNAIL), order=1, anti_aliasing=True)
    thumbnail -= thumbnail.mean()
    norm = np.linalg.norm(thumbnail)
    spectrum: Array = fft.rfft2(thumbnail / norm if norm > 1e-9 else thumbnail * 0)
    return spectrum
