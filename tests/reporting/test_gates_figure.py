"""The figure of the gates shows every path with its intervals and its word, on one scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from profiles import SMALL, WIRINGS, make_profile
from test_uplot import written

from unetscope.errors import DataError
from unetscope.information.findings import CONVOLUTIONAL, LINEAR
from unetscope.information.quantity import GATE_SHARE
from unetscope.reporting.figures import save_figure
from unetscope.reporting.gates import VARIANTS, draw_gates, measured_variants

JOINED = [name for name, wiring in WIRINGS.items() if wiring.joins()]


def marks(axes):
    """Where single marks stand, by shape."""
    return {(line.get_marker(), float(line.get_xdata()[0])) for line in axes.lines if len(line.get_xdata()) == 1}


def whiskers(axes):
    return {tuple(map(float, line.get_xdata())) for line in axes.lines if line.get_solid_capstyle() == "butt"}


@pytest.mark.parametrize("name", JOINED)
def test_every_path_is_drawn_with_its_interval(name):
    profile = make_profile(WIRINGS[name])
    _, bits, dice = draw_gates(profile).axes
    for gate in profile.gates:
        for part in gate.parts:
            added, lost = part.added[LINEAR], part.lost_dice
            assert ("o", added.value) in marks(bits)
            assert (added.interval.low, added.interval.high) in whiskers(bits)
            assert ("o", lost.value) in marks(dice)
            assert (lost.interval.low, lost.interval.high) in whiskers(dice)


@pytest.mark.parametrize("name", ["lee2021", "foreign", "nested"])
def test_texts_stay_on_the_page_and_can_be_read(name):
    texts, page = written(draw_gates(make_profile(WIRINGS[name])))
    for text, box in texts:
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1, text
        assert text.get_fontsize() >= 7


def test_the_threshold_is_drawn_where_it_is():
    profile = make_profile(WIRINGS["lee2021"])
    bits = draw_gates(profile).axes[1]
    threshold = GATE_SHARE * profile.prior.value
    assert any(np.allclose(line.get_xdata(), threshold) for line in bits.lines)
    low, high = bits.get_xlim()
    assert low < 0 < threshold < high


def test_the_finest_gate_is_on_top():
    texts, _ = written(draw_gates(make_profile(WIRINGS["lee2021"])))
    heights = {text.get_text(): box.y0 for text, box in texts}
    joins = [f"decoder.{level}.conv1" for level in range(4)]
    assert sorted(joins, key=lambda join: -heights[join]) == joins


def test_words_and_images_wanted_are_written():
    profile = make_profile(WIRINGS["lee2021"])
    texts = [text.get_text() for text, _ in written(draw_gates(profile))[0]]
    words = [part.status.word for gate in profile.gates for part in gate.parts]
    assert {"needed", "redundant", "dead", "cannot tell"} == set(words)
    for word in words:
        texts.remove(word)
    (wanted,) = (part.status.images for gate in profile.gates for part in gate.parts if part.status.images)
    assert f"about {wanted} images would" in texts


def test_a_contradicting_family_is_named():
    profile = make_profile(WIRINGS["depth 1"], words={("decoder.0.conv1", "decoder.0.up"): "redundant"})
    (gate,) = profile.gates
    skip, up = gate.parts
    flipped = replace(up, added={**up.added, CONVOLUTIONAL: skip.added[LINEAR]})
    profile = replace(profile, gates=(replace(gate, parts=(skip, flipped)),))
    assert CONVOLUTIONAL in measured_variants(profile)
    texts = [text.get_text() for text, _ in written(draw_gates(profile))[0]]
    assert "convolutional: the contrary" in texts
    assert VARIANTS[CONVOLUTIONAL] in texts


def test_the_position_is_left_out_where_it_says_nothing_of_its_own():
    profile = make_profile(WIRINGS["depth 1"])
    (gate,) = profile.gates
    same = tuple(replace(part, beyond_position=part.added[LINEAR]) for part in gate.parts)
    without = replace(profile, gates=(replace(gate, parts=same),))
    assert len(measured_variants(without)) == len(measured_variants(profile)) - 1


def test_a_network_without_gates_is_told():
    with pytest.raises(DataError, match="no gate"):
        draw_gates(make_profile(WIRINGS["depth 0"]))


def test_one_image_can_be_drawn_and_files_repeat(tmp_path):
    profile = make_profile(SMALL, images=1)
    first, second = (save_figure(draw_gates(profile), tmp_path / folder / "gates") for folder in ("first", "second"))
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
