"""Sizes of the 2015 network and its like, drawn: what aligns, what is cropped, what fits, where the layers are."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from unet_drawing import (
    BLUE,
    GRAY,
    GRAYS,
    GREEN,
    INK,
    ORANGE,
    PALE,
    RED,
    SKY,
    make_figure,
    open_frame,
    shrink,
    strip,
    write_table,
)
from unetscope.data.scenes import packed_cells
from unetscope.errors import SizeError
from unetscope.model.cost import count_cost
from unetscope.model.geometry import fitting_shape, layer_shapes, margin, output_shape, pooled, skip_crop
from unetscope.model.spec import UNetSpec
from unetscope.wiring import HEAD, IMAGE

OUTLINED = [withStroke(linewidth=2.5, foreground=INK)]
PAPER = UNetSpec.preset("ronneberger2015")
TILE = (572, 572)


# ---------------------------------------------------------------------------------------------------------- alignment


def draw_alignment() -> Figure:
    """The output is the middle of the input; below, every pixel of every map of a tiny valid U-Net over the image."""
    figure = make_figure(3.9)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.25))
    _draw_tile_and_label(strip(left))
    _draw_pixels(strip(right), UNetSpec.by_level((1, 1), convolutions=1, padded=False), 16)
    return figure


def _draw_tile_and_label(axes: Axes) -> None:
    """An input tile with the label of the pixels that the network answers for."""
    scene, lost = packed_cells(TILE, 3), margin(PAPER)[0]
    size = output_shape(PAPER, TILE)[0]
    axes.imshow(shrink(scene.image[0].astype(float), 4), cmap=GRAYS, extent=(0, TILE[1], TILE[0], 0))
    share = shrink((scene.labels[lost : lost + size, lost : lost + size] > 0).astype(float), 4)
    veil = np.dstack([np.broadcast_to(to_rgb(ORANGE), (*share.shape, 3)), 0.5 * share])
    axes.imshow(veil, extent=(lost, lost + size, lost + size, lost))
    axes.add_patch(Rectangle((0, 0), *TILE, fill=False, edgecolor=BLUE, linewidth=3))
    axes.add_patch(Rectangle((lost, lost), size, size, fill=False, edgecolor=ORANGE, linewidth=2.5))
    for start, stop in ((0, lost), (lost + size, TILE[1])):
        axes.annotate(
            "", (start, 286), (stop, 286), arrowprops={"arrowstyle": "<->", "color": "white", "linewidth": 1.6}
        )
        axes.text((start + stop) / 2, 270, f"{lost}", color="white", ha="center", fontsize=10, path_effects=OUTLINED)
    axes.plot(lost, lost, "o", color=ORANGE, markeredgecolor="white", markersize=8)
    corner = f"output (0, 0) is image ({lost}, {lost})"
    axes.text(lost + 14, lost - 22, corner, color="white", fontsize=8.5, fontweight="bold", path_effects=OUTLINED)
    axes.set_title(f"Input tile {TILE[0]} (blue), output and label {size} (orange)", fontsize=8.5)
    axes.set_xlim(-4, TILE[1] + 4)
    axes.set_ylim(TILE[0] + 4, -4)


def _draw_pixels(axes: Axes, spec: UNetSpec, size: int) -> None:
    """One row of pixels per map, each where it lies over the image."""
    shapes, crop = layer_shapes(spec, (size, size)), skip_crop(spec, 0)[0]
    names = (IMAGE, *spec.wiring.layers)
    for row, name in enumerate(names):
        stride, count = spec.stride(name)[0], shapes[name][0]
        first = (size - stride * count) / 2
        for index in range(count):
            cut = name == "encoder.0.conv1" and not crop <= index < count - crop
            color = ORANGE if name == HEAD else PALE if cut else SKY
            box = (first + index * stride + 0.06, -row - 0.36)
            axes.add_patch(Rectangle(box, stride - 0.12, 0.72, facecolor=color, edgecolor=GRAY, linewidth=0.6))
        axes.text(-0.6, -row, name, ha="right", va="center", fontsize=8)
        axes.text(size + 0.6, -row, f"{count}", ha="left", va="center", fontsize=8)
    lost = margin(spec)[0]
    for x in (lost, size - lost):
        axes.plot([x, x], [0.5, 0.5 - len(names)], color=RED, linewidth=1.2, linestyle="--")
    axes.set_xlim(-7.5, size + 2)
    axes.set_ylim(-len(names) + 0.3, 0.9)
    note = f"(pale: cropped from the skip; {lost} lost per side)"
    axes.set_title(f"A tiny valid U-Net, every pixel where it lies over the image\n{note}", fontsize=8.5)


# --------------------------------------------------------------------------------------------------------------- crops


def draw_crops() -> Figure:
    """Every map of the 2015 network to scale over its 572-pixel tile, with the part of the skip that is cropped."""
    figure = make_figure(5.6)
    axes = strip(figure.subplots())
    shapes = layer_shapes(PAPER, TILE)
    for row, name in enumerate((IMAGE, *PAPER.wiring.layers)):
        _draw_map(axes, row, name, shapes[name][0])
    size = shapes[HEAD][0]
    for x in ((TILE[0] - size) / 2, (TILE[0] + size) / 2):
        axes.plot([x, x], [0.6, -len(shapes) + 0.4], color=RED, linewidth=1, linestyle="--", zorder=0)
    axes.set_xlim(-130, TILE[0] + 260)
    axes.set_ylim(-len(shapes) + 0.3, 1.8)
    title = f"Every map over the {TILE[0]}-pixel tile, to scale; green: the up path; hatched: cropped"
    axes.text(TILE[0] / 2, 1.1, title, ha="center", fontsize=8.5)
    axes.text(TILE[0] + 12, 0, f"{TILE[0]} pixels", va="center", fontsize=7.5)
    return figure


def _draw_map(axes: Axes, row: int, name: str, count: int) -> None:
    """One bar as wide as the part of the image that the map stands for."""
    stride, level = PAPER.stride(name)[0], PAPER.level(name)
    width = stride * count
    first = (TILE[0] - width) / 2
    color = {IMAGE: BLUE, HEAD: ORANGE}.get(name, GREEN if name.endswith("up") else SKY)
    axes.add_patch(Rectangle((first, -row - 0.36), width, 0.72, facecolor=color, edgecolor="none"))
    note = ""
    if name.startswith("encoder") and name.endswith(f"conv{PAPER.convolutions}"):
        crop = skip_crop(PAPER, level)[0]
        for x in (first, first + width - crop * stride):
            axes.add_patch(
                Rectangle((x, -row - 0.36), crop * stride, 0.72, facecolor=PALE, edgecolor=SKY, hatch="////")
            )
        note = f"crop {crop} per side, copy {count - 2 * crop}; pool to {count // PAPER.level_strides[level][0]}"
    elif name.endswith("up"):
        skip, up = (PAPER.width(source) for source in PAPER.sources(f"decoder.{level}.conv1"))
        note = f"joined with the skip: {skip} + {up} channels"
    axes.text(-8, -row, name, ha="right", va="center", fontsize=7.5)
    axes.text(TILE[0] + 12, -row, f"{count}" * (name != IMAGE), ha="left", va="center", fontsize=7.5)
    axes.text(TILE[0] + 50, -row, note, ha="left", va="center", fontsize=7.5)


def tabulate_crops() -> str:
    """Per level: what leaves the encoder, what is cropped, what is copied, what it is joined with, what comes out."""
    shapes, rows = layer_shapes(PAPER, TILE), []
    for level in range(PAPER.depth):
        last = f"conv{PAPER.convolutions}"
        skip, up = (f"encoder.{level}.{last}", f"decoder.{level}.up")
        crop, size = skip_crop(PAPER, level)[0], shapes[skip][0]
        channels = f"{PAPER.width(skip)} + {PAPER.width(up)}"
        rows.append((level, size, crop, size - 2 * crop, shapes[up][0], channels, shapes[f"decoder.{level}.{last}"][0]))
    headings = (
        "level",
        "encoder ends with",
        "cropped per side",
        "copied",
        "up path",
        "channels joined",
        "decoder ends with",
    )
    return write_table(headings, rows)


# --------------------------------------------------------------------------------------------------------------- sizes

NETWORKS = {
    "2015: depth 4, valid": PAPER,
    "depth 3, valid": UNetSpec.preset("ronneberger2015", depth=3),
    "depth 2, valid": UNetSpec.preset("ronneberger2015", depth=2),
    "default: depth 4, padded": UNetSpec.preset("default"),
    "depth 2, padded": UNetSpec.preset("default", depth=2),
}
LARGEST = 700


def accepts(spec: UNetSpec, size: int) -> bool:
    """Whether the network takes a square image of this size."""
    try:
        return bool(output_shape(spec, (size,) * spec.ndim))
    except SizeError:
        return False


def draw_sizes() -> Figure:
    """A tick for every size that a network accepts, and how much of it comes out."""
    figure = make_figure(4.4)
    above, below = figure.subplots(2, 1, height_ratios=(1.1, 1.2))
    colors = (BLUE, SKY, GREEN, ORANGE, RED)
    for row, ((name, spec), color) in enumerate(zip(NETWORKS.items(), colors, strict=True)):
        sizes = [size for size in range(1, LARGEST + 1) if accepts(spec, size)]
        ends = np.tile([-row - 0.36, -row + 0.36, np.nan], len(sizes))  # one line with gaps keeps the file small
        open_frame(above).plot(np.repeat(sizes, 3), ends, color=color, linewidth=1)
        outputs = [output_shape(spec, (size, size))[0] for size in sizes]
        if not spec.padded or spec.depth == PAPER.depth:
            open_frame(below).plot(sizes, outputs, ".", color=color, markersize=3.5, label=name)
    above.set_yticks(range(0, -len(NETWORKS), -1), [f"{name}\nfrom {_first(spec)}" for name, spec in NETWORKS.items()])
    above.tick_params(axis="y", length=0, labelsize=7.5)
    above.set_title(
        "A tick for every input size that is accepted: from the smallest in steps of the stride", fontsize=8.5
    )
    size = output_shape(PAPER, TILE)[0]
    below.plot([TILE[0], TILE[0], 0], [0, size, size], color=GRAY, linewidth=0.9, linestyle="--")
    below.text(10, size + 12, f"{TILE[0]} in, {size} out", color=INK, fontsize=8)
    below.set(xlabel="input size, pixels", ylabel="output size, pixels", ylim=(0, LARGEST))
    below.legend(frameon=False, fontsize=7.5, loc="upper left", bbox_to_anchor=(0.02, 1.04))
    for axes in (above, below):
        axes.set_xlim(0, LARGEST + 5)
    return figure


def _first(spec: UNetSpec) -> str:
    """The smallest size and the step, in words."""
    return f"{fitting_shape(spec, (1, 1))[0]} by {spec.total_stride[0]}"


# -------------------------------------------------------------------------------------------------------------- layers


COLORS = {"3-wide": SKY, "2-wide, upwards": GREEN, "1-wide, to the classes": ORANGE}


def draw_layers() -> Figure:
    """The 23 convolutions where they stand in the U."""
    figure = make_figure(4.2)
    axes = strip(figure.subplots())
    places, shapes = place_layers(), layer_shapes(PAPER, TILE)
    for layer in PAPER.wiring.layers:
        for source in PAPER.sources(layer):
            _draw_arrow(axes, places, source, layer)
    for number, layer in enumerate(PAPER.wiring.layers, start=1):
        x, y = places[layer]
        color = COLORS[kind_of(layer)]
        axes.add_patch(Rectangle((x - HALF, y - THICK), 2 * HALF, 2 * THICK, facecolor=color, edgecolor="white"))
        axes.text(x, y + 0.1, f"{number}", ha="center", va="center", fontsize=9, fontweight="bold")
        size = f"{PAPER.width(layer)} x {shapes[layer][0]}²"
        axes.text(x, y - 0.17, size, ha="center", va="center", fontsize=6)
    axes.text(-0.75, 0, f"{TILE[0]}²", ha="right", va="center", fontsize=7)
    _draw_legend(axes)
    axes.set_xlim(-1.4, 12.1)
    axes.set_ylim(-4.65, 0.9)
    return figure


HALF, THICK, APART = 0.5, 0.33, 1.12  # half width and height of a box, and what lies between two


def kind_of(layer: str) -> str:
    """What a layer convolves with, in words."""
    if layer == HEAD:
        return "1-wide, to the classes"
    return "2-wide, upwards" if layer.endswith("up") else "3-wide"


def place_layers() -> dict[str, tuple[float, float]]:
    """Column and row of every layer: down on the left, up on the right."""
    places: dict[str, tuple[float, float]] = {IMAGE: (-1.15, 0)}
    for layer in PAPER.wiring.layers:
        side, level = layer.partition(".")[0], PAPER.level(layer)
        role = {"up": 0, "conv1": 1, "conv2": 2}.get(layer.rpartition(".")[2], 3)
        start = {"encoder": 0.75 * level - APART, "bottleneck": 3.0}.get(side, 8.1 - 0.75 * level)
        places[layer] = (start + role * APART, -float(level))
    return places


def _draw_arrow(axes: Axes, places: dict[str, tuple[float, float]], source: str, layer: str) -> None:
    """From a source to its layer; skips are gray, poolings red."""
    (x, y), (end_x, end_y) = places[source], places[layer]
    color, bend = INK, "arc3"
    start, stop = (x + HALF, y), (end_x - HALF, end_y)
    if source.startswith("encoder") and layer.startswith("decoder"):
        color, bend = GRAY, "arc3,rad=-0.06"
        start, stop = (x + HALF / 2, y + THICK), (end_x - HALF / 2, end_y + THICK)
    elif pooled(PAPER, source, layer):
        color, start, stop = RED, (x, y - THICK), (end_x, end_y + THICK)
    elif y != end_y:
        start, stop = (x, y + THICK), (end_x, end_y - THICK)
    style = {"arrowstyle": "->", "color": color, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0, "connectionstyle": bend}
    axes.annotate("", stop, start, arrowprops=style)


def _draw_legend(axes: Axes) -> None:
    """How many of which, below the up path."""
    kinds = [kind_of(layer) for layer in PAPER.wiring.layers]
    total = f"{len(kinds)} convolutions, {count_cost(PAPER, TILE).parameters:,} parameters"
    axes.text(6.6, -3.62, total, va="center", fontsize=8.5)
    for row, (kind, color) in enumerate(COLORS.items()):
        y = -3.92 - 0.28 * row
        axes.add_patch(Rectangle((6.6, y - 0.1), 0.35, 0.2, facecolor=color))
        axes.text(7.1, y, f"{kinds.count(kind)} x {kind}", va="center", fontsize=8)
    axes.text(9.7, -3.92, "gray: skips, cropped", va="center", fontsize=8)
    axes.text(9.7, -4.2, "red: max pooling", va="center", fontsize=8)
