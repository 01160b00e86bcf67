"""Label images to one code each, as the published method needs; knows arrays of labels, neither networks nor files."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2

from unetscope.information.estimators.kernel import Codes, Matrix, plugin_entropy

Coding = Literal["blocks", "clusters"]
Masks = NDArray[np.bool_]

BLOCKS = 4
BLOCK_IS_FOREGROUND = 1 / 16
CLUSTERS = 64


@dataclass(frozen=True)
class CodeStatistics:
    """How label images fell into codes.

    Attributes:
        distinct: Codes that occur.
        singletons: Codes that occur once: nothing can be learned about them.
        entropy: Plug-in entropy H(Y), bits.
    """

    distinct: int
    singletons: int
    entropy: float


def code_blocks(masks: Masks, blocks: int = BLOCKS) -> Codes:
    """One code per pattern of coarse blocks.

    Args:
        masks: (N, [z,] y, x), true on foreground.
        blocks: Blocks along every axis; a block is foreground when more than 1/16 of it is.

    Returns:
        (N,) codes from 0, the same exactly where all blocks are.

    Source:
        Lee & Bajic 2021, whose published program uses 64 of 1024 pixels as the threshold.

    Example:
        >>> masks = np.zeros((3, 8, 8), bool)
        >>> masks[1, 0, 0] = masks[2, 0, 1] = True
        >>> code_blocks(masks).tolist()
        [0, 1, 1]
    """
    counts, volume = masks.astype(np.int64), np.ones((), np.int64)
    for axis, size in enumerate(masks.shape[1:], start=1):
        edges = np.unique(np.arange(blocks + 1) * size // blocks)
        counts = np.add.reduceat(counts, edges[:-1], axis=axis)
        volume = volume[..., None] * np.diff(edges)
    patterns = (counts > volume * BLOCK_IS_FOREGROUND).reshape(len(masks), -1)
    return np.unique(patterns, axis=0, return_inverse=True)[1].ravel()


def code_clusters(masks: Masks, clusters: int = CLUSTERS, seed: int = 0) -> Codes:
    """One code per cluster of label images, by k-means.

    Args:
        masks: (N, [z,] y, x), true on foreground.
        clusters: Clusters wanted; no more than there are different label images.
        seed: Seed of the first centers.

    Returns:
        (N,) codes from 0.

    Source:
        Lee & Bajic 2021; centers started as in Arthur & Vassilvitskii 2007 (k-means++).

    Example:
        >>> masks = np.arange(4)[:, None, None] // 2 == np.zeros((1, 4, 4))
        >>> codes = code_clusters(masks, clusters=2)
        >>> codes[0] == codes[1], codes[1] == codes[2]
        (np.True_, np.False_)
    """
    points = masks.reshape(len(masks), -1)
    most = len(np.unique(points, axis=0))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="One of the clusters is empty")
        _, codes = kmeans2(points.astype(np.float32), min(clusters, most), minit="++", seed=seed)
    return np.unique(codes, return_inverse=True)[1].ravel()


def multiply_masks(masks: Masks) -> Matrix:
    """Inner products between label images: on how many pixels both are foreground.

    Args:
        masks: (N, [z,] y, x), true on foreground.

    Returns:
        (N, N) pixels.

    Example:
        >>> multiply_masks(np.array([[[True, True]], [[False, True]]])).tolist()
        [[2.0, 1.0], [1.0, 1.0]]
    """
    points = masks.reshape(len(masks), -1).astype(np.float32)  # exact for the 2^24 pixels that float32 can count
    return (points @ points.T).astype(np.float64)


def describe_codes(codes: Codes) -> CodeStatistics:
    """How the label images fell into codes.

    Args:
        codes: (N,) code of each label image.

    Returns:
        Counts, and the entropy in bits.

    Example:
        >>> describe_codes(np.array([0, 0, 1, 2]))
        CodeStatistics(distinct=3, singletons=2, entropy=1.5)
    """
    counts = np.unique(codes, return_counts=True)[1]
    return CodeStatistics(len(counts), int((counts == 1).sum()), plugin_entropy(codes))
