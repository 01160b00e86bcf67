"""What the figures share: colors that color-blind readers can tell apart, paper, and how a figure is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unetscope.files import replacing
from unetscope.reporting.figures import styled

# Okabe & Ito 2008
INK, ORANGE, SKY, GREEN = "#222222", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, RED, PINK = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GRAY, PALE = "#8C8C8C", "#EDEDED"
GRAYS = colormaps["gray"].resampled(20)  # few enough that a photograph stays small in a file
WIDTH = 7.4  # inches: a page of text


def make_figure(height: float) -> Figure:
    """An empty figure as wide as a page, `height` inches high."""
    return Figure(figsize=(WIDTH, height), layout="constrained", facecolor="white")


def write_figure(figure: Figure, path: Path) -> Path:
    """Write a figure; the suffix says how. The same figure gives the same bytes."""
    with styled(), replacing(path) as temporary:
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(temporary, format=path.suffix[1:], dpi=130, metadata=metadata)
    return path


def strip(axes: Axes) -> Axes:
    """No frame, no ticks: for drawings that are no plots."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def open_frame(axes: Axes) -> Axes:
    """A plot without the lines at its top and right."""
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def shrink(image: np.ndarray, factor: int) -> np.ndarray:
    """Means of blocks of `factor` pixels, so that a picture in a figure stays small; (y, x) in, (y, x) out."""
    y, x = (n // factor for n in image.shape)
    blocks = image[: y * factor, : x * factor].reshape(y, factor, x, factor)
    return np.asarray(blocks.mean(axis=(1, 3)))


def write_table(headings: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    """A table in Markdown, numbers with commas.

    Example:
        >>> print(write_table(("size", "left"), [(1024, "yes")]))
        | size | left |
        |---|---|
        | 1,024 | yes |
    """
    lines = [headings, *(tuple(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row) for row in rows)]
    marked = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([marked[0], "|" + "---|" * len(headings), *marked[1:]])
