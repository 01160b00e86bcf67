"""The picture of a sizing shows its numbers, and which of them cannot be told."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from unetscope.information.quantity import Quantity
from unetscope.information.sizing.choices import choose_smallest
from unetscope.information.sizing.growth import foresee
from unetscope.information.sizing.sizing import ClassCount, Sizing, SizingSettings
from unetscope.information.tally import Tally
from unetscope.reporting.figures import save_figure
from unetscope.reporting.sizing_figure import draw_sizing

SIZES = (1, 3, 7, 15, 31, 63)


def make_sizing(spread=0.01, shares=(0.25, 0.5, 1.0)):
    """A sizing whose bits rise up to windows of 7 pixels, from 12 images."""
    chance = np.random.default_rng(0)

    def tally(value):
        return Tally.of(chance.normal(value, spread, 12))

    windows = {size: tally(min(0.1 * number, 0.2)) for number, size in enumerate(SIZES)}
    widths = dict.fromkeys((4, 8, 16, 32, 64), windows[7])
    curve = {share: tally(0.25 - 0.05 / share) for share in shares}
    quantities = [{at: Quantity(each, 0.5) for at, each in tallies.items()} for tallies in (windows, widths, curve)]
    return Sizing(
        tuple(f"{number}.png" for number in range(12)),
        (ClassCount("background", 1.0, 12, 100, False),),
        2,
        100,
        Quantity(tally(0.5), 0.5),
        Quantity(tally(0.01), 0.5),
        *quantities,
        choose_smallest(windows, 0.5),
        choose_smallest(widths, 0.5),
        foresee(curve, 0.5),
        None,
        SizingSettings(),
        {},
    )


def points(axes):
    """The points of the curve: the only scatter in the axes."""
    (scatter,) = [each for each in axes.collections if len(each.get_offsets()) > 1]
    return scatter


def test_points_are_the_values_at_their_places():
    sizing = make_sizing()
    left, right = draw_sizing(sizing, "cells").axes
    assert np.allclose(points(left).get_offsets(), [(size, each.value) for size, each in sizing.windows.items()])
    assert np.allclose(points(right).get_offsets(), [(12 * at, each.value) for at, each in sizing.shares.items()])
    assert left.get_title("left") == "cells"
    assert [label.get_text() for label in right.get_xticklabels()] == ["3", "6", "12", "24"]


@pytest.mark.parametrize(("spread", "hollow"), [(0.001, 0), (0.5, 6)])
def test_what_cannot_be_told_is_hollow(spread, hollow):
    sizing = make_sizing(spread)
    left, _ = draw_sizing(sizing).axes
    faces = points(left).get_facecolors()
    assert int((faces[:, :3] == 1).all(axis=1).sum()) == hollow


def test_a_curve_of_one_point_has_no_expectation():
    sizing = make_sizing(shares=(1.0,))
    assert sizing.growth is None
    _, right = draw_sizing(sizing).axes
    assert [label.get_text() for label in right.get_xticklabels()] == ["12"]


def test_files_are_the_same_each_time(tmp_path):
    def save(name):
        return [
            hashlib.sha256(path.read_bytes()).digest()
            for path in save_figure(draw_sizing(make_sizing()), tmp_path / name)
        ]

    assert save("a") == save("b")
