"""Networks are judged with as few trainings as tell it, and every one that was asked for is counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from unetscope.model.spec import UNetSpec
from unetscope.scores.difference import compare_groups, detectable, judge
from unetscope.slimming.jury import Finding, Jury, JurySettings
from unetscope.slimming.shapes import multiply_adds_per_pixel
from unetscope.slimming.trials import Trial
from unetscope.training.recipe import Recipe

ORIGIN = UNetSpec.by_level((16, 16))
SMALL, SMALLER, TINY = (UNetSpec.by_level((width, width)) for width in (8, 4, 2))
SEED, STEPS = 5, 40


class Bench:
    """Trials whose outcome is known: what a network loses, and how far its seeds and images scatter."""

    def __init__(
        self, losses: dict[UNetSpec, float], seeds: float = 0.0, images: float = 0.003, count: int = 40
    ) -> None:
        self.origin_spec, self.recipe = ORIGIN, Recipe(seed=SEED)
        self.losses, self.spreads = {ORIGIN: 0.0, **losses}, (seeds, images)
        self.units: tuple[str, ...] = tuple(map(str, range(count)))
        self.trained = list[Trial]()

    def dice(self, trial: Trial) -> NDArray[np.float64]:
        if trial not in self.trained:
            self.trained.append(trial)
        seeds, images = self.spreads
        chance = np.random.default_rng([trial.seed, *trial.spec.level_widths])
        image = np.random.default_rng(0).normal(0.8, 0.05, len(self.units))
        luck = seeds * (1 if (trial.seed - SEED) % 2 else -1)
        return image - self.losses[trial.spec] + luck + chance.normal(0, images, len(self.units))

    def is_done(self, trial: Trial) -> bool:
        return trial in self.trained

    def steps(self, trial: Trial) -> int:
        return int(STEPS * trial.share)

    def run(self, trial: Trial) -> Path:
        return Path(trial.name)

    def asked(self, spec: UNetSpec) -> list[tuple[int, float]]:
        return [(trial.seed, trial.share) for trial in self.trained if trial.spec == spec]


def make_jury(bench: Bench, seeds: int = 4, on_finding: Callable[[Finding], None] | None = None, **rest: Any) -> Jury:
    return Jury(bench, JurySettings(seeds=seeds, **rest), on_finding)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("loss", "spread", "word", "trainings"),
    [
        (0.1, 0.0, "worse", 1),
        (0.0, 0.0, "as good", 2),
        (-0.1, 0.0, "as good", 2),
        (0.0, 0.002, "as good", 3),
        (0.0, 0.004, "as good", 4),
        (0.0, 0.006, "not separable", 3),
        (0.01, 0.02, "not separable", 2),
        (0.0, 0.05, "not separable", 2),
    ],
)
def test_as_few_trainings_as_tell_it(loss: float, spread: float, word: str, trainings: int) -> None:
    bench = Bench({SMALL: loss}, spread)
    found = make_jury(bench).settle(SMALL)
    assert (found.word, found.is_good) == (word, word == "as good")
    assert bench.asked(SMALL) == [(seed, 1.0) for seed in range(SEED, SEED + trainings)]
    assert bench.asked(ORIGIN) == [(seed, 1.0) for seed in range(SEED, SEED + 4)]


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize(("loss", "spread"), [(0.1, 0.0), (0.0, 0.0), (0.02, 0.03)])
def test_a_finding_is_the_statistics_of_what_was_trained(loss: float, spread: float, seeds: int) -> None:
    bench = Bench({SMALL: loss}, spread)
    found = make_jury(bench, seeds).settle(SMALL)
    origin, small = (
        np.stack([bench.dice(Trial(spec, seed)) for seed, _ in bench.asked(spec)]) for spec in (ORIGIN, SMALL)
    )
    assert found.difference == compare_groups(origin, small, bench.units)
    assert found.word == judge(found.difference, 0.01)
    assert found.dice == pytest.approx(small.mean())
    assert found.multiply_adds == multiply_adds_per_pixel(SMALL)
    assert len(small) <= seeds == len(origin)


@pytest.mark.parametrize(("margin", "word"), [(0.005, "worse"), (0.05, "as good")])
def test_the_margin_decides(margin: float, word: str) -> None:
    assert make_jury(Bench({SMALL: 0.02}), margin=margin).settle(SMALL).word == word


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize(("loss", "is_good"), [(0.003, True), (-0.1, True), (0.03, False)])
def test_on_few_images_the_mean_decides_and_there_is_no_verdict(loss: float, is_good: bool, grouped: bool) -> None:
    bench = Bench({SMALL: loss}, count=40 if grouped else 19)
    if grouped:
        bench.units = tuple(str(number % 19) for number in range(40))
    found = make_jury(bench).settle(SMALL)
    assert (found.word, found.is_good, found.difference.images) == ("no verdict", is_good, 19)
    assert len(bench.asked(SMALL)) == (4 if is_good else 2), (
        "all seeds where no verdict is ever clear, and hope is left"
    )


@pytest.mark.parametrize("count", [12, 40])
def test_a_network_that_is_given_up_would_not_be_as_good_with_all_seeds(count: int) -> None:
    given_up = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        bench = Bench({SMALL: rng.uniform(0, 0.02)}, rng.uniform(0, 0.01), count=count)
        jury = make_jury(bench)
        found = jury.settle(SMALL)
        if found.word in ("not separable", "no verdict") and len(bench.asked(SMALL)) < 4:
            given_up += 1
            assert not found.is_good
            assert not jury.confirm(SMALL).is_good
    assert given_up > 5, "the law was put to the test"


def test_the_better_of_several_is_judged_after_short_trainings() -> None:
    bench = Bench({SMALL: 0.05, SMALLER: 0.02, TINY: 0.0})
    jury = make_jury(bench, shares=(0.25, 0.5))
    heat = jury.judge((SMALL, SMALLER, TINY))
    assert (heat.winner, heat.is_good) == (TINY, True)
    assert bench.asked(SMALL) == [(SEED, 0.25)]
    assert bench.asked(SMALLER) == [(SEED, 0.25), (SEED, 0.5)]
    assert bench.asked(TINY) == [(SEED, 0.25), (SEED, 0.5), (SEED, 1.0), (SEED + 1, 1.0)]
    assert list(jury.findings) == [TINY]
    assert jury.steps == STEPS * 0.25 * 3 + STEPS * 0.5 * 2 + STEPS * 2
    assert jury.runs(TINY) == tuple(Path(Trial(TINY, seed).name) for seed in (SEED, SEED + 1))
    assert jury.runs(SMALL) == ()


def test_what_was_asked_for_counts_once_and_the_origin_never() -> None:
    bench = Bench({SMALL: 0.1, SMALLER: 0.0})
    told = list[Finding]()
    jury = make_jury(bench, on_finding=told.append)
    for _ in range(2):
        assert not jury.judge((SMALL,)).is_good
        assert jury.settle(SMALLER).is_good
    assert [finding.spec for finding in told] == [SMALL, SMALLER]
    assert len(jury.asked) == 3
    assert jury.steps == 3 * STEPS
    assert len(jury.runs(ORIGIN)) == 4


def test_what_images_and_seeds_tell_is_known_before_and_after() -> None:
    bench = Bench({}, seeds=0.02)
    jury = make_jury(bench, seeds=3)
    assert jury.expect() == detectable(40, (3, 3))
    assert not bench.trained
    assert jury.detectable() > jury.expect() > make_jury(Bench({}), seeds=3).detectable()
    assert jury.detectable() > make_jury(bench, seeds=9).detectable()


@pytest.mark.parametrize("count", [10, 40])
def test_a_finding_comes_back_from_its_file(count: int) -> None:
    found = make_jury(Bench({SMALL: 0.02}, 0.01, count=count)).settle(SMALL)
    assert Finding.from_json(json.loads(json.dumps(found.to_json()))) == found
