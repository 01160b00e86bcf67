"""Pictures of a page show every class and every error, by color and without it."""

from __future__ import annotations

from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageColor

from unetscope.reporting.page.images import (
    CLASS_COLORS,
    ERRORS,
    encode_classes,
    encode_errors,
    encode_photo,
    encode_strip,
    find_edges,
    judge_pixels,
)
from unetscope.reporting.page.segmenting import measure_uncertainty

LABELS = arrays(np.int64, (9, 11), elements=st.integers(-1, 9))


def decode(uri: str) -> np.ndarray:
    kind, _, text = uri.partition(",")
    assert kind in ("data:image/png;base64", "data:image/webp;base64")
    return np.asarray(Image.open(BytesIO(b64decode(text))).convert("RGBA"))


@settings(deadline=None, max_examples=30)
@given(LABELS)
def test_classes_are_clear_where_there_is_none_and_outlined_where_they_end(labels: np.ndarray) -> None:
    shown = decode(encode_classes(labels))
    assert np.array_equal(shown[..., 3] > 0, labels > 0)
    assert np.array_equal(shown[..., 3] == 255, find_edges(np.maximum(labels, 0)) & (labels > 0))
    for number in range(1, 10):
        color = ImageColor.getrgb(CLASS_COLORS[(number - 1) % len(CLASS_COLORS)])
        assert (shown[labels == number][:, :3] == color).all()


@settings(deadline=None, max_examples=30)
@given(LABELS, LABELS.map(np.abs))
def test_errors_are_shown_where_they_are_and_nowhere_else(truth: np.ndarray, found: np.ndarray) -> None:
    shown = decode(encode_errors(truth, found))
    wrong = (truth != found) & (truth >= 0)
    assert np.array_equal(shown[..., 3] > 0, wrong)
    assert np.array_equal(judge_pixels(truth, found) > 0, wrong)


def test_kinds_of_errors_are_told_apart_without_color() -> None:
    """The opaque pixels of a region of each kind: all, stripes, dots; each region has its outline."""
    patterns = []
    for truth, found in ((1, 0), (0, 1), (1, 2)):
        whole = np.zeros((40, 40), np.int64)
        wanted, came = whole.copy(), whole.copy()
        wanted[4:36, 4:36], came[4:36, 4:36] = truth, found
        opaque = decode(encode_errors(wanted, came))[..., 3] == 255
        assert opaque[4, 4:36].all() and opaque[4:36, 35].all()
        patterns.append(opaque[6:34, 6:34])
    shares = [pattern.mean() for pattern in patterns]
    assert shares[0] == 1
    assert 0.2 < shares[1] < 0.3 > shares[2] > 0.05
    assert len({color for _, color, _ in ERRORS}) == len({pattern for _, _, pattern in ERRORS}) == 3


@pytest.mark.parametrize("shape", [(1, 1), (5, 700), (33, 20, 3)])
def test_photographs_keep_their_size(shape: tuple[int, ...]) -> None:
    picture = np.full(shape, 100, np.uint8)
    shown = decode(encode_photo(picture, 50))
    assert shown.shape[:2] == shape[:2]
    assert np.abs(shown[..., 0].astype(int) - 100).max() < 5


def test_small_maps_are_exact() -> None:
    maps = np.random.default_rng(0).integers(0, 256, (8, 16, 12), np.uint8)
    assert np.array_equal(decode(encode_strip(maps))[..., 0], np.concatenate(tuple(maps), axis=1))


@settings(deadline=None, max_examples=30)
@given(arrays(np.float32, (3, 4, 5), elements=st.floats(0, 1, width=32)))
def test_uncertainty_is_a_share(scores: np.ndarray) -> None:
    chances = scores + np.float32(1e-3)
    assert 0 <= measure_uncertainty(chances / chances.sum(axis=0)) <= 1
