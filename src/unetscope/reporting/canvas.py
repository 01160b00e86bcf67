"""A page measured in inches from its upper left corner; knows lengths and text, not what is drawn."""

from __future__ import annotations

from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unetscope.reporting.palette import INK

CHARACTERS_PER_INCH = 17.0  # of running text at 7.5 points
LINE_HEIGHT = 0.15  # inches, of such text


class Canvas:
    """A white page of a given size.

    Args:
        width: Inches.
        height: Inches.

    Attributes:
        figure: The page as matplotlib knows it.
        paper: Axes as large as the page, in inches from its upper left corner, y upwards: -1 is an inch from the top.
    """

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height), facecolor="white")
        self.paper = self.add_axes(0, 0, width, height)
        self.paper.set(xlim=(0, width), ylim=(-height, 0))
        self.paper.set_axis_off()

    def add_axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes at a place on the page."""
        bottom = self.height - top - height
        return self.figure.add_axes((left / self.width, bottom / self.height, width / self.width, height / self.height))

    def write(self, left: float, top: float, text: str, size: float = 7.5, bold: bool = False) -> None:
        """Text whose upper left corner is at a place on the page."""
        weight = "bold" if bold else "normal"
        self.paper.text(left, -top, text, fontsize=size, va="top", color=INK, linespacing=1.35, fontweight=weight)


def wrap(text: str, width: float) -> str:
    """Running text broken into lines of a width in inches.

    Example:
        >>> wrap("more than an inch of text", 1.0).count(chr(10))
        1
    """
    return fill(text, max(1, int(width * CHARACTERS_PER_INCH)))
