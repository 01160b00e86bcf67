"""Draw every figure and table of docs/unet.md from the real code.

    python examples/unet_figures.py --out docs/figures

Takes under a minute on one core; with --format png as pictures.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib
import torch
from matplotlib.figure import Figure

import unet_learning
import unet_shapes
import unet_tiles
import unet_upsampling
from unet_drawing import write_figure
from unetscope.files import write_text
from unetscope.reporting.figures import styled

FIGURES: Mapping[str, Callable[[], Figure]] = {
    "alignment": unet_shapes.draw_alignment,
    "crops": unet_shapes.draw_crops,
    "overlap-tile": unet_tiles.draw_overlap_tile,
    "sizes": unet_shapes.draw_sizes,
    "steps": unet_tiles.draw_steps,
    "context": unet_tiles.draw_context,
    "layers": unet_shapes.draw_layers,
    "reach": unet_upsampling.draw_reach,
    "names": unet_upsampling.draw_names,
    "momentum": unet_learning.draw_momentum,
    "borders": unet_learning.draw_borders,
}
TABLES: Mapping[str, Callable[[], str]] = {
    "crops": unet_shapes.tabulate_crops,
    "ups": unet_upsampling.tabulate_ups,
}


def draw_all(folder: Path, suffix: str = ".svg", only: Sequence[str] = ()) -> list[Path]:
    """Draw the figures and write the tables.

    Args:
        folder: Where; it is created.
        suffix: ".svg" or ".png".
        only: Names of the figures wanted; all if empty.

    Returns:
        The figures' files.
    """
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in only or FIGURES:
        with styled(), matplotlib.rc_context({"image.interpolation": "none"}):  # pixels as they are: small files
            figure = FIGURES[name]()
        paths.append(write_figure(figure, folder / f"{name}{suffix}"))
    return paths


def write_tables(path: Path) -> None:
    """Write the tables of the page, one after the other."""
    write_text(path, "\n\n".join(make() for make in TABLES.values()) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the figures; it is created")
    parser.add_argument("--format", choices=("svg", "png"), default="svg")
    parser.add_argument("--tables", type=Path, help="file for the page's tables, in Markdown")
    parser.add_argument("figures", nargs="*", choices=[*FIGURES, []], help="figures to draw; all if none is named")
    chosen = parser.parse_args(arguments)
    draw_all(chosen.out, f".{chosen.format}", chosen.figures)
    if chosen.tables:
        write_tables(chosen.tables)


if __name__ == "__main__":
    main()
