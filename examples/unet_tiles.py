"""Tiles and context of the 2015 network, drawn and measured: mirroring, steps of 384 and 388, margin, what is read."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from unet_drawing import BLUE, GRAY, GRAYS, GREEN, ORANGE, RED, SKY, make_figure, open_frame, shrink, strip
from unetscope.data.scenes import packed_cells
from unetscope.model.geometry import (
    fitting_shape,
    layer_shapes,
    margin,
    output_shape,
    read_box,
    read_interval,
    receptive_field,
)
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet
from unetscope.tiles import plan_tiles, read_mirrored
from unetscope.wiring import IMAGE

PAPER = UNetSpec.preset("ronneberger2015")
NARROW = UNetSpec.preset("ronneberger2015", width=2, dropout=0.0)  # the same geometry, computed in seconds
INPUT, OUTPUT = 572, 388
STRIDE = PAPER.total_stride[0]
KEPT = OUTPUT // STRIDE * STRIDE


# ------------------------------------------------------------------------------------------------------- overlap-tile


def draw_overlap_tile() -> Figure:
    """An image with its mirrored frame, the tiles that write it, and what one of them reads."""
    shape = (640, 1000)
    image = packed_cells(shape, 5).image
    lost = margin(PAPER)[0]
    reads = [partial(read_box, PAPER, axis, length=length) for axis, length in enumerate(shape)]
    tiles = list(plan_tiles(shape, (KEPT, KEPT), reads, margin(PAPER)))
    figure = make_figure(3.9)
    left, right = figure.subplots(1, 2, width_ratios=(1.75, 1))
    frame = tuple(slice(-lost, length + lost) for length in shape)
    mirrored = shrink(read_mirrored(image, frame)[0].astype(float), 4)
    extent = (-lost, shape[1] + lost, shape[0] + lost, -lost)
    strip(left).imshow(mirrored, cmap=GRAYS, extent=extent)
    veil = np.ones((*mirrored.shape, 4)) * 0.45
    veil[..., :3] = 1
    veil[lost // 4 : -lost // 4, lost // 4 : -lost // 4, 3] = 0
    left.imshow(veil, extent=extent)
    for tile in tiles:
        _frame(left, tile.write, edgecolor="white", linewidth=1)
    _frame(left, tiles[0].read, edgecolor=BLUE, linewidth=2.5)
    _frame(left, tiles[0].write, edgecolor=ORANGE, linewidth=2.5)
    left.set_title(f"Image {shape[0]} x {shape[1]}, mirrored {lost} pixels outwards (pale)", fontsize=8.5)
    size = tiles[0].read[0].stop - tiles[0].read[0].start
    _draw_counts(right, shape, [tile.write for tile in tiles], [tile.read for tile in tiles])
    left.set_xlabel(f"blue: {size} pixels read; orange: {KEPT} written; white: the other tiles", fontsize=8)
    return figure


def _frame(axes: Axes, box: tuple[slice, ...], **style: object) -> None:
    """The outline of a box."""
    y, x = box
    axes.add_patch(Rectangle((x.start, y.start), x.stop - x.start, y.stop - y.start, fill=False, **style))


def _draw_counts(axes: Axes, shape: tuple[int, ...], writes: list, reads: list) -> None:
    """How often every pixel of one row is written and read."""
    row = shape[0] // 2
    for boxes, color, name in ((reads, BLUE, "read"), (writes, ORANGE, "written")):
        counts = np.zeros(shape[1], int)
        for y, x in boxes:
            if y.start <= row < y.stop:
                counts[max(0, x.start) : max(0, x.stop)] += 1
        axes.step(np.arange(shape[1]), counts, color=color, where="mid", linewidth=1.8, label=name)
    open_frame(axes).set(xlabel="pixel along the middle row", ylabel="times", yticks=range(5), ylim=(0, 4.6))
    written = np.zeros(shape, int)
    for box in writes:
        written[box] += 1
    axes.set_title(f"Times that a pixel is written: {', '.join(map(str, np.unique(written)))}", fontsize=8.5)
    axes.legend(frameon=False, fontsize=8, loc="upper right")


# --------------------------------------------------------------------------------------------------------- 384 or 388


@cache
def measure_steps(step: int, seed: int = 0) -> np.ndarray:
    """How far tiles `step` apart differ from the whole image at every pixel, in standard deviations of the scores.

    The network is the 2015 one at width 2 with random weights, in float64; each tile reads 572 pixels.
    """
    torch.manual_seed(seed)
    network = UNet(NARROW).double().eval()
    lost, size = margin(NARROW)[0], 2 * OUTPUT
    image = np.random.default_rng(seed).standard_normal((1, size, size))
    whole = _score(
        network, image, tuple(slice(-lost, length - lost) for length in fitting_shape(NARROW, (size + 2 * lost,) * 2))
    )
    tiled = np.full((size, size), np.nan)
    for y, x in np.ndindex(-(-size // step), -(-size // step)):
        scores = _score(network, image, tuple(slice(at * step - lost, at * step - lost + INPUT) for at in (y, x)))
        target = tiled[y * step : (y + 1) * step, x * step : (x + 1) * step]
        target[:] = scores[: target.shape[0], : target.shape[1]]
    whole = whole[:size, :size]
    return np.asarray(np.abs(tiled - whole) / whole.std())


@torch.inference_mode()
def _score(network: UNet, image: np.ndarray, box: tuple[slice, ...]) -> np.ndarray:
    """The score of the first class where the network is fed with this box of the mirrored image."""
    return np.asarray(network(torch.from_numpy(read_mirrored(image, box).copy())[None])[0, 0])


def draw_steps() -> Figure:
    """The grid of the poolings in two neighboring tiles, and the difference to the whole image at every pixel."""
    figure = make_figure(4.9)
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 3.1))
    _draw_grids(strip(top.subplots()))
    panels = bottom.subplots(1, 2)
    norm = LogNorm(1e-16, 1)
    for axes, step in zip(panels, (OUTPUT, KEPT), strict=True):
        error = measure_steps(step)
        drawn = axes.imshow(
            np.maximum(_largest(error, 4), 1e-16), norm=norm, cmap="viridis", extent=(0, *error.shape, 0)
        )
        axes.set_title(f"Tiles {step} apart: at most {error.max():.2g}", fontsize=9)
        axes.set_xticks(range(0, error.shape[1] + 1, step))
        axes.set_yticks(range(0, error.shape[0] + 1, step))
        axes.tick_params(labelsize=7)
    ticks = [1e-16, 1e-12, 1e-8, 1e-4, 1]
    bar = bottom.colorbar(drawn, ax=panels, shrink=0.85, pad=0.02, ticks=ticks, format="{x:g}")
    bar.minorticks_off()
    bar.set_label("difference to the whole image,\nstandard deviations of the scores", fontsize=8)
    return figure


def _largest(error: np.ndarray, factor: int) -> np.ndarray:
    """The largest of each block of pixels."""
    y, x = (n // factor for n in error.shape)
    return np.asarray(error[: y * factor, : x * factor].reshape(y, factor, x, factor).max(axis=(1, 3)))


def _draw_grids(axes: Axes) -> None:
    """Where the windows of all poolings together begin, in the first tile and in its neighbor."""
    first, last = KEPT - 2 * STRIDE - 8, KEPT + 4 * STRIDE
    starts = {"first tile": 0, f"next, {OUTPUT} on": OUTPUT, f"next, {KEPT} on": KEPT}
    for row, ((name, start), color) in enumerate(zip(starts.items(), (GRAY, RED, GREEN), strict=True)):
        for x in range(start % STRIDE, last, STRIDE):
            if x < max(first, start):
                continue
            box = Rectangle((x + 0.4, -row - 0.33), STRIDE - 0.8, 0.66, facecolor=color, alpha=0.75)
            axes.add_patch(box)
        axes.text(first - 3, -row, f"{name}: {start % STRIDE} mod {STRIDE}", ha="right", va="center", fontsize=8)
    for x, color, side in ((OUTPUT, RED, "left"), (KEPT, GREEN, "right")):
        axes.plot([x, x], [0.45, -2.5], color=color, linewidth=1.2, linestyle="--")
        axes.text(x, 0.5, f" {x} ", color=color, ha=side, va="bottom", fontsize=8)
    axes.set_title(f"Each box: {STRIDE} pixels that the four poolings together make one", fontsize=8.5, pad=8)
    axes.set_xlim(first - 45, last)
    axes.set_ylim(-2.6, 1.1)


# ---------------------------------------------------------------------------------------------------- margin, context


def lost_by_layer() -> Iterator[tuple[str, int]]:
    """For every layer of the 2015 network, the image pixels that it takes from each side."""
    shapes = layer_shapes(PAPER, (INPUT, INPUT))
    covered = {IMAGE: INPUT, **{layer: shapes[layer][0] * PAPER.stride(layer)[0] for layer in PAPER.wiring.layers}}
    for layer in PAPER.wiring.layers:
        if lost := covered[PAPER.sources(layer)[-1]] - covered[layer]:
            yield layer, lost // 2


def draw_context() -> Figure:
    """How the margin adds up, what every output pixel can read, and what it does read."""
    figure = make_figure(6.2)
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1.15))
    _draw_margin(above.subplots())
    left, right = below.subplots(1, 2)
    _draw_intervals(left)
    _draw_gradient(right)
    return figure


def _draw_margin(axes: Axes) -> None:
    """A step for every 3-wide convolution, as high as the pixels it loses per side."""
    colors, total = {"encoder": SKY, "bottleneck": BLUE, "decoder": GREEN}, 0
    names = []
    for index, (layer, lost) in enumerate(lost_by_layer()):
        axes.bar(index, lost, bottom=total, color=colors[layer.partition(".")[0]], width=0.9)
        below = layer.startswith("decoder")
        at, side = (total - 1.5, "top") if below else (total + lost + 1.5, "bottom")
        axes.text(index, at, f"+{lost}", ha="center", va=side, fontsize=7.5)
        total += lost
        names.append(layer)
    axes.axhline(margin(PAPER)[0], color=RED, linewidth=1, linestyle="--")
    axes.text(-0.4, margin(PAPER)[0] - 2, f"margin {margin(PAPER)[0]}", color=RED, va="top", fontsize=8.5)
    open_frame(axes).set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=7)
    axes.set(ylabel="image pixels lost per side", ylim=(0, total + 10))
    axes.set_title(
        "Every 3-wide convolution loses one of its pixels per side: 1, 2, 4, 8 or 16 of the image's", fontsize=8.5
    )


def _draw_intervals(axes: Axes) -> None:
    """What each of the output pixels of one cell of the grid can read, relative to itself."""
    lost = margin(PAPER)[0]
    for at in range(STRIDE):
        start, stop = (end - lost - at for end in read_interval(PAPER, 0, at, at + 1))
        axes.barh(at, stop - start, left=start, color=SKY, height=0.75)
        axes.text(stop + 3, at, f"{stop - start}", va="center", fontsize=6.5)
    for x in (-lost, lost):
        axes.axvline(x, color=RED, linewidth=1, linestyle="--")
    open_frame(axes).set(xlabel="image pixel, relative to the output pixel", ylabel=f"output pixel mod {STRIDE}")
    axes.set_yticks(range(0, STRIDE, 4))
    axes.set_xlim(-125, 135)
    axes.set_title(f"Can be read: up to {receptive_field(PAPER)[0]} pixels", fontsize=8.5)


def measure_gradient(seeds: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """The mean size of the gradient of one output pixel along one axis of the image, and its offsets."""
    lost, size = margin(NARROW)[0], fitting_shape(PAPER, (INPUT // 2,) * 2)[0]
    middle = output_shape(PAPER, (size, size))[0] // 2 // STRIDE * STRIDE
    offsets, total = np.arange(-110, 111), np.zeros(221)
    for seed in range(seeds):
        torch.manual_seed(seed)
        network = UNet(UNetSpec.preset("ronneberger2015", width=4, dropout=0.0))
        image = torch.randn(1, 1, size, size, requires_grad=True)
        scores = network(image)
        for at in range(middle, middle + STRIDE):
            (gradient,) = torch.autograd.grad(scores[0, 0, at, at], image, retain_graph=True)
            total += gradient[0, 0].abs().sum(0).numpy()[offsets + lost + at]
    return offsets, total / total.max()


def _draw_gradient(axes: Axes) -> None:
    """The measured gradient within what can be read."""
    offsets, gradient = measure_gradient()
    open_frame(axes).fill_between(offsets, gradient, color=ORANGE, linewidth=0)
    lost = margin(PAPER)[0]
    for x in (-lost, lost):
        axes.axvline(x, color=RED, linewidth=1, linestyle="--")
    central = gradient[np.abs(offsets) <= lost // 2].sum() / gradient.sum()
    axes.set(xlabel="image pixel, relative to the output pixel", ylabel="mean size of the gradient", ylim=(0, 1.05))
    axes.set_title(f"Is read, untrained: {central:.0%} of it within {lost // 2} pixels", fontsize=8.5)
