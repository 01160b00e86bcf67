"""Codes of label images against a count by hand, and what k-means must find."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unetscope.information.published.coding import code_blocks, code_clusters, describe_codes


def patterns_by_hand(mask, blocks):
    """The foreground blocks of one image, counted pixel by pixel."""
    counts, sizes = {}, {}
    for pixel in np.ndindex(mask.shape):
        block = tuple(
            max(b for b in range(blocks) if b * size // blocks <= at)
            for at, size in zip(pixel, mask.shape, strict=True)
        )
        counts[block] = counts.get(block, 0) + int(mask[pixel])
        sizes[block] = sizes.get(block, 0) + 1
    return tuple(sorted(block for block, count in counts.items() if 16 * count > sizes[block]))


@given(
    shape=st.lists(st.integers(1, 9), min_size=2, max_size=3),
    seed=st.integers(0, 99),
    share=st.sampled_from([0.03, 0.07, 0.3]),
)
@settings(deadline=None, max_examples=40)
def test_images_have_the_same_code_where_their_blocks_are_the_same(shape, seed, share):
    masks = np.random.default_rng(seed).random((6, *shape)) < share
    codes = code_blocks(masks)
    expected = [patterns_by_hand(mask, 4) for mask in masks]
    for i in range(6):
        for j in range(6):
            assert (codes[i] == codes[j]) == (expected[i] == expected[j])


@pytest.mark.parametrize(("pixels", "is_foreground"), [(0, False), (4, False), (5, True)])
def test_a_block_needs_more_than_a_sixteenth(pixels, is_foreground):
    masks = np.zeros((2, 32, 32), bool)
    masks[1, 8, 8 : 8 + pixels] = True
    assert (code_blocks(masks)[0] != code_blocks(masks)[1]) == is_foreground


@pytest.mark.parametrize("code", [code_blocks, code_clusters])
@pytest.mark.parametrize("shape", [(16, 16), (8, 8, 8)])
def test_equal_label_images_share_one_code(code, shape):
    codes = code(np.ones((9, *shape), bool))
    assert codes.tolist() == [0] * 9


def test_clusters_find_separate_groups():
    kinds = np.random.default_rng(0).random((4, 16, 16)) < 0.5
    masks = np.repeat(kinds, 5, axis=0)
    masks[::5, 0, 0] ^= True
    codes = code_clusters(masks, clusters=4)
    assert len(set(codes.tolist())) == 4
    assert all(len(set(group)) == 1 for group in codes.reshape(4, 5).tolist())


def test_clusters_are_no_more_than_images_and_repeat():
    masks = np.random.default_rng(1).random((12, 8, 8)) < 0.4
    codes = code_clusters(masks, clusters=64, seed=3)
    assert describe_codes(codes).distinct <= 12
    assert codes.tolist() == code_clusters(masks, clusters=64, seed=3).tolist()


def test_codes_are_described():
    described = describe_codes(np.array([5, 5, 5, 5, 2, 2, 9, 1]))
    assert (described.distinct, described.singletons, described.entropy) == (4, 2, 1.75)
