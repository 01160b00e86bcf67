"""The published way by the disk gives the numbers of paper mode, and what was measured once is not measured again."""

from __future__ import annotations

import doctest
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.data.images import write_image, write_labels
from unetscope.data.normalization import Normalization
from unetscope.information.published.paper import PaperSettings, profile_as_published
from unetscope.information.published.samples import choose_samples
from unetscope.information.tally import Tally
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    import foreign
    import instrument
    import profile_cost
    from measuring import Rounds
    from processes import Memory

IMAGES = 12


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    chance = np.random.default_rng(0)
    for number in range(IMAGES):
        labels = np.zeros((16, 16), np.uint8)
        top, left = 8 * chance.integers(0, 2, 2)
        labels[top : top + 8, left : left + 8] = 255
        image = (labels // 2 + chance.integers(0, 4, labels.shape)).astype(np.uint8)
        write_image(folder / "train" / "images" / f"{number:02}.png", np.stack([image] * 3))
        write_labels(folder / "train" / "labels" / f"{number:02}.png", labels)
    (folder / "dataset.toml").write_text('kind = "mask"\nclasses = ["background", "cell"]\n')
    return Dataset.open(folder)


@pytest.fixture(scope="module", params=[1, 2], ids=["one score", "two scores"])
def checkpoint(request, dataset):
    torch.manual_seed(0)
    spec = UNetSpec.preset("lee2021", widths=(4, 6), classes=request.param)
    split = {"profile": dataset.names}
    return Checkpoint(spec, UNet(spec).state_dict(), Normalization.range(0, 255), dataset.classes, split=split)


@pytest.mark.parametrize("module", [foreign, instrument, profile_cost])
def test_examples(module):
    assert doctest.testmod(module).failed == 0


def test_the_way_by_the_disk_gives_the_same_numbers(checkpoint, dataset, tmp_path):
    paper = profile_as_published(checkpoint, dataset, PaperSettings(permutations=1))
    ours = {each.layer: (each.trained.input.upper, each.trained.label.published) for each in paper.layers}
    found = profile_cost.estimate_from_disk(checkpoint, choose_samples(checkpoint, dataset, "profile"), tmp_path)
    assert list(found) == list(ours)
    assert profile_cost.largest_difference(ours, found) < 1e-3
    assert any(0.1 < bits < paper.input_ceiling - 0.1 for bits, _ in ours.values())  # not all at the ceiling


def test_activations_are_written_whole(checkpoint, dataset, tmp_path):
    samples = choose_samples(checkpoint, dataset, "profile")
    files = profile_cost.write_activations(checkpoint, samples, tmp_path)
    for layer, file in files.items():
        written = np.load(file)
        assert len(written) == IMAGES, layer
        assert (written.any(axis=1)).all(), layer


def test_a_class_of_one_image_has_no_entropy(tmp_path):
    points = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32) * 100
    np.save(tmp_path / "far.npy", points)
    whole, label = profile_cost.estimate_file(tmp_path / "far.npy", np.array([0, 1, 2, 3]))
    assert whole == pytest.approx(2)
    assert label == pytest.approx(2)
    assert profile_cost.estimate_file(tmp_path / "far.npy", np.zeros(4, int))[1] == pytest.approx(0)


def test_the_network_as_it_is_born_is_the_published_one():
    network = profile_cost.make_network(("background", "nucleus"))
    assert sum(array.size for array in network.weights.values()) == 1_941_105


def test_results_are_kept_under_the_same_circumstances_only(tmp_path):
    file, made = tmp_path / "kept.json", []

    def measure() -> Tally:
        made.append(1)
        return Tally.of([float(len(made))])

    for _ in range(2):
        keeper = instrument.Keeper(file, {"weights": ("a",)})
        assert keeper.make("first", Tally, measure).mean == 1
    assert keeper.make("second", Tally, measure).mean == 2
    assert instrument.Keeper(file, {"weights": ("b",)}).make("first", Tally, measure).mean == 3
    assert instrument.Keeper(file, {"weights": ("b",)}).make("second", Tally, measure).mean == 4
    assert instrument.Keeper(None, {}).make("first", Tally, measure).mean == 5


def test_a_plain_training_learns_and_is_kept(dataset, tmp_path, capsys):
    def build() -> torch.nn.Module:
        return torch.nn.Conv2d(3, 2, 1)

    file = tmp_path / "weights.safetensors"
    course = foreign.Course(60)
    trained = foreign.keep_network(build, dataset, dataset.names, course, file)
    again = foreign.keep_network(build, dataset, dataset.names, course, file)
    assert capsys.readouterr().out.count("training Conv2d") == 1
    assert all(torch.equal(one, two) for one, two in zip(trained.parameters(), again.parameters(), strict=True))
    views = foreign.view_images(dataset, dataset.names)
    assert max(view.image.max() for view in views) <= 1
    torch.manual_seed(0)
    assert measure_loss(trained, views) < measure_loss(build(), views) - 0.05


class Twice(torch.nn.Module):
    """A network that has its weights under two names, as PlainConvUNet has."""

    def __init__(self) -> None:
        super().__init__()
        self.one = torch.nn.Conv2d(3, 2, 1)
        self.other = self.one

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.other(image)


def test_weights_of_two_names_are_kept_once(dataset, tmp_path):
    file = tmp_path / "weights.safetensors"
    kept = foreign.keep_network(Twice, dataset, dataset.names, foreign.Course(1), file)
    assert torch.equal(kept.one.weight, kept.other.weight)
    assert len(load_file(file)) == 2


def test_costs_are_told_with_ratio_and_agreement(capsys):
    names = ("brief profile", profile_cost.CONTROLLED, profile_cost.ALONE, profile_cost.PUBLISHED)
    rounds = Rounds({}, {name: (float(seconds),) * 2 for seconds, name in enumerate(names, start=1)})
    memory = asdict(Memory(10**6, 2 * 10**6, 10**6, 3 * 10**6))
    notes = {name: {"memory": memory, "result": {"image": (1.0, 1.0 + 0.25 * (name == names[1]))}} for name in names}
    profile_cost.print_costs(rounds, notes, (100, 664))
    told = capsys.readouterr().out
    rows = [line for line in told.splitlines() if line.startswith("|")][2:]
    assert [row.split("|")[2].strip() for row in rows] == ["100", "664", "664", "664"]
    assert [row.split("|")[4].strip()[:4] for row in rows] == ["", "0.50", "0.75", "1.00"]
    assert "differ by 0.2500 bits" in told
    assert "differ by 0.0000 bits" in told


def measure_loss(network: torch.nn.Module, views: foreign.Views) -> float:
    with torch.no_grad():
        losses = [
            torch.nn.functional.cross_entropy(
                network(torch.from_numpy(v.image)[None]), torch.from_numpy(v.labels)[None]
            )
            for v in views
        ]
    return float(torch.stack(losses).mean())
