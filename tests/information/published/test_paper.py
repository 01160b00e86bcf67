"""A profile is what its estimators say of the activations, says when it says nothing, and survives its file."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from math import log2

import numpy as np
import pytest

from unetscope.errors import DataError, OutputError, RecipeError
from unetscope.information.estimators.kernel import (
    find_saturation,
    input_information,
    label_information,
    relative_variance,
    shuffled_information,
    squared_distances,
)
from unetscope.information.estimators.similarity import debiased_cka
from unetscope.information.published.coding import code_blocks, code_clusters
from unetscope.information.published.grams import measure_grams
from unetscope.information.published.paper import PaperProfile, PaperSettings, profile_as_published
from unetscope.information.published.samples import choose_samples
from unetscope.model.spec import UNetSpec

WIDE = PaperSettings(variance=20.0, permutations=5)


@pytest.fixture
def checkpoint(dataset, make_checkpoint):
    return make_checkpoint(dataset.names)


@pytest.mark.parametrize("coding", ["blocks", "clusters"])
def test_numbers_are_those_of_the_estimators(dataset, checkpoint, coding):
    settings = replace(WIDE, coding=coding, seed=3)
    found = profile_as_published(checkpoint, dataset, settings)
    samples = choose_samples(checkpoint, dataset, "profile")
    codes = {"blocks": code_blocks(samples.foreground), "clusters": code_clusters(samples.foreground, seed=3)}[coding]
    own, blank = measure_distances(checkpoint, samples), measure_distances(checkpoint.untrained(3), samples)
    names = ["image", *checkpoint.spec.wiring.layers]
    assert [layer.layer for layer in found.layers] == [layer.layer for layer in found.relative] == names
    for layers, noise in ((found.layers, lambda _: 20.0), (found.relative, relative_variance)):
        for layer in layers:
            for estimate, distances in ((layer.trained, own[layer.layer]), (layer.untrained, blank[layer.layer])):
                variance = noise(distances)
                assert estimate.variance == variance
                assert estimate.input == input_information(distances, variance)
                assert estimate.label == label_information(distances, codes, variance)
                assert estimate.saturated == find_saturation(distances, codes, variance, 3)
            variance = noise(own[layer.layer])
            assert layer.shuffled == shuffled_information(own[layer.layer], codes, variance, 5, 3)


def measure_distances(checkpoint, samples):
    return {layer: squared_distances(gram) for layer, gram in measure_grams(checkpoint, samples, 2**30).items()}


def test_similarities_are_those_of_image_and_label(dataset, checkpoint):
    found = profile_as_published(checkpoint, dataset, replace(WIDE, seed=3)).similarities
    samples = choose_samples(checkpoint, dataset, "profile")
    own, blank = (measure_grams(network, samples, 2**30) for network in (checkpoint, checkpoint.untrained(3)))
    points = samples.foreground.reshape(10, -1) - 0.3
    for layer, similarity in found.items():
        expected = [
            debiased_cka(gram[layer], other) for gram in (own, blank) for other in (own["image"], points @ points.T)
        ]
        assert list(asdict(similarity).values()) == pytest.approx(expected)
    assert found["image"].image == pytest.approx(1)


def test_a_layer_without_variance_has_no_similarity(dataset, make_checkpoint):
    spec = UNetSpec.by_level((4, 8))
    weights = {name: 0 * weight for name, weight in make_checkpoint(spec=spec).weights.items()}
    found = profile_as_published(make_checkpoint(dataset.names, spec, weights), dataset)
    assert asdict(found.similarities["head"])["image"] is None
    assert found.relative[-1].trained.input.upper == 0
    assert PaperProfile.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))) == found


def test_scaling_a_layer_redraws_the_published_numbers_only(dataset, make_checkpoint):
    spec = UNetSpec.by_level((4, 8), norm="none")
    weights = make_checkpoint(spec=spec).weights
    quieter = {name: weight * 0.1 if name.startswith("encoder.0.conv1") else weight for name, weight in weights.items()}
    loud, quiet = (
        profile_as_published(make_checkpoint(dataset.names, spec, own), dataset) for own in (weights, quieter)
    )
    assert loud.layers[1].trained != quiet.layers[1].trained
    one, other = loud.relative[1].trained, quiet.relative[1].trained
    assert other.variance == pytest.approx(0.01 * one.variance, rel=1e-3)
    assert asdict(other.input) == pytest.approx(asdict(one.input), rel=1e-3)
    assert asdict(other.label) == pytest.approx(asdict(one.label), rel=1e-3)


def test_what_determined_it_is_recorded(dataset, checkpoint):
    found = profile_as_published(checkpoint, dataset, WIDE)
    assert (found.images, found.shape, found.resampled) == (dataset.names, (16, 16), False)
    assert found.input_ceiling == pytest.approx(log2(10))
    assert 0 < found.label_ceiling <= found.input_ceiling
    assert (found.spec, found.settings) == (checkpoint.spec, WIDE)
    assert found.provenance["data"] == dataset.digest()
    assert {"unetscope", "torch", "numpy"} <= set(found.provenance["versions"])


def test_it_repeats_and_changes_no_weights(dataset, checkpoint):
    before = {name: array.copy() for name, array in checkpoint.weights.items()}
    assert profile_as_published(checkpoint, dataset, WIDE) == profile_as_published(checkpoint, dataset, WIDE)
    assert all(np.array_equal(array, before[name]) for name, array in checkpoint.weights.items())


def test_a_saturated_profile_says_that_it_says_nothing(dataset, checkpoint):
    found = profile_as_published(checkpoint, dataset, PaperSettings(variance=1e-9))
    measured = found.layers[1:]
    assert all(layer.trained.saturated and layer.untrained.saturated and layer.fails_control for layer in measured)
    assert all(layer.trained.label.published == pytest.approx(found.label_ceiling) for layer in measured)
    assert "at 8 of 8 layers" in found.verdict
    assert found.verdict.endswith("Nothing can be told from this profile about what the network learned.")


@pytest.fixture
def two_kinds(write_dataset):
    """Sixteen images, half of them black without and half of them white with foreground."""
    masks = np.broadcast_to(np.repeat([False, True], 8)[:, None, None], (16, 16, 16))
    return write_dataset((masks * np.uint8(255)), masks)


def test_much_noise_leaves_no_label_information(two_kinds, make_checkpoint):
    found = profile_as_published(make_checkpoint(two_kinds.names), two_kinds, PaperSettings(variance=1e9))
    assert not any(layer.trained.saturated for layer in found.layers)
    assert all(layer.fails_control and layer.trained.input.upper < 0.01 for layer in found.layers)
    assert "at 0 of 8 layers" in found.verdict
    assert "Nothing can be told about the labels" in found.verdict


def test_codes_that_occur_once_give_no_advice(dataset, checkpoint):
    found = profile_as_published(checkpoint, dataset, PaperSettings(variance=1e9))
    assert found.codes.singletons > 0.25 * found.codes.distinct
    assert all(layer.trained.saturated == ("over 25 % of codes occur once",) for layer in found.layers)
    assert "saturated at 8 of 8 layers (over 25 % of codes occur once)" in found.verdict


def test_two_kinds_of_images_carry_exactly_one_bit(two_kinds, make_checkpoint):
    found = profile_as_published(make_checkpoint(two_kinds.names), two_kinds)
    image = found.layers[0]
    assert found.label_ceiling == 1
    assert image.trained.input.upper == pytest.approx(1)
    assert image.trained.input.lower == pytest.approx(1)
    assert image.trained.label.published == pytest.approx(1)
    assert image.shuffled.highest < 0.7
    assert not image.fails_control
    assert image.trained.saturated == ("over 0.9 of H(Y)",)
    assert found.similarities["image"].label == pytest.approx(1)


def test_what_is_neither_saturated_nor_chance_can_be_read(two_kinds, make_checkpoint):
    checkpoint = make_checkpoint(two_kinds.names)
    mean_distance = profile_as_published(checkpoint, two_kinds).relative[1].trained.variance / 0.2
    found = profile_as_published(checkpoint, two_kinds, PaperSettings(variance=0.75 * mean_distance))
    assert 0.5 < found.layers[1].trained.label.published < 0.8
    assert found.layers[1].is_readable
    assert "can be read at encoder.0.conv1" in found.verdict


@pytest.mark.parametrize("spec", [UNetSpec.by_level((2, 3), padded=False, norm="instance"), UNetSpec.by_level((3,))])
def test_other_networks_have_profiles_too(dataset, make_checkpoint, spec):
    found = profile_as_published(make_checkpoint(dataset.names, spec), dataset)
    assert len(found.layers) == 1 + len(spec.wiring.layers)
    assert PaperProfile.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_steps_are_reported_in_order(dataset, checkpoint):
    steps = []
    profile_as_published(checkpoint, dataset, WIDE, lambda step, count, what: steps.append((step, count, what)))
    assert [step[:2] for step in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert "10 images" in steps[1][2]


def test_a_file_holds_everything_and_can_be_read(dataset, checkpoint, tmp_path):
    found = profile_as_published(checkpoint, dataset, WIDE)
    found.save(tmp_path / "new" / "profile.json")
    content = json.loads((tmp_path / "new" / "profile.json").read_text())
    assert PaperProfile.load(tmp_path / "new" / "profile.json") == found
    assert content["verdict"] == found.verdict
    assert content["ceilings"] == {"input": found.input_ceiling, "label": found.label_ceiling}
    assert content["unit"] == "bits"


def test_what_cannot_be_written_is_said(dataset, checkpoint, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        profile_as_published(checkpoint, dataset, WIDE).save(tmp_path / "file" / "profile.json")


DAMAGES = {
    "no JSON": lambda content: "{",
    "no object": lambda content: "[]",
    "another format": lambda content: json.dumps(content | {"format": 1}),
    "a missing entry": lambda content: json.dumps({k: v for k, v in content.items() if k != "codes"}),
    "a layer that is none": lambda content: json.dumps(content | {"layers": [1]}),
    "an unknown setting": lambda content: json.dumps(content | {"settings": {"speed": 1}}),
    "a setting out of range": lambda content: json.dumps(content | {"settings": {"variance": -1}}),
    "a spec that is none": lambda content: json.dumps(content | {"spec": {"widths": {}}}),
    "a wiring that is none": lambda content: json.dumps(content | {"wiring": []}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named(dataset, checkpoint, tmp_path, damage):
    content = profile_as_published(checkpoint, dataset, WIDE).to_json()
    path = tmp_path / "profile.json"
    path.write_text(DAMAGES[damage](content))
    with pytest.raises(DataError, match=r"profile\.json"):
        PaperProfile.load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"absent\.json"):
        PaperProfile.load(tmp_path / "absent.json")


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
        PaperSettings(**setting)
