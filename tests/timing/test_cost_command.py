"""The command `cost`: what it takes, what it prints, what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
from cyclopts import App, Parameter

from unetscope.checkpoint import Checkpoint
from unetscope.commands.costs import cost
from unetscope.data.normalization import Normalization
from unetscope.errors import SpecError
from unetscope.model.cost import count_cost
from unetscope.model.spec import UNetSpec
from unetscope.timing import calibration
from unetscope.timing.law import count_amounts
from unetscope.timing.prediction import Calibration
from unetscope.timing.probes import draw_probes
from unetscope.timing.work import list_work

COSTS = {name: 1.0 for probe in draw_probes() for name in count_amounts(list_work(probe.spec, probe.shape), 2)}
app = App(default_parameter=Parameter(negative=()), result_action="return_value")
app.command(cost)


@pytest.fixture(autouse=True)
def calibrated(monkeypatch):
    """Calibrations of a machine on which everything costs 1, and less in OpenVINO."""

    def calibrate(engine, precision="auto", seconds=0.0, on_probe=None):
        if precision == "float64" and engine == "openvino":
            raise SpecError("OpenVINO cannot compute in float64")
        costs = {name: price / (2 if engine == "openvino" else 1) for name, price in COSTS.items()}
        return Calibration(engine, "bfloat16", costs, (0.9, 1.0, 1.2), 2.0, 96, 1.0)

    monkeypatch.setattr(calibration, "calibrate", calibrate)
    monkeypatch.setattr("unetscope.commands.costs.find_spec", lambda name: object())


def ask(*words: str) -> None:
    app(["cost", *words], exit_on_error=False, print_error=False)


def test_every_engine_is_told(capsys):
    ask("--json")
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    counted = count_cost(UNetSpec.preset("default"), (1024, 1024))
    assert (found["parameters"], found["multiply_adds"]) == (counted.parameters, counted.multiply_adds)
    torch, openvino = found["engines"]
    assert (torch["engine"], openvino["engine"]) == ("torch", "openvino")
    assert torch["milliseconds"] == pytest.approx(2 * openvino["milliseconds"])
    assert torch["milliseconds_per_megapixel"] == pytest.approx(torch["milliseconds"] / 1.048576)
    assert torch["low"] < torch["milliseconds"] < torch["high"]
    assert sum(torch["layers"].values()) == pytest.approx(torch["milliseconds"])
    assert "519,650 parameters" in printed.err
    assert "decoder.0.conv1" in printed.err


@pytest.mark.parametrize(
    ("words", "shape", "ndim"),
    [
        ((), [1024, 1024], 2),
        (("--ndim", "3"), [128, 128, 128], 3),
        (("--shape", "100,200"), [112, 208], 2),
        (("--shape", "30,40,50"), [32, 48, 64], 3),
        (("--preset", "ronneberger2015", "--width", "4", "--shape", "500,572"), [508, 572], 2),
    ],
)
def test_shapes_are_completed(capsys, words, shape, ndim):
    ask(*words, "--json")
    found = json.loads(capsys.readouterr().out)
    assert (found["shape"], found["spec"]["ndim"]) == (shape, ndim)


def test_options_make_the_network(capsys):
    ask("--widths", "4,8", "--channels", "3", "--classes", "5", "--norm", "instance", "--engine", "torch", "--json")
    found = json.loads(capsys.readouterr().out)
    spec = UNetSpec.by_level((4, 8), image_channels=3, classes=5, norm="instance")
    assert UNetSpec.from_json(found["spec"]) == spec
    assert [each["engine"] for each in found["engines"]] == ["torch"]


def test_a_run_says_what_its_network_is(tmp_path, capsys):
    spec = UNetSpec.by_level((4, 8), ndim=3, classes=3)
    blank = Checkpoint(spec, {}, Normalization.range(0, 255), ("background", "a", "b")).untrained()
    blank.save(tmp_path / "run")
    ask(str(tmp_path / "run"), "--json")
    found = json.loads(capsys.readouterr().out)
    assert (UNetSpec.from_json(found["spec"]), found["shape"]) == (spec, [128, 128, 128])
    with pytest.raises(SpecError, match="leave out one"):
        ask(str(tmp_path / "run"), "--width", "8")


def test_an_engine_that_cannot_tell_leaves_the_others(capsys):
    ask("--precision", "float64", "--json")
    printed = capsys.readouterr()
    assert [each["engine"] for each in json.loads(printed.out)["engines"]] == ["torch"]
    assert "OpenVINO cannot compute in float64" in printed.err
    with pytest.raises(SpecError, match="float64"):
        ask("--precision", "float64", "--engine", "openvino")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--shape", "0,5"), "--shape is 0,5"),
        (("--shape", "64"), "--shape is 64|ndim is 1"),
        (("--shape", "4,4,4,4"), "ndim is 4"),
        (("--classes", "0"), "--classes is 0"),
        (("--channels", "0"), "image_channels is 0"),
    ],
)
def test_what_makes_no_sense_is_refused(words, message):
    with pytest.raises(SpecError, match=message):
        ask(*words)


def test_a_disturbed_calibration_is_warned_of(monkeypatch, capsys):
    unsure = Calibration("torch", "bfloat16", COSTS, tuple(np.linspace(0.3, 3, 9)), 2.0, 96, 1.0)
    monkeypatch.setattr(calibration, "calibrate", lambda *rest, **named: unsure)
    ask("--engine", "torch")
    assert "predictions for torch are uncertain" in " ".join(capsys.readouterr().err.split())
