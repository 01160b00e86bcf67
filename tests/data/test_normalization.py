import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.drawn_images import images

from unetscope.data.intensities import Statistics, check_finite, measure
from unetscope.data.normalization import Affine, Normalization, choose, window
from unetscope.errors import DataError, ImageError

RNG = np.random.default_rng(0)


def statistics(mean: float = 100.0, std: float = 20.0, dtype: str = "uint8") -> Statistics:
    return Statistics(1000, (mean,), (std,), (0.0,), (255.0,), dtype)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("scheme", [Normalization("image"), Normalization.range(0, 1)])
@pytest.mark.parametrize("place", [0, 63])
def test_broken_values_are_refused_under_every_scheme(value: float, scheme: Normalization, place: int) -> None:
    image = np.zeros((1, 8, 8), np.float32)
    image.flat[place] = value
    with pytest.raises(ImageError, match=r"a\.tif holds NaN or infinite values"):
        scheme.affine(image, "a.tif")
    with pytest.raises(ImageError, match="the image holds NaN"):
        check_finite(image)


# ----------------------------------------------------------------------------------------------------------- apply


@settings(deadline=None)
@given(image=images())
def test_an_image_normalized_by_itself_has_mean_0_and_standard_deviation_1(image: np.ndarray) -> None:
    normal = Normalization("image").affine(image).apply(image)
    assert normal.dtype == np.float32 and normal.shape == image.shape
    flat, stored = normal.reshape(len(normal), -1).astype(np.float64), image.reshape(len(image), -1)
    for channel, values in zip(flat, stored, strict=True):
        if values.min() == values.max():
            assert (channel == 0).all()
        elif np.ptp(values.astype(np.float64)) > max(1e-150, 1e-6 * abs(values.astype(np.float64)).max()):
            assert abs(channel.mean()) < 1e-5 and channel.std() == pytest.approx(1, abs=1e-5)


@settings(deadline=None)
@given(image=images(), data=st.data())
def test_a_tile_is_normalized_like_the_whole(image: np.ndarray, data: st.DataObject) -> None:
    affine = Normalization("image").affine(image)
    tile = (slice(None), *(slice(data.draw(st.integers(0, side - 1)), None) for side in image.shape[1:]))
    np.testing.assert_array_equal(affine.apply(image[tile]), affine.apply(image)[tile])


def test_neighboring_large_integers_stay_apart() -> None:
    block = np.array([[4_000_000_000, 4_000_000_001]], np.uint32)
    np.testing.assert_array_equal(Affine((4e9,), (1.0,)).apply(block), [[0, 1]])


def test_range_maps_its_limits_to_0_and_1_in_every_channel() -> None:
    block = np.array([[[10, 30]], [[20, 10]]], np.uint8)
    np.testing.assert_array_equal(Normalization.range(10, 30).affine(block).apply(block), [[[0, 1]], [[0.5, 0]]])


def test_channels_must_agree() -> None:
    scheme = Normalization("dataset", (1.0, 2.0), (1.0, 1.0))
    with pytest.raises(ImageError, match=r"a\.png has 3 channels, and the normalization was made for 2"):
        scheme.affine(np.zeros((3, 2, 2)), "a.png")


@pytest.mark.parametrize(
    "scheme", [Normalization("image"), Normalization.range(-1, 7), Normalization("dataset", (0.1, 2.0), (3.0, 4.0))]
)
def test_json_brings_it_back(scheme: Normalization) -> None:
    assert Normalization.from_json(scheme.to_json()) == scheme


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"scheme": "image", "shift": [1], "scale": [1]},
        {"scheme": "dataset", "shift": [], "scale": []},
        {"scheme": "dataset", "shift": [1, 2], "scale": [1]},
        {"scheme": "dataset", "shift": [0], "scale": [0]},
        {"scheme": "dataset", "shift": [float("nan")], "scale": [1]},
        {"scheme": "other", "shift": [0], "scale": [1]},
        {"scheme": "range", "shift": None, "scale": [1]},
    ],
)
def test_other_mappings_are_refused(content: dict) -> None:
    with pytest.raises(DataError, match="normalization"):
        Normalization.from_json(content)


def test_an_empty_range_is_refused() -> None:
    with pytest.raises(DataError, match="'range'"):
        Normalization.range(5, 5)


# ---------------------------------------------------------------------------------------------------------- choose


@pytest.mark.parametrize(
    ("others", "scheme"),
    [
        ([statistics()], "dataset"),
        ([statistics(mean=119)], "dataset"),
        ([statistics(mean=121)], "image"),
        ([statistics(std=59)], "dataset"),
        ([statistics(std=61)], "image"),
        ([statistics(std=0)], "dataset"),
        ([statistics(dtype="uint16")], "image"),
        ([], "dataset"),
    ],
)
def test_both_sides_of_the_rule(others: list[Statistics], scheme: str) -> None:
    assert choose([statistics(), *others]).scheme == scheme


def test_one_uneven_channel_is_enough() -> None:
    even = Statistics(9, (1.0, 1.0), (1.0, 1.0), (0.0, 0.0), (2.0, 2.0), "uint8")
    uneven = Statistics(9, (1.0, 1.0), (1.0, 4.0), (0.0, 0.0), (2.0, 2.0), "uint8")
    assert choose([even, even]).scheme == "dataset"
    assert choose([even, uneven]).scheme == "image"


def test_the_dataset_scheme_pools_all_pixels() -> None:
    parts = [RNG.normal(100, 10, (2, rows, 20)) for rows in (5, 30, 11)]
    pooled = np.concatenate(parts, axis=1).reshape(2, -1)
    for order in itertools.permutations(parts):
        chosen = choose([measure(part) for part in order])
        assert chosen.scheme == "dataset"
        np.testing.assert_allclose(chosen.shift, pooled.mean(axis=1), rtol=1e-12)
        np.testing.assert_allclose(chosen.scale, pooled.std(axis=1), rtol=1e-12)


def test_images_without_contrast_get_scale_1() -> None:
    assert choose([measure(np.full((1, 3, 3), 7, np.uint8))] * 2) == Normalization("dataset", (7.0,), (1.0,))


def test_nothing_to_choose_from_is_refused() -> None:
    two_channels = Statistics(9, (1.0, 1.0), (1.0, 1.0), (0.0, 0.0), (2.0, 2.0), "uint8")
    for given_statistics in ([], [statistics(), two_channels]):
        with pytest.raises(DataError, match="at least one image"):
            choose(given_statistics)


# ---------------------------------------------------------------------------------------------------------- window


@pytest.mark.parametrize("shape", [(40, 50), (6, 20, 30)])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_window_is_that_of_the_foreground(shape: tuple[int, ...], channels: int) -> None:
    """What lies outside of the foreground has no say, and what lies beyond the window is not told apart."""
    images = [RNG.normal(50, 10, (channels, *shape)) for _ in range(3)]
    foregrounds = [RNG.random(shape) < 0.5 for _ in images]
    for image, foreground in zip(images, foregrounds, strict=True):
        image[:, ~foreground] = 3000.0
    found = window(zip(images, foregrounds, strict=True))
    pixels = np.concatenate(
        [image[:, foreground] for image, foreground in zip(images, foregrounds, strict=True)], axis=1
    )
    np.testing.assert_allclose(np.transpose(found.window), np.percentile(pixels, (0.5, 99.5), axis=1), rtol=1e-12)
    seen = found.affine(images[0]).apply(images[0])
    assert np.array_equal(seen[:, ~foregrounds[0]].min(axis=1), seen.reshape(channels, -1).max(axis=1))
    assert abs(found.affine(pixels).apply(pixels).mean()) < 1e-6
    assert Normalization.from_json(found.to_json()) == found


def test_a_window_needs_foreground() -> None:
    with pytest.raises(DataError, match="without any foreground"):
        window([(np.ones((1, 4, 4)), np.zeros((4, 4), bool))])
    with pytest.raises(DataError, match="window"):
        Normalization("window", (0.0,), (1.0,))
