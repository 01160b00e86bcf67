"""Ways up, side by side: which pixel reaches which, and that three names are one operation; from the real layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional

from unet_drawing import BLUE, GRAY, GREEN, INK, ORANGE, PALE, PINK, RED, SKY, make_figure, strip, write_table
from unetscope.model.cost import count_cost
from unetscope.model.geometry import fitting_shape, margin, output_shape
from unetscope.model.spec import UNetSpec, Up
from unetscope.model.unet import Layer, Shuffle, UNet, unpool

PHASES = (SKY, ORANGE, PINK, GREEN)  # a color for each place in a window


# ------------------------------------------------------------------------------------------------ one axis: who reaches


def make_layer(up: str, strides: tuple[int, int]) -> Layer:
    """The real layer on the way up from one channel to one, in float64 with weights that differ."""
    spec = UNetSpec.by_level((1, 1), up=up, strides=(strides,))
    torch.manual_seed(3)
    layer = UNet(spec).double().get_submodule("decoder.0.up")
    assert isinstance(layer, Layer)
    return layer


def find_reach(up: str, values: Tensor, pooled_map: Tensor) -> np.ndarray:
    """How much each output (rows) of a layer changes with each input (columns) along an axis."""
    layer = make_layer(up, (1, 2))

    def run(row: Tensor) -> Tensor:
        placing = (pooled_map[None, None, None],) if up == "unpool" else ()
        return layer(row[None, None, None], *placing)[0, 0, 0]

    return np.asarray(torch.autograd.functional.jacobian(run, values))


TITLES = {
    "transposed": "Transposed convolution, kernel = stride\n(= fractionally strided = sub-pixel, 1-wide)",
    "subpixel": "Sub-pixel convolution, 3-wide\n(= transposed, kernel 3 x stride)",
    "nearest": "Nearest interpolation,\nthen a 3-wide convolution",
    "linear": "Linear interpolation,\nthen a 3-wide convolution",
    "unpool": "1-wide convolution, then unpooling\nby the maxima of the map below",
}


def draw_reach() -> Figure:
    """Lines from every input to the outputs it reaches, along one axis, for every way up."""
    figure = make_figure(5.6)
    panels = figure.subplots(3, 2).ravel()
    values = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], dtype=torch.float64)
    pooled_map = torch.tensor([3.0, 7.0, 6.0, 2.0, 1.0, 8.0, 9.0, 4.0, 5.0, 6.0], dtype=torch.float64)
    for axes, up in zip(panels, TITLES, strict=False):
        _draw_lines(strip(axes), find_reach(up, values, pooled_map))
        axes.set_title(TITLES[up], fontsize=8.5)
        if up == "unpool":
            _draw_windows(axes, pooled_map)
    _draw_key(strip(panels[-1]))
    return figure


def _draw_lines(axes: Axes, reach: np.ndarray) -> None:
    """Inputs below, outputs above, a line as strong as the weight between them."""
    outputs, inputs = reach.shape
    scale = np.abs(reach).max()
    for output, entry in np.argwhere(np.abs(reach) > 1e-12):
        strength = abs(reach[output, entry]) / scale
        color = PHASES[output % 2]
        axes.plot([entry + 0.5, (output + 0.5) / 2], [0, 1], color=color, linewidth=0.6 + 2.6 * strength, zorder=1)
    axes.plot(np.arange(inputs) + 0.5, np.zeros(inputs), "s", color=BLUE, markersize=9)
    reached = np.abs(reach).max(axis=1) > 1e-12
    for output in range(outputs):
        face = PHASES[output % 2] if reached[output] else "white"
        axes.plot((output + 0.5) / 2, 1, "o", color=face, markeredgecolor=GRAY, markersize=8)
    axes.set_xlim(-0.2, inputs + 0.2)
    axes.set_ylim(-0.2, 1.2)


def _draw_windows(axes: Axes, pooled_map: Tensor) -> None:
    """The encoder's map below the inputs, its maxima marked."""
    _, places = functional.max_pool1d(pooled_map[None], 2, return_indices=True)
    for index, value in enumerate(pooled_map.tolist()):
        chosen = index in places[0].tolist()
        style = {"weight": "bold", "color": RED} if chosen else {"color": GRAY}
        axes.text((index + 0.5) / 2, -0.42, f"{value:.0f}", ha="center", va="center", fontsize=8.5, **style)
    axes.set_ylim(-0.58, 1.2)


def _draw_key(axes: Axes) -> None:
    """What the marks mean."""
    marks = (
        ("s", BLUE, "pixel that comes up"),
        ("o", SKY, "output at an even place"),
        ("o", ORANGE, "output at an odd place"),
    )
    for row, (mark, color, text) in enumerate((*marks, ("o", "white", "output that nothing reaches: zero"))):
        axes.plot(0.3, -row, mark, color=color, markeredgecolor=GRAY, markersize=8)
        axes.text(0.6, -row, text, va="center", fontsize=8.5)
    axes.text(0.22, -4.1, "a thicker line: a larger weight", fontsize=8.5, va="center")
    axes.set_xlim(0, 5)
    axes.set_ylim(-4.7, 0.6)


# ---------------------------------------------------------------------------------------------- one operation, 3 names


def compare_names() -> Mapping[str, float]:
    """The largest difference between operations that are the same under two names; float64, 5 channels to 3.

    The layers are those of a `UNet`; their weights are rearranged, not fitted.
    """
    spec = {up: UNetSpec.by_level((3, 5), up=up) for up in ("transposed", "subpixel")}
    torch.manual_seed(0)
    layers = {up: UNet(each).double().get_submodule("decoder.0.up") for up, each in spec.items()}
    x = torch.randn(2, 5, 6, 7, dtype=torch.float64)
    weight, bias = layers["transposed"].conv.weight.detach(), torch.randn(3, dtype=torch.float64)
    with torch.no_grad():
        layers["transposed"].conv.bias.copy_(bias)
        layers["subpixel"].conv.bias.copy_(bias.repeat_interleave(4))
        up = layers["transposed"](x)
        fraction = functional.conv2d(spread(x), weight.flip(2, 3).transpose(0, 1), bias, padding=1)[..., :-1, :-1]
        found = {"transposed convolution, as fractionally strided": _distance(up, fraction)}
        wide = layers["subpixel"](x)
        kernel = Shuffle((2, 2))(layers["subpixel"].conv.weight.transpose(0, 1).flip(2, 3))
        again = functional.conv_transpose2d(x, kernel, bias, stride=2, padding=2)
        found["3-wide sub-pixel convolution, as transposed with a 6-wide kernel"] = _distance(wide, again)
        layers["subpixel"].conv.weight.zero_()
        layers["subpixel"].conv.weight[:, :, 1, 1] = weight.permute(1, 2, 3, 0).reshape(12, 5)
        found["transposed convolution, as sub-pixel"] = _distance(up, layers["subpixel"](x))
    return found


def _distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


def spread(x: Tensor) -> Tensor:
    """`x` with a zero after every pixel of both axes: the input of a convolution with stride 1/2."""
    return unpool(x, torch.ones(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3], dtype=x.dtype), (2, 2))


def draw_names() -> Figure:
    """A 2x2 map enlarged to 4x4 by the same weights in three ways, and unpooled; every number is computed."""
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)[None, None]
    kernel = torch.tensor([[1.0, 2.0], [3.0, 5.0]], dtype=torch.float64)[None, None]
    pooled_map = torch.tensor([[5, 1, 2, 2], [0, 3, 7, 1], [4, 8, 1, 0], [6, 2, 3, 9]], dtype=torch.float64)[None, None]
    figure = make_figure(5.4)
    grid = figure.subplots(3, 4)
    same = functional.conv_transpose2d(x, kernel, stride=2)
    copies = functional.conv2d(x, kernel.reshape(4, 1, 1, 1))
    sliding = functional.conv2d(functional.pad(spread(x), (1, 0, 1, 0)), kernel.flip(2, 3))
    rows = (
        (
            ("input", x),
            ("kernel", kernel),
            ("zeros between the pixels", spread(x)),
            ("convolved, kernel turned", sliding),
        ),
        (
            ("transposed: pixel times kernel", same),
            ("sub-pixel: 4 maps, 1-wide", tile_maps(copies)),
            ("rearranged", Shuffle((2, 2))(copies)),
            None,
        ),
        (
            ("input of unpooling", x),
            ("the encoder's map", pooled_map),
            ("unpooled", unpool(x, pooled_map, (2, 2))),
            None,
        ),
    )
    for axes, cell in zip(grid.ravel(), (cell for row in rows for cell in row), strict=True):
        strip(axes)
        if cell:
            _draw_numbers(axes, cell[1][0, 0].numpy(), cell[0])
    _write_findings(grid[1, 3], grid[2, 3])
    return figure


def tile_maps(maps: Tensor) -> Tensor:
    """Four maps as the quarters of one."""
    a, b, c, d = maps[0]
    return torch.cat([torch.cat([a, b], 1), torch.cat([c, d], 1)], 0)[None, None]


def _draw_numbers(axes: Axes, numbers: np.ndarray, title: str) -> None:
    """A grid of numbers; the color tells the place in the window, zeros are pale."""
    size = len(numbers)
    for (y, x), number in np.ndenumerate(numbers):
        if title.startswith("sub-pixel"):
            phase = 2 * (y // 2) + x // 2
        else:
            phase = 2 * (y % 2) + x % 2 if size > 2 or title == "kernel" else None
        face = PALE if number == 0 else SKY if phase is None else PHASES[phase]
        face = BLUE if phase is None else face
        axes.fill([x, x + 1, x + 1, x], [y, y, y + 1, y + 1], facecolor=face, edgecolor="white", alpha=0.85)
        ink = "white" if face == BLUE else GRAY if number == 0 else INK
        axes.text(x + 0.5, y + 0.5, f"{number:g}", ha="center", va="center", fontsize=9, color=ink)
    axes.set_xlim(0, size)
    axes.set_ylim(size, 0)
    axes.set_aspect("equal")
    axes.set_title(title, fontsize=8)


def _write_findings(axes: Axes, other: Axes) -> None:
    """The largest differences, measured on the real layers."""
    lines = [f"{_wrap(name)}: {difference:.1g}" for name, difference in compare_names().items()]
    text = "Largest differences, float64,\n5 to 3 channels:\n\n" + "\n\n".join(lines)
    axes.text(-0.1, 1, text, transform=axes.transAxes, va="top", fontsize=7)
    text = "Unpooling has no kernel:\neach value goes where the\nmaximum of its window was."
    other.text(-0.1, 0.95, text, transform=other.transAxes, va="top", fontsize=7.5)


def _wrap(name: str) -> str:
    return name.replace(", as ", ",\nas ").replace(" with a ", "\nwith a ")


# --------------------------------------------------------------------------------------------------------------- costs


def tabulate_ups() -> str:
    """What every way up costs in the 2015 network, with skips and without."""
    rows = []
    for up in get_args(Up):
        spec = UNetSpec.preset("ronneberger2015", up=up)
        bare = UNetSpec.preset("ronneberger2015", up=up, skips=())
        shape = fitting_shape(spec, (572, 572))
        cost, alone = count_cost(spec, shape), count_cost(bare, shape)
        sizes = f"{shape[0]} -> {output_shape(spec, shape)[0]}"
        products = (f"{each.multiply_adds / 1e9:.1f}" for each in (cost, alone))
        rows.append(
            (f"`{up}`", sizes, margin(spec)[0], cost.parameters, next(products), alone.parameters, next(products))
        )
    headings = (
        "`up`",
        "sizes",
        "margin",
        "parameters",
        "10⁹ multiply-adds",
        "parameters without skips",
        "10⁹ multiply-adds",
    )
    return write_table(headings, rows)
