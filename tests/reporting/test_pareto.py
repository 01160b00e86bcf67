"""The picture of Dice against cost shows its numbers, names cover nothing, and words show in shape and color."""

from __future__ import annotations

import hashlib
from itertools import combinations, pairwise

import numpy as np
import pytest

from unetscope.model.spec import UNetSpec
from unetscope.reporting.figures import save_figure
from unetscope.reporting.name_places import place_names
from unetscope.reporting.pareto import MARKS, Point, draw_pareto, find_front, list_points, save_paretos
from unetscope.slimming.comparison import Comparison
from unetscope.slimming.rows import Row, Training
from unetscope.slimming.speed import Timing


def make_points(count=9):
    """Networks of which some cost and score nearly the same, and the one that they are compared with."""
    generator = np.random.default_rng(0)
    words = [word for word in MARKS if word is not None]
    costs, values = 10 ** generator.uniform(3, 5, count), generator.normal(0.88, 0.01, count)
    costs[:3], values[:3] = costs[0] * np.array([1, 1.01, 1.02]), values[0] + np.array([0, 0.0001, -0.0001])
    points = [
        Point(f"network {index}", costs[index], values[index], values[index] - 0.01, values[index] + 0.01, word)
        for index, word in zip(range(count), words * count, strict=False)
    ]
    return [Point("16-32-64-128-256", 1e5, 0.89, 0.885, 0.895), *points]


def lines_of(figure, **wanted):
    """The lines of the axes with some properties."""
    return [line for line in figure.axes[0].lines if all(getattr(line, f"get_{k}")() == v for k, v in wanted.items())]


def test_marks_and_whiskers_are_the_numbers():
    points = make_points()
    figure = draw_pareto(points, "multiply-adds per pixel", margin=0.01)
    for point in points:
        mark = MARKS[point.word]
        dots = lines_of(figure, marker=mark.shape)
        assert (point.cost, point.value) in [(dot.get_xdata()[0], dot.get_ydata()[0]) for dot in dots]
        ends = [tuple(line.get_ydata()) for line in lines_of(figure, color=mark.color, marker="None")]
        assert any(end == pytest.approx((point.low, point.high)) for end in ends)
    assert figure.axes[0].get_xscale() == "log"
    assert figure.axes[0].get_xlabel() == "multiply-adds per pixel"


def test_words_differ_in_shape_and_in_color_or_filling():
    for one, other in combinations(MARKS.values(), 2):
        assert one.shape != other.shape
        assert (one.color, one.filled) != (other.color, other.filled)


def test_the_front_is_what_nothing_cheaper_reaches():
    points = make_points(30)
    front = find_front(points)
    for point in points:
        beaten = any(other.cost <= point.cost and other.value >= point.value for other in points if other is not point)
        assert (point in front) == (not beaten)
    assert find_front(points[::-1]) == front


def test_the_step_line_runs_along_the_front():
    points = make_points()
    figure, front = draw_pareto(points, "cost"), find_front(points)
    (line,) = [line for line in lines_of(figure) if line.get_linewidth() == 2.5]
    corners = list(zip(line.get_xdata(), line.get_ydata(), strict=True))
    assert corners[::2] == [(point.cost, point.value) for point in front]
    assert all(one[0] == other[0] or one[1] == other[1] for one, other in pairwise(corners))


def test_the_margin_lies_below_what_is_compared_with():
    dashed = lines_of(draw_pareto(make_points(), "cost", margin=0.02), linestyle="--")
    assert any(line.get_ydata()[0] == pytest.approx(0.87) for line in dashed)
    assert not lines_of(draw_pareto(make_points(), "cost"), linestyle="--")


def test_names_do_not_cover_each_other_or_leave_the_axes():
    figure = draw_pareto(make_points(14), "cost", margin=0.01)
    renderer = figure.canvas.get_renderer() if hasattr(figure.canvas, "get_renderer") else None
    boxes = [text.get_window_extent(renderer) for text in figure.axes[0].texts]
    assert len(boxes) == 15
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    frame = figure.axes[0].get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)


def test_no_line_to_a_name_passes_another_mark():
    values = (0.94, 0.937, 0.933, 0.931, 0.930, 0.928, 0.881)
    close = [
        Point(f"{number}-16-33-33-33", 1000 * 1.006**number, value, value - 0.01, value + 0.01)
        for number, value in enumerate(values)
    ]
    figure = draw_pareto(close, "cost")
    axes = figure.axes[0]
    marks = [axes.transData.transform((point.cost, point.value)) for point in close]
    drawn = [axes.transData.transform(line.get_xydata()) for line in lines_of(figure) if line.get_linewidth() == 0.5]
    assert len(drawn) > 2
    for start, end in drawn:
        others = [mark for mark in marks if abs(mark - start).max() > 0.01]
        ways = [start + share * (end - start) for share in np.linspace(0, 1, 50)]
        assert min(np.hypot(*(mark - way)) for mark in others for way in ways) > 2.5


def test_a_name_without_room_still_gets_a_place():
    boxes = place_names([(5, 5)] * 3, [(8, 4)] * 3, [(0, 0, 10, 10)], (0, 0, 10, 10))
    assert len(boxes) == 3


def test_one_network_and_whiskers_without_ends_can_be_drawn(tmp_path):
    alone = Point("alone", 1000, 0.9, -1.0, 1.0)
    bottom, top = draw_pareto([alone], "cost").axes[0].get_ylim()
    assert 0.8 < bottom < 0.9 < top < 1


def test_names_are_written_as_they_are(tmp_path):
    point = Point(r"$\frac{a$ & b", 1000, 0.9, 0.8, 1.0)
    figure = draw_pareto([point], "cost")
    assert [text.get_text() for text in figure.axes[0].texts] == [point.name]
    save_figure(figure, tmp_path / "pareto")


def test_equal_points_give_equal_files(tmp_path):
    digests = []
    for name in ("one", "two"):
        paths = save_figure(draw_pareto(make_points(), "cost", "title", 0.01), tmp_path / name / "pareto")
        digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in paths])
    assert digests[0] == digests[1]


def make_comparison(ways):
    """Two networks with two trainings each; the second is twice as fast, and best in bfloat16."""
    rows = []
    for place, widths in enumerate([(4, 8), (2, 4)]):
        trainings = tuple(
            Training(f"run{seed}", seed, f"{place}{seed}", "", {"cell": (0.8, 0.9, 0.7 + 0.01 * seed - 0.02 * place)})
            for seed in range(2)
        )
        timings = tuple(Timing(*way, (8, 8), (pace / (1 + place),), (1.0 + place,)) for way, pace in ways.items())
        spec = UNetSpec.by_level(widths)
        rows.append(Row("-".join(map(str, widths)), spec, {}, trainings, 1000, 10, 10, timings))
    return Comparison(tuple(rows), tuple("abc"), tuple("abc"), (8, 8), "test", 0.01)


WAYS = {("torch", "float32"): 30.0, ("torch", "bfloat16"): 10.0}


def test_points_of_a_comparison_carry_their_differences():
    compared = make_comparison(WAYS)
    first, second = list_points(compared, [5.0, 2.0])
    found = compared.differences[0]
    assert (first.word, second.word) == (None, "no verdict")
    assert second.value - first.value == pytest.approx(found.value)
    assert (second.low - first.value, second.high - first.value) == pytest.approx((found.low, found.high))
    assert first.high - first.value == pytest.approx(compared.chance.high)


def test_pictures_are_written_for_the_fastest_way(tmp_path):
    names = [path.name for path in save_paretos(make_comparison(WAYS), tmp_path)]
    stems = ("pareto-multiply-adds", "pareto-milliseconds")
    assert names == [f"{stem}.{suffix}" for stem in stems for suffix in ("svg", "png")]
    assert len(save_paretos(make_comparison({}), tmp_path / "untimed")) == 2
