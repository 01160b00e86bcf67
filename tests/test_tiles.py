"""Tiles partition any image, and mirrored reading is NumPy's reflection without its copies."""

from __future__ import annotations

from itertools import product
from math import prod
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unetscope.tiles import Tile, choose_size, mirror, plan_tiles, read_mirrored


@st.composite
def plans(draw):
    """An image, tiles that start on a grid, and what an imaginary network with a margin reads for them."""
    ndim = draw(st.integers(1, 3))
    shape = tuple(draw(st.integers(1, 12)) for _ in range(ndim))
    strides = [draw(st.sampled_from([1, 2, 4])) for _ in range(ndim)]
    size = tuple(stride * draw(st.integers(1, 4)) for stride in strides)
    margin = tuple(draw(st.integers(0, 5)) for _ in range(ndim))
    spare = draw(st.integers(0, 3))

    def reads_of(stride, lost):
        return lambda start, stop: (start - stride * spare, stop + 2 * lost + spare)

    return shape, size, [reads_of(*pair) for pair in zip(strides, margin, strict=True)], margin


# -------------------------------------------------------------------------------------------------------------- plans


@settings(deadline=None)
@given(plans())
def test_every_pixel_is_written_once(plan):
    shape, size, _, _ = plan
    written = np.zeros(shape, int)
    corners = []
    for tile in plan_tiles(*plan):
        written[tile.write] += 1
        corners.append(tuple(part.start for part in tile.write))
        assert all(part.stop - part.start <= most for part, most in zip(tile.write, size, strict=True))
        assert all(start % most == 0 for start, most in zip(corners[-1], size, strict=True))
    assert (written == 1).all()
    assert corners == sorted(corners), "the last axis fastest"


@settings(deadline=None)
@given(plans())
def test_what_is_kept_is_what_belongs_where_it_is_written(plan):
    """The network that cuts its margin off and returns the rest: tiled, it must return the image."""
    shape, _, reads, margin = plan
    image = np.random.default_rng(0).random((2, *shape))
    result = np.full_like(image, np.nan)
    for tile in plan_tiles(*plan):
        assert isinstance(tile, Tile)
        fed = read_mirrored(image, tile.read)
        expected = [read(part.start, part.stop) for read, part in zip(reads, tile.write, strict=True)]
        assert fed.shape[1:] == tuple(last - first for first, last in expected)
        inner = tuple(slice(lost, n - lost) for lost, n in zip(margin, fed.shape[1:], strict=True))
        result[(slice(None), *tile.write)] = fed[(slice(None), *inner)][(slice(None), *tile.keep)]
    np.testing.assert_array_equal(result, image)


def test_the_first_pixel_is_read_where_the_margin_ends():
    """A valid network of margin 2 needs the pixels -2 to 6 for 0 to 4."""
    tiles = list(plan_tiles((6,), (4,), [lambda start, stop: (start, stop + 4)], (2,)))
    assert tiles == [
        Tile((slice(-2, 6),), (slice(0, 4),), (slice(0, 4),)),
        Tile((slice(2, 8),), (slice(0, 2),), (slice(4, 6),)),
    ]


# ----------------------------------------------------------------------------------------------------------- mirroring

boxes = st.integers(1, 3).flatmap(
    lambda ndim: st.tuples(
        st.tuples(*[st.integers(1, 5)] * ndim),
        st.tuples(*[st.tuples(st.integers(-14, 14), st.integers(1, 12))] * ndim),
    )
)


@settings(deadline=None, max_examples=300)
@given(boxes)
def test_mirrored_reading_is_numpys_reflection(drawn):
    shape, parts = drawn
    image = np.arange(2 * np.prod(shape), dtype=np.uint16).reshape(2, *shape)
    box = tuple(slice(start, start + count) for start, count in parts)
    padded = np.pad(image, [(0, 0), *[(30, 30)] * len(shape)], mode="reflect")
    got = read_mirrored(image, box)
    np.testing.assert_array_equal(got, padded[(slice(None), *(slice(b.start + 30, b.stop + 30) for b in box))])
    assert got.dtype == image.dtype


@given(st.integers(-100, 100), st.integers(1, 100), st.integers(1, 30))
def test_an_axis_is_mirrored_endlessly(start, count, length):
    seen = mirror(start, start + count, length)
    positions = np.arange(start, start + count)
    inside = (positions >= 0) & (positions < length)
    np.testing.assert_array_equal(seen[inside], positions[inside])
    np.testing.assert_array_equal(seen, mirror(-start - count + 1, 1 - start, length)[::-1])
    np.testing.assert_array_equal(seen, mirror(start + 2 * (length - 1), start + count + 2 * (length - 1), length))
    assert (np.abs(np.diff(seen)) == (length > 1)).all()
    assert seen.min() >= 0
    assert seen.max() < length


class Recording(np.ndarray):
    """An image that notes how much of it is taken."""

    taken: list[tuple[int, ...]]

    def __array_finalize__(self, parent):
        self.taken = getattr(parent, "taken", [])

    def __getitem__(self, key):
        part = super().__getitem__(key)
        self.taken.append(np.shape(part))
        return part


@pytest.mark.parametrize(
    ("box", "shape"),
    [
        ((slice(3, 5), slice(10, 14)), (2, 4)),
        ((slice(-2, 2), slice(96, 103)), (3, 4)),
        ((slice(51, 53), slice(-7, -5)), (2, 2)),
        ((slice(-1, 2), slice(0, 1)), (2, 1)),
    ],
)
def test_only_what_is_needed_is_read(box, shape):
    image = np.arange(5000.0).reshape(1, 50, 100).view(Recording)
    image.taken.clear()
    got = read_mirrored(image, box)
    assert image.taken == [(1, *shape)]
    assert type(got) is np.ndarray


def test_a_mapped_image_is_read_from_disk(tmp_path: Path):
    content = np.arange(600, dtype=np.int16).reshape(2, 15, 20)
    np.save(tmp_path / "image.npy", content)
    mapped = np.load(tmp_path / "image.npy", mmap_mode="r")
    box = (slice(-3, 18), slice(5, 30))
    got = read_mirrored(mapped, box)
    np.testing.assert_array_equal(got, read_mirrored(content, box))
    assert not isinstance(got, np.memmap)
    assert got.flags.writeable


# --------------------------------------------------------------------------------------------------------------- sizes


@st.composite
def cuttings(draw):
    """An image, strides, what tiles read of it (no further than its border), and pixels that one may read."""
    ndim = draw(st.integers(1, 3))
    shape = tuple(draw(st.integers(1, 60)) for _ in range(ndim))
    strides = [draw(st.sampled_from([1, 4, 8])) for _ in range(ndim)]
    margins = [draw(st.integers(0, 10)) for _ in range(ndim)]

    def reads_of(length, margin):
        return lambda start, stop: (max(0, start - margin), min(length, stop + margin))

    return shape, strides, [reads_of(*axis) for axis in zip(shape, margins, strict=True)], draw(st.integers(1, 10**5))


def equal_sizes(length: int, stride: int) -> set[int]:
    """The sizes that cut an axis into equal tiles of whole strides."""
    strides = -(-length // stride)
    return {-(-strides // count) * stride for count in range(1, strides + 1)}


def reading(size, shape, reads) -> tuple[int, int]:
    """Pixels that the largest of the tiles reads, and that all read, counted one by one."""
    axes = []
    for length, step, read in zip(shape, size, reads, strict=True):
        intervals = [read(start, min(start + step, length)) for start in range(0, length, step)]
        axes.append([stop - start for start, stop in intervals])
    return prod(max(axis) for axis in axes), prod(sum(axis) for axis in axes)


@settings(deadline=None)
@given(cuttings())
def test_the_chosen_size_reads_the_least_of_those_that_fit(cutting):
    shape, strides, reads, most = cutting
    size, promised = choose_size(shape, strides, reads, lambda read: prod(read) <= most)
    every = [reading(each, shape, reads) for each in product(*map(equal_sizes, shape, strides))]
    largest, total = reading(size, shape, reads)
    assert total == promised
    assert all(part % stride == 0 for part, stride in zip(size, strides, strict=True))
    fitting = [read for read in every if read[0] <= most]
    if fitting:
        assert largest <= most
        assert total == min(read[1] for read in fitting)
    else:
        assert largest == min(read[0] for read in every)


def test_memory_is_asked_for_few_sizes():
    """What a tile takes is costly to find out."""
    asked = []
    choose_size(
        (10**5, 10**5),
        (16, 16),
        [lambda a, b: (a - 96, b + 96)] * 2,
        lambda read: asked.append(read) or prod(read) < 10**6,
    )
    assert len(asked) < 20
