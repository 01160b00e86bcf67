"""A calibration passes when estimates are right, fails when they are not, and says which; its file tells all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest
import torch

from unetscope import __version__, console
from unetscope.commands.calibrating import calibrate
from unetscope.errors import OutputError
from unetscope.information.calibration import measures, run
from unetscope.information.calibration.rows import ANYWHERE, Row, Tolerance, Trial
from unetscope.information.calibration.run import Check, check_estimators, list_checks
from unetscope.information.calibration.trained import train_on_blocks
from unetscope.information.estimators.family import Lesson, Predictor, log_prior
from unetscope.information.estimators.logistic import Logistic
from unetscope.model.spec import UNetSpec

CHEAP = (
    Check("G1", measures.measure_gaussian, seeds=(0,)),
    Check("G3", measures.measure_bounds, seeds=(0,)),
    Check("G4", measures.measure_codewords, seeds=(0, 1)),
)


def trial(truth: float, estimate: float, tolerance: Tolerance, error: float = 0.0, **words: str) -> Trial:
    return Trial("a", truth, estimate, tolerance, error, **words)


# ------------------------------------------------------------------------------------------------------ rows


@pytest.mark.parametrize(
    ("found", "ok"),
    [
        (trial(1.0, 1.02, Tolerance.of(0.03)), True),
        (trial(1.0, 1.04, Tolerance.of(0.03)), False),
        (trial(1.0, 0.96, Tolerance.of(0.03)), False),
        (trial(1.0, 0.96, Tolerance.of(0.03), 0.02), True),
        (trial(1.0, 0.96, Tolerance.of(0.03), 0.012), False),
        (trial(1.0, 0.97, Tolerance(0.035, 0.015)), True),
        (trial(1.0, 1.02, Tolerance(0.035, 0.015)), False),
        (trial(1.0, 0.2, Tolerance(inf, 0.02)), True),
        (trial(1.0, 1.03, Tolerance(inf, 0.02)), False),
        (trial(1.0, 1.0, Tolerance.of(0.0)), True),
        (trial(1.0, 1.001, Tolerance.of(0.0)), False),
        (trial(1.0, nan, Tolerance.of(0.5)), False),
        (trial(1.0, inf, ANYWHERE), False),
        (trial(1.0, 0.1, ANYWHERE, said="cannot tell", wanted="cannot tell"), True),
        (trial(1.0, 1.0, ANYWHERE, said="ok", wanted="cannot tell"), False),
        (trial(1.0, 0.9, Tolerance.of(0.01), said="readable", wanted="readable"), False),
    ],
)
def test_an_estimate_is_judged_by_tolerance_standard_error_and_word(found: Trial, ok: bool) -> None:
    assert found.ok is ok


def test_a_row_is_its_worst_draw_and_all_must_do() -> None:
    near, far = trial(1.0, 1.02, Tolerance.of(0.03)), trial(1.0, 0.9, Tolerance.of(0.03))
    row = Row.of({3: near, 4: far, 5: near})
    assert (row.seed, row.seeds, row.worst, row.ok) == (4, (3, 4, 5), far, False)
    assert row.mean == pytest.approx((1.02 + 0.9 + 1.02) / 3)
    assert Row.of({3: near, 5: near}).ok


@pytest.mark.parametrize(
    ("estimate", "tolerance", "shown"),
    [(1.1, Tolerance(0.3, 0.2), 0.2), (0.9, Tolerance(0.3, 0.2), 0.3), (0.9, Tolerance(inf, 0.2), 0.2),
     (1, ANYWHERE, None)],
)  # fmt: skip
def test_the_tolerance_that_is_written_is_that_of_the_estimates_side(
    estimate: float, tolerance: Tolerance, shown: float | None
) -> None:
    assert Row.of({0: trial(1.0, estimate, tolerance)}).to_json()["tolerance"] == shown


# ------------------------------------------------------------------------------------------------------ checks


@pytest.mark.parametrize(
    "check",
    [
        *CHEAP,
        Check("G5", partial(measures.measure_classes, Logistic(), 16), seeds=(0,)),
        Check("G7", partial(measures.measure_puzzle, Logistic(), "AND"), seeds=(0,)),
        Check("G9", partial(measures.measure_nothing, Logistic(), 16), seeds=(0,)),
    ],
    ids=lambda check: check.name,
)
def test_the_estimators_pass(check: Check) -> None:
    assert check_estimators(checks=[check]).failures == ()


def test_the_draws_of_a_check_are_its_seeds() -> None:
    drawn: list[int] = []

    def measure(seed: int) -> Iterator[Trial]:
        drawn.append(seed)
        yield trial(0.0, 0.1 * seed, Tolerance.of(0.25))

    certificate = check_estimators(checks=[Check("a", measure)])
    assert drawn == [0, 1, 2, 3, 4]
    assert (certificate.rows[0].seed, certificate.failures) == (4, ("a",))


@dataclass(frozen=True)
class Silent:
    """Readers that know nothing but the shares of the classes."""

    name: str = "linear"

    def fit(self, lesson: Lesson) -> Predictor:
        prior = log_prior(lesson.labels, lesson.classes)
        return lambda reading: np.tile(prior, (len(reading.row), 1))


@dataclass(frozen=True)
class Boastful:
    """Readers that are surer than they have reason to be."""

    name: str = "linear"

    def fit(self, lesson: Lesson) -> Predictor:
        reader = Logistic().fit(lesson)
        return lambda reading: normalize(4 * reader(reading))


def normalize(logarithms: np.ndarray) -> np.ndarray:
    return logarithms - np.logaddexp.reduce(logarithms, axis=1, keepdims=True)


@pytest.mark.parametrize("family", [Silent(), Boastful()])
def test_readers_that_fall_short_are_found_out(family: Silent | Boastful) -> None:
    found = list(measures.measure_classes(family, 16, seed=0))
    assert [each.ok for each in found] == [False] * 4


def test_an_estimator_that_is_wrong_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    right = measures.gaussian_information
    monkeypatch.setattr(measures, "gaussian_information", lambda x, m, folds: 1.1 * right(x, m, folds))
    failures = check_estimators(checks=CHEAP[:1]).failures
    assert "G1 d=1 r=.999" in failures
    assert "G1 d=1 r=.6" not in failures  # 10 % of .32 are less than the tolerance


def test_a_saturated_estimate_that_is_not_flagged_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "find_saturation", lambda distances, variance: ())
    assert check_estimators(checks=CHEAP[1:2]).failures == ("G3 d=10 sigma=.5", "G3 d=100 sigma=2")


def test_intervals_that_are_too_narrow_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    right = measures.bootstrap

    def narrow(tally: measures.Tally, seed: int) -> object:
        found = right(tally, 100, seed)
        return type(found)(
            found.value, found.value + (found.low - found.value) * 0.8, found.value + (found.high - found.value) * 0.8
        )

    monkeypatch.setattr(measures, "COVERED", 500)
    monkeypatch.setattr(measures, "bootstrap", narrow)
    assert not next(iter(measures.measure_coverage(30, seed=0))).ok


def test_p_values_that_are_not_uniform_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    right = measures.shuffle_test
    monkeypatch.setattr(measures, "SHUFFLED", 200)
    monkeypatch.setattr(measures, "shuffle_test", lambda gains, seed: right(gains, seed=seed) ** 1.5)
    assert not next(iter(measures.measure_shuffles(4, 2_000, seed=0))).ok


def test_progress_goes_from_nothing_to_nearly_all() -> None:
    told: list[tuple[int, int, str]] = []
    check_estimators(checks=CHEAP, on_step=lambda *step: told.append(step))
    assert [name for _, _, name in told] == ["G1", "G3", "G4", "G4"]
    assert [done for done, _, _ in told] == [0, 1, 2, 3]
    assert {total for _, total, _ in told} == {4}


@pytest.mark.parametrize("full", [False, True])
def test_every_group_is_checked_on_five_seeds(full: bool) -> None:
    checks = list_checks(full)
    groups = {check.name.partition(" ")[0] for check in checks}
    assert groups == {"G1", "G3", "G4", "G5", "G6", "G7", "G9", "G10"}
    assert {check.name for check in checks if len(set(check.seeds)) != 5} == {
        check.name for check in checks if "p-values" in check.name
    }
    assert len({check.name for check in checks}) == len(checks)


def test_the_long_calibration_holds_the_short_one() -> None:
    assert {check.name for check in list_checks()} < {check.name for check in list_checks(full=True)}


def test_a_network_learns_from_its_seed_alone() -> None:
    spec = UNetSpec.by_level((2, 2), norm="batch")
    torch.manual_seed(5)
    first = train_on_blocks(spec, seed=1, steps=3)
    untouched = torch.rand(1)
    again, other = train_on_blocks(spec, seed=1, steps=3), train_on_blocks(spec, seed=2, steps=3)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), untouched)
    weights = [network.state_dict()["head.conv.weight"] for network in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not first.training


# ------------------------------------------------------------------------------------------------------ the command


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only checks that take no time."""
    monkeypatch.setattr(run, "list_checks", lambda full: CHEAP)


def test_the_file_tells_every_row_with_versions_and_machine(
    tmp_path: Path, cheap: None, capsys: pytest.CaptureFixture[str]
) -> None:
    calibrate(json=tmp_path / "new" / "certificate.json")
    content = json.loads((tmp_path / "new" / "certificate.json").read_text(encoding="utf-8"))
    assert content["ok"] is True
    assert content["full"] is False
    assert content["unetscope"] == __version__
    assert {"numpy", "scipy", "torch"} <= content["versions"].keys()
    assert "cpu" in content["machine"]
    ids = [row["id"] for row in content["rows"]]
    assert len(set(ids)) == len(ids) == 5 + 7 + 4
    for row in content["rows"]:
        assert {"id", "truth", "estimate", "tolerance", "ok", "standard_error", "seed", "seeds", "unit"} <= row.keys()
        assert row["ok"] is True
    out, err = capsys.readouterr()
    assert out == ""
    assert [name for name in ids if name not in err] == []
    assert "all 16 estimates" in err


def test_failures_are_named_and_end_with_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = Check("G0", lambda seed: iter([trial(1.0, nan, Tolerance.of(0.1))]))
    monkeypatch.setattr(run, "list_checks", lambda full: (*CHEAP[2:], wrong))
    with pytest.raises(SystemExit) as ended:
        calibrate(json=tmp_path / "certificate.json")
    assert ended.value.code == 1
    assert "1 of 5 estimates lie too far from the truth: a;" in capsys.readouterr().err
    content = json.loads((tmp_path / "certificate.json").read_text(encoding="utf-8"))
    assert content["ok"] is False
    assert [row["estimate"] for row in content["rows"] if not row["ok"]] == [None]


def test_a_file_that_cannot_be_written_is_found_out_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "check_estimators", lambda *_: pytest.fail("worked before looking"))
    with pytest.raises(OutputError, match="is a folder"):
        calibrate(json=tmp_path)


def test_no_terminal_is_needed(
    cheap: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "SILENCE_SECONDS", 0.0)
    calibrate()
    err = capsys.readouterr().err
    assert "calibrating: 50 %" in err
    assert "\x1b" not in err
