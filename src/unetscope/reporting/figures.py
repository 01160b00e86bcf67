"""Figures to files, the same bytes each time; knows matplotlib and paths, not what a figure shows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from unetscope.files import replacing

PIXELS_PER_INCH = 200
STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that a figure looks the same everywhere
    "font.size": 8.0,
    "text.usetex": False,
    "text.parse_math": False,  # names of files and layers may hold dollar signs
    "hatch.linewidth": 0.5,
    "svg.hashsalt": "unetscope",
    "svg.fonttype": "path",
}


@contextmanager
def styled() -> Iterator[None]:
    """The style of our figures, whatever the user has configured."""
    with matplotlib.rc_context(STYLE):
        yield


def save_figure(figure: Figure, path: Path) -> tuple[Path, Path]:
    """Write a figure as SVG and PNG.

    Args:
        figure: The figure.
        path: Where, without a suffix.

    Returns:
        The files: the SVG to print, the PNG to look at.

    Raises:
        OutputError: A file cannot be written.
    """
    drawing, picture = path.with_name(f"{path.name}.svg"), path.with_name(f"{path.name}.png")
    with styled(), replacing(drawing) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})
    with styled(), replacing(picture) as temporary:
        figure.savefig(temporary, format="png", dpi=PIXELS_PER_INCH)
    return drawing, picture
