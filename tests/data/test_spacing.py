from itertools import pairwise

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unetscope.data.spacing import (
    Spacing,
    median_spacing,
    name_unit,
    resample_image,
    resample_labels,
    resampled_shape,
)
from unetscope.errors import DataError

RNG = np.random.default_rng(0)
SHAPES = st.lists(st.integers(1, 9), min_size=2, max_size=3).map(tuple)


@st.composite
def shape_pairs(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    old = draw(SHAPES)
    return old, tuple(draw(st.integers(1, 20)) for _ in old)


# ---------------------------------------------------------------------------------------------------------- images


@given(shapes=shape_pairs(), value=st.floats(-1e4, 1e4, width=32))
def test_a_constant_image_stays_constant(shapes: tuple[tuple[int, ...], tuple[int, ...]], value: float) -> None:
    old, new = shapes
    resampled = resample_image(np.full((2, *old), value), new)
    assert resampled.shape == (2, *new)
    assert resampled.dtype == np.float32
    np.testing.assert_allclose(resampled, value, rtol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(("old", "new"), [(12, 36), (12, 17), (40, 13), (40, 20), (21, 9)])
def test_a_ramp_stays_on_the_ramp(axis: int, old: int, new: int) -> None:
    """The value of every pixel is the physical coordinate of its center, on both grids."""
    shape = [4, 5, 6]
    shape[axis] = old
    centers = (np.arange(old) + 0.5) / old
    image = np.broadcast_to(np.expand_dims(centers, [i for i in range(3) if i != axis]), shape)
    wanted = [new if i == axis else size for i, size in enumerate(shape)]
    resampled = np.moveaxis(resample_image(image[None], wanted)[0], axis, -1)
    expected = (np.arange(new) + 0.5) / new
    # Near the borders there is nothing to go on with, so smoothing and clamping bend the ramp there.
    reach = 2 * max(1, old / new) / old
    inside = (expected > reach) & (expected < 1 - reach)
    assert inside.sum() >= new // 2
    np.testing.assert_allclose(
        resampled[..., inside], np.broadcast_to(expected, resampled.shape)[..., inside], rtol=1e-5
    )
    assert (np.diff(resampled, axis=-1) >= 0).all()


@pytest.mark.parametrize(("old", "new"), [((6, 9), (13, 31)), ((3, 6, 9), (7, 12, 10)), ((5, 1), (9, 4))])
def test_growing_agrees_with_torch(old: tuple[int, ...], new: tuple[int, ...]) -> None:
    image = RNG.random((2, *old)).astype(np.float32)
    mode = "bilinear" if len(old) == 2 else "trilinear"
    expected = torch.nn.functional.interpolate(torch.from_numpy(image)[None], new, mode=mode, align_corners=False)[0]
    np.testing.assert_allclose(resample_image(image, new), expected.numpy(), atol=1e-5)


def test_an_equal_shape_is_the_image_itself() -> None:
    image = RNG.integers(0, 999, (2, 5, 6, 7))
    np.testing.assert_array_equal(resample_image(image, (5, 6, 7)), image.astype(np.float32))


def test_shrinking_does_not_turn_fine_patterns_into_coarse_ones() -> None:
    stripes = np.broadcast_to(np.arange(60) % 2, (1, 60, 60))
    assert stripes[0, :, ::4].std() == 0  # what taking every fourth pixel makes of them: another brightness
    shrunk = resample_image(stripes, (60, 15))
    np.testing.assert_allclose(shrunk[..., 2:-2], 0.5, atol=0.02)


def test_the_image_is_not_changed() -> None:
    image = RNG.random((1, 8, 8)).astype(np.float32)
    image.flags.writeable = False
    before = image.copy()
    resample_image(image, (3, 3))
    np.testing.assert_array_equal(image, before)


# ---------------------------------------------------------------------------------------------------------- labels


@given(shapes=shape_pairs(), data=st.data())
def test_labels_are_those_under_the_centers(
    shapes: tuple[tuple[int, ...], tuple[int, ...]], data: st.DataObject
) -> None:
    old, new = shapes
    labels = data.draw(hnp.arrays(st.sampled_from([np.uint8, np.int16, np.uint32]), old))
    resampled = resample_labels(labels, new)
    assert resampled.shape == new
    assert resampled.dtype == labels.dtype
    assert set(np.unique(resampled)) <= set(np.unique(labels))
    for position in np.ndindex(new):
        center = [(i + 0.5) * before / after for i, before, after in zip(position, old, new, strict=True)]
        # A center on the border of two pixels may fall to either; the whole numbers below never miss by rounding.
        source = tuple((2 * i + 1) * before // (2 * after) for i, before, after in zip(position, old, new, strict=True))
        assert all(index - 1e-9 <= at <= index + 1 + 1e-9 for index, at in zip(source, center, strict=True))
        assert resampled[position] == labels[source]


@given(labels=hnp.arrays(np.uint8, SHAPES), factor=st.integers(1, 6))
def test_labels_enlarged_by_a_whole_number_come_back(labels: np.ndarray, factor: int) -> None:
    larger = resample_labels(labels, [factor * size for size in labels.shape])
    np.testing.assert_array_equal(larger, labels.repeat(factor, 0).repeat(factor, 1) if labels.ndim == 2 else larger)
    np.testing.assert_array_equal(resample_labels(larger, labels.shape), labels)
    np.testing.assert_array_equal(resample_labels(labels, labels.shape), labels)


@pytest.mark.parametrize(("old", "new"), [((7, 9), (17, 31)), ((4, 7, 9), (9, 5, 20))])
def test_labels_agree_with_scipy(old: tuple[int, ...], new: tuple[int, ...]) -> None:
    labels = RNG.integers(0, 99, old)
    zooms = [after / before for before, after in zip(old, new, strict=True)]
    expected = scipy.ndimage.zoom(labels, zooms, order=0, mode="nearest", grid_mode=True)
    np.testing.assert_array_equal(resample_labels(labels, new), expected)


def test_image_and_labels_stay_together() -> None:
    """A disk and its mask, brought to another grid, still cover each other."""
    y, x = np.mgrid[:60, :80]
    mask = (y - 30) ** 2 + (x - 33) ** 2 < 20**2
    shape = (40, 130)
    seen = resample_image(mask[None].astype(float), shape)[0] > 0.5
    labels = resample_labels(mask.astype(np.uint8), shape) > 0
    assert (seen & labels).sum() / (seen | labels).sum() > 0.97


# --------------------------------------------------------------------------------------------------------- numbers


@given(
    shape=SHAPES,
    data=st.data(),
)
def test_the_extent_stays(shape: tuple[int, ...], data: st.DataObject) -> None:
    steps = [data.draw(st.floats(0.1, 10)) for _ in shape]
    target = [data.draw(st.floats(0.1, 10)) for _ in shape]
    resampled = resampled_shape(shape, steps, target)
    assert resampled_shape(shape, steps, steps) == shape
    for size, step, new, aim in zip(shape, steps, resampled, target, strict=True):
        assert new == 1 or abs(size * step - new * aim) <= aim / 2 + 1e-9


def test_median_spacing_is_per_axis_and_in_the_first_unit() -> None:
    spacings = [Spacing((1, 5), "mm"), Spacing((2000, 4000), "µm"), Spacing((0.9, 0.7), "cm")]
    assert median_spacing(spacings) == (2, 5)


def test_units_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(DataError, match="pixel and one in mm came; export the images with one unit"):
        median_spacing([Spacing((1, 1), "mm"), Spacing((1, 1), "pixel")])
    with pytest.raises(DataError, match="2 spacings"):
        median_spacing([Spacing((1, 1)), Spacing((1, 1, 1))])
    with pytest.raises(DataError, match="at least one"):
        median_spacing([])


@pytest.mark.parametrize("steps", [(), (0.0, 1.0), (1.0, -1.0), (np.nan, 1.0), (np.inf, 1.0)])
def test_what_is_no_distance_is_refused(steps: tuple[float, ...]) -> None:
    with pytest.raises(DataError, match="finite distances above 0"):
        Spacing(steps)


@given(
    st.builds(
        Spacing,
        st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=3).map(tuple),
        st.sampled_from(["m", "cm", "mm", "µm", "nm"]),
    )
)
def test_spacings_survive(spacing: Spacing) -> None:
    assert Spacing.from_json(spacing.to_json()) == spacing
    for one, other in pairwise(("m", "cm", "mm", "µm", "nm")):
        back = spacing.in_unit(one).in_unit(other).in_unit(spacing.unit)
        np.testing.assert_allclose(back.steps, spacing.steps)


@pytest.mark.parametrize(
    "content", [{}, {"steps": 3, "unit": "mm"}, {"steps": ["a"], "unit": "mm"}, {"steps": [0], "unit": ""}]
)
def test_other_mappings_are_refused(content: dict) -> None:
    with pytest.raises(DataError, match="spacing"):
        Spacing.from_json(content)


@pytest.mark.parametrize("spelling", ["µm", "μm", "um", "micron", "Microns", "\\u00B5m", "um\0", " µm "])
def test_spellings_of_micrometers(spelling: str) -> None:
    assert name_unit(spelling) == "µm"
