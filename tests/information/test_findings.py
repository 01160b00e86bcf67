"""What follows from measured bits: words, bounds, pooled intervals, files."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from unetscope.errors import DataError
from unetscope.information.findings import LINEAR, MLP, Gate, LayerProfile, Part, judge_part
from unetscope.information.profile import Profile, pool_profiles
from unetscope.information.quantity import Quantity
from unetscope.information.tally import Tally
from unetscope.wiring import Wiring

IMAGES = 40
WIRING = Wiring(
    {"skip": ("image",), "up": ("skip",), "join": ("skip", "up"), "head": ("join",)},
    {"skip": (1, 1), "up": (1, 1), "join": (1, 1), "head": (1, 1)},
    {"image": 1, "skip": 2, "up": 2, "join": 3, "head": 2},
)


def make_quantity(mean, spread=0.01, images=IMAGES, seed=0, scale=0.5):
    chance = np.random.default_rng(seed)
    counts = np.full(images, 100.0)
    return Quantity(Tally.of(counts * (mean + spread * chance.normal(size=images)), counts), scale)


def make_gate(skip, up, both, join="join", seed=0):
    """A gate of given bits, whose conditional parts follow."""
    alone = {"skip": make_quantity(skip, seed=seed), "up": make_quantity(up, seed=seed)}
    together = make_quantity(both, seed=seed)
    parts = tuple(
        Part(
            source=name,
            kind="up" if name == "up" else "skip",
            alone={LINEAR: alone[name]},
            added={LINEAR: together.minus(alone[other])},
            beyond_position=together.minus(alone[other]),
            lost_dice=make_quantity(0.1, scale=1.0),
            is_flat=False,
        )
        for name, other in (("skip", "up"), ("up", "skip"))
    )
    return Gate(join, (1, 1), parts, {LINEAR: together})


def make_profile(seed=0, shuffled=0.0, gate=(0.2, 0.2, 0.3)):
    def layer(name, mean):
        bits = {
            LINEAR: make_quantity(mean, seed=seed),
            "untrained": make_quantity(0.05, seed=seed + 1),
            "shuffled": make_quantity(shuffled, seed=seed + 2),
        }
        return LayerProfile(name, (1, 1), 2, bits, 1.5)

    return Profile(
        name="test",
        wiring=WIRING,
        classes=("background", "cell"),
        images=tuple(f"{index}" for index in range(IMAGES)),
        prior=make_quantity(0.5, seed=seed + 3),
        floors={"position": make_quantity(0.0, seed=seed + 2), "patch 1": make_quantity(0.1, seed=seed)},
        layers=tuple(layer(name, mean) for name, mean in zip(WIRING.layers, (0.1, 0.2, 0.3, 0.31), strict=True)),
        gates=(make_gate(*gate, seed=seed),),
        settings={"seed": 0},
        provenance={"data": "x"},
    )


@pytest.mark.parametrize(
    ("added", "spread", "is_flat", "word"),
    [
        (0.1, 0.01, False, "needed"),
        (0.0, 0.001, False, "redundant"),
        (-0.01, 0.001, False, "redundant"),
        (0.005, 0.05, False, "cannot tell"),
        (0.0, 0.0, True, "dead"),
        (0.1, 0.01, True, "dead"),
    ],
)
def test_words_rest_on_intervals_and_variance(added, spread, is_flat, word):
    status = judge_part(make_quantity(added, spread), is_flat)
    assert status.word == word
    assert status.cure
    assert (status.images is not None) == (word == "cannot tell")


def test_more_images_tell_what_few_cannot():
    few, many = (judge_part(make_quantity(0.012, 0.03, images=count), is_flat=False) for count in (10, 4000))
    assert few.word == "cannot tell"
    assert many.word == "needed"


@pytest.mark.parametrize(
    ("bits", "redundancy", "unique_up"),
    [
        ((1.0, 1.0, 1.0), (1.0, 1.0), (0.0, 0.0)),  # copies
        ((0.0, 1.0, 1.0), (0.0, 0.0), (1.0, 1.0)),  # only the up path tells
        ((0.0, 0.0, 1.0), (0.0, 0.0), (0.0, 0.0)),  # exclusive or: nothing but together
        ((0.5, 0.5, 1.0), (0.0, 0.5), (0.0, 0.5)),
    ],
)
def test_bounds_of_shared_and_unique_parts(bits, redundancy, unique_up):
    gate = make_gate(*bits)
    near = pytest.approx
    assert gate.redundancy() == (near(redundancy[0], abs=0.01), near(redundancy[1], abs=0.01))
    assert gate.unique("up") == (near(unique_up[0], abs=0.01), near(unique_up[1], abs=0.01))
    assert gate.shared().value == near(bits[0] + bits[1] - bits[2], abs=0.01)


def test_a_larger_family_that_contradicts_is_named():
    part = make_gate(0.3, 0.2, 0.3).part("up")
    assert part.status.word == "redundant"
    assert replace(part, added={**part.added, MLP: make_quantity(0.2)}).flips == (MLP,)
    assert replace(part, added={**part.added, MLP: make_quantity(0.0, 0.001)}).flips == ()


def test_shuffled_labels_that_can_be_read_fail_the_control():
    assert make_profile().control_failures == ()
    profile = make_profile(shuffled=0.1)
    assert profile.control_failures == WIRING.layers
    assert {profile.word(layer) for layer in profile.layers} == {"fails control"}


def test_values_above_references_are_paired():
    """Two quantities that vary together differ by a sharp amount."""
    profile = make_profile()
    layer = replace(profile.layers[2], bits={**profile.layers[2].bits, "untrained": profile.layers[1].linear})
    gain = profile.beyond_twin(layer)
    assert gain.value == pytest.approx(0.1, abs=1e-6)
    assert gain.interval.half_width < layer.linear.interval.half_width / 100


def test_a_file_gives_the_same_profile(tmp_path):
    profile = make_profile()
    profile.save(tmp_path / "profile.json")
    again = Profile.load(tmp_path / "profile.json")
    assert again.summary() == Profile.from_json(profile.to_json()).summary()
    assert again.to_json() == Profile.from_json(again.to_json()).to_json()
    assert again.gates[0].part("up").status == profile.gates[0].part("up").status
    assert again.layer("up").linear.value == pytest.approx(profile.layer("up").linear.value, abs=1e-6)


@pytest.mark.parametrize("damage", ["format", "layers", "gates", "prior", "wiring"])
def test_damaged_files_are_refused(tmp_path, damage):
    content = make_profile().to_json()
    del content[damage]
    (tmp_path / "profile.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="profile"):
        Profile.load(tmp_path / "profile.json")


@pytest.mark.parametrize("missing", ["position", "patch 1"])
def test_a_profile_without_what_its_sentences_compare_with_is_refused(missing):
    content = make_profile().to_json()
    del content["floors"][missing]
    with pytest.raises(DataError, match="'position' and windows"):
        Profile.from_json(content)


def test_missing_files_and_layers_are_named(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        Profile.load(tmp_path / "none.json")
    with pytest.raises(DataError, match="use one of skip, up"):
        make_profile().layer("encoder.9")


def test_pooled_networks_widen_the_interval_by_how_much_they_differ():
    alike = [make_profile(seed=seed) for seed in range(4)]
    differing = [make_profile(seed=seed, gate=(0.2, 0.2, 0.2 + 0.05 * seed)) for seed in range(4)]
    first, second = (pool_profiles(profiles).gates[0].part("up").added[LINEAR] for profiles in (alike, differing))
    assert second.interval.half_width > 3 * first.interval.half_width
    assert second.value == pytest.approx(np.mean([0.0, 0.05, 0.1, 0.15]), abs=0.01)
    assert pool_profiles(alike).networks == 4
    assert second.decide(0.0).images is None  # not images but networks are lacking


def test_one_profile_is_its_own_pool_and_others_are_refused():
    profile = make_profile()
    assert pool_profiles([profile]) is profile
    with pytest.raises(DataError, match="no profile"):
        pool_profiles([])
    other = replace(profile, wiring=Wiring({"a": ("image",)}, {"a": (1, 1)}, {"a": 1, "image": 1}))
    with pytest.raises(DataError, match="different layers"):
        pool_profiles([profile, other])
