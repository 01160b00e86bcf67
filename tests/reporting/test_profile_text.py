"""A profile as a table holds every layer and every path, with what is known of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from profiles import WIRINGS, make_profile

from displayed import read_html
from unetscope.information.findings import LINEAR, UNTRAINED
from unetscope.information.profile_text import LAYERS, format_quantity, tabulate_gates, tabulate_layers
from unetscope.information.sentences import describe


@pytest.mark.parametrize("name", WIRINGS)
def test_every_layer_and_path_has_a_row_of_all_columns(name):
    profile = make_profile(WIRINGS[name])
    layers, gates = tabulate_layers(profile), tabulate_gates(profile)
    assert [row[0] for row in layers.rows] == list(WIRINGS[name].layers)
    assert len(gates.rows) == sum(len(WIRINGS[name].sources[join]) for join in WIRINGS[name].joins())


def test_values_stand_with_their_half_widths():
    profile = make_profile(WIRINGS["lee2021"])
    table = tabulate_layers(profile)
    for layer, row in zip(profile.layers, table.rows, strict=True):
        cells = dict(zip(table.columns, row, strict=True))
        assert cells["linear"] == f"{layer.linear.value:.3f} \u00b1 {layer.linear.interval.half_width:.3f}"
        assert cells["by training"].startswith(f"{layer.linear.value - layer.bits[UNTRAINED].value:.3f}")
        assert (cells["mlp"] == "-") == ("mlp" not in layer.bits)
        assert cells["verdict"] == profile.word(layer)


def test_the_finest_gate_comes_first_and_says_what_it_is_for():
    profile = make_profile(WIRINGS["lee2021"])
    table = tabulate_gates(profile)
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [row["gate"] for row in rows[::2]] == [f"decoder.{level}.conv1" for level in range(4)]
    assert rows[0]["part"] == "skip"
    assert rows[1]["part"] == "up"
    assert [row["status"].split(" (")[0] for row in rows[1::2]] == ["needed", "needed", "cannot tell", "dead"]


def test_what_other_families_say_is_said():
    profile = make_profile(WIRINGS["depth 1"], words={("decoder.0.conv1", "decoder.0.up"): "redundant"})
    (gate,) = profile.gates
    skip, up = gate.parts
    flipped = replace(up, added={**up.added, "mlp": skip.added[LINEAR]})
    rows = tabulate_gates(replace(profile, gates=(replace(gate, parts=(skip, flipped)),))).rows
    assert rows[1][-1] == "redundant (mlp says otherwise)"


def test_a_single_image_has_no_interval():
    assert format_quantity(make_profile(images=1).layers[0].linear).endswith("\u00b1 ?")


@pytest.mark.parametrize("name", ["lee2021", "depth 0"])
def test_a_notebook_shows_layers_gates_and_sentences(name):
    profile = replace(make_profile(WIRINGS[name], name="<b>mine</b>"), warnings=("few images",))
    layers, *gates_and_sentences = read_html(profile._repr_html_())
    assert layers.rows == tabulate_layers(profile).select(*LAYERS).rows
    assert layers.caption.startswith("<b>mine</b>")
    gates = [block for block in gates_and_sentences if not isinstance(block, str)]
    assert sum(len(table.rows) for table in gates) == 2 * len(profile.gates)
    assert gates_and_sentences[len(gates) :] == list(describe(profile))
    assert gates_and_sentences[-1] == "Few images."
