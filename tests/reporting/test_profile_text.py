"""A profile as a table holds every layer and every path, with what is known of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from profiles import WIRINGS, make_profile

from unetscope.information.findings import LINEAR, UNTRAINED
from unetscope.reporting.profile_text import (
    GATE_COLUMNS,
    LAYER_COLUMNS,
    format_gates,
    format_layers,
    format_markdown,
    format_quantity,
)


@pytest.mark.parametrize("name", WIRINGS)
def test_every_layer_and_path_has_a_row_of_all_columns(name):
    profile = make_profile(WIRINGS[name])
    layers, gates = format_layers(profile), format_gates(profile)
    assert [row[0] for row in layers] == list(WIRINGS[name].layers)
    assert {len(row) for row in layers} == {len(LAYER_COLUMNS)}
    assert len(gates) == sum(len(WIRINGS[name].sources[join]) for join in WIRINGS[name].joins())
    assert {len(row) for row in gates} <= {len(GATE_COLUMNS)}


def test_values_stand_with_their_half_widths():
    profile = make_profile(WIRINGS["lee2021"])
    for layer, row in zip(profile.layers, format_layers(profile), strict=True):
        cells = dict(zip(LAYER_COLUMNS, row, strict=True))
        assert cells["linear"] == f"{layer.linear.value:.3f} \u00b1 {layer.linear.interval.half_width:.3f}"
        assert cells["by training"].startswith(f"{layer.linear.value - layer.bits[UNTRAINED].value:.3f}")
        assert (cells["mlp"] == "-") == ("mlp" not in layer.bits)
        assert cells["verdict"] == profile.word(layer)


def test_the_finest_gate_comes_first_and_says_what_it_is_for():
    profile = make_profile(WIRINGS["lee2021"])
    rows = [dict(zip(GATE_COLUMNS, row, strict=True)) for row in format_gates(profile)]
    assert [row["gate"] for row in rows[::2]] == [f"decoder.{level}.conv1" for level in range(4)]
    assert rows[0]["part"] == "skip"
    assert rows[1]["part"] == "up"
    assert [row["status"].split(" (")[0] for row in rows[1::2]] == ["needed", "needed", "cannot tell", "dead"]


def test_what_other_families_say_is_said():
    profile = make_profile(WIRINGS["depth 1"], words={("decoder.0.conv1", "decoder.0.up"): "redundant"})
    (gate,) = profile.gates
    skip, up = gate.parts
    flipped = replace(up, added={**up.added, "mlp": skip.added[LINEAR]})
    rows = format_gates(replace(profile, gates=(replace(gate, parts=(skip, flipped)),)))
    assert rows[1][-1] == "redundant (mlp says otherwise)"


def test_a_single_image_has_no_interval():
    assert format_quantity(make_profile(images=1).layers[0].linear).endswith("\u00b1 ?")


def test_markdown_has_a_line_for_every_row():
    profile = make_profile(WIRINGS["depth 1"])
    lines = format_markdown(LAYER_COLUMNS, format_layers(profile)).splitlines()
    assert len(lines) == 2 + len(profile.layers)
    assert {line.count("|") for line in lines} == {len(LAYER_COLUMNS) + 1}
