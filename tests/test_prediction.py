"""Predictors are ranked as they should be: within levels, over whole networks, and beside rivals on the same cases."""

from __future__ import annotations

import doctest
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import nn

from unetscope.checkpoint import Checkpoint
from unetscope.data.normalization import Normalization
from unetscope.information.capture import split_sources
from unetscope.information.tally import Tally
from unetscope.information.views import view_arrays
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet
from unetscope.wiring import Wiring

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    import correlations
    import population
    import prediction
    import rivals


def make_case(network: int, at: int, /, **values: float) -> correlations.Case:
    return correlations.Case(f"network {network}", "nuclei", at, "up", values)


def draw_cases(noise: float, networks: int = 12, levels: int = 3, seed: int = 0) -> list[correlations.Case]:
    """Parts whose loss is known to "good" but for noise, and of which "level" knows only where they are."""
    chance = np.random.default_rng(seed)
    cases = []
    for network in range(networks):
        for level in range(levels):
            lost = chance.normal() + 10 * level
            values = {"good": lost + noise * chance.normal(), "level": float(level), "none": chance.normal()}
            cases.append(make_case(network, level, lost=lost, **values))
    return cases


@pytest.mark.parametrize("module", [correlations, rivals, prediction])
def test_examples(module):
    assert doctest.testmod(module).failed == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=4, max_size=20))
def test_one_stratum_is_ranked_as_scipy_does(pairs):
    table = np.array(pairs, float)
    found = correlations.correlate(table, np.zeros(len(table), int), np.arange(len(table)))
    if np.ptp(table[:, 1]) == 0:
        assert np.isnan(found[0])
    elif np.ptp(table[:, 0]) == 0:
        assert found[0] == 0
    else:
        assert found[0] == pytest.approx(spearmanr(table[:, 0], table[:, 1]).statistic)


def test_strata_weigh_by_their_cases():
    rising, falling = np.arange(6.0), np.arange(3.0)
    table = np.concatenate([np.stack([rising, rising], 1), np.stack([falling, -falling], 1)])
    found = correlations.correlate(table, np.repeat([0, 1], [6, 3]), np.arange(9))
    assert found[0] == pytest.approx((6 - 3) / 9)


def test_two_networks_are_no_stratum():
    table = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    assert np.isnan(correlations.correlate(table, np.zeros(3, int), np.array([0, 1, 1]))[0])


def test_within_levels_the_level_ranks_nothing():
    cases = draw_cases(noise=0.0)
    names = ("good", "level", "none")
    within = correlations.rank(cases, names, "lost", correlations.by_level, draws=50)
    over = correlations.rank(cases, names, "lost", correlations.by_kind, draws=50)
    assert within.values[:2].tolist() == [1.0, 0.0]
    assert over.interval("level").low > 0.8
    assert abs(within.interval("none").value) < 0.5


def test_an_interval_tells_the_better_predictor_from_the_worse():
    ranking = correlations.rank(draw_cases(noise=0.3), ("good", "level", "none"), "lost", draws=200)
    assert ranking.best(("level", "none", "absent")) in ("level", "none")
    assert ranking.difference("good", "none").low > 0
    assert ranking.difference("none", "good").high < 0
    assert ranking.difference("good", "good").value == ranking.difference("good", "good").high == 0
    assert "good exceeds" in prediction.say("good", ranking, "within levels")


def test_nothing_is_claimed_where_predictors_are_equal():
    """Of two predictors with the same noise, neither is said to be better more often than 1 in 20 times or so."""
    claims = 0
    for seed in range(20):
        cases = draw_cases(noise=1.0, networks=14, seed=seed)
        chance = np.random.default_rng(100 + seed)
        twins = [replace(case, values={**case.values, "twin": case.values["lost"] + chance.normal()}) for case in cases]
        claims += correlations.rank(twins, ("good", "twin"), "lost", draws=60).difference("good", "twin").excludes(0)
    assert claims <= 4


def test_parts_of_a_network_are_drawn_together():
    cases = [*draw_cases(0.0, networks=5), *(replace(case, collection="other") for case in draw_cases(0.0, networks=4))]
    for chosen in correlations.draw_networks(cases, draws=20, seed=1):
        drawn = [cases[index] for index in chosen]
        assert sum(case.collection == "other" for case in drawn) == 4 * 3
        counts = {(case.collection, case.network): 0 for case in drawn}
        for case in drawn:
            counts[case.collection, case.network] += 1
        assert all(count % 3 == 0 for count in counts.values())


def test_the_same_draws_come_again():
    first, again = (correlations.rank(draw_cases(1.0), ("good",), "lost", draws=20).drawn for _ in range(2))
    assert np.array_equal(first, again)


def test_cases_without_a_value_are_left_out():
    cases = [*draw_cases(0.0), make_case(20, 0, good=1.0), make_case(21, 0, good=1.0, lost=float("nan"))]
    assert correlations.rank(cases, ("good",), "lost", draws=5).cases == 36
    nothing = correlations.rank(cases[-2:], ("good",), "lost", draws=5)
    assert nothing.cases == 0
    assert np.isnan(nothing.interval("good").value)
    assert nothing.interval("good").low == -np.inf


@pytest.fixture
def checkpoint():
    spec = UNetSpec.preset("default", widths=(4, 6, 8))
    torch.manual_seed(0)
    return Checkpoint(spec, UNet(spec).state_dict(), Normalization.range(0, 255), ("background", "cell"))


def test_weights_of_all_parts_make_up_the_whole(checkpoint):
    found = rivals.weigh_parts(checkpoint.network(), checkpoint.spec.wiring)
    assert set(found) == set(checkpoint.spec.wiring.joins())
    for shares in found.values():
        assert sum(share**2 for share in shares.values()) == pytest.approx(1, abs=1e-5)


def test_weights_that_are_zero_weigh_nothing(checkpoint):
    network, wiring = checkpoint.network(), checkpoint.spec.wiring
    join = wiring.joins()[0]
    source, part = next(iter(split_sources(wiring, join).items()))
    with torch.no_grad():
        next(module for module in network.get_submodule(join).modules() if isinstance(module, nn.Conv2d)).weight[
            :, part
        ] = 0
    assert rivals.weigh_parts(network, wiring)[join][source] == 0


class Linear(nn.Module):
    """Scores that are linear in what a join reads; with labels half and half the slope of the loss is known."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.join = nn.Identity(), nn.Identity(), nn.Conv2d(2, 2, 1, bias=False)
        with torch.no_grad():
            self.join.weight[:] = torch.tensor([[0.0, 0.0], [2.0, 0.0]])[:, :, None, None]

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        image = image.requires_grad_()
        return self.join(torch.cat([self.a(image), self.b(image)], 1))


def test_expansion_is_activation_times_slope():
    """At scores (0, 2x) the slope of the loss by x is 2 (p - y) / pixels, p the probability of class 1."""
    wiring = Wiring(
        {"a": ("image",), "b": ("image",), "join": ("a", "b")},
        dict.fromkeys(("a", "b", "join"), (1, 1)),
        {"image": 1, "a": 1, "b": 1, "join": 2},
    )
    images = [np.linspace(-1, 1, 16, dtype=np.float32).reshape(1, 4, 4) * factor for factor in (1, 2)]
    labels = [(image[0] > 0).astype(np.int64) for image in images]
    found = rivals.expand_parts(Linear(), wiring, view_arrays(images, labels))["join"]
    slopes = [2 * (1 / (1 + np.exp(-2 * image[0])) - known) / 16 for image, known in zip(images, labels, strict=True)]
    expected = np.mean([abs((image[0] * slope).sum()) for image, slope in zip(images, slopes, strict=True)])
    assert found["a"] == pytest.approx(expected, rel=1e-5)
    assert found["b"] == 0


def test_expansion_reaches_every_join(checkpoint):
    chance = np.random.default_rng(0)
    images = [chance.normal(size=(1, 16, 16)).astype(np.float32) for _ in range(2)]
    labels = [chance.integers(0, 2, (16, 16)) for _ in range(2)]
    found = rivals.expand_parts(checkpoint.network(), checkpoint.spec.wiring, view_arrays(images, labels))
    assert all(value > 0 for parts in found.values() for value in parts.values())


def test_cutting_the_up_path_saves_all_that_is_below(checkpoint):
    saved = rivals.count_saving(checkpoint.spec, UNetSpec.preset("default", widths=(4, 6)), (16, 16))
    assert 0 < saved < rivals.count_saving(checkpoint.spec, UNetSpec.preset("default", widths=(4,)), (16, 16))


@pytest.mark.parametrize("name", population.SETS)
def test_every_network_accepts_the_shape_at_which_arithmetic_is_counted(name):
    for member in population.POPULATION[name]:
        factor = 2**member.depth
        assert all(side % factor == 0 for side in prediction.SIDES[name])


def test_dice_is_compared_image_by_image(tmp_path):
    member = population.Member("nuclei", (8, 8), 0, 1)
    without = prediction.drop_part(member, "up", 0)
    assert prediction.drop_part(member, "skip", 0).skips == ()
    for one, dice in ((member, (0.5, 0.75)), (without, (0.25, 0.25))):
        (tmp_path / one.folder).mkdir()
        images = [write_score(str(number), value) for number, value in enumerate(dice)]
        (tmp_path / one.folder / "test.json").write_text(json.dumps({"images": images}))
    lost = prediction.subtract_dice(*(prediction.read_dice(one, tmp_path) for one in (member, without)))
    assert lost.sums.tolist() == [0.25, 0.5]
    assert prediction.is_trained(member, tmp_path)
    assert prediction.measure_spread(["nuclei"], tmp_path) is None
    assert not prediction.is_trained(replace(member, seed=9), tmp_path)


def write_score(name: str, dice: float) -> dict[str, object]:
    shares = dict.fromkeys(("dice", "iou", "precision", "recall"), dice)
    classes = [{"name": "nucleus", **shares, "false_alarm": False}]
    return {"name": name, "dice": dice, "pixel_error": 0.1, "rand_error": 0.1, "classes": classes}


def test_only_predictors_that_all_cases_have_are_compared():
    cases = [make_case(0, 0, **{"gate, linear": 1.0, "ablation": 1.0, "level": 0.0}), make_case(1, 0, level=0.0)]
    assert prediction.list_predictors(cases[:1], "retraining") == ("gate, linear", "ablation", "level")
    assert prediction.list_predictors(cases[:1], "ablation") == ("gate, linear", "level")
    assert prediction.list_predictors(cases, "retraining") == ("level",)


def test_a_mean_comes_with_its_error():
    cases = [make_case(number, 0, lost=value) for number, value in enumerate((0.0, 2.0))]
    assert prediction.mean_with_error([*cases, make_case(3, 0)], "lost") == "1.0000+-1.0000 (2)"
    assert prediction.mean_with_error([], "lost") == "-"
    assert Tally.of([0.0, 2.0]).mean == 1


def test_spread_over_seeds_is_that_of_designs_with_several(tmp_path):
    dice = {(16, 32, 64): (0.5, 0.7), (16, 16, 16, 16): (0.6, 0.6), (8, 8, 8, 8): (0.1,)}
    for widths, values in dice.items():
        for seed, value in enumerate(values):
            folder = tmp_path / population.Member("nuclei", widths, seed, 12).folder
            folder.mkdir()
            (folder / "test.json").write_text(json.dumps({"images": [write_score("a", value)]}))
    assert prediction.measure_spread(["nuclei"], tmp_path) == pytest.approx(0.1)
