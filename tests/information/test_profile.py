"""A profile is what its estimators say of the activations, says when it says nothing, and survives its file."""

from __future__ import annotations

import json
from dataclasses import replace
from math import log2

import numpy as np
import pytest

from unetscope.errors import DataError, OutputError, RecipeError
from unetscope.information.coding import code_blocks, code_clusters
from unetscope.information.distances import measure_distances
from unetscope.information.estimators.kernel import input_information, label_information, shuffled_information
from unetscope.information.profile import Profile, ProfileSettings, profile
from unetscope.information.samples import choose_samples
from unetscope.model.spec import UNetSpec

WIDE = ProfileSettings(variance=20.0, permutations=5)


@pytest.fixture
def checkpoint(dataset, make_checkpoint):
    return make_checkpoint(dataset.names)


@pytest.mark.parametrize("coding", ["blocks", "clusters"])
def test_numbers_are_those_of_the_estimators(dataset, checkpoint, coding):
    settings = replace(WIDE, coding=coding, seed=3)
    found = profile(checkpoint, dataset, settings)
    samples = choose_samples(checkpoint, dataset, "profile")
    codes = {"blocks": code_blocks(samples.foreground), "clusters": code_clusters(samples.foreground, seed=3)}[coding]
    own, blank = (measure_distances(network, samples, 2**30) for network in (checkpoint, checkpoint.untrained(3)))
    assert [layer.layer for layer in found.layers] == ["image", *checkpoint.spec.wiring.layers]
    for layer in found.layers:
        for estimate, distances in ((layer.trained, own[layer.layer]), (layer.untrained, blank[layer.layer])):
            assert estimate.input == input_information(distances, 20.0)
            assert estimate.label == label_information(distances, codes, 20.0)
        assert layer.shuffled == shuffled_information(own[layer.layer], codes, 20.0, 5, 3)


def test_what_determined_it_is_recorded(dataset, checkpoint):
    found = profile(checkpoint, dataset, WIDE)
    assert (found.images, found.shape, found.resampled) == (dataset.names, (16, 16), False)
    assert found.input_ceiling == pytest.approx(log2(10))
    assert 0 < found.label_ceiling <= found.input_ceiling
    assert (found.spec, found.settings) == (checkpoint.spec, WIDE)
    assert found.provenance["data"] == dataset.digest()
    assert {"unetscope", "torch", "numpy"} <= set(found.provenance["versions"])


def test_it_repeats_and_changes_no_weights(dataset, checkpoint):
    before = {name: array.copy() for name, array in checkpoint.weights.items()}
    assert profile(checkpoint, dataset, WIDE) == profile(checkpoint, dataset, WIDE)
    assert all(np.array_equal(array, before[name]) for name, array in checkpoint.weights.items())


def test_a_saturated_profile_says_that_it_says_nothing(dataset, checkpoint):
    found = profile(checkpoint, dataset, ProfileSettings(variance=1e-9))
    measured = found.layers[1:]
    assert all(layer.trained.saturated and layer.untrained.saturated and layer.fails_control for layer in measured)
    assert all(layer.trained.label.published == pytest.approx(found.label_ceiling) for layer in measured)
    assert "at 8 of 8 layers" in found.verdict
    assert found.verdict.endswith("Nothing can be told from this profile about what the network learned.")


def test_much_noise_leaves_no_label_information(dataset, checkpoint):
    found = profile(checkpoint, dataset, ProfileSettings(variance=1e9))
    assert not any(layer.trained.saturated for layer in found.layers)
    assert all(layer.fails_control and layer.trained.input.upper < 0.01 for layer in found.layers)
    assert "at 0 of 8 layers" in found.verdict
    assert "Nothing can be told about the labels" in found.verdict


def test_two_kinds_of_images_carry_exactly_one_bit(write_dataset, make_checkpoint):
    kinds = np.repeat([False, True], 8)
    masks = np.broadcast_to(kinds[:, None, None], (16, 16, 16))
    dataset = write_dataset((masks * np.uint8(255)), masks)
    found = profile(make_checkpoint(dataset.names), dataset)
    image = found.layers[0]
    assert found.label_ceiling == 1
    assert image.trained.input.upper == pytest.approx(1)
    assert image.trained.input.lower == pytest.approx(1)
    assert image.trained.label.published == pytest.approx(1)
    assert image.shuffled.highest < 0.7
    assert not image.fails_control
    assert not image.trained.saturated
    assert "can be read at encoder.0.conv1, encoder.0.conv2, bottleneck.conv1" in found.verdict


@pytest.mark.parametrize("spec", [UNetSpec.by_level((2, 3), padded=False, norm="instance"), UNetSpec.by_level((3,))])
def test_other_networks_have_profiles_too(dataset, make_checkpoint, spec):
    found = profile(make_checkpoint(dataset.names, spec), dataset)
    assert len(found.layers) == 1 + len(spec.wiring.layers)
    assert Profile.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_steps_are_reported_in_order(dataset, checkpoint):
    steps = []
    profile(checkpoint, dataset, WIDE, lambda step, count, what: steps.append((step, count, what)))
    assert [step[:2] for step in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert "10 images" in steps[1][2]


def test_a_file_holds_everything_and_can_be_read(dataset, checkpoint, tmp_path):
    found = profile(checkpoint, dataset, WIDE)
    found.save(tmp_path / "new" / "profile.json")
    content = json.loads((tmp_path / "new" / "profile.json").read_text())
    assert Profile.load(tmp_path / "new" / "profile.json") == found
    assert content["verdict"] == found.verdict
    assert content["ceilings"] == {"input": found.input_ceiling, "label": found.label_ceiling}
    assert content["unit"] == "bits"


def test_what_cannot_be_written_is_said(dataset, checkpoint, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        profile(checkpoint, dataset, WIDE).save(tmp_path / "file" / "profile.json")


DAMAGES = {
    "no JSON": lambda content: "{",
    "no object": lambda content: "[]",
    "another format": lambda content: json.dumps(content | {"format": 2}),
    "a missing entry": lambda content: json.dumps({k: v for k, v in content.items() if k != "codes"}),
    "a layer that is none": lambda content: json.dumps(content | {"layers": [1]}),
    "an unknown setting": lambda content: json.dumps(content | {"settings": {"speed": 1}}),
    "a setting out of range": lambda content: json.dumps(content | {"settings": {"variance": -1}}),
    "a spec that is none": lambda content: json.dumps(content | {"spec": {"widths": {}}}),
    "a wiring that is none": lambda content: json.dumps(content | {"wiring": []}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named(dataset, checkpoint, tmp_path, damage):
    content = profile(checkpoint, dataset, WIDE).to_json()
    path = tmp_path / "profile.json"
    path.write_text(DAMAGES[damage](content))
    with pytest.raises(DataError, match=r"profile\.json"):
        Profile.load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"absent\.json"):
        Profile.load(tmp_path / "absent.json")


@pytest.mark.parametrize(
    "setting",
    [
        {"role": "test"},
        {"coding": "pixels"},
        {"variance": 0},
        {"variance": float("nan")},
        {"variance": float("inf")},
        {"permutations": 0},
        {"seed": -1},
        {"memory_bytes": 0},
    ],
)
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(RecipeError, match=f"{next(iter(setting))} is"):
        ProfileSettings(**setting)
