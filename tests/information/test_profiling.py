"""A profile finds what was built into a network: copies, parts that nothing else tells, dead paths, fooled controls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from unetscope.errors import DataError, RecipeError
from unetscope.information.findings import CONVOLUTIONAL, INPUT, LINEAR, MLP, POSITION, SHUFFLED, UNTRAINED
from unetscope.information.profiling import ProfileSettings, profile, profile_network
from unetscope.information.sentences import describe
from unetscope.information.subject import Subject
from unetscope.information.views import view_arrays
from unetscope.wiring import Wiring

IMAGES, SIDE = 24, 16
QUICK = ProfileSettings(effort="brief", pixels=3000)
LOUD = 12.0
"""A bit written as +-6 in unit noise is read without error."""


class TwoPaths(nn.Module):
    """A skip and an up path that each pick one channel of the image, and a join that reads both."""

    def __init__(self, skip, up):
        super().__init__()
        self.skip, self.up, self.join, self.head = (nn.Conv2d(2, width, 1) for width in (1, 1, 2, 2))
        with torch.no_grad():
            for layer in (self.skip, self.up, self.join, self.head):
                layer.bias.zero_()
            for layer, weights in ((self.skip, skip), (self.up, up)):
                layer.weight.copy_(torch.tensor(weights).reshape(1, 2, 1, 1))
            self.join.weight.copy_(torch.eye(2).reshape(2, 2, 1, 1))
            self.head.weight.copy_(torch.tensor([[-1.0, -1.0], [1.0, 1.0]]).reshape(2, 2, 1, 1))

    def forward(self, image):
        return self.head(self.join(torch.cat([self.skip(image), self.up(image)], 1)))


def make_subject(skip=(1.0, 0.0), up=(0.0, 1.0)):
    wiring = Wiring(
        {"skip": ("image",), "up": ("image",), "join": ("skip", "up"), "head": ("join",)},
        dict.fromkeys(("skip", "up", "join", "head"), (1, 1)),
        {"image": 2, "skip": 1, "up": 1, "join": 2, "head": 2},
    )
    return Subject("two paths", TwoPaths(skip, up).eval(), wiring, lambda seed: TwoPaths((0.0, 0.0), (0.0, 0.0)).eval())


def write_images(first, second, seed=0):
    """Images of two channels that each carry a function of the label, a fair coin at every pixel, in noise."""
    chance = np.random.default_rng(seed)
    labels = chance.integers(0, 2, (IMAGES, SIDE, SIDE))
    coin = chance.integers(0, 2, labels.shape)
    bits = np.stack([first(labels, coin), second(labels, coin)], axis=1)
    images = LOUD * (bits - 0.5) + chance.normal(size=bits.shape)
    return view_arrays(list(images.astype(np.float32)), list(labels))


def nothing(labels, _coin):
    return np.zeros_like(labels)


def label(labels, _coin):
    return labels


def coin(_labels, coin):
    return coin


def masked(labels, coin):
    return labels ^ coin


@pytest.mark.parametrize(
    ("first", "second", "family", "alone", "together", "words"),
    [
        (label, label, LINEAR, (1, 1), 1, ("redundant", "redundant")),
        (label, coin, LINEAR, (1, 0), 1, ("needed", "redundant")),
        (coin, label, LINEAR, (0, 1), 1, ("redundant", "needed")),
        (masked, coin, LINEAR, (0, 0), 0, ("redundant", "redundant")),
        (masked, coin, MLP, (0, 0), 1, ("redundant", "redundant")),
    ],
)
def test_gates_tell_what_each_path_carries(first, second, family, alone, together, words):
    settings = QUICK if family == LINEAR else replace(QUICK, effort="default")
    found = profile_network(make_subject(), write_images(first, second), settings)
    (gate,) = found.gates
    assert [part.alone[family].value for part in gate.parts] == pytest.approx(alone, abs=0.02)
    assert gate.together[family].value == pytest.approx(together, abs=0.03)
    assert tuple(part.status.word for part in gate.parts) == words
    assert [part.kind for part in gate.parts] == ["skip", "up"]
    if family == MLP:  # what only a larger reader sees contradicts the linear decision, and is said
        assert all(part.flips == (MLP,) for part in gate.parts)


def test_a_path_without_variance_is_dead_and_its_ablation_loses_nothing():
    found = profile_network(make_subject(up=(0.0, 0.0)), write_images(label, label), QUICK)
    up = found.gates[0].part("up")
    assert up.status.word == "dead"
    assert up.lost_dice.value == 0
    assert found.gates[0].part("skip").status.word == "needed"
    assert found.gates[0].part("skip").lost_dice.value > 0.3


def test_references_are_what_they_must_be():
    found = profile_network(make_subject(), write_images(label, coin), replace(QUICK, effort="default"))
    assert found.prior.value == pytest.approx(1, abs=0.001)
    assert found.floors[POSITION].value == pytest.approx(0, abs=0.01)
    assert found.floors["patch 1"].value == pytest.approx(1, abs=0.01)
    last = found.layer("join")
    assert last.linear.verdict.word == "ok"
    assert len(last.linear.curve) == 4
    assert last.bits[UNTRAINED].value == pytest.approx(0, abs=0.01)
    assert abs(last.bits[SHUFFLED].value) < 0.01
    assert found.control_failures == ()
    assert last.bits[INPUT].interval.low > 0
    assert [channel.word for channel in last.channels] == ["needed", "redundant"]
    assert last.effective_rank == pytest.approx(2, abs=0.01)


def test_a_network_that_knows_the_image_by_heart_tells_nothing_of_others():
    """A channel that names the image has no bits on images that taught no probe."""
    chance = np.random.default_rng(0)
    labels = [np.full((16, 16), index % 2) for index in range(12)]
    images = [
        np.stack([np.full((16, 16), float(index)), chance.normal(size=(16, 16))]).astype(np.float32)
        for index in chance.permutation(12)
    ]
    found = profile_network(make_subject(), view_arrays(images, labels), QUICK)
    assert all(layer.linear.value < 0.1 for layer in found.layers)


def test_a_thorough_profile_has_every_family_and_curve():
    """The decoder's own family reads windows, and sees what a path adds as the others do."""
    settings = ProfileSettings(effort="thorough", pixels=1500)
    found = profile_network(make_subject(), write_images(label, coin), settings)
    skip, up = found.gates[0].parts
    assert set(skip.added) == {LINEAR, MLP, CONVOLUTIONAL}
    assert skip.added[CONVOLUTIONAL].value == pytest.approx(1, abs=0.1)
    assert up.added[CONVOLUTIONAL].value == pytest.approx(0, abs=0.05)
    assert all(MLP in layer.bits and len(layer.linear.curve) == 4 for layer in found.layers)


def test_the_same_seed_gives_the_same_profile_and_another_one_other_pixels():
    views = write_images(label, coin)
    first, again, other = (
        profile_network(make_subject(), views, replace(QUICK, seed=seed)).to_json() for seed in (1, 1, 2)
    )
    assert first == again
    assert first["layers"] != other["layers"]


def test_the_up_path_is_what_is_computed_last_in_whatever_order_they_join():
    subject = make_subject()
    wiring = replace(subject.wiring, sources={**subject.wiring.sources, "join": ("up", "skip")})
    found = profile_network(replace(subject, wiring=wiring), write_images(label, coin), QUICK)
    assert [(part.source, part.kind) for part in found.gates[0].parts] == [("up", "up"), ("skip", "skip")]


def test_steps_are_told_to_the_end():
    told = []
    profile_network(make_subject(), write_images(label, coin), QUICK, lambda *step: told.append(step))
    numbers = [step for step, _, _ in told]
    assert numbers == list(range(1, told[-1][1] + 1))


def test_a_checkpoint_is_profiled_on_its_validation_images(dataset, make_checkpoint):
    checkpoint = make_checkpoint(dataset.names[:6])
    found = profile(checkpoint, dataset, QUICK)
    assert found.images == dataset.names[:6]
    assert [layer.layer for layer in found.layers] == list(checkpoint.spec.wiring.layers)
    assert [gate.join for gate in found.gates] == list(checkpoint.spec.wiring.joins())
    assert found.provenance["weights"] == checkpoint.digest()
    assert ["rough" in one for one in found.warnings] == [True]  # six images are few
    assert any("relative" in one for one in profile(checkpoint, dataset, replace(QUICK, role="all")).warnings)


def test_sentences_name_every_gate_once_and_say_how_far_to_trust():
    found = profile_network(make_subject(), write_images(label, coin), QUICK)
    said = " ".join(describe(found))
    assert said.count("into join") == 2
    assert "adds what nothing else tells" in said
    assert "labels exchanged between images" in said


@pytest.mark.parametrize(
    "wrong", [{"role": "none"}, {"effort": "much"}, {"folds": 1}, {"seed": -1}, {"memory_bytes": 0}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(RecipeError, match=next(iter(wrong))):
        ProfileSettings(**wrong)


def test_images_of_one_class_are_refused():
    with pytest.raises(DataError, match="at least two classes"):
        view_arrays([np.zeros((2, 8, 8))] * 3, [np.zeros((8, 8), int)] * 3)
