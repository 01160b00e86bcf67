"""How many directions of a layer hold what can be read there; knows readings, not networks.

The channels are standardized and turned to their principal axes; the strongest few axes are read alone. What a narrower
layer could keep at best is asked here, not what its channels do now: single channels may each be worth nothing, because
others say the same.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from unetscope.information.bench import Bench
from unetscope.information.estimators.family import Family
from unetscope.information.reading import Reading

SHARE = 0.99
"""Part of the usable bits that has to be kept."""

FLAT = 1e-12  # of the largest variance; axes with less are rounding


def count_components(bench: Bench, family: Family, reading: Reading, share: float = SHARE) -> int | None:
    """The smallest number of principal components that keep a share of a layer's usable bits.

    It is found by halving, which takes for granted that more components tell more.

    Args:
        bench: The pixels.
        family: The readers.
        reading: What the layer says there.
        share: Part of the usable bits of all components that has to be kept, above 0 and at most 1.

    Returns:
        From 1 to the number of channels; None where the layer tells nothing that is certain.
    """
    turned = _turn(reading.features)

    @cache
    def bits(count: int) -> float:
        return bench.information(family, replace(reading, features=turned[:, :count])).value

    if not bench.information(family, reading).interval.low > 0:
        return None
    low, high = 0, int(turned.shape[1])
    wanted = share * bits(high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if bits(middle) >= wanted else (middle, high)
    return high


def _turn(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """(positions, axes): principal components of the standardized channels, the strongest first."""
    centered = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    spread = centered.std(axis=0)
    scaled = centered / np.where(spread > 0, spread, 1)
    variances, axes = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    order = np.argsort(-variances)
    kept = order[variances[order] > FLAT * max(variances.max(), np.finfo(np.float64).tiny)]
    turned: NDArray[np.float32] = (scaled @ axes[:, kept if len(kept) else order[:1]]).astype(np.float32)
    return turned
