"""Figures for a paper hold every number, in text that can be read, and are the same bytes every time."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from profiles import FOREIGN, NESTED, SMALL, SPECS, make_epochs, make_profile

from unetscope.errors import DataError
from unetscope.model.spec import UNetSpec
from unetscope.reporting.figures import PAPER_STYLE, styled
from unetscope.reporting.page.u_svg import read_style
from unetscope.reporting.panel import format_bits
from unetscope.reporting.paper_figures import draw_paper_gates, draw_paper_plane, save_figures
from unetscope.reporting.u_figure import COLUMN, HIGH, LOW, PAGE, TEXT, draw_u, draw_us
from unetscope.slimming.comparison import Comparison
from unetscope.slimming.rows import Row, Training

WIRINGS = {"lee2021": SPECS["lee2021"].wiring, "foreign": FOREIGN, "nested": NESTED, "least": SMALL}


def written(figure):
    """Every text that can be seen, with its box in pixels."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    beyond = [label for axes in figure.axes for label in labels_beyond(axes)]
    texts = [one for one in figure.findobj(Text) if one.get_text() and one.get_visible() and one not in beyond]
    return [(text, Text.get_window_extent(text, renderer)) for text in texts], figure.bbox


def labels_beyond(axes):
    """Labels of ticks outside of the axes, which are not drawn."""
    for axis, (low, high) in ((axes.xaxis, sorted(axes.get_xlim())), (axes.yaxis, sorted(axes.get_ylim()))):
        yield from (tick.label1 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high)


def draw(function, *arguments):
    with styled(PAPER_STYLE):
        return function(*arguments)


def make_comparison():
    rows = []
    for place, widths in enumerate([(4, 8), (2, 4)]):
        dice = {"cell": (0.8, 0.9, 0.7 - 0.02 * place)}
        rows.append(
            Row(
                str(widths),
                UNetSpec.by_level(widths),
                {},
                (Training("run", 0, f"{place}", "", dice),),
                1000,
                10,
                10,
                (),
            )
        )
    return Comparison(tuple(rows), tuple("abc"), tuple("abc"), (8, 8), "test", 0.01)


@pytest.mark.parametrize("name", WIRINGS)
def test_the_u_holds_every_number_in_text_that_nothing_covers(name):
    profile = make_profile(WIRINGS[name])
    figure = draw(draw_u, profile)
    texts, page = written(figure)
    shown = [text.get_text() for text, _ in texts]
    for layer in profile.layers:
        assert format_bits(layer.linear.value, profile.prior.value) in shown
    assert figure.get_figwidth() in (COLUMN, PAGE)
    for text, box in texts:
        assert text.get_fontsize() >= TEXT, text
        assert box.x0 >= page.x0 - 1 and box.x1 <= page.x1 + 1, text
        assert box.y0 >= page.y0 - 1 and box.y1 <= page.y1 + 1, text
    upright = [box.shrunk(0.98, 0.8) for _, box in texts]
    assert not any(one.overlaps(other) for one, other in combinations(upright, 2))


def test_what_is_not_told_is_hollow():
    profile = make_profile(FOREIGN, failing=("final_conv",))
    hollow = [layer.layer for layer in profile.layers if profile.word(layer) != "ok"]
    dashed = [patch for patch in draw(draw_u, profile).axes[0].patches if patch.get_linestyle() not in ("-", "solid")]
    white = [patch for patch in dashed if patch.get_facecolor()[:3] == (1.0, 1.0, 1.0)]
    assert "final_conv" in hollow and len(white) == len(hollow)


@pytest.mark.parametrize("draw_one", [draw_paper_gates, lambda profile: draw_paper_plane([(0, profile)])])
def test_other_figures_are_a_column_wide_and_can_be_read(draw_one):
    texts, page = written(draw(draw_one, make_profile(FOREIGN)))
    assert page.width == pytest.approx(COLUMN * 100)
    for text, box in texts:
        assert text.get_fontsize() >= TEXT, text
        assert box.x0 >= page.x0 - 1 and box.x1 <= page.x1 + 1, text


def test_epochs_stand_side_by_side():
    profiles = make_epochs(NESTED, (0, 3, 7))
    figure = draw(draw_us, profiles)
    assert figure.get_figwidth() == PAGE
    shown = [text.get_text() for text, _ in written(figure)[0]]
    assert [one for one in shown if one.startswith("epoch")] == ["epoch 0", "epoch 3", "epoch 7"]


EPOCHS = make_epochs(SMALL, (1, 2))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """What is written for two epochs and a comparison, by name."""
    paths = save_figures(EPOCHS, tmp_path_factory.mktemp("paper"), make_comparison())
    return {path.name: path for path in paths}


def test_each_figure_is_three_files(files):
    stems = ("paper-u", "paper-u-epochs", "paper-plane", "paper-gates", "paper-pareto-multiply-adds")
    assert list(files) == [f"{stem}.{kind}" for stem in stems for kind in ("svg", "pdf", "png")]


def test_they_are_the_same_bytes_each_time(files, tmp_path):
    again = [path for path in save_figures(EPOCHS[1:], tmp_path) if "plane" not in path.name]
    assert len(again) == 6
    assert all(path.read_bytes() == files[path.name].read_bytes() for path in again)


def test_fonts_are_embedded_text_is_text_and_nothing_has_a_date(files):
    drawing, page, picture = (files[f"paper-u.{kind}"].read_bytes() for kind in ("svg", "pdf", "png"))
    assert b"/FontFile2" in page and b"/CIDFontType2" in page and b"CreationDate" not in page
    assert b">out<" in drawing and b"dc:date" not in drawing
    assert int.from_bytes(picture[16:20], "big") == int(COLUMN * 300)


def test_colors_are_those_of_the_page():
    named = dict(re.findall(r"--u-(low|high): (#[0-9a-f]{6});", read_style().partition("@media")[0]))
    assert named == {"low": LOW, "high": HIGH}


def test_what_cannot_be_drawn_is_refused(tmp_path):
    with pytest.raises(DataError, match="give one of them"):
        save_figures([], tmp_path)
    with pytest.raises(DataError, match="different layers"):
        save_figures([(0, make_profile(SMALL)), (1, make_profile(NESTED))], tmp_path)
    assert not list(Path(tmp_path).iterdir())
