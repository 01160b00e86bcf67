"""The U-Plot: information at every layer, drawn where the layer stands in the U; draws a profile, estimates nothing.

Above, the network itself: I(X;M) on the left, I(M;Y) on the right. Below, smaller, what the same pictures look like
without training and with shuffled labels: whatever is there too has not been learned.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from unetscope.information.published.paper import PaperProfile
from unetscope.reporting.figures import save_figure, styled
from unetscope.reporting.palette import INK, LINE
from unetscope.reporting.panel import COLORS, HATCH, LARGE, SMALL, Panel, Scale, draw_panel, shorten
from unetscope.reporting.paper_plane import draw_plane
from unetscope.reporting.placement import Layout, place_layers

BORDER, BETWEEN = 0.15, 0.25  # inches, as all lengths here
HEADING, PANEL_TITLE, COLOR_BAR, CAPTION = 0.55, 0.28, 0.46, 0.6
NARROWEST, LOWEST = 5.2, 0.9  # of what holds text
CHARACTERS_PER_INCH = 16.5  # of running text
LONGEST_RUN = 70  # characters that fit the narrowest page
ROLES = {"profile": "validation ", "train": "training ", "all": ""}
KEY = (
    "A hatched number says nothing: the estimate is saturated, set by the number of images or codes, or I(M;Y) is no "
    "larger than with shuffled labels."
)


def draw_uplot(profile: PaperProfile, run: str = "") -> Figure:
    """Draw a profile as a U.

    Args:
        profile: The profile.
        run: What the title calls the network; its widths if empty.

    Returns:
        A figure of its own size, with no text below 7 points.

    Source:
        Lee & Bajic 2021, Information flow through U-Nets, ISBI; the controls are added.
    """
    with styled():
        page = Page(place_layers(profile.wiring))
        _write_heading(page, profile, run)
        for panel, left in zip(trained_panels(profile), page.halves, strict=True):
            axes = page.add_panel(left, page.large_top, LARGE)
            draw_panel(axes, profile.wiring, page.layout, panel, LARGE)
            _draw_color_bar(page, left, panel)
        for panel, left in zip(control_panels(profile), page.quarters, strict=True):
            axes = page.add_panel(left, page.small_top, SMALL)
            draw_panel(axes, profile.wiring, page.layout, panel, SMALL)
        _draw_key(page)
        _write_verdict(page, profile)
    return page.figure


def save_figures(profile: PaperProfile, folder: Path | str, run: str = "") -> list[Path]:
    """Write the U-Plot and the information plane of a profile, each as SVG and PNG.

    Args:
        profile: The profile.
        folder: Where; it is created.
        run: What titles call the network; its widths if empty.

    Returns:
        The files: uplot.svg, uplot.png, plane.svg, plane.png.

    Raises:
        OutputError: A file cannot be written.
    """
    folder = Path(folder)
    uplot = save_figure(draw_uplot(profile, run), folder / "uplot")
    return [*uplot, *save_figure(draw_plane(profile, run), folder / "plane")]


def trained_panels(profile: PaperProfile) -> tuple[Panel, Panel]:
    """I(X;M) and I(M;Y) of the network itself."""
    layers = profile.layers
    return (
        Panel(
            f"I(X;M), about the image; ceiling log2 N = {profile.input_ceiling:.2f} bits",
            {layer.layer: layer.trained.input.upper for layer in layers},
            profile.input_ceiling,
            frozenset(layer.layer for layer in layers if layer.trained.saturated),
        ),
        Panel(
            f"I(M;Y), about the label; ceiling H(Y) = {profile.label_ceiling:.2f} bits",
            {layer.layer: layer.trained.label.published for layer in layers},
            profile.label_ceiling,
            frozenset(layer.layer for layer in layers if not layer.is_readable),
        ),
    )


def control_panels(profile: PaperProfile) -> tuple[Panel, Panel, Panel]:
    """The same without training, and I(M;Y) with shuffled labels."""
    layers = profile.layers
    return (
        Panel(
            "I(X;M) untrained",
            {layer.layer: layer.untrained.input.upper for layer in layers},
            profile.input_ceiling,
            frozenset(layer.layer for layer in layers if layer.untrained.saturated),
        ),
        Panel(
            "I(M;Y) untrained",
            {layer.layer: layer.untrained.label.published for layer in layers},
            profile.label_ceiling,
            frozenset(layer.layer for layer in layers if layer.untrained.saturated),
        ),
        Panel(
            f"I(M;Y), labels shuffled {profile.settings.permutations} times",
            {layer.layer: layer.shuffled.mean for layer in layers},
            profile.label_ceiling,
        ),
    )


class Page:
    """A figure measured in inches from its upper left corner: two large panels, small ones below.

    Args:
        layout: Where the layers stand; it decides how large everything is.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        (large, large_height), (small, small_height) = LARGE.size(layout), SMALL.size(layout)
        self.half = max(large, 2 * small + BETWEEN, NARROWEST)
        self.large_top = BORDER + HEADING + PANEL_TITLE
        self.bar_top = self.large_top + large_height
        self.small_top = self.bar_top + COLOR_BAR + PANEL_TITLE
        self.width = 2 * self.half + BETWEEN + 2 * BORDER
        self.caption_top = self.small_top + max(small_height, LOWEST) + 0.1
        self.height = self.caption_top + CAPTION
        self.figure = Figure(figsize=(self.width, self.height), facecolor="white")

    @property
    def halves(self) -> tuple[float, float]:
        """Left edges of the large panels."""
        return BORDER, BORDER + self.half + BETWEEN

    @property
    def quarters(self) -> tuple[float, float, float]:
        """Left edges of the small panels: one below the left large one, two below the right."""
        left, right = self.halves
        return left, right, right + (self.half + BETWEEN) / 2

    def add_axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes at a place in inches."""
        bottom = self.height - top - height
        return self.figure.add_axes((left / self.width, bottom / self.height, width / self.width, height / self.height))

    def add_panel(self, left: float, top: float, scale: Scale) -> Axes:
        """Axes for one picture of the U."""
        return self.add_axes(left, top, *scale.size(self.layout))

    def write(self, left: float, top: float, text: str, size: float, bold: bool = False) -> None:
        """Text whose upper left corner is at a place in inches; nothing in it is read as mathematics."""
        self.figure.text(
            left / self.width,
            1 - top / self.height,
            text,
            fontsize=size,
            va="top",
            color=INK,
            linespacing=1.35,
            fontweight="bold" if bold else "normal",
        )


def _write_heading(page: Page, profile: PaperProfile, run: str) -> None:
    settings, codes = profile.settings, profile.codes
    size = " \u00d7 ".join(map(str, profile.shape))
    page.write(
        BORDER, BORDER, f"Information flow in {shorten(run or name_network(profile), LONGEST_RUN)}", 11, bold=True
    )
    page.write(
        BORDER,
        BORDER + 0.26,
        f"kernel density estimate at noise variance {settings.variance:g}  \u00b7  N = {len(profile.images)} "
        f"{ROLES[settings.role]}images of {size} pixels{', resampled' if profile.resampled else ''}  \u00b7  label "
        f"images coded by {settings.coding}: {codes.distinct} codes, {codes.singletons} of them used once",
        7.5,
    )


def name_network(profile: PaperProfile) -> str:
    """What a network is called that nobody named."""
    return f"U-Net {'-'.join(map(str, profile.spec.level_widths))}"


def _draw_color_bar(page: Page, left: float, panel: Panel) -> None:
    width = LARGE.size(page.layout)[0] - 2 * LARGE.room
    axes = page.add_axes(left + LARGE.room, page.bar_top + 0.05, width, 0.09)
    bar = page.figure.colorbar(
        ScalarMappable(Normalize(0, panel.ceiling or 1), COLORS), cax=axes, orientation="horizontal"
    )
    bar.ax.tick_params(labelsize=7, length=2, width=0.6, color=LINE)
    bar.ax.set_xlabel("bits", fontsize=7, labelpad=1)


def _draw_key(page: Page) -> None:
    """What hatching means, and which numbers are shown."""
    left, top = page.quarters[0] + (page.half + BETWEEN) / 2, page.small_top
    axes = page.add_axes(left, top + 0.02, 0.31, 0.21)
    axes.set(xticks=(), yticks=())
    axes.set_axis_off()
    axes.add_patch(Rectangle((0, 0), 1, 1, facecolor="#dddddd", edgecolor=INK, linewidth=0.6, hatch=HATCH))
    page.write(left + 0.4, top, fill(KEY, int((page.halves[1] - left - 0.5) * CHARACTERS_PER_INCH)), 7.5)


def _write_verdict(page: Page, profile: PaperProfile) -> None:
    text = fill(profile.verdict, int((page.width - 2 * BORDER) * CHARACTERS_PER_INCH))
    page.write(BORDER, page.caption_top, text, 8)
