"""The ladder shows all layers between the references, at their heights."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiles import SMALL, WIRINGS, make_profile
from test_uplot import written

from unetscope.information.findings import EDGE, INSIDE, LINEAR, MLP, SHUFFLED, UNTRAINED
from unetscope.reporting.beside import spread_out
from unetscope.reporting.figures import save_figure
from unetscope.reporting.ladder import draw_ladder


def heights(axes, shape):
    """Heights of the single marks of a shape, from left to right."""
    marks = [line for line in axes.lines if len(line.get_xdata()) == 1 and line.get_marker() == shape]
    return [float(line.get_ydata()[0]) for line in sorted(marks, key=lambda line: line.get_xdata()[0])]


@pytest.mark.parametrize("name", WIRINGS)
def test_layers_stand_in_order_at_their_heights(name):
    profile = make_profile(WIRINGS[name])
    _, ladder, edge, inside = draw_ladder(profile).axes
    assert heights(ladder, "o") == [layer.linear.value for layer in profile.layers]
    assert heights(ladder, "s") == [layer.bits[MLP].value for layer in profile.layers if MLP in layer.bits]
    for axes, stratum in ((edge, EDGE), (inside, INSIDE)):
        shares = [layer.bits[stratum].value / layer.bits[stratum].scale for layer in profile.layers]
        assert heights(axes, "o") == pytest.approx(shares)


def test_references_and_twins_are_lines():
    profile = make_profile(WIRINGS["lee2021"])
    ladder = draw_ladder(profile).axes[1]
    flat = [float(line.get_ydata()[0]) for line in ladder.lines if list(line.get_xdata()) == [0, 1]]
    linear = [one.value for name, one in profile.floors.items() if not name.endswith("mlp")]
    assert sorted(flat) == sorted([*linear, profile.prior.value])
    lines = [list(line.get_ydata()) for line in ladder.lines]
    for twin in (UNTRAINED, SHUFFLED):
        assert [layer.bits[twin].value for layer in profile.layers] in lines


@pytest.mark.parametrize("name", ["lee2021", "depth 0", "foreign"])
def test_texts_stay_on_the_page_and_can_be_read(name):
    texts, page = written(draw_ladder(make_profile(WIRINGS[name])))
    for text, box in texts:
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1, text
        assert text.get_fontsize() >= 7


def test_what_was_not_measured_is_said():
    profile = make_profile(SMALL)
    kept = {LINEAR, UNTRAINED, SHUFFLED}
    layers = (replace(one, bits={name: one.bits[name] for name in kept}) for one in profile.layers)
    texts = [text.get_text() for text, _ in written(draw_ladder(replace(profile, layers=tuple(layers))))[0]]
    assert "elsewhere, not measured" in texts


def test_one_image_can_be_drawn_and_files_repeat(tmp_path):
    profile = make_profile(SMALL, images=1, prior=0.01)
    first, second = (save_figure(draw_ladder(profile), tmp_path / folder / "ladder") for folder in ("first", "second"))
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


@given(st.lists(st.floats(0, 1), max_size=12), st.floats(0.001, 0.08))
def test_names_keep_their_order_and_their_distance(values, least):
    places = spread_out(values, least)
    assert len(places) == len(values)
    order = sorted(range(len(values)), key=lambda index: values[index])
    for lower, upper in pairwise(order):
        assert places[upper] - places[lower] >= 0.95 * least
    if values:
        assert np.mean(places) == pytest.approx(np.mean(values), abs=1e-6)
