"""Calibrations: measured once, within their time, in the real engines; predictions add up, grow, and do not guess."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from itertools import product

import pytest

from unetscope.engines.choice import build_engine
from unetscope.errors import SizeError, SpecError
from unetscope.model.geometry import fitting_shape
from unetscope.model.spec import UNetSpec
from unetscope.timing import calibration
from unetscope.timing.calibration import build_untrained, calibrate, time_block, time_probes
from unetscope.timing.law import TYPICAL, count_amounts, price
from unetscope.timing.prediction import Calibration, read_calibration
from unetscope.timing.probes import Probe, draw_probes
from unetscope.timing.work import list_work

PROBES = draw_probes()
NAMES = {
    name
    for probe, itemsize in product(draw_probes(), (2, 4))
    for name in count_amounts(list_work(probe.spec, probe.shape), itemsize)
}
COSTS = {name: (1 + 0.05 * index) * TYPICAL[name.rpartition(".")[2]] for index, name in enumerate(sorted(NAMES))}
SPECS = [
    UNetSpec.by_level((4, 8, 8), ndim=ndim, padded=padded, norm=norm, up=up)
    for ndim, padded, norm, up in product(
        (2, 3), (True, False), ("none", "batch", "instance"), ("transposed", "linear", "unpool")
    )
]


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch, tmp_path):
    """Nothing is remembered from before, and nothing is left behind."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def ideal(precision="bfloat16", costs=COSTS) -> Calibration:
    return Calibration("torch", precision, costs, (0.9, 1.0, 1.2), 2.0, 96, 1.0)


def follow_the_law(probe: Probe) -> float:
    return price(count_amounts(list_work(probe.spec, probe.shape), 4), COSTS)


class Steps:
    """A clock that goes on by so many seconds whenever it is asked."""

    def __init__(self, step: float) -> None:
        self.step, self.now = step, 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


# ------------------------------------------------------------------------------------------------------ predictions


@pytest.mark.parametrize("spec", SPECS)
def test_a_prediction_adds_up_over_layers(spec):
    said = ideal().predict(spec, fitting_shape(spec, (40,) * spec.ndim))
    assert set(said.layers) == {"image", *spec.wiring.layers}
    assert said.milliseconds == pytest.approx(sum(said.layers.values()))
    assert 0 < said.low < said.milliseconds < said.high
    assert said.peak_bytes > 0


@pytest.mark.parametrize("spec", SPECS)
def test_a_larger_block_takes_longer_and_more_memory(spec):
    shapes = [fitting_shape(spec, (side,) * spec.ndim) for side in range(24, 120, 8)]
    said = [ideal().predict(spec, shape) for shape in dict.fromkeys(shapes)]
    assert [each.milliseconds for each in said] == sorted({each.milliseconds for each in said})
    assert [each.peak_bytes for each in said] == sorted({each.peak_bytes for each in said})


@pytest.mark.parametrize("spec", [spec for spec in SPECS if spec.padded])
def test_time_is_about_proportional_to_pixels(spec):
    costs = {**COSTS, "calls": 0.0, "fresh.bytes": 0.0}
    small, large = (ideal(costs=costs).predict(spec, (side,) * spec.ndim) for side in (32, 64))
    assert large.milliseconds_per_megapixel == pytest.approx(small.milliseconds_per_megapixel)


def test_wider_networks_take_longer():
    times = [ideal().predict(UNetSpec.by_level((w, w)), (64, 64)).milliseconds for w in (4, 16, 32, 64, 128)]
    assert times == sorted(set(times))


@pytest.mark.parametrize("engine", ["torch", "openvino"])
@pytest.mark.parametrize("spec", [SPECS[0], SPECS[-1]])
def test_memory_is_what_the_engine_itself_says(engine, spec):
    built = build_or_skip(spec, engine)
    shape = fitting_shape(spec, (48,) * spec.ndim)
    calibration = replace(ideal("float32"), workspace=built.workspace["float32"])
    assert calibration.predict(spec, shape).peak_bytes == built.memory(shape)


def test_pixels_are_those_that_are_labeled():
    spec = UNetSpec.preset("ronneberger2015", width=4)
    said = ideal().predict(spec, (572, 572))
    assert said.pixels == 388**2
    assert said.milliseconds_per_megapixel == pytest.approx(said.milliseconds / 0.150544)


def test_what_was_not_measured_is_not_guessed():
    known = {name: cost for name, cost in COSTS.items() if not name.startswith("unpool")}
    assert ideal(costs=known).predict(UNetSpec.by_level((4, 8)), (8, 8)).milliseconds > 0
    with pytest.raises(SpecError, match=r"^cannot tell what this network takes with torch: .* not measured unpool"):
        ideal(costs=known).predict(UNetSpec.by_level((4, 8), up="unpool"), (8, 8))
    with pytest.raises(SizeError):
        ideal().predict(UNetSpec.by_level((4, 8)), (7, 8))


# ------------------------------------------------------------------------------------------------------ measuring


def test_measuring_stops_in_time():
    done = time_probes(PROBES, follow_the_law, seconds=10, clock=Steps(0.25))
    assert 24 <= len(done) <= 40
    assert list(done) == list(PROBES[: len(done)])


def test_the_least_of_the_rounds_counts():
    asked: list[Probe] = []

    def measure(probe: Probe) -> float:
        asked.append(probe)
        return 1.0 if len(asked) > len(PROBES) else 5.0

    progress: list[int] = []
    done = time_probes(PROBES, measure, 1e9, lambda now, total: progress.append(now * 100 // total))
    assert set(done.values()) == {1.0}
    assert len(asked) == 2 * len(PROBES)
    assert progress == sorted(progress)
    assert 0 <= progress[0] <= progress[-1] <= 100


def test_too_little_time_is_said():
    with pytest.raises(SpecError, match="networks were measured in 1 s, and 24 are needed"):
        time_probes(PROBES, follow_the_law, seconds=1, clock=Steps(0.25))
    with pytest.raises(SpecError, match="0 networks"):
        time_probes(PROBES, follow_the_law, seconds=0)


def test_networks_that_an_engine_cannot_compute_are_left_out():
    def measure(probe: Probe) -> float:
        if probe.spec.up == "unpool":
            raise SpecError("no unpooling here")
        return follow_the_law(probe)

    done = time_probes(PROBES, measure, 1e9)
    assert {probe.spec.up for probe in done} == {"transposed", "nearest", "linear", "subpixel"}


def test_an_engine_that_is_missing_is_said_at_once():
    calls: list[Probe] = []

    def measure(probe: Probe) -> float:
        calls.append(probe)
        raise SpecError("not installed")

    with pytest.raises(SpecError, match="not installed"):
        time_probes(PROBES, measure, 1e9)
    assert len(calls) == 1


def build_or_skip(spec, engine):
    try:
        return build_untrained(spec, engine, "float32")
    except SpecError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_real_engines_are_timed(engine):
    spec = UNetSpec.by_level((4, 8))
    built = build_or_skip(spec, engine)
    assert 0 < time_block(built, (16, 16)) < 1000
    assert time_block(built, (16, 16), clock=Steps(0.5)) == 500


def test_random_weights_are_those_of_a_real_network():
    built = build_untrained(UNetSpec.by_level((4, 8), classes=1, norm="batch"), "torch", "float32")
    assert type(built) is type(build_engine(build_source(), "torch", "float32"))
    assert built.describe()["precision"] == "float32"


def build_source():
    from unetscope.checkpoint import Checkpoint
    from unetscope.data.normalization import Normalization

    return Checkpoint(UNetSpec.by_level((4,)), {}, Normalization.range(0, 1), ("background", "cell")).untrained()


# ------------------------------------------------------------------------------------------------------ remembering


@pytest.fixture
def measured(monkeypatch):
    """How often the machine was measured; the measurement itself is replaced by the law."""
    calls: list[str] = []

    def measure(engine, precision, seconds, on_probe=None):
        calls.append(engine)
        return replace(ideal(), engine=engine)

    monkeypatch.setattr(calibration, "measure_engine", measure)
    return calls


def kept_files(tmp_path):
    return list(tmp_path.rglob("timing/*.json"))


def test_a_machine_is_measured_once_for_each_engine_and_precision(measured, tmp_path):
    first = calibrate("torch")
    assert calibrate("torch") == first
    assert measured == ["torch"]
    calibrate("openvino")
    calibrate("torch", "float32")
    assert measured == ["torch", "openvino", "torch"]
    assert len(kept_files(tmp_path)) == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "null",
        lambda text: "[" * 100_000,
        lambda text: text.replace('"torch"', '"abacus"'),
        lambda text: text.replace('"workspace": 2.0', '"workspace": "large"'),
        lambda text: text.replace('"workspace": 2.0', '"workspace": NaN'),
        lambda text: json.dumps({**json.loads(text), "ratios": []}),
        lambda text: json.dumps({**json.loads(text), "ratios": 3}),
        lambda text: json.dumps({**json.loads(text), "costs": {"calls": -1}}),
        lambda text: json.dumps({**json.loads(text), "costs": ["calls"]}),
        lambda text: json.dumps({**json.loads(text), "surplus": 1}),
    ],
)
def test_a_damaged_file_is_measured_anew(measured, tmp_path, damage):
    first = calibrate("torch")
    (path,) = kept_files(tmp_path)
    path.write_text(damage(path.read_text()))
    assert calibrate("torch") == first
    assert measured == ["torch", "torch"]
    assert calibrate("torch") == first
    assert len(measured) == 2


def test_another_machine_or_version_is_measured_anew(measured, monkeypatch):
    calibrate("torch")
    monkeypatch.setattr(calibration, "describe_machine", lambda: {"threads": 99})
    calibrate("torch")
    monkeypatch.setattr(calibration, "find_version", lambda library: "99.0")
    calibrate("torch")
    assert len(measured) == 3


def test_a_disturbed_calibration_is_not_kept(monkeypatch, tmp_path):
    disturbed = replace(ideal(), ratios=(0.2, 0.5, 3.0))
    monkeypatch.setattr(calibration, "measure_engine", lambda *rest: disturbed)
    assert calibrate("torch").disturbed
    assert not kept_files(tmp_path)


def test_a_calibration_survives_its_file():
    assert read_calibration(json.dumps(ideal().to_json()).encode()) == ideal()
    assert read_calibration(None) is None


def test_a_whole_calibration_finds_the_law_again(monkeypatch):
    monkeypatch.setattr(calibration, "build_untrained", lambda spec, engine, precision: Fake(spec))
    monkeypatch.setattr(calibration, "time_block", lambda engine, shape: follow_the_law(Probe(engine.spec, shape)))
    made = calibration.measure_engine("torch", "float32", 60.0)
    assert made.error < 0.01
    spec = UNetSpec.preset("default")
    expected = ideal("float32").predict(spec, (512, 512)).milliseconds
    assert made.predict(spec, (512, 512)).milliseconds == pytest.approx(expected, rel=0.02)


class Fake:
    """An engine that computes nothing."""

    name, precision, workspace = "torch", "float32", {"float32": 3.0}

    def __init__(self, spec: UNetSpec) -> None:
        self.spec = spec


def test_predicting_needs_no_torch():
    code = "import sys, unetscope.timing.calibration; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
