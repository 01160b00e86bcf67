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

PAPER_PIXELS_PER_INCH = 300
PAPER_STYLE: Any = {
    **STYLE,
    "svg.fonttype": "none",  # text that an editor can change
    "pdf.fonttype": 42,  # whole TrueType fonts, which publishers ask for
}


@contextmanager
def styled(style: Any = STYLE) -> Iterator[None]:
    """The style of our figures, whatever the user has configured."""
    with matplotlib.rc_context(style):
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
    drawing = _save(figure, path, "svg", STYLE, metadata={"Date": None})
    return drawing, _save(figure, path, "png", STYLE, dpi=PIXELS_PER_INCH)


def save_paper_figure(figure: Figure, path: Path) -> tuple[Path, Path, Path]:
    """Write a figure as a publisher wants it: SVG with text as text, PDF with embedded fonts, PNG of 300 dpi.

    Args:
        figure: The figure.
        path: Where, without a suffix.

    Returns:
        The files: SVG, PDF and PNG.

    Raises:
        OutputError: A file cannot be written.
    """
    drawing = _save(figure, path, "svg", PAPER_STYLE, metadata={"Date": None})
    page = _save(figure, path, "pdf", PAPER_STYLE, metadata={"CreationDate": None})
    return drawing, page, _save(figure, path, "png", PAPER_STYLE, dpi=PAPER_PIXELS_PER_INCH)


def _save(figure: Figure, path: Path, kind: str, style: Any, **options: Any) -> Path:
    """Write one file; none has a date in it."""
    written = path.with_name(f"{path.name}.{kind}")
    with styled(style), replacing(written) as temporary:
        figure.savefig(temporary, format=kind, **options)
    return written
