"""What slabs measure is what NumPy measures at once, and no slab is too large."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.drawn_images import images

from unetscope.data import intensities
from unetscope.data.intensities import Statistics, measure
from unetscope.errors import ImageError

EMPTY = Statistics(1, (0.0,), (0.0,), (0.0,), (0.0,), "uint8")


@settings(deadline=None)
@given(image=images(), slab=st.integers(1, 60))
def test_slabs_measure_what_numpy_measures_at_once(image: np.ndarray, slab: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intensities, "_SLAB_VALUES", slab)
        measured = measure(image)
    flat = image.reshape(len(image), -1).astype(np.float64)
    largest = abs(flat).max() + 1e-300
    assert measured.count == flat.shape[1]
    assert measured.low == tuple(flat.min(axis=1)) and measured.high == tuple(flat.max(axis=1))
    np.testing.assert_allclose(measured.mean, flat.mean(axis=1), atol=1e-13 * largest)
    np.testing.assert_allclose(measured.std, flat.std(axis=1), atol=1e-12 * largest)


def test_a_small_contrast_on_a_large_offset_is_not_lost() -> None:
    image = 1e9 + np.tile([0.0, 2.0], (1, 500, 8))
    assert measure(image).std == pytest.approx((1.0,), rel=1e-9)


def test_equal_values_have_no_contrast_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intensities, "_SLAB_VALUES", 40)
    assert measure(np.full((1, 30, 7), 0.1)).std == (0.0,)


def test_no_slab_is_larger_than_it_should_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intensities, "_SLAB_VALUES", 100)
    np.save(tmp_path / "a.npy", np.zeros((2, 64, 9)))
    seen: list[tuple[int, ...]] = []
    monkeypatch.setattr(intensities, "_measure_slab", lambda slab, name: seen.append(slab.shape) or EMPTY)
    measure(np.load(tmp_path / "a.npy", mmap_mode="r"))
    assert max(np.prod(shape) for shape in seen) <= 100
    assert sum(shape[1] for shape in seen) == 64


def test_overflowing_values_are_refused() -> None:
    with pytest.raises(ImageError, match="beyond 1e150"):
        measure(np.array([[[0.0, 1e200]]]))
