"""The U-Plot of a profile shows every number with its verdict, hides nothing and is the same file every time."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from profiles import NESTED, SMALL, WIRINGS, make_profile

from unetscope.information.findings import LINEAR, MLP, SHUFFLED, UNTRAINED
from unetscope.reporting.figures import save_figure
from unetscope.reporting.palette import STROKES
from unetscope.reporting.panel import SIGNED_COLORS, choose_colors, format_bits
from unetscope.reporting.placement import assign_lanes, place_layers
from unetscope.reporting.uplot import control_panels, draw_uplot, flow_panel, gain_panel


def written(figure):
    """Every text that can be seen, with its box in pixels."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    unseen = {label for axes in figure.axes for label in labels_beyond(axes)}
    texts = [one for one in figure.findobj(Text) if one.get_text() and one.get_visible() and one not in unseen]
    return [(text, Text.get_window_extent(text, renderer)) for text in texts], figure.bbox


def labels_beyond(axes):
    """Labels of ticks outside of the limits of their axis, which are not drawn."""
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            if not low - 1e-9 <= tick.get_loc() <= high + 1e-9:
                yield from (tick.label1, tick.label2)


@pytest.mark.parametrize("name", WIRINGS)
def test_no_label_overlaps_another_or_leaves_the_page(name):
    texts, page = written(draw_uplot(make_profile(WIRINGS[name]), "runs/nuclei"))
    for text, box in texts:
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1, text
        assert text.get_fontsize() >= 7
    for (one, box), (other, other_box) in combinations(texts, 2):
        overlap = min(box.x1, other_box.x1) - max(box.x0, other_box.x0)
        assert overlap <= 0 or min(box.y1, other_box.y1) - max(box.y0, other_box.y0) <= 0, (one, other)


@pytest.mark.parametrize("name", ["lee2021", "nested"])
def test_every_number_is_written(name):
    profile = make_profile(WIRINGS[name])
    found = [text.get_text() for text, _ in written(draw_uplot(profile))[0]]
    for panel in (flow_panel(profile), gain_panel(profile), *control_panels(profile)):
        assert panel.title in found
        for layer, bits in panel.bits.items():
            found.remove(format_bits(bits, panel.ceiling))
            assert panel.write(layer) == format_bits(bits, panel.ceiling)
        for note in panel.notes.values():
            found.remove(note)
    together = " ".join(found)
    for gate in profile.gates:
        for part in gate.parts:
            added = part.added[LINEAR]
            assert f"{added.value:.3f}".replace("-0.000", "0.000") in together
            assert f"\u00b1{added.interval.half_width:.3f}" in together


def test_panels_hold_what_was_measured():
    profile = make_profile(WIRINGS["lee2021"])
    assert flow_panel(profile).bits == {layer.layer: layer.linear.value for layer in profile.layers}
    for layer in profile.layers:
        gain = gain_panel(profile).bits[layer.layer]
        assert gain == pytest.approx(layer.linear.value - layer.bits[UNTRAINED].value)
    untrained, shuffled, mlp = control_panels(profile)
    for panel, name in ((untrained, UNTRAINED), (shuffled, SHUFFLED), (mlp, MLP)):
        assert panel.bits == {one.layer: one.bits[name].value for one in profile.layers if name in one.bits}


def test_what_cannot_be_told_is_hatched_and_what_fails_its_control_is_hollow():
    failing = ("encoder.1.conv2", "head")
    profile = make_profile(WIRINGS["lee2021"], failing=failing)
    panel = flow_panel(profile)
    assert panel.hollow == set(failing)
    assert panel.void == {layer.layer for layer in profile.layers if profile.word(layer) == "cannot tell"}
    assert panel.void
    assert not panel.void & panel.hollow
    figure = draw_uplot(profile)
    hatched = figure.findobj(lambda artist: getattr(artist, "get_hatch", str)())
    assert len(hatched) == len(panel.void) + len(gain_panel(profile).void) + 1  # and the key


def test_an_untrained_network_gains_nothing_that_could_be_told():
    profile = make_profile(WIRINGS["depth 1"], skill=-0.01, seed=3)
    panel = gain_panel(profile)
    quiet = {one.layer for one in profile.layers if not profile.beyond_twin(one).interval.excludes(0)}
    assert panel.void == quiet


@pytest.mark.parametrize("word", STROKES)
def test_arrows_say_what_a_path_is_for(word):
    join = "decoder.0.conv1"
    words = {(join, "decoder.0.up"): word}
    profile = make_profile(WIRINGS["depth 1"], words=words)
    (gate,) = profile.gates
    assert gate.part("up").status.word == word
    flow = flow_panel(profile).flows["decoder.0.up", join]
    assert flow.stroke == STROKES[word]
    assert flow.blocked == (word == "dead")
    lines = draw_uplot(profile).axes[1].lines
    assert any(
        line.get_color() == STROKES[word].color and line.get_linewidth() == STROKES[word].width for line in lines
    )


def test_words_differ_in_more_than_color():
    assert len({stroke.dashes for stroke in STROKES.values()}) == len(STROKES)


def test_references_stand_on_the_color_bar():
    texts = [text.get_text() for text, _ in written(draw_uplot(make_profile(WIRINGS["depth 1"])))[0]]
    profile = make_profile(WIRINGS["depth 1"])
    for name, floor in (("position alone", "position"), ("15-pixel window", "patch 15")):
        assert f"{name} {profile.floors[floor].value:.2f}" in texts


def test_the_facts_are_written():
    profile = replace(make_profile(networks=3), warnings=("some images were small",))
    text = " ".join(" ".join(text.get_text().split()) for text, _ in written(draw_uplot(profile))[0])
    for fact in ("nuclei-16-32-64", "65 images of 3 networks", "background, nucleus", "Note: some images were small."):
        assert fact in text
    assert f"{profile.prior.value:.3f}" in text


@pytest.mark.parametrize(("images", "prior"), [(1, 0.57), (2, 0.01), (30, 2.5)])
def test_few_images_and_rare_labels_can_be_drawn(images, prior):
    profile = make_profile(images=images, prior=prior)
    written(draw_uplot(profile))
    notes = flow_panel(profile).notes.values()
    assert all(note == "\u00b1?" for note in notes) == (images == 1)


def test_files_are_the_same_every_time(tmp_path):
    profile = make_profile(SMALL)
    first, second = (save_figure(draw_uplot(profile), tmp_path / folder / "uplot") for folder in ("first", "second"))
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_the_settings_of_matplotlib_stay_as_they_are():
    before = dict(matplotlib.rcParams)
    draw_uplot(make_profile())
    assert dict(matplotlib.rcParams) == before


def relative_luminance(color):
    parts = np.array(matplotlib.colors.to_rgb(color))
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_numbers_can_be_read_on_every_signed_color():
    """Contrast as the Web Content Accessibility Guidelines 2.1 define it."""
    span = matplotlib.colors.Normalize(-1, 1)
    for bits in np.linspace(-1, 1, 501):
        dark, light = sorted(relative_luminance(color) for color in choose_colors(bits, span, SIGNED_COLORS))
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_bridges_of_one_row_never_cover_each_other():
    layout = place_layers(NESTED)
    lanes = assign_lanes(NESTED, layout)
    assert lanes["x00", "x02"] not in (lanes["x00", "x01"], lanes["x01", "x02"])
    assert lanes["x10", "x11"] == 0
